/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One mount from its beginning to its end: creates everything, serves requests, and frees
 * everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "daemon/caps.h"
#include "daemon/log.h"
#include "daemon/mounted.h"
#include "daemon/mountpoint.h"
#include "daemon/service.h"
#include "fuse/dispatch.h"
#include "mirror/mirror.h"
#include "mirror/source.h"

/*
 * Parts of the memory (1/N): TEXTS_PART limits all open texts together. SCAN_PART limits a
 * snapshot while it is collected, when the previous one still exists, and a text while it is
 * rendered.
 */
#define TEXTS_PART 16
#define SCAN_PART  8

/* The limit of the changes that readers of .bpf/events have not read yet, in bytes. */
#define EVENTS_ROOM ((size_t)8 << 20)

/* The namespaces of kthreadd are the initial ones. */
#define INITIAL_CGROUP_NS "/proc/2/ns/cgroup"

/*
 * Enters the initial cgroup namespace: procfs shows paths of cgroups as the namespace of the
 * reader shows them (proc_cgroup_show()). A failure is reported, and no reason not to mount.
 */
static void enter_cgroup_ns(void)
{
	struct stat own, initial;
	int fd;

	if (stat("/proc/self/ns/cgroup", &own) != 0 || stat(INITIAL_CGROUP_NS, &initial) != 0 ||
	    own.st_ino == initial.st_ino)
		return;
	fd = open(INITIAL_CGROUP_NS, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWCGROUP) != 0)
		log_message(
			LOG_WARNING,
			"entering the initial cgroup namespace: %s: cgroups are shown relative to "
			"the daemon's own",
			g_strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Sets what belongs to the whole process. Called once, before there is a second thread. */
static int prepare_process(const struct fs_options *opt)
{
	struct rlimit limit;

	umask(0); /* the kernel has applied the caller's umask already */
	/* With no groups of its own, the daemon can always return to them (caller_leave()). */
	syscall(SYS_setgroups, 0, NULL);
	enter_cgroup_ns();
	/* The mirror keeps a descriptor for each directory that the kernel has looked up. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
#ifdef __GLIBC__
	/*
	 * With one arena, one thread reuses the memory that another has freed. The threads of
	 * keep=auto must not wait for its lock.
	 */
	if (!opt->keep_auto)
		mallopt(M_ARENA_MAX, 1);
#endif
	return caps_drop(opt);
}

static int fail(const char *what, int err)
{
	log_message(LOG_ERR, "%s: %s", what, g_strerror(-err));
	return err;
}

/* What the library says by itself, such as why BPF programs do not load. */
static void log_of_library(enum bpfrefs_log_level level, const char *message, void *data)
{
	(void)data;
	log_message((int)level, "%s", message); /* its levels are those of syslog(3) */
}

static int open_context(struct fs *fs, enum bpfrefs_source source)
{
	g_autofree char *reason = NULL;
	struct bpfrefs_options options = { .size = sizeof(options),
					   .source = source,
					   .memory = fs->scan_bytes_max,
					   .hide_self = !fs->opt.self_show,
					   .why = &reason,
					   .log = log_of_library };
	int err = bpfrefs_ctx_open(&options, &fs->ctx);

	view_return_memory(); /* loading BPF programs takes more memory than anything later */
	if (err && reason)
		log_message(LOG_ERR, "--source=%s: %s", bpfrefs_source_name(source), reason);
	if (err && reason && err != -EPERM)
		return err;
	if (err == -EPERM)
		return fail("reading BPF objects needs CAP_SYS_ADMIN in the initial user namespace",
			    err);
	if (err)
		return fail("opening the kernel's BPF objects", err);
	return 0;
}

/* Returns 1/@part of the machine's memory, or of RLIMIT_DATA if that is less. */
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
	if (getrandom(fs->cgroup_key, sizeof(fs->cgroup_key), 0) != sizeof(fs->cgroup_key))
		return fail("getrandom(2)", -errno);
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
	fs->events = events_new(fs->ctx, fs->view, &ops_events_calls, EVENTS_ROOM);
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
	/* These options come last, because the last one wins in libfuse. */
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
	return err ? fail("building the list of mount options", -ENOMEM) : 0;
}

static int new_fuse_session(struct session *session, const struct session_config *config)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = add_options(&args, config);

	if (!err) {
		/* libfuse prints which option it does not recognize. */
		session->fuse = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), session);
		err = session->fuse ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	return err;
}

/*
 * Blocks the signals that end the daemon, for threads that are started now: the kernel must
 * deliver these signals to the thread of compat_loop(), which they interrupt.
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
		err = view_trim_start(fs->view);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? fail("starting the threads that release automatic keeps and free memory", err)
		   : 0;
}

/*
 * libfuse unmounts by path, so it detaches the topmost mount there, which need not be the mirror:
 * bpftool mounts a bpffs over the directory it shall pin in, if that is not on one. In that case
 * the daemon unmounts in a new mount namespace, which is freed when the daemon exits. The mirror
 * then stays mounted below the other mount, without a daemon.
 */
static void unmount(struct session *session, int ours)
{
	int top = mountpoint_top_mount(session->fs.opt.mountpoint, NULL);

	if (top >= 0 && top != ours && unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	fuse_session_unmount(session->fuse);
}

/* -------------------------------------------------------------- signals --- */

/* The session that the handlers end, or NULL when they shall do nothing. */
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
 * Installs the handlers as libfuse does, but signals that were ignored at the start stay ignored.
 * The loop of libfuse misses a signal that arrives just before it sleeps (compat_loop()), so
 * SIGALRM interrupts it every second until it has seen that the session ended.
 */
static int catch_signals(struct fuse_session *fuse)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	const struct sigaction wake = { .sa_handler = wake_again },
			       end = { .sa_handler = end_session };
	struct sigaction now;

	if (fuse_set_signal_handlers(fuse) != 0)
		return fail("installing the signal handlers", -EINVAL);
	to_end = fuse;
	sigaction(SIGALRM, &wake, NULL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaction(ends[i], &end, NULL);
	return 0;
}

/* After this call the handlers end no session and start no alarm. */
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
		return fail(session->fs.opt.mountpoint, -EIO); /* libfuse has printed the reason */
	ours = mountpoint_top_mount(session->fs.opt.mountpoint, &session->fs.mount_dev);
	if (ours < 0) { /* unmount() could not distinguish the mirror from a mount above it */
		fuse_session_unmount(session->fuse);
		return fail("finding the new mount in /proc/self/mountinfo", ours);
	}
	session->dispatcher = dispatch_new();
	err = session->dispatcher ? start_watch(&session->fs, &watch) : -EAGAIN;
	if (!err)
		err = compat_loop(session->fuse, SESSION_THREADS);
	service_stop(session->service);
	mounted_stop(watch);
	leave_signals();
	/*
	 * Called before the unmount, so that waiting readers of .bpf/events get the error that
	 * says why.
	 */
	events_stop(session->fs.events);
	dispatch_free(session->dispatcher);
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
	view_trim_stop(session->fs.view);
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
	leave_signals(); /* needed if the loop was not reached */
	fuse_remove_signal_handlers(session->fuse);
	return err;
}

static void session_ready(struct session *session);

int session_run(const struct session_config *config)
{
	struct session session = { .ready_fd = config->ready_fd,
				   .background = config->ready_fd >= 0,
				   .ready = session_ready };
	int err = prepare_process(&config->options);

	if (err)
		return fail("giving up capabilities", err);
	err = run(&session, config);
	if (session.fuse)
		fuse_session_destroy(session.fuse);
	close_fs(&session.fs);
	return err;
}

G_GNUC_PRINTF(2, 0)
static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	log_message_v((int)level, format, args); /* the levels of libfuse are those of syslog(3) */
}

/* The first message says what is mounted where, and how references are read. */
static void log_mount(const struct fs *fs)
{
	const char *why = NULL;
	enum bpfrefs_source source = bpfrefs_ctx_source(fs->ctx, &why);

	log_message(LOG_INFO, "%s is mirrored at %s (source %s%s%s)", fs->opt.source,
		    fs->opt.mountpoint, bpfrefs_source_name(source), why ? ": " : "",
		    why ? why : "");
}

static void session_ready(struct session *session)
{
	ssize_t written;
	int null;

	service_start(&session->fs, &session->service);
	if (session->service && session->ready_fd < 0) {
		fuse_set_log_func(log_of_libfuse);
		log_mount(&session->fs);
	}
	if (session->ready_fd < 0)
		return;
	/*
	 * Nobody reads standard error from here on, and an open terminal would keep its session
	 * busy.
	 */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	log_to_syslog();
	fuse_set_log_func(log_of_libfuse);
	log_mount(&session->fs);
	/*
	 * If the parent has exited, nobody waits for the byte and the mount works regardless:
	 * libfuse ignores SIGPIPE.
	 */
	written = write(session->ready_fd, "", 1);
	(void)written;
	close(session->ready_fd);
	session->ready_fd = -1;
}
