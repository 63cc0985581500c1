// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Callers that are not what their process seems to be. Each writes TEXT to the control CONTROL, and
 * prints the result: "ok", or the errno's name.
 *
 * mkobj caller thread CONTROL TEXT	by a thread without CAP_SYS_ADMIN in a process with it, and the reverse
 * mkobj caller drop CONTROL TEXT	opened as root, written after a setuid program's setresuid(2)
 * mkobj caller uring CONTROL TEXT	by a worker of io_uring that is older than the loss of the privilege
 * mkobj caller exit CONTROL TEXT ROUNDS	killed while it writes without the privilege; then its number goes to
 *				one with it, which stays for a moment. Prints how often that happened
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mkobj.h"

static const char *control, *text;

static void report(const char *what, long result)
{
	printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

/* This thread alone. */
static int drop_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	return (int)syscall(SYS_capset, &header, data);
}

static void open_and_write(const char *who, int fd)
{
	int own = open(control, O_WRONLY | O_CLOEXEC);

	printf("%s ", who);
	report("open", own);
	if (own >= 0)
		close(own);
	printf("%s ", who);
	report("write", write(fd, text, strlen(text)));
}

/* ------------------------------------------------------------- threads --- */

static void *dropped_thread(void *fd)
{
	if (drop_admin() == 0)
		open_and_write("dropped-thread", *(int *)fd);
	return NULL;
}

static void *kept_thread(void *go)
{
	char byte;
	int fd;

	if (read(*(int *)go, &byte, 1) != 1)
		return NULL;
	fd = open(control, O_WRONLY | O_CLOEXEC);
	open_and_write("kept-thread", fd);
	return NULL;
}

static int in_threads(void)
{
	int fd = open(control, O_WRONLY | O_CLOEXEC), go[2];
	pthread_t dropped, kept;

	if (fd < 0 || pipe(go) != 0 || pthread_create(&dropped, NULL, dropped_thread, &fd) != 0)
		return -errno;
	pthread_join(dropped, NULL);
	if (pthread_create(&kept, NULL, kept_thread, &go[0]) != 0 || drop_admin() != 0)
		return -errno;
	open_and_write("dropped-process", fd);
	if (write(go[1], "", 1) != 1)
		return -errno;
	pthread_join(kept, NULL);
	return 0;
}

/* -------------------------------------------------------- setuid's end --- */

static int after_drop(void)
{
	int fd = open(control, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || setresgid(1235, 1235, 1235) != 0 || setresuid(1234, 1234, 1234) != 0)
		return -errno;
	report("write", write(fd, text, strlen(text)));
	return 0;
}

/* ------------------------------------------------------------ io_uring --- */

struct ring {
	int fd;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

static int ring_open(struct ring *ring)
{
	const struct io_uring_params *p = &ring->params;
	size_t sq, cq;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0)
		return -1;
	sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	ring->sq = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->cq = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, p->sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->sq == MAP_FAILED || ring->cq == MAP_FAILED || ring->sqes == MAP_FAILED ? -1
											    : 0;
}

static uint32_t *word(uint8_t *base, uint32_t offset)
{
	return (uint32_t *)(void *)(base + offset);
}

/* One write, by a worker; waits for its result. */
static long ring_write(struct ring *ring, int fd, const char *data)
{
	uint32_t *tail = word(ring->sq, ring->params.sq_off.tail);
	uint32_t mask = *word(ring->sq, ring->params.sq_off.ring_mask), at = *tail & mask;
	uint32_t *head = word(ring->cq, ring->params.cq_off.head);
	const struct io_uring_cqe *cqes = (const void *)(ring->cq + ring->params.cq_off.cqes);
	int result;

	ring->sqes[at] = (struct io_uring_sqe){
		.opcode = IORING_OP_WRITE,
		.flags = IOSQE_ASYNC,
		.fd = fd,
		.addr = (uintptr_t)data,
		.len = (uint32_t)strlen(data),
	};
	word(ring->sq, ring->params.sq_off.array)[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -1;
	result = cqes[*head & *word(ring->cq, ring->params.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static int by_worker(void)
{
	int fd = open(control, O_WRONLY | O_CLOEXEC),
	    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct ring ring;

	if (fd < 0 || null < 0)
		return -errno;
	if (ring_open(&ring) != 0) {
		report("ring", -1);
		return 0;
	}
	/* From here on there is a worker, with the credentials of now. */
	report("warm", ring_write(&ring, null, "x"));
	if (drop_admin() != 0)
		return -errno;
	report("same-uid", ring_write(&ring, fd, text));
	if (syscall(SYS_setresuid, 1234, 1234, 1234) != 0)
		return -errno;
	report("other-uid", ring_write(&ring, fd, text));
	return 0;
}

/* ------------------------------------------------------ exit on the way --- */

static pid_t start_writer(int fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (drop_admin() != 0)
		_exit(1);
	while (write(fd, text, strlen(text)) < 0)
		;
	_exit(0); /* let in: the test will see it */
}

/* A process with the privilege, with that number if it can be had. */
static pid_t start_heir(int last_pid, pid_t wanted)
{
	char number[16];
	int len = snprintf(number, sizeof(number), "%d", (int)wanted - 1);
	pid_t pid;

	if (pwrite(last_pid, number, (size_t)len, 0) != len)
		return -1;
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static int killed(int rounds)
{
	int fd = open(control, O_WRONLY | O_CLOEXEC);
	int last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	int inherited = 0, let_in = 0, status;

	if (fd < 0 || last_pid < 0)
		return -errno;
	srand(1);
	for (int i = 0; i < rounds; i++) {
		struct timespec pause = { .tv_nsec = 200000 + rand() % 1000000 };
		pid_t writer = start_writer(fd), heir;

		if (writer < 0)
			return -errno;
		nanosleep(&pause, NULL);
		kill(writer, SIGKILL);
		waitpid(writer, &status, 0);
		let_in += WIFEXITED(status);
		heir = start_heir(last_pid, writer);
		if (heir < 0)
			return -errno;
		inherited += heir == writer;
		kill(heir, SIGKILL);
		waitpid(heir, &status, 0);
	}
	printf("inherited %d\nlet-in %d\n", inherited, let_in);
	return 0;
}

int caller_run(char **args)
{
	control = args[1];
	text = args[2];
	if (strcmp(args[0], "thread") == 0)
		return in_threads();
	if (strcmp(args[0], "drop") == 0)
		return after_drop();
	if (strcmp(args[0], "uring") == 0)
		return by_worker();
	if (strcmp(args[0], "exit") == 0 && args[3])
		return killed(atoi(args[3]));
	return -EINVAL;
}
