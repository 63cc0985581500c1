/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main function of bpfrefs: parses the options, checks SOURCE and MOUNTPOINT, forks into the
 * background, and calls session_run().
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/mountpoint.h"
#include "daemon/options.h"
#include "daemon/session.h"

/* The exit code that mount(8) expects of a mount that failed. Wrong usage is 1 there as here. */
#define EXIT_MOUNT_FAILED 32

static int complain(char *why)
{
	log_message(LOG_ERR, "%s", why ? why : "failed");
	g_free(why);
	return -EINVAL;
}

/* Refuses options that exclude each other. */
static int check_options(const struct options *options, char **why)
{
	if (options->fs.keep_auto && options->fs.ro)
		*why = g_strdup(
			"keep=auto and ro exclude each other, since automatic keeps are pins: give "
			"one of the two");
	return *why ? -EINVAL : 0;
}

/* Enters the mount namespace given by -N of mount(8). */
static int enter_mount_ns(const char *ns, char **why)
{
	g_autofree char *path = strspn(ns, "0123456789") == strlen(ns)
					? g_strdup_printf("/proc/%s/ns/mnt", ns)
					: g_strdup(ns);
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0 || setns(fd, CLONE_NEWNS) != 0) {
		err = -errno;
		*why = g_strdup_printf("entering the mount namespace %s: %s", path,
				       g_strerror(-err));
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static int find_mountpoint(const struct options *options, struct mountpoint *point, char **why)
{
	int err = options->mount_ns ? enter_mount_ns(options->mount_ns, why) : 0;

	if (!err)
		err = mountpoint_check_pid_ns(why);
	if (!err)
		err = mountpoint_open_source(point, options->fs.source, options->mount_bpffs, why);
	if (!err)
		err = mountpoint_open_mountpoint(point, options->fs.mountpoint, why);
	return err ? err : mountpoint_check(point, why);
}

static int serve(const struct options *options, const struct mountpoint *point, int ready_fd)
{
	struct session_config config = {
		.options = options->fs,
		.source_fd = point->source_fd,
		.source = options->source,
		.mount_options = options->mount_options->str,
		.ready_fd = ready_fd,
	};

	config.options.source = point->source;
	config.options.mountpoint = point->mountpoint;
	return session_run(&config);
}

/* ------------------------------------------------------- background --- */

/*
 * The daemon has replied to the kernel's first request. Checks that the mount works. 0 or -errno.
 */
static int see_mount(const char *mountpoint)
{
	struct statfs st;
	struct stat root;

	if (statfs(mountpoint, &st) != 0 || stat(mountpoint, &root) != 0)
		return -errno;
	return st.f_type == FUSE_SUPER_MAGIC ? 0 : -ENOENT;
}

/* The parent succeeds only once the mount works. The child prints what went wrong. */
static int wait_for_mount(pid_t child, int fd, const char *mountpoint)
{
	int status, err;
	ssize_t len;
	char byte;

	do
		len = read(fd, &byte, 1);
	while (len < 0 && errno == EINTR);
	if (len != 1) {
		if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
			log_message(LOG_ERR, "%s ended the daemon before the mount worked",
				    strsignal(WTERMSIG(status)));
		return -EIO;
	}
	err = see_mount(mountpoint);
	if (err)
		log_message(LOG_ERR, "%s: the mount does not work: %s", mountpoint,
			    g_strerror(-err));
	return err;
}

/* Closes all descriptors but the standard ones, @a and @b. */
static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)MIN(a, b), high = (unsigned int)MAX(a, b);

	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static int run_child(const struct options *options, const struct mountpoint *point, int ready_fd)
{
	int null;

	setsid();
	/*
	 * An inherited descriptor could be a BPF object, which the daemon would keep alive, or
	 * the end of a pipe on which another process waits.
	 */
	close_others(point->source_fd, ready_fd);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		if (null != STDIN_FILENO)
			close(null);
	}
	/* The current directory would keep its filesystem busy. All paths are absolute by now. */
	if (chdir("/") != 0)
		return -errno;
	return serve(options, point, ready_fd);
}

/*
 * Forks before there is a second thread and before BPF programs are loaded, so that the process
 * that loads them is the one that holds them while the mount lives.
 */
static int run_in_background(const struct options *options, struct mountpoint *point)
{
	int ends[2], err;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	child = fork();
	if (child < 0) {
		err = -errno;
		log_message(LOG_ERR, "fork: %s", g_strerror(-err));
		return err;
	}
	if (child == 0) {
		close(ends[0]);
		err = run_child(options, point, ends[1]);
		exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	close(ends[1]);
	err = wait_for_mount(child, ends[0], point->mountpoint);
	close(ends[0]);
	return err;
}

/* ------------------------------------------------------------- main --- */

static int mount_and_serve(const struct options *options)
{
	struct mountpoint point = { .source_fd = -1 };
	char *why = NULL;
	int err = find_mountpoint(options, &point, &why);

	if (err)
		complain(why);
	else if (options->foreground)
		err = serve(options, &point, -1);
	else
		err = run_in_background(options, &point);
	if (err)
		mountpoint_undo(&point);
	mountpoint_clear(&point);
	return err;
}

/*
 * The library reports in .bpf/status and at the start why programs were not loaded, so libbpf
 * does not have to.
 */
__attribute__((format(printf, 2, 0))) static int print_libbpf(enum libbpf_print_level level,
							      const char *format, va_list args)
{
	if (bpfrefs_libbpf_print((int)level, format, args) || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

int main(int argc, char **argv)
{
	struct options options;
	char *why = NULL;
	int code = EXIT_SUCCESS, err;

	libbpf_set_print(print_libbpf);
	options_init(&options);
	err = options_read(&options, argc, argv, &why);
	if (!err && !options.version && !options.help)
		err = check_options(&options, &why);
	if (err) {
		complain(why);
		code = EXIT_FAILURE;
	} else if (options.help) {
		fputs(options.help, stdout);
	} else if (options.version) {
		printf("bpfrefs %s\n", bpfrefs_version());
	} else if (!options.fake && mount_and_serve(&options) != 0) {
		code = options.helper ? EXIT_MOUNT_FAILED : EXIT_FAILURE;
	}
	options_clear(&options);
	return code;
}
