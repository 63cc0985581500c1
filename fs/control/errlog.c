/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The latest refusals and failures of controls, with more detail than an errno. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/ctl.h"
#include "render/show.h"

#define LINES 256
/* How much of an overlong command is logged. */
#define COMMAND_SHOWN 4200

struct errlog {
	GMutex lock;  /* protects the members below */
	GQueue lines; /* owned strings with their newline, oldest first */
	uint64_t count;
};

struct errlog *errlog_new(void)
{
	struct errlog *log = g_new0(struct errlog, 1);

	g_mutex_init(&log->lock);
	g_queue_init(&log->lines);
	return log;
}

void errlog_free(struct errlog *log)
{
	if (!log)
		return;
	g_queue_clear_full(&log->lines, g_free);
	g_mutex_clear(&log->lock);
	g_free(log);
}

static void append_caller(GString *line, const struct caller *caller)
{
	pid_t pid = getpid();
	char comm[32] = "bpfrefs";

	if (caller)
		caller_describe(caller, &pid, comm);
	g_string_append_printf(line, " pid=%d comm=", (int)pid);
	fmt_add_value(line, comm);
}

void errlog_add(struct errlog *log, const struct caller *caller, const char *command, int error,
		const char *reason)
{
	g_autofree char *shown = g_strndup(command, COMMAND_SHOWN);
	const char *name = strerrorname_np(error < 0 ? -error : error);
	GString *line = g_string_new(NULL);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	show_time(line, now);
	append_caller(line, caller);
	g_string_append(line, " command=");
	fmt_add_value(line, shown);
	g_string_append_printf(line, " %s: ", name ? name : "error");
	fmt_add_text(line, reason);
	g_string_append_c(line, '\n');

	g_mutex_lock(&log->lock);
	log->count++;
	g_queue_push_tail(&log->lines, g_string_free(line, FALSE));
	if (g_queue_get_length(&log->lines) > LINES)
		g_free(g_queue_pop_head(&log->lines));
	g_mutex_unlock(&log->lock);
}

int errlog_show(struct errlog *log, GString *out)
{
	int err = 0;

	g_mutex_lock(&log->lock);
	for (const GList *item = log->lines.head; !err && item; item = item->next) {
		g_string_append(out, item->data);
		err = text_room(out);
	}
	g_mutex_unlock(&log->lock);
	return err;
}

uint64_t errlog_count(struct errlog *log)
{
	uint64_t count;

	g_mutex_lock(&log->lock);
	count = log->count;
	g_mutex_unlock(&log->lock);
	return count;
}

int errlog_refuse(char **reason, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*reason = g_strdup_vprintf(format, args);
	va_end(args);
	return err;
}
