/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The procfs source: what procfs, mountinfo and bpf(2) tell of BPF objects and their holders. A
 * collection first reads all of it into struct proc_scan; then each holder class takes its part.
 */
#ifndef BPFREFS_PROC_H
#define BPFREFS_PROC_H

#include "snapshot/private.h"

/* Things of one sort that could not be read, and the first error (positive; 0: no error). */
struct proc_missed {
	uint32_t count;
	int error;
};

void proc_miss(struct proc_missed *missed, int err); /* err: -errno or 0 */

/* Tells the first of some gaps that is one: a class's status has room for one count. */
struct proc_gap {
	const struct proc_missed *missed;
	const char *what;
};
void proc_gaps(struct scan *scan, const struct proc_gap *gaps, size_t count);

/* Did this error come of something that went away meanwhile? */
bool proc_is_gone(int err);

/* The decimal names in a directory of procfs, ascending; owned array of uint32_t. */
int proc_numbers(int proc_fd, const char *path, GArray **numbers);

/* kcmp(2): 0 equal, 1 less, 2 greater, 3 neither, or -errno. Tests give their own. */
enum { PROC_COMPARE_FILE = 0, PROC_COMPARE_FILES = 2 };
typedef int (*proc_compare_fn)(uint32_t tid_a, uint32_t tid_b, int what, uint32_t a, uint32_t b);

/* -------------------------------------------- descriptors (proc-fd.c) --- */

struct proc_file {
	struct bpfrefs_key key; /* kind BPFREFS_KIND_COUNT: an iterator's descriptor */
	uint32_t pid, tid, fd;	/* tid 0: in the thread group leader's table */
	uint32_t file;		/* which open file description, from 1 */
	bool gone;		/* it was closed while we looked */
};

struct proc_fds {
	GArray *files;			/* struct proc_file, by key, then as found */
	GArray *iters;			/* struct proc_file */
	GHashTable *comms;		/* pid -> owned name */
	struct proc_missed processes;	/* that may not be looked into */
	struct proc_missed descriptors; /* that could not be told apart */
};

int proc_fds_read(int proc_fd, proc_compare_fn compare, struct proc_fds *fds);
void proc_fds_clear(struct proc_fds *fds);

/* Numbers the open file descriptions (proc-file.c). Sorts by key. */
void proc_files_tell_apart(struct proc_fds *fds, proc_compare_fn compare);

/* --------------------------------------------------- pins (proc-pin.c) --- */

struct proc_pin {
	struct bpfrefs_key key;
	uint32_t major, minor;
	uint64_t ino;
	uint32_t uid, gid, mode;
	int64_t mtime;
	char *inner;  /* path inside its instance */
	uint32_t pid; /* a process that sees it, 0: we do */
	bool first;   /* of the names of its inode: it carries the reference */
	enum bpfrefs_keep_mode keep;
};

struct proc_dir {
	uint32_t major, minor;
	uint64_t ino;
	char *inner;
};

/* One mount of a bpffs in one mount namespace. */
struct proc_place {
	struct bpffs_mount *mount; /* borrowed from its namespace's array */
	uint32_t mnt_ns, pid;	   /* pid 0: our own namespace */
};

struct proc_pins {
	GArray *pins;	    /* struct proc_pin */
	GArray *dirs;	    /* struct proc_dir */
	GArray *places;	    /* struct proc_place, by instance; the best to walk first */
	GPtrArray *own;	    /* struct bpffs_mount of our own namespace */
	GPtrArray *others;  /* of GPtrArray: of the others */
	GHashTable *inodes; /* device and number of each pin seen */
	struct proc_missed namespaces, instances, parts, pinned;
	struct proc_missed covered; /* pins and directories under other mounts */
};

int proc_pins_read(int proc_fd, struct proc_pins *pins);
void proc_pins_clear(struct proc_pins *pins);

static inline struct pin_place proc_pin_place(const struct proc_pin *pin)
{
	return (struct pin_place){ pin->major, pin->minor, pin->ino, pin->inner };
}

/* What could not be read of pins, as a gap of the class that scans now. */
void proc_pins_gaps(struct scan *scan, const struct proc_pins *pins);

/* Where bpffs is mounted, in every mount namespace (proc-place.c). */
int proc_places_read(int proc_fd, struct proc_pins *pins);
/* An O_PATH descriptor of a mount's root, checked to be of that mount's instance. */
int proc_place_open(int proc_fd, const struct proc_place *place);

/* ------------------------------------- what keeps them (proc-owner.c) --- */

/* Adds every instance of bpffs that was seen as an owner, and what keeps it; before the classes' turn. */
void proc_owners(struct scan *scan);

/* ---------------------------------------------- objects (proc-object.c) --- */

/* An object holds another. */
struct proc_edge {
	struct bpfrefs_key target, holder;
	const char *via;
	uint32_t ref, user;
	bool has_slot;
	uint32_t slot;
	char *slot_text; /* of a key that is no number */
};

struct proc_edges {
	GArray *edges;					/* struct proc_edge */
	bool failed;					/* there was no memory for one more */
	struct proc_missed objects[BPFREFS_KIND_COUNT]; /* holders that could not be opened */
	struct proc_missed arrays;    /* program arrays whose slots may not be read */
	struct proc_missed slots;     /* maps whose slots could not all be read */
	struct proc_missed templates; /* maps of maps, whose templates are not told */
};

/* The edges of a program array's or map of maps' slots (proc-slot.c). */
struct map_facts;
void proc_slots_read(struct proc_edges *edges, int fd, const struct map_facts *facts);
/* The edge, valid until the next one; NULL where there is no memory for it. */
struct proc_edge *proc_edge_add(struct proc_edges *edges, struct bpfrefs_key holder,
				struct bpfrefs_key target, const char *via, uint32_t user);

/* ----------------------------------------------------- the source (proc.c) --- */

/* A context's own: lives as long as it. */
struct proc_data {
	/*
	 * Program arrays' facts, by id. A descriptor of one whose usercnt is 0 clears it again when
	 * it is closed, and if the kernel has not finished clearing it the map leaks
	 * (map_release_uref()). So an array is opened once, when it is met, and again only while
	 * something else holds its user state.
	 */
	GHashTable *arrays; /* struct proc_array */
	GHashTable *others; /* ids of maps that are none */
	proc_compare_fn compare;
};

/* A collection's own: scan->source_data. */
struct proc_scan {
	struct proc_fds fds;
	struct proc_pins pins;
	struct proc_edges edges;
	GHashTable *users; /* ids of maps that a descriptor or a pin holds */
	GArray *strangers; /* uint32_t: ids of maps met for the first time, that nothing found holds */
};

#endif
