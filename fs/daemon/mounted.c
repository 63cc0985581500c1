/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread sleeps in poll(2) of mountinfo. A mount or unmount in the daemon's mount namespace
 * wakes it (mounts_poll()), and it reads mountinfo at most once a second. An idle machine never
 * wakes it.
 */
#include "daemon/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/log.h"
#include "render/show.h"

#define MOUNTINFO "/proc/self/mountinfo"

/*
 * The delay between a change and the check. Mounts often change many at a time, and when the last
 * mount is removed the session ends before the delay is over.
 */
#define DELAY_MS 1000

struct mounted {
	const struct fs *fs;
	int mountinfo_fd, stop_fd;
	bool logged; /* the removal of the mount was logged */
	GThread *thread;
};

bool mounted_is_here(const struct fs *fs)
{
	g_autofree char *text = NULL;
	char dev[32];

	if (text_read(MOUNTINFO, &text, NULL) != 0)
		return true;
	snprintf(dev, sizeof(dev), " %u:%u ", major(fs->mount_dev), minor(fs->mount_dev));
	return strstr(text, dev) != NULL;
}

static void log_removed(const struct fs *fs)
{
	g_autoptr(GString) copies = g_string_new(NULL);
	const char *line;

	overmount_show_elsewhere(copies, fs);
	/*
	 * The line is "mounted_elsewhere: PATH mnt_ns=N pid=P". The message names the first copy
	 * only.
	 */
	line = *copies->str != '#' ? strchr(copies->str, ' ') : NULL;
	if (line)
		log_message(LOG_WARNING,
			    "%s is no longer mounted here, but bpfrefs keeps running and %s stays "
			    "busy until this copy of the mount is unmounted too: %.*s",
			    fs->opt.mountpoint, fs->opt.source, (int)strcspn(line + 1, "\n"),
			    line + 1);
	else
		log_message(LOG_WARNING,
			    "%s is no longer mounted here, but bpfrefs keeps running and %s stays "
			    "busy until no process uses a file or a directory of it any more",
			    fs->opt.mountpoint, fs->opt.source);
}

static void check_mount(struct mounted *mounted)
{
	bool removed = !mounted_is_here(mounted->fs);

	if (removed && !mounted->logged)
		log_removed(mounted->fs);
	mounted->logged = removed;
}

/* Returns false when the thread shall stop. */
static bool wait_for(struct mounted *mounted, bool change)
{
	struct pollfd fds[] = {
		{ .fd = mounted->stop_fd, .events = POLLIN },
		{ .fd = mounted->mountinfo_fd, .events = POLLPRI },
	};
	int ready;

	do
		ready = poll(fds, change ? 2 : 1, change ? -1 : DELAY_MS);
	while (ready < 0 && errno == EINTR);
	return ready >= 0 && !fds[0].revents;
}

static gpointer run(gpointer data)
{
	struct mounted *mounted = data;

	while (wait_for(mounted, true) && wait_for(mounted, false))
		check_mount(mounted);
	return NULL;
}

int mounted_start(const struct fs *fs, struct mounted **out)
{
	struct mounted *mounted = g_new0(struct mounted, 1);

	mounted->fs = fs;
	mounted->mountinfo_fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	mounted->stop_fd = eventfd(0, EFD_CLOEXEC);
	*out = mounted;
	if (mounted->mountinfo_fd >= 0 && mounted->stop_fd >= 0)
		mounted->thread = g_thread_try_new("mounted", run, mounted, NULL);
	if (mounted->thread)
		return 0;
	mounted_stop(mounted);
	*out = NULL;
	return -EAGAIN;
}

void mounted_stop(struct mounted *mounted)
{
	if (!mounted)
		return;
	if (mounted->stop_fd >= 0)
		eventfd_write(mounted->stop_fd, 1);
	if (mounted->thread)
		g_thread_join(mounted->thread);
	if (mounted->mountinfo_fd >= 0)
		close(mounted->mountinfo_fd);
	if (mounted->stop_fd >= 0)
		close(mounted->stop_fd);
	g_free(mounted);
}
