/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of fs share: the daemon's state, the virtual tree's table, handles, callers.
 * libfuse's types stop at ops.c, session.c and mirror.c: nothing here needs them.
 */
#ifndef FS_H
#define FS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "bpfrefs.h"

/* --------------------------------------------------------------- text.c --- */

/*
 * Reads a file of procfs to its end; @text is owned, @length may be NULL. (g_file_get_contents() leaves
 * the descriptor open where fdopen(3) fails.)
 */
int text_read(const char *path, char **text, size_t *length);
/* What one text may take: where it would become longer, it fails with -ENOMEM (text_room() in show.h). */
void text_set_limit(size_t bytes);

/* ------------------------------------------------------------ options --- */

struct fs_options {
	bool pins_file;	      /* pins=file, else pins=symlink */
	unsigned int max_age; /* milliseconds */
	bool keep_auto;
	bool guard; /* see guard.c */
	bool has_gid;
	gid_t gid;
	bool ro;
	char *source, *mountpoint; /* absolute */
};

/* -------------------------------------------------------------- state --- */

struct view;
struct errlog;
struct mirror;
struct source;
struct handles;
struct events;
struct trim;

struct fs {
	struct fs_options opt;
	struct bpfrefs_ctx *ctx;
	struct bpfrefs_keeper *keeper;
	struct view *view;	 /* view.c */
	struct errlog *errors;	 /* errlog.c */
	struct handles *handles; /* handle.c */
	struct events *events;	 /* events.c */
	struct mirror *mirror;	 /* mirror.c */
	struct source *source;	 /* source.c */
	int source_fd;		 /* O_PATH of SOURCE, opened before the mount */
	uint32_t source_major, source_minor;
	uint64_t source_ino;
	bool has_xattrs; /* SOURCE */
	dev_t mount_dev;	     /* our own mount's number, as mountinfo has it; 0 before it is there */
	uint64_t scan_bytes_max;     /* what a snapshot in the making may take */
	struct timespec started;     /* CLOCK_REALTIME: times of what has no snapshot */
	struct trim *trim;	     /* trim.c */
	struct auto_keep *auto_keep; /* auto.c sets it while its thread runs; borrowed */
};

/* Who asks. tid is the calling thread's id in the initial pid namespace. */
struct caller {
	pid_t tid;
	uid_t uid;
	gid_t gid;
};

/* ---------------------------------------------------- caller (caller.c) --- */

/*
 * May this thread do with bpf(2) itself what controls do: CAP_SYS_ADMIN effective in the initial
 * user namespace? 0 or -EPERM. From /proc/TID/status (CapEff) and /proc/TID/ns/user. Never for a
 * worker of io_uring or of the kernel, whose credentials need not be those of who asks.
 */
int caller_is_admin(const struct caller *caller);
/* May it read what is in .bpf? What the kernel asks of the modes there, for the names beside pins. */
bool caller_may_read(const struct caller *caller, const struct fs_options *opt);
/* The thread's comm and its process's pid, for the error log. */
void caller_describe(const struct caller *caller, pid_t *pid, char comm[32]);
/*
 * Makes the calling thread of the daemon act with the caller's fsuid, fsgid, groups and those of its
 * capabilities that files are checked by, until caller_leave(). -errno if they could not be taken:
 * then nothing has changed.
 */
int caller_enter(const struct caller *caller);
void caller_leave(void);

/* ------------------------------------------------------- view (view.c) --- */

struct view *view_new(struct bpfrefs_ctx *ctx, unsigned int max_age_ms);
void view_free(struct view *view);
/*
 * A snapshot that was begun after this call, or is at most max_age old; owned. Concurrent callers
 * share one scan. 0 or -errno.
 */
int view_get(struct view *view, struct bpfrefs_snapshot **snap);
/*
 * The references to one object, begun after this call; owned. -EAGAIN where only a snapshot of
 * everything will do, or is as quick: others wait for one too, or max_age allows an older one.
 */
int view_one(struct view *view, struct bpfrefs_key key, struct bpfrefs_snapshot **snap);
/* The same, whatever max_age: for decisions. */
int view_fresh(struct view *view, struct bpfrefs_snapshot **snap);
/* The same, but one of the last second will do: for lookups, which then look again if they miss. */
int view_recent(struct view *view, struct bpfrefs_snapshot **snap);
/* After a control: no older snapshot is used again. */
void view_invalidate(struct view *view);
/* What is touched after each scan; set before the first and after the last one; NULL: nothing. */
void view_set_trim(struct view *view, struct trim *trim);
/*
 * Frees the last snapshot if it is too old to be shown again. False, and nothing is done, while a
 * caller waits for one.
 */
bool view_drop_stale(struct view *view);
/* What the last scan that succeeded found, also when its snapshot has been let go. */
struct view_last {
	struct bpfrefs_snapshot_stats stats;
	size_t objects, references;
};
/* False: there was none yet. */
bool view_last(struct view *view, struct view_last *last);
/* Scans made so far; *last, where that is asked for, gets the last snapshot if it is kept, owned. */
uint64_t view_scans(struct view *view, struct bpfrefs_snapshot **last);

/* --------------------------------------------------- errlog (errlog.c) --- */

struct errlog *errlog_new(void);
void errlog_free(struct errlog *log);
/* Adds a line; the newest 256 are kept. command is escaped. caller NULL: the daemon itself. */
void errlog_add(struct errlog *log, const struct caller *caller, const char *command, int error,
		const char *reason);
int errlog_show(struct errlog *log, GString *out); /* -ENOMEM */
/* Lines ever added. */
uint64_t errlog_count(struct errlog *log);

/* ------------------------------------------------------ tree (tree.c) --- */

/* Where a row applies: its object, process, descriptor. */
struct where {
	struct fs *fs;
	const struct node *row;
	struct bpfrefs_key key;
	uint32_t pid, fd;
	struct bpfrefs_snapshot *snap; /* for show: borrowed, set where the row asks for one */
};

struct node; /* node.h: one row of the table, which is in tree.c */

/*
 * The virtual part's inode numbers: space:4 | row:12 | payload:48, payload = kind:16 | id:32, or
 * pid:22 | fd:26 for descriptors. Space 0 is the mirror's (its own table; 1 is the root).
 */
#define INO_SPACE(ino) ((unsigned int)((uint64_t)(ino) >> 60))
enum { SPACE_MIRROR, SPACE_TREE, SPACE_TWIN };

/* One name found: its number, attributes, and how long the kernel may believe both. */
struct entry {
	uint64_t ino;
	struct stat attr;
	double entry_timeout, attr_timeout;
};

/* Called once for each directory entry; false: the buffer is full, stop. cookie names the next. */
typedef bool (*dir_fill)(void *data, const char *name, const struct entry *entry, off_t cookie);

/* The virtual tree as the operations need it. All return 0 or -errno. */
uint64_t tree_root_ino(void); /* .bpf itself */
int tree_lookup(struct fs *fs, uint64_t parent, const char *name, struct entry *entry);
int tree_getattr(struct fs *fs, uint64_t ino, struct entry *entry);
int tree_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size);
/* Entries after @cookie (0: from the start), "." and ".." included. */
int tree_readdir(struct fs *fs, uint64_t ino, off_t cookie, dir_fill fill, void *data);
/* The twin ".NAME" of a pin @depth directories below the root. */
int tree_twin(struct fs *fs, unsigned int depth, struct bpfrefs_key key, struct entry *entry);

/* ---------------------------------------------------- handle (handle.c) --- */

/* An open virtual file: frozen text, or a control session, or both; or a reader of events. */
struct handle;
struct reader;

/* @room: how many bytes all open texts may take. What would be more fails with -ENOMEM. */
struct handles *handles_new(uint64_t room);
/* What is still open then is released. */
void handles_free(struct handles *handles);
/*
 * Opens a virtual file: checks the caller for writing, takes a snapshot, renders.
 * @flags as open(2). *length gets the text's length, for the size trick (BPFFS.md).
 */
int handle_open(struct fs *fs, uint64_t ino, int flags, const struct caller *caller,
		struct handle **handle, size_t *length);
/*
 * Keeps it while a reply is sent: a reader that got its data may close, and the release be served,
 * before write(2) to the kernel has returned here.
 */
struct handle *handle_ref(struct handle *handle);
void handle_unref(struct handle *handle);
/* What it reads by, where it is no text: borrowed, else NULL. */
struct reader *handle_reader(const struct handle *handle);
/* The slice at @offset: borrowed from the handle; its length is the result. */
ssize_t handle_read(struct handle *handle, off_t offset, size_t size, const char **data);
/* May the caller write that? 0 or -errno. Called once for each write, before handle_write(). */
int handle_check_write(struct fs *fs, const struct handle *handle, const struct caller *caller,
		       const char *data, size_t size);
/*
 * One command, which handle_check_write() has let pass. The number of bytes taken (all), or -errno.
 * One at a time, as what else removes pins: of two commands that remove one of the last two pins each,
 * the second must see what the first did. dispatch.c has one thread for them.
 */
ssize_t handle_write(struct fs *fs, struct handle *handle, const struct caller *caller,
		     const char *data, size_t size);
void handle_release(struct fs *fs, struct handle *handle);
/* The longest text now open on this inode, 0 if none: what st_size says meanwhile. */
size_t handles_length(struct handles *handles, uint64_t ino);
/* Is it open? Then the same length, and when what is longest was true. @handles may be NULL. */
bool handles_peek(struct handles *handles, uint64_t ino, size_t *length, struct timespec *when);

/* ---------------------------------------- paths in SOURCE (path.c) --- */

/*
 * Opens the directory that @path (relative to SOURCE) lies in, with openat2 RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV and the caller's own rights (the thread has entered them),
 * and gives its last component. -EXDEV for what leaves SOURCE (absolute, "..", a symlink, a mount),
 * -EINVAL for an empty path or component, -ENOENT no such directory.
 * @dir_fd gets an owned O_PATH descriptor, @name points into @path.
 */
int path_open_parent(int source_fd, const char *path, int *dir_fd, const char **name);

/* --------------------------------------------- automatic keeps (auto.c) --- */

/* A thread that keeps program arrays as programs load and lets go of what no root leads to. */
struct auto_keep;
/* @all: -o keep=auto; else it only lets go of the keeps that `auto` was written for. */
int auto_start(struct fs *fs, bool all, struct auto_keep **out);
void auto_stop(struct auto_keep *a);
/* An automatic keep was added: there is something to look after. NULL is allowed. */
void auto_wake(struct auto_keep *a);

#endif
