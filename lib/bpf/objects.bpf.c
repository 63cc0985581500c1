// SPDX-License-Identifier: GPL-2.0
/*
 * The objects themselves: iterators over maps, programs and links that emit their facts and
 * counters. Such an iterator holds one reference on the object that it shows
 * (bpf_map_get_curr_or_next(), bpf_prog_get_curr_or_next(), bpf_link_get_curr_or_next()), never a
 * user reference of a map.
 */
#include "bpf/walk.bpf.h"
#include "uapi/newer.h"

char walk_out[WALK_OUT_SIZE] __attribute__((aligned(8)));
struct walk_control walk;

/*
 * The most that one object needs: its own record, and those of the four BTFs that it may lead to.
 */
#define OBJECT_ROOM 1024

/* BPF_OBJ_NAME_LEN: the size of a program's name in the kernel */
#define NAME_SIZE 16

/* Does it have fields whose callbacks are cancelled when the map's usercnt falls to 0? */
static __always_inline __u32 map_async(struct bpf_map *map)
{
	if (bpf_core_field_exists(map->timer_off))
		return BPF_CORE_READ(map, timer_off) >= 0;
	/* the mask of NULL or of an ERR_PTR reads as 0 */
	return !!(BPF_CORE_READ(map, record, field_mask) &
		  (walk_field_bit(BPF_TIMER) | walk_field_bit(BPF_WORKQUEUE) |
		   walk_field_bit(BPF_TASK_WORK)));
}

/* The fields of NULL or of an ERR_PTR read as 0. */
static __always_inline __u32 has_special(struct bpf_map *map)
{
	if (bpf_core_field_exists(map->record))
		return BPF_CORE_READ(map, record, cnt) > 0;
	if (bpf_core_field_exists(map->kptr_off_tab))
		return BPF_CORE_READ(map, kptr_off_tab, nr_off) > 0;
	return 0;
}

static __always_inline __u32 btf_id_of(struct btf *btf)
{
	return btf ? BPF_CORE_READ(btf, id) : 0;
}

/*
 * array_map_mem_usage() for a program array. To read it from fdinfo takes a user reference, and a
 * program array loses a reference for good if the last of these is dropped while the clearing for
 * the one before is pending: prog_array_map_clear() takes a reference for its work, which is then
 * queued once only.
 */
static __always_inline __u64 prog_array_memlock(const struct bpf_map *map)
{
	if (!bpf_core_field_exists(((struct bpf_map_ops *)0)->map_mem_usage))
		return 0;
	return bpf_core_type_size(struct bpf_array) + (__u64)map->max_entries * sizeof(void *);
}

SEC("iter/bpf_map")
int walk_maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map, *inner;
	struct walk_map *out;
	struct btf *btf;

	if (!map || (walk.filter_id && map->id != walk.filter_id))
		return 0;
	out = walk_room();
	if (!out || walk_full(OBJECT_ROOM))
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	out->address = walk_scalar(ctx->map);
	out->refcnt = map->refcnt.counter - 1;
	out->usercnt = map->usercnt.counter;
	out->map_extra = map->map_extra;
	out->type = map->map_type;
	out->key_size = map->key_size;
	out->value_size = map->value_size;
	out->max_entries = map->max_entries;
	out->flags = map->map_flags;
	if (map->map_type == BPF_MAP_TYPE_PROG_ARRAY)
		out->memlock = prog_array_memlock(map);
	btf = BPF_CORE_READ(map, btf);
	out->btf_id = btf_id_of(btf);
	out->btf_key_type_id = map->btf_key_type_id;
	out->btf_value_type_id = map->btf_value_type_id;
	out->btf_vmlinux_value_type_id = map->btf_vmlinux_value_type_id;
	out->async = map_async(map);
	out->special = has_special(map);
	if (map->map_type == BPF_MAP_TYPE_STRUCT_OPS) {
		struct bpf_struct_ops_map *ops = (void *)walk_scalar(ctx->map);

		if (bpf_core_field_exists(ops->btf))
			out->btf_vmlinux_id = btf_id_of(BPF_CORE_READ(ops, btf));
	}
	bpf_probe_read_kernel(out->name, sizeof(out->name), &map->name);
	inner = BPF_CORE_READ(map, inner_map_meta);
	if (inner) {
		out->inner_btf_id = btf_id_of(BPF_CORE_READ(inner, btf));
		out->special |= has_special(inner);
	}
	walk_emit(&out->rec, WALK_MAP, sizeof(*out), map->id);
	walk_emit_btf(btf);
	if (inner)
		walk_emit_btf(BPF_CORE_READ(inner, btf));
	return 0;
}

/*
 * The kernel cuts the name of a program to 15 characters (bpf_obj_name_cpy()). The program's own
 * BTF has the name of its first function in full, where bpftool reads it too.
 */
static __always_inline void full_name(struct walk_prog *out, struct bpf_prog_aux *aux)
{
	struct bpf_func_info *info = BPF_CORE_READ(aux, func_info);
	struct btf *btf = BPF_CORE_READ(aux, btf);
	struct btf_type **types, *type = NULL;
	__u32 id = 0;

	if (!info || !btf || bpf_probe_read_kernel(&id, sizeof(id), &info->type_id) ||
	    id >= BPF_CORE_READ(btf, nr_types))
		return;
	types = BPF_CORE_READ(btf, types);
	if (bpf_probe_read_kernel(&type, sizeof(type), types + id) || !type)
		return;
	bpf_probe_read_kernel_str(out->name, sizeof(out->name),
				  BPF_CORE_READ(btf, strings) + BPF_CORE_READ(type, name_off));
}

SEC("iter/bpf_prog")
int walk_progs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;
	struct bpf_prog_aux *aux;
	struct walk_prog *out;
	__u32 id;

	if (!prog)
		return 0;
	id = BPF_CORE_READ(prog, aux, id);
	out = walk_room();
	if (!out || walk_full(OBJECT_ROOM))
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	out->address = walk_scalar(ctx->prog);
	aux = BPF_CORE_READ(prog, aux);
	out->refcnt = BPF_CORE_READ(prog, aux, refcnt.counter) - 1 - (id == walk.self_prog);
	out->type = prog->type;
	out->btf_id = btf_id_of(BPF_CORE_READ(prog, aux, btf));
	out->attach_btf_id = btf_id_of(BPF_CORE_READ(prog, aux, attach_btf));
	out->used = BPF_CORE_READ(prog, aux, used_map_cnt);
	bpf_probe_read_kernel(out->name, NAME_SIZE, __builtin_preserve_access_index(&aux->name));
	if (out->name[NAME_SIZE - 2])
		full_name(out, aux);
	walk_emit(&out->rec, WALK_PROG, sizeof(*out), id);
	walk_emit_btf(BPF_CORE_READ(prog, aux, btf));
	walk_emit_btf(BPF_CORE_READ(prog, aux, attach_btf));
	return 0;
}

/*
 * The map that a link holds: with a user reference for an iterator (bpf_iter_attach_map()) and for
 * a sockmap link (sock_map_link_create()), without one for a struct_ops link
 * (bpf_struct_ops_link_create()).
 */
static __always_inline __u32 linked_map(__u64 address, __u32 type)
{
	struct bpf_struct_ops_link *ops = (void *)address;
	struct bpf_iter_link *iter = (void *)address;
	struct sockmap_link *sock = (void *)address;
	struct bpf_map *map = NULL;

	if (type == BPF_LINK_TYPE_ITER)
		map = BPF_CORE_READ(iter, aux.map);
	else if (type == BPF_LINK_TYPE_STRUCT_OPS && bpf_core_field_exists(ops->map))
		map = BPF_CORE_READ(ops, map);
	else if (type == NEWER_BPF_LINK_TYPE_SOCKMAP && bpf_core_field_exists(sock->map))
		map = BPF_CORE_READ(sock, map);
	return map ? BPF_CORE_READ(map, id) : 0;
}

/* The program that a tracing or freplace link is attached to (bpf_tracing_prog_attach()). */
static __always_inline __u32 target_prog(__u64 address, __u32 type)
{
	struct bpf_tracing_link *link = (void *)address;

	return type == BPF_LINK_TYPE_TRACING ? walk_prog_id(BPF_CORE_READ(link, tgt_prog)) : 0;
}

SEC("iter/bpf_link")
int walk_links(struct bpf_iter__bpf_link *ctx)
{
	struct bpf_link *link = ctx->link;
	struct walk_link *out;

	if (!link)
		return 0;
	out = walk_room();
	if (!out || walk_full(OBJECT_ROOM))
		return WALK_AGAIN;
	__builtin_memset(out, 0, sizeof(*out));
	out->refcnt = link->refcnt.counter - 1;
	out->type = link->type;
	out->prog_id = walk_prog_id(BPF_CORE_READ(link, prog));
	out->map_id = linked_map(walk_scalar(ctx->link), out->type);
	out->map_user = out->type != BPF_LINK_TYPE_STRUCT_OPS;
	out->target = target_prog(walk_scalar(ctx->link), out->type);
	walk_emit(&out->rec, WALK_LINK, sizeof(*out), link->id);
	return 0;
}

/* -------------------------------------------------------------- peek --- */

/*
 * Reads one descriptor of the calling process, in addresses of the kernel. lib finds in this way by
 * which addresses files and inodes of each kind are recognized, without symbols: bpf_map_fops and
 * its like are data, which kallsyms has only with CONFIG_KALLSYMS_ALL. A BTF is emitted as well,
 * since there is no iterator over BTFs.
 */
SEC("syscall")
int walk_peek_prog(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **fds = BPF_CORE_READ(fdt, fd), *file = NULL;
	__u32 fd = walk.peek_fd;

	__builtin_memset(&walk.peeked, 0, sizeof(walk.peeked));
	if (fd < BPF_CORE_READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), fds + fd);
	if (!file)
		return 0;
	walk.peeked.file = (__u64)file;
	walk.peeked.ops = (__u64)BPF_CORE_READ(file, f_op);
	walk.peeked.release = (__u64)BPF_CORE_READ(file, f_op, release);
	walk.peeked.private_data = (__u64)BPF_CORE_READ(file, private_data);
	walk.peeked.inode_ops = (__u64)BPF_CORE_READ(file, f_inode, i_op);
	walk.peeked.fs_type = (__u64)BPF_CORE_READ(file, f_inode, i_sb, s_type);
	if (walk.peeked.release && walk.peeked.release == walk.kernel_ids.release[WALK_KIND_BTF])
		walk_emit_btf((void *)walk.peeked.private_data);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
