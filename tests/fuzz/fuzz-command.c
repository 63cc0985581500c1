/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to controls. The first byte selects the control, and the rest is one write(2). Nothing
 * is pinned outside SOURCE, a refusal is an errno, with a reason where the errno does not
 * suffice, and a write of two lines or with a NUL has no effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/ctl.h"
#include "fuzz.h"
#include "snapshot/private.h"
#include "tree/node.h"
#include "world.h"

static char *source_dir;
static int source_fd;
static unsigned int pinned;

/* Checks that the directory of a pin is in SOURCE. */
static void check_pinned(int dir_fd, const char *name)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", dir_fd);
	g_autofree char *real = g_file_read_link(link, NULL);

	must(real && g_str_has_prefix(real, source_dir));
	must(real[strlen(source_dir)] == '\0' || real[strlen(source_dir)] == '/');
	must(*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	pinned++;
}

void fuzz_begin(void)
{
	const char *dir = fuzz_dir();

	source_dir = g_build_filename(dir, "source", NULL);
	must(mkdir(source_dir, 0700) == 0);
	source_fd = open(source_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(source_fd >= 0 && mkdirat(source_fd, "app", 0700) == 0);
	must(symlinkat("..", source_fd, "out") == 0 && symlinkat("app", source_fd, "in") == 0);
	world_pinned = check_pinned;
}

/* Restores the files that an unpin of the last input may have removed. */
static void restore_files(void)
{
	fuzz_write(source_fd, "app/x", "", 0);
	fuzz_write(source_fd, "y", "", 0);
}

static int collect(struct scan *scan)
{
	scan_object_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_MAP, 1 });
	return 0;
}

static int next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	return syscall_next_id(kind, start, id);
}

/* This is not the last user reference, so that opening the map need not wait. */
static int map_usercnt(struct bpfrefs_ctx *ctx, uint32_t id, uint64_t *usercnt)
{
	*usercnt = 2;
	return 0;
}

static const struct source source = {
	.id = BPFREFS_SOURCE_PROC,
	.next_id = next_id,
	.collect = collect,
	.map_usercnt = map_usercnt,
};

static void run(struct where *w, const char *data, size_t size)
{
	struct caller caller = { (pid_t)syscall(SYS_gettid), geteuid(), getegid() };
	g_autofree char *command = NULL, *reason = NULL;
	bool plain = !memchr(data, '\0', size) &&
		     !memchr(data, '\n', size && data[size - 1] == '\n' ? size - 1 : size);
	int err = ctl_parse(data, size, &command, &reason);

	must((err == 0) == (size <= CTL_COMMAND_MAX && plain));
	must((err == 0) == (command != NULL) && (err == 0) == (reason == NULL));
	if (err)
		return;
	pinned = 0;
	err = w->row->store(w, &caller, command, &reason);
	must(err <= 0 && err > -4096);
	must(err || !reason);
	must(pinned <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct node rows[] = { { .name = "control", .store = ctl_control },
					    { .name = "pin", .store = ctl_pin },
					    { .name = "unpin", .store = ctl_unpin },
					    { .name = "keep", .store = ctl_keep } };
	struct fs fs = { .source_fd = source_fd };
	struct where w = { .fs = &fs, .key = { BPFREFS_KIND_MAP, 1 } };
	char *text;

	if (!size)
		return 0;
	w.row = &rows[*data % G_N_ELEMENTS(rows)];
	if (w.row == rows)
		w.key = (struct bpfrefs_key){ BPFREFS_KIND_NONE, 0 };
	restore_files();
	must(ctx_open_with(&source, NULL, &fs.ctx) == 0);
	must(bpfrefs_keeper_open(fs.ctx, source_fd, &fs.keeper) == 0);
	fs.view = view_new(fs.ctx, 0);
	text = exact_copy(data + 1, size - 1);
	run(&w, text, size - 1);
	free(text);
	bpfrefs_keeper_close(fs.keeper);
	view_free(fs.view);
	bpfrefs_ctx_close(fs.ctx);
	return 0;
}
