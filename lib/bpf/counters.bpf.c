// SPDX-License-Identifier: GPL-2.0
/*
 * What is read of very many objects: by plain loads, where the kernel has bpf_rdonly_cast(). It is
 * named in this file alone, since bpftool 7.1 links no two objects that name one kernel function.
 */
#include "bpf/walk.bpf.h"

/* 6.2 */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* The kernel's ids of enum walk_cast's types, set before the load (walkers-btf.h); 0: no casts. */
const volatile __u32 walk_casts[WALK_CASTS];

/*
 * One field of the struct @type at @address, whatever that is a pointer to; walk_load2() one behind a
 * pointer in it. A pointer that is read comes from memory of ours, as a number: on 7.2 (not yet on
 * 6.18) what is read through such a cast is a pointer itself, and not to be calculated with.
 */
#define walk_load_as(type, address, direct, probed)                                \
	({                                                                         \
		struct type *__obj = (void *)(address);                            \
		__typeof__(__obj->direct) __value;                                 \
		if ((void *)bpf_rdonly_cast != NULL && walk_casts[WALK_CAST_##type]) { \
			__obj = bpf_rdonly_cast(__obj, walk_casts[WALK_CAST_##type]); \
			__value = __obj->direct;                                   \
		} else {                                                           \
			__value = probed;                                          \
		}                                                                  \
		__value;                                                           \
	})
#define walk_load(type, address, field) \
	walk_load_as(type, address, field, BPF_CORE_READ(__obj, field))
#define walk_load2(type, address, field, next) \
	walk_load_as(type, address, field->next, BPF_CORE_READ(__obj, field, next))

/* Launders a pointer that was read so. */
volatile __u64 walk_number;
#define walk_address(pointer) (walk_number = (__u64)(pointer), walk_number)

/* ------------------------------------------------------------ objects --- */

/* Global functions, here and below: each is verified once, and takes numbers. */
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

/* What lib asks walk_counts and walk_slots about. */
struct walk_listed walk_list[WALK_LIST_MAX];

/*
 * The counters of one object that was seen before. It is alive if it still has its id, which it loses
 * before its memory is freed (bpf_map_free_id(), bpf_prog_free_id()), or of a btf its count, which is
 * then 0; ids are given anew only after all others. So memory that is something else by now does not
 * pass for it.
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
		/* while it runs it is held for that (bpf_prog_test_run()) */
		if (listed->id == walk.counts_prog)
			refcnt--;
		/* what it holds changes by bpf_prog_bind_map() and bpf_prog_assoc_struct_ops() alone */
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
 * May the file be one of those that we know? Zero for each of them, and in theory for another: one
 * test for all, since the verifier follows each branch of each of the 32 files: a test for each kind
 * makes it three times the work.
 */
static __always_inline __u64 not_known(__u64 release, __u64 ops)
{
	const struct walk_known *known = &walk.known;
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

/* Is it the file of a BPF object, and not of the one that is looked for? One test as above. */
static __always_inline bool is_other(struct file *file, __u64 release)
{
	const __u64 *known = walk.known.release;

	return private_of(file) != walk.only &&
	       !((release ^ known[WALK_KIND_MAP]) * (release ^ known[WALK_KIND_PROG]) *
		 (release ^ known[WALK_KIND_LINK]) * (release ^ known[WALK_KIND_BTF]));
}

/* The descriptors of one step. Not on the stack: 6.1 has 512 bytes for the whole chain of calls. */
struct file *walk_step[WALK_STEP];

/*
 * 32 descriptors at once. Global: see walk_table; as part of the loop's function it would be verified
 * for each state of that loop.
 */
int walk_files(__u64 step)
{
	if (bpf_probe_read_kernel(walk_step, sizeof(walk_step),
				  (void *)(walk_table.fds + step * sizeof(walk_step))))
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < WALK_STEP; i++) {
		struct file *file = walk_step[i];
		__u64 ops = file ? ops_of(file) : 0;
		__u64 release = file ? release_of(file) : 0;

		if (ops && !not_known(release, ops) && !(walk.only && is_other(file, release)))
			walk_tell((__u64)file, step * WALK_STEP + i);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
