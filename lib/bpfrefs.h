/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file bpfrefs.h
 * @brief libbpfrefs: finds everything that keeps the BPF objects of the running kernel alive.
 *
 * The kernel counts the references to a BPF object, but it does not report who holds them. This
 * library reads the counters, finds the holders, and compares the two. A struct bpfrefs_snapshot
 * is one immutable picture of the whole system. The other functions take a snapshot, read one, or
 * change what holds an object.
 *
 * The following holds for every function, unless its description says otherwise:
 * - Errors: a function that can fail returns 0 (or a count of 0 or more) on success, and -errno on
 *   failure. The value of errno itself is undefined afterwards.
 * - Ownership: a "borrowed" pointer is valid as long as the object that it was read from. An
 *   "owned" pointer or descriptor belongs to the caller, who frees or closes it.
 * - Strings: names of objects, processes, devices and functions are the bytes that the kernel has,
 *   which need not be valid UTF-8, and so are paths, each as seen from the place that the description
 *   of its field names, such as a mount namespace. They end with a NUL, and contain none. The texts
 *   escape them: a backslash, and bytes outside 0x21 to 0x7e, in octal as in /proc/self/mountinfo
 *   ("VALUE" in bpfrefs(5)); JSON and DOT are UTF-8. The words of the library itself, which are the
 *   names of kinds, types, states, classes, fields, hooks and values of enumerations, are ASCII, and do
 *   not change. Its sentences (bpfrefs_object.because, @p why, bpfrefs_class_status.what) are English,
 *   may quote such names, change between versions, and are not to be parsed.
 * - Numbers: memory is in bytes, times are in the unit that the name says (_ns, _ms), devices are major
 *   and minor numbers, namespaces inode numbers as in /proc/PID/ns. BPFREFS_UNKNOWN is unknown.
 * - Threads: a struct bpfrefs_ctx and a struct bpfrefs_keeper may be used by several threads. The
 *   calls that read the kernel's objects take the lock of the context, so that they run one at a
 *   time. Snapshots are immutable, and any number of threads may read one.
 * - Structures: each begins with its size, and later versions of the library only add members at
 *   the end. In one that the library returns, the size is that of the library that is running: read
 *   it through the pointer, do not copy it, and ask BPFREFS_HAS() for a member that was added after
 *   the oldest version that the program shall run with. In one that the caller fills, the size is
 *   the caller's: see struct bpfrefs_options. The exceptions are struct bpfrefs_key and struct
 *   bpfrefs_value, which are passed by value and therefore never change. Enumerations may get more
 *   values: the functions that name them return "?" for one that they do not know.
 * - Callbacks: one may call any function of the library, unless its description says otherwise. It
 *   must not free what that function got, or leave by longjmp(3) or an exception.
 * - Process: the library changes nothing that belongs to the whole process, such as signal handlers
 *   and masks, umask, limits, the directory, the locale, settings of malloc(3), and callbacks of
 *   libbpf. It prints nothing: bpfrefs_options.log gets what it has to say. Its descriptors are
 *   close-on-exec. A thread that it starts blocks all signals, and ends before the call returns that
 *   needed it. It ends the process only as GLib does, if malloc(3) fails for a few bytes: what grows
 *   with the system is bounded, and fails with -ENOMEM.
 * - fork(2): the child must not use a context or a keeper of its parent, since both processes' BPF
 *   programs would write to the same memory. It may read snapshots that no other thread used at the
 *   time of fork(2), and open its own context. The child has copies of the descriptors of the
 *   context, so that the objects of the library also have the child as a holder until it exits,
 *   calls execve(2) (they are close-on-exec), or closes the context with bpfrefs_ctx_close(), which
 *   it may call if no other thread used the context at the time of fork(2).
 * - Privilege: a function that takes a context requires CAP_SYS_ADMIN in the initial user namespace,
 *   as bpf(2) does for reading objects by their ids. Reading a snapshot requires none.
 * - Kernel: the BPF source requires Linux 6.1 with BTF (CONFIG_DEBUG_INFO_BTF), the procfs source
 *   requires Linux 5.10. With either source every function works, unless its description says that it
 *   requires the BPF source; what the kernel does not show is BPFREFS_UNKNOWN, NULL or a gap.
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

/* The library is built with -fvisibility=hidden and exports only what this header declares. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/** Returns the version of the library, "MAJOR.MINOR.PATCH". The string is static. */
const char *bpfrefs_version(void);

/**
 * Whether the structure that @p pointer points to has the member @p member. The version of the
 * header that a program was built with may have members that the library which is running does not
 * know: it may be older.
 */
#define BPFREFS_HAS(pointer, member) \
	((pointer)->size >= offsetof(__typeof__(*(pointer)), member) + sizeof((pointer)->member))

/* ---------------------------------------------------------------- keys --- */

/** The kinds of BPF object that have an id. The values are stable. */
enum bpfrefs_kind {
	BPFREFS_KIND_MAP,
	BPFREFS_KIND_PROG,
	BPFREFS_KIND_LINK,
	BPFREFS_KIND_BTF,
	BPFREFS_KIND_NONE = 31, /**< in a key: no object. Later kinds have lower values. */
};

/** Identifies one object: its kind, and the id that the kernel gave it, which is never 0. */
struct bpfrefs_key {
	enum bpfrefs_kind kind; /**< the kind; BPFREFS_KIND_NONE: no object */
	uint32_t id;		/**< the id in the kernel's table of that kind */
};

/** Returns "map", "prog", "link" or "btf", and "?" for any other value. The string is static. */
const char *bpfrefs_kind_name(enum bpfrefs_kind kind);

/**
 * Stores the kind that has the name @p name in @p kind.
 * @return -EINVAL if no kind has that name; @p kind is then unchanged
 */
int bpfrefs_kind_parse(const char *name, enum bpfrefs_kind *kind);

/**
 * Parses an object id in its canonical form: a decimal number from 1 to UINT32_MAX, without a sign
 * or leading zeros.
 * @return -EINVAL for any other text; @p id is then unchanged
 */
int bpfrefs_id_parse(const char *text, uint32_t *id);

/**
 * Parses "KIND/ID", such as "map/12".
 * @return -EINVAL for any other text; @p key is then unchanged
 */
int bpfrefs_key_parse(const char *text, struct bpfrefs_key *key);

/** The size in bytes of the longest "KIND/ID", including its NUL. */
#define BPFREFS_KEY_MAX 16

/** Writes "KIND/ID" and a NUL into @p buf, and returns @p buf. */
char *bpfrefs_key_format(struct bpfrefs_key key, char buf[BPFREFS_KEY_MAX]);

/** Orders keys by kind, then by id: returns a negative, zero or positive number like strcmp(3). */
int bpfrefs_key_compare(struct bpfrefs_key a, struct bpfrefs_key b);

/* ------------------------------------------------------------- context --- */

/** The source that the facts are read from. */
enum bpfrefs_source {
	BPFREFS_SOURCE_AUTO, /**< BPF if its programs can be loaded, else procfs */
	BPFREFS_SOURCE_BPF,  /**< BPF iterators: all classes of holders, and the counters */
	BPFREFS_SOURCE_PROC, /**< procfs and bpf(2): no counters, and fewer classes of holders */
};

/** Returns "auto", "bpf" or "proc", and "?" for any other value. The string is static. */
const char *bpfrefs_source_name(enum bpfrefs_source source);

/** How important a message is: the numbers of syslog(3). Later versions may use others of them. */
enum bpfrefs_log_level {
	BPFREFS_LOG_WARNING = 4, /**< answers are less complete than they could be, and why */
	BPFREFS_LOG_INFO = 6,	 /**< what the library did by itself, and details of warnings */
	BPFREFS_LOG_DEBUG = 7,	 /**< what cannot be read from the start on; what libbpf prints */
};

/**
 * Is called with what the library reports. The library prints nothing by itself, and reports no
 * error that it returns. It calls this in the thread that called the library, perhaps with the lock
 * of the context held: the callback must not call any function of the library with that context or a
 * keeper of it, and should return soon. Several threads may be in it at the same time.
 *
 * @param level how important the message is
 * @param message one line without a newline; valid only during the call. Like other strings it can
 *	have names of the kernel in it.
 * @param data bpfrefs_options.log_data
 */
typedef void (*bpfrefs_log_fn)(enum bpfrefs_log_level level, const char *message, void *data);

/**
 * Options of bpfrefs_ctx_open(). Set all members to zero, then @ref size and what you need. A program
 * that was built with another version of the library passes another size: members that it does not
 * have are taken to be zero, and members that the library does not know must be zero (-E2BIG). A
 * size of more than 4096 bytes is invalid, as is one that is smaller than the member @ref size
 * itself (-EINVAL).
 */
struct bpfrefs_options {
	size_t size;		    /**< sizeof(struct bpfrefs_options) */
	enum bpfrefs_source source; /**< which source to use */
	/**
	 * A descriptor of the root directory of a procfs, which is duplicated. 0 or a negative
	 * number: /proc is opened.
	 */
	int proc_fd;
	/**
	 * Whether the texts about a whole snapshot leave out what this process holds for itself, as
	 * the files of a mount with self=hide do: bpfrefs_snapshot_hides().
	 */
	bool hide_self;
	/** The least important level that @ref log is called with; 0: BPFREFS_LOG_INFO. */
	enum bpfrefs_log_level log_level;
	/**
	 * The number of bytes that a snapshot may allocate while it is taken. One that requires
	 * more fails with -ENOMEM, which does not affect snapshots that were taken before. 0: no
	 * limit.
	 */
	uint64_t memory;
	/**
	 * If not NULL: when opening fails, *why is set to an owned sentence that explains why the
	 * source could not be opened, to be freed with free(3); or to NULL if the error code is the
	 * whole explanation. It is set to NULL when opening succeeds, and left as it is if @ref size
	 * is invalid.
	 */
	char **why;
	/** Is called with what the library reports; NULL: nothing is reported. */
	bpfrefs_log_fn log;
	void *log_data; /**< the last argument of @ref log */
};

/** A context: the loaded BPF programs, descriptors that are kept open, and caches. */
struct bpfrefs_ctx;

/**
 * Opens a context. With BPFREFS_SOURCE_AUTO it is no error if the BPF programs cannot be loaded:
 * the procfs source is used, and bpfrefs_ctx_source() returns the reason. The process must be in
 * the initial pid namespace, because the kernel's task iterator shows only the tasks in the pid
 * namespace of the process that created it (task_seq_get_next() in kernel/bpf/task_iter.c).
 *
 * @param options the options, or NULL for the defaults; not used after the call returns
 * @param ctx is set to the owned context; close it with bpfrefs_ctx_close()
 * @return -EPERM without CAP_SYS_ADMIN or outside the initial pid namespace; -EINVAL if the
 *	size or the source in the options is invalid; -E2BIG if a member that this version does not
 *	know is not zero; the error of open(2) if there is no procfs;
 *	with BPFREFS_SOURCE_BPF, the error of loading the BPF programs
 */
int bpfrefs_ctx_open(const struct bpfrefs_options *options, struct bpfrefs_ctx **ctx);

/**
 * Call this first in the application's libbpf_set_print(3) callback. It takes what libbpf prints while
 * the library loads its BPF programs, and passes it to bpfrefs_options.log with the level
 * BPFREFS_LOG_DEBUG. A process has one such callback, so that the library does not set it. If it is
 * not called, libbpf prints its warnings to stderr, and a program that libbpf cannot prepare for
 * this kernel means that the BPF source cannot be used at all. A program that the kernel's verifier
 * refuses is left out in either case, and the holder class that needs it is unavailable. May be
 * called by any thread.
 *
 * @param level an enum libbpf_print_level
 * @param format the format of the message
 * @param args its arguments, which are used only if the message belongs to the library
 * @return true if the message belongs to the library, in which case the caller does not print
 *	it
 */
bool bpfrefs_libbpf_print(int level, const char *format, va_list args);

/**
 * Closes a context and all descriptors that it keeps open. Close its keepers first. NULL is
 * allowed. Snapshots that were taken with it stay valid. No other thread may use the context any
 * more.
 */
void bpfrefs_ctx_close(struct bpfrefs_ctx *ctx);

/**
 * Returns the source in use: BPFREFS_SOURCE_BPF or BPFREFS_SOURCE_PROC.
 * @param why if not NULL: is set to a borrowed sentence that explains why the BPF source is
 *	not used, or to NULL if it is used
 */
enum bpfrefs_source bpfrefs_ctx_source(const struct bpfrefs_ctx *ctx, const char **why);

/**
 * Finds the lowest id of @p kind that is greater than @p start (BPF_*_GET_NEXT_ID of bpf(2)). Takes
 * neither the lock of the context nor a reference to the object.
 * @param id is set to the id that was found
 * @return -ENOENT if there is none, -EPERM without CAP_SYS_ADMIN, -EINVAL for an invalid kind
 */
int bpfrefs_next_id(struct bpfrefs_ctx *ctx, enum bpfrefs_kind kind, uint32_t start, uint32_t *id);

/**
 * Checks whether an object exists now, by the next id after its predecessor's: bpfrefs_next_id().
 * Takes neither the lock of the context nor a reference to the object.
 * @return 0 if it exists, -ENOENT if it does not, otherwise an error of bpfrefs_next_id()
 */
int bpfrefs_exists(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/**
 * Counts the mounts of a filesystem that was registered after bpffs, such as FUSE, in all mount
 * namespaces together, without reading mountinfo. Requires the BPF source.
 * @param major the major number of the device of the filesystem, as stat(2) shows it
 * @param minor its minor number
 * @param mounts is set to the number of mounts, with those that were unmounted lazily
 * @param covered is set to the number of those of them that have another mount on one of their
 *	directories
 * @return -EOPNOTSUPP with the procfs source, -EAGAIN if there is no such filesystem, or if its mounts
 *	changed while they were counted, or if there are very many; otherwise the error of bpf(2)
 */
int bpfrefs_mounted(struct bpfrefs_ctx *ctx, uint32_t major, uint32_t minor, uint32_t *mounts,
		    uint32_t *covered);

/* ---------------------------------------------------------------- info --- */

/** One fact about an object: a name, and either a number or a string. */
struct bpfrefs_field {
	size_t size; /**< the size of this structure in the library */
	/**
	 * The name of the member in struct bpf_*_info; "kind", "attached"; "charged" and
	 * "charged_state" of a map; or a word that says where a link is attached: bpfrefs(5) lists these.
	 */
	const char *key;
	const char *str; /**< the value if it is a string or has a name, else NULL */
	uint64_t num;	 /**< the value if it is a number, or the number that has that name */
};

/** The facts about one object that struct bpf_{map,prog,link,btf}_info has. */
struct bpfrefs_info;

/**
 * Reads the facts about an object from the kernel now (BPF_OBJ_GET_INFO_BY_FD). Objects other than
 * maps are referenced by a descriptor during the call. With the BPF source no descriptor of a map
 * is opened: if the usercnt of a program array were 0, closing that descriptor would clear the
 * array again (bpf_map_put_uref() calls map_release_uref, which is prog_array_map_clear()).
 *
 * @param info is set to the owned facts; free them with bpfrefs_info_free()
 * @return -ENOENT if there is no such object, -EINVAL for an invalid kind, otherwise the error
 *	of bpf(2)
 */
int bpfrefs_info_read(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, struct bpfrefs_info **info);

/** Frees what bpfrefs_info_read() returned. NULL is allowed. */
void bpfrefs_info_free(struct bpfrefs_info *info);

/** Returns fact number @p index in the order of the UAPI, borrowed; NULL past the last. */
const struct bpfrefs_field *bpfrefs_info_field(const struct bpfrefs_info *info, size_t index);

/** The UAPI enumerations whose values facts can have. */
enum bpfrefs_enum {
	BPFREFS_ENUM_MAP_TYPE,
	BPFREFS_ENUM_PROG_TYPE,
	BPFREFS_ENUM_LINK_TYPE,
	BPFREFS_ENUM_ATTACH_TYPE,
};

/**
 * Returns the name of a value in lower case and without the prefix of its enumeration, such as
 * "prog_array" for BPF_MAP_TYPE_PROG_ARRAY. The string is static. Returns NULL for a value that
 * this version of the library does not know; print the number then.
 */
const char *bpfrefs_enum_name(enum bpfrefs_enum what, uint32_t value);

/* ------------------------------------------------------------ snapshot --- */

/** The value of a counter or a number that could not be read. bpfrefs shows it as "?". */
#define BPFREFS_UNKNOWN UINT64_MAX

/** The state of an object in the graph of references. bpfrefs(5) defines each state. */
enum bpfrefs_state {
	BPFREFS_STATE_HELD,	/**< a root leads to it */
	BPFREFS_STATE_AT_RISK,	/**< the exit of processes would break a program that uses it */
	BPFREFS_STATE_CLEARED,	/**< its user state was cleared, and a program that stays uses it */
	BPFREFS_STATE_UNROOTED, /**< all its references are explained, and no root leads to it */
	BPFREFS_STATE_UNKNOWN,	/**< no root was found, but something could not be read */
};

/**
 * Returns "held", "at-risk", "cleared", "unrooted" or "unknown", and "?" for any other value. The
 * string is static.
 */
const char *bpfrefs_state_name(enum bpfrefs_state state);

/** One object of a snapshot. */
struct bpfrefs_object {
	size_t size;		 /**< the size of this structure in the library */
	struct bpfrefs_key key;	 /**< its kind and id */
	const char *name;	 /**< the kernel's name, "" if it has none; NULL: unknown */
	const char *type;	 /**< the UAPI's name of the type, else its number; NULL: unknown */
	uint64_t refcnt;	 /**< the kernel's reference counter, or BPFREFS_UNKNOWN */
	uint64_t usercnt;	 /**< maps: bpf_map.usercnt, or BPFREFS_UNKNOWN; other kinds: 0 */
	uint64_t explained;	 /**< sum of bpfrefs_ref_count() over the references found */
	uint64_t user_explained; /**< sum of bpfrefs_ref_user() over the references found */
	/** The number of names in a bpffs that were found, without keeps. Each hard link counts. */
	uint64_t pins;
	/**
	 * The number of bytes charged for the object ("memlock" in fdinfo), or BPFREFS_UNKNOWN if
	 * the scan did not read it: bpfrefs_memlock() does. 0 for links and BTFs, for which the
	 * kernel charges nobody.
	 */
	uint64_t memlock;
	enum bpfrefs_state state; /**< the state; bpfrefs(5) defines each */
	const char *because;	  /**< one sentence that explains @ref state */
	bool changing;		  /**< the counters changed during the scan, in every attempt */
	bool user_state; /**< maps: has a user state, which is cleared when usercnt becomes 0 */
	/**
	 * Only this process holds it, and for itself: it is one of the BPF programs with which the
	 * library reads the kernel, or what belongs to them. All that leads to it is a reference of
	 * this process that is no keep, and the kernel counts no reference that was not found. So
	 * what anybody else holds too is not one of these, and neither is what another process
	 * that uses the library holds.
	 */
	bool self;
	uint32_t max_entries; /**< maps: bpf_map.max_entries; other kinds: 0 */
	uint32_t type_number; /**< the UAPI's number of @ref type */
	/**
	 * BTFs of the kernel: the part of the unexplained references that has been unexplained in
	 * every scan with this context. Other objects: 0.
	 */
	uint64_t constant;
};

/** The type of the value of a field of a reference. */
enum bpfrefs_value_type {
	BPFREFS_VALUE_ABSENT,  /**< this reference does not have the field */
	BPFREFS_VALUE_UNKNOWN, /**< it has the field, but the value could not be read */
	BPFREFS_VALUE_NUM,
	BPFREFS_VALUE_STR,
};

/** The value of one field of a reference. The string is borrowed from the snapshot. */
struct bpfrefs_value {
	enum bpfrefs_value_type type; /**< which of the members below is set */
	uint64_t num;		      /**< BPFREFS_VALUE_NUM: the number */
	const char *str;	      /**< BPFREFS_VALUE_STR: the string */
};

/** A class of holders: everything that holds references in the same way. Static and immutable. */
struct bpfrefs_class {
	size_t size;		 /**< the size of this structure in the library */
	const char *name;	 /**< the name in bpfrefs(5): "fd", "pin", "map" ... */
	const char *const *keys; /**< names of the fields of its references, NULL at the end */
	unsigned int kinds; /**< the kinds that it can hold: 1 << enum bpfrefs_kind; 0: all kinds */
	unsigned int flags; /**< enum bpfrefs_class_flag */
	/** The class has the references that objects of these kinds hold: 1 << enum bpfrefs_kind. */
	unsigned int holders;
	/** The index in @ref keys of the field that says where the holder is, such as a path. */
	unsigned int place;
};

/** Properties of a class. */
enum bpfrefs_class_flag {
	/** Its field "fd" is a descriptor of the object itself, or of its iterator. */
	BPFREFS_CLASS_DESCRIPTOR = 1 << 0,
	BPFREFS_CLASS_PIN = 1 << 1,  /**< its references are names in a bpffs, without keeps */
	BPFREFS_CLASS_KEEP = 1 << 2, /**< its references are what bpfrefs itself keeps */
};

/** One reference to an object. Opaque, and borrowed from its snapshot. */
struct bpfrefs_ref;

/** Returns the key of the object that is held. */
struct bpfrefs_key bpfrefs_ref_target(const struct bpfrefs_ref *ref);
/** Returns the key of the object that holds it; its kind is BPFREFS_KIND_NONE if none does. */
struct bpfrefs_key bpfrefs_ref_holder(const struct bpfrefs_ref *ref);
/** Returns the class of the holder. Static. */
const struct bpfrefs_class *bpfrefs_ref_class(const struct bpfrefs_ref *ref);
/** Returns the index of that class in output order, as in bpfrefs_select_classes(). */
size_t bpfrefs_ref_class_index(const struct bpfrefs_ref *ref);
/**
 * Returns how many references of the target's refcnt this one explains. 0 if the kernel counts it
 * only once under several names: a second descriptor of the same open file, a hard link of the same
 * pin.
 */
uint32_t bpfrefs_ref_count(const struct bpfrefs_ref *ref);
/** Returns how many references of a map's usercnt this one explains. */
uint32_t bpfrefs_ref_user(const struct bpfrefs_ref *ref);
/** Returns the id of the process that holds it (its tgid), or 0 if no process does. */
uint32_t bpfrefs_ref_pid(const struct bpfrefs_ref *ref);
/** Returns the value of the field at @p index in its class's keys. Absent past the last. */
struct bpfrefs_value bpfrefs_ref_value(const struct bpfrefs_ref *ref, size_t index);
/** Returns the value of the field with the name @p key. Absent if its class has no such field. */
struct bpfrefs_value bpfrefs_ref_get(const struct bpfrefs_ref *ref, const char *key);

/** How completely the references of a class were read. */
enum bpfrefs_coverage {
	BPFREFS_COVERAGE_COMPLETE,
	BPFREFS_COVERAGE_PARTIAL, /**< @ref bpfrefs_class_status.count items could not be read */
	BPFREFS_COVERAGE_UNAVAILABLE, /**< nothing could be read */
};

/**
 * Returns "complete", "partial" or "unavailable", and "?" for any other value. The string is
 * static.
 */
const char *bpfrefs_coverage_name(enum bpfrefs_coverage coverage);

/** The result of reading one class in one snapshot. */
struct bpfrefs_class_status {
	size_t size;			    /**< the size of this structure in the library */
	const struct bpfrefs_class *class_; /**< the class */
	const char *source; /**< where its references were read: "BPF walk", "procfs", "bpf(2)" */
	enum bpfrefs_coverage coverage; /**< how much was read */
	uint32_t count;			/**< partial: the number of items that could not be read */
	const char *what; /**< partial: what the items are; unavailable: the reason, or NULL */
	/**
	 * The first error by which this process lacked memory or descriptors (ENOMEM, EMFILE, ENFILE),
	 * else the first error, a positive errno; 0: @ref what explains it.
	 */
	int error;
	uint32_t refs; /**< the number of references that were found */
};

/** A mount of an instance of bpffs. */
struct bpfrefs_mount {
	size_t size;	  /**< the size of this structure in the library */
	uint32_t mnt_ns;  /**< the inode number of the mount namespace */
	uint32_t pid;	  /**< a process in that mount namespace, 0: unknown */
	bool here;	  /**< it is in the mount namespace of the caller */
	bool covered;	  /**< another mount covers it, so that @ref path leads elsewhere */
	const char *path; /**< the mount point as that process sees it; NULL: unknown */
};

/** An instance (a super block) of bpffs. */
struct bpfrefs_bpffs {
	size_t size;	/**< the size of this structure in the library */
	uint32_t major; /**< the major device number, as in st_dev of its files */
	uint32_t minor; /**< the minor device number */
	uint64_t pins;	/**< pinned inodes, including those that were unlinked */
	bool attached;	/**< a mount namespace has a mount of it; else it is detached */
	const struct bpfrefs_mount *const *mounts; /**< array of pointers to its mounts */
	size_t mount_count;			   /**< the number of these */
	const uint32_t *pids; /**< detached: array of the processes that keep it alive */
	size_t pid_count;     /**< the number of these */
	/**
	 * Its mount options as /proc/PID/mountinfo shows them, such as "rw,mode=700": without those
	 * that have the kernel's defaults. NULL: no mount of its root directory was found.
	 */
	const char *options;
};

/** A process that holds BPF objects. */
struct bpfrefs_process {
	size_t size;	  /**< the size of this structure in the library */
	uint32_t pid;	  /**< its id (tgid) in the initial pid namespace */
	const char *comm; /**< the name of the thread group leader; NULL: unknown */
};

/** An immutable picture of all BPF objects and of all references to them. */
struct bpfrefs_snapshot;

/** Statistics on how a snapshot was taken. */
struct bpfrefs_snapshot_stats {
	size_t size;	     /**< the size of this structure in the library */
	uint64_t started_ns; /**< CLOCK_MONOTONIC when it was started, in nanoseconds */
	uint64_t took_ns;    /**< how long it took, in nanoseconds */
	uint64_t wall_ns;    /**< CLOCK_REALTIME when it was started, in nanoseconds */
	uint32_t attempts;   /**< the number of scans; 1 if no counter changed during the first */
	uint64_t memory;     /**< bytes that were allocated, counted as bpfrefs_options.memory */
};

/**
 * Takes a snapshot: reads all objects, their counters, and all references. The counters are read
 * before and after the references. If they differ, or if there are unexplained references that were
 * not there in the scan before, the scan is repeated, up to three times. All references that the
 * library takes meanwhile are released before it returns.
 *
 * @param snapshot is set to an owned reference; drop it with bpfrefs_snapshot_unref()
 * @return -EPERM if the process no longer has CAP_SYS_ADMIN; -ENOMEM if there is not enough memory
 *	or it would take more than bpfrefs_options.memory. It is no error if a class could not be read: see
 *	bpfrefs_class_status.
 */
int bpfrefs_snapshot_take(struct bpfrefs_ctx *ctx, struct bpfrefs_snapshot **snapshot);

/**
 * Finds the references to one object, the same ones as bpfrefs_snapshot_take(), but much faster.
 * The snapshot has neither the other objects nor their references, and the state of the object in
 * it is meaningless.
 *
 * @param snapshot is set to an owned reference; drop it with bpfrefs_snapshot_unref()
 * @return -EINVAL for an invalid kind; -ENOENT for id 0, or if there is no such object; -EAGAIN if
 *	only bpfrefs_snapshot_take() can find
 *	all references, which is so for most kinds of objects, for some types of maps, and if a
 *	reference is unexplained; -ENOMEM
 */
int bpfrefs_snapshot_take_one(struct bpfrefs_ctx *ctx, struct bpfrefs_key key,
			      struct bpfrefs_snapshot **snapshot);

/** Takes one more reference to the snapshot and returns its argument. Atomic. */
struct bpfrefs_snapshot *bpfrefs_snapshot_ref(struct bpfrefs_snapshot *snapshot);
/** Drops a reference; dropping the last one frees the snapshot. NULL is allowed. Atomic. */
void bpfrefs_snapshot_unref(struct bpfrefs_snapshot *snapshot);

/** Returns the statistics on how the snapshot was taken, borrowed. */
const struct bpfrefs_snapshot_stats *
bpfrefs_snapshot_stats(const struct bpfrefs_snapshot *snapshot);
/** Returns the number of objects. */
size_t bpfrefs_snapshot_object_count(const struct bpfrefs_snapshot *snapshot);
/** Returns the object with the key @p key, borrowed; NULL if the snapshot does not have it. */
const struct bpfrefs_object *bpfrefs_snapshot_find(const struct bpfrefs_snapshot *snapshot,
						   struct bpfrefs_key key);
/**
 * Returns whether the snapshot has the object. Cheaper than the first bpfrefs_snapshot_find(),
 * which computes the states of all objects.
 */
bool bpfrefs_snapshot_has(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key);
/** Returns the number of references. */
size_t bpfrefs_snapshot_ref_count(const struct bpfrefs_snapshot *snapshot);
/**
 * Finds the object that the process @p pid holds by the descriptor @p fd: see bpfrefs_select_descriptors().
 * @param key if not NULL: is set to the key of the object
 * @return -ENOENT if there is none, -ENOMEM
 */
int bpfrefs_snapshot_find_fd(const struct bpfrefs_snapshot *snapshot, uint32_t pid, uint32_t fd,
			     struct bpfrefs_key *key);
/** Returns the process @p pid, borrowed; NULL if it does not hold anything. */
const struct bpfrefs_process *bpfrefs_snapshot_find_pid(const struct bpfrefs_snapshot *snapshot,
							uint32_t pid);
/**
 * Returns the path of the cgroup of the process @p pid in the v2 hierarchy, such as
 * "/system.slice/agent.service", or "/" for the root; borrowed from the snapshot. It is that of the
 * thread group leader, as the caller's cgroup namespace shows it (cgroup_namespaces(7)). With the BPF
 * source it is that of the scan if the caller has CAP_DAC_READ_SEARCH and sees the v2 hierarchy
 * mounted. Otherwise the first call for a process reads /proc/PID/cgroup, and the snapshot remembers
 * the answer.
 * @return NULL if it is unknown: the process had exited by then, or does not hold anything
 */
const char *bpfrefs_process_cgroup(const struct bpfrefs_snapshot *snapshot, uint32_t pid);
/**
 * Returns whether the cgroup @p path is @p cgroup or below it. A NULL @p path, which is an unknown
 * cgroup, is below "/" alone.
 */
bool bpfrefs_cgroup_contains(const char *cgroup, const char *path);
/**
 * Reads the path of the cgroup of a process now, whether or not it holds anything. Takes no lock.
 *
 * @param path is set to the owned path: see bpfrefs_process_cgroup(); free it with free(3)
 * @return -ENOENT if there is no such process, -ENOMEM, the error of open(2) or read(2)
 */
int bpfrefs_cgroup_read(struct bpfrefs_ctx *ctx, uint32_t pid, char **path);
/**
 * Reads the inode numbers of the mount and the network namespace of a process now, of its thread
 * group leader. Takes no lock. BPFREFS_UNKNOWN if a number cannot be read, such as that of a process
 * that has exited.
 */
void bpfrefs_process_namespaces(const struct bpfrefs_ctx *ctx, uint32_t pid, uint64_t *mnt_ns,
				uint64_t *net_ns);
/** What this process holds for itself: see @ref bpfrefs_object.self. */
struct bpfrefs_self {
	size_t size;  /**< the size of this structure in the library */
	uint32_t pid; /**< the process that took the snapshot */
	/** It holds something else, too: an object, or a bpffs or namespace with a user's pins. */
	bool others;
	bool left_out;	/**< lists leave them out: bpfrefs_options.hide_self */
	size_t objects; /**< the number of objects that only it holds, and for itself */
};
/** Returns what the process that took the snapshot holds for itself, borrowed. */
const struct bpfrefs_self *bpfrefs_snapshot_self(const struct bpfrefs_snapshot *snapshot);
/**
 * Returns whether lists leave out the object: the context was opened with
 * bpfrefs_options.hide_self, and @ref bpfrefs_object.self is set. All functions of the library
 * find the object nonetheless; those that write a text about the whole snapshot obey this.
 */
bool bpfrefs_snapshot_hides(const struct bpfrefs_snapshot *snapshot,
			    const struct bpfrefs_object *object);
/**
 * Returns whether lists leave out the reference, which is so if they leave out its target. The
 * references that such objects hold to others are part of the account of these, and are listed.
 */
bool bpfrefs_snapshot_hides_ref(const struct bpfrefs_snapshot *snapshot,
				const struct bpfrefs_ref *ref);
/**
 * Returns whether lists leave out the process @p pid: it is this one, and lists leave out all that
 * it holds.
 */
bool bpfrefs_snapshot_hides_process(const struct bpfrefs_snapshot *snapshot, uint32_t pid);
/**
 * Returns the path of a pin relative to a directory of its bpffs, such as "app/conns", borrowed.
 *
 * @param ref a reference of class pin or keep
 * @param major the major device number of the bpffs
 * @param minor the minor device number of the bpffs
 * @param dir_ino the inode number of the directory
 * @return NULL if @p ref is not a pin or keep that is linked below that directory
 */
const char *bpfrefs_snapshot_pin_path(const struct bpfrefs_snapshot *snapshot,
				      const struct bpfrefs_ref *ref, uint32_t major, uint32_t minor,
				      uint64_t dir_ino);

/* ------------------------------------------------------------ selection --- */

/**
 * Selects items. Set all members to zero, then @ref size and what you need; what is zero selects
 * everything. Another size than that of this version: see struct bpfrefs_options. The description of a
 * question says which members apply to it. Another one that is set is an error, as is a bit of @ref
 * kinds or @ref states for which there is no kind or state, and a @ref class_ that does not exist.
 */
struct bpfrefs_filter {
	size_t size;	     /**< sizeof(struct bpfrefs_filter) */
	unsigned int kinds;  /**< of objects: 1 << enum bpfrefs_kind for each */
	unsigned int states; /**< of objects: 1 << enum bpfrefs_state for each */
	const char *type;    /**< the type of objects, such as "prog_array" */
	const char *name;    /**< a pattern for the names of objects (fnmatch(3), without flags) */
	const char *class_;  /**< the name of the class of references, such as "pin" */
	uint32_t pid;	     /**< the process that holds the reference */
	bool hide_self;	     /**< leaves out what lists leave out: bpfrefs_snapshot_hides() */
	/** A cgroup: the process is in it or below it. "/": also processes whose cgroup is unknown. */
	const char *cgroup;
	struct bpfrefs_key object; /**< this object, or the references to it; id 0: all */
	struct bpfrefs_key holder; /**< the references that this object holds; id 0: all */
};

/**
 * The items that answer a question, of which a filter selects some. Each question has a function that
 * begins a selection, and each type of items a function that returns the next one:
 *
 *	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = key };
 *	struct bpfrefs_selection *holders;
 *	const struct bpfrefs_ref *ref;
 *
 *	if (bpfrefs_select_refs(snapshot, &filter, &holders) == 0)
 *		while ((ref = bpfrefs_next_ref(holders)))
 *			printf("%s\n", bpfrefs_ref_class(ref)->name);
 *	bpfrefs_selection_free(holders);
 *
 * What can fail is done when a selection begins: NULL is always the end. The function then returns
 * -EINVAL or -E2BIG if the filter is not as struct bpfrefs_filter requires, -ENOMEM, or what its
 * description says, and sets the selection to NULL, which the other functions allow. The filter is copied. A
 * selection has a reference to its snapshot. Any number of threads may go through selections of one
 * snapshot; one selection has a position and is not thread-safe.
 *
 * There is no access by an index: to call a function for each item costs the same, and what a binding
 * wants as a whole it gets from bpfrefs_snapshot_to_json() in a few calls.
 */
struct bpfrefs_selection;
/** Frees a selection. NULL is allowed. Items that belong to the snapshot stay valid as long as that. */
void bpfrefs_selection_free(struct bpfrefs_selection *selection);

/**
 * Selects objects, in the order of the keys. All members of the filter apply. By those about references
 * it selects the objects of which one reference at least matches.
 */
int bpfrefs_select_objects(const struct bpfrefs_snapshot *snapshot,
			   const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **selection);
/** Returns the next object, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_object *bpfrefs_next_object(struct bpfrefs_selection *selection);

/**
 * Selects references, the edges of the graph: sorted by target, then by class, then in the order in which
 * they were found. All members of the filter apply, those about objects to the targets. With an object,
 * a holder or a process in the filter only these references are looked at.
 */
int bpfrefs_select_refs(const struct bpfrefs_snapshot *snapshot,
			const struct bpfrefs_filter *filter, struct bpfrefs_selection **selection);
/** Returns the next reference, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_ref *bpfrefs_next_ref(struct bpfrefs_selection *selection);

/**
 * Selects processes that hold objects, or a namespace or bpffs that keeps some, in the order of the pids.
 * All members of the filter apply. By those about objects and references it selects the processes that
 * hold one such reference at least.
 */
int bpfrefs_select_processes(const struct bpfrefs_snapshot *snapshot,
			     const struct bpfrefs_filter *filter,
			     struct bpfrefs_selection **selection);
/** Returns the next process, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_process *bpfrefs_next_process(struct bpfrefs_selection *selection);

/** A descriptor by which a process holds an object. */
struct bpfrefs_descriptor {
	size_t size;		/**< the size of this structure in the library */
	uint32_t pid;		/**< the process */
	uint32_t fd;		/**< the number of the descriptor */
	struct bpfrefs_key key; /**< the object; of an iterator: the program that it runs */
};
/**
 * Selects the descriptors by which processes hold objects, in the order of the pids and then of the
 * descriptors. Those in a table that only one of the threads has are left out: another file may have
 * the same number there. The members of the filter about objects and processes apply.
 */
int bpfrefs_select_descriptors(const struct bpfrefs_snapshot *snapshot,
			       const struct bpfrefs_filter *filter,
			       struct bpfrefs_selection **selection);
/** Returns the next descriptor, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_descriptor *bpfrefs_next_descriptor(struct bpfrefs_selection *selection);

/**
 * Selects classes of holders with how completely they were read, in output order. Of the filter, @ref
 * bpfrefs_filter.class_ applies, and @ref bpfrefs_filter.kinds, by which it selects those that can hold such objects.
 */
int bpfrefs_select_classes(const struct bpfrefs_snapshot *snapshot,
			   const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **selection);
/** Returns the next class, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_class_status *bpfrefs_next_class(struct bpfrefs_selection *selection);

/** Selects the instances of bpffs, in the order in which they were found. No member of the filter applies. */
int bpfrefs_select_bpffs(const struct bpfrefs_snapshot *snapshot,
			 const struct bpfrefs_filter *filter, struct bpfrefs_selection **selection);
/** Returns the next instance, borrowed from the snapshot; NULL at the end, or if items are others. */
const struct bpfrefs_bpffs *bpfrefs_next_bpffs(struct bpfrefs_selection *selection);

/* ------------------------------------------------------------- answers --- */

/** A root that leads to an object. Valid until the next item. */
struct bpfrefs_root {
	size_t size; /**< the size of this structure in the library */
	/**
	 * The reference of the root. If @ref owner is set, the root is a process that keeps a
	 * namespace, a bpffs, a socket or a tun device, and this is an attachment or a pin that
	 * lasts as long as it does.
	 */
	const struct bpfrefs_ref *ref;
	/** What that process keeps: "net_ns", "mnt_ns", "bpffs", "socket", "tun"; else NULL. */
	const char *owner;
	uint32_t pid;	  /**< that process; 0 without @ref owner, see bpfrefs_ref_pid() then */
	const char *comm; /**< the name of that process, or NULL */
	/** The objects from the target of @ref ref to the object of the query, both included. */
	const struct bpfrefs_key *chain;
	size_t count; /**< the number of objects in @ref chain, 1 or more */
	/**
	 * The number of references of this root that lead to the object, 1 or more: of a process
	 * all its descriptors and the like, of which @ref ref is one that is nearest.
	 */
	size_t ways;
};

/**
 * Selects the roots that lead to an object. The nearest root comes first. Each root has one shortest
 * chain: a process is one root, however many descriptors it has. Processes, pins, attachments and the
 * kernel itself are roots. An automatic keep is not a root. If a pin or an attachment lasts only as long
 * as processes keep its bpffs, namespace or device, those processes are the roots.
 *
 * The members of the filter about processes apply to the process of the root, those about objects and the
 * class to @ref bpfrefs_root.ref and its target; bpfrefs_filter.holder does not apply.
 *
 * @return -ENOENT if there is no such object; see struct bpfrefs_selection
 */
int bpfrefs_select_roots(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
			 const struct bpfrefs_filter *filter, struct bpfrefs_selection **selection);
/** Returns the next root, valid until the next call; NULL at the end, or if items are others. */
const struct bpfrefs_root *bpfrefs_next_root(struct bpfrefs_selection *selection);

/** What happens to an object when processes exit. */
enum bpfrefs_effect {
	BPFREFS_EFFECT_FREED,	/**< nothing holds the object any more, and it is freed */
	BPFREFS_EFFECT_CLEARED, /**< the object stays, but its user state is cleared */
};

/** Returns "freed" or "cleared", and "?" for any other value. The string is static. */
const char *bpfrefs_effect_name(enum bpfrefs_effect effect);

/** An object that the exit of processes would affect. Valid until the next item. */
struct bpfrefs_retained {
	size_t size;			     /**< the size of this structure in the library */
	enum bpfrefs_effect effect;	     /**< what would happen to it */
	const struct bpfrefs_object *object; /**< the object, borrowed from the snapshot */
};

/**
 * Selects the objects that would be freed or cleared if a process exited now, or several together, such as
 * those of a cgroup (bpfrefs_select_processes()): then also what only several of them together hold, and
 * what is removed with the namespaces, bpffs and devices that only they keep. In the order of the keys.
 * All members of the filter apply, as to bpfrefs_select_objects(). Reads nothing but the snapshot. An
 * unexplained reference counts as a holder that stays. An object that would be held only by automatic
 * keeps counts as freed, since bpfrefs then releases these.
 *
 * @param pids the processes, in any order, borrowed during the call; those that hold nothing
 *	change nothing. NULL is allowed if @p count is 0.
 * @param count the length of @p pids, may be 0
 */
int bpfrefs_select_retained(const struct bpfrefs_snapshot *snapshot, const uint32_t *pids,
			    size_t count, const struct bpfrefs_filter *filter,
			    struct bpfrefs_selection **selection);
/** Returns the next object with its effect, valid until the next call; NULL at the end, or if items are others. */
const struct bpfrefs_retained *bpfrefs_next_retained(struct bpfrefs_selection *selection);

/** Why an object still exists that is not used. */
enum bpfrefs_unused_reason {
	BPFREFS_UNUSED_PINNED, /**< a pin leads to it */
	BPFREFS_UNUSED_KEPT,   /**< it has no pin, and bpfrefs keeps it */
	BPFREFS_UNUSED_HELD,   /**< it has neither, and other objects that are not used hold it */
	BPFREFS_UNUSED_ALONE,  /**< nothing was found that holds it */
};

/** Returns "pinned", "kept", "held" or "alone", and "?" for any other value. The string is static. */
const char *bpfrefs_unused_name(enum bpfrefs_unused_reason reason);

/** An object that is left over. Valid until the next item. */
struct bpfrefs_unused {
	size_t size;			     /**< the size of this structure in the library */
	enum bpfrefs_unused_reason reason;   /**< why it still exists */
	const struct bpfrefs_object *object; /**< the object, borrowed from the snapshot */
};

/**
 * Selects the objects that are left over, in the order of the keys: only pins, keeps or nothing leads to
 * it, no process holds it, it is attached nowhere, and nothing that is in use uses it. A link that is
 * attached is in use, and so is an iterator, which runs when its pin is read. An object with an
 * unexplained reference, or with counters that were changing, may be in use and is left out; unknown
 * counters (procfs source) do not count. If a class was not read completely, some of the objects may be
 * in use: see bpfrefs_class_status. All members of the filter apply, as to bpfrefs_select_objects().
 *
 * Whether a link is attached is read from the kernel when the selection begins, for the links that nothing
 * else leads to (bpfrefs_info_read(), about 10 us each). What such an object takes: bpfrefs_memlock().
 */
int bpfrefs_select_unused(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			  const struct bpfrefs_filter *filter,
			  struct bpfrefs_selection **selection);
/** Returns the next unused object, valid until the next call; NULL at the end, or if items are others. */
const struct bpfrefs_unused *bpfrefs_next_unused(struct bpfrefs_selection *selection);

/** How the kernel runs a program. The values are stable, and later ones are added at the end. */
enum bpfrefs_hook {
	BPFREFS_HOOK_OTHER, /**< by a link of a type that this version of the library does not know */
	BPFREFS_HOOK_CGROUP,
	BPFREFS_HOOK_FANOUT,
	BPFREFS_HOOK_FREPLACE,
	BPFREFS_HOOK_KPROBE,
	BPFREFS_HOOK_KPROBE_MULTI,
	BPFREFS_HOOK_KRETPROBE,
	BPFREFS_HOOK_LSM,
	BPFREFS_HOOK_NETFILTER,
	BPFREFS_HOOK_NETKIT,
	BPFREFS_HOOK_NETNS,
	BPFREFS_HOOK_PERF_EVENT,
	BPFREFS_HOOK_RAW_TRACEPOINT,
	BPFREFS_HOOK_REUSEPORT,
	BPFREFS_HOOK_ROUTE,
	BPFREFS_HOOK_SOCKET,
	BPFREFS_HOOK_SOCKMAP,
	BPFREFS_HOOK_STRUCT_OPS,
	BPFREFS_HOOK_TC,
	BPFREFS_HOOK_TCX,
	BPFREFS_HOOK_TRACEPOINT,
	BPFREFS_HOOK_TRACING,
	BPFREFS_HOOK_TUN,
	BPFREFS_HOOK_UPROBE,
	BPFREFS_HOOK_UPROBE_MULTI,
	BPFREFS_HOOK_URETPROBE,
	BPFREFS_HOOK_XDP,
};

/** Returns the word in `.bpf/attachments`, such as "tcx", and "?" for any other value. The string is static. */
const char *bpfrefs_hook_name(enum bpfrefs_hook hook);

/** A place where the kernel runs a program. Valid until the next item. */
struct bpfrefs_attachment {
	size_t size;		/**< the size of this structure in the library */
	enum bpfrefs_hook hook; /**< how it is run */
	struct bpfrefs_key
		link; /**< the link that attaches it; its kind is BPFREFS_KIND_NONE if none does */
	const struct bpfrefs_object *prog; /**< the program, borrowed from the snapshot */
	/** bpfrefs_hook_name(); for BPFREFS_HOOK_OTHER the type of the link, or NULL. */
	const char *hook_name;
	/**
	 * The names of what says where it is, NULL at the end: such as "ifname", "ifindex", "netns",
	 * "netns_name", "cgroup", "attach_type", "function", "path", "offset", "priority", "position".
	 * bpfrefs(5), "attachments", lists them.
	 */
	const char *const *keys;
	const struct bpfrefs_value
		*values; /**< a value for each of @ref keys, none of them absent */
};

/**
 * Selects the places where the kernel runs programs, with a link or without, in the order of the programs. A
 * link to many functions is a place for each of them. The members of the filter about objects apply to the
 * program, and @ref bpfrefs_filter.holder to the link. Where links are attached is read from the kernel
 * when the selection begins, with the lock of the context: about 10 us for each link of the snapshot, or
 * only for the one in the filter. A link that was removed or detached since the snapshot has no place.
 */
int bpfrefs_select_attachments(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			       const struct bpfrefs_filter *filter,
			       struct bpfrefs_selection **selection);
/** Returns the next place, valid until the next call; NULL at the end, or if items are others. */
const struct bpfrefs_attachment *bpfrefs_next_attachment(struct bpfrefs_selection *selection);

/**
 * Returns the number of bytes of memory that are charged for an object. What the snapshot does not
 * have is read now, from "memlock" in the fdinfo of a descriptor that is opened for the moment, with
 * the lock of the context. For a map whose user state has been cleared no descriptor is opened: see
 * bpfrefs_info_read().
 * @return BPFREFS_UNKNOWN if it cannot be read, or the snapshot does not have the object
 */
uint64_t bpfrefs_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			 struct bpfrefs_key key);
/**
 * Does the same for all objects of the snapshot, and takes the lock of the context once. What cannot
 * change is remembered in the context, so that only objects that are new, and maps whose memory
 * depends on what they contain, are opened again the next time: about 10 us each.
 *
 * @param bytes is set to an owned array with a number for each object, in the order of
 *	bpfrefs_select_objects() without a filter; free it with free(3)
 * @return -ENOMEM
 */
int bpfrefs_snapshot_memlock(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			     uint64_t **bytes);

/* --------------------------------------------------------------- texts --- */

/**
 * Receives the next part of a text. The parts follow each other without gaps, and are ASCII or, for
 * JSON and DOT, UTF-8.
 *
 * @param text the part, which is not terminated by a NUL, and is valid only during the call
 * @param length its length in bytes, 1 or more
 * @param data the argument of that name of the function that was called
 * @return 0, or a negative errno: no more parts follow, and that function returns the value
 */
typedef int (*bpfrefs_write_fn)(const char *text, size_t length, void *data);

/*
 * The functions below write texts whose formats bpfrefs(5) documents, each as the file named in its
 * description. They call @p write in the calling thread with parts of 64 KiB or more, except for
 * the last one, and return 0, what @p write returned, or an error of their own. Gaps are part of
 * the text. They read nothing from the kernel unless they take a context, so that they need no
 * privilege and no version of it, and any number of threads may call them for one snapshot.
 */

/**
 * Writes the whole snapshot as one JSON object: `.bpf/json`. Each object, reference and process is
 * on a line of its own. Reads the memory of the objects, see bpfrefs_snapshot_memlock().
 * @return 0, the value of @p write, -ENOMEM
 */
int bpfrefs_snapshot_to_json(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			     bpfrefs_write_fn write, void *data);
/**
 * Writes every reference as a record on a line of its own, in the order of
 * bpfrefs_select_refs(): `.bpf/holders`.
 * @return 0, the value of @p write
 */
int bpfrefs_snapshot_to_records(const struct bpfrefs_snapshot *snapshot, bpfrefs_write_fn write,
				void *data);
/**
 * Writes a line for each object, in the order of the keys: `.bpf/objects`. Reads the memory of the
 * objects, see bpfrefs_snapshot_memlock().
 * @return 0, the value of @p write, -ENOMEM
 */
int bpfrefs_snapshot_to_objects(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
				bpfrefs_write_fn write, void *data);
/**
 * Writes a line for each item of bpfrefs_select_attachments() without a filter: `.bpf/attachments`.
 * @return 0, the value of @p write, -ENOMEM
 */
int bpfrefs_snapshot_to_attachments(struct bpfrefs_ctx *ctx,
				    const struct bpfrefs_snapshot *snapshot, bpfrefs_write_fn write,
				    void *data);
/**
 * Writes a line for each process that holds objects, with sums: `.bpf/processes`. Reads the memory
 * of the objects, see bpfrefs_snapshot_memlock(), and procfs: bpfrefs_process_cgroup(),
 * bpfrefs_process_namespaces().
 * @param pids the processes, in the order of the lines, borrowed during the call; those that hold
 *	nothing are left out. NULL: all
 * @param count the length of @p pids
 * @return 0, the value of @p write, -ENOMEM
 */
int bpfrefs_snapshot_to_processes(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
				  const uint32_t *pids, size_t count, bpfrefs_write_fn write,
				  void *data);
/**
 * Writes a picture of all references for dot(1): `.bpf/graph.dot`. What is alike is one node if the
 * picture would not fit on a page otherwise, and a caption says what was folded in this way.
 * @param fold_own one node stands for everything that this process holds for itself, unless the
 *	picture leaves that out
 * @return 0, the value of @p write, -ENOMEM
 */
int bpfrefs_snapshot_to_dot(const struct bpfrefs_snapshot *snapshot, bool fold_own,
			    bpfrefs_write_fn write, void *data);
/**
 * Writes a picture of everything that leads to an object, and of one step of what it holds, in the
 * same way: `.bpf/KIND/ID/graph.dot`.
 * @return 0, the value of @p write, -ENOENT if the snapshot does not have the object, -ENOMEM
 */
int bpfrefs_object_to_dot(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
			  bpfrefs_write_fn write, void *data);
/**
 * Writes a picture of everything that @p count processes hold, directly or through other objects, in
 * the same way: `.bpf/pid/PID/graph.dot`.
 * @param pids the ids of the processes
 * @return 0, the value of @p write, -ENOENT if none of them holds anything, -ENOMEM
 */
int bpfrefs_processes_to_dot(const struct bpfrefs_snapshot *snapshot, const uint32_t *pids,
			     size_t count, bpfrefs_write_fn write, void *data);
/**
 * Writes one object as a JSON object: `.bpf/KIND/ID/json`. Its member "info" is read from the
 * kernel now, and is null if the object was freed after the snapshot: see bpfrefs_info_read(),
 * also for the kernel and the lock that it needs.
 * @return 0, the value of @p write, -ENOENT if the snapshot does not have the object, -ENOMEM
 */
int bpfrefs_object_to_json(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			   struct bpfrefs_key key, bpfrefs_write_fn write, void *data);
/**
 * Writes one line of bpfrefs_snapshot_to_objects().
 * @param memlock the memory that is charged for the object: bpfrefs_memlock()
 * @return 0, the value of @p write
 */
int bpfrefs_object_to_line(const struct bpfrefs_object *object, uint64_t memlock,
			   bpfrefs_write_fn write, void *data);
/**
 * What bpfrefs_object_to_script() needs to know of the caller. Set all members to zero, then @ref size
 * and the others. Another size than that of this version: see struct bpfrefs_options.
 */
struct bpfrefs_script_options {
	size_t size;		/**< sizeof(struct bpfrefs_script_options) */
	const char *mountpoint; /**< where bpfrefs is mounted: its keeps are released there */
	uint32_t major;		/**< the major device number of the bpffs that it mirrors */
	uint32_t minor;		/**< the minor device number */
	uint64_t dir_ino;	/**< the inode number of the directory of that bpffs */
};

/**
 * Writes a script for sh(1) that frees one object: `.bpf/KIND/ID/free.sh`. It removes what leads to the
 * object, as far as that ends no process. Reads from procfs where namespaces and cgroups can be reached.
 * The text is ASCII: printf(1) makes the other bytes of names in it.
 * @return 0, the value of @p write, -ENOENT if the snapshot does not have the object, -EINVAL if the
 *	size in the options is invalid, or if they have no mountpoint; -E2BIG if a member that this
 *	version does not know is not zero; -ENOMEM
 */
int bpfrefs_object_to_script(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snapshot,
			     struct bpfrefs_key key, const struct bpfrefs_script_options *options,
			     bpfrefs_write_fn write, void *data);
/** Writes one line of bpfrefs_snapshot_to_records(). Returns 0 or the value of @p write. */
int bpfrefs_ref_to_record(const struct bpfrefs_ref *ref, bpfrefs_write_fn write, void *data);
/**
 * Writes how completely a class was read, without a newline: "complete", "partial: 3 processes:
 * Permission denied" or "unavailable: REASON". Returns 0 or the value of @p write.
 */
int bpfrefs_class_status_to_text(const struct bpfrefs_class_status *status, bpfrefs_write_fn write,
				 void *data);

/**
 * Writes the last line of a list that obeys bpfrefs_snapshot_hides(): how many objects the list
 * leaves out. Writes nothing if there are none. Returns 0 or the value of @p write.
 */
int bpfrefs_self_to_text(const struct bpfrefs_snapshot *snapshot, bpfrefs_write_fn write,
			 void *data);

/**
 * Returns the number "unexplained" of that line: the references that the kernel counts and that
 * were not found, or that were found and the kernel does not count; for a map, of both of its
 * counters together. BPFREFS_UNKNOWN if a counter could not be read, or changed during the scan.
 */
uint64_t bpfrefs_object_unexplained(const struct bpfrefs_object *object);

/* ------------------------------------------------------------- changes --- */

/**
 * What a snapshot showed, to be compared with a later one: its records, and the states of its
 * objects. It takes about as much memory as the text of bpfrefs_snapshot_to_records().
 */
struct bpfrefs_baseline;
/**
 * Makes a baseline of a snapshot, which may be released afterwards.
 *
 * @param limit the most bytes of the text of its records; 0, or more than 2 GiB: 2 GiB
 * @param baseline is set to the owned baseline; free it with bpfrefs_baseline_free()
 * @return -ENOMEM if the text would be longer than @p limit
 */
int bpfrefs_baseline_new(const struct bpfrefs_snapshot *snapshot, size_t limit,
			 struct bpfrefs_baseline **baseline);
/** Frees a baseline. NULL is allowed. */
void bpfrefs_baseline_free(struct bpfrefs_baseline *baseline);

/** What changed from one baseline to the next. Immutable. */
struct bpfrefs_change;
/**
 * Compares two baselines. Tokens (the fields "file" and "share") are not compared, since they are
 * valid within one snapshot. If a class has a gap that is new, a record of it that is missing may
 * still exist: it counts as removed once the class is complete. Until then it is added to @p now as
 * hidden, so that @p now belongs to this sequence of changes alone.
 *
 * @param ctx if not NULL: the lines of objects have the memory that is charged for them, which is read
 *	now: see bpfrefs_memlock()
 * @param then the baseline before, which is not changed
 * @param now the baseline of @p snapshot
 * @param number the number of the change, from 1 on, which counts up in a sequence of changes
 * @return the owned change, to be freed with bpfrefs_change_free(); NULL if nothing differs, and
 *	@p then stays the last baseline
 */
struct bpfrefs_change *bpfrefs_change_new(struct bpfrefs_ctx *ctx,
					  const struct bpfrefs_baseline *then,
					  struct bpfrefs_baseline *now,
					  const struct bpfrefs_snapshot *snapshot, uint64_t number);
/** Frees a change. NULL is allowed. */
void bpfrefs_change_free(struct bpfrefs_change *change);
/** Returns the number that bpfrefs_change_new() got. */
uint64_t bpfrefs_change_number(const struct bpfrefs_change *change);
/** Returns how many items bpfrefs_select_changes() has. It can be 0. */
size_t bpfrefs_change_count(const struct bpfrefs_change *change);
/** Returns the number of bytes of memory that a change takes. */
size_t bpfrefs_change_bytes(const struct bpfrefs_change *change);

/** What an item of a change reports. */
enum bpfrefs_change_type {
	BPFREFS_CHANGE_ADDED,	 /**< a reference was added */
	BPFREFS_CHANGE_REMOVED,	 /**< a reference was removed */
	BPFREFS_CHANGE_STATE,	 /**< the state of an object changed, or it is new and not held */
	BPFREFS_CHANGE_COVERAGE, /**< a class is read more or less completely than before */
};

/** An item of a change. Valid until the next item. */
struct bpfrefs_change_item {
	size_t size;			    /**< the size of this structure in the library */
	enum bpfrefs_change_type type;	    /**< what it reports */
	struct bpfrefs_key key;		    /**< the object; no object for a coverage */
	const struct bpfrefs_class *class_; /**< the class of the reference or coverage, or NULL */
	enum bpfrefs_state before;	    /**< the state before; of a new object: held */
	enum bpfrefs_state after;	    /**< the state now */
	/**
	 * The record of the reference, the line of the object (bpfrefs_object_to_line()), or the
	 * coverage (bpfrefs_class_status_to_text()). No NUL and no newline terminate it.
	 */
	const char *text;
	size_t length; /**< the length of @ref text in bytes */
};

/**
 * Selects the items of a change: references by target, class and text, then objects, then classes. Of
 * the filter apply @ref bpfrefs_filter.kinds and @ref bpfrefs_filter.object to the object of an item,
 * @ref bpfrefs_filter.states to its state now, so that they select changes of states alone, and @ref
 * bpfrefs_filter.class_.
 * @param change the change, which must exist longer than the selection
 */
int bpfrefs_select_changes(const struct bpfrefs_change *change, const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **selection);
/** Returns the next item, valid until the next call; NULL at the end, or if items are others. */
const struct bpfrefs_change_item *bpfrefs_next_change(struct bpfrefs_selection *selection);

/**
 * Writes the lines of `.bpf/events` for a sequence of changes. What one of them added and a later
 * one removed is left out, as is a state that is the same at the end as before.
 *
 * @param changes @p count changes that follow each other, 1 or more
 * @param last the baseline after the last of them
 * @param opened the number of the last change before the reader began. A record that a gap hid then
 *	is new to that reader when it is shown again.
 * @return 0 if the text is the same for each value of @p opened, 1 if it is not, or what @p write
 *	returned
 */
int bpfrefs_changes_to_text(const struct bpfrefs_change *const *changes, size_t count,
			    const struct bpfrefs_baseline *last, uint64_t opened,
			    bpfrefs_write_fn write, void *data);

/** Takes a snapshot at each interval, and says what changed. Not thread-safe. */
struct bpfrefs_monitor;
/**
 * Opens a monitor, and takes the first snapshot. What comes and goes between two snapshots is not
 * seen.
 *
 * @param ctx the context, which must be closed after the monitor
 * @param interval_ms the time between two snapshots in milliseconds, 1 or more
 * @param monitor is set to the owned monitor; close it with bpfrefs_monitor_close()
 * @return -EINVAL if the interval is 0, the errors of timerfd_create(2) and
 *	bpfrefs_snapshot_take()
 */
int bpfrefs_monitor_open(struct bpfrefs_ctx *ctx, unsigned int interval_ms,
			 struct bpfrefs_monitor **monitor);
/**
 * Returns a borrowed descriptor for poll(2), which becomes readable when the interval has passed.
 * Call bpfrefs_monitor_next() then; do not read from the descriptor.
 */
int bpfrefs_monitor_fd(const struct bpfrefs_monitor *monitor);
/**
 * Takes a snapshot now, without waiting for the interval, and compares it with the one before.
 *
 * @param change is set to the owned change, to be freed with bpfrefs_change_free(); NULL if nothing
 *	changed
 * @return 1 if something changed, 0 if not, or an error of bpfrefs_snapshot_take(), after which the
 *	monitor can still be used
 */
int bpfrefs_monitor_next(struct bpfrefs_monitor *monitor, struct bpfrefs_change **change);
/** Closes a monitor. NULL is allowed. */
void bpfrefs_monitor_close(struct bpfrefs_monitor *monitor);

/* ------------------------------------------------------------- effects --- */

/**
 * Pins an object in a bpffs (BPF_OBJ_PIN), with the credentials of the calling thread.
 *
 * @param dir_fd the directory
 * @param name the name in that directory, one component
 * @return the errors of BPF_OBJ_PIN, such as -EEXIST, -EACCES and -EPERM; -ENOENT if there is
 *	no such object; -EINVAL for an invalid name; -EOPNOTSUPP for a BTF, which the kernel cannot
 *	pin
 */
int bpfrefs_pin(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, int dir_fd, const char *name);

/**
 * Identifies the object that is pinned as @p name in the directory @p dir_fd. The pin is opened
 * (BPF_OBJ_GET), which is a reference to the object during the call. The pin of a link on a
 * read-only bpffs cannot be opened (-EROFS), and is identified with a snapshot.
 *
 * @param key is set to the key of the object
 * @return -ENOENT if there is no such name, -EACCES if it is not a pin (bpf_inode_type())
 */
int bpfrefs_pin_identify(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			 struct bpfrefs_key *key);

/**
 * Predicts from the snapshot what removing one linked pin of the object @p key would do. An
 * unexplained reference counts as a holder that stays, except for the pin itself if the snapshot
 * does not have it. A counter that could not be read (procfs source) does not count as a holder. A
 * pin that is a keep counts as a pin.
 *
 * @param major the major device number of the bpffs
 * @param minor the minor device number of the bpffs
 * @param pin_ino the inode number of the pin
 * @return 0 if neither the object would be freed nor its user state be cleared, or if there is
 *	no such object; -EBUSY if one of the two would happen; -ENOMEM if there was not enough
 *	memory to find out
 */
int bpfrefs_unpin_check(const struct bpfrefs_snapshot *snapshot, struct bpfrefs_key key,
			uint32_t major, uint32_t minor, uint64_t pin_ino);

/** How bpfrefs keeps an object alive. */
enum bpfrefs_keep_mode {
	BPFREFS_KEEP_OFF,  /**< not at all */
	BPFREFS_KEEP_FD,   /**< by a descriptor of this process */
	BPFREFS_KEEP_PIN,  /**< by a pin in bpfrefs/keep */
	BPFREFS_KEEP_AUTO, /**< by a pin in bpfrefs/auto, until no root leads to the object */
};

/** Returns "off", "fd", "pin" or "auto", and "?" for any other value. The string is static. */
const char *bpfrefs_keep_name(enum bpfrefs_keep_mode mode);
/**
 * Stores the mode that has the name @p name in @p mode.
 * @return -EINVAL if no mode has that name; @p mode is then unchanged
 */
int bpfrefs_keep_parse(const char *name, enum bpfrefs_keep_mode *mode);

/**
 * The keeps of one directory of a bpffs: descriptors of this process, and pins in the
 * subdirectories bpfrefs/keep and bpfrefs/auto.
 */
struct bpfrefs_keeper;

/**
 * Opens the keeper of a directory of a bpffs. Pins that an earlier keeper left there are its keeps
 * too.
 *
 * @param source_fd the directory, borrowed until bpfrefs_keeper_close()
 * @param keeper is set to the owned keeper, which borrows @p ctx
 * @return -EBADF if @p source_fd is negative
 */
int bpfrefs_keeper_open(struct bpfrefs_ctx *ctx, int source_fd, struct bpfrefs_keeper **keeper);
/**
 * Closes a keeper: keeps what is pending, and closes its descriptors. Its pins stay. Other keepers of
 * the context are not affected. Call it before bpfrefs_ctx_close(). No other thread may use the
 * keeper any more. NULL is allowed.
 */
void bpfrefs_keeper_close(struct bpfrefs_keeper *keeper);

/**
 * Sets the mode in which an object is kept. The new reference is taken before the old one is
 * released. Does nothing if the object is kept in that mode already.
 *
 * @return -ENOENT if there is no such object; -EOPNOTSUPP for mode auto and an object without
 *	a user state, and for mode pin and a BTF; -EPERM if bpfrefs, keep or auto in the directory
 *	exists and is not a directory that is owned by root with mode 0700; -EINVAL for an invalid
 *	kind or mode
 */
int bpfrefs_keep_set(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode mode);
/**
 * Reads the mode in which an object is kept now, from the directories. It takes a snapshot only for
 * a link on a read-only bpffs: see bpfrefs_pin_identify().
 * @param mode is set to the mode
 */
int bpfrefs_keep_get(struct bpfrefs_keeper *keeper, struct bpfrefs_key key,
		     enum bpfrefs_keep_mode *mode);
/**
 * Opens the program arrays that a program uses (the map_ids of struct bpf_prog_info), which holds
 * them, and leaves it to bpfrefs_keep_pending() to keep them in mode auto. It never waits for a
 * snapshot that is being taken: the loader of the program may exit at any moment.
 *
 * @param prog_id the id of the program
 * @return the number of arrays that bpfrefs_keep_pending() will keep, if they are not kept already;
 *	0 if there is no such program any more
 */
int bpfrefs_keep_program(struct bpfrefs_keeper *keeper, uint32_t prog_id);
/**
 * Keeps, in mode auto, the arrays that bpfrefs_keep_program() has opened. It may have to wait until
 * a snapshot has been taken. An array without another user reference is first held for 50
 * milliseconds, after which its slots show whether the kernel has cleared it.
 *
 * @param wait_ms is set to the time in milliseconds after which to call this again; -1: not before
 *	bpfrefs_keep_program() has opened more. It is set even if the call fails.
 * @return the number of arrays that are newly kept
 */
int bpfrefs_keep_pending(struct bpfrefs_keeper *keeper, int *wait_ms);
/**
 * Returns how many objects this keeper keeps in a mode: for BPFREFS_KEEP_FD its descriptors, for
 * BPFREFS_KEEP_PIN and BPFREFS_KEEP_AUTO the pins in its directories; -EINVAL for any other mode.
 */
int bpfrefs_keep_count(struct bpfrefs_keeper *keeper, enum bpfrefs_keep_mode mode);
/**
 * Releases all automatic keeps that no root leads to in either of two snapshots (bpfrefs(5),
 * "auto"). Releases none if a class was not read completely, since a root may have been missed.
 * @return the number of keeps that were released
 */
int bpfrefs_keep_release(struct bpfrefs_keeper *keeper);

/**
 * Selects the automatic keeps of a snapshot that no root leads to; the items are objects, for
 * bpfrefs_next_object(). All members of the filter apply, as to bpfrefs_select_objects().
 *
 * @return -EAGAIN if a class was not read completely, since a root may have been missed
 */
int bpfrefs_select_garbage(const struct bpfrefs_snapshot *snapshot,
			   const struct bpfrefs_filter *filter,
			   struct bpfrefs_selection **selection);

/** A subscription to the kernel's events for program loads and unloads. Not thread-safe. */
struct bpfrefs_watch;

/** The events that bpfrefs_watch_wait() reports. */
enum bpfrefs_event {
	BPFREFS_EVENT_LOAD,   /**< a program was loaded */
	BPFREFS_EVENT_UNLOAD, /**< a program was freed */
	BPFREFS_EVENT_LOST,   /**< events were lost: read the state of the system again */
};

/**
 * Subscribes (perf_event_open(2) with attr.bpf_event, PERF_RECORD_BPF_EVENT). Requires Linux 5.0,
 * and CAP_PERFMON (since Linux 5.8) or CAP_SYS_ADMIN.
 *
 * @param cpu the CPU on which a program is loaded, which need not be online yet; negative:
 *	every CPU
 * @param stop_fd a borrowed descriptor: bpfrefs_watch_wait() ends with -ECANCELED when it is
 *	readable; negative: none
 * @param watch is set to the owned subscription; close it with bpfrefs_watch_close()
 * @return the errors of perf_event_open(2) and mmap(2); -ENODEV if no CPU could be subscribed
 *	to
 */
int bpfrefs_watch_open(int cpu, int stop_fd, struct bpfrefs_watch **watch);
/** Closes a subscription. NULL is allowed. */
void bpfrefs_watch_close(struct bpfrefs_watch *watch);
/**
 * Waits for events and calls @p fn for each. Only one thread at a time may wait.
 *
 * @param timeout_ms the timeout in milliseconds; negative: none, as in poll(2)
 * @param fn is called with the id of the program, which is 0 for BPFREFS_EVENT_LOST
 * @return the number of events, 0 if the timeout expired
 */
int bpfrefs_watch_wait(struct bpfrefs_watch *watch, int timeout_ms,
		       void (*fn)(enum bpfrefs_event event, uint32_t prog_id, void *data),
		       void *data);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* BPFREFS_H */
