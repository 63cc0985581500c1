/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of lib share. fs never includes this; unit tests do, to give a context a fake
 * source. Who may call whom is in docs/design.md.
 */
#ifndef BPFREFS_PRIVATE_H
#define BPFREFS_PRIVATE_H

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "bpfrefs.h"
#include "snapshot/idmap.h"
#include "snapshot/memory.h"

/* ------------------------------------------------------------ cleanup --- */

static inline void autofd_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

/* A descriptor closed at the end of its scope, errno kept (g_autofd is newer than our GLib floor). */
#define bpfrefs_autofd __attribute__((cleanup(autofd_close))) int

static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* Keys of hash tables: struct bpfrefs_key * (key.c). */
guint key_hash(gconstpointer key);
gboolean key_equal(gconstpointer a, gconstpointer b);
/* The same for idmaps. */
static inline uint64_t key_number(struct bpfrefs_key key)
{
	return (uint64_t)key.kind << 32 | key.id;
}

/* ---------------------------------------------------- bump allocation --- */

/*
 * Memory that is freed all at once with its snapshot. Where there is none, or more than the limit was
 * asked for, the arena has failed: from then on nothing is to be had of it, and its snapshot is not
 * to be shown.
 */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *arena);
void arena_limit(struct arena *arena, uint64_t limit);	     /* 0: none */
void *arena_alloc(struct arena *arena, size_t size);	     /* zeroed, aligned to 8; or NULL */
const char *arena_str(struct arena *arena, const char *str); /* a copy; NULL stays NULL */
/* Counts memory that is not the arena's, but grows with it. False where the arena has failed. */
bool arena_charge(struct arena *arena, size_t size);
bool arena_failed(const struct arena *arena);
void arena_fail(struct arena *arena);
size_t arena_used(const struct arena *arena);

/* ------------------------------------------------- info, all the kinds --- */

/* An object's facts under construction. The strings are copied. */
struct bpfrefs_info *info_new(void);
void info_num(struct bpfrefs_info *info, const char *key, uint64_t num);
void info_str(struct bpfrefs_info *info, const char *key, const char *str);
/* A value of an enumeration: its word, or its number where it has none. */
void info_enum(struct bpfrefs_info *info, const char *key, enum bpfrefs_enum what, uint32_t value);

/* ------------------------------------------------------------- source --- */

struct scan;
struct walk_rec;
struct known;

/* Where facts come from: source_bpf (walk.c), source_proc (proc.c), a test's fake. */
struct source {
	enum bpfrefs_source id;
	/* Sets ctx->source_data. Fills @why with an owned sentence where it fails. */
	int (*open)(struct bpfrefs_ctx *ctx, char **why);
	void (*close)(struct bpfrefs_ctx *ctx);
	/* As bpfrefs_next_id() and bpfrefs_info_read(). Called with ctx->lock held. */
	int (*next_id)(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
		       uint32_t *id);
	int (*info)(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info);
	/* One walk over everything: objects, counters, references, gaps. ctx->lock is held. */
	int (*collect)(struct scan *scan);
	/* The same for one object alone; -EAGAIN where that cannot be. NULL: it never can. */
	int (*collect_one)(struct scan *scan, struct bpfrefs_key key);
	/* A map's user references now, with ctx->lock held; -ENOENT if it is gone. NULL where the
	 * source cannot tell without opening the map, which would count itself. */
	int (*map_usercnt)(struct bpfrefs_ctx *ctx, uint32_t id, uint64_t *usercnt);
};

extern const struct source source_bpf, source_proc;

struct bpfrefs_ctx {
	const struct source *source;
	void *source_data;
	char *why;	  /* why BPF is not used, or NULL */
	int proc_fd;	  /* procfs, owned */
	uint32_t self;	  /* our pid */
	uint64_t memory;  /* what a snapshot in the making may take; 0: no limit */
	/*
	 * Held over every walk, and while a transient BPF descriptor is open. Taken by ctx_lock(),
	 * with @next held: a GMutex alone goes to whoever runs, and that is he who just had it.
	 */
	GMutex lock, next;
	/* descriptor -> owned struct kept (keep.h), which begins with its key: keep mode fd; under lock */
	GHashTable *kept;
	/* the last snapshot's remainders, so that a new one is looked at twice */
	GHashTable *remainders;
	GHashTable *constant; /* see constant.c; NULL before the first scan that settled */
	/*
	 * BPF source: look everywhere, also where nothing seen so far says that there is anything. Set
	 * at first, and where a new remainder asks for it.
	 */
	bool thorough;
	bool closed_sockets; /* BPF source: the last scan found some that a packet keeps */
	bool hidden_carriers; /* BPF source: the last look at everything met carriers of files there */
	struct known *known; /* BPF source: what earlier scans learnt (known.h); under lock */
	/* how much the last look at everything found: the next one will find about as much */
	size_t last_objects, last_refs, last_files;
};

static inline void ctx_lock(struct bpfrefs_ctx *ctx)
{
	g_mutex_lock(&ctx->next);
	g_mutex_lock(&ctx->lock);
	g_mutex_unlock(&ctx->next);
}

/* For tests: a context over any source. */
int ctx_open_with(const struct source *source, void *source_data, struct bpfrefs_ctx **ctx);

/* -------------------------------------------------------------- scan ---- */

/* One holder class: everything about it. One file each, listed in lib/meson.build. */
struct holder_class {
	struct bpfrefs_class pub;
	/* BPF source: the programs whose records this class decodes, NULL-terminated, or NULL. A
	 * class is unavailable where one of them did not load, partial where it did not finish. */
	const char *const *walks;
	/* BPF source: a walk of its own, instead of walks. */
	int (*walk)(struct scan *scan);
	/* BPF source: those need nothing that the walk over descriptors tells, which may run beside
	 * them (walk_classes()). */
	bool apart;
	/* BPF source: the types of records that decode may take, WALK_BIT() of each. */
	uint64_t takes;
	/* BPF source: takes one record of these. Returns true if it was this class's. */
	bool (*decode)(struct scan *scan, const struct walk_rec *rec);
	/* BPF source: after all records, what follows from the objects' own facts. */
	void (*derive)(struct scan *scan);
	/* BPF source: derive runs none of our programs, so that one may run beside it. */
	bool derives_alone;
	/* procfs source: everything. -errno if nothing could be learnt; gaps by scan_gap(). */
	int (*proc)(struct scan *scan);
	/* procfs source: why its answer is never complete there, or NULL if it is */
	const char *proc_gap;
};

/*
 * All classes in output order, NULL-terminated (generated from lib/meson.build's list). Only context.c
 * and tests name it: everything else is given the list by its scan, so that a class may call scan.c and
 * the sources without a circle.
 */
extern const struct holder_class *const holder_classes[];

/* Most fields that a class's references may have. */
#define REF_FIELDS_MAX 10

/* Where a pinned inode is in its own bpffs instance, whatever is mounted where. */
struct pin_place {
	uint32_t major, minor;
	uint64_t ino;
	const char *inner; /* "/app/conns"; NULL: not learnt */
};

/* What a snapshot has of an object beside what everyone sees. */
struct object {
	struct bpfrefs_object pub;
	uint32_t index; /* its place in snapshot.objects */
	bool seen;	/* by the source's second look */
};

static inline struct object *object_inner(const struct bpfrefs_object *object)
{
	return (struct object *)(uintptr_t)object;
}

struct bpfrefs_ref {
	struct bpfrefs_key target, holder;
	struct bpfrefs_object *object; /* the target's */
	const struct holder_class *class;
	const struct pin_place *place; /* pins and keeps that are linked, else NULL */
	uint32_t ref, user, pid;
	uint32_t owner;		       /* what it lasts as long as: an index in snap->owners + 1; 0: none */
	uint8_t class_index;	       /* output order */
	uint8_t keys;		       /* how many the class has */
	uint8_t types[REF_FIELDS_MAX]; /* enum bpfrefs_value_type, one a field */
	union {
		uint64_t num;
		const char *str;
	} values[]; /* as many as the class has keys */
};

/* A snapshot's insides; frozen (sorted and indexed) before anyone outside lib sees it. */
struct bpfrefs_snapshot {
	gatomicrefcount count;
	struct arena *arena;
	GPtrArray *objects;    /* struct bpfrefs_object *, key order, in the arena */
	GPtrArray *refs;       /* struct bpfrefs_ref *, by target, class, as found; in the arena */
	GPtrArray *by_holder;  /* those with an object as holder, by holder, then as in refs; made when asked for */
	GPtrArray *by_pid;     /* those with a pid, by pid, then as in refs */
	GPtrArray *processes;  /* struct bpfrefs_process *, by pid */
	GPtrArray *bpffs;      /* struct bpfrefs_bpffs * */
	GPtrArray *owners;     /* struct owner *, in the arena (owner.h) */
	GArray *holds;	       /* struct owner_hold: what keeps owners alive */
	GPtrArray *kept;       /* of owners, those that processes keep: owners_resolve() */
	GPtrArray *keepers;    /* struct bpfrefs_process *: of those that hold owners */
	GArray *classes;       /* struct bpfrefs_class_status, one a holder class */
	struct idmap by_key;   /* key -> object */
	GHashTable *dirs;      /* (device, inode) -> path inside the instance */
	struct bpfrefs_snapshot_stats stats;
	GMutex judging; /* protects the objects' states while they are found, and judged */
	gint judged;	/* the objects have their states */
	GMutex indexing; /* protects by_holder and by_pid while they are made, and indexed */
	gint indexed;	 /* they have been */
};

/* A snapshot in the making. */
struct scan {
	struct bpfrefs_ctx *ctx;
	const struct holder_class *const *classes; /* all, in output order, NULL-terminated */
	struct bpfrefs_snapshot *snap;
	const struct holder_class *class; /* whose turn it is: who adds references and gaps */
	unsigned int class_index;
	struct idmap owners[8]; /* by enum owner_kind: id -> struct owner * */
	struct idmap files; /* file address (or any identity) -> token */
	/* names of holders that are not in the snapshot, where it is of one object; else NULL */
	const char *(*name_of)(struct scan *scan, struct bpfrefs_key holder);
	const struct bpfrefs_object *last_holder; /* scan_add_held()'s last, or NULL */
	struct object spare; /* given where there is no memory for one more */
	void *source_data; /* the source's own */
};

struct scan *scan_new(struct bpfrefs_ctx *ctx, const struct holder_class *const *classes);
/* Makes room at once for as much as the last scan found; scan_found() notes it for the next. */
void scan_expect(struct scan *scan);
void scan_found(const struct scan *scan);
/* Frees it and gives its snapshot, not yet frozen. */
struct bpfrefs_snapshot *scan_finish(struct scan *scan);
/*
 * There was no memory, or not so much: -ENOMEM, else 0. What is added then is lost, and who walks need
 * not go on.
 */
int scan_failed(const struct scan *scan);
/* Counts @size bytes that are not the snapshot's, but grow with it; scan_failed(). */
int scan_charge(struct scan *scan, size_t size);
/* Gives the turn to a class, by its place in the list or by itself. */
void scan_turn(struct scan *scan, unsigned int class_index);
void scan_turn_to(struct scan *scan, const struct holder_class *class);

/* An open file description with this identity: its token, and true the first time it is seen. */
bool scan_file(struct scan *scan, uint64_t identity, uint32_t *token);
/* It will be asked about soon. */
void scan_file_soon(const struct scan *scan, uint64_t identity);

/* Adds an object, or finds it. The caller fills it; strings go through scan_str(). */
struct bpfrefs_object *scan_object_add(struct scan *scan, struct bpfrefs_key key);
/* The object, or NULL where it is not in this snapshot (it is newer, or gone). */
struct bpfrefs_object *scan_object(struct scan *scan, struct bpfrefs_key key);
const char *scan_str(struct scan *scan, const char *str); /* interned; NULL stays NULL */

/*
 * Adds a reference to @target by scan->class. All its fields are absent at first. Returns NULL
 * where the target is not in this snapshot: then there is nothing to say.
 */
struct bpfrefs_ref *scan_add(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
			     uint32_t user);
/* The same, held by another object: sets holder and the fields id, name, via (0, 1, 2). */
struct bpfrefs_ref *scan_add_held(struct scan *scan, struct bpfrefs_key target, uint32_t ref,
				  uint32_t user, struct bpfrefs_key holder, const char *via);
void ref_set_pid(struct bpfrefs_ref *ref, uint32_t pid);
/* Fields by their index in the class's keys. */
void ref_set_num(struct bpfrefs_ref *ref, unsigned int index, uint64_t num); /* or UNKNOWN */
void ref_set_str(struct scan *scan, struct bpfrefs_ref *ref, unsigned int index, const char *str);
/* A static string, not copied. */
void ref_set_static(struct bpfrefs_ref *ref, unsigned int index, const char *str);
/* Where a pin or keep is in its own instance; copied. */
void ref_set_place(struct scan *scan, struct bpfrefs_ref *ref, struct pin_place place);

/* Notes that scan->class missed @count things ("processes"), with a positive errno or 0. */
void scan_gap(struct scan *scan, uint32_t count, const char *what, int error);
/* Notes that scan->class learnt nothing. */
void scan_unavailable(struct scan *scan, const char *why, int error);
/* Names the source of scan->class's facts: "BPF walk". Static string. */
void scan_source(struct scan *scan, const char *source);
/* A process that holds something; comm NULL: unknown. */
void scan_process(struct scan *scan, uint32_t pid, const char *comm);
/* A bpffs instance, or the one already there; mounts are added to it. */
void scan_bpffs(struct scan *scan, uint32_t major, uint32_t minor, uint64_t pins, bool attached);
void scan_bpffs_mount(struct scan *scan, uint32_t major, uint32_t minor,
		      const struct bpfrefs_mount *mount);
/* The processes that keep a detached one; copied. */
void scan_bpffs_pids(struct scan *scan, uint32_t major, uint32_t minor, const uint32_t *pids,
		     size_t count);
/* A directory of a bpffs instance and its path inside it ("/", "/app"). */
void scan_bpffs_dir(struct scan *scan, uint32_t major, uint32_t minor, uint64_t ino,
		    const char *inner);

/* The type_number of a BTF of vmlinux or a module: struct bpf_btf_info's kernel_btf. */
#define BTF_OF_KERNEL 1
/* Sets bpfrefs_object.constant in a snapshot that nobody else has yet; @settled: by settled(). */
void constant_note(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot *snap, bool settled);

/*
 * Is a pin at this place in its instance a keep of some bpfrefs: ".../bpfrefs/keep/map_12" or
 * ".../bpfrefs/auto/map_12" of just this object? OFF if not. The caller has checked that both
 * directories are root's and 0700.
 */
enum bpfrefs_keep_mode keep_of_path(const char *inner, struct bpfrefs_key key);

/* ---------------------------------------------------- processes (proc.c) --- */

/* Reads /proc/PID/comm; false if it is gone. */
bool proc_comm(int proc_fd, uint32_t pid, char comm[32]);

/* ----------------------------------------------------- mounts (mounts.c) --- */

/* One mount of a bpffs in one mount namespace. */
struct bpffs_mount {
	uint32_t major, minor;
	char *root;   /* which directory of the instance: "/" */
	char *target; /* where, as seen in that namespace */
	bool hidden;  /* something is mounted over it or over a directory on the way */
	bool remote;  /* a FUSE or network filesystem is on the way: looking it up may hang */
	char **over;  /* where other mounts lie on it, NULL at the end; NULL: nowhere */
};

/* The bpffs mounts that a process sees (pid 0: ourselves), by libmount; owned array of owned. */
int mounts_read(int proc_fd, uint32_t pid, GPtrArray **mounts);
/*
 * The path of @inner of an instance through these mounts, owned, or NULL where none reaches it.
 */
char *mounts_path(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner);
/* Do some of these mounts have @inner, which is then under another mount if mounts_path() is NULL? */
bool mounts_have(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner);

/* ------------------------------------------------- classes' procfs sides --- */

/* Objects by bpf(2), without counters, before the classes' turn. */
int proc_objects(struct scan *scan);
int proc_scan_fd(struct scan *scan);
int proc_scan_iter(struct scan *scan);
int proc_scan_pin(struct scan *scan);
int proc_scan_prog(struct scan *scan);
int proc_scan_map(struct scan *scan);
int proc_scan_link(struct scan *scan);

/* -------------------------------------------------- graph (graph.c) --- */

/* Sets state and because of every object, after freezing: what snapshot_judge() does once. */
void graph_states(struct bpfrefs_snapshot *snap);

#endif /* BPFREFS_PRIVATE_H */
