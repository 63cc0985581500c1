/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the mirror still mounted in the daemon's mount namespace? After umount(8) it need not be, and yet
 * the connection lives, and SOURCE stays busy, while another mount namespace has a copy of the mount
 * or a process has something of it open.
 */
#ifndef MOUNTED_H
#define MOUNTED_H

#include "fs.h"

struct mounted;

/* Starts a thread that sleeps until mounts change, and logs when ours was removed. 0 or -EAGAIN. */
int mounted_start(const struct fs *fs, struct mounted **out);
void mounted_stop(struct mounted *mounted); /* NULL is allowed */
/* Is a mount of it in our mount namespace, anywhere? Yes too if that cannot be read. */
bool mounted_is_here(const struct fs *fs);

#endif
