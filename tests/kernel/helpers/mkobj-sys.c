// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands that hold and drop: descriptors, processes, threads, mounts. */
#include "mkobj.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool thread_ready, thread_stop;
static int thread_tid, thread_error;
static pthread_t thread;

/* close VAR */
static int cmd_close(char **args)
{
	return var_close(args[0]);
}

/* dup VAR OLD */
static int cmd_dup(char **args)
{
	int fd = fcntl(var_get(args[1]), F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : var_set(args[0], fd);
}

/* opath VAR PATH */
static int cmd_opath(char **args)
{
	int fd = open(args[1], O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : var_set(args[0], fd);
}

/* openfile VAR PATH */
static int cmd_openfile(char **args)
{
	int fd = open(args[1], O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : var_set(args[0], fd);
}

/* fork: a child that holds every descriptor and does nothing. */
static int cmd_fork(char **args)
{
	pid_t parent = getpid(), pid = fork();

	(void)args;
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		for (;;)
			pause();
	}
	say(" child=%d", pid);
	return 0;
}

/* reap CHILD */
static int cmd_reap(char **args)
{
	pid_t pid = (pid_t)atoi(args[0]);

	if (pid <= 0)
		return -EINVAL;
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) < 0 ? -errno : 0;
}

static void *thread_main(void *data)
{
	(void)data;
	pthread_mutex_lock(&lock);
	thread_error = unshare(CLONE_FILES) < 0 ? -errno : 0;
	thread_tid = gettid();
	thread_ready = true;
	pthread_cond_broadcast(&changed);
	while (!thread_stop)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* thread: one with a descriptor table of its own, a copy of ours as it is now. */
static int cmd_thread(char **args)
{
	int error = pthread_create(&thread, NULL, thread_main, NULL);

	(void)args;
	if (error)
		return -error;
	pthread_mutex_lock(&lock);
	while (!thread_ready)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	say(" tid=%d", thread_tid);
	return thread_error;
}

/* join: ends that thread. */
static int cmd_join(char **args)
{
	(void)args;
	pthread_mutex_lock(&lock);
	if (!thread_ready) {
		pthread_mutex_unlock(&lock);
		return -ESRCH;
	}
	thread_stop = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	thread_ready = thread_stop = false;
	return 0;
}

static void *pause_main(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void *server_main(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	printf("ok tid=%d\n", gettid());
	serve();
	exit(0);
}

/* leave [threads=]: the main thread exits; another one goes on, with so many idle ones before it. */
static int cmd_leave(char **args)
{
	static pthread_t leader, other;
	int error = 0;

	leader = pthread_self();
	for (unsigned int i = option_num(args, "threads", 0); i && !error; i--)
		error = pthread_create(&other, NULL, pause_main, NULL);
	if (!error)
		error = pthread_create(&other, NULL, server_main, &leader);
	if (error)
		return -error;
	pthread_exit(NULL);
}

/* pass VAR PATH: sends the descriptor over a unix socket to whoever listens at PATH. */
static int cmd_pass(char **args)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd = var_get(args[0]), sock, error = 0;

	if (strlen(args[1]) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, args[1]);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    sendmsg(sock, &message, 0) < 0)
		error = -errno;
	close(sock);
	return error;
}

/* newns: a mount namespace of our own, where nothing propagates. */
static int cmd_newns(char **args)
{
	(void)args;
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	return 0;
}

/* mount PATH: a new bpffs there. */
static int cmd_mount(char **args)
{
	return mount("bpf", args[0], "bpf", 0, NULL) < 0 ? -errno : 0;
}

/* umount PATH [detach=1] */
static int cmd_umount(char **args)
{
	int flags = option_num(args, "detach", 0) ? MNT_DETACH : 0;

	return umount2(args[0], flags) < 0 ? -errno : 0;
}

/* bindmount FROM TO */
static int cmd_bindmount(char **args)
{
	return mount(args[0], args[1], "", MS_BIND, NULL) < 0 ? -errno : 0;
}

/* fsmount VAR: a bpffs that no namespace has. */
static int cmd_fsmount(char **args)
{
	int context = fsopen("bpf", FSOPEN_CLOEXEC), fd, error = 0;

	if (context < 0)
		return -errno;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		error = -errno;
	fd = error ? error : fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (fd < 0 && !error)
		error = -errno;
	close(context);
	return error ? error : var_set(args[0], fd);
}

const struct cmd sys_cmds[] = {
	/* clang-format off */
	{ "close",     1, cmd_close },
	{ "dup",       2, cmd_dup },
	{ "opath",     2, cmd_opath },
	{ "openfile",  2, cmd_openfile },
	{ "fork",      0, cmd_fork },
	{ "reap",      1, cmd_reap },
	{ "thread",    0, cmd_thread },
	{ "join",      0, cmd_join },
	{ "leave",     0, cmd_leave },
	{ "pass",      2, cmd_pass },
	{ "newns",     0, cmd_newns },
	{ "mount",     1, cmd_mount },
	{ "umount",    1, cmd_umount },
	{ "bindmount", 2, cmd_bindmount },
	{ "fsmount",   1, cmd_fsmount },
	{ NULL,        0, NULL },
	/* clang-format on */
};
