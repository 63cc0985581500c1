// SPDX-License-Identifier: GPL-2.0
/*
 * Programs attached to cgroups without a link. Each entry of cgroup_bpf.progs[] that has no link
 * holds its program once (__cgroup_bpf_attach()); effective[] holds nothing.
 *
 * The tree of the v2 hierarchy is walked by self.children and self.sibling. These still have the
 * cgroups that were removed but are in use, which iterators of cgroups skip, until
 * css_release_work_fn().
 */
#include "bpf/walk.bpf.h"
#include "uapi/newer.h"

/*
 * CSS_ONLINE is in an enumeration without a name, which CO-RE cannot find. It is cleared when a
 * cgroup is removed.
 */
#define CSS_ONLINE 2

/* ------------------------------------------------------ attach types --- */

#define note(name, uapi)                                                                   \
	do {                                                                               \
		if (bpf_core_enum_value_exists(enum cgroup_bpf_attach_type, name)) {       \
			__u32 at = bpf_core_enum_value(enum cgroup_bpf_attach_type, name); \
			if (at < WALK_CGROUP_TYPES)                                        \
				walk.cgroups.types[at] = (uapi) + 1;                       \
		}                                                                          \
	} while (0)

/*
 * Fills walk.cgroups.types: the UAPI's number for each of the kernel's own types, plus 1; 0 if
 * there is none.
 */
SEC("syscall")
int walk_cgroup_types(void *ctx)
{
	note(CGROUP_INET_INGRESS, BPF_CGROUP_INET_INGRESS);
	note(CGROUP_INET_EGRESS, BPF_CGROUP_INET_EGRESS);
	note(CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_CREATE);
	note(CGROUP_SOCK_OPS, BPF_CGROUP_SOCK_OPS);
	note(CGROUP_DEVICE, BPF_CGROUP_DEVICE);
	note(CGROUP_INET4_BIND, BPF_CGROUP_INET4_BIND);
	note(CGROUP_INET6_BIND, BPF_CGROUP_INET6_BIND);
	note(CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_CONNECT);
	note(CGROUP_INET6_CONNECT, BPF_CGROUP_INET6_CONNECT);
	note(CGROUP_UNIX_CONNECT, NEWER_BPF_CGROUP_UNIX_CONNECT);
	note(CGROUP_INET4_POST_BIND, BPF_CGROUP_INET4_POST_BIND);
	note(CGROUP_INET6_POST_BIND, BPF_CGROUP_INET6_POST_BIND);
	note(CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP4_SENDMSG);
	note(CGROUP_UDP6_SENDMSG, BPF_CGROUP_UDP6_SENDMSG);
	note(CGROUP_UNIX_SENDMSG, NEWER_BPF_CGROUP_UNIX_SENDMSG);
	note(CGROUP_SYSCTL, BPF_CGROUP_SYSCTL);
	note(CGROUP_UDP4_RECVMSG, BPF_CGROUP_UDP4_RECVMSG);
	note(CGROUP_UDP6_RECVMSG, BPF_CGROUP_UDP6_RECVMSG);
	note(CGROUP_UNIX_RECVMSG, NEWER_BPF_CGROUP_UNIX_RECVMSG);
	note(CGROUP_GETSOCKOPT, BPF_CGROUP_GETSOCKOPT);
	note(CGROUP_SETSOCKOPT, BPF_CGROUP_SETSOCKOPT);
	note(CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET4_GETPEERNAME);
	note(CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME);
	note(CGROUP_UNIX_GETPEERNAME, NEWER_BPF_CGROUP_UNIX_GETPEERNAME);
	note(CGROUP_INET4_GETSOCKNAME, BPF_CGROUP_INET4_GETSOCKNAME);
	note(CGROUP_INET6_GETSOCKNAME, BPF_CGROUP_INET6_GETSOCKNAME);
	note(CGROUP_UNIX_GETSOCKNAME, NEWER_BPF_CGROUP_UNIX_GETSOCKNAME);
	note(CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_INET_SOCK_RELEASE);
	return 0;
}

static __always_inline __u32 attach_type(__u32 type)
{
	if (bpf_core_enum_value_exists(enum cgroup_bpf_attach_type, CGROUP_LSM_START) &&
	    type >= bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_LSM_START) &&
	    type <= bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_LSM_END))
		return BPF_LSM_CGROUP + 1;
	return walk.cgroups.types[type & (WALK_CGROUP_TYPES - 1)];
}

/* ------------------------------------------------------------ the walk --- */

/* What the next step does with the cgroup at walk.cgroups.at. */
enum {
	LOOK,  /* does it have programs? */
	NAMES, /* emit it and those above it, walk.cgroups.up first */
	PROGS, /* emit the entries, walk.cgroups.entry first, then those of walk.cgroups.type */
	DOWN,  /* go to its first child */
	ALONG, /* go to its next sibling, or up */
};

#define STEPS_MAX (1 << 20)

static __always_inline __u32 type_count(void)
{
	return bpf_core_field_size(struct cgroup_bpf, progs) / sizeof(__u64);
}

static __always_inline void look(struct cgroup *cgroup)
{
	__u64 any = 0;

	/* one read for all lists: most cgroups have no program */
	if (bpf_probe_read_kernel(walk.cgroups.lists, type_count() * sizeof(__u64),
				  __builtin_preserve_access_index(&cgroup->bpf.progs)))
		walk.ended = WALK_TORN;
	for (int i = 0; i < WALK_CGROUP_TYPES; i++)
		any |= walk.cgroups.lists[i];
	walk.cgroups.up = (__u64)cgroup;
	walk.cgroups.type = 0;
	walk.cgroups.entry = 0;
	walk.cgroups.phase = any ? NAMES : DOWN;
}

static __always_inline void emit_cgroup(struct cgroup *cgroup)
{
	struct walk_cgroup *out = walk_room();
	long len;

	if (!out) {
		walk.ended = WALK_FULL;
		return;
	}
	out->cgroup = (__u64)cgroup;
	out->parent = (__u64)BPF_CORE_READ(cgroup, self.parent, cgroup);
	out->id = BPF_CORE_READ(cgroup, kn, id);
	out->dying = !(BPF_CORE_READ(cgroup, self.flags) & CSS_ONLINE);
	out->pad = 0;
	len = bpf_probe_read_kernel_str(out->name, sizeof(out->name),
					BPF_CORE_READ(cgroup, kn, name));
	if (len <= 0)
		out->name[0] = 0;
	walk_emit(&out->rec, WALK_CGROUP, sizeof(*out), 0);
	if (out->parent)
		walk.cgroups.up = out->parent;
	else
		walk.cgroups.phase = PROGS;
}

/* How programs of this type were attached to @cgroup: BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI. */
static __always_inline __u32 flags_of(struct cgroup *cgroup, __u32 type)
{
	__u64 flags = (__u64)__builtin_preserve_access_index(&cgroup->bpf) +
		      bpf_core_field_offset(struct cgroup_bpf, flags);
	__u32 word = 0;
	__u8 byte = 0;

	if (bpf_core_field_size(struct cgroup_bpf, flags) == type_count()) {
		bpf_probe_read_kernel(&byte, sizeof(byte), (void *)(flags + type * sizeof(byte)));
		return byte;
	}
	bpf_probe_read_kernel(&word, sizeof(word), (void *)(flags + type * sizeof(word)));
	return word;
}

static __always_inline void emit_entry(struct cgroup *cgroup, struct bpf_prog_list *entry)
{
	__u32 type = walk.cgroups.type, uapi = attach_type(type);
	struct bpf_link *link = BPF_CORE_READ(entry, link);
	struct bpf_prog_aux *aux = BPF_CORE_READ(entry, prog, aux);
	struct walk_cgroup_prog *out = walk_room();

	/* a link holds its program itself; holders/cgroup.c says what differs for LSM */
	if (link && uapi != BPF_LSM_CGROUP + 1)
		return;
	if (!out) {
		walk.ended = WALK_FULL;
		return;
	}
	if (link) /* struct bpf_cgroup_link begins with it; entry->prog is NULL then */
		aux = BPF_CORE_READ(link, prog, aux);
	out->entry = (__u64)entry;
	out->cgroup = (__u64)cgroup;
	out->type = uapi;
	out->flags = flags_of(cgroup, type);
	out->linked = link != NULL;
	out->hook = 0;
	out->hook_btf = 0;
	if (uapi == BPF_LSM_CGROUP + 1) {
		out->hook = BPF_CORE_READ(aux, attach_btf_id);
		out->hook_btf = BPF_CORE_READ(aux, attach_btf, id);
	}
	out->pad = 0;
	walk_emit(&out->rec, WALK_CGROUP_PROG, sizeof(*out), BPF_CORE_READ(aux, id));
}

/* Emits one entry of a list, or takes the next list; after the last one the walk goes down. */
static __always_inline void emit_progs(struct cgroup *cgroup)
{
	struct hlist_node *node = (void *)walk.cgroups.entry, *self = NULL;
	__u32 type = walk.cgroups.type;

	if (node) {
		bpf_probe_read_kernel(&self, sizeof(self), BPF_CORE_READ(node, pprev));
		if (self != node) {
			walk.ended = WALK_TORN;
			return;
		}
		emit_entry(cgroup,
			   (void *)node - bpf_core_field_offset(struct bpf_prog_list, node));
		if (walk.ended != WALK_DONE)
			return;
		walk.cgroups.entry = (__u64)BPF_CORE_READ(node, next);
		if (!walk.cgroups.entry)
			walk.cgroups.type = type + 1;
		return;
	}
	if (type >= type_count() || type >= WALK_CGROUP_TYPES) {
		walk.cgroups.phase = DOWN;
		return;
	}
	walk.cgroups.entry = walk.cgroups.lists[type];
	if (!walk.cgroups.entry)
		walk.cgroups.type = type + 1;
}

/* Enters a cgroup by its place in the list of its parent's children. */
static __always_inline void enter(struct list_head *place, struct cgroup_subsys_state *parent)
{
	struct cgroup_subsys_state *css =
		(void *)place - bpf_core_field_offset(struct cgroup_subsys_state, sibling);

	if (BPF_CORE_READ(css, parent) != parent) {
		walk.ended = WALK_TORN;
		return;
	}
	walk.cgroups.at = (__u64)css - bpf_core_field_offset(struct cgroup, self);
	walk.cgroups.phase = LOOK;
}

static __always_inline void go_down(struct cgroup *cgroup)
{
	struct list_head *head = __builtin_preserve_access_index(&cgroup->self.children);
	struct list_head *first = BPF_CORE_READ(head, next);

	if (first == head)
		walk.cgroups.phase = ALONG;
	else
		enter(first, __builtin_preserve_access_index(&cgroup->self));
}

static __always_inline void go_along(struct cgroup *cgroup)
{
	struct list_head *place = __builtin_preserve_access_index(&cgroup->self.sibling);
	struct cgroup_subsys_state *parent = BPF_CORE_READ(cgroup, self.parent);
	struct list_head *next = BPF_CORE_READ(place, next);

	if (!parent) {
		walk.cgroups.at = 0;
		return;
	}
	/* it was removed from the list during the walk: what follows it cannot be trusted */
	if (!next || BPF_CORE_READ(next, prev) != place)
		walk.ended = WALK_TORN;
	else if (next == __builtin_preserve_access_index(&parent->children))
		walk.cgroups.at = (__u64)BPF_CORE_READ(parent, cgroup);
	else
		enter(next, parent);
}

static __always_inline void step_one(struct cgroup *cgroup)
{
	switch (walk.cgroups.phase) {
	case LOOK:
		look(cgroup);
		break;
	case NAMES:
		emit_cgroup((void *)walk.cgroups.up);
		break;
	case PROGS:
		emit_progs(cgroup);
		break;
	case DOWN:
		go_down(cgroup);
		break;
	default:
		go_along(cgroup);
	}
}

static int cgroup_step(__u32 index, void *ctx)
{
	step_one((void *)walk.cgroups.at);
	return walk.ended != WALK_DONE || !walk.cgroups.at ? 1 : 0;
}

/*
 * Emits the programs of all cgroups, from walk.cgroups on (from the root where that is 0), and
 * before those of one cgroup the names of the cgroups above it. The walk has ended when it returns
 * WALK_DONE and walk.cgroups.at is 0.
 */
SEC("syscall")
int walk_cgroups(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cgroup *mine = NULL;

	walk.ended = WALK_DONE;
	/* without CONFIG_CGROUP_BPF nothing can be attached */
	if (!bpf_core_field_exists(mine->bpf))
		return 0;
	if (!walk.cgroups.at) {
		mine = BPF_CORE_READ(task, cgroups, dfl_cgrp);
		walk.cgroups.at = (__u64)BPF_CORE_READ(mine, root) +
				  bpf_core_field_offset(struct cgroup_root, cgrp);
		walk.cgroups.phase = LOOK;
	}
	bpf_loop(STEPS_MAX, cgroup_step, NULL, 0);
	if (walk.cgroups.at && walk.ended == WALK_DONE)
		walk.ended = WALK_FULL;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
