/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages for the administrator. They go to standard error, and in the background to syslog(3). */
#ifndef LOG_H
#define LOG_H

#include <glib.h>
#include <stdarg.h>
#include <syslog.h>

/* Logs one line. @priority is a level of syslog(3). The format has no newline at its end. */
void log_message(int priority, const char *format, ...) G_GNUC_PRINTF(2, 3);
void log_message_v(int priority, const char *format, va_list args) G_GNUC_PRINTF(2, 0);
/* From this call on all messages, those of GLib too, go to syslog(3). */
void log_to_syslog(void);

#endif
