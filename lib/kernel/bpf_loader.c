/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/bpf_loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/load_error.h"
#include "kernel/min_core_btf.h"
#include "kernel/pipeline.h"
#include "kernel/skeleton.h"

/* Without these programs there is nothing to start from, and the procfs source does better. */
static const char *const needed[] = { "walk_maps",	"walk_progs",  "walk_links", "walk_tasks",
				      "walk_peek_prog", "walk_counts", NULL };

/*
 * The program that by far takes longest where there are many descriptors. It is then
 * loaded a second time.
 */
#define PARALLEL_PROGRAM "walk_tasks"

/*
 * A second instance of PARALLEL_PROGRAM, with a buffer and a control structure of its own. It runs
 * in a thread while the other programs run. It is loaded once a run took long. Only its link and
 * its memory are kept, not libbpf's objects.
 */
struct second {
	int link;
	int map;	       /* the map behind the mapping */
	struct walk__bss *bss; /* NULL if there is no second instance */
};

struct program {
	int fd, link; /* the skeleton's; negative: it does not load on this kernel, has no link */
	uint32_t id;
};

struct bpf_loader {
	const struct bpfrefs_ctx *ctx; /* whose log says what happens; may be NULL */
	struct walk *skeleton;
	GHashTable *programs; /* by name: libbpf compares the names of all for each search */
	struct second second;
	bool second_tried; /* the second instance was loaded, or could not be */
	bool took_long;	   /* a run of PARALLEL_PROGRAM filled more than one buffer */
	GHashTable *maps;  /* the ids of our maps */
	/* the programs that do not load on this kernel, by name: why; owned */
	GHashTable *missing;
	const char *lacked;  /* see bpf_loader_lacked() */
	uint32_t newest_btf; /* the highest id of all BTFs when the programs were loaded */
};

/*
 * Opens the skeleton and gives it the reduced BTF of the kernel, as a file that the load reads. If
 * that fails, libbpf searches all types of the kernel, which only takes longer. Returns NULL and
 * sets errno on failure.
 */
static struct walk *open_skeleton(int types)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", types);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = path);
	struct walk *skeleton = types < 0 ? NULL : walk__open_opts(&opts);
	uint32_t casts[WALK_CASTS] = { 0 };

	if (skeleton && min_core_btf_write(bpf_object__btf(skeleton->obj), types, casts) == 0) {
		memcpy((void *)skeleton->rodata->walk_casts, casts, sizeof(casts));
		return skeleton;
	}
	walk__destroy(skeleton);
	return walk__open();
}

static int load_once(struct bpf_loader *walkers)
{
	bpfrefs_autofd types = memfd_create("bpfrefs-types", MFD_CLOEXEC);
	struct bpf_program *prog;
	int err;

	walkers->skeleton = open_skeleton(types);
	if (!walkers->skeleton)
		return -errno;
	bpf_object__for_each_program(
		prog, walkers->skeleton->obj) if (g_hash_table_contains(walkers->missing,
									bpf_program__name(prog)))
		bpf_program__set_autoload(prog, false);
	load_error_watch(walkers->skeleton->obj);
	err = walk__load(walkers->skeleton);
	/* The kernel lacks arrays that can be mapped (Linux 5.5), or libbpf does not detect them. */
	if (!err && !walkers->skeleton->bss)
		err = -ENOTSUP;
	if (!err)
		err = walk__attach(walkers->skeleton);
	return err;
}

/*
 * Loads the programs that this kernel accepts. If its verifier refuses one, only the holder class
 * of that program becomes unavailable. Each round leaves out one more program, so the loop ends.
 * Without a JIT it refuses nearly all of them. Sets @why if it fails.
 */
static int load(struct bpf_loader *walkers, char **why)
{
	for (;;) {
		int err = load_once(walkers), jit = err ? load_error_jit() : 1;
		g_autofree char *refused = err && walkers->skeleton
						   ? load_error_program(walkers->skeleton->obj)
						   : NULL;
		char *says;

		if (!err)
			return 0;
		load_error_log(err, refused);
		if (!refused || jit <= 0 || load_error_is_lack(err) ||
		    g_strv_contains(needed, refused) ||
		    g_hash_table_contains(walkers->missing, refused)) {
			*why = load_error_reason(err, jit, refused);
			return err;
		}
		says = load_error_says(err, refused);
		ctx_log(walkers->ctx, BPFREFS_LOG_WARNING, "a BPF program is left out: %s", says);
		g_hash_table_insert(walkers->missing, g_steal_pointer(&refused), says);
		walk__destroy(walkers->skeleton);
		walkers->skeleton = NULL;
	}
}

/* After a load the pages of the embedded object file are not needed. */
static void drop_image_pages(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t size;
	uintptr_t start = (uintptr_t)walk__elf_bytes(&size);
	uintptr_t first = (start + page - 1) & ~(page - 1), end = (start + size) & ~(page - 1);

	/* They are clean pages of the executable's file, and are read again on demand. */
	if (first < end)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

/* The id of a program, or 0. */
static uint32_t id_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 ? info.id : 0;
}

static void add_programs(struct bpf_loader *walkers)
{
	struct bpf_object_skeleton *skeleton = walkers->skeleton->skeleton;

	for (int i = 0; i < skeleton->prog_cnt; i++) {
		struct bpf_prog_skeleton *prog = &skeleton->progs[i];
		struct program *program = g_new(struct program, 1);

		program->fd = bpf_program__fd(*prog->prog);
		program->id = id_of(program->fd);
		program->link = prog->link && *prog->link ? bpf_link__fd(*prog->link) : -1;
		g_hash_table_insert(walkers->programs, (gpointer)prog->name, program);
	}
}

static void add_own_maps(struct bpf_loader *walkers, struct walk *skeleton)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len) == 0)
			g_hash_table_add(walkers->maps, GUINT_TO_POINTER(info.id));
	}
}

int bpf_loader_load(const struct bpfrefs_ctx *ctx, struct bpf_loader **out, char **why)
{
	struct bpf_loader *walkers = g_new0(struct bpf_loader, 1);
	int err;

	walkers->ctx = ctx;
	walkers->missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	walkers->maps = g_hash_table_new(NULL, NULL);
	walkers->programs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	walkers->second = (struct second){ .link = -1, .map = -1 };
	/* Before the load: a module that is loaded meanwhile then counts as newer. */
	bpf_loader_outdated(walkers);
	load_error_begin(ctx);
	err = load(walkers, why);
	if (err) {
		bpf_loader_free(walkers);
	} else {
		add_programs(walkers);
		add_own_maps(walkers, walkers->skeleton);
		*out = walkers;
	}
	load_error_end();
	drop_image_pages();
	return err;
}

static void free_second(struct second *second)
{
	if (second->bss)
		munmap(second->bss, sizeof(*second->bss));
	if (second->link >= 0)
		close(second->link);
	if (second->map >= 0)
		close(second->map);
	*second = (struct second){ .link = -1, .map = -1 };
}

void bpf_loader_free(struct bpf_loader *walkers)
{
	if (!walkers)
		return;
	free_second(&walkers->second);
	g_hash_table_unref(walkers->programs); /* its names are the skeleton's */
	walk__destroy(walkers->skeleton);
	g_hash_table_unref(walkers->missing);
	g_hash_table_unref(walkers->maps);
	g_free(walkers);
}

bool bpf_loader_outdated(struct bpf_loader *walkers)
{
	return min_core_btf_new_module(&walkers->newest_btf);
}

struct walk_control *bpf_loader_control(struct bpf_loader *walkers)
{
	return &walkers->skeleton->bss->walk;
}

struct walk_in_net *bpf_loader_net_list(struct bpf_loader *walkers)
{
	return walkers->skeleton->bss->walk_net_list;
}

struct walk_listed *bpf_loader_list(struct bpf_loader *walkers)
{
	return walkers->skeleton->bss->walk_list;
}

static const struct program *program_of(const struct bpf_loader *walkers, const char *name)
{
	return g_hash_table_lookup(walkers->programs, name);
}

const char *bpf_loader_lack(struct bpf_loader *walkers, const char *program)
{
	const char *why = g_hash_table_lookup(walkers->missing, program);

	if (why)
		walkers->lacked = why;
	return why;
}

const char *bpf_loader_lacked(struct bpf_loader *walkers)
{
	return g_steal_pointer(&walkers->lacked);
}

/*
 * Calls @fn for the records in the buffer and empties it. Returns the number of
 * bytes that were in it.
 */
static uint32_t drain(struct bpf_loader *walkers, walk_fn fn, void *data)
{
	struct walk__bss *bss = walkers->skeleton->bss;
	uint32_t len = MIN(bss->walk.len, (uint32_t)WALK_OUT_SIZE);

	walk_each(bss->walk_out, len, fn, data);
	bss->walk.len = 0;
	return len;
}

int bpf_loader_open_iterator(struct bpf_loader *walkers, const char *program)
{
	const struct program *prog = program_of(walkers, program);
	int fd;

	if (!prog || prog->link < 0)
		return -ENOENT;
	fd = bpf_iter_create(prog->link);
	return fd < 0 ? -errno : fd;
}

int bpf_loader_iterate(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data)
{
	bpfrefs_autofd fd = bpf_loader_open_iterator(walkers, program);
	struct pipeline_reader reader;
	const void *records;
	uint32_t len;
	int more;

	if (fd < 0)
		return bpf_loader_lack(walkers, program) ? -ENOPKG : fd;
	pipeline_reader_begin(&reader, &walkers->skeleton->bss->walk,
			      walkers->skeleton->bss->walk_out, fd);
	do {
		more = pipeline_reader_next(&reader, &records, &len);
		if (more > 0 && len > WALK_OUT_SIZE / 4 && strcmp(program, PARALLEL_PROGRAM) == 0)
			walkers->took_long = true;
		walk_each(records, len, fn, data);
	} while (more > 0);
	return more;
}

int bpf_loader_call(struct bpf_loader *walkers, const char *program, walk_fn fn, void *data)
{
	const struct program *prog = program_of(walkers, program);
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int err;

	if (!prog)
		return -ENOENT;
	if (prog->fd < 0)
		return bpf_loader_lack(walkers, program) ? -ENOPKG : -ENOENT;
	bpf_loader_control(walkers)->len = 0;
	err = bpf_prog_test_run_opts(prog->fd, &opts);
	if (err)
		return -errno;
	if (fn)
		drain(walkers, fn, data);
	return 0;
}

/* ------------------------------------------------- second instance --- */

/* Loads only that program, and the maps that hold its global variables. */
static int load_one(struct walk *skeleton, const char *program)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_program(prog, skeleton->obj)
		bpf_program__set_autoload(prog, strcmp(bpf_program__name(prog), program) == 0);
	bpf_object__for_each_map(map, skeleton->obj)
		bpf_map__set_autocreate(map, bpf_map__is_internal(map));
	err = walk__load(skeleton);
	return err ? err : walk__attach(skeleton);
}

static int adopt_instance(struct second *second, struct walk *skeleton)
{
	void *bss;

	second->link = fcntl(bpf_link__fd(skeleton->links.walk_tasks), F_DUPFD_CLOEXEC, 0);
	second->map = fcntl(bpf_map__fd(skeleton->maps.bss), F_DUPFD_CLOEXEC, 0);
	if (second->link < 0 || second->map < 0)
		return -errno;
	bss = mmap(NULL, sizeof(*second->bss), PROT_READ | PROT_WRITE, MAP_SHARED, second->map, 0);
	if (bss == MAP_FAILED)
		return -errno;
	second->bss = bss;
	return 0;
}

void bpf_loader_prepare(struct bpf_loader *walkers)
{
	bpfrefs_autofd types = -1;
	struct walk *skeleton;
	int err;

	if (!walkers->took_long || walkers->second_tried)
		return;
	walkers->second_tried = true;
	types = memfd_create("bpfrefs-types", MFD_CLOEXEC);
	load_error_begin(walkers->ctx);
	skeleton = open_skeleton(types);
	err = skeleton ? load_one(skeleton, PARALLEL_PROGRAM) : -errno;
	if (!err)
		err = adopt_instance(&walkers->second, skeleton);
	if (!err) {
		add_own_maps(walkers, skeleton);
	} else {
		free_second(&walkers->second); /* the first instance does everything, as before */
	}
	walk__destroy(skeleton);
	load_error_end();
	drop_image_pages();
}

struct bpf_loader_walk {
	struct pipeline_reader reader;
	struct pipeline *pipeline;
};

struct bpf_loader_walk *bpf_loader_begin(struct bpf_loader *walkers)
{
	struct second *second = &walkers->second;
	struct bpf_loader_walk *walk;
	int fd = second->bss ? bpf_iter_create(second->link) : -1;

	if (fd < 0)
		return NULL;
	walk = g_new0(struct bpf_loader_walk, 1);
	second->bss->walk = *bpf_loader_control(walkers);
	pipeline_reader_begin(&walk->reader, &second->bss->walk, second->bss->walk_out, fd);
	walk->pipeline = pipeline_begin(pipeline_reader_next, &walk->reader, true);
	return walk;
}

int bpf_loader_end(struct bpf_loader_walk *walk, walk_fn soon, walk_fn fn, void *data)
{
	int err = pipeline_end(walk->pipeline, soon, fn, data);

	close(walk->reader.fd);
	g_free(walk);
	return err;
}

bool bpf_loader_own_program(struct bpf_loader *walkers, uint32_t id)
{
	GHashTableIter iter;
	gpointer prog;

	g_hash_table_iter_init(&iter, walkers->programs);
	while (g_hash_table_iter_next(&iter, NULL, &prog))
		if (((const struct program *)prog)->id == id)
			return true;
	return false;
}

int bpf_loader_own_fd(struct bpf_loader *walkers, enum bpfrefs_kind kind)
{
	struct walk *skeleton = walkers->skeleton;

	switch (kind) {
	case BPFREFS_KIND_MAP:
		return bpf_map__fd(skeleton->maps.bss);
	case BPFREFS_KIND_PROG:
		return bpf_program__fd(skeleton->progs.walk_maps);
	case BPFREFS_KIND_LINK:
		return bpf_link__fd(skeleton->links.walk_maps);
	case BPFREFS_KIND_BTF:
		return bpf_object__btf_fd(skeleton->obj);
	default:
		return -EINVAL;
	}
}

int bpf_loader_cpu_map_fd(struct bpf_loader *walkers)
{
	return bpf_map__fd(walkers->skeleton->maps.walk_cpu);
}

bool bpf_loader_own_map(const struct bpf_loader *walkers, uint32_t id)
{
	return g_hash_table_contains(walkers->maps, GUINT_TO_POINTER(id));
}

uint32_t bpf_loader_program_id(struct bpf_loader *walkers, const char *program)
{
	const struct program *prog = program_of(walkers, program);

	return prog ? prog->id : 0;
}
