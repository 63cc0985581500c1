/* SPDX-License-Identifier: GPL-2.0 */
/* What all programs share: the output buffer, and how the walk over a long object is continued. */
#ifndef WALK_BPF_H
#define WALK_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/kernel.h"
#include "bpf/records.h"

#define NULL ((void *)0)

/* ------------------------------------------------------------- output --- */

extern char walk_out[WALK_OUT_SIZE];
extern struct walk_control walk;
extern struct walk_listed walk_list[WALK_LIST_MAX]; /* walk-load.bpf.c */

/* Room for one record of at most WALK_REC_MAX bytes, or NULL: the buffer is full. */
static __always_inline void *walk_room(void)
{
	__u32 at = walk.len;

	if (at > WALK_OUT_SIZE - WALK_REC_MAX)
		return NULL;
	return &walk_out[at];
}

static __always_inline void walk_emit(struct walk_rec *rec, __u16 type, __u16 size, __u32 id)
{
	rec->type = type;
	rec->size = size;
	rec->id = id;
	walk.len += size;
}

/* The kernel's bit for a field type, 0 where it has none such. */
#define walk_field_bit(name)                                             \
	(bpf_core_enum_value_exists(enum btf_field_type, name)           \
		 ? (__u32)bpf_core_enum_value(enum btf_field_type, name) \
		 : 0)

/* Is the buffer nearly full? Then a walk that can stop here does. */
static __always_inline bool walk_full(__u32 needed)
{
	return walk.len > WALK_OUT_SIZE - WALK_REC_MAX - needed;
}

/* Where to begin with this object: where it was left, or at 0. */
static __always_inline __u64 walk_begin(__u64 key)
{
	return walk.resume_key == key ? walk.resume_at : 0;
}

static __always_inline void walk_done(void)
{
	walk.resume_key = 0;
}

/*
 * To be returned by an iterator's program that has to stop in an object: the kernel ends the read
 * with EAGAIN and shows the same object again at the next one (bpf_iter_run_prog()).
 */
static __always_inline int walk_later(__u64 key, __u64 at)
{
	walk.resume_key = key;
	walk.resume_at = at;
	return 1;
}

#define WALK_AGAIN 1

/*
 * The same for programs that look into the objects in walk_list: @look tells of one from walk.resume_at
 * on, and where it ends as WALK_FULL walk.resume_at is where to go on.
 */
static __always_inline int walk_listed_step(int (*look)(__u64 address, __u32 id))
{
	const struct walk_listed *listed = &walk_list[walk.list_at & (WALK_LIST_MAX - 1)];

	look(listed->address, listed->id);
	if (walk.ended != WALK_DONE)
		return 1;
	walk.resume_at = 0;
	walk.list_at++;
	return 0;
}

/* From walk.list_at on; @step calls walk_listed_step(). */
static __always_inline int walk_all_listed(int (*step)(__u32 index, void *data))
{
	walk.ended = WALK_DONE;
	bpf_loop(walk.listed - walk.list_at, step, NULL, 0);
	return 0;
}

static __always_inline __u32 walk_prog_id(const struct bpf_prog *prog)
{
	return prog ? BPF_CORE_READ(prog, aux, id) : 0;
}

/* A pointer the verifier trusts is no scalar: these fetch it as one from the context. */
#define walk_scalar(ptr_field)                                                  \
	({                                                                      \
		__u64 __value = 0;                                              \
		bpf_probe_read_kernel(&__value, sizeof(__value), &(ptr_field)); \
		__value;                                                        \
	})

/* ------------------------------------------------ by plain loads (walk-load.bpf.c) --- */

/* The id of the object of that kind (map, program, link, btf) at @address. */
__u32 walk_id(__u64 address, __u32 kind);
/* A file's f_op->release and private_data. */
__u64 walk_release(__u64 file);
__u64 walk_private(__u64 file);
/*
 * Looks at the descriptors of one step (WALK_STEP of them) of walk_table, and has walk_tell() tell of
 * those that may be of interest.
 */
int walk_files(__u64 step);
#define WALK_STEP 32
int walk_tell(__u64 file, __u32 fd); /* holder-fd.bpf.c */
__u64 walk_ops(__u64 file);
/* The struct sock of a socket's file. */
__u64 walk_sock(__u64 file);

/* ------------------------------------------------- what keeps owners (walk-owner.bpf.c) --- */

/* The room that these need at most, for one task; for one file. */
#define WALK_PLACES_ROOM (sizeof(struct walk_ns) + 2 * sizeof(struct walk_hold))
#define WALK_FILE_ROOM	 (2 * sizeof(struct walk_hold))
int walk_emit_dirs(__u64 task);
int walk_emit_file(__u64 file, __u32 fd);
int walk_emit_member(__u64 file, __u32 fd, __u32 other);

/* ---------------------------------------- between holder-fd and the others --- */

extern struct walk_table walk_table; /* holder-fd.bpf.c */

/*
 * Tells that process, if it has not been told: before the first thing that it holds. No function of
 * its own: calls are nested as deeply as the verifier allows.
 */
static __always_inline void walk_tell_task(void)
{
	struct walk_task *out = walk_table.told ? NULL : walk_room();

	if (!out)
		return;
	out->tid = walk_table.pid == walk_table.tgid ? 0 : walk_table.pid;
	out->pad = 0;
	__builtin_memcpy(out->comm, walk_table.comm, sizeof(out->comm));
	walk_emit(&out->rec, WALK_TASK, sizeof(*out), walk_table.tgid);
	walk_table.told = 1;
}
/*
 * Tells a file that is held otherwise than by a descriptor (enum walk_how), if it is one of a BPF
 * object, or a socket or ring that may hold such files (holder-mmap.bpf.c). Needs WALK_HELD_ROOM.
 */
int walk_tell_held(__u64 file, __u64 at, __u64 end, __u32 how);
int walk_tell_gap(__u32 kind);
#define WALK_HELD_ROOM \
	(sizeof(struct walk_held) + sizeof(struct walk_carried) + sizeof(struct walk_task))
/*
 * Tells what a file of @other (enum walk_other: a socket, perf event or tun) holds, as held through
 * descriptor @fd of the process told by walk_tell_task() (holder-socket.bpf.c). It needs room of
 * WALK_USE_ROOM, and uses at most WALK_QUEUE_ROOM more if that is there.
 */
int walk_use_file(__u64 file, __u32 fd, __u32 other);

/* The same for a perf event that @holder keeps: kind << 32 | id (holder-perf.bpf.c). */
int walk_use_event(__u64 event, __u64 holder, __u32 slot, __u32 fd);
#define WALK_NO_HOLDER 0
int walk_use_tun(__u64 file, __u32 fd); /* holder-tun.bpf.c */
/* The same for a socket that a packet keeps: emits nothing where it is open (holder-socket.bpf.c). */
int walk_use_closed(__u64 sock, __u32 fd);
int walk_tell_backlog(__u64 qdisc); /* walk-packet.bpf.c */
int walk_use_xsk(__u64 sock, __u32 fd); /* walk-xsk.bpf.c */
int walk_use_kcm(__u64 sock, __u32 fd); /* walk-kcm.bpf.c */

/* Tells that a socket holds an object (holder-socket.bpf.c). */
int walk_tell_sock(__u64 address, __u64 what, __u64 use, __u32 id, __u32 fd);

/* A unix socket and its orphaned peer have a filter and four programs of a sockmap each. */
#define WALK_USE_ROOM	(10 * sizeof(struct walk_sock))
#define WALK_QUEUE_ROOM (64 * 1024)

/* Tells an edge between two objects. False: the buffer is full. */
static __always_inline bool walk_edge(__u32 holder_id, __u8 holder, __u32 target_id, __u8 target,
				      __u8 via, __u32 slot)
{
	struct walk_edge *edge = walk_room();

	if (!edge)
		return false;
	edge->holder = holder;
	edge->target = target;
	edge->via = via;
	edge->pad = 0;
	edge->target_id = target_id;
	edge->slot = slot;
	edge->key_size = 0;
	walk_emit(&edge->rec, WALK_EDGE, sizeof(*edge), holder_id);
	return true;
}

/* Tells a btf that some object leads to: iterators show none. */
static __always_inline void walk_tell_btf(struct btf *btf)
{
	struct walk_btf *out = btf ? walk_room() : NULL;

	if (!out)
		return;
	out->refcnt = BPF_CORE_READ(btf, refcnt.refs.counter);
	out->kernel = BPF_CORE_READ(btf, kernel_btf);
	out->address = (__u64)btf;
	out->metas = 0;
	if (bpf_core_field_exists(btf->struct_meta_tab))
		out->metas = BPF_CORE_READ(btf, struct_meta_tab, cnt);
	__builtin_memset(out->name, 0, sizeof(out->name));
	bpf_probe_read_kernel_str(out->name, sizeof(((struct btf *)0)->name),
				  __builtin_preserve_access_index(&btf->name));
	walk_emit(&out->rec, WALK_BTF, sizeof(*out), BPF_CORE_READ(btf, id));
}

#endif
