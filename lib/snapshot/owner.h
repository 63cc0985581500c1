/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners: nodes of the graph that are neither BPF objects nor processes. A mount namespace owns the
 * bpffs mounts in it, an instance of bpffs owns its pins, a network namespace owns its devices and
 * attachments, and a device owns its programs. A reference with an owner is not a root by itself:
 * it lasts as long as its owner, and an owner lasts as long as anything holds it.
 *
 * If no hold of an owner was found, something unknown keeps it alive. Such an owner counts as a
 * root, so that nothing is reported as freed that may stay.
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
	/*
	 * id: address of the tun_struct: for its open files, which need not be in its network
	 * namespace.
	 */
	OWNER_TUN,
	/*
	 * id: address of the member of a sk_psock that has a socket's copy of a sockmap's program.
	 */
	OWNER_PSOCK,
	/*
	 * id: id of a program that the XDP dispatcher (kernel/bpf/dispatcher.c) holds for devices.
	 */
	OWNER_XDP,
	OWNER_KINDS
};

/* How an owner is held. */
enum owner_how {
	OWNER_BY_TASK,	   /* a process or thread whose nsproxy has the namespace */
	OWNER_BY_FD,	   /* a descriptor of the namespace, mount, directory, device or socket */
	OWNER_BY_CWD,	   /* a working directory */
	OWNER_BY_ROOT_DIR, /* a root directory (chroot(2)) */
	OWNER_BY_MOUNT,	   /* a mount: of the bpffs, or a bind mount of a namespace's file */
	OWNER_BY_MEMBER,   /* something in it: a socket in its network namespace */
	OWNER_BY_KERNEL,   /* the kernel itself: an initial namespace, a persistent device */
	OWNER_BY_HERE,	   /* the mount namespace of this process, which is assumed to stay */
	OWNER_BY_UNKNOWN,  /* the kernel counts a reference whose holder was not found */
	OWNER_HOWS
};

/* One reason why an owner is alive: a process, another owner, a map, or something that stays. */
struct owner_hold {
	uint32_t owner; /* the owner that is held: an index in snap->owners */
	uint32_t by;	/* the owner that holds it: an index in snap->owners, or OWNER_NONE */
	/* The process that holds it, or 0. A hold without @by, @pid and @map is a root. */
	uint32_t pid;
	enum owner_how how;
	/* OWNER_BY_FD: the descriptor; OWNER_BY_TASK: the thread, unless it is the leader. */
	uint64_t detail;
	uint32_t map; /* the id of the map that holds it, whether or not that has users; 0: none */
};

#define OWNER_NONE UINT32_MAX

struct owner {
	enum owner_kind kind;
	uint64_t id;
	/* The rest is set when the snapshot is frozen. */
	bool used;     /* a reference, or another owner that is used, lasts as long as it */
	uint32_t node; /* index in snap->kept; OWNER_NONE: it stays, or is not used */
};

/*
 * Whether the owner lasts only as long as all that holds it, rather than as long as anything holds
 * it. A device is removed with its network namespace, and with its open files (tun) or with the
 * network namespace of its peer (veth), whichever is first.
 */
static inline bool owner_needs_all(const struct owner *owner)
{
	return owner->kind == OWNER_NETDEV;
}

/* Whether only processes and maps keep the owner with this index, in a frozen snapshot. */
static inline bool owner_ends(const struct bpfrefs_snapshot *snap, uint32_t index)
{
	return ((const struct owner *)snap->owners->pdata[index])->node != OWNER_NONE;
}

/* "net_ns", "bpffs", ... */
const char *owner_name(enum owner_kind kind);

/* Finds an owner, or adds it. Returns its index, or OWNER_NONE if there is no memory. */
uint32_t owner_add(struct scan *scan, enum owner_kind kind, uint64_t id);
/* Finds an owner. Returns OWNER_NONE if it is not in this snapshot. */
uint32_t owner_find(const struct scan *scan, enum owner_kind kind, uint64_t id);
/* Adds a hold. The same hold may be added several times. */
void owner_add_hold(struct scan *scan, struct owner_hold hold);
/*
 * Sets the name of a process that holds owners. It is listed if one of them leads to a reference.
 */
void owner_process(struct scan *scan, uint32_t pid, const char *comm);
/* Sets the owner of a reference. OWNER_NONE changes nothing. */
void owner_set_ref(struct bpfrefs_ref *ref, uint32_t owner);

/* Allocate and free the arrays of owners of a snapshot. */
void owners_init(struct bpfrefs_snapshot *snap);
void owners_clear(struct bpfrefs_snapshot *snap);
/*
 * Called when all references have been added: reduces snap->holds to what matters. An owner that
 * stays whatever process exits is dropped, and what it holds is then a root of its own. snap->kept
 * gets the other owners that references last as long as; snap->holds is sorted, and its indexes
 * then refer to snap->kept. The processes of the holds are added to snap->processes, unsorted; if
 * the name of one is unknown, it is read from @proc_fd. If there is no memory, the arena of the
 * snapshot has failed afterwards.
 */
void owners_resolve(struct bpfrefs_snapshot *snap, int proc_fd);

static inline uint64_t owner_bpffs_id(uint32_t major, uint32_t minor)
{
	return (uint64_t)major << 32 | minor;
}

#endif
