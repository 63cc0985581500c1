// SPDX-License-Identifier: GPL-2.0
/*
 * Fields that are read of very many objects, tasks and files. They are read by plain loads where the
 * kernel has bpf_rdonly_cast(). Only this file names that function, since bpftool 7.1 cannot link
 * two objects that name the same kernel function.
 */
#include "bpf/walk.bpf.h"

/* since 6.2 */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * The kernel's BTF ids of the types in enum walk_cast, set before the load (min_core_btf.h); 0: no
 * cast.
 */
const volatile __u32 walk_casts[WALK_CASTS];

/*
 * One field of the struct @type at @address, whatever that is a pointer to; walk_load2() reads one
 * behind a pointer in it. A pointer that was read is passed through memory of ours, as a number:
 * since 7.2 (not yet in 6.18) what is read through such a cast is a pointer for the verifier too,
 * on which no arithmetic is allowed.
 */
#define walk_load_as(type, address, direct, probed)                                    \
	({                                                                             \
		struct type *__obj = (void *)(address);                                \
		__typeof__(__obj->direct) __value;                                     \
		if ((void *)bpf_rdonly_cast != NULL && walk_casts[WALK_CAST_##type]) { \
			__obj = bpf_rdonly_cast(__obj, walk_casts[WALK_CAST_##type]);  \
			__value = __obj->direct;                                       \
		} else {                                                               \
			__value = probed;                                              \
		}                                                                      \
		__value;                                                               \
	})
#define walk_load(type, address, field) \
	walk_load_as(type, address, field, BPF_CORE_READ(__obj, field))
#define walk_load2(type, address, field, next) \
	walk_load_as(type, address, field->next, BPF_CORE_READ(__obj, field, next))

/* Makes a number of a pointer that was read through a cast. */
volatile __u64 walk_number;
#define walk_address(pointer) (walk_number = (__u64)(pointer), walk_number)

/* ------------------------------------------------------------ objects --- */

/* The functions here and below are global: each is verified once, and takes scalars. */
__u32 walk_id(__u64 address, __u32 kind)
{
	if (kind == WALK_KIND_MAP)
		return walk_load(bpf_map, address, id);
	if (kind == WALK_KIND_PROG)
		return walk_load2(bpf_prog, address, aux, id);
	if (kind == WALK_KIND_LINK)
		return walk_load(bpf_link, address, id);
	return walk_load(btf, address, id);
}

__u64 walk_pointer(__u64 address)
{
	return walk_address(walk_load(list_head, address, next));
}

/* The objects that walk_counts, walk_used and walk_slots are to read. */
struct walk_listed walk_list[WALK_LIST_MAX];

/*
 * Reads the counters of one object that was seen before. The object is alive if it still has its
 * id, which it loses before its memory is freed (bpf_map_free_id(), bpf_prog_free_id()), or for a
 * BTF its count, which is 0 then. Ids are reused only after all others were, so memory that was
 * freed and used for something else does not have this id.
 */
static int count_step(__u32 index, void *data)
{
	struct walk_listed *listed = &walk_list[index & (WALK_LIST_MAX - 1)];
	__u64 address = listed->address;
	__s64 refcnt = 0;
	__u32 id = 0;

	if (listed->kind == WALK_KIND_MAP) {
		id = walk_load(bpf_map, address, id);
		refcnt = walk_load(bpf_map, address, refcnt.counter);
		listed->usercnt = walk_load(bpf_map, address, usercnt.counter);
	} else if (listed->kind == WALK_KIND_PROG) {
		id = walk_load2(bpf_prog, address, aux, id);
		refcnt = walk_load2(bpf_prog, address, aux, refcnt.counter);
		/* while this program runs it is held for that (bpf_prog_test_run()) */
		if (listed->id == walk.counts_prog)
			refcnt--;
		/*
		 * what a program holds changes only by bpf_prog_bind_map() and
		 * bpf_prog_assoc_struct_ops()
		 */
		listed->usercnt = walk_load2(bpf_prog, address, aux, used_map_cnt);
		if (bpf_core_field_exists(((struct bpf_prog_aux *)0)->st_ops_assoc) &&
		    walk_load2(bpf_prog, address, aux, st_ops_assoc))
			listed->usercnt |= WALK_ASSOC;
	} else {
		id = walk_load(btf, address, id);
		refcnt = walk_load(btf, address, refcnt.refs.counter);
	}
	listed->refcnt = id == listed->id ? refcnt : 0;
	return 0;
}

/* Reads the counters of walk.listed objects in walk_list. */
SEC("syscall")
int walk_counts(void *ctx)
{
	bpf_loop(walk.listed, count_step, NULL, 0);
	return 0;
}

/* -------------------------------------------------------------- tasks --- */

/*
 * Pointers of tasks are loaded through casts and not through the iterator's own pointer, which is
 * as fast: for each pointer that is loaded through a trusted one the verifier searches all types of
 * the kernel by name, up to four times (btf_nested_type_is_trusted(), since 6.4).
 */
__u64 walk_part(__u64 task, __u32 part)
{
	if (part == WALK_PART_LEADER)
		return walk_address(walk_load(task_struct, task, group_leader));
	if (part == WALK_PART_MM)
		return walk_address(walk_load(task_struct, task, mm));
	if (part == WALK_PART_FILES)
		return walk_address(walk_load(task_struct, task, files));
	if (part == WALK_PART_FS)
		return walk_address(walk_load(task_struct, task, fs));
	return walk_address(walk_load(task_struct, task, nsproxy));
}

int walk_read_table(__u64 files)
{
	__u32 max = walk_load2(files_struct, files, fdt, max_fds);

	walk_table.fds = walk_address(walk_load2(files_struct, files, fdt, fd));
	walk_table.open = walk_address(walk_load2(files_struct, files, fdt, open_fds));
	walk_table.steps = ((__u64)max + WALK_STEP - 1) / WALK_STEP;
	return 0;
}

/* In most tasks the namespaces and the root directory are those of the task before. */
int walk_emit_namespaces(__u64 nsproxy, __u64 fs)
{
	__u64 root = fs ? walk_address(walk_load(fs_struct, fs, root.dentry)) : 0;
	bool initial = nsproxy == walk.kernel_ids.init_nsproxy;
	struct walk_ns *out;

	if (!nsproxy || ((initial || walk.filter_map) && walk.last_nsproxy == nsproxy &&
			 walk.last_root == root))
		return 0;
	out = walk_room();
	if (!out)
		return 0;
	walk.last_nsproxy = nsproxy;
	walk.last_root = root;
	out->nsproxy = initial ? 0 : nsproxy;
	out->mnt = walk_address(walk_load(nsproxy, nsproxy, mnt_ns)) +
		   bpf_core_field_offset(struct mnt_namespace, ns);
	out->net = walk_address(walk_load(nsproxy, nsproxy, net_ns)) +
		   bpf_core_field_offset(struct net, ns);
	out->root_mnt = fs ? walk_address(walk_load(fs_struct, fs, root.mnt)) : 0;
	out->root = root;
	out->mnt_ns = walk_load2(nsproxy, nsproxy, mnt_ns, ns.inum);
	out->net_ns = walk_load2(nsproxy, nsproxy, net_ns, ns.inum);
	out->tid = walk_table.pid == walk_table.tgid ? 0 : walk_table.pid;
	out->pad = 0;
	__builtin_memcpy(out->comm, walk_table.comm, sizeof(out->comm));
	walk_emit(&out->rec, WALK_NS, sizeof(*out), walk_table.tgid);
	return 0;
}

/* The type of the filesystem that a directory is on. */
#define fs_type_of(fs, dir)                                               \
	walk_address(walk_load_as(fs_struct, fs, dir.mnt->mnt_sb->s_type, \
				  BPF_CORE_READ(__obj, dir.mnt, mnt_sb, s_type)))

int walk_is_on_bpffs(__u64 fs)
{
	return fs_type_of(fs, root) == walk.kernel_ids.bpffs ||
	       fs_type_of(fs, pwd) == walk.kernel_ids.bpffs;
}

/* -------------------------------------------------------------- files --- */

static __always_inline __u64 release_of(struct file *file)
{
	return walk_address(walk_load2(file, file, f_op, release));
}

__u64 walk_release(__u64 file)
{
	return release_of((struct file *)file);
}

static __always_inline __u64 private_of(struct file *file)
{
	return walk_address(walk_load(file, file, private_data));
}

__u64 walk_private(__u64 file)
{
	return private_of((struct file *)file);
}

static __always_inline __u64 ops_of(struct file *file)
{
	return walk_address(walk_load(file, file, f_op));
}

__u64 walk_ops(__u64 file)
{
	return ops_of((struct file *)file);
}

__u64 walk_sock(__u64 file)
{
	return walk_address(walk_load(socket, private_of((struct file *)file), sk));
}

/*
 * The product is 0 if @release is that of a file that may be of interest, and in theory for
 * another. One test serves all kinds: the verifier follows each branch for each of the files,
 * and a test for each kind makes that three times the work.
 */
static __always_inline __u64 is_foreign(__u64 release, __u64 ops)
{
	const struct walk_kernel_ids *known = &walk.kernel_ids;
	__u64 product = release ^ known->iter_release;

	product *= (release ^ known->release[WALK_KIND_MAP]) *
		   (release ^ known->release[WALK_KIND_PROG]);
	product *= (release ^ known->release[WALK_KIND_LINK]) *
		   (release ^ known->release[WALK_KIND_BTF]);
	product *= (release ^ known->other[WALK_OTHER_SOCKET]) *
		   (release ^ known->other[WALK_OTHER_RING]);
	product *= (release ^ known->other[WALK_OTHER_PERF]) *
		   (release ^ known->other[WALK_OTHER_TUN]);
	return product * (release ^ known->mounts_release) * (ops ^ known->path_ops) *
	       (ops ^ known->dir_ops) * (ops ^ known->ns_file_ops);
}

/*
 * Is it the file of a BPF object other than the requested one? This is one test, for the same
 * reason.
 */
static __always_inline bool is_other(struct file *file, __u64 release)
{
	const __u64 *known = walk.kernel_ids.release;

	return private_of(file) != walk.filter_map &&
	       !((release ^ known[WALK_KIND_MAP]) * (release ^ known[WALK_KIND_PROG]) *
		 (release ^ known[WALK_KIND_LINK]) * (release ^ known[WALK_KIND_BTF]));
}

/* They are not on the stack: 6.1 allows 512 bytes for the whole chain of calls. */
struct file *walk_step[WALK_STEP];

/* See walk_table for why it is global. */
int walk_files(__u32 at, __u32 fd)
{
	/* the verifier follows each round by itself, so there are few */
#pragma clang loop unroll(disable)
	for (int i = 0; i < WALK_FEW; i++) {
		struct file *file = walk_step[(at + i) & (WALK_STEP - 1)];
		__u64 ops = file ? ops_of(file) : 0;
		__u64 release = file ? release_of(file) : 0;

		if (ops && !is_foreign(release, ops) &&
		    !(walk.filter_map && is_other(file, release)))
			walk_emit_fd((__u64)file, fd + i);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
