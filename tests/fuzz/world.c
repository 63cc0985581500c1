/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bpf/records.h"
#include "control/guard.h"
#include "fuzz.h"

const char *const world_programs[] = {
	"walk_maps",	     "walk_progs",	   "walk_links",	  "walk_tasks",
	"walk_peek_prog",    "walk_slots",	   "walk_sockmaps",	  "walk_async",
	"walk_kptrs",	     "walk_used",	   "walk_mappings",	  "walk_ring_fds",
	"walk_aio",	     "walk_ring",	   "walk_queue",	  "walk_carried",
	"walk_metas",	     "walk_supers",	   "walk_inodes",	  "walk_cgroups",
	"walk_nets",	     "walk_netdevs",	   "walk_mprogs",	  "walk_qdiscs",
	"walk_classes",	     "walk_block",	   "walk_actions",	  "walk_fibs",
	"walk_fib4",	     "walk_fib6",	   "walk_nexthops",	  "walk_rulesets",
	"walk_xt",	     "walk_nft",	   "walk_nft_head",	  "walk_nft_tables",
	"walk_tun_device",   "walk_default_ops",   "walk_registered",	  "walk_event_slots",
	"walk_event_links",  "walk_cgroup_types",  "walk_memories",	  "walk_ns_mounts",
	"walk_owner_counts", "walk_file_mappings", "walk_link_locations", "walk_payers",
};

struct bpf_loader {
	struct walk_control control;
	const uint8_t *data;
	size_t size;
	size_t *next; /* for each program, the offset from which to search its next chunk */
	struct walk_listed list[WALK_LIST_MAX];
	struct walk_in_net net_list[WALK_NETS_MAX];
};

void (*world_pinned)(int dir_fd, const char *name);

unsigned int world_program_count(void)
{
	return G_N_ELEMENTS(world_programs);
}

bool world_chunk(const uint8_t *data, size_t size, size_t at, struct chunk *chunk, size_t *len)
{
	if (at > size || size - at < sizeof(*chunk))
		return false;
	memcpy(chunk, data + at, sizeof(*chunk));
	*len = MIN((size_t)(chunk->len[0] | chunk->len[1] << 8), size - at - sizeof(*chunk));
	return true;
}

struct bpf_loader *world_new(const uint8_t *data, size_t size)
{
	struct bpf_loader *loader = g_new0(struct bpf_loader, 1);

	loader->data = data;
	loader->size = size;
	loader->next = g_new0(size_t, G_N_ELEMENTS(world_programs));
	for (unsigned int i = 0; i < WALK_OTHERS; i++)
		loader->control.kernel_ids.other[i] = 1; /* this kernel has them all */
	return loader;
}

void world_free(struct bpf_loader *loader)
{
	g_free(loader->next);
	g_free(loader);
}

/* ------------------------------------------------------- bpf_loader.h --- */

struct exact {
	walk_fn fn;
	void *data;
};

/*
 * Copies each record to a block of its own, so that AddressSanitizer reports a read past its end.
 */
static void hand_on(const struct walk_rec *rec, void *data)
{
	const struct exact *exact = data;
	struct walk_rec *copy = exact_copy(rec, rec->size);

	if (exact->fn) /* NULL: the program emits no records */
		exact->fn(copy, exact->data);
	free(copy);
}

static unsigned int program_index(const char *program)
{
	for (unsigned int i = 0; i < G_N_ELEMENTS(world_programs); i++)
		if (strcmp(world_programs[i], program) == 0)
			return i;
	g_printerr("world_programs lacks %s\n", program);
	abort();
}

/* Finds the next chunk of a program; returns false if there is none. */
static bool next_chunk(struct bpf_loader *loader, unsigned int program, struct chunk *chunk,
		       const uint8_t **records, size_t *len)
{
	size_t *at = &loader->next[program];

	while (world_chunk(loader->data, loader->size, *at, chunk, len)) {
		*records = loader->data + *at + sizeof(*chunk);
		*at += sizeof(*chunk) + *len;
		if (chunk->program == program)
			return true;
	}
	return false;
}

static int answer(struct bpf_loader *loader, const char *program, walk_fn fn, void *data)
{
	struct walk_control *control = &loader->control;
	struct exact exact = { fn, data };
	struct chunk chunk = { 0 };
	const uint8_t *records;
	size_t len = 0;
	void *copy;

	control->ended = WALK_DONE;
	control->net.gone = 0;
	control->sb_at = 0;
	if (!next_chunk(loader, program_index(program), &chunk, &records, &len))
		return 0;
	if (chunk.ended & 8)
		return -EIO;
	control->ended = MIN(chunk.ended & 3u, (unsigned int)WALK_TORN);
	control->sb_at = control->ended == WALK_FULL;
	control->net.gone = chunk.ended >> 2 & 1;
	copy = exact_copy(records, len);
	walk_each(copy, len, hand_on, &exact);
	free(copy);
	return 0;
}

struct walk_control *bpf_loader_control(struct bpf_loader *loader)
{
	return &loader->control;
}

int bpf_loader_iterate(struct bpf_loader *loader, const char *program, walk_fn fn, void *data)
{
	return answer(loader, program, fn, data);
}

void bpf_loader_prepare(struct bpf_loader *loader)
{
}

/* For every other input, the walk runs in parallel. */
struct bpf_loader_walk *bpf_loader_begin(struct bpf_loader *loader)
{
	return loader->size % 2 ? (void *)loader : NULL;
}

int bpf_loader_end(struct bpf_loader_walk *walk, walk_fn soon, walk_fn fn, void *data)
{
	int err = answer((void *)walk, "walk_tasks", soon, data);

	/* the same records again, for the decoder */
	((struct bpf_loader *)(void *)walk)->next[program_index("walk_tasks")] = 0;
	return err ? err : answer((void *)walk, "walk_tasks", fn, data);
}

bool bpf_loader_own_program(struct bpf_loader *loader, uint32_t id)
{
	return id % 5 == 0;
}

struct walk_listed *bpf_loader_list(struct bpf_loader *loader)
{
	return loader->list;
}

/* All objects that were listed still exist, except each seventh. */
static int count_listed(struct bpf_loader *loader)
{
	must(loader->control.listed <= WALK_LIST_MAX);
	for (uint32_t i = 0; i < loader->control.listed; i++)
		loader->list[i].refcnt = loader->list[i].usercnt = loader->list[i].id % 7;
	return 0;
}

struct walk_in_net *bpf_loader_net_list(struct bpf_loader *loader)
{
	return loader->net_list;
}

static const char *const net_programs[] = {
	"walk_nets",	   "walk_netdevs",    "walk_mprogs",
	"walk_qdiscs",	   "walk_classes",    "walk_block",
	"walk_actions",	   "walk_fibs",	      "walk_fib4",
	"walk_fib6",	   "walk_nexthops",   "walk_rulesets",
	"walk_xt",	   "walk_nft",	      "walk_nft_head",
	"walk_nft_tables", "walk_tun_device", "walk_default_ops",
	"walk_tcp",	   "walk_packets",    NULL,
};

static void start_object(const struct bpf_loader *loader, walk_fn fn, void *data)
{
	const struct walk_start start = {
		.rec = { .type = WALK_START, .size = sizeof(start), .id = loader->control.list_at },
	};

	fn(&start.rec, data);
}

/* One chunk for each object, as net_go() would emit them (lib/bpf/net.bpf.h). */
static int walk_net_objects(struct bpf_loader *loader, const char *program, walk_fn fn, void *data)
{
	struct walk_control *control = &loader->control;
	int err = 0;

	must(control->listed <= WALK_NETS_MAX);
	for (control->ended = WALK_DONE; control->list_at < control->listed; control->list_at++) {
		if (!control->net.begun)
			start_object(loader, fn, data);
		control->net.begun = 1;
		err = answer(loader, program, fn, data);
		if (err || control->ended != WALK_DONE)
			break;
		if (control->net.gone)
			start_object(loader, fn, data);
		control->net.begun = 0;
	}
	return err;
}

int bpf_loader_call(struct bpf_loader *loader, const char *program, walk_fn fn, void *data)
{
	if (strcmp(program, "walk_counts") == 0)
		return count_listed(loader);
	if (g_strv_contains(net_programs, program))
		return walk_net_objects(loader, program, fn, data);
	return answer(loader, program, fn, data);
}

int bpf_loader_load(const struct bpfrefs_ctx *ctx, struct bpf_loader **loader, char **why)
{
	*why = g_strdup("a test's");
	return -EOPNOTSUPP;
}

void bpf_loader_free(struct bpf_loader *loader)
{
}

bool bpf_loader_outdated(struct bpf_loader *loader)
{
	return false;
}

const char *bpf_loader_lack(struct bpf_loader *loader, const char *program)
{
	return NULL;
}

const char *bpf_loader_lacked(struct bpf_loader *loader)
{
	return NULL;
}

int bpf_loader_own_fd(struct bpf_loader *loader, enum bpfrefs_kind kind)
{
	return -EOPNOTSUPP;
}

int bpf_loader_open_iterator(struct bpf_loader *loader, const char *program)
{
	return -EOPNOTSUPP;
}

int bpf_loader_cpu_map_fd(struct bpf_loader *loader)
{
	return -EBADF;
}

bool bpf_loader_own_map(const struct bpf_loader *loader, uint32_t id)
{
	return id == 1;
}

uint32_t bpf_loader_program_id(struct bpf_loader *loader, const char *program)
{
	return 0;
}

/* ------------------------------------------------------------ syscalls.h --- */

int syscall_next_id(enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	if (start >= 3)
		return -ENOENT;
	*id = start + 1;
	return 0;
}

int syscall_open_id(enum bpfrefs_kind kind, uint32_t id)
{
	int fd;

	if (id > 3)
		return -ENOENT;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int syscall_pin_at(int fd, int dir_fd, const char *name)
{
	if (world_pinned)
		world_pinned(dir_fd, name);
	return strchr(name, '.') ? -EPERM : 0;
}

int syscall_get_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int syscall_open_pin(int dir_fd, const char *name)
{
	return syscall_get_at(dir_fd, name);
}

int syscall_get_path_fd(int path_fd)
{
	int fd = fcntl(path_fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

int syscall_identify(int fd, struct bpfrefs_key *key)
{
	*key = (struct bpfrefs_key){ BPFREFS_KIND_MAP, 1 };
	return 0;
}

int syscall_info(int fd, void *info, uint32_t *len)
{
	memset(info, 0, *len);
	return 0;
}

int syscall_map_next_key(int fd, const void *key, void *next)
{
	return -ENOENT;
}

int syscall_map_lookup(int fd, const void *key, void *value)
{
	return -ENOENT;
}

/* ---------------------------------------------------------- guard.h --- */

int guard_judge(struct fs *fs, struct bpfrefs_snapshot **snap, struct bpfrefs_key key,
		const struct stat *st)
{
	return bpfrefs_unpin_check(*snap, key, major(st->st_dev), minor(st->st_dev), st->st_ino);
}
