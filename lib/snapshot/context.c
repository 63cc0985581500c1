/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts, and how a snapshot is taken from the source of a context. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "snapshot/cgroup_paths.h"
#include "snapshot/options.h"
#include "snapshot/snapshot.h"
#include "uapi/link_words.h"

/*
 * PROC_PID_INIT_INO of include/linux/proc_ns.h: the inode number of the initial pid namespace,
 * which has been the same since Linux 3.8.
 */
#define INITIAL_PID_NS 0xEFFFFFFCu

/* The greatest number of scans for one snapshot, which are repeated while counters change. */
#define ATTEMPTS 4
/*
 * The greatest number of objects whose unexplained references are remembered until the next scan.
 */
#define REMAINDERS_MAX 16384

static int in_initial_pid_ns(int proc_fd)
{
	struct stat st;

	if (fstatat(proc_fd, "self/ns/pid", &st, 0) != 0)
		return -errno;
	return st.st_ino == INITIAL_PID_NS ? 0 : -EPERM;
}

static struct bpfrefs_ctx *ctx_new(const struct source *source)
{
	struct bpfrefs_ctx *ctx = g_new0(struct bpfrefs_ctx, 1);

	ctx->source = source;
	ctx->proc_fd = -1;
	ctx->self = (uint32_t)getpid();
	ctx->force_full_scan = true;
	ctx->non_fd_nested = true; /* unknown until the first full scan */
	g_mutex_init(&ctx->lock);
	g_mutex_init(&ctx->next);
	ctx->kept = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	ctx->remainders = g_hash_table_new_full(key_hash, key_equal, g_free, g_free);
	return ctx;
}

int ctx_open_with(const struct source *source, void *source_data, struct bpfrefs_ctx **out)
{
	struct bpfrefs_ctx *ctx = ctx_new(source);
	int err = 0;

	ctx->source_data = source_data;
	if (source->open)
		err = source->open(ctx, &ctx->why);
	if (err) {
		bpfrefs_ctx_close(ctx);
		return err;
	}
	*out = ctx;
	return 0;
}

static int open_source(struct bpfrefs_ctx *ctx, enum bpfrefs_source want)
{
	int err = -EOPNOTSUPP;

	if (want != BPFREFS_SOURCE_PROC) {
#if HAVE_BPF
		ctx->source = &source_bpf;
		err = source_bpf.open(ctx, &ctx->why);
		if (!err)
			return 0;
#else
		ctx->why = g_strdup("built without BPF programs");
#endif
		ctx->source = NULL;
		if (want == BPFREFS_SOURCE_BPF)
			return err;
		ctx_log(ctx, BPFREFS_LOG_WARNING, "going on with procfs, without counters: %s",
			ctx->why);
	} else {
		ctx->why = g_strdup("the procfs source was requested");
	}
	err = source_proc.open(ctx, NULL);
	if (!err)
		ctx->source = &source_proc;
	return err;
}

static int ctx_setup(struct bpfrefs_ctx *ctx, const struct bpfrefs_options *options)
{
	uint32_t id;
	int err;

	ctx->proc_fd = options->proc_fd > 0 ? fcntl(options->proc_fd, F_DUPFD_CLOEXEC, 3)
					    : open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ctx->proc_fd < 0)
		return -errno;
	ctx->proc = shared_fd_new(ctx->proc_fd);
	err = in_initial_pid_ns(ctx->proc_fd);
	if (!err)
		err = open_source(ctx, options->source);
	if (!err)
		err = bpfrefs_next_id(ctx, BPFREFS_KIND_MAP, 0, &id);
	return err == -ENOENT ? 0 : err;
}

int bpfrefs_ctx_open(const struct bpfrefs_options *options, struct bpfrefs_ctx **out)
{
	struct bpfrefs_options own = { .size = sizeof(own) };
	struct bpfrefs_ctx *ctx;
	int err = options ? options_copy(&own, sizeof(own), options, options->size) : 0;

	if (own.why)
		*own.why = NULL;
	if (!err && own.source >= SOURCE_COUNT)
		err = -EINVAL;
	if (err)
		return err;
	ctx = ctx_new(NULL);
	ctx->memory = own.memory;
	ctx->hide_self = own.hide_self;
	ctx->log = own.log;
	ctx->log_data = own.log_data;
	ctx->log_level = own.log_level ? own.log_level : BPFREFS_LOG_INFO;
	err = ctx_setup(ctx, &own);
	if (err) {
		if (own.why)
			*own.why = g_steal_pointer(&ctx->why);
		bpfrefs_ctx_close(ctx);
		return err;
	}
	*out = ctx;
	return 0;
}

void bpfrefs_ctx_close(struct bpfrefs_ctx *ctx)
{
	GHashTableIter iter;
	gpointer fd;

	if (!ctx)
		return;
	if (ctx->source && ctx->source->close)
		ctx->source->close(ctx);
	g_hash_table_iter_init(&iter, ctx->kept);
	while (g_hash_table_iter_next(&iter, &fd, NULL))
		close(GPOINTER_TO_INT(fd));
	g_hash_table_unref(ctx->kept);
	g_hash_table_unref(ctx->remainders);
	idmap_clear(&ctx->memlock);
	g_clear_pointer(&ctx->constant, g_hash_table_unref);
	g_clear_pointer(&ctx->paths, cgroup_paths_unref);
	g_clear_pointer(&ctx->proc, shared_fd_unref);
	g_mutex_clear(&ctx->next);
	g_mutex_clear(&ctx->lock);
	g_free(ctx->why);
	g_free(ctx);
}

enum bpfrefs_source bpfrefs_ctx_source(const struct bpfrefs_ctx *ctx, const char **why)
{
	if (why)
		*why = ctx->why;
	return ctx->source->id;
}

int bpfrefs_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id)
{
	/* No lock is needed: the kernel opens no descriptor for BPF_*_GET_NEXT_ID. */
	if (kind >= KIND_COUNT)
		return -EINVAL;
	return ctx->source->next_id(ctx, kind, start, id);
}

int bpfrefs_exists(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	uint32_t found;
	int err;

	if (key.id == 0)
		return -ENOENT;
	err = bpfrefs_next_id(ctx, key.kind, key.id - 1, &found);
	if (err)
		return err;
	return found == key.id ? 0 : -ENOENT;
}

static void add_payer(struct bpfrefs_ctx *ctx, uint32_t id, struct bpfrefs_info *info)
{
	struct map_payer payer = { 0 };
	int err = ctx->source->map_payer ? ctx->source->map_payer(ctx, id, &payer) : -ENOSYS;

	if (err == -EOPNOTSUPP)
		return;
	if (payer.path)
		info_str(info, "charged", payer.path);
	else
		info_num(info, "charged", BPFREFS_UNKNOWN);
	if (payer.dying)
		info_str(info, "charged_state", "dying");
	g_free(payer.path);
}

int bpfrefs_info_read(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info)
{
	int err;

	if (key.kind >= KIND_COUNT)
		return -EINVAL;
	if (key.id == 0)
		return -ENOENT;
	ctx_lock(ctx);
	err = ctx->source->info(ctx, key, info);
	if (!err && key.kind == BPFREFS_KIND_LINK) {
		struct link_words *words = link_words_new(ctx, key.id);

		link_words_add(words, key.id, *info);
		link_words_free(words);
	}
	if (!err && key.kind == BPFREFS_KIND_MAP)
		add_payer(ctx, key.id, *info);
	g_mutex_unlock(&ctx->lock);
	return err;
}

int bpfrefs_mounted(struct bpfrefs_ctx *ctx, uint32_t major, uint32_t minor, uint32_t *mounts,
		    uint32_t *covered)
{
	int err;

	if (!ctx->source->mounted)
		return -EOPNOTSUPP;
	ctx_lock(ctx);
	err = ctx->source->mounted(ctx, major, minor, mounts, covered);
	g_mutex_unlock(&ctx->lock);
	return err;
}

/* ---------------------------------------------------------- snapshots --- */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct unexplained {
	int64_t ref, user;
};

static struct unexplained remainder_of(const struct bpfrefs_object *object)
{
	struct unexplained rest = { 0, 0 };

	if (object->refcnt != BPFREFS_UNKNOWN)
		rest.ref = (int64_t)(object->refcnt - object->explained);
	if (object->usercnt != BPFREFS_UNKNOWN)
		rest.user = (int64_t)(object->usercnt - object->user_explained);
	return rest;
}

/*
 * A reference may have moved from one holder to another during the scan without any change of a
 * counter, or its holder may have been freed while the reference is dropped only later
 * (call_rcu()). So an unexplained reference counts only if two scans in a row have seen it. Records
 * the unexplained references of this scan, and returns whether each of them was there in the scan
 * before.
 */
static bool remainders_stable(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap)
{
	GHashTable *now = g_hash_table_new_full(key_hash, key_equal, g_free, g_free);
	bool same = true;

	for (guint i = 0; i < snap->objects->len; i++) {
		const struct bpfrefs_object *object = g_ptr_array_index(snap->objects, i);
		struct unexplained rest = remainder_of(object), *before;

		/* One may have moved, but none is missing, so another scan would find no more. */
		if (rest.ref == 0 && rest.user == 0)
			continue;
		/* A system with so many of them is judged by the first ones alone. */
		if (g_hash_table_size(now) >= REMAINDERS_MAX)
			break;
		before = g_hash_table_lookup(ctx->remainders, &object->key);
		if (object->changing || !before || before->ref != rest.ref ||
		    before->user != rest.user)
			same = false;
		g_hash_table_insert(now, g_memdup2(&object->key, sizeof(object->key)),
				    g_memdup2(&rest, sizeof(rest)));
	}
	g_hash_table_unref(ctx->remainders);
	ctx->remainders = now;
	return same;
}

/* @one: scans for the references to this object alone; NULL: scans for everything. */
static int scan_once(struct bpfrefs_ctx *ctx, const struct bpfrefs_key *one,
		     struct bpfrefs_snapshot **out)
{
	struct scan *scan = scan_new(ctx, holder_classes);
	struct bpfrefs_snapshot *snap;
	int err;

	cgroup_paths_share(ctx, scan->snap);
	if (one) {
		err = ctx->source->collect_one(scan, *one);
	} else {
		scan_reserve(scan);
		err = ctx->source->collect(scan);
		scan_record_sizes(scan);
	}
	/* Lack of memory may be the cause of another error, so it is the one to report. */
	err = scan_failed(scan) ? scan_failed(scan) : err;
	snap = scan_finish(scan);
	snap->find_states = states_find;
	snap->proc = ctx->proc ? g_atomic_rc_box_acquire(ctx->proc) : NULL;
	if (!err)
		err = snapshot_freeze(snap, ctx->proc_fd);
	if (err)
		bpfrefs_snapshot_unref(snap);
	else
		*out = snap;
	return err;
}

/* Whatever is changing is likely to be over soon: waits a little longer after each attempt. */
static void pause_before_retry(unsigned int attempt)
{
	struct timespec ts = { 0, (long)attempt * attempt * 1000000 };

	nanosleep(&ts, NULL);
}

int bpfrefs_snapshot_take(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot **out)
{
	struct bpfrefs_snapshot_stats stats = { .size = sizeof(stats),
						.started_ns = now_ns(CLOCK_MONOTONIC),
						.wall_ns = now_ns(CLOCK_REALTIME) };
	struct bpfrefs_snapshot *snap = NULL;
	bool done = false;
	int err = 0;

	ctx_lock(ctx);
	while (!done && stats.attempts < ATTEMPTS) {
		if (stats.attempts)
			pause_before_retry(stats.attempts);
		bpfrefs_snapshot_unref(snap);
		snap = NULL;
		err = scan_once(ctx, NULL, &snap);
		stats.attempts++;
		done = err || remainders_stable(ctx, snap);
		if (!done)
			ctx->force_full_scan = ctx->force_mappings = true;
	}
	if (!err) {
		constant_update(ctx, snap, done);
		ctx_log_classes(ctx, snap);
	}
	g_mutex_unlock(&ctx->lock);
	if (err)
		return err;
	stats.took_ns = now_ns(CLOCK_MONOTONIC) - stats.started_ns;
	stats.memory = arena_used(snap->arena);
	snap->stats = stats;
	*out = snap;
	return 0;
}

/* Whether all references are explained, so that a scan for everything could not find one more. */
static bool is_exact(const struct bpfrefs_snapshot *snap, struct bpfrefs_key key)
{
	const struct bpfrefs_object *object = idmap_get(&snap->by_key, key_number(key));

	return object && !object->changing && object->refcnt == object->explained &&
	       object->usercnt == object->user_explained;
}

int bpfrefs_snapshot_take_one(struct bpfrefs_ctx *ctx, struct bpfrefs_key key,
			      struct bpfrefs_snapshot **out)
{
	struct bpfrefs_snapshot_stats stats = { .size = sizeof(stats),
						.started_ns = now_ns(CLOCK_MONOTONIC),
						.wall_ns = now_ns(CLOCK_REALTIME),
						.attempts = 1 };
	struct bpfrefs_snapshot *snap = NULL;
	int err = -EAGAIN;

	if (key.kind >= KIND_COUNT)
		return -EINVAL;
	if (key.id == 0)
		return -ENOENT;
	ctx_lock(ctx);
	if (ctx->source->collect_one)
		err = scan_once(ctx, &key, &snap);
	g_mutex_unlock(&ctx->lock);
	if (!err && !is_exact(snap, key))
		err = -EAGAIN;
	if (err) {
		bpfrefs_snapshot_unref(snap);
		return err;
	}
	stats.took_ns = now_ns(CLOCK_MONOTONIC) - stats.started_ns;
	stats.memory = arena_used(snap->arena);
	snap->stats = stats;
	*out = snap;
	return 0;
}
