/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of open virtual files share: handles.c has the table, handle.c opens, reads and writes. */
#ifndef HANDLE_H
#define HANDLE_H

#include "fs.h"

/*
 * A text, which does not change once its file is open. All handles of an inode share the one that
 * was rendered from one snapshot.
 */
struct handle_text {
	gatomicrefcount count;
	GString *text;
	uint64_t started_ns;  /* when its snapshot was started; 0: it has none */
	struct timespec when; /* the time of its snapshot */
	guint opens[2]; /* how many handles have it: all, and those of users other than root */
};

struct handle {
	gatomicrefcount count; /* one for the open file, and one for each reply in progress */
	uint64_t ino;
	/* a reference; empty if the file is open for writing only, or has a reader */
	struct handle_text *text;
	struct reader *reader; /* owned; NULL except for events */
	bool rendering;	       /* it is in handles->rendering */
	bool writable;
	bool others; /* opened by a user other than root */
};

/* All handles of one inode. */
struct opened {
	gint64 ino;	    /* the table's key points here */
	GPtrArray *handles; /* borrowed */
};

/* The number of open files, and the bytes of their texts. */
struct account {
	guint files;
	uint64_t bytes;
};

struct handles {
	GMutex lock;	    /* protects the members below */
	GHashTable *by_ino; /* ino -> owned struct opened */
	uint64_t room;	    /* the limit of all texts together, in bytes */
	struct account all, others;
	GHashTable *rendering; /* the inodes of which a text is being rendered */
	GCond rendered;	       /* one of them is removed */
};

struct handle_text *handle_text_new(void);
/*
 * Gives the handle the text of another handle of its inode, if that was rendered from the snapshot
 * that was started at @started_ns. Otherwise returns false, and the handle renders its own text:
 * others of this inode wait until handles_rendered(). So only one text of a file is rendered at a
 * time, and those who wait share it.
 */
bool handles_share(struct handles *handles, struct handle *handle, uint64_t started_ns);
/* Called when the text was rendered and the handle is in the table, or when one of both failed. */
void handles_rendered(struct handles *handles, struct handle *handle);

/* Adds it to the table: 0, or -errno where too much is open. */
int handles_add(struct handles *handles, struct handle *handle);
void handles_remove(struct handles *handles, struct handle *handle);

#endif
