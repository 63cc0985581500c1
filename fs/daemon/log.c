/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/log.h"

#include <stdbool.h>
#include <stdio.h>

static gint in_syslog;

void log_message_v(int priority, const char *format, va_list args)
{
	g_autofree char *text = g_strdup_vprintf(format, args);

	g_strchomp(text); /* libfuse ends its messages with a newline */
	if (g_atomic_int_get(&in_syslog))
		syslog(priority, "%s", text);
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
