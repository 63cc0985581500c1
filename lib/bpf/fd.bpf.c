// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptor tables of all tasks. Files of BPF objects and iterators are recognized by
 * f_op->release. A table is read through its open_fds bitmap, 32 descriptors a step: iter/task_file
 * would visit every open file and take a reference on it (63 ms instead of 13 at 230,000
 * descriptors).
 */
#include "bpf/threads.bpf.h"

/*
 * The descriptor table that is being read. It is global because files are emitted by a global
 * function, which the verifier checks once and whose arguments must be scalars. Only one walk runs
 * at a time.
 */
struct walk_table walk_table;

struct steps {
	__u64 first;   /* step of the table that the loop began with */
	__u64 stopped; /* step + 1 before which the buffer was full, else 0 */
};

/* The most that one step may need. A socket's own queue may take WALK_QUEUE_ROOM more. */
#define STEP_ROOM                                                        \
	(WALK_STEP * (WALK_USE_ROOM + WALK_HELD_ROOM + WALK_FILE_ROOM) + \
	 sizeof(struct walk_task) + WALK_PLACES_ROOM + WALK_QUEUE_ROOM)

static __always_inline void emit_file(struct file *file, __u32 fd, __u32 kind)
{
	__u64 object = walk_private((__u64)file);
	struct walk_file *out;
	__u32 id = walk_id(object, kind);

	walk_emit_task();
	out = walk_room();
	if (!out)
		return;
	out->file = (__u64)file;
	out->fd = fd;
	out->kind = kind;
	walk_emit(&out->rec, WALK_FILE, sizeof(*out), id);
	if (kind == WALK_KIND_BTF)
		walk_emit_btf((struct btf *)object);
}

/*
 * Does the iterator's private data begin with its map, which it holds with a user reference? These
 * are bpf_map_elem, bpf_sk_storage_map and sockmap; their first eight bytes differ from all other
 * targets.
 */
static __always_inline bool has_map_target(const char target[32])
{
	__u64 start = *(const __u64 *)target;

	return start == *(const __u64 *)"bpf_map_" || start == *(const __u64 *)"bpf_sk_s" ||
	       start == *(const __u64 *)"sockmap";
}

static __always_inline void emit_iter(struct file *file, __u32 fd)
{
	__u32 offset = bpf_core_field_offset(struct bpf_iter_priv_data, target_private);
	struct bpf_iter_priv_data *priv;
	struct walk_iter *out;
	struct bpf_map *map = NULL;
	struct seq_file *seq;
	void *target;

	if (walk_table.tgid == walk.self_pid && fd == walk.self_fd)
		return;
	walk_emit_task();
	seq = BPF_CORE_READ(file, private_data);
	target = BPF_CORE_READ(seq, private);
	priv = target - offset;
	out = walk_room();
	if (!out)
		return;
	__builtin_memset(out->target, 0, sizeof(out->target));
	bpf_probe_read_kernel_str(out->target, sizeof(out->target),
				  BPF_CORE_READ(priv, tinfo, reg_info, target));
	out->file = (__u64)file;
	out->fd = fd;
	out->map_id = 0;
	if (has_map_target(out->target)) {
		bpf_probe_read_kernel(&map, sizeof(map), target);
		out->map_id = map ? BPF_CORE_READ(map, id) : 0;
	}
	walk_emit(&out->rec, WALK_ITER, sizeof(*out), walk_prog_id(BPF_CORE_READ(priv, prog)));
}

#define KIND_ITER  4
#define KIND_NONE  5
#define KIND_OTHER 6 /* + enum walk_other */

static __always_inline __u32 kind_of(__u64 release)
{
	if (!release)
		return KIND_NONE;
	if (release == walk.kernel_ids.release[WALK_KIND_MAP])
		return WALK_KIND_MAP;
	if (release == walk.kernel_ids.release[WALK_KIND_PROG])
		return WALK_KIND_PROG;
	if (release == walk.kernel_ids.release[WALK_KIND_LINK])
		return WALK_KIND_LINK;
	if (release == walk.kernel_ids.release[WALK_KIND_BTF])
		return WALK_KIND_BTF;
	if (release == walk.kernel_ids.iter_release)
		return KIND_ITER;
	if (release == walk.kernel_ids.other[WALK_OTHER_SOCKET])
		return KIND_OTHER + WALK_OTHER_SOCKET;
	if (release == walk.kernel_ids.other[WALK_OTHER_RING])
		return KIND_OTHER + WALK_OTHER_RING;
	if (release == walk.kernel_ids.other[WALK_OTHER_PERF])
		return KIND_OTHER + WALK_OTHER_PERF;
	if (release == walk.kernel_ids.other[WALK_OTHER_TUN])
		return KIND_OTHER + WALK_OTHER_TUN;
	return KIND_NONE;
}

/* This is a global function for the reason given at walk_table. */
int walk_emit_fd(__u64 file, __u32 fd)
{
	__u32 kind = kind_of(walk_release(file));

	if (kind == KIND_ITER)
		emit_iter((struct file *)file, fd);
	else if (kind < KIND_ITER)
		emit_file((struct file *)file, fd, kind);
	if (kind == KIND_OTHER + WALK_OTHER_SOCKET || kind == KIND_OTHER + WALK_OTHER_RING)
		walk_emit_held(file, fd, 0, WALK_HOW_FD);
	if (walk.filter_map) /* what holds programs and owners holds no map that is requested */
		return 0;
	if (kind >= KIND_OTHER)
		walk_use_file(file, fd, kind - KIND_OTHER);
	if (kind == KIND_OTHER + WALK_OTHER_SOCKET || kind == KIND_OTHER + WALK_OTHER_TUN)
		walk_emit_member(file, fd, kind - KIND_OTHER);
	else if (kind == KIND_NONE || kind == KIND_ITER)
		walk_emit_file(file, fd);
	return 0;
}

static int scan_step(__u32 index, struct steps *steps)
{
	__u64 step = steps->first + index;
	__u32 open = 0;

	bpf_probe_read_kernel(&open, sizeof(open), (void *)(walk_table.open + step * sizeof(open)));
	if (open && walk_full(STEP_ROOM))
		steps->stopped = step + 1;
	else if (open)
		walk_files(step);
	/* a constant on each path: the verifier must see that it is 0 or 1 */
	return steps->stopped ? 1 : 0;
}

/*
 * The namespaces and the root directory of a task, which in most is the same as in the task before.
 * By plain loads through the iterator's own pointer: there may be very many tasks.
 */
static __always_inline void emit_namespaces(struct task_struct *task)
{
	__u64 nsproxy = (__u64)task->nsproxy;
	__u64 root = walk.dirs ? (__u64)task->fs->root.dentry : 0;
	bool initial = nsproxy == walk.kernel_ids.init_nsproxy;
	struct walk_ns *out;

	if (!nsproxy || ((initial || walk.filter_map) && walk.last_nsproxy == nsproxy &&
			 walk.last_root == root))
		return;
	out = walk_room();
	if (!out)
		return;
	walk.last_nsproxy = nsproxy;
	walk.last_root = root;
	out->nsproxy = initial ? 0 : nsproxy;
	out->mnt = (__u64)&task->nsproxy->mnt_ns->ns;
	out->net = (__u64)&task->nsproxy->net_ns->ns;
	out->root_mnt = walk.dirs ? (__u64)task->fs->root.mnt : 0;
	out->root = root;
	out->mnt_ns = task->nsproxy->mnt_ns->ns.inum;
	out->net_ns = task->nsproxy->net_ns->ns.inum;
	out->tid = walk_table.pid == walk_table.tgid ? 0 : walk_table.pid;
	out->pad = 0;
	__builtin_memcpy(out->comm, walk_table.comm, sizeof(out->comm));
	walk_emit(&out->rec, WALK_NS, sizeof(*out), walk_table.tgid);
}

static __always_inline bool is_on_bpffs(struct fs_struct *fs)
{
	return (__u64)fs->root.mnt->mnt_sb->s_type == walk.kernel_ids.bpffs ||
	       (__u64)fs->pwd.mnt->mnt_sb->s_type == walk.kernel_ids.bpffs;
}

SEC("iter/task")
int walk_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct files_struct *files;
	struct fdtable *fdt;
	struct steps steps = {};
	__u64 key, count;

	if (!task)
		return 0;
	if (walk_full(STEP_ROOM))
		return WALK_AGAIN;
	leader = task->group_leader;
	walk_table.pid = task->pid;
	walk_table.tgid = task->tgid;
	walk_table.emitted = 0;
	key = (__u64)task->pid << 32 | 1;
	steps.first = walk_begin(key);
	/* where the leader has exited, each thread has others than it */
	if (task->pid == task->tgid || leader->nsproxy != task->nsproxy ||
	    (walk.dirs && leader->fs != task->fs)) {
		BPF_CORE_READ_INTO(&walk_table.comm, leader, comm);
		if (!steps.first)
			emit_namespaces(task);
		if (!steps.first && walk.dirs && !walk.filter_map && is_on_bpffs(task->fs))
			walk_emit_dirs(walk_scalar(ctx->task));
	}
	files = task->files;
	if (walk_is_repeated(task, ctx->task, files, WALK_PART_FILES))
		return 0; /* it was emitted with the leader, or with another thread */
	fdt = BPF_CORE_READ(files, fdt);
	walk_table.fds = (__u64)BPF_CORE_READ(fdt, fd);
	walk_table.open = (__u64)BPF_CORE_READ(fdt, open_fds);
	BPF_CORE_READ_INTO(&walk_table.comm, leader, comm);
	count = (BPF_CORE_READ(fdt, max_fds) + WALK_STEP - 1) / WALK_STEP;
	if (count > steps.first)
		bpf_loop(count - steps.first, scan_step, &steps, 0);
	if (steps.stopped)
		return walk_later(key, steps.stopped - 1);
	walk_done();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
