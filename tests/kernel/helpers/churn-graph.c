// SPDX-License-Identifier: GPL-2.0-or-later
#include "churn.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

/* What the entry program returns: by which slot it went, or that a jump failed. */
enum { SLOTS = 2, FAILED = 98 };

#define MOV_REG(dst, src)                                                               \
	{                                                                               \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) \
	}
#define MOV_IMM(dst, value)                                                           \
	{                                                                             \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (value) \
	}
/* Two instructions. */
#define LOAD_MAP(dst, fd)                    \
	{ .code = BPF_LD | BPF_DW | BPF_IMM, \
	  .dst_reg = (dst),                  \
	  .src_reg = BPF_PSEUDO_MAP_FD,      \
	  .imm = (fd) },                     \
	{                                    \
		0                            \
	}
#define TAIL_CALL                                                     \
	{                                                             \
		.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call \
	}
#define EXIT                               \
	{                                  \
		.code = BPF_JMP | BPF_EXIT \
	}

static int load(const struct bpf_insn *insns, size_t count)
{
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "churn", "GPL", insns, count, NULL);
}

#define LOAD(insns) load(insns, sizeof(insns) / sizeof(*(insns)))

/* Returns @result, and uses @map if there is one. */
static int load_leaf(int result, int map)
{
	const struct bpf_insn alone[] = { MOV_IMM(BPF_REG_0, result), EXIT };
	const struct bpf_insn user[] = { LOAD_MAP(BPF_REG_2, map), MOV_IMM(BPF_REG_0, result),
					 EXIT };

	return map < 0 ? LOAD(alone) : LOAD(user);
}

static int load_jump(int map, int slot)
{
	const struct bpf_insn insns[] = { LOAD_MAP(BPF_REG_2, map), MOV_IMM(BPF_REG_3, slot),
					  TAIL_CALL, MOV_IMM(BPF_REG_0, FAILED), EXIT };

	return LOAD(insns);
}

/* Jumps to the slot that the packet's first byte names. */
static int load_entry(int map)
{
	const struct bpf_insn insns[] = {
		/* a load from the packet wants the context in r6 */
		MOV_REG(BPF_REG_6, BPF_REG_1), { .code = BPF_LD | BPF_ABS | BPF_B, .imm = 0 },
		MOV_REG(BPF_REG_3, BPF_REG_0), MOV_REG(BPF_REG_1, BPF_REG_6),
		LOAD_MAP(BPF_REG_2, map),      TAIL_CALL,
		MOV_IMM(BPF_REG_0, FAILED),    EXIT,
	};

	return LOAD(insns);
}

static int new_array(uint32_t *id)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "churn", 4, 4, SLOTS, NULL);
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	int err = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &length);

	*id = info.id;
	return err ? err : fd;
}

/* Puts a program, or the error of its load, into a slot. */
static int fill(int map, uint32_t slot, int prog)
{
	return prog < 0 ? prog : bpf_map_update_elem(map, &slot, &prog, BPF_ANY);
}

static int fill_ring(int map, struct made *made)
{
	int other = new_array(&made->array_id[1]);
	int err = other < 0 ? other : fill(other, 0, load_leaf(1, map));

	if (!err)
		err = fill(map, 0, load_jump(other, 0));
	return err ? err : fill(map, 1, load_leaf(2, other));
}

int graph_make(enum graph graph, struct made *made)
{
	int map = new_array(&made->array_id[0]), err = map < 0 ? map : 0;
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);

	if (!err && graph == RING)
		err = fill_ring(map, made);
	else if (!err)
		err = fill(map, 0, load_leaf(1, graph == SELF ? map : -1));
	if (!err && graph != RING)
		err = fill(map, 1, load_leaf(2, -1));
	if (err)
		return err;
	made->entry_fd = load_entry(map);
	if (made->entry_fd < 0)
		return made->entry_fd;
	err = bpf_obj_get_info_by_fd(made->entry_fd, &info, &length);
	made->entry_id = info.id;
	return err;
}

int graph_works(int entry_fd)
{
	for (unsigned int slot = 0; slot < SLOTS; slot++) {
		unsigned char packet[64];
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
			    .data_size_in = sizeof(packet));
		int err;

		/* All of it: the program sees the packet from behind its Ethernet header. */
		memset(packet, (int)slot, sizeof(packet));
		err = bpf_prog_test_run_opts(entry_fd, &opts);
		if (err)
			return err;
		if (opts.retval != slot + 1)
			return 0;
	}
	return 1;
}
