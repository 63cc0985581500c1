/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gint in_syslog;

/*
 * Whether standard error is a stream of the journal (systemd.exec(5), JOURNAL_STREAM), which takes
 * the level from a prefix of the line (sd-daemon(3)).
 */
static bool is_journal(void)
{
	const char *stream = g_getenv("JOURNAL_STREAM");
	g_autofree char *ours = NULL;
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) != 0)
		return false;
	ours = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void log_message_v(int priority, const char *format, va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	g_strchomp(text); /* libfuse ends its messages with a newline */
	if (g_atomic_int_get(&in_syslog))
		syslog(priority, "%s", text);
	else if (is_journal())
		fprintf(stderr, "<%d>%s\n", priority, text);
	else
		fprintf(stderr, "bpfrefs: %s\n", text);
}

void log_message(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_message_v(priority, format, args);
	va_end(args);
}

/* GLib's default handler writes to standard error, which is /dev/null in the background. */
static void log_of_glib(const gchar *domain, GLogLevelFlags level, const gchar *message,
			gpointer data)
{
	const bool bad = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);

	(void)data;
	syslog(bad ? LOG_CRIT : LOG_WARNING, "%s%s%s", domain ? domain : "", domain ? ": " : "",
	       message);
}

void log_to_syslog(void)
{
	/*
	 * LOG_NDELAY connects to the log now: later a thread may have the credentials of a caller
	 * (caller_enter()), who may not be allowed to connect.
	 */
	openlog("bpfrefs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	g_log_set_default_handler(log_of_glib, NULL);
	g_atomic_int_set(&in_syslog, 1);
}
