// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands that make BPF objects. */
#include "mkobj.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Types of the BTF that `btf` makes; the last ones with kptrs=1. */
enum { TYPE_INT = 1, TYPE_PROTO, TYPE_FUNC, TYPE_TASK, TYPE_TAG, TYPE_KPTR, TYPE_VALUE, TYPE_NODE };

enum { MAX_INSNS = 128, BPFFS_PATH_FD = 1U << 14 };

static int map_type(const char *name)
{
	for (int type = 0; libbpf_bpf_map_type_str(type); type++)
		if (strcmp(libbpf_bpf_map_type_str(type), name) == 0)
			return type;
	return atoi(name);
}

static int prog_type(const char *name)
{
	for (int type = 0; libbpf_bpf_prog_type_str(type); type++)
		if (strcmp(libbpf_bpf_prog_type_str(type), name) == 0)
			return type;
	return atoi(name);
}

int attach_type(const char *name)
{
	for (int type = 0; libbpf_bpf_attach_type_str(type); type++)
		if (strcmp(libbpf_bpf_attach_type_str(type), name) == 0)
			return type;
	return isdigit((unsigned char)*name) ? atoi(name) : -EINVAL;
}

/*
 * A value with a kptr to a structure of the kernel's, and a structure with such a kptr and a list
 * node, which makes it one that the kernel looks into. By hand: clang 14 loses such tags.
 */
static int add_kptrs(struct btf *btf, const char *tag)
{
	int error = btf__add_struct(btf, "task_struct", 4);

	if (error > 0)
		error = btf__add_type_tag(btf, tag ? tag : "kptr_untrusted", TYPE_TASK);
	if (error > 0)
		error = btf__add_ptr(btf, TYPE_TAG);
	if (error > 0)
		error = btf__add_struct(btf, "value", 8);
	if (error > 0)
		error = btf__add_field(btf, "task", TYPE_KPTR, 0, 0);
	if (error >= 0)
		error = btf__add_struct(btf, "bpf_list_node", 24);
	if (error > 0)
		error = btf__add_struct(btf, "element", 32);
	if (error > 0)
		error = btf__add_field(btf, "node", TYPE_NODE, 0, 0);
	return error < 0 ? error : btf__add_field(btf, "task", TYPE_KPTR, 192, 0);
}

/* btf VAR [func=NAME kptrs=1 tag=]: an int, and a function for programs with function information. */
static int cmd_btf(char **args)
{
	const char *name = option(args, "func");
	struct btf *btf = btf__new_empty();
	int error, fd;

	if (!btf)
		return -errno;
	error = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	if (error > 0)
		error = btf__add_func_proto(btf, TYPE_INT);
	if (error > 0)
		error = btf__add_func(btf, name ? name : "entry", BTF_FUNC_GLOBAL, TYPE_PROTO);
	if (error > 0 && option_num(args, "kptrs", 0))
		error = add_kptrs(btf, option(args, "tag"));
	if (error >= 0)
		error = btf__load_into_kernel(btf);
	fd = error < 0 ? error : fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 3);
	btf__free(btf);
	return var_set(args[0], fd);
}

/* map VAR TYPE [name= key= value= max= flags= inner=VAR btf=VAR kptrs=1] */
static int cmd_map(char **args)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int type = map_type(args[1]), fd;
	unsigned int key = 4;

	if (type == BPF_MAP_TYPE_RINGBUF)
		key = 0;
	opts.map_flags = option_num(args, "flags", 0);
	if (option(args, "inner"))
		opts.inner_map_fd = (unsigned int)var_get(option(args, "inner"));
	if (option(args, "btf")) {
		opts.btf_fd = (unsigned int)var_get(option(args, "btf"));
		opts.btf_key_type_id = opts.btf_value_type_id = TYPE_INT;
		if (option_num(args, "kptrs", 0))
			opts.btf_value_type_id = TYPE_VALUE;
	}
	fd = bpf_map_create(type, option(args, "name"), option_num(args, "key", key),
			    option_num(args, "value", key), option_num(args, "max", 1), &opts);
	return var_set(args[0], fd);
}

/* The instructions: each map of "a,b" is named, then the program returns @result. */
static int make_insns(const char *maps, int result, struct bpf_insn *insns)
{
	char *copy = strdup(maps ? maps : ""), *save = NULL;
	int count = 0;

	if (!copy)
		return -ENOMEM;
	for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (count + 4 > MAX_INSNS) {
			free(copy);
			return -E2BIG;
		}
		insns[count++] = (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
						    .dst_reg = BPF_REG_1,
						    .src_reg = BPF_PSEUDO_MAP_FD,
						    .imm = var_get(name) };
		insns[count++] = (struct bpf_insn){ 0 };
	}
	free(copy);
	insns[count++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = result };
	insns[count++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return count;
}

/* The id of the loaded BTF of a module, or -ENOENT. */
static int module_btf_id(const char *module)
{
	char name[64];
	uint32_t id = 0;

	while (bpf_btf_get_next_id(id, &id) == 0) {
		struct bpf_btf_info info = { .name = (uintptr_t)name, .name_len = sizeof(name) };
		uint32_t length = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id), error;

		if (fd < 0)
			continue;
		error = bpf_obj_get_info_by_fd(fd, &info, &length);
		close(fd);
		if (!error && info.kernel_btf && strcmp(name, module) == 0)
			return (int)id;
	}
	return -ENOENT;
}

/* Lets a program be loaded for a function of a module. The descriptor is the caller's to close. */
static int target_in_module(struct bpf_prog_load_opts *opts, const char *module,
			    const char *function)
{
	struct btf *vmlinux = btf__load_vmlinux_btf(), *btf = NULL;
	int id = module_btf_id(module), found;

	if (vmlinux && id > 0)
		btf = btf__load_from_kernel_by_id_split((uint32_t)id, vmlinux);
	found = btf ? btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) : -ENOENT;
	btf__free(btf);
	btf__free(vmlinux);
	if (found < 0)
		return found;
	opts->attach_btf_id = (unsigned int)found;
	id = bpf_btf_get_fd_by_id((uint32_t)id);
	opts->attach_btf_obj_fd = (unsigned int)id;
	return id;
}

static int target_in_kernel(struct bpf_prog_load_opts *opts, const char *function)
{
	int id = libbpf_find_vmlinux_btf_id(function, opts->expected_attach_type);

	if (id > 0)
		opts->attach_btf_id = (unsigned int)id;
	return id < 0 ? id : 0;
}

/*
 * prog VAR TYPE [name= maps=VAR,VAR attach=TYPE target=KERNEL_FUNCTION module=NAME
 *		  replaces=PROG btf=VAR result= flags=]
 */
static int cmd_prog(char **args)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	struct bpf_func_info func = { .type_id = TYPE_FUNC };
	struct bpf_insn insns[MAX_INSNS];
	const char *target = option(args, "target"), *module = option(args, "module");
	int count, fd, error, btf = 0;

	count = make_insns(option(args, "maps"), (int)option_num(args, "result", 0), insns);
	if (count < 0)
		return count;
	opts.prog_flags = option_num(args, "flags", 0);
	if (option(args, "attach"))
		opts.expected_attach_type = attach_type(option(args, "attach"));
	if (target) {
		if (module)
			error = btf = target_in_module(&opts, module, target);
		else
			error = target_in_kernel(&opts, target);
		if (error < 0)
			return error;
	}
	if (option(args, "replaces")) {
		opts.attach_prog_fd = (unsigned int)var_get(option(args, "replaces"));
		opts.attach_btf_id = TYPE_FUNC;
	}
	if (option(args, "btf")) {
		opts.prog_btf_fd = (unsigned int)var_get(option(args, "btf"));
		opts.func_info = &func;
		opts.func_info_cnt = 1;
		opts.func_info_rec_size = sizeof(func);
	}
	fd = bpf_prog_load(prog_type(args[1]), option(args, "name"), "GPL", insns, (size_t)count,
			   &opts);
	if (btf > 0)
		close(btf);
	return var_set(args[0], fd);
}

/* slot MAP INDEX VAR */
static int cmd_slot(char **args)
{
	uint32_t index = (uint32_t)strtoul(args[1], NULL, 0);
	int value = var_get(args[2]);

	return bpf_map_update_elem(var_get(args[0]), &index, &value, BPF_ANY);
}

/* clear MAP INDEX */
static int cmd_clear(char **args)
{
	uint32_t index = (uint32_t)strtoul(args[1], NULL, 0);

	return bpf_map_delete_elem(var_get(args[0]), &index);
}

/* bind PROG MAP */
static int cmd_bind(char **args)
{
	return bpf_prog_bind_map(var_get(args[0]), var_get(args[1]), NULL);
}

/* link VAR raw_tp PROG EVENT */
static int link_raw_tp(char **args)
{
	return bpf_raw_tracepoint_open(args[3], var_get(args[2]));
}

/* link VAR iter PROG [map=VAR] */
static int link_iter(char **args)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	union bpf_iter_link_info info = { 0 };

	if (option(args, "map")) {
		info.map.map_fd = (unsigned int)var_get(option(args, "map"));
		opts.iter_info = &info;
		opts.iter_info_len = sizeof(info);
	}
	return bpf_link_create(var_get(args[2]), 0, BPF_TRACE_ITER, &opts);
}

/* link VAR cgroup|netns PROG PATH attach=TYPE */
static int link_path(char **args)
{
	const char *type = option(args, "attach");
	int target, fd;

	if (!args[3] || !type)
		return -EINVAL;
	target = open(args[3], O_RDONLY | O_CLOEXEC);
	if (target < 0)
		return -errno;
	fd = bpf_link_create(var_get(args[2]), target, attach_type(type), NULL);
	close(target);
	return fd;
}

/* link VAR sockmap PROG MAP attach=NUMBER */
static int link_map(char **args)
{
	const char *type = option(args, "attach");

	if (!args[3] || !type)
		return -EINVAL;
	return bpf_link_create(var_get(args[2]), var_get(args[3]), attach_type(type), NULL);
}

/* link VAR kprobe_multi PROG FUNCTION */
static int link_kprobe_multi(char **args)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	const char *function = args[3];

	opts.kprobe_multi.syms = &function;
	opts.kprobe_multi.cnt = 1;
	return bpf_link_create(var_get(args[2]), 0, BPF_TRACE_KPROBE_MULTI, &opts);
}

static int cmd_link(char **args)
{
	int fd = -EINVAL;

	if (strcmp(args[1], "raw_tp") == 0 && args[3])
		fd = link_raw_tp(args);
	else if (strcmp(args[1], "iter") == 0)
		fd = link_iter(args);
	else if (strcmp(args[1], "cgroup") == 0 || strcmp(args[1], "netns") == 0)
		fd = link_path(args);
	else if (strcmp(args[1], "sockmap") == 0)
		fd = link_map(args);
	else if (strcmp(args[1], "tracing") == 0) /* to what it was loaded for */
		fd = bpf_raw_tracepoint_open(NULL, var_get(args[2]));
	else if (strcmp(args[1], "kprobe_multi") == 0 && args[3])
		fd = link_kprobe_multi(args);
	return var_set(args[0], fd);
}

/* detach LINK: the link stays, attached to nothing. */
static int cmd_detach(char **args)
{
	return bpf_link_detach(var_get(args[0]));
}

/* iter VAR LINK */
static int cmd_iter(char **args)
{
	return var_set(args[0], bpf_iter_create(var_get(args[1])));
}

/* open VAR KIND ID */
static int cmd_open(char **args)
{
	uint32_t id = (uint32_t)strtoul(args[2], NULL, 0);

	if (strcmp(args[1], "map") == 0)
		return var_set(args[0], bpf_map_get_fd_by_id(id));
	if (strcmp(args[1], "prog") == 0)
		return var_set(args[0], bpf_prog_get_fd_by_id(id));
	if (strcmp(args[1], "link") == 0)
		return var_set(args[0], bpf_link_get_fd_by_id(id));
	if (strcmp(args[1], "btf") == 0)
		return var_set(args[0], bpf_btf_get_fd_by_id(id));
	return -EINVAL;
}

/* pin VAR PATH [dir=VAR] */
static int cmd_pin(char **args)
{
	/* BPF_F_PATH_FD came with 6.5, after our headers' floor: so the attributes by hand. */
	struct {
		uint64_t pathname;
		uint32_t fd, flags;
		int32_t path_fd;
		uint32_t pad;
	} attr = { .pathname = (uintptr_t)args[1], .fd = (uint32_t)var_get(args[0]) };

	if (!option(args, "dir"))
		return bpf_obj_pin(var_get(args[0]), args[1]);
	attr.flags = BPFFS_PATH_FD;
	attr.path_fd = var_get(option(args, "dir"));
	return syscall(SYS_bpf, BPF_OBJ_PIN, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* get VAR PATH */
static int cmd_get(char **args)
{
	return var_set(args[0], bpf_obj_get(args[1]));
}

/* run PROG [ctx=NUMBER]: BPF_PROG_TEST_RUN, on a packet, or of a syscall program with that context */
static int cmd_run(char **args)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	const char *context = option(args, "ctx");
	uint32_t number = context ? (uint32_t)strtoul(context, NULL, 0) : 0;
	char packet[64] = { 0 };
	int error;

	if (context) {
		opts.ctx_in = &number;
		opts.ctx_size_in = sizeof(number);
	} else {
		opts.data_in = packet;
		opts.data_size_in = sizeof(packet);
	}
	error = bpf_prog_test_run_opts(var_get(args[0]), &opts);
	if (!error)
		say(" retval=%u", opts.retval);
	return error;
}

const struct cmd bpf_cmds[] = {
	/* clang-format off */
	{ "btf",    1, cmd_btf },
	{ "map",    2, cmd_map },
	{ "prog",   2, cmd_prog },
	{ "slot",   3, cmd_slot },
	{ "clear",  2, cmd_clear },
	{ "bind",   2, cmd_bind },
	{ "link",   3, cmd_link },
	{ "detach", 1, cmd_detach },
	{ "iter",   2, cmd_iter },
	{ "open",   3, cmd_open },
	{ "pin",    2, cmd_pin },
	{ "get",    2, cmd_get },
	{ "run",    1, cmd_run },
	{ NULL,     0, NULL },
	/* clang-format on */
};
