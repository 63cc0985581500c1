/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declarations that the files of lib share. fs does not include this header. Unit tests do, to open
 * a context with a fake source. docs/design.md says which file may call which.
 */
#ifndef BPFREFS_PRIVATE_H
#define BPFREFS_PRIVATE_H

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "bpfrefs.h"
#include "holders/class.h"
#include "snapshot/idmap.h"
#include "snapshot/memory.h"

/*
 * How many values the enumerations of bpfrefs.h have. They are not there, since a later version of
 * the library has more, and programs must not depend on the number.
 */
#define KIND_COUNT     (BPFREFS_KIND_BTF + 1)
#define SOURCE_COUNT   (BPFREFS_SOURCE_PROC + 1)
#define ENUM_COUNT     (BPFREFS_ENUM_ATTACH_TYPE + 1)
#define STATE_COUNT    (BPFREFS_STATE_UNKNOWN + 1)
#define COVERAGE_COUNT (BPFREFS_COVERAGE_UNAVAILABLE + 1)
#define EFFECT_COUNT   (BPFREFS_EFFECT_CLEARED + 1)
#define KEEP_COUNT     (BPFREFS_KEEP_AUTO + 1)

/* ------------------------------------------------------------ cleanup --- */

static inline void autofd_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

/*
 * A descriptor that is closed at the end of its scope, without changing errno. g_autofd requires
 * GLib 2.76, which is newer than the oldest one that is supported.
 */
#define bpfrefs_autofd __attribute__((cleanup(autofd_close))) int

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* A descriptor with a reference count: a context and its snapshots share that of procfs. */
static inline int *shared_fd_new(int fd)
{
	int *shared = g_atomic_rc_box_new(int);

	*shared = fd;
	return shared;
}

static inline void shared_fd_close(gpointer shared)
{
	autofd_close(shared);
}

static inline void shared_fd_unref(int *shared)
{
	g_atomic_rc_box_release_full(shared, shared_fd_close);
}

/* Hash and comparison functions for hash tables whose keys are struct bpfrefs_key * (key.c). */
guint key_hash(gconstpointer key);
gboolean key_equal(gconstpointer a, gconstpointer b);
/* An object's key as a key of an idmap. */
static inline uint64_t key_number(struct bpfrefs_key key)
{
	return (uint64_t)key.kind << 32 | key.id;
}

/* ---------------------------------------------------- bump allocation --- */

/*
 * An arena allocates memory that is freed all at once, with its snapshot. When an allocation fails
 * or exceeds the limit, the arena has failed: every later allocation fails too, and the snapshot
 * must not be used.
 */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *arena);
void arena_limit(struct arena *arena, uint64_t limit); /* 0: no limit */
/* zeroed, aligned to 8 bytes; or NULL */
void *arena_alloc(struct arena *arena, size_t size);
const char *arena_str(struct arena *arena, const char *str); /* a copy; NULL for NULL */
/* Counts memory that others allocate for the snapshot. False if the arena has failed. */
bool arena_charge(struct arena *arena, size_t size);
bool arena_failed(const struct arena *arena);
void arena_fail(struct arena *arena);
size_t arena_used(const struct arena *arena);

/* ------------------------------------------------- info, all the kinds --- */

/* Adds facts about an object. The strings are copied. */
struct bpfrefs_info *info_new(void);
void info_num(struct bpfrefs_info *info, const char *key, uint64_t num);
void info_str(struct bpfrefs_info *info, const char *key, const char *str);
/* Adds a value of an enumeration by its name, or by its number if it has no name. */
void info_enum(struct bpfrefs_info *info, const char *key, enum bpfrefs_enum what, uint32_t value);

/*
 * Where a link is attached, as far as bpf(2) does not show it. What does not apply to its type is 0, ""
 * or -1, and so is all of a link whose target was removed.
 */
struct link_location {
	uint32_t netns;	  /* the number of the network namespace */
	uint32_t ifindex; /* of the device that @ifname is the name of */
	int32_t position; /* among the programs of a tcx or netkit device, -1: unknown */
	int32_t cpu;	  /* perf event: -1: any */
	uint32_t pid;	  /* perf event: the process that it is for, 0: every one */
	bool detached;	  /* a netfilter link that was detached */
	char ifname[17];
	char function[129]; /* a tracing link: the function or tracepoint */
};

/* The memory cgroup that pays for a map. */
struct map_payer {
	char *path; /* from the root of the hierarchy with the memory controller; owned */
	bool dying; /* it was removed, or is being removed */
};

/* ------------------------------------------------------------- source --- */

struct scan;
struct walk_rec;
struct object_cache;

/*
 * A source of facts: source_bpf (lib/kernel/bpf_source.c), source_proc
 * (lib/procfs/procfs_source.c), or the fake source of a test.
 */
struct source {
	enum bpfrefs_source id;
	/* Sets ctx->source_data. Sets @why to an owned sentence if it fails. */
	int (*open)(struct bpfrefs_ctx *ctx, char **why);
	void (*close)(struct bpfrefs_ctx *ctx);
	/*
	 * Like bpfrefs_next_id(), without any lock, and like bpfrefs_info_read(), with ctx->lock
	 * held.
	 */
	int (*next_id)(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
		       uint32_t *id);
	int (*info)(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info);
	/*
	 * Reads where a link is attached, or with @id 0 every link, with ctx->lock held. Adds an
	 * owned struct link_location to @locations for each, by the link's id. NULL: the source
	 * cannot read that.
	 */
	int (*link_locations)(struct bpfrefs_ctx *ctx, uint32_t id, struct idmap *locations);
	/*
	 * Reads who pays for a map, with ctx->lock held; -EOPNOTSUPP if no cgroup pays for memory
	 * on this kernel. NULL: the source cannot read that.
	 */
	int (*map_payer)(struct bpfrefs_ctx *ctx, uint32_t id, struct map_payer *payer);
	/*
	 * Reads the memory that is charged for an object now, with ctx->lock held; BPFREFS_UNKNOWN
	 * if it cannot be read. NULL: it never can.
	 */
	uint64_t (*memlock)(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);
	/* One scan of everything: objects, counters, references, gaps. ctx->lock is held. */
	int (*collect)(struct scan *scan);
	/* The same for one object alone; -EAGAIN if that is impossible. NULL if it always is. */
	int (*collect_one)(struct scan *scan, struct bpfrefs_key key);
	/*
	 * Reads a map's usercnt now, with ctx->lock held; -ENOENT if there is no such map. NULL if
	 * the source cannot read it without a descriptor of the map, which would be a user
	 * reference itself.
	 */
	int (*map_usercnt)(struct bpfrefs_ctx *ctx, uint32_t id, uint64_t *usercnt);
	/* Like bpfrefs_mounted(), with ctx->lock held. NULL if the source cannot count mounts. */
	int (*mounted)(struct bpfrefs_ctx *ctx, uint32_t major, uint32_t minor, uint32_t *mounts,
		       uint32_t *covered);
};

extern const struct source source_bpf, source_proc;

struct bpfrefs_ctx {
	const struct source *source;
	void *source_data;
	char *why;	 /* why the BPF source is not used, or NULL */
	int *proc;	 /* procfs: shared_fd_new(); NULL in tests */
	int proc_fd;	 /* its descriptor, borrowed from @proc */
	uint32_t self;	 /* the pid of this process */
	uint64_t memory; /* the limit for a snapshot that is being taken, in bytes; 0: no limit */
	bool hide_self;	 /* bpfrefs_options.hide_self */
	bpfrefs_log_fn log; /* see ctx_log(); NULL: none */
	void *log_data;
	enum bpfrefs_log_level log_level; /* the least important level that is wanted */
	uint64_t unavailable; /* a bit for each class that the last snapshot could not read */
	bool taken;	      /* there was a snapshot */
	/*
	 * @lock is held during every scan, and while a descriptor of an object is open for a
	 * moment. It is taken by ctx_lock(), with @next held, which makes it fair: a GMutex alone
	 * is usually taken again by the thread that has just released it, while the others wait.
	 */
	GMutex lock, next;
	/*
	 * Descriptor -> owned struct kept (keep.h), which begins with the key of the object: the
	 * keeps of mode fd. Protected by @lock.
	 */
	GHashTable *kept;
	/* the unexplained references of the last scan: new ones make the next one scan again */
	GHashTable *remainders;
	struct cgroup_paths *paths; /* of what scans have found. Protected by @lock. */
	/* memory that cannot change: key -> bytes (memlock.c). Protected by @lock. */
	struct idmap memlock;
	GHashTable *constant; /* see constant.c; NULL before the first stable scan */
	/*
	 * BPF source: scan everything, including what is skipped if nothing found so far indicates
	 * that it has references. Set at first, and when a new unexplained reference was found.
	 */
	bool force_full_scan;
	/*
	 * BPF source: go through all mappings of all processes, since there may be a ring or socket
	 * that only a mapping leads to. Set like @force_full_scan, but not at first.
	 */
	bool force_mappings;
	/* BPF source: the last scan found closed sockets that a queued packet keeps alive */
	bool closed_sockets;
	/*
	 * BPF source: the last full scan found files that hold other files, in places that
	 * descriptors do not lead to.
	 */
	bool non_fd_nested;
	/* BPF source: facts that earlier scans have read (object_cache.h). Protected by @lock. */
	struct object_cache *object_cache;
	/* BPF source: what mountinfo showed in earlier scans (mount_cache.h). Protected by @lock. */
	struct mount_cache *mount_cache;
	/* what the last full scan found: the next one makes room for about as much */
	size_t last_objects, last_refs, last_files;
};

static inline void ctx_lock(struct bpfrefs_ctx *ctx)
{
	g_mutex_lock(&ctx->next);
	g_mutex_lock(&ctx->lock);
	g_mutex_unlock(&ctx->next);
}

/* Whether ctx_log() does something with messages of this level; @ctx may be NULL. */
bool ctx_logs(const struct bpfrefs_ctx *ctx, enum bpfrefs_log_level level);
/* Passes one line to the application's callback, if it wants this level. @ctx may be NULL. */
void ctx_log(const struct bpfrefs_ctx *ctx, enum bpfrefs_log_level level, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
/* Reports which classes a snapshot could not read, and the one before could, or the other way round. */
void ctx_log_classes(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap);

/* For tests: opens a context with any source. */
int ctx_open_with(const struct source *source, void *source_data, struct bpfrefs_ctx **ctx);

/* -------------------------------------------------------------- scan ---- */

/* The place of a pinned inode in its instance of bpffs, independent of mounts. */
struct pin_location {
	uint32_t major, minor;
	uint64_t ino;
	const char *inner; /* "/app/conns"; NULL: unknown */
};

/* An object of a snapshot: the public part, and what only the library sees. */
struct object {
	struct bpfrefs_object pub;
	uint32_t index; /* its index in snapshot.objects */
	bool seen;	/* whether the source has read its counters a second time */
};

static inline struct object *object_inner(const struct bpfrefs_object *object)
{
	return (struct object *)(uintptr_t)object;
}

struct bpfrefs_ref {
	struct bpfrefs_key target, holder;
	struct bpfrefs_object *object; /* the target */
	const struct holder_class *class;
	const struct pin_location *place; /* of pins and keeps that are linked, else NULL */
	uint32_t ref, user, pid;
	/* what it lasts as long as: an index in snap->owners plus 1; 0: it has no owner */
	uint32_t owner;
	uint8_t via;		       /* enum walk_via */
	bool automatic;		       /* an automatic keep */
	bool by_link;		       /* of a program of a sockmap: as long as its link */
	uint8_t keys;		       /* the number of keys of the class */
	uint8_t types[REF_FIELDS_MAX]; /* an enum bpfrefs_value_type for each field */
	union {
		uint64_t num;
		const char *str;
	} values[]; /* one for each key of the class */
};

/* A snapshot. It is frozen (sorted, and summed up) before code outside lib gets it. */
struct bpfrefs_snapshot {
	gatomicrefcount count;
	struct arena *arena;
	GPtrArray *objects; /* struct bpfrefs_object *, in key order, in the arena */
	/* struct bpfrefs_ref *, by target, class, then as found; in the arena */
	GPtrArray *refs;
	/* the references held by an object, by holder, then as in refs; built when needed */
	GPtrArray *by_holder;
	/* the references with a pid, by pid, then as in refs; built when needed */
	GPtrArray *by_pid;
	GPtrArray *processes; /* struct bpfrefs_process *, by pid */
	GPtrArray *bpffs;     /* struct bpfrefs_bpffs * */
	GPtrArray *owners;    /* struct owner *, in the arena (owner.h) */
	GArray *holds;	      /* struct owner_hold: what keeps owners alive */
	/* those of @owners that only processes or maps keep alive: owners_resolve() */
	GPtrArray *kept;
	GPtrArray *keepers;  /* struct bpfrefs_process *: the processes that keep owners alive */
	GArray *classes;     /* struct bpfrefs_class_status, one for each class */
	struct idmap by_key; /* key -> object */
	GHashTable *dirs;    /* (device, inode) -> path inside the instance */
	struct bpfrefs_snapshot_stats stats;
	struct bpfrefs_self self; /* @objects and @others are found when they are needed */
	GMutex judging;		 /* protects what follows, and the states while they are computed */
	gint self_found, judged; /* bpfrefs_object.self, the states have been found */
	/* Finds these: states_find(), set by the context. NULL: there are none. */
	void (*find_states)(struct bpfrefs_snapshot *snap, bool only_self);
	/* struct bpfrefs_descriptor, by process and number; built when needed */
	GArray *descriptors;
	/* protects by_holder, by_pid and descriptors while they are built, and the cgroups */
	GMutex indexing;
	gint indexed;	      /* by_holder and by_pid have been built */
	gint has_descriptors; /* descriptors has been built */
	int *proc; /* the procfs in which the cgroups are read, or NULL: they are unknown */
	struct idmap placed; /* pid -> the path of its cgroup in @paths, if the scan has found it */
	struct cgroup_paths *paths;
	/* for each of @processes: its cgroup, NULL as long as nobody has needed it; or NULL */
	const char **cgroups;
	GStringChunk *cgroup_names;
};

/* A scan: a snapshot that is being taken. */
struct scan {
	struct bpfrefs_ctx *ctx;
	/* all classes, in output order, NULL-terminated */
	const struct holder_class *const *classes;
	struct bpfrefs_snapshot *snap;
	const struct holder_class *class; /* the class to which references and gaps are added */
	void *states[CLASS_COUNT];	  /* of the classes that have one */
	struct idmap owners[8];		  /* by enum owner_kind: id -> struct owner * */
	struct idmap files;		  /* address of a file (or any other identity) -> token */
	/*
	 * In a scan of one object: returns the names of holders, which are not in the snapshot.
	 * Else NULL.
	 */
	const char *(*name_of)(struct scan *scan, struct bpfrefs_key holder);
	const struct bpfrefs_object *last_holder; /* the last one of scan_add_held(), or NULL */
	struct object spare; /* what scan_object_add() returns if there is no memory for one more */
	void *source_data;   /* private data of the source */
};

struct scan *scan_new(struct bpfrefs_ctx *ctx, const struct holder_class *const *classes);
/* Makes room for as much as the last scan found, which scan_record_sizes() has recorded. */
void scan_reserve(struct scan *scan);
void scan_record_sizes(const struct scan *scan);
/* Frees the scan and returns its snapshot, which is not frozen yet. */
struct bpfrefs_snapshot *scan_finish(struct scan *scan);
/*
 * Returns -ENOMEM if there was not enough memory or the limit was exceeded, else 0. What is added
 * after that is lost, so the source can stop.
 */
int scan_failed(const struct scan *scan);
/* Counts @size bytes that others allocate for the snapshot, and returns scan_failed(). */
int scan_charge(struct scan *scan, size_t size);
/* The state of a class, which is zeroed when the scan begins. */
void *scan_state(struct scan *scan, const struct holder_class *class);
/* Sets the class to which references and gaps are added. Returns the one before. */
const struct holder_class *scan_set_class(struct scan *scan, const struct holder_class *class);

/*
 * Sets @token to the token of the open file description with this identity. Returns true the first
 * time that it is seen.
 */
bool scan_file(struct scan *scan, uint64_t identity, uint32_t *token);
/* Prefetches the table entry for scan_file(). */
void scan_prefetch_file(const struct scan *scan, uint64_t identity);

/* Adds an object, or finds it. The caller sets its members; the strings must be from scan_str(). */
struct bpfrefs_object *scan_object_add(struct scan *scan, struct bpfrefs_key key);
/* Returns the object, or NULL if it is not in this snapshot (it was created later, or freed). */
struct bpfrefs_object *scan_object(struct scan *scan, struct bpfrefs_key key);
const char *scan_str(struct scan *scan, const char *str); /* interned; NULL for NULL */

/*
 * Adds a reference to @target in class scan->class. All its fields are absent at first. Returns
 * NULL if the target is not in this snapshot; the reference is then left out.
 */
struct bpfrefs_ref *scan_add(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
			     uint32_t user);
/* Adds a reference that an object holds: sets the holder, and HELD_FIELDS but the slot. */
struct bpfrefs_ref *scan_add_held(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
				  uint32_t user, struct bpfrefs_key holder, unsigned int via);
void ref_set_pid(struct bpfrefs_ref *ref, uint32_t pid);
/* Set a field by its index in the keys of the class. */
/* or BPFREFS_UNKNOWN */
void ref_set_num(struct bpfrefs_ref *ref, unsigned int index, uint64_t num);
void ref_set_str(struct scan *scan, struct bpfrefs_ref *ref, unsigned int index, const char *str);
/* The string is not copied: it must be static, or from scan_str(). */
void ref_set_static(struct bpfrefs_ref *ref, unsigned int index, const char *str);
/* Sets the field to the word of an enum walk_via, and the reference to that. */
void ref_set_via(struct bpfrefs_ref *ref, unsigned int index, unsigned int via);
/* Sets the place of a pin or keep in its instance of bpffs, which is copied. */
void ref_set_location(struct scan *scan, struct bpfrefs_ref *ref, struct pin_location place);

/*
 * Records that scan->class could not read @count items (@what, such as "processes"), with a
 * positive errno or 0. The first error is shown, or the first by which this process lacked memory or
 * descriptors.
 */
void scan_gap(struct scan *scan, uint32_t count, const char *what, int error);
/* Records that scan->class could not be read at all. */
void scan_unavailable(struct scan *scan, const char *why, int error);
/* Sets the name of the source of scan->class: "BPF walk". The string must be static. */
void scan_source(struct scan *scan, const char *source);
/* Adds a process that holds an object; comm NULL: unknown. */
void scan_process(struct scan *scan, uint32_t pid, const char *comm);
/* Adds an instance of bpffs, or updates the one that is there. Mounts are added to it. */
void scan_bpffs(struct scan *scan, uint32_t major, uint32_t minor, uint64_t pins, bool attached);
void scan_bpffs_mount(struct scan *scan, uint32_t major, uint32_t minor,
		      const struct bpfrefs_mount *mount);
/* Sets the mount options of an instance; NULL changes nothing. */
void scan_bpffs_options(struct scan *scan, uint32_t major, uint32_t minor, const char *options);
/* Sets the processes that keep a detached instance alive; the array is copied. */
void scan_bpffs_pids(struct scan *scan, uint32_t major, uint32_t minor, const uint32_t *pids,
		     size_t count);
/* Adds a directory of an instance of bpffs, with its path in that instance ("/", "/app"). */
void scan_bpffs_dir(struct scan *scan, uint32_t major, uint32_t minor, uint64_t ino,
		    const char *inner);

/* The type_number of a BTF of vmlinux or of a module: kernel_btf of struct bpf_btf_info. */
#define BTF_OF_KERNEL 1
/*
 * Sets bpfrefs_object.constant in a snapshot that no other thread has yet. @stable: whether the
 * scan found the same unexplained references as the one before.
 */
void constant_update(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap, bool stable);

/*
 * Returns the mode of a keep from its path in the instance of bpffs: a pin at
 * ".../bpfrefs/keep/map_12" or ".../bpfrefs/auto/map_12" is a keep of the object map/12. OFF for
 * any other path. The caller has checked that both directories belong to root and have mode 0700.
 */
enum bpfrefs_keep_mode keep_of_path(const char *inner, struct bpfrefs_key key);

/* ------------------------------------------- processes (procfs/common.c) --- */

/* Reads /proc/PID/comm; false if there is no such process. */
bool proc_comm(int proc_fd, uint32_t pid, char comm[32]);

/* ---------------------------------------------------------- procfs (procfs) --- */

/* Adds the objects with bpf(2), without counters, before any class is read. */
int proc_objects(struct scan *scan);

/* -------------------------------------------------- graph (graph.c) --- */

/* Sets state, because and self of all objects of a frozen snapshot; or self alone, in less time. */
void states_find(struct bpfrefs_snapshot *snap, bool only_self);

#endif /* BPFREFS_PRIVATE_H */
