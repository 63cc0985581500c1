/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners: graph nodes that are neither BPF objects nor processes. A mount namespace owns the bpffs
 * mounts in it, a bpffs instance its pins, a network namespace its devices and attachments, a device
 * its programs. A reference with an owner is no root by itself: it lasts as long as its owner, and an
 * owner lasts as long as anything holds it.
 *
 * An owner for which no hold was found is kept by something that was not found: it counts as a root,
 * so that nothing is said to be freed that might stay.
 */
#ifndef BPFREFS_OWNER_H
#define BPFREFS_OWNER_H

#include "snapshot/private.h"

enum owner_kind {
	OWNER_MNT_NS, /* id: inode number of the namespace */
	OWNER_NET_NS, /* id: inode number of the namespace */
	OWNER_BPFFS,  /* id: major << 32 | minor of the superblock */
	OWNER_NETDEV, /* id: address of the net_device */
	OWNER_SOCKET, /* id: address of the struct sock */
	OWNER_TUN, /* id: address of the tun_struct: its open files, which need not stay in its namespace */
	OWNER_PSOCK, /* id: where a socket's copy of a sockmap's program is */
	OWNER_XDP,   /* id: a program that the dispatcher of XDP holds for devices */
	OWNER_KINDS
};

/* How a hold came about: the words are made in owner.c. */
enum owner_how {
	OWNER_BY_TASK,	   /* a process or thread whose nsproxy has the namespace */
	OWNER_BY_FD,	   /* a descriptor of the namespace, mount, directory, device or socket */
	OWNER_BY_CWD,	   /* a working directory */
	OWNER_BY_ROOT_DIR, /* a root directory (chroot(2)) */
	OWNER_BY_MOUNT,	   /* a mount: of the bpffs, or a bind mount of a namespace's file */
	OWNER_BY_MEMBER,   /* something that is in it: a socket in its network namespace */
	OWNER_BY_KERNEL,   /* the kernel itself: the initial namespace, a persistent device */
	OWNER_BY_HERE,	   /* our own mount namespace: what we reach is taken to stay */
	OWNER_BY_UNKNOWN,  /* the kernel counts a reference whose holder was not found */
	OWNER_HOWS
};

/* One thing that keeps an owner alive: a process, another owner, or what stays. */
struct owner_hold {
	uint32_t owner; /* index in snap->owners of what is held */
	uint32_t by;	/* index in snap->owners of the holder, or OWNER_NONE */
	uint32_t pid; /* the holding process, or 0; with none of @by, @pid and @map, it is a root */
	enum owner_how how;
	uint64_t
		detail; /* OWNER_BY_FD: the descriptor; OWNER_BY_TASK: the thread, where it is not the leader */
	uint32_t map; /* or the map that holds it, whether it has users or not; 0: none */
};

#define OWNER_NONE UINT32_MAX

struct owner {
	enum owner_kind kind;
	uint64_t id;
	/* set when the snapshot is frozen */
	bool used;     /* a reference lasts as long as it, or another owner that is used does */
	uint32_t node; /* its place in snap->kept; OWNER_NONE: it stays, or is not used */
};

/*
 * Does it last only as long as everything that holds it, and not as long as anything? A device goes
 * with its network namespace, and with its open files or its peer's namespace, whichever is first.
 */
static inline bool owner_needs_all(const struct owner *owner)
{
	return owner->kind == OWNER_NETDEV;
}

/* "net_ns", "bpffs", ... */
const char *owner_name(enum owner_kind kind);

/* Finds an owner, or adds it. Returns its index, OWNER_NONE where there is no memory. */
uint32_t scan_owner(struct scan *scan, enum owner_kind kind, uint64_t id);
/* Finds an owner; OWNER_NONE where it is not in this snapshot. */
uint32_t scan_owner_find(const struct scan *scan, enum owner_kind kind, uint64_t id);
/* Adds one hold; a hold equal to one that is there already may be added again. */
void scan_owner_hold(struct scan *scan, struct owner_hold hold);
/* The name of a process that holds owners: it is listed where one of them leads to a reference. */
void scan_owner_process(struct scan *scan, uint32_t pid, const char *comm);
/* Makes the reference one that lasts as long as its owner. OWNER_NONE changes nothing. */
void ref_set_owner(struct bpfrefs_ref *ref, uint32_t owner);

/* The arrays of a snapshot that are about owners. */
void owners_init(struct bpfrefs_snapshot *snap);
void owners_clear(struct bpfrefs_snapshot *snap);
/*
 * When all references are there: reduces snap->holds to what matters. An owner that stays, whatever
 * process exits, is none any more: what it holds is a root of its own. snap->kept has the others that
 * references last as long as, and the indexes in snap->holds, which are in order, are places in it.
 * Adds their processes to snap->processes, which need not be in order; one that nothing has named is
 * read from @proc_fd. Where there is no memory the snapshot's arena has failed.
 */
void owners_resolve(struct bpfrefs_snapshot *snap, int proc_fd);

static inline uint64_t owner_bpffs_id(uint32_t major, uint32_t minor)
{
	return (uint64_t)major << 32 | minor;
}

#endif
