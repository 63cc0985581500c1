/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of open virtual files share: handles.c has the table, handle.c opens, reads and writes. */
#ifndef HANDLE_H
#define HANDLE_H

#include "fs.h"

struct handle {
	gatomicrefcount count; /* one for the open file, and one for each reply in progress */
	uint64_t ino;
	GString *text; /* owned; empty if the file is open for writing only, or has a reader */
	struct reader *reader; /* owned; NULL except for events */
	struct timespec when;  /* the time of the text's snapshot */
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
	GCond made;	       /* signalled when a large text is finished */
	GHashTable *in_making; /* row -> the number of its texts that are being rendered */
};

/* Adds it to the table: 0, or -errno where too much is open. */
int handles_add(struct handles *handles, struct handle *handle);
void handles_remove(struct handles *handles, struct handle *handle);

#endif
