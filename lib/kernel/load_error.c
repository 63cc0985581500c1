/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/load_error.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapshot/private.h"

/*
 * More than the verifier writes about any program of ours, unless it gives up. Before Linux 6.4 it
 * ends a log that is longer with ENOSPC, since then it keeps the end of the log.
 */
#define LOG_BYTES (16u << 20)

/* How many lines of the verifier's log are shown, and how much of one. */
#define LOG_LINES 10
#define LINE_MAX_ 200

/* What the verifier and libbpf have written in this thread, since libbpf's callback has no argument. */
static _Thread_local struct {
	bool loading;
	const struct bpfrefs_ctx *ctx; /* whose log gets libbpf's lines; may be NULL */
	/*
	 * The log of the verifier, mapped: memory is used only once a program was refused. The log
	 * of each program begins one byte after that of the one before, and libbpf stops at the
	 * first program that is refused: so the first byte that is not 0 says which one it is.
	 */
	char *log;
	size_t programs; /* the number of these */
	char *warning;	 /* the first short warning of libbpf, which names the program */
} said;

int load_error_jit(void)
{
	bpfrefs_autofd fd = open("/proc/sys/net/core/bpf_jit_enable", O_RDONLY | O_CLOEXEC);
	char value = 0;

	if (fd < 0)
		return errno == ENOENT ? -1 : 1;
	return read(fd, &value, 1) == 1 && value == '0' ? 0 : 1;
}

void load_error_begin(const struct bpfrefs_ctx *ctx)
{
	void *log = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	said.loading = true;
	said.ctx = ctx;
	said.log = log == MAP_FAILED ? NULL : log;
}

void load_error_end(void)
{
	if (said.log)
		munmap(said.log, LOG_BYTES);
	g_free(said.warning);
	memset(&said, 0, sizeof(said));
}

/* ------------------------------------------------------------- libbpf --- */

static void log_lines(enum bpfrefs_log_level level, const char *prefix, char *text)
{
	for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text))
		ctx_log(said.ctx, level, "%s%s", prefix, line);
}

G_GNUC_PRINTF(2, 0)
bool bpfrefs_libbpf_print(int level, const char *format, va_list args)
{
	const bool logged = ctx_logs(said.ctx, BPFREFS_LOG_DEBUG);
	char *text;

	if (!said.loading)
		return false;
	if (!logged && (level != LIBBPF_WARN || said.warning))
		return true;
	text = g_strdup_vprintf(format, args);
	if (level == LIBBPF_WARN && !said.warning && strlen(text) <= LINE_MAX_)
		said.warning = g_strdelimit(g_strstrip(g_strdup(text)), "\n", ' ');
	if (logged)
		log_lines(BPFREFS_LOG_DEBUG, "", text);
	g_free(text);
	return true;
}

/* The program that libbpf's warning is about ("prog 'NAME': ..."), owned by the caller, or NULL. */
static char *program_of_warning(void)
{
	const char *start = said.warning ? strstr(said.warning, "prog '") : NULL, *end;

	if (!start)
		return NULL;
	start += strlen("prog '");
	end = strchr(start, '\'');
	return end ? g_strndup(start, (gsize)(end - start)) : NULL;
}

/* ----------------------------------------------------------- verifier --- */

void load_error_watch(struct bpf_object *obj)
{
	struct bpf_program *prog;

	g_clear_pointer(&said.warning, g_free);
	said.programs = 0;
	if (!said.log)
		return;
	madvise(said.log, LOG_BYTES, MADV_DONTNEED); /* zeroes again */
	bpf_object__for_each_program(prog, obj)
	{
		bpf_program__set_log_buf(prog, said.log + said.programs, LOG_BYTES - said.programs);
		said.programs++;
	}
}

char *load_error_program(struct bpf_object *obj)
{
	struct bpf_program *prog;
	size_t at = 0;

	bpf_object__for_each_program(prog, obj)
	{
		if (at < said.programs && said.log[at])
			return g_strdup(bpf_program__name(prog));
		at++;
	}
	return program_of_warning();
}

/* What the verifier writes at the end of each log, about its own work. */
static bool is_statistics(const char *line)
{
	return !*line || g_str_has_prefix(line, "processed ") ||
	       g_str_has_prefix(line, "verification time ") ||
	       g_str_has_prefix(line, "stack depth ");
}

bool load_error_is_lack(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EAGAIN ||
	       err == -EINTR || err == -EPERM;
}

/* The last lines of the verifier's log, in order, at most @max of them; none if it was not the one. */
static char **last_lines(int err, guint max)
{
	GPtrArray *lines = g_ptr_array_new();
	size_t start = 0, end;

	while (start < said.programs && !said.log[start])
		start++;
	end = start < said.programs ? start + strnlen(said.log + start, LOG_BYTES - start) : start;
	while (!load_error_is_lack(err) && end > start && lines->len < max) {
		const char *newline = memrchr(said.log + start, '\n', end - start);
		size_t line = newline ? (size_t)(newline - said.log) + 1 : start;
		g_autofree char *text = g_strndup(said.log + line, MIN(end - line, LINE_MAX_));

		if (!is_statistics(text))
			g_ptr_array_insert(lines, 0, g_steal_pointer(&text));
		end = newline ? line - 1 : start;
	}
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}

char *load_error_says(int err, const char *program)
{
	g_auto(GStrv) lines = last_lines(err, 1);

	if (program && lines[0] && err == -ENOSPC)
		return g_strdup_printf(
			"the verifier refuses %s, and says more than 16 MiB about it", program);
	if (program && lines[0])
		return g_strdup_printf("the verifier refuses %s: %s", program,
				       g_strstrip(lines[0]));
	return g_strdup(said.warning);
}

void load_error_log(int err, const char *program)
{
	g_auto(GStrv) lines = last_lines(err, LOG_LINES);

	for (char **line = lines; program && *line; line++)
		ctx_log(said.ctx, BPFREFS_LOG_INFO, "%s: %s", program, *line);
}

/* --------------------------------------------------------------- texts --- */

/* ENOTSUPP of the kernel, which no libc has a name for (bpf_prog_select_runtime()). */
#define KERNEL_ENOTSUPP 524

char *load_error_text(int err, int jit)
{
	char text[256];

	if (jit == 0)
		return g_strdup("the BPF JIT is off (sysctl net.core.bpf_jit_enable=1)");
	if (jit < 0)
		return g_strdup("this kernel has no BPF JIT");
	if (err == -KERNEL_ENOTSUPP)
		return g_strdup("the BPF JIT of this kernel cannot compile them");
	libbpf_strerror(err, text, sizeof(text)); /* libbpf has codes of its own, from 4000 on */
	return g_strdup(text);
}

char *load_error_reason(int err, int jit, const char *program)
{
	g_autofree char *text = load_error_text(err, jit), *says = load_error_says(err, program);

	if (jit <= 0 || !says)
		return g_strdup_printf("the BPF programs did not load: %s", text);
	return g_strdup_printf("the BPF programs did not load: %s: %s", text, says);
}
