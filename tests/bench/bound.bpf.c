// SPDX-License-Identifier: GPL-2.0
/*
 * The least that it takes to ask the kernel for all that bpfrefs must know: one walk over all
 * descriptor tables that notes each descriptor of a BPF object, and the bare iterators over maps,
 * programs and links with their counters. Nothing of bpfrefs is used here, for it is what bpfrefs is
 * measured by.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bound.h"

#define __pai __attribute__((preserve_access_index))

typedef struct {
	__s64 counter;
} __pai atomic64_t;

struct bpf_map {
	__u32 id;
	atomic64_t refcnt, usercnt;
} __pai;

struct bpf_prog_aux {
	atomic64_t refcnt;
	__u32 id;
} __pai;

struct bpf_prog {
	struct bpf_prog_aux *aux;
} __pai;

struct bpf_link {
	atomic64_t refcnt;
	__u32 id;
} __pai;

struct file_operations {
	void *release;
} __pai;

struct file {
	struct file_operations *f_op;
	void *private_data;
} __pai;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
} __pai;

struct files_struct {
	struct fdtable *fdt;
} __pai;

struct task_struct {
	int pid, tgid;
	struct task_struct *group_leader;
	struct files_struct *files;
} __pai;

struct bpf_iter_meta {
	__u64 session_id;
} __pai;

struct bpf_iter__task {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct task_struct *, task);
} __pai;

struct bpf_iter__bpf_map {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_map *, map);
} __pai;

struct bpf_iter__bpf_prog {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_prog *, prog);
} __pai;

struct bpf_iter__bpf_link {
	__bpf_md_ptr(struct bpf_iter_meta *, meta);
	__bpf_md_ptr(struct bpf_link *, link);
} __pai;

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* The kernel's id of struct file, set before the load; 0: not known, no casts. */
const volatile __u32 file_type;

struct bound_state bound;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, BOUND_RECORDS);
	__type(key, __u32);
	__type(value, struct bound_record);
} records SEC(".maps");

/* ----------------------------------------------------- descriptor tables --- */

struct table {
	__u64 fds, open;
	__u32 tgid, words;
};

static __always_inline __u64 release_of(struct file *file)
{
	if ((void *)bpf_rdonly_cast != NULL && file_type) {
		file = bpf_rdonly_cast(file, file_type);
		return (__u64)file->f_op->release;
	}
	return (__u64)BPF_CORE_READ(file, f_op, release);
}

static __always_inline void note(struct file *file, __u32 fd, __u32 tgid)
{
	__u32 at = bound.found;
	struct bound_record *record = bpf_map_lookup_elem(&records, &at);

	bound.found++;
	if (!record)
		return;
	record->file = (__u64)file;
	record->object = (__u64)BPF_CORE_READ(file, private_data);
	record->tgid = tgid;
	record->fd = fd;
}

/* The descriptors of one step; not on the stack, which is small. */
struct file *chunk[32];

static int step(__u32 index, struct table *table)
{
	__u32 open = 0;

	bpf_probe_read_kernel(&open, sizeof(open), (void *)(table->open + index * sizeof(open)));
	if (!open)
		return 0;
	if (bpf_probe_read_kernel(chunk, sizeof(chunk),
				  (void *)(table->fds + index * sizeof(chunk))))
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 32; i++) {
		struct file *file = chunk[i];
		__u64 release = file ? release_of(file) : 0;

		if (!file)
			continue;
		bound.seen++;
		if (release == bound.release[0] || release == bound.release[1] ||
		    release == bound.release[2] || release == bound.release[3])
			note(file, index * 32 + i, table->tgid);
	}
	return 0;
}

SEC("iter/task")
int bound_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct files_struct *files;
	struct table table = {};
	struct fdtable *fdt;

	if (!task)
		return 0;
	files = BPF_CORE_READ(task, files);
	if (!files)
		return 0;
	if (task->pid != task->tgid && BPF_CORE_READ(task, group_leader, files) == files)
		return 0;
	fdt = BPF_CORE_READ(files, fdt);
	table.tgid = task->tgid;
	table.fds = (__u64)BPF_CORE_READ(fdt, fd);
	table.open = (__u64)BPF_CORE_READ(fdt, open_fds);
	table.words = (BPF_CORE_READ(fdt, max_fds) + 31) / 32;
	bpf_loop(table.words, step, &table, 0);
	return 0;
}

/* -------------------------------------------------------------- objects --- */

static __always_inline void emit(__u32 id, __s64 refcnt, __s64 usercnt)
{
	__u32 at = bound.found;
	struct bound_record *record = bpf_map_lookup_elem(&records, &at);

	bound.found++;
	if (!record)
		return;
	record->file = refcnt;
	record->object = usercnt;
	record->tgid = id;
}

SEC("iter/bpf_map")
int bound_maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;

	if (map)
		emit(map->id, map->refcnt.counter, map->usercnt.counter);
	return 0;
}

SEC("iter/bpf_prog")
int bound_progs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;

	if (prog)
		emit(prog->aux->id, prog->aux->refcnt.counter, 0);
	return 0;
}

SEC("iter/bpf_link")
int bound_links(struct bpf_iter__bpf_link *ctx)
{
	struct bpf_link *link = ctx->link;

	if (link)
		emit(link->id, link->refcnt.counter, 0);
	return 0;
}

/* ------------------------------------------------------------- probing --- */

/* The function that releases the file behind one of the caller's own descriptors. */
SEC("syscall")
int bound_probe(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file **fds = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;

	bpf_probe_read_kernel(&file, sizeof(file), fds + bound.probe_fd);
	bound.probed = file ? (__u64)BPF_CORE_READ(file, f_op, release) : 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
