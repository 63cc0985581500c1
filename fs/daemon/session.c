/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One mount from its beginning to its end: everything is made here, and taken down again. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "daemon/caps.h"
#include "fuse/dispatch.h"
#include "daemon/log.h"
#include "mirror/mirror.h"
#include "daemon/mounted.h"
#include "daemon/mountpoint.h"
#include "mirror/source.h"
#include "tree/trim.h"

/*
 * Of the memory: what all open texts may take together; and what one snapshot in the making may take,
 * while the last one is still there, or one text in the making.
 */
#define TEXTS_PART 16
#define SCAN_PART  8

/* What changes may take that some reader of .bpf/events has not read. */
#define EVENTS_ROOM ((size_t)8 << 20)

/* What belongs to the whole process, once, before there is another thread. */
static int prepare_process(const struct fs_options *opt)
{
	struct rlimit limit;

	umask(0); /* the kernel has taken the caller's off already */
	/* caller_leave() can then always go back to how it was. */
	syscall(SYS_setgroups, 0, NULL);
	/* One descriptor a directory that the kernel knows of. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return caps_drop(opt);
}

static int fail(const char *what, int err)
{
	log_message(LOG_ERR, "%s: %s", what, g_strerror(-err));
	return err;
}

static int open_context(struct fs *fs, enum bpfrefs_source source)
{
	g_autofree char *reason = NULL;
	struct bpfrefs_options options = { .size = sizeof(options),
					   .source = source,
					   .memory = fs->scan_bytes_max,
					   .why = &reason };
	const char *why;
	int err = bpfrefs_ctx_open(&options, &fs->ctx);

	trim_now(); /* the load of the BPF programs took more than anything after it will */
	if (err && reason)
		fprintf(stderr, "bpfrefs: --source=%s: %s\n", bpfrefs_source_name(source), reason);
	if (err && reason && err != -EPERM)
		return err;
	if (err == -EPERM)
		return fail("reading BPF objects needs CAP_SYS_ADMIN in the initial user namespace",
			    err);
	if (err)
		return fail("opening the kernel's BPF objects", err);
	if (source == BPFREFS_SOURCE_AUTO &&
	    bpfrefs_ctx_source(fs->ctx, &why) == BPFREFS_SOURCE_PROC)
		log_message(LOG_WARNING, "going on with procfs, without counters: %s",
			    why ? why : "BPF programs cannot be loaded");
	return 0;
}

/* That part of the machine's memory, or of what the process may have of it. */
static uint64_t share_of_memory(unsigned int part)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct rlimit limit;

	if (getrlimit(RLIMIT_DATA, &limit) == 0)
		memory = MIN(memory, limit.rlim_cur);
	return memory / part;
}

static int open_fs(struct fs *fs, const struct session_config *config)
{
	struct stat st;
	int err;

	fs->opt = config->options;
	fs->source_fd = config->source_fd;
	if (fstat(fs->source_fd, &st) != 0)
		return fail(fs->opt.source, -errno);
	fs->source_major = major(st.st_dev);
	fs->source_minor = minor(st.st_dev);
	fs->source_ino = st.st_ino;
	clock_gettime(CLOCK_REALTIME, &fs->started);
	fs->scan_bytes_max = share_of_memory(SCAN_PART);
	text_set_limit(fs->scan_bytes_max);
	err = open_context(fs, config->source);
	if (err)
		return err;
	err = bpfrefs_keeper_open(fs->ctx, fs->source_fd, &fs->keeper);
	if (err)
		return fail("opening the keeps in SOURCE", err);
	fs->has_xattrs = mirror_xattrs_are_there(fs->source_fd);
	fs->source = source_new(fs->source_fd);
	fs->mirror = mirror_new(fs->source, &fs->opt);
	fs->view = view_new(fs->ctx, fs->opt.max_age);
	fs->errors = errlog_new();
	fs->handles = handles_new(share_of_memory(TEXTS_PART));
	fs->events = events_new(fs->view, &ops_events_calls, EVENTS_ROOM);
	return 0;
}

static void close_fs(struct fs *fs)
{
	if (fs->handles)
		handles_free(fs->handles);
	events_free(fs->events);
	if (fs->errors)
		errlog_free(fs->errors);
	if (fs->view)
		view_free(fs->view);
	mirror_free(fs->mirror);
	source_free(fs->source);
	bpfrefs_keeper_close(fs->keeper);
	bpfrefs_ctx_close(fs->ctx);
}

static int add_options(struct fuse_args *args, const struct session_config *config)
{
	g_autofree char *fsname = g_strdup_printf("fsname=%s", config->options.source);
	char *list = NULL;
	int err = 0;

	if (*config->mount_options)
		err = fuse_opt_add_opt(&list, config->mount_options);
	/* Ours come last: libfuse lets the last one win. */
	if (!err)
		err = fuse_opt_add_opt(&list, "default_permissions,nosuid,nodev,subtype=bpfrefs");
	if (!err)
		err = fuse_opt_add_opt_escaped(&list, fsname);
	if (!err)
		err = fuse_opt_add_arg(args, "bpfrefs");
	if (!err)
		err = fuse_opt_add_arg(args, "-o");
	if (!err)
		err = fuse_opt_add_arg(args, list);
	free(list);
	return err ? fail("mount options", -ENOMEM) : 0;
}

static int new_fuse_session(struct session *session, const struct session_config *config)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = add_options(&args, config);

	if (!err) {
		/* It says itself which option it does not know. */
		session->fuse = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), session);
		err = session->fuse ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	return err;
}

/*
 * For threads that are started now: they must not be the ones that a signal to end interrupts, which
 * is for the loop to see.
 */
static void block_ends(sigset_t *before)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &ends, before);
}

static int start_threads(struct fs *fs)
{
	struct auto_keep *keeping;
	sigset_t before;
	int err;

	block_ends(&before);
	err = auto_start(fs, fs->opt.keep_auto, &keeping);
	if (!err && !fs->opt.keep_auto)
		err = trim_start(fs->view, &fs->trim);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? fail("starting the threads of automatic keeps and of memory", err) : 0;
}

/*
 * libfuse unmounts by path, and so what is uppermost there. That need not be ours: bpftool mounts a
 * bpffs over the directory that it is told to pin in. Then it shall take it away in a mount
 * namespace that goes with us; ours stays under it, dead.
 */
static void unmount(struct session *session, int ours)
{
	int top = mountpoint_top_mount(session->fs.opt.mountpoint, NULL);

	if (top >= 0 && top != ours && unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	fuse_session_unmount(session->fuse);
}

/* -------------------------------------------------------------- signals --- */

/* What the handlers end; NULL: nothing any more. */
static struct fuse_session *volatile to_end;

static void wake_again(int number)
{
	(void)number;
	if (to_end)
		alarm(1);
}

static void end_session(int number)
{
	struct fuse_session *fuse = to_end;

	(void)number;
	if (fuse) {
		fuse_session_exit(fuse);
		alarm(1);
	}
}

/*
 * As libfuse sets them, of which those that we were started to ignore stay ignored. Its loop may sleep
 * on for one that comes before it sleeps (compat_loop()), so it is woken until it has looked again.
 */
static int catch_signals(struct fuse_session *fuse)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	const struct sigaction wake = { .sa_handler = wake_again },
			       end = { .sa_handler = end_session };
	struct sigaction now;

	if (fuse_set_signal_handlers(fuse) != 0)
		return fail("signal handlers", -EINVAL);
	to_end = fuse;
	sigaction(SIGALRM, &wake, NULL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaction(ends[i], &end, NULL);
	return 0;
}

/* From now on they end nothing, and interrupt nothing again. */
static void leave_signals(void)
{
	to_end = NULL;
	alarm(0);
}

/* ----------------------------------------------------------------- loop --- */

static int start_watch(const struct fs *fs, struct mounted **watch)
{
	sigset_t before;
	int err;

	block_ends(&before);
	err = mounted_start(fs, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int loop(struct session *session)
{
	struct mounted *watch = NULL;
	int ours, err;

	if (fuse_session_mount(session->fuse, session->fs.opt.mountpoint) != 0)
		return fail(session->fs.opt.mountpoint, -EIO); /* libfuse has said why */
	ours = mountpoint_top_mount(session->fs.opt.mountpoint, &session->fs.mount_dev);
	if (ours < 0) { /* without that, unmount() would take its own for another's */
		fuse_session_unmount(session->fuse);
		return fail("looking for the mount in mountinfo", ours);
	}
	session->dispatcher = dispatcher_new();
	err = session->dispatcher ? start_watch(&session->fs, &watch) : -EAGAIN;
	if (!err)
		err = compat_loop(session->fuse, SESSION_THREADS);
	mounted_stop(watch);
	leave_signals();
	/* Before the mount goes, so that who waits is told why. */
	events_stop(session->fs.events);
	dispatcher_free(session->dispatcher);
	auto_stop(session->fs.auto_keep);
	unmount(session, ours);
	if (session->background && err >= 0)
		log_message(LOG_INFO, "%s is no longer mounted: ended", session->fs.opt.mountpoint);
	return err < 0 ? fail("serving requests", err) : 0;
}

static int serve(struct session *session)
{
	int err = start_threads(&session->fs);

	if (!err)
		err = loop(session);
	auto_stop(session->fs.auto_keep);
	trim_stop(session->fs.trim);
	session->fs.trim = NULL;
	return err;
}

static int run(struct session *session, const struct session_config *config)
{
	int err = open_fs(&session->fs, config);

	if (!err)
		err = new_fuse_session(session, config);
	if (err)
		return err;
	err = catch_signals(session->fuse);
	if (err)
		return err;
	err = serve(session);
	leave_signals(); /* if it came to no loop */
	fuse_remove_signal_handlers(session->fuse);
	return err;
}

int session_run(const struct session_config *config)
{
	struct session session = { .ready_fd = config->ready_fd,
				   .background = config->ready_fd >= 0 };
	int err = prepare_process(&config->options);

	if (err)
		return fail("giving up capabilities", err);
	err = run(&session, config);
	if (session.fuse)
		fuse_session_destroy(session.fuse);
	close_fs(&session.fs);
	return err;
}

static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	log_message_v((int)level, format, args); /* its levels are syslog's */
}

/* The first message: what is mounted where, and how it is read. */
static void log_mount(const struct fs *fs)
{
	const char *why = NULL;
	enum bpfrefs_source source = bpfrefs_ctx_source(fs->ctx, &why);

	log_message(LOG_INFO, "%s is mirrored at %s (source %s%s%s)", fs->opt.source,
		    fs->opt.mountpoint, bpfrefs_source_name(source), why ? ": " : "",
		    why ? why : "");
}

void session_ready(struct session *session)
{
	ssize_t told;
	int null;

	if (session->ready_fd < 0)
		return;
	/* From here on nobody reads standard error: close the terminal. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	log_to_syslog();
	fuse_set_log_func(log_of_libfuse);
	log_mount(&session->fs);
	/* If the parent is gone nobody waits, and the mount works all the same (SIGPIPE is off). */
	told = write(session->ready_fd, "", 1);
	(void)told;
	close(session->ready_fd);
	session->ready_fd = -1;
}
