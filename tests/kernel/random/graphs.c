// SPDX-License-Identifier: GPL-2.0-or-later
#include "graphs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum outcome lab_mount(struct run *run, struct lab *lab)
{
	strcpy(lab->dir, "/tmp/random-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(lab->dir) ||
	    mount("bpf", lab->dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return wrong(run, "a bpffs in a mount namespace: %s", strerror(errno));
	lab->dir_fd = open(lab->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return lab->dir_fd < 0 ? wrong(run, "%s: %s", lab->dir, strerror(errno)) : GOOD;
}

/* libbpf's warnings about what a kernel refuses go to the library, which reports them as it sees fit. */
__attribute__((format(printf, 2, 0))) static int print_libbpf(enum libbpf_print_level level,
							      const char *format, va_list args)
{
	if (bpfrefs_libbpf_print((int)level, format, args) || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

enum outcome lab_open(struct run *run, struct lab *lab)
{
	struct bpfrefs_options options = { .size = sizeof(options), .source = BPFREFS_SOURCE_BPF };
	int err;

	libbpf_set_print(print_libbpf);
	err = bpfrefs_ctx_open(&options, &lab->ctx);
	return err ? skipped(run, "the BPF programs cannot be loaded: %s", strerror(-err)) : GOOD;
}

enum outcome lab_close(struct run *run, struct lab *lab, enum outcome outcome)
{
	if (lab->ctx)
		bpfrefs_ctx_close(lab->ctx);
	close(lab->dir_fd);
	umount2(lab->dir, MNT_DETACH);
	rmdir(lab->dir);
	if (outcome == WRONG && lab->disturbed)
		return skipped(run, "another process on this machine held the test's objects");
	return outcome;
}

void lab_wait_step(void)
{
	struct timespec ts = { 0, STEP_MS * 1000000L };

	nanosleep(&ts, NULL);
}

int graph_array(void)
{
	return bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "random", 4, 4, SLOTS, NULL);
}

int graph_prog(const int arrays[ARRAYS], const bool uses[ARRAYS])
{
	struct bpf_insn insns[2 * ARRAYS + 2];
	size_t n = 0;

	for (int a = 0; a < ARRAYS; a++) {
		if (!uses[a])
			continue;
		insns[n++] = (struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
						.dst_reg = BPF_REG_1,
						.src_reg = BPF_PSEUDO_MAP_FD,
						.imm = arrays[a] };
		insns[n++] = (struct bpf_insn){ 0 };
	}
	insns[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	insns[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "random", "GPL", insns, n, NULL);
}

int graph_id(int fd, bool is_map, uint32_t *id)
{
	struct bpf_map_info map = { 0 };
	struct bpf_prog_info prog = { 0 };
	uint32_t map_len = sizeof(map), prog_len = sizeof(prog);
	int err = is_map ? bpf_obj_get_info_by_fd(fd, &map, &map_len)
			 : bpf_obj_get_info_by_fd(fd, &prog, &prog_len);

	*id = is_map ? map.id : prog.id;
	return err;
}

int graph_socket(int prog)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) == 0)
		return fd;
	return -errno;
}

int graph_pin(const char *dir, const char *name, int fd)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_pin(fd, path);
}

void print_holder(const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value path = bpfrefs_ref_get(ref, "path");
	char holder[BPFREFS_KEY_MAX];

	printf("# held: %s, by %s, pid %u, path %s\n", bpfrefs_ref_class(ref)->name,
	       bpfrefs_key_format(bpfrefs_ref_holder(ref), holder), bpfrefs_ref_pid(ref),
	       path.type == BPFREFS_VALUE_STR ? path.str : "-");
}
