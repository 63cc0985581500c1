/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The procfs source: what procfs, mountinfo and bpf(2) show of BPF objects and their holders. A
 * scan first reads all of it into struct proc_scan, then each holder class takes its part.
 */
#ifndef BPFREFS_PROC_H
#define BPFREFS_PROC_H

#include "snapshot/private.h"
#include "uapi/info.h"

/* ------------------------------------------------- mounts (mounts.c) --- */

/* A mount of a bpffs, or of another type of filesystem, in a mount namespace. */
struct bpffs_mount {
	uint32_t major, minor;
	char *root;    /* the directory of the instance that is mounted: "/" */
	char *target;  /* the mount point, as seen in that namespace */
	char *options; /* of the instance, as mountinfo shows them; mode, uid and gid are of @root */
	bool hidden;   /* another mount covers it, or a directory on the way to it */
	/* a FUSE or network filesystem is on the way to it: a lookup may block for ever */
	bool remote;
	/* paths at which other mounts cover parts of it, NULL at the end; NULL: none */
	char **over;
};

/*
 * Reads the mounts of bpffs that a process sees (pid 0: this process), with libmount. Sets @mounts
 * to an owned array, which owns its elements.
 */
int mounts_read(int proc_fd, uint32_t pid, GPtrArray **mounts);
/* The same for the mounts of another type of filesystem, such as "nsfs". */
int mounts_read_type(int proc_fd, uint32_t pid, const char *type, GPtrArray **mounts);
/*
 * Returns the path of @inner in an instance through these mounts, owned; NULL if no mount leads
 * there.
 */
char *mounts_path(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner);
/*
 * Whether one of these mounts contains @inner. If mounts_path() is NULL then, another mount covers
 * it.
 */
bool mounts_have(const GPtrArray *mounts, uint32_t major, uint32_t minor, const char *inner);

/*
 * What could not be read of one sort, and the first error: a positive errno, 0 if it was no error.
 */
struct proc_missed {
	uint32_t count;
	int error;
};

void proc_miss(struct proc_missed *missed, int err); /* err: -errno or 0 */

/* Reports the first of some gaps that is not empty: the status of a class has room for one. */
struct proc_gap {
	const struct proc_missed *missed;
	const char *what;
};
void proc_gaps(struct scan *scan, const struct proc_gap *gaps, size_t count);

/* Returns true if an error means that the process or file has disappeared. */
bool proc_is_gone(int err);

/*
 * The memory that is charged for an object, by a descriptor of this process, or by one that is opened
 * for the moment, with ctx->lock held. BPFREFS_UNKNOWN if it cannot be read.
 */
uint64_t proc_memlock_fd(int proc_fd, int fd);
uint64_t proc_memlock(struct bpfrefs_ctx *ctx, struct bpfrefs_key key);

/*
 * Reads the decimal names in a directory of procfs into an array of uint32_t, ascending,
 * owned by the caller.
 */
int proc_numbers(int proc_fd, const char *path, GArray **numbers);

/*
 * The interface of kcmp(2): 0 equal, 1 less, 2 greater, 3 not equal and not ordered, or -errno.
 * Tests provide their own.
 */
enum { PROC_COMPARE_FILE = 0, PROC_COMPARE_FILES = 2 };
typedef int (*proc_compare_fn)(uint32_t tid_a, uint32_t tid_b, int what, uint32_t a, uint32_t b);

/* ------------------------------------ descriptors (descriptors.c) --- */

struct proc_file {
	struct bpfrefs_key key; /* kind is BPFREFS_KIND_NONE for an iterator */
	uint32_t pid, tid, fd;	/* tid is 0 for the table of the thread group leader */
	uint32_t file;		/* the number of its open file description, from 1 */
	bool gone;		/* it was closed during the scan */
};

struct proc_fds {
	GArray *files;			/* struct proc_file, sorted by key, then as found */
	GArray *iters;			/* struct proc_file */
	GHashTable *comms;		/* pid -> owned name */
	struct proc_missed processes;	/* that may not be read */
	struct proc_missed descriptors; /* whose open files could not be compared */
};

int proc_fds_read(int proc_fd, proc_compare_fn compare, struct proc_fds *fds);
void proc_fds_clear(struct proc_fds *fds);

/* Sorts by key and numbers the open file descriptions (files.c). */
void proc_files_identify(struct proc_fds *fds, proc_compare_fn compare);

/* ----------------------------------------------------- pins (pins.c) --- */

struct proc_pin {
	struct bpfrefs_key key;
	uint32_t major, minor;
	uint64_t ino;
	uint32_t uid, gid, mode;
	int64_t mtime;
	char *inner;  /* its path within the instance */
	uint32_t pid; /* a process that can reach it, 0 for this one */
	bool first;   /* the first of its inode's names, which has the reference */
	enum bpfrefs_keep_mode keep;
};

struct proc_dir {
	uint32_t major, minor;
	uint64_t ino;
	char *inner;
};

/* One mount of a bpffs in one mount namespace. */
struct proc_mount {
	struct bpffs_mount *mount; /* borrowed from the array of its namespace */
	uint32_t mnt_ns, pid;	   /* pid is 0 for our own namespace */
};

struct proc_pins {
	GArray *pins;	    /* struct proc_pin */
	GArray *dirs;	    /* struct proc_dir */
	GArray *places;	    /* struct proc_mount, by instance; the best to walk first */
	GPtrArray *own;	    /* struct bpffs_mount of our own namespace */
	GPtrArray *others;  /* GPtrArray of struct bpffs_mount, for each other namespace */
	GHashTable *inodes; /* device and inode number of each pin that was found */
	struct proc_missed namespaces, instances, parts, pinned;
	struct proc_missed covered; /* pins and directories below other mounts */
};

int proc_pins_read(int proc_fd, struct proc_pins *pins);
void proc_pins_clear(struct proc_pins *pins);

static inline struct pin_location proc_pin_location(const struct proc_pin *pin)
{
	return (struct pin_location){ pin->major, pin->minor, pin->ino, pin->inner };
}

/* Finds where bpffs is mounted in each mount namespace (bpffs_dirs.c). */
int proc_mounts_read(int proc_fd, struct proc_pins *pins);
/* Opens the root of a mount as O_PATH, and checks that it belongs to the instance. */
int proc_mount_open(int proc_fd, const struct proc_mount *place);

/* ------------------------------------------ owners of pins (owners.c) --- */

/*
 * Adds every instance of bpffs that was found as an owner, with what keeps it. It must run
 * before the classes.
 */
void proc_owners(struct scan *scan);

/* ----------------------------------------------- objects (objects.c) --- */

/* One object holds another. */
struct proc_edge {
	struct bpfrefs_key target, holder;
	unsigned int via; /* enum walk_via */
	uint32_t ref, user;
	bool has_slot;
	uint32_t slot;
	char *slot_text; /* a key that is not a number */
};

struct proc_edges {
	GArray *edges;				/* struct proc_edge */
	bool failed;				/* there was no memory for one more */
	struct proc_missed objects[KIND_COUNT]; /* holders that could not be opened */
	struct proc_missed arrays;		/* program arrays whose slots must not be read */
	struct proc_missed slots;		/* maps of which a slot could not be read */
	struct proc_missed templates;		/* maps of maps, whose templates are not shown */
};

/* Adds the references of all edges of a kind of holder to its class. */
void proc_edges_take(struct scan *scan, enum bpfrefs_kind holder);
/* Adds the edges of the slots of a program array or map of maps (slots.c). */
void proc_slots_read(struct proc_edges *edges, int fd, const struct map_facts *facts);
/* Returns the new edge, which is valid until the next call; NULL if there is no memory for it. */
struct proc_edge *proc_edge_add(struct proc_edges *edges, struct bpfrefs_key holder,
				struct bpfrefs_key target, unsigned int via, uint32_t user);

/* --------------------------------------- the source (procfs_source.c) --- */

/* The state of a context. */
struct proc_data {
	/*
	 * The properties of program arrays, by id. When a descriptor of an array with usercnt 0 is
	 * closed, the kernel clears the array again, and if it has not finished to clear it before,
	 * the map leaks (map_release_uref()). So an array is opened once, when it is first seen,
	 * and again only while something else is a user of it.
	 */
	GHashTable *arrays;	/* struct proc_array */
	GHashTable *others;	/* the ids of maps that are no program arrays */
	GHashTable *prog_names; /* full names of programs, by id (prog_name.c) */
	proc_compare_fn compare;
};

/* The state of one scan: scan->source_data. */
struct proc_scan {
	struct proc_fds fds;
	struct proc_pins pins;
	struct proc_edges edges;
	GHashTable *users; /* the ids of maps that a descriptor or a pin holds */
	/* uint32_t: the ids of new maps for which no holder was found. */
	GArray *unclassified;
};

/* ------------------------------------------ program arrays (common.c) --- */

/* The properties of program arrays seen so far, by id: those that never change. */
struct proc_array {
	struct map_facts facts;
	uint64_t memlock;
};

const struct proc_array *proc_array_find(const struct proc_data *data, uint32_t id);
/* Records whether a map is a program array. */
void proc_array_meet(struct proc_data *data, const struct map_facts *facts, uint64_t memlock);
bool proc_array_is_unclassified(const struct proc_data *data, uint32_t id);
/*
 * Waits before unclassified maps are opened. One of them may be a program array whose last user has
 * just been removed. The work that this started to clear it must be finished before the close of
 * our descriptor starts it again.
 */
void proc_array_wait(void);
/* Removes the arrays that are not in this scan, since their ids may be used again. */
void proc_arrays_sweep(struct scan *scan);

/* ------------------------------------- full names of programs (prog_name.c) --- */

struct prog_facts;

/*
 * Returns the name of the function of the program @fd, borrowed from @data until the next scan, if the
 * kernel has cut it; else NULL. It is read once for each program.
 */
const char *prog_name_full(struct proc_data *data, int fd, const struct prog_facts *facts);
/* Copies the name of type @id of a BTF, cut to 63 bytes. False if there is none. */
bool prog_name_in_btf(const uint8_t *data, uint32_t size, uint32_t id, char name[64]);
/* Forgets the names of programs that are not in this scan. */
void prog_name_sweep(struct scan *scan);

#endif
