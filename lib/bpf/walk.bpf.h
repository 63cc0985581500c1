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

extern char walk_out[WALK_OUT_SIZE] __attribute__((aligned(8)));
extern struct walk_control walk;
extern struct walk_listed walk_list[WALK_LIST_MAX]; /* counters.bpf.c */

/*
 * Room for one record of at most WALK_REC_MAX bytes, or NULL if the buffer is full. The size of each
 * record is a multiple of 8; the mask shows it to the verifier, which else refuses the stores where
 * the processor has no efficient unaligned access.
 */
static __always_inline void *walk_room(void)
{
	__u32 at = walk.len;

	if (at > WALK_OUT_SIZE - WALK_REC_MAX)
		return NULL;
	barrier_var(at); /* else clang adds it to the address before the comparison */
	return &walk_out[at & ~7u];
}

static __always_inline void walk_emit(struct walk_rec *rec, __u16 type, __u16 size, __u32 id)
{
	rec->type = type;
	rec->size = size;
	rec->id = id;
	walk.len += size;
}

/* The kernel's bit for a field type, 0 if this kernel does not have the type. */
#define walk_field_bit(name)                                             \
	(bpf_core_enum_value_exists(enum btf_field_type, name)           \
		 ? (__u32)bpf_core_enum_value(enum btf_field_type, name) \
		 : 0)

/* Is the buffer nearly full? A walk that can stop here then does so. */
static __always_inline bool walk_full(__u32 needed)
{
	return walk.len > WALK_OUT_SIZE - WALK_REC_MAX - needed;
}

/* Where to begin with this object: where the walk stopped, or at 0. */
static __always_inline __u64 walk_begin(__u64 key)
{
	return walk.resume_key == key ? walk.resume_at : 0;
}

static __always_inline void walk_done(void)
{
	walk.resume_key = 0;
}

/*
 * The return value of an iterator's program that has to stop within an object: the kernel ends the
 * read with EAGAIN, and the next read shows the same object again (bpf_iter_run_prog()).
 */
static __always_inline int walk_later(__u64 key, __u64 at)
{
	walk.resume_key = key;
	walk.resume_at = at;
	return 1;
}

#define WALK_AGAIN 1

/*
 * The same for programs that read the objects in walk_list. @look emits one of them from
 * walk.resume_at on; where it sets walk.ended to WALK_FULL, walk.resume_at says where to continue.
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

/* Runs @step, which calls walk_listed_step(), from walk.list_at on. */
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

/* A pointer that the verifier trusts is no scalar: this reads it as one from the context. */
#define walk_scalar(ptr_field)                                                  \
	({                                                                      \
		__u64 __value = 0;                                              \
		bpf_probe_read_kernel(&__value, sizeof(__value), &(ptr_field)); \
		__value;                                                        \
	})

/* ------------------------------------------------ by plain loads (counters.bpf.c) ------ */

/* The id of the object of that kind (map, program, link, BTF) at @address. */
__u32 walk_id(__u64 address, __u32 kind);
/* The pointer at @address. */
__u64 walk_pointer(__u64 address);
/* A pointer in a task; what its threads share where that is the same. */
enum walk_part { WALK_PART_LEADER, WALK_PART_MM, WALK_PART_FILES, WALK_PART_FS, WALK_PART_NSPROXY };
__u64 walk_part(__u64 task, __u32 part);
/* Sets fds, open and steps of walk_table. */
int walk_read_table(__u64 files);
/* Emits the namespaces of the task in walk_table, and its root directory if @fs is not 0. */
int walk_emit_namespaces(__u64 nsproxy, __u64 fs);
int walk_is_on_bpffs(__u64 fs);
/* The f_op->release and the private_data of a file. */
__u64 walk_release(__u64 file);
__u64 walk_private(__u64 file);
/* The descriptors of one step. */
#define WALK_STEP 32
extern struct file *walk_step[WALK_STEP];
/*
 * Calls walk_emit_fd() for those that may be of interest of the WALK_FEW descriptors in walk_step
 * from @at on, the first of which is @fd.
 */
#define WALK_FEW 8
int walk_files(__u32 at, __u32 fd);
int walk_emit_fd(__u64 file, __u32 fd); /* fd.bpf.c */
__u64 walk_ops(__u64 file);
/* The struct sock of a socket's file. */
__u64 walk_sock(__u64 file);

/* The version (struct walk_mount) of a mount that is in a namespace (mount_version.bpf.c). */
__u64 walk_mount_version(__u64 mount);

/* ------------------------------------------------ what keeps owners (owners.bpf.c) --- */

/* The room that these need at most, for one task; for one file. */
#define WALK_PLACES_ROOM (sizeof(struct walk_ns) + 2 * sizeof(struct walk_hold))
#define WALK_FILE_ROOM	 (2 * sizeof(struct walk_hold))
int walk_emit_dirs(__u64 task);
int walk_emit_file(__u64 file, __u32 fd);
int walk_emit_member(__u64 file, __u32 fd, __u32 other);

/* ---------------------------------------- between fd.bpf.c and the others --- */

extern struct walk_table walk_table; /* fd.bpf.c */

/*
 * For walks over tasks: has this task no such part, or does another thread of its process stand for
 * it?
 */
int walk_is_repeated(__u64 task, __u32 part);

/*
 * Emits the current process, if that was not done yet: its record comes before the first thing that
 * it holds. This is always inlined, since calls are nested as deeply as the verifier allows.
 */
static __always_inline void walk_emit_task(void)
{
	struct walk_task *out = walk_table.emitted ? NULL : walk_room();

	if (!out)
		return;
	out->tid = walk_table.pid == walk_table.tgid ? 0 : walk_table.pid;
	out->pad = 0;
	__builtin_memcpy(out->comm, walk_table.comm, sizeof(out->comm));
	walk_emit(&out->rec, WALK_TASK, sizeof(*out), walk_table.tgid);
	walk_table.emitted = 1;
}
/*
 * Emits a file that is held otherwise than by a descriptor (enum walk_how), if it is the file of a
 * BPF object, or of a socket or ring that may hold such files (mmap.bpf.c). Needs WALK_HELD_ROOM.
 */
int walk_emit_held(__u64 file, __u64 at, __u64 end, __u32 how);
int walk_emit_gap(__u32 kind);
/*
 * Emits in which cgroup the process walk_table.tgid is, whose leader is @task, if it was
 * emitted. Not with it, and a function of its own, because where files are emitted the stack is nearly full.
 */
int walk_emit_cgroup(__u64 task);
#define WALK_HELD_ROOM \
	(sizeof(struct walk_held) + sizeof(struct walk_carried) + sizeof(struct walk_task))
/*
 * Emits what a file of @other (enum walk_other: a socket, perf event or tun) holds, as held through
 * descriptor @fd of the process that walk_emit_task() emitted (socket.bpf.c). It needs
 * WALK_USE_ROOM, and uses at most WALK_QUEUE_ROOM more if there is room.
 */
int walk_use_file(__u64 file, __u32 fd, __u32 other);

/* The same for a perf event that @holder keeps: kind << 32 | id (perf.bpf.c). */
int walk_use_event(__u64 event, __u64 holder, __u32 slot, __u32 fd);
#define WALK_NO_HOLDER 0
int walk_use_tun(__u64 file, __u32 fd); /* tun.bpf.c */
/* The same for a socket that a packet keeps: emits nothing where it is open (socket.bpf.c). */
int walk_use_closed(__u64 sock, __u32 fd);
int walk_emit_backlog(__u64 qdisc);	/* packets.bpf.c */
int walk_use_xsk(__u64 sock, __u32 fd); /* xsk.bpf.c */
int walk_use_kcm(__u64 sock, __u32 fd); /* kcm.bpf.c */

/* Emits that a socket holds an object (socket.bpf.c). */
int walk_emit_sock(__u64 address, __u64 what, __u64 use, __u32 id, __u32 fd);

/* A unix socket and its orphaned peer may each have a filter and the four programs of a sockmap. */
#define WALK_USE_ROOM	(10 * sizeof(struct walk_sock))
#define WALK_QUEUE_ROOM (64 * 1024)

/* Emits an edge between two objects. Returns false if the buffer is full. */
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

/* Emits a BTF that some object leads to: there is no iterator over BTFs. */
static __always_inline void walk_emit_btf(struct btf *btf)
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
