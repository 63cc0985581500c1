/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of sd_notify(3) is one datagram for each message, so this needs no library. The
 * watchdog is notified only after the mirror's root has answered a stat(2) of this thread: a daemon
 * whose requests hang is restarted by the service manager.
 */
#include "daemon/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"

struct service {
	struct fs *fs;
	int socket_fd;
	gint64 interval_us; /* between two notifications of the watchdog; 0: none is wanted */
	GThread *thread;
	GMutex lock; /* protects stopping */
	GCond stopped;
	bool stopping;
};

/* Connects to $NOTIFY_SOCKET: a path, or an abstract name that begins with '@'. */
static int connect_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	socklen_t size;
	int fd, err;

	if ((*name != '/' && *name != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* A message that is lost is no error of the mount's: the service manager will notice. */
static void notify(const struct service *service, const char *text)
{
	ssize_t sent = send(service->socket_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)sent;
}

/* Takes no snapshot: the status is that of the last one that a reader needed. */
static void notify_status(const struct service *service, const char *prefix)
{
	const struct fs *fs = service->fs;
	g_autoptr(GString) text = g_string_new(prefix);
	struct view_last last;

	g_string_append_printf(text, "STATUS=%s is mirrored at %s (source %s)", fs->opt.source,
			       fs->opt.mountpoint,
			       bpfrefs_source_name(bpfrefs_ctx_source(fs->ctx, NULL)));
	if (view_last(fs->view, &last))
		g_string_append_printf(text,
				       "; %" G_GUINT64_FORMAT
				       " scans, the last one found %zu objects and "
				       "%zu references in %.1f ms",
				       view_scans(fs->view, NULL), last.objects, last.references,
				       (double)last.took_ns / 1e6);
	g_string_append(text, "; see .bpf/status");
	notify(service, text->str);
}

/* Returns false when the thread shall stop. */
static bool wait_interval(struct service *service)
{
	gint64 until = g_get_monotonic_time() + service->interval_us;
	bool stopping;

	g_mutex_lock(&service->lock);
	while (!service->stopping && g_cond_wait_until(&service->stopped, &service->lock, until))
		;
	stopping = service->stopping;
	g_mutex_unlock(&service->lock);
	return !stopping;
}

static gpointer watch(gpointer data)
{
	struct service *service = data;
	struct stat st;

	while (wait_interval(service))
		if (stat(service->fs->opt.mountpoint, &st) == 0)
			notify_status(service, "WATCHDOG=1\n");
	return NULL;
}

/* Half of what the service manager waits, as sd_watchdog_enabled(3) recommends; 0: no watchdog. */
static gint64 watchdog_interval(void)
{
	const char *interval = g_getenv("WATCHDOG_USEC"), *pid = g_getenv("WATCHDOG_PID");
	guint64 us = 0, process;

	if (!interval || !g_ascii_string_to_unsigned(interval, 10, 1, G_MAXINT64, &us, NULL))
		return 0;
	if (pid && (!g_ascii_string_to_unsigned(pid, 10, 1, G_MAXUINT32, &process, NULL) ||
		    (pid_t)process != getpid()))
		return 0;
	return (gint64)(us / 2);
}

void service_start(struct fs *fs, struct service **out)
{
	const char *name = g_getenv("NOTIFY_SOCKET");
	struct service *service;
	int fd;

	*out = NULL;
	if (!name || !*name)
		return;
	fd = connect_socket(name);
	if (fd < 0) {
		log_message(LOG_WARNING, "cannot notify the service manager: NOTIFY_SOCKET=%s: %s",
			    name, g_strerror(-fd));
		return;
	}
	service = g_new0(struct service, 1);
	service->fs = fs;
	service->socket_fd = fd;
	service->interval_us = watchdog_interval();
	notify_status(service, "READY=1\n");
	if (service->interval_us)
		service->thread = g_thread_try_new("service", watch, service, NULL);
	if (service->interval_us && !service->thread)
		log_message(LOG_ERR, "cannot notify the watchdog of the service manager: no thread "
				     "could be made");
	*out = service;
}

void service_stop(struct service *service)
{
	if (!service)
		return;
	notify(service, "STOPPING=1");
	g_mutex_lock(&service->lock);
	service->stopping = true;
	g_cond_signal(&service->stopped);
	g_mutex_unlock(&service->lock);
	if (service->thread)
		g_thread_join(service->thread);
	close(service->socket_fd);
	g_free(service);
}
