/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "walkers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#include "ahead.h"
#include "walk.skel.h"
#include "walkers-btf.h"

/* Records stand one behind the other, so each must keep the next one aligned. */
_Static_assert(sizeof(struct walk_map) % 8 == 0, "walk_map");
_Static_assert(sizeof(struct walk_prog) % 8 == 0, "walk_prog");
_Static_assert(sizeof(struct walk_link) % 8 == 0, "walk_link");
_Static_assert(sizeof(struct walk_btf) % 8 == 0, "walk_btf");
_Static_assert(sizeof(struct walk_edge) % 8 == 0, "walk_edge");
_Static_assert(sizeof(struct walk_task) % 8 == 0, "walk_task");
_Static_assert(sizeof(struct walk_file) % 8 == 0, "walk_file");
_Static_assert(sizeof(struct walk_iter) % 8 == 0, "walk_iter");
_Static_assert(sizeof(struct walk_ns) % 8 == 0, "walk_ns");
_Static_assert(sizeof(struct walk_sb) % 8 == 0, "walk_sb");
_Static_assert(sizeof(struct walk_mount) % 8 == 0, "walk_mount");
_Static_assert(sizeof(struct walk_inode) % 8 == 0, "walk_inode");
_Static_assert(sizeof(struct walk_dentry) % 8 == 0, "walk_dentry");
_Static_assert(sizeof(struct walk_gap) % 8 == 0, "walk_gap");
_Static_assert(sizeof(struct walk_held) % 8 == 0, "walk_held");
_Static_assert(sizeof(struct walk_struct_ops) % 8 == 0, "walk_struct_ops");
_Static_assert(sizeof(struct walk_xsk) % 8 == 0, "walk_xsk");
_Static_assert(sizeof(struct walk_sock) % 8 == 0, "walk_sock");
_Static_assert(sizeof(struct walk_tun) % 8 == 0, "walk_tun");
_Static_assert(sizeof(struct walk_event) % 8 == 0, "walk_event");
_Static_assert(sizeof(struct walk_carried) % 8 == 0, "walk_carried");
_Static_assert(sizeof(struct walk_cgroup) % 8 == 0, "walk_cgroup");
_Static_assert(sizeof(struct walk_cgroup_prog) % 8 == 0, "walk_cgroup_prog");

/* Reads of one iterator that end early without a record, before we give up on it. */
#define IDLE_MAX 4096

/* Without these there is nothing to walk from: procfs does better then. */
static const char *const needed[] = { "walk_maps",  "walk_progs",     "walk_links",
				      "walk_tasks", "walk_peek_prog", "walk_counts",
				      NULL };

struct walkers {
	struct walk *skeleton;
	GHashTable *maps;    /* ids of our maps */
	GHashTable *missing; /* programs that do not load on this kernel: owned names */
	uint32_t newest_btf; /* of all, modules' and others, whose types are known */
};

/* The last warning of libbpf in this thread says best why a load failed. */
static _Thread_local char *last_warning;

__attribute__((format(printf, 2, 0))) static int keep_warning(enum libbpf_print_level level,
							      const char *format, va_list args)
{
	char *line;

	if (level != LIBBPF_WARN)
		return 0;
	line = g_strdup_vprintf(format, args);
	/* the first line names the program; the verifier's log that follows is too much */
	g_strdelimit(g_strstrip(line), "\n", ' ');
	if (last_warning || strlen(line) > 200)
		g_free(line);
	else
		last_warning = line;
	return 0;
}

/*
 * Opens the skeleton and gives it the kernel's types cut down, in a file that the load reads. Where
 * that fails libbpf searches them all: it is only slower.
 */
static int open_skeleton(struct walkers *walkers, int types)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", types);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = path);
	uint32_t casts[WALK_CASTS] = { 0 };

	walkers->skeleton = types < 0 ? NULL : walk__open_opts(&opts);
	if (walkers->skeleton &&
	    walkers_btf_write(bpf_object__btf(walkers->skeleton->obj), types, casts) == 0) {
		memcpy((void *)walkers->skeleton->rodata->walk_casts, casts, sizeof(casts));
		return 0;
	}
	walk__destroy(walkers->skeleton);
	walkers->skeleton = walk__open();
	return walkers->skeleton ? 0 : -errno;
}

static int load_once(struct walkers *walkers)
{
	bpfrefs_autofd types = memfd_create("bpfrefs-types", MFD_CLOEXEC);
	struct bpf_program *prog;
	int err = open_skeleton(walkers, types);

	if (err)
		return err;
	bpf_object__for_each_program(
		prog, walkers->skeleton->obj) if (g_hash_table_contains(walkers->missing,
									bpf_program__name(prog)))
		bpf_program__set_autoload(prog, false);
	err = walk__load(walkers->skeleton);
	if (!err)
		err = walk__attach(walkers->skeleton);
	return err;
}

/* The program that libbpf's warning is about ("prog 'NAME': ..."), owned, or NULL. */
static char *blamed_program(void)
{
	const char *start = last_warning ? strstr(last_warning, "prog '") : NULL, *end;

	if (!start)
		return NULL;
	start += strlen("prog '");
	end = strchr(start, '\'');
	return end ? g_strndup(start, (gsize)(end - start)) : NULL;
}

/*
 * Loads what loads. One program that a kernel's verifier refuses costs the class that it walks for,
 * which then says so, not all the others. Each round leaves out one more, so it ends.
 */
static int load(struct walkers *walkers)
{
	for (;;) {
		int err = load_once(walkers);
		g_autofree char *blamed = err ? blamed_program() : NULL;

		if (!blamed || g_strv_contains(needed, blamed) ||
		    g_hash_table_contains(walkers->missing, blamed))
			return err;
		g_hash_table_add(walkers->missing, g_steal_pointer(&blamed));
		walk__destroy(walkers->skeleton);
		walkers->skeleton = NULL;
		g_clear_pointer(&last_warning, g_free);
	}
}

static void note_maps(struct walkers *walkers)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, walkers->skeleton->obj)
	{
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len) == 0)
			g_hash_table_add(walkers->maps, GUINT_TO_POINTER(info.id));
	}
}

int walkers_load(struct walkers **out, char **why)
{
	struct walkers *walkers = g_new0(struct walkers, 1);
	libbpf_print_fn_t before = libbpf_set_print(keep_warning);
	int err;

	walkers->missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	walkers->maps = g_hash_table_new(NULL, NULL);
	walkers_outdated(walkers); /* before the load: a module that comes meanwhile is newer */
	err = load(walkers);
	libbpf_set_print(before);
	if (err) {
		*why = g_strdup_printf("the BPF programs did not load: %s%s%s", g_strerror(-err),
				       last_warning ? ": " : "", last_warning ? last_warning : "");
		walkers_free(walkers);
	} else {
		note_maps(walkers);
		*out = walkers;
	}
	g_clear_pointer(&last_warning, g_free);
#ifdef __GLIBC__
	malloc_trim(0); /* the kernel's types, all of them, were only needed for the load */
#endif
	return err;
}

void walkers_free(struct walkers *walkers)
{
	if (!walkers)
		return;
	walk__destroy(walkers->skeleton);
	g_hash_table_unref(walkers->missing);
	g_hash_table_unref(walkers->maps);
	g_free(walkers);
}

bool walkers_outdated(struct walkers *walkers)
{
	return walkers_btf_new_module(&walkers->newest_btf);
}

struct walk_control *walkers_control(struct walkers *walkers)
{
	return &walkers->skeleton->bss->walk;
}

struct walk_listed *walkers_list(struct walkers *walkers)
{
	return walkers->skeleton->bss->walk_list;
}

static struct bpf_program *program_of(struct walkers *walkers, const char *name)
{
	return bpf_object__find_program_by_name(walkers->skeleton->obj, name);
}

bool walkers_lack(const struct walkers *walkers, const char *program)
{
	return g_hash_table_contains(walkers->missing, program);
}

/* Hands on what is in the buffer and empties it. Returns how many bytes there were. */
static uint32_t drain(struct walkers *walkers, walk_fn fn, void *data)
{
	struct walk__bss *bss = walkers->skeleton->bss;
	uint32_t len = MIN(bss->walk.len, (uint32_t)WALK_OUT_SIZE);

	walk_each(bss->walk_out, len, fn, data);
	bss->walk.len = 0;
	return len;
}

static struct bpf_link *link_of(struct walkers *walkers, const char *program)
{
	struct bpf_object_skeleton *skeleton = walkers->skeleton->skeleton;

	for (int i = 0; i < skeleton->prog_cnt; i++)
		if (strcmp(skeleton->progs[i].name, program) == 0)
			return skeleton->progs[i].link ? *skeleton->progs[i].link : NULL;
	return NULL;
}

int walkers_open_iterator(struct walkers *walkers, const char *program)
{
	struct bpf_link *link = link_of(walkers, program);
	int fd;

	if (!link)
		return -ENOENT;
	fd = bpf_iter_create(bpf_link__fd(link));
	return fd < 0 ? -errno : fd;
}

/* One read of the iterator: 0 at its end, 1 if it goes on, -errno. */
static int read_once(int fd)
{
	char nothing[64]; /* our programs write to their own buffer only */
	ssize_t n = read(fd, nothing, sizeof(nothing));

	if (n == 0)
		return 0;
	/* EAGAIN: the buffer was full (walk_later()), or a million objects were seen */
	return n > 0 || errno == EAGAIN || errno == EINTR ? 1 : -errno;
}

/* Hands on what one read brought: to *ahead, if it may go on for long. How many bytes there were. */
static uint32_t hand_on(struct walkers *walkers, bool more, struct ahead **ahead, walk_fn fn,
			void *data)
{
	struct walk__bss *bss = walkers->skeleton->bss;
	uint32_t len = MIN(bss->walk.len, (uint32_t)WALK_OUT_SIZE);

	if (!*ahead && more && len > WALK_OUT_SIZE / 4)
		*ahead = ahead_begin(fn, data);
	if (!*ahead)
		return drain(walkers, fn, data);
	ahead_give(*ahead, bss->walk_out, len);
	bss->walk.len = 0;
	return len;
}

static int read_all(struct walkers *walkers, int fd, walk_fn fn, void *data)
{
	struct ahead *ahead = NULL;
	unsigned int idle = 0;
	int more;

	do {
		more = read_once(fd);
		idle = hand_on(walkers, more > 0, &ahead, fn, data) ? 0 : idle + 1;
	} while (more > 0 && idle < IDLE_MAX);
	ahead_end(ahead);
	return more > 0 ? -ELOOP : more;
}

int walkers_iterate(struct walkers *walkers, const char *program, walk_fn fn, void *data)
{
	struct walk_control *control = walkers_control(walkers);
	bpfrefs_autofd fd = walkers_open_iterator(walkers, program);

	if (fd < 0)
		return walkers_lack(walkers, program) ? -ENOPKG : fd;
	control->len = 0;
	control->resume_key = 0;
	control->last_ns = 0;
	control->self_pid = (uint32_t)getpid();
	control->self_fd = (uint32_t)fd;
	return read_all(walkers, fd, fn, data);
}

int walkers_call(struct walkers *walkers, const char *program, walk_fn fn, void *data)
{
	struct bpf_program *prog = program_of(walkers, program);
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	if (!prog)
		return -ENOENT;
	if (walkers_lack(walkers, program))
		return -ENOPKG;
	walkers_control(walkers)->len = 0;
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (err)
		return -errno;
	if (fn)
		drain(walkers, fn, data);
	return 0;
}

int walkers_own_fd(struct walkers *walkers, enum bpfrefs_kind kind)
{
	struct walk *skeleton = walkers->skeleton;

	switch (kind) {
	case BPFREFS_MAP:
		return bpf_map__fd(skeleton->maps.bss);
	case BPFREFS_PROG:
		return bpf_program__fd(skeleton->progs.walk_maps);
	case BPFREFS_LINK:
		return bpf_link__fd(skeleton->links.walk_maps);
	case BPFREFS_BTF:
		return bpf_object__btf_fd(skeleton->obj);
	default:
		return -EINVAL;
	}
}

bool walkers_own_map(const struct walkers *walkers, uint32_t id)
{
	return g_hash_table_contains(walkers->maps, GUINT_TO_POINTER(id));
}

uint32_t walkers_program_id(struct walkers *walkers, const char *program)
{
	struct bpf_program *prog = program_of(walkers, program);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (!prog || bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return 0;
	return info.id;
}
