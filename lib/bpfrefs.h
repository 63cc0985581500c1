/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file bpfrefs.h
 * @brief libbpfrefs: what keeps every BPF object of the running kernel alive.
 *
 * The kernel counts references to BPF objects and says neither how many there are nor whose. This
 * library reads the counters, finds the holders, and compares. One struct bpfrefs_snapshot is one
 * immutable answer about the whole system; everything else here makes one, asks one, or acts.
 *
 * Conventions, for every function below unless it says otherwise:
 * - A function that can fail returns 0 (or a count >= 0), or -errno. errno itself is not promised.
 * - "borrowed" pointers live as long as the object they were got from; "owned" ones are the caller's.
 * - Strings are UTF-8 only as far as the kernel's are: escape them before showing (SPEC of
 *   bpfrefs(5), "VALUE").
 * - A struct bpfrefs_ctx may be used by several threads: the calls that touch the kernel take its
 *   lock and run one at a time. Snapshots are immutable and may be shared freely.
 * - Least kernel: 6.1 with BTF for the BPF source, 5.10 for the procfs source.
 */
#ifndef BPFREFS_H
#define BPFREFS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library is built with -fvisibility=hidden: what this header declares is what it shows. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/** The library's version, "MAJOR.MINOR.PATCH". Borrowed, static. */
const char *bpfrefs_version(void);

/* ---------------------------------------------------------------- keys --- */

/** The kinds of BPF object that have an id. Values are stable. */
enum bpfrefs_kind {
	BPFREFS_MAP,
	BPFREFS_PROG,
	BPFREFS_LINK,
	BPFREFS_BTF,
	BPFREFS_KIND_COUNT, /**< number of kinds; as a key's kind it means "no object" */
};

/** Names one object: its kind and the id that the kernel gave it (never 0). */
struct bpfrefs_key {
	enum bpfrefs_kind kind;
	uint32_t id;
};

/** "map", "prog", "link" or "btf"; "?" for anything else. Borrowed, static. */
const char *bpfrefs_kind_name(enum bpfrefs_kind kind);

/** The kind of that name in @p kind. -EINVAL if there is none. */
int bpfrefs_kind_parse(const char *name, enum bpfrefs_kind *kind);

/**
 * Reads a canonical object id: decimal, no sign, no leading zero, 1 to UINT32_MAX.
 * -EINVAL for anything else; @p id is then unchanged.
 */
int bpfrefs_id_parse(const char *text, uint32_t *id);

/** Reads "KIND/ID". -EINVAL if it is not exactly that; @p key is then unchanged. */
int bpfrefs_key_parse(const char *text, struct bpfrefs_key *key);

/** Bytes that the longest "KIND/ID" takes, with its NUL. */
#define BPFREFS_KEY_MAX 16

/** Writes "KIND/ID" into @p buf and returns @p buf. */
char *bpfrefs_key_format(struct bpfrefs_key key, char buf[BPFREFS_KEY_MAX]);

/** Orders keys by kind, then id: negative, 0 or positive, as strcmp(3). */
int bpfrefs_key_compare(struct bpfrefs_key a, struct bpfrefs_key b);

/* ------------------------------------------------------------- context --- */

/** Where facts come from. */
enum bpfrefs_source {
	BPFREFS_SOURCE_AUTO, /**< BPF where it loads, else procfs */
	BPFREFS_SOURCE_BPF,  /**< BPF iterators and walkers: complete, with counters */
	BPFREFS_SOURCE_PROC, /**< procfs and bpf(2): no counters, fewer holders */
	BPFREFS_SOURCE_COUNT,
};

/** "auto", "bpf" or "proc". Borrowed, static. */
const char *bpfrefs_source_name(enum bpfrefs_source source);

/** How to open a context. Zero everything, set @ref size, then what matters. */
struct bpfrefs_options {
	size_t size;		    /**< sizeof(struct bpfrefs_options) */
	enum bpfrefs_source source; /**< which source to use */
	int proc_fd;		    /**< a directory descriptor of procfs, borrowed for the context's
				     *   life; 0 or less: open /proc */
	uint64_t memory;	    /**< bytes that a snapshot in the making may take, with what
				     *   grows with it; one that would take more fails with
				     *   -ENOMEM, and others are as they were. 0: no limit */
	char **why;		    /**< if not NULL: where opening fails, gets an owned sentence on
				     *   why the source could not be opened, to be freed with free(3),
				     *   or NULL where the error says it all */
};

/** A connection to the running kernel's BPF objects: loaded walkers, kept descriptors, caches. */
struct bpfrefs_ctx;

/**
 * Opens a context. With BPFREFS_SOURCE_AUTO a failure to load the walkers is not an error: see
 * bpfrefs_ctx_source(). The context's process must be in the initial pid namespace, since the
 * kernel's task iterator shows only the opener's pid namespace (bpf_iter task, task_seq_get_next()).
 *
 * @param options how, or NULL for the defaults; only read during the call
 * @param ctx gets the owned context; close it with bpfrefs_ctx_close()
 * @return -EPERM without CAP_SYS_ADMIN or outside the initial pid namespace, -EINVAL for options
 *	of an unknown size or source, with BPFREFS_SOURCE_BPF what loading returned
 */
int bpfrefs_ctx_open(const struct bpfrefs_options *options, struct bpfrefs_ctx **ctx);

/**
 * For an application's callback of libbpf_set_print(3), which is to call this first. It notes what
 * libbpf says in a thread while that opens a context or takes a snapshot: which program a kernel
 * refuses, and why. A refused program is then left out, and its class is unavailable. That callback is
 * the process's own, so the library does not set it. Without it libbpf prints to stderr, and one refused
 * program means that none is used: bpfrefs_ctx_source() says so.
 *
 * @param level enum libbpf_print_level
 * @return true where the line was the library's, which is then not to be printed
 */
bool bpfrefs_libbpf_print(int level, const char *format, va_list args);

/** Closes a context and every descriptor that it keeps. NULL is allowed. Snapshots live on. */
void bpfrefs_ctx_close(struct bpfrefs_ctx *ctx);

/**
 * The source in use: BPF or PROC, never AUTO. @p why, if not NULL, gets a borrowed sentence on
 * why BPF is not used, or NULL where it is.
 */
enum bpfrefs_source bpfrefs_ctx_source(const struct bpfrefs_ctx *ctx, const char **why);

/**
 * The first existing id of @p kind above @p start (BPF_*_GET_NEXT_ID).
 * @return -ENOENT when there is none, -EPERM without CAP_SYS_ADMIN
 */
int bpfrefs_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start,
		    uint32_t *id);

/** 0 if the object exists now, -ENOENT if not. Takes no reference: asks for the id after id - 1. */
int bpfrefs_exists(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/* ---------------------------------------------------------------- info --- */

/** One fact: a name and either a number or a string. */
struct bpfrefs_field {
	const char *key; /**< the field's name in struct bpf_*_info, or "kind", "attached" */
	const char *str; /**< the value where it is text, else NULL */
	uint64_t num;	 /**< the value where it is a number */
};

/** Facts about one object, as struct bpf_{map,prog,link,btf}_info has them. */
struct bpfrefs_info;

/**
 * Reads an object's facts from the kernel now. Of a map no descriptor is opened with the BPF
 * source (a descriptor of a program array with usercnt 0 would clear it again on close,
 * map_release_uref()); other kinds are held by a descriptor during the call.
 *
 * @param info gets the owned facts; free them with bpfrefs_info_free()
 * @return -ENOENT if there is no such object, else what bpf(2) said
 */
int bpfrefs_info_read(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info);

/** Frees facts. NULL is allowed. */
void bpfrefs_info_free(struct bpfrefs_info *info);

/** The @p index'th fact in the UAPI's order, borrowed, or NULL past the last. */
const struct bpfrefs_field *bpfrefs_info_field(const struct bpfrefs_info *info, size_t index);

/** Every enumerated UAPI value that facts can hold. */
enum bpfrefs_enum {
	BPFREFS_ENUM_MAP_TYPE,
	BPFREFS_ENUM_PROG_TYPE,
	BPFREFS_ENUM_LINK_TYPE,
	BPFREFS_ENUM_ATTACH_TYPE,
	BPFREFS_ENUM_COUNT,
};

/**
 * The UAPI's word for a value ("prog_array", "tcx_ingress"), borrowed and static, or NULL for a
 * value newer than this library: show the number then.
 */
const char *bpfrefs_enum_name(enum bpfrefs_enum what, uint32_t value);

/* ------------------------------------------------------------ snapshot --- */

/** A value that could not be learnt: shown as "?". Used for counters and numeric fields. */
#define BPFREFS_UNKNOWN UINT64_MAX

/** An object's standing in the graph of references; bpfrefs(5) defines each. */
enum bpfrefs_state {
	BPFREFS_HELD,
	BPFREFS_AT_RISK,
	BPFREFS_CLEARED,
	BPFREFS_UNROOTED,
	BPFREFS_STATE_UNKNOWN,
	BPFREFS_STATE_COUNT,
};

/** "held", "at-risk", "cleared", "unrooted" or "unknown". Borrowed, static. */
const char *bpfrefs_state_name(enum bpfrefs_state state);

/** One object of a snapshot. Only ever seen through a pointer; fields are added at the end. */
struct bpfrefs_object {
	struct bpfrefs_key key;
	const char *name;	  /**< the kernel's name, "" if it has none; NULL unknown */
	const char *type;	  /**< in words, a number for types newer than this; NULL unknown */
	uint64_t refcnt;	  /**< the kernel's reference count, or BPFREFS_UNKNOWN */
	uint64_t usercnt;	  /**< maps: bpf_map.usercnt, or BPFREFS_UNKNOWN; else 0 */
	uint64_t explained;	  /**< sum of ref over the holders found */
	uint64_t user_explained;  /**< sum of user over the holders found */
	uint64_t pins;		  /**< linked pins found, not counting keeps; hard links apart */
	uint64_t memlock;	  /**< bytes charged (fdinfo's memlock), 0 for links and BTFs, for
				   *   which nobody is; or BPFREFS_UNKNOWN */
	enum bpfrefs_state state; /**< see bpfrefs(5) */
	const char *because;	  /**< one sentence for @ref state */
	bool changing;		  /**< the counters differed before and after, after all retries */
	bool user_state;	  /**< maps: has a user state that usercnt 0 clears */
	uint32_t max_entries;	  /**< maps only, else 0 */
	uint32_t type_number;	  /**< the UAPI's number behind @ref type */
	/**
	 * The kernel's BTFs: how much of what is not explained has been so in every scan of this
	 * context; else 0.
	 */
	uint64_t constant;
};

/** What a field of a reference holds. */
enum bpfrefs_value_type {
	BPFREFS_VALUE_ABSENT,  /**< this reference has no such field */
	BPFREFS_VALUE_UNKNOWN, /**< it has, and it could not be learnt: "?" */
	BPFREFS_VALUE_NUM,
	BPFREFS_VALUE_STR,
};

/** One field of a reference. Strings are borrowed from the snapshot. */
struct bpfrefs_value {
	enum bpfrefs_value_type type;
	uint64_t num;
	const char *str;
};

/** A class of holders: everything that holds references in one way. Static, immutable. */
struct bpfrefs_class {
	const char *name;	 /**< as in bpfrefs(5): "fd", "pin", "map" ... */
	const char *const *keys; /**< names of the fields of its references, NULL at the end */
	unsigned int kinds; /**< what it can hold: 1 << enum bpfrefs_kind, together; 0: any */
};

/** One reference: an object is held. Opaque, borrowed from its snapshot. */
struct bpfrefs_ref;

/** The object that is held. */
struct bpfrefs_key bpfrefs_ref_target(const struct bpfrefs_ref *ref);
/** The object that holds it, or kind BPFREFS_KIND_COUNT where the holder is no object. */
struct bpfrefs_key bpfrefs_ref_holder(const struct bpfrefs_ref *ref);
/** The class that found it. Borrowed, static. */
const struct bpfrefs_class *bpfrefs_ref_class(const struct bpfrefs_ref *ref);
/** The place of that class in output order, as bpfrefs_snapshot_class() takes it. */
size_t bpfrefs_ref_class_index(const struct bpfrefs_ref *ref);
/** How much of the target's refcnt it explains; 0 for a second name of the same reference. */
uint32_t bpfrefs_ref_count(const struct bpfrefs_ref *ref);
/** How much of a map's usercnt it explains. */
uint32_t bpfrefs_ref_user(const struct bpfrefs_ref *ref);
/** The process that holds it, or 0 where no process does. */
uint32_t bpfrefs_ref_pid(const struct bpfrefs_ref *ref);
/** The field at @p index of its class's keys. Absent past the last. */
struct bpfrefs_value bpfrefs_ref_value(const struct bpfrefs_ref *ref, size_t index);
/** The field of that name. Absent where its class has none such. */
struct bpfrefs_value bpfrefs_ref_get(const struct bpfrefs_ref *ref, const char *key);

/** How well a class could be read. */
enum bpfrefs_coverage {
	BPFREFS_COMPLETE,
	BPFREFS_PARTIAL,     /**< @ref bpfrefs_class_status.count things could not be read */
	BPFREFS_UNAVAILABLE, /**< nothing could be learnt */
	BPFREFS_COVERAGE_COUNT,
};

/** "complete", "partial" or "unavailable". Borrowed, static. */
const char *bpfrefs_coverage_name(enum bpfrefs_coverage coverage);

/** What became of one class in one snapshot. */
struct bpfrefs_class_status {
	const struct bpfrefs_class *class_;
	const char *source; /**< "BPF walk", "procfs", "bpf(2)" */
	enum bpfrefs_coverage coverage;
	uint32_t count;	  /**< partial: how many could not be read */
	const char *what; /**< partial: of what ("processes"); unavailable: why, or NULL */
	int error;	  /**< the first error, as a positive errno; 0: see @ref what */
	uint32_t refs;	  /**< references found */
};

/** Where an instance of bpffs is mounted. */
struct bpfrefs_mount {
	uint32_t mnt_ns;  /**< inode number of the mount namespace */
	uint32_t pid;	  /**< a process in that namespace, 0 unknown */
	const char *path; /**< mount point as that process sees it; NULL unknown */
	bool here;	  /**< it is our own mount namespace */
	bool covered;	  /**< another mount lies over it: @ref path leads elsewhere */
};

/** One instance (super block) of bpffs. */
struct bpfrefs_bpffs {
	uint32_t major, minor;		    /**< st_dev */
	uint64_t pins;			    /**< pinned inodes, unlinked ones included */
	bool attached;			    /**< in a mount namespace; else detached */
	const struct bpfrefs_mount *mounts; /**< @ref mount_count of them */
	size_t mount_count;
	const uint32_t *pids; /**< detached: the processes that keep it, @ref pid_count of them */
	size_t pid_count;
};

/** A process that holds BPF objects. */
struct bpfrefs_process {
	uint32_t pid;
	const char *comm; /**< of the thread group leader; NULL unknown */
};

/** One immutable picture of all BPF objects and all references to them. */
struct bpfrefs_snapshot;

/** Counters of one snapshot's making. */
struct bpfrefs_snapshot_stats {
	uint64_t started_ns; /**< CLOCK_MONOTONIC when the first fact was read */
	uint64_t took_ns;
	uint64_t wall_ns; /**< CLOCK_REALTIME at the start, for st_mtime */
	uint32_t attempts; /**< walks made, 1 if nothing moved */
	uint64_t memory;   /**< bytes that it took in the making, as bpfrefs_options.memory counts */
};

/**
 * Reads everything. Counters are read before and after the walk and the walk is made again, a few
 * times at most, while they differ. Takes no reference that lasts.
 *
 * @param snapshot gets one owned reference; drop it with bpfrefs_snapshot_unref()
 * @return -EPERM; -ENOMEM where there is no memory, or it takes more than bpfrefs_options.memory;
 *	what a single class could not learn is no error but a gap in its status
 */
int bpfrefs_snapshot_take(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot **snapshot);

/**
 * The references to one object alone: those that bpfrefs_snapshot_take() would find, much sooner.
 * Other objects and their references are not in the snapshot, nor does it say what state the object
 * is in.
 * @return 0, -ENOENT where there is no such object, -EAGAIN where only a snapshot of everything can
 *	tell: of most kinds and some types of objects, and where not every reference is explained
 */
int bpfrefs_snapshot_take_one(struct bpfrefs_ctx *ctx, struct bpfrefs_key key,
			      struct bpfrefs_snapshot **snapshot);

/** Takes one more reference (atomically) and returns its argument. */
struct bpfrefs_snapshot *bpfrefs_snapshot_ref(struct bpfrefs_snapshot *snapshot);
/** Drops one reference; the last one frees the snapshot. NULL is allowed. */
void bpfrefs_snapshot_unref(struct bpfrefs_snapshot *snapshot);

/** How the snapshot was made. */
struct bpfrefs_snapshot_stats bpfrefs_snapshot_stats(const struct bpfrefs_snapshot *snapshot);
/** Objects in it. */
size_t bpfrefs_snapshot_object_count(const struct bpfrefs_snapshot *snapshot);
/** The @p index'th object in key order, borrowed; NULL past the last. */
const struct bpfrefs_object *bpfrefs_snapshot_object(const struct bpfrefs_snapshot *snapshot,
						     size_t index);
/** The object of that key, borrowed; NULL if it is not there. */
const struct bpfrefs_object *bpfrefs_snapshot_find(const struct bpfrefs_snapshot *snapshot,
						   struct bpfrefs_key key);
/** Is it there? Asks less than bpfrefs_snapshot_find(), whose first call finds all states. */
bool bpfrefs_snapshot_has(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key);
/** References in it. */
size_t bpfrefs_snapshot_ref_count(const struct bpfrefs_snapshot *snapshot);
/** The @p index'th reference, by target, then class, then as found; NULL past the last. */
const struct bpfrefs_ref *bpfrefs_snapshot_ref_at(const struct bpfrefs_snapshot *snapshot,
						  size_t index);
/** Of the references to @p key: their number, and in @p first the index of the first. */
size_t bpfrefs_snapshot_holders(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
				size_t *first);
/**
 * Calls @p fn for each reference that @p holder holds (an object). Stops when it returns non-zero
 * and returns that. -ENOMEM where there is no memory to find them.
 */
int bpfrefs_snapshot_holding(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key holder,
			     int (*fn)(const struct bpfrefs_ref *ref, void *data), void *data);
/** The same for each reference that a process holds. */
int bpfrefs_snapshot_pid_holding(const struct bpfrefs_snapshot *snapshot, uint32_t pid,
				 int (*fn)(const struct bpfrefs_ref *ref, void *data), void *data);
/** The @p index'th process in pid order, borrowed; NULL past the last. */
const struct bpfrefs_process *bpfrefs_snapshot_process(const struct bpfrefs_snapshot *snapshot,
						       size_t index);
/** The process of that pid if it holds anything, borrowed; else NULL. */
const struct bpfrefs_process *bpfrefs_snapshot_find_pid(const struct bpfrefs_snapshot *snapshot,
							uint32_t pid);
/** The @p index'th class's status, in output order, borrowed; NULL past the last. */
const struct bpfrefs_class_status *bpfrefs_snapshot_class(const struct bpfrefs_snapshot *snapshot,
							  size_t index);
/** The @p index'th bpffs instance, borrowed; NULL past the last. */
const struct bpfrefs_bpffs *bpfrefs_snapshot_bpffs(const struct bpfrefs_snapshot *snapshot,
						   size_t index);
/**
 * Where a pin stands below a directory of its bpffs: "app/conns". For a reference of class pin or
 * keep that is linked below the directory with inode number @p dir_ino on device @p major:@p minor.
 * Borrowed; NULL for any other reference.
 */
const char *bpfrefs_snapshot_pin_path(const struct bpfrefs_snapshot *snapshot,
				      const struct bpfrefs_ref *ref, uint32_t major, uint32_t minor,
				      uint64_t dir_ino);

/* ------------------------------------------------------------- answers --- */

/** A root that leads to an object. Borrowed, valid during the call. */
struct bpfrefs_root {
	/** The root's own reference; where a process is the root because it keeps what the reference
	 *  lasts as long as, that reference: an attachment or a pin. */
	const struct bpfrefs_ref *ref;
	/** What such a process keeps: "net_ns", "mnt_ns", "bpffs", "socket", "tun"; else NULL. */
	const char *owner;
	uint32_t pid;	  /**< and that process; 0 without @ref owner: see bpfrefs_ref_pid() */
	const char *comm; /**< its name, or NULL */
	/** The objects that it leads through, from what the reference holds to the one asked for. */
	const struct bpfrefs_key *chain;
	size_t count; /**< of @ref chain, 1 or more */
};

/** Called by bpfrefs_snapshot_roots() with one root. */
typedef int (*bpfrefs_root_fn)(const struct bpfrefs_root *root, void *data);

/**
 * The roots that lead to an object, nearest first, each with one shortest chain. Processes, pins,
 * attachments and the kernel are roots; automatic keeps are not, nor is a pin or attachment that goes
 * with processes: these are. Stops when @p fn returns non-zero and returns that.
 * @return -ENOENT if there is no such object, -ENOMEM
 */
int bpfrefs_snapshot_roots(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
			   bpfrefs_root_fn fn, void *data);

/** What becomes of an object when a process exits. */
enum bpfrefs_effect {
	BPFREFS_FREED,		 /**< nothing holds it any more */
	BPFREFS_CLEARED_BY_EXIT, /**< it stays, and its user state goes */
	BPFREFS_EFFECT_COUNT,
};

/** "freed" or "cleared". Borrowed, static. */
const char *bpfrefs_effect_name(enum bpfrefs_effect effect);

/** Called by bpfrefs_retains() with one object that would not stay as it is. */
typedef int (*bpfrefs_retain_fn)(const struct bpfrefs_object *object, enum bpfrefs_effect effect,
				 void *data);

/**
 * What would be freed or cleared if a process exited now, by the snapshot, in key order. What is
 * counted and not explained stays. Objects that only automatic keeps hold then count as freed.
 * Stops when @p fn returns non-zero and returns that; else 0, also for a process that holds nothing,
 * or -ENOMEM.
 */
int bpfrefs_retains(const struct bpfrefs_snapshot *snapshot, uint32_t pid, bpfrefs_retain_fn fn,
		    void *data);

/**
 * The bytes of memory charged for a map or program, as fdinfo of one of its descriptors says now, or
 * BPFREFS_UNKNOWN where no process has one. Opens nothing but a file of procfs.
 */
uint64_t bpfrefs_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			 struct bpfrefs_key key);

/* ------------------------------------------------------------- effects --- */

/**
 * Opens a descriptor of an object (BPF_*_GET_FD_BY_ID): a reference, and for a map a user
 * reference, until it is closed.
 * @return the owned descriptor, close-on-exec; -ENOENT if there is no such object
 */
int bpfrefs_object_open(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/**
 * Pins an object as @p name (one component) in the directory @p dir_fd of a bpffs, with the
 * credentials of the calling thread (BPF_OBJ_PIN).
 * @return -EEXIST, -EACCES, -EPERM as BPF_OBJ_PIN; -EOPNOTSUPP for a btf
 */
int bpfrefs_pin(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, int dir_fd, const char *name);

/**
 * Which object is pinned as @p name in @p dir_fd (BPF_OBJ_GET, held during the call).
 * @return -ENOENT if there is nothing, -EINVAL if it is not a pin
 */
int bpfrefs_pin_identify(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			 struct bpfrefs_key *key);

/**
 * What removing one linked pin of @p key would do, by the snapshot: 0 nothing, -EBUSY if the object
 * would be freed or its user state cleared, as far as is known: an unexplained count is a holder, less
 * the pin itself where the snapshot has not found it; a counter that could not be read (procfs) is
 * none. A pin that is a keep counts as one. -ENOMEM: it could not be found out.
 *
 * @param pin_ino inode number of the pin on device @p major : @p minor
 */
int bpfrefs_unpin_check(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
			uint32_t major, uint32_t minor, uint64_t pin_ino);

/** How an object is kept by bpfrefs. */
enum bpfrefs_keep_mode {
	BPFREFS_KEEP_OFF,
	BPFREFS_KEEP_FD,
	BPFREFS_KEEP_PIN,
	BPFREFS_KEEP_AUTO,
	BPFREFS_KEEP_COUNT,
};

/** "off", "fd", "pin" or "auto". Borrowed, static. */
const char *bpfrefs_keep_name(enum bpfrefs_keep_mode mode);
/** The mode of that name. -EINVAL if there is none. */
int bpfrefs_keep_parse(const char *name, enum bpfrefs_keep_mode *mode);

/** Keeps of one bpffs directory: descriptors of its own, pins in bpfrefs/keep and bpfrefs/auto. */
struct bpfrefs_keeper;

/**
 * Opens the keeper of a bpffs directory. Keeps left there by an earlier one are found again.
 *
 * @param source_fd the directory, borrowed until bpfrefs_keeper_close()
 * @param keeper gets the owned keeper; it borrows @p ctx
 */
int bpfrefs_keeper_open(struct bpfrefs_ctx *ctx, int source_fd, struct bpfrefs_keeper **keeper);
/**
 * Closes it: its descriptors are closed, pins stay. Other keepers of the context keep theirs. NULL is
 * allowed. Before bpfrefs_ctx_close().
 */
void bpfrefs_keeper_close(struct bpfrefs_keeper *keeper);

/**
 * Sets the mode in which an object is kept. The new reference is taken before the old one goes.
 * Setting the present mode again changes nothing.
 * @return -ENOENT no such object; -EOPNOTSUPP auto for what has no user state, pin for a btf;
 *	-EPERM if bpfrefs, keep or auto in the directory is not a directory of root's, mode 0700
 */
int bpfrefs_keep_set(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode mode);
/** The mode in which an object is kept now. Reads the directory; needs no snapshot. */
int bpfrefs_keep_get(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode *mode);
/**
 * Keeps, in mode auto, each program array that a program uses and that is not kept yet.
 * @param soon: for loaders that may be gone in a moment. Holds the arrays at once, by descriptors,
 *	and leaves the rest, which may have to wait for a snapshot being taken, to a thread of the
 *	keeper. What fails there bpfrefs_keep_release() tells.
 * @return how many were newly kept (or are to be, with @p soon), 0 where the program is gone
 */
int bpfrefs_keep_program(struct bpfrefs_keeper *keeper, uint32_t prog_id, bool soon);
/** bpfrefs_keep_program() for every program there is. Returns how many were newly kept. */
int bpfrefs_keep_all(struct bpfrefs_keeper *keeper, bool soon);
/** How many objects are kept in a mode, by this keeper's directory and descriptors. */
int bpfrefs_keep_count(struct bpfrefs_keeper *keeper, enum bpfrefs_keep_mode mode);
/**
 * Lets go of every automatic keep that no root leads to, all together, if two snapshots agree
 * (bpfrefs(5), "auto"). Lets go of none where a class has a gap.
 * @return how many were let go, or an error, also one of bpfrefs_keep_program() with soon
 */
int bpfrefs_keep_release(struct bpfrefs_keeper *keeper);

/**
 * The automatic keeps of a snapshot that no root leads to.
 *
 * @param keys gets an owned array, free(3) it
 * @param count gets its length
 * @return -EAGAIN where a class has a gap: nothing can be said then; -ENOMEM
 */
int bpfrefs_graph_garbage(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key **keys,
			  size_t *count);

/** A subscription to program loads and unloads (perf_event_open(2), attr.bpf_event). */
struct bpfrefs_watch;

/** What bpfrefs_watch_wait() tells. */
enum bpfrefs_event {
	BPFREFS_EVENT_LOAD,   /**< a program was loaded; its id follows */
	BPFREFS_EVENT_UNLOAD, /**< a program is gone */
	BPFREFS_EVENT_LOST,   /**< events were lost: look at everything again */
};

/**
 * Subscribes. Least kernel 5.0 (PERF_RECORD_BPF_EVENT). Needs CAP_PERFMON or CAP_SYS_ADMIN.
 * @param cpu what is loaded on this CPU alone, which need not be online yet; negative: on every CPU
 * @param watch gets the owned subscription
 */
int bpfrefs_watch_open(int cpu, struct bpfrefs_watch **watch);
/** Ends it. NULL is allowed. */
void bpfrefs_watch_close(struct bpfrefs_watch *watch);
/**
 * Waits for events and calls @p fn for each, in one thread at a time.
 *
 * @param stop_fd returns -ECANCELED when this becomes readable; negative: none
 * @param timeout_ms as poll(2)
 * @return how many events were told, 0 at the timeout
 */
int bpfrefs_watch_wait(struct bpfrefs_watch *watch, int stop_fd, int timeout_ms,
		       void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data),
		       void *data);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* BPFREFS_H */
