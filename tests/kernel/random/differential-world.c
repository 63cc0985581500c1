// SPDX-License-Identifier: GPL-2.0-or-later
/* The two bpffs, the mirror of one of them, the objects to pin, and who works on them. */
#include "differential.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Longer than a page of text, so that it is read in several pieces. */
enum { ELEMENTS = 1000 };

/* -------------------------------------------------------------- objects --- */

static int make_btf(void)
{
	struct btf *btf = btf__new_empty();
	int fd = -1;

	if (!btf)
		return -1;
	if (btf__add_int(btf, "int", 4, BTF_INT_SIGNED) == 1 && btf__load_into_kernel(btf) == 0)
		fd = dup(btf__fd(btf));
	btf__free(btf);
	return fd;
}

static int make_map(bool with_btf)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int btf = with_btf ? make_btf() : -1, fd;

	if (btf >= 0) {
		opts.btf_fd = (unsigned int)btf;
		opts.btf_key_type_id = opts.btf_value_type_id = 1;
	}
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "differential", 4, 4, ELEMENTS, &opts);
	if (btf >= 0)
		close(btf);
	return fd;
}

static int make_prog(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "differential", "GPL", insns, 2, NULL);
}

/* As much as the elements of the map take, so that it is read in several pieces. */
enum { TIMES = 600, INSNS = 3 + 5 * TIMES + 2 };

/* What an iterator's program does for each element: writes eight bytes, many times. */
static void make_writes(struct bpf_insn insns[INSNS], unsigned int times)
{
	const struct bpf_insn begin[] = {
		/* r6 = ctx->meta->seq */
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 6 },
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8, .imm = 0x0a746e65 },
	};
	const struct bpf_insn write[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	};
	const struct bpf_insn end[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	memcpy(insns, begin, sizeof(begin));
	insns += 3;
	for (unsigned int i = 0; i < times; i++, insns += 5)
		memcpy(insns, write, sizeof(write));
	memcpy(insns, end, sizeof(end));
}

/* An iterator, which is a link to pin. */
static int make_iterator(const char *target, unsigned int times, union bpf_iter_link_info *info)
{
	static struct bpf_insn insns[INSNS];
	LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = BPF_TRACE_ITER);
	LIBBPF_OPTS(bpf_link_create_opts, attach, .iter_info = info,
		    .iter_info_len = sizeof(*info));
	int id = libbpf_find_vmlinux_btf_id(target, BPF_TRACE_ITER), prog, link;

	if (id < 0)
		return -1;
	load.attach_btf_id = (unsigned int)id;
	make_writes(insns, times);
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "differential", "GPL", insns, 5 + 5 * times,
			     &load);
	if (prog < 0)
		return -1;
	link = bpf_link_create(prog, 0, BPF_TRACE_ITER, &attach);
	close(prog);
	return link;
}

/* Over what nobody else changes: a map's elements, or where no program may see those ourselves. */
static int make_steady_iterator(int map)
{
	union bpf_iter_link_info of_map = { .map.map_fd = (unsigned int)map };
	union bpf_iter_link_info of_task = { .task.tid = (unsigned int)getpid() };
	int link = make_iterator("bpf_map_elem", 1, &of_map);

	return link < 0 ? make_iterator("task", TIMES, &of_task) : link;
}

static int make_objects(struct world *world)
{
	world->objects[0] = make_map(false);
	if (world->objects[0] < 0)
		return -1;
	world->objects[1] = make_map(true);
	world->objects[2] = make_prog();
	world->objects[3] = make_steady_iterator(world->objects[0]);
	/* Without BTF in the kernel there are fewer kinds. */
	world->kinds = OBJECTS;
	for (int i = 1; i < OBJECTS; i++)
		if (world->objects[i] < 0 && world->kinds--)
			world->objects[i] = fcntl(world->objects[0], F_DUPFD_CLOEXEC, 3);
	return 0;
}

/* --------------------------------------------------------------- mounts --- */

/* Relative access times would change by when the test looks. */
static int mount_bpffs(const char *path)
{
	if (mount("bpf", path, "bpf", 0, NULL))
		return -1;
	return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL);
}

/* What is above the roots is alike, and cannot be written to: "..", however often. */
static int make_place(struct world *world, struct side *side, const char *name)
{
	char path[128];
	int length = snprintf(path, sizeof(path), "%s/%s/a/a/a", world->top, name);

	for (char *at = path + strlen(world->top) + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -1;
		*at = '/';
	}
	if (mkdir(path, 0755))
		return -1;
	snprintf(side->root, sizeof(side->root), "%.*s/root", length, path);
	for (int i = 0; i < DIRS; i++)
		side->dirs[i] = -1;
	for (int i = 0; i < FILES; i++)
		side->files[i] = -1;
	return mkdir(side->root, 0755);
}

static int make_places(struct world *world)
{
	strcpy(world->top, "/tmp/differential-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(world->top) || mount("tmpfs", world->top, "tmpfs", 0, "mode=0755"))
		return -1;
	if (make_place(world, &world->sides[PLAIN], "plain") ||
	    make_place(world, &world->sides[MIRRORED], "mirror") ||
	    make_place(world, &world->source, "source"))
		return -1;
	if (mount_bpffs(world->sides[PLAIN].root) || mount_bpffs(world->source.root))
		return -1;
	return mount(NULL, world->top, NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static int open_root(struct side *side)
{
	side->root_fd = open(side->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return side->root_fd < 0 ? -1 : 0;
}

/* --------------------------------------------------------------- daemon --- */

static bool is_served(const struct world *world)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/.bpf", world->sides[MIRRORED].root);
	return stat(path, &st) == 0;
}

static int start_daemon(struct world *world, const char *bpfrefs)
{
	/* Where facts come from is no matter for the mirror, and this starts at once. */
	const char *const args[] = { bpfrefs,
				     "-f",
				     "--source=proc",
				     "-o",
				     world->pins_symlink ? "allow_other,pins=symlink"
							 : "allow_other,pins=file",
				     world->source.root,
				     world->sides[MIRRORED].root,
				     NULL };
	const struct timespec moment = { .tv_nsec = 10000000 };

	world->daemon = fork();
	if (world->daemon == 0) {
		execv(bpfrefs, (char *const *)args);
		_exit(127);
	}
	for (int i = 0; world->daemon > 0 && i < 6000; i++) {
		if (is_served(world))
			return 0;
		if (waitpid(world->daemon, NULL, WNOHANG) == world->daemon)
			break;
		nanosleep(&moment, NULL);
	}
	errno = ESRCH;
	return -1;
}

static bool sysctl_is_set(const char *path)
{
	FILE *file = fopen(path, "re");
	int set = file ? fgetc(file) : '0';

	if (file)
		fclose(file);
	return set != '0';
}

/* Is nothing in a bpffs ever to be executed (7.2), whatever its mode says? FUSE's mounts know nothing of it. */
static bool bpffs_is_noexec(const struct world *world)
{
	char path[PATH_ROOM + 16];
	bool refused;

	snprintf(path, sizeof(path), "%s/probe", world->sides[PLAIN].root);
	if (bpf_obj_pin(world->objects[0], path))
		return false;
	refused = chmod(path, 0700) == 0 && access(path, X_OK) < 0 && errno == EACCES;
	unlink(path);
	return refused;
}

/* What differs from kernel to kernel. */
static void probe(struct world *world)
{
	world->guards_symlinks = sysctl_is_set("/proc/sys/fs/protected_symlinks");
	world->guards_hardlinks = sysctl_is_set("/proc/sys/fs/protected_hardlinks");
	world->has_fchmodat2 = syscall(SYS_fchmodat2, -1, "x", 0, 0) < 0 && errno != ENOSYS;
	world->is_noexec = bpffs_is_noexec(world);
	become(1);
	world->has_acls = removexattr(world->sides[MIRRORED].root, "system.posix_acl_access") < 0 &&
			  errno == EPERM;
	become_root();
}

int world_open(struct world *world, const char *bpfrefs, const char **what)
{
	*what = "objects";
	if (make_objects(world))
		return -1;
	*what = "mounts of a bpffs";
	if (make_places(world))
		return -1;
	*what = "the daemon";
	if (start_daemon(world, bpfrefs))
		return -1;
	*what = "roots";
	for (int i = 0; i < SIDES; i++)
		if (open_root(&world->sides[i]))
			return -1;
	probe(world);
	return open_root(&world->source);
}

/* ---------------------------------------------------------------- rounds --- */

static void close_held(int *held)
{
	if (*held >= 0)
		close(*held);
	*held = -1;
}

static void remove_all(int root_fd)
{
	static struct scan scan;

	do {
		scan_take(root_fd, &scan);
		for (size_t i = scan.count; i-- > 1;)
			unlinkat(root_fd, scan.items[i].name,
				 S_ISDIR(scan.items[i].st.st_mode) ? AT_REMOVEDIR : 0);
	} while (scan.full);
}

static int reset_side(const struct world *world, const struct side *side)
{
	char path[256];

	remove_all(side->root_fd);
	if (fchownat(side->root_fd, "", 0, 0, AT_EMPTY_PATH) || chmod(side->root, 0777))
		return -1;
	for (int i = 0; i < OBJECTS; i++) {
		snprintf(path, sizeof(path), "%s/p%d", side->root, i);
		if (bpf_obj_pin(world->objects[i], path))
			return -1;
	}
	return 0;
}

int world_reset(struct world *world)
{
	umask(022);
	memset(world->held_dirs, 0, sizeof(world->held_dirs));
	memset(world->held_files, 0, sizeof(world->held_files));
	for (int s = 0; s < SIDES; s++) {
		for (int i = 0; i < DIRS; i++)
			close_held(&world->sides[s].dirs[i]);
		for (int i = 0; i < FILES; i++)
			close_held(&world->sides[s].files[i]);
	}
	if (reset_side(world, &world->sides[PLAIN]))
		return -1;
	return reset_side(world, &world->source);
}

int world_close(struct world *world)
{
	int status = -1;

	for (int s = 0; s < SIDES; s++) {
		for (int i = 0; i < DIRS; i++)
			close_held(&world->sides[s].dirs[i]);
		for (int i = 0; i < FILES; i++)
			close_held(&world->sides[s].files[i]);
		close_held(&world->sides[s].root_fd);
	}
	close_held(&world->source.root_fd);
	for (int i = 0; i < OBJECTS; i++)
		close_held(&world->objects[i]);
	if (umount2(world->sides[MIRRORED].root, 0))
		umount2(world->sides[MIRRORED].root, MNT_DETACH);
	if (world->daemon > 0)
		waitpid(world->daemon, &status, 0);
	umount2(world->top, MNT_DETACH);
	rmdir(world->top);
	return status;
}

/* ----------------------------------------------------------------- users --- */

#define CAPABILITY(name) (UINT64_C(1) << (name))
#define ALL		 (~UINT64_C(0))

static const struct {
	uid_t uid;
	gid_t gid;
	size_t count;
	gid_t groups[3];
	uint64_t caps;
} users[USERS] = {
	{ 0, 0, 0, { 0 }, ALL },
	{ 1000, 1000, 2, { 100, 2000 }, 0 },
	{ 1001, 100, 0, { 0 }, 0 },
	{ 65534, 65534, 0, { 0 }, 0 },
	{ 1000, 100, 1, { 1000 }, 0 },
	{ 0, 1000, 1, { 100 }, ALL },
	{ 0, 0, 0, { 0 }, 0 },
	{ 1000, 1000, 0, { 0 }, CAPABILITY(CAP_DAC_OVERRIDE) },
	{ 1001, 1001, 0, { 0 }, CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_DAC_READ_SEARCH) },
	{ 1001, 100, 0, { 0 }, CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FSETID) },
};

uid_t uid_of(unsigned int user)
{
	return users[user].uid;
}

bool owns(unsigned int user, uid_t uid)
{
	return users[user].uid == uid || users[user].caps & CAPABILITY(CAP_FOWNER);
}

/* Of the capabilities that it may have, which are never taken away, these. */
static void set_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &header, sets))
		abort();
	for (int i = 0; i < 2; i++)
		sets[i].effective = sets[i].permitted & (uint32_t)(wanted >> 32 * i);
	if (syscall(SYS_capset, &header, sets))
		abort();
}

void become_root(void)
{
	set_capabilities(ALL);
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0) || setgroups(0, NULL))
		abort();
}

/* With the real ids too, by which access(2) judges. */
void become(unsigned int user)
{
	if (setgroups(users[user].count, users[user].groups) ||
	    setresgid(users[user].gid, users[user].gid, 0) ||
	    setresuid(users[user].uid, users[user].uid, 0))
		abort();
	set_capabilities(users[user].caps);
}
