/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of fs share: the state of the daemon, callers, snapshots, the virtual tree, and
 * handles. The types of libfuse appear only in fs/fuse and in session.c.
 */
#ifndef FS_H
#define FS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "bpfrefs.h"

static inline void selection_clear(struct bpfrefs_selection **selection)
{
	bpfrefs_selection_free(*selection);
}

/* A selection that is freed at the end of its scope. */
#define selection_auto __attribute__((cleanup(selection_clear))) struct bpfrefs_selection

/* --------------------------------------------------------------- text.c --- */

/*
 * Reads a file of procfs to its end. @text is owned, and @length may be NULL.
 * (g_file_get_contents() leaks the descriptor if fdopen(3) fails.)
 */
int text_read(const char *path, char **text, size_t *length);
/*
 * Sets the most bytes of one text. Where it would become longer, it fails with -ENOMEM
 * (text_room() in show.h).
 */
void text_set_limit(size_t bytes);
size_t text_limit(void);

/* ------------------------------------------------------------ options --- */

struct fs_options {
	bool pins_file;	      /* pins=file, else pins=symlink */
	unsigned int max_age; /* milliseconds */
	bool keep_auto;
	bool guard;	/* see guard.c */
	bool self_show; /* self=show, else self=hide */
	bool has_gid;
	gid_t gid;
	bool ro;
	char *source, *mountpoint; /* absolute */
};

/*
 * How long the kernel may cache the names of objects and processes, and names and attributes of the
 * mirror: for max_age, but at most a second.
 */
static inline double names_age(const struct fs_options *opt)
{
	return MIN(opt->max_age, 1000u) / 1000.0;
}

/* -------------------------------------------------------------- state --- */

struct view;
struct errlog;
struct mirror;
struct mirror_source;
struct handles;
struct events;

struct fs {
	struct fs_options opt;
	struct bpfrefs_ctx *ctx;
	struct bpfrefs_keeper *keeper;
	struct view *view;	      /* view.c */
	struct errlog *errors;	      /* errlog.c */
	struct handles *handles;      /* handle.c */
	struct events *events;	      /* events.c */
	struct mirror *mirror;	      /* mirror.c */
	struct mirror_source *source; /* source.c */
	int source_fd;		      /* an O_PATH descriptor of SOURCE, opened before the mount */
	uint32_t source_major, source_minor;
	uint64_t source_ino;
	bool has_xattrs; /* SOURCE has extended attributes */
	/* the device number of the FUSE mount, as in mountinfo; 0 before the mount */
	dev_t mount_dev;
	uint64_t scan_bytes_max;     /* the most memory of a snapshot while it is collected */
	uint8_t cgroup_key[16];	     /* random; see fs/tree/cgroup.c */
	struct timespec started;     /* CLOCK_REALTIME; the time of files without a snapshot */
	struct auto_keep *auto_keep; /* set by auto.c while its threads run; borrowed */
};

/* The caller of a request. tid is the id of the calling thread in the initial PID namespace. */
struct caller {
	pid_t tid;
	uid_t uid;
	gid_t gid;
};

/* ---------------------------------------------------- caller (caller.c) --- */

/*
 * Checks that the thread could do with bpf(2) what the controls do: that CAP_SYS_ADMIN is
 * effective in the initial user namespace. Returns 0 or -EPERM. Reads /proc/TID/status (CapEff)
 * and /proc/TID/ns/user. Always refuses workers of io_uring and of the kernel, whose credentials
 * need not be those of the caller.
 */
int caller_is_admin(const struct caller *caller);
/*
 * Returns whether the caller may read the files in .bpf, by the same rules that the kernel
 * applies to their modes. The names next to pins (twins) depend on it.
 */
bool caller_may_read(const struct caller *caller, const struct fs_options *opt);
/* Returns the thread's comm and the pid of its process, for the error log. */
void caller_describe(const struct caller *caller, pid_t *pid, char comm[32]);
/*
 * Makes the calling thread of the daemon act with the caller's fsuid, fsgid, groups, and those of
 * its capabilities that apply to files, until caller_leave(). On -errno nothing has changed.
 */
int caller_enter(const struct caller *caller);
void caller_leave(void);

/* ------------------------------------------------------- view (view.c) --- */

struct view *view_new(struct bpfrefs_ctx *ctx, unsigned int max_age_ms);
void view_free(struct view *view);
/*
 * Returns a snapshot that began after this call, or is at most max_age old; owned. Concurrent
 * callers share one scan. Returns 0 or -errno.
 */
int view_get(struct view *view, struct bpfrefs_snapshot **snap);
/*
 * Returns a snapshot that has the references to one object, and began after this call; owned.
 * Callers that wait for the same object share a walk, and callers that wait for many objects, or
 * together with callers of view_get(), share a scan of everything. -EAGAIN with max_age, which
 * allows an older snapshot.
 */
int view_one(struct view *view, struct bpfrefs_key key, struct bpfrefs_snapshot **snap);
/* Like view_get() without max_age: for decisions. */
int view_fresh(struct view *view, struct bpfrefs_snapshot **snap);
/*
 * Like view_get(), but accepts a snapshot of the last second. For lookups, which repeat with a
 * new one if the name is not found.
 */
int view_recent(struct view *view, struct bpfrefs_snapshot **snap);
/*
 * Returns the error if this daemon lacked memory or descriptors while it took the snapshot, else 0. A
 * directory cannot show a gap: rather than that something is missing from it, looking fails. What the
 * daemon may not read is missing, as procfs leaves it out; .bpf/status says so.
 */
int view_shortage(const struct bpfrefs_snapshot *snap);
/* Returns the error for what a new snapshot does not have: that of view_shortage(), else -ENOENT. */
int view_missing(const struct bpfrefs_snapshot *snap);
/* Called after a control: older snapshots are not used any more. */
void view_invalidate(struct view *view);
/*
 * Frees the last snapshot if it is too old to be used again. Returns false, and does nothing,
 * while a caller waits for one.
 */
bool view_drop_stale(struct view *view);
/* What the last successful scan found. It is kept when the snapshot is freed. */
struct view_last {
	uint64_t wall_ns, took_ns, memory;
	uint32_t attempts;
	size_t objects, references;
};
/* Returns false if there was no scan yet. */
bool view_last(struct view *view, struct view_last *last);
/*
 * Returns the number of scans. *last, unless @last is NULL, gets the last snapshot, owned, or
 * NULL if it was freed.
 */
uint64_t view_scans(struct view *view, struct bpfrefs_snapshot **last);
/*
 * Starts and stops the thread that returns memory to the kernel when no request has come for a
 * moment. Not used with keep=auto, whose threads must act within a millisecond and must not wait
 * for the lock of the heap. Returns 0 or -EAGAIN.
 */
int view_trim_start(struct view *view);
void view_trim_stop(struct view *view);
/* Called when something that took memory has ended, for example a file was closed. */
void view_touch(struct view *view);
/* Returns free memory of the allocator to the kernel now. */
void view_return_memory(void);

/* --------------------------------------------------- errlog (errlog.c) --- */

struct errlog *errlog_new(void);
void errlog_free(struct errlog *log);
/*
 * Adds a line, of which the newest 256 are kept. @command is escaped. @caller is NULL for the
 * daemon.
 */
void errlog_add(struct errlog *log, const struct caller *caller, const char *command, int error,
		const char *reason);
int errlog_show(struct errlog *log, GString *out); /* -ENOMEM */
/* Returns the number of lines that were added. */
uint64_t errlog_count(struct errlog *log);

/* ------------------------------------------------------ tree (tree.c) --- */

/* The row of an inode, and its object, process and descriptor. */
struct where {
	struct fs *fs;
	const struct node *row;
	struct bpfrefs_key key;
	uint32_t pid, fd;
	uint64_t cgroup; /* the number of a cgroup, 0 for the root: see cgroup_path() */
	/* set for show functions of rows that need a snapshot; borrowed */
	struct bpfrefs_snapshot *snap;
};

struct node; /* one row of the table of tree.c, see node.h */

/*
 * Inode numbers of the virtual tree: space:4 | row:12 | payload:48, where payload = kind:16 |
 * id:32, or pid:22 | fd:26 for processes and descriptors, or the number of a cgroup. Space 0 is the mirror's, which has its
 * own table (1 is the root).
 */
#define INO_SPACE(ino) ((unsigned int)((uint64_t)(ino) >> 60))
enum { SPACE_MIRROR, SPACE_TREE, SPACE_TWIN };

/* A name that was found: its number and attributes, and how long the kernel may cache each. */
struct entry {
	uint64_t ino;
	struct stat attr;
	double entry_timeout, attr_timeout;
};

/*
 * Called for each directory entry. Returns false if the buffer is full. @cookie continues after
 * this entry.
 */
typedef bool (*dir_fill)(void *data, const char *name, const struct entry *entry, off_t cookie);

/* The virtual tree for the FUSE operations. The functions return 0 or -errno. */
uint64_t tree_root_ino(void); /* .bpf itself */
int tree_lookup(struct fs *fs, uint64_t parent, const char *name, struct entry *entry);
int tree_getattr(struct fs *fs, uint64_t ino, struct entry *entry);
int tree_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size);
/* Lists the entries after @cookie (0 for all), including "." and "..". */
int tree_readdir(struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill, void *data);
/*
 * Returns the path of a cgroup by its number, owned: "/" for the root, NULL if no process of the
 * snapshot is in it or below it.
 */
char *cgroup_path(const struct fs *fs, const struct bpfrefs_snapshot *snap, uint64_t cgroup);
/* Fills in the twin ".NAME" of a pin in a directory @depth levels below the root. */
int tree_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry);

/* ---------------------------------------------------- handle (handle.c) --- */

/* An open virtual file: a text rendered at its open, a control, or both; or a reader of events. */
struct handle;
struct reader;

/* @room: the most bytes of all open texts. An open that would exceed it fails with -ENOMEM. */
struct handles *handles_new(uint64_t room);
/* Releases the files that are still open. */
void handles_free(struct handles *handles);
/*
 * Opens a virtual file: checks the caller for writing, takes a snapshot, and renders the text.
 * @flags as in open(2). *length gets the length of the text, for store_length() in ops_io.c.
 */
int handle_open(struct fs *fs, uint64_t ino, int flags, const struct caller *caller,
		struct handle **handle, size_t *length);
/*
 * Keeps the handle while a reply is sent. A reader may have its data, and close the file, before
 * write(2) to the FUSE device has returned in this thread.
 */
struct handle *handle_ref(struct handle *handle);
void handle_unref(struct handle *handle);
/* Returns the reader of events, borrowed, or NULL for a text. */
struct reader *handle_reader(const struct handle *handle);
/* Returns the length of the text at @offset, at most @size. *data is borrowed from the handle. */
ssize_t handle_read(struct handle *handle, off_t offset, size_t size, const char **data);
/*
 * Checks that the caller may write this command. Returns 0 or -errno. Called once for each write,
 * before handle_write().
 */
int handle_check_write(struct fs *fs, const struct handle *handle, const struct caller *caller,
		       const char *data, size_t size);
/*
 * Runs a command that handle_check_write() has accepted. Returns the number of bytes (all) or
 * -errno. Only one command or guarded removal runs at a time, in the commands thread of
 * dispatch.c: if two commands remove the last two pins, the check of the second has to see the
 * first removal.
 */
ssize_t handle_write(struct fs *fs, struct handle *handle, const struct caller *caller,
		     const char *data, size_t size);
void handle_release(struct fs *fs, struct handle *handle);
/*
 * Returns the length of the longest text that is open on this inode, or 0. st_size has this
 * value.
 */
size_t handles_length(struct handles *handles, uint64_t ino);
/*
 * Returns whether the inode is open. If so, returns that length and the time of the longest text.
 * @handles may be NULL.
 */
bool handles_peek(struct handles *handles, uint64_t ino, size_t *length, struct timespec *when);

/* --------------------------------------------- automatic keeps (auto.c) --- */

/*
 * The threads that keep program arrays when programs are loaded, and release the keeps of objects
 * to which no root leads.
 */
struct auto_keep;
/*
 * Starts the threads. @all: -o keep=auto. Without it, only keeps made with the mode auto are
 * released.
 */
int auto_start(struct fs *fs, bool all, struct auto_keep **out);
void auto_stop(struct auto_keep *a);
/* Called when an automatic keep was added, which may have to be released later. @a may be NULL. */
void auto_wake(struct auto_keep *a);

#endif
