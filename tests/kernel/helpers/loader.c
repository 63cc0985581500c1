// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The story that keep is for, as a loader lives it.
 *
 * loader load ENTRY_PIN: makes a program array "jump", puts two programs in it ("first" returns 1,
 * "second" returns 2), loads "entry", which tail calls the slot that the packet's first byte names
 * and returns 99 where the call fails, and pins entry alone. Prints KEY=KIND/ID lines, waits for a
 * line on its standard input, and exits: its descriptors go.
 *
 * loader run ENTRY_PIN: runs the pinned program on a packet for each slot and prints what it
 * returned, "first=1 second=2" if the calls work.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 2, CALL_FAILED = 99 };

static int fail(const char *what, int error)
{
	fprintf(stderr, "loader: %s: %s\n", what, strerror(-error));
	return 1;
}

static int load_target(const char *name, int result)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = result },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, name, "GPL", insns,
			     sizeof(insns) / sizeof(*insns), NULL);
}

static int load_entry(int array)
{
	struct bpf_insn insns[] = {
		/* r0 = the packet's first byte: a load from the packet wants the context in r6 */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = 0 },
		/* bpf_tail_call(context, array, r0) */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_6 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = array },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = CALL_FAILED },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "entry", "GPL", insns,
			     sizeof(insns) / sizeof(*insns), NULL);
}

static int print_map(const char *name, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	int error = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (!error)
		printf("%s=map/%u\n", name, info.id);
	return error;
}

static int print_prog(const char *name, int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);
	int error = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (!error)
		printf("%s=prog/%u\n", name, info.id);
	return error;
}

static int load(const char *pin)
{
	static const char *const names[SLOTS] = { "first", "second" };
	char line[8];
	int array, entry, error;

	array = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "jump", 4, 4, SLOTS, NULL);
	if (array < 0)
		return fail("program array", array);
	print_map("array", array);
	for (int slot = 0; slot < SLOTS; slot++) {
		int target = load_target(names[slot], slot + 1);

		if (target < 0)
			return fail(names[slot], target);
		print_prog(names[slot], target);
		error = bpf_map_update_elem(array, &slot, &target, BPF_ANY);
		if (error)
			return fail("slot", error);
		close(target);
	}
	entry = load_entry(array);
	if (entry < 0)
		return fail("entry", entry);
	print_prog("entry", entry);
	error = bpf_obj_pin(entry, pin);
	if (error)
		return fail(pin, error);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	return 0;
}

static int run(const char *pin)
{
	int fd = bpf_obj_get(pin);

	if (fd < 0)
		return fail(pin, fd);
	for (int slot = 0; slot < SLOTS; slot++) {
		unsigned char packet[64];
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
			    .data_size_in = sizeof(packet));
		int error;

		/* All of it: the program sees the packet from behind its Ethernet header. */
		memset(packet, slot, sizeof(packet));
		error = bpf_prog_test_run_opts(fd, &opts);
		if (error)
			return fail("test run", error);
		printf("%s%s=%u", slot ? " " : "", slot ? "second" : "first", opts.retval);
	}
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "load") == 0)
		return load(argv[2]);
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2]);
	fprintf(stderr, "usage: loader load|run ENTRY_PIN\n");
	return 2;
}
