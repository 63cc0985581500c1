/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads by what the programs can identify files and pinned inodes of each kind: addresses of the
 * kernel's operations tables, which are constant until the next boot. They are read from
 * descriptors and pins of our own, since kallsyms may lack data symbols.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kernel/bpf_source.h"
#include "procfs/fdinfo.h"
#include "uapi/syscalls.h"

static void ignore(const struct walk_rec *rec, void *data)
{
	(void)rec;
	(void)data;
}

static int peek(struct bpf_loader *walkers, int fd, struct walk_peek *out)
{
	struct walk_control *control = bpf_loader_control(walkers);
	int err;

	if (fd < 0)
		return fd;
	control->peek_fd = (uint32_t)fd;
	err = bpf_loader_call(walkers, "walk_peek_prog", ignore, NULL);
	*out = control->peeked;
	return err;
}

static int probe_files(struct bpf_loader *walkers)
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	bpfrefs_autofd iterator = bpf_loader_open_iterator(walkers, "walk_maps");
	struct walk_peek peeked;
	int err;

	for (unsigned int kind = 0; kind < KIND_COUNT; kind++) {
		err = peek(walkers, bpf_loader_own_fd(walkers, kind), &peeked);
		if (err)
			return err;
		if (!peeked.release)
			return -ENOTSUP;
		known->release[kind] = peeked.release;
		if (kind == BPFREFS_KIND_MAP)
			known->map_file = peeked.file;
	}
	err = peek(walkers, iterator, &peeked);
	if (err)
		return err;
	known->iter_release = peeked.release;
	return peeked.release ? 0 : -ENOTSUP;
}

/*
 * A bpffs that is mounted nowhere: no other process can reach it, and it is freed with its
 * descriptor.
 */
static int own_bpffs(void)
{
	bpfrefs_autofd fs = fsopen("bpf", FSOPEN_CLOEXEC);
	int mount;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return -errno;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return mount < 0 ? -errno : mount;
}

static int probe_pin(struct bpf_loader *walkers, int bpffs, enum bpfrefs_kind kind)
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	const char *name = bpfrefs_kind_name(kind);
	bpfrefs_autofd pin = -1;
	struct walk_peek peeked;
	int err;

	err = syscall_pin_at(bpf_loader_own_fd(walkers, kind), bpffs, name);
	if (err)
		return err;
	pin = openat(bpffs, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (pin < 0)
		return -errno;
	err = peek(walkers, pin, &peeked);
	if (err)
		return err;
	known->inode_ops[kind] = peeked.inode_ops;
	known->bpffs = peeked.fs_type;
	return peeked.inode_ops && peeked.fs_type ? 0 : -ENOTSUP;
}

static int probe_pins(struct bpf_loader *walkers)
{
	bpfrefs_autofd bpffs = own_bpffs();
	int err = 0;

	if (bpffs < 0)
		return bpffs;
	for (unsigned int kind = BPFREFS_KIND_MAP; !err && kind <= BPFREFS_KIND_LINK; kind++)
		err = probe_pin(walkers, bpffs, kind);
	return err;
}

/* -------------------------------- what holds owners (owner_records.c) --- */

/*
 * Reads also the super block of a descriptor, and the type of namespace if it is
 * a namespace's file.
 */
static int peek_owner(struct bpf_loader *walkers, int fd, struct walk_peek *out)
{
	int err = peek(walkers, fd, out);

	if (!err)
		err = bpf_loader_call(walkers, "walk_peek_owner", ignore, NULL);
	*out = bpf_loader_control(walkers)->peeked;
	return err;
}

static void probe_mount_files(struct bpf_loader *walkers)
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	bpfrefs_autofd bpffs = own_bpffs();
	bpfrefs_autofd path = openat(bpffs, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bpfrefs_autofd dir = openat(bpffs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct walk_peek tree, peeked;

	if (bpffs < 0 || path < 0 || dir < 0)
		return;
	if (peek_owner(walkers, bpffs, &tree) == 0 && peek_owner(walkers, path, &peeked) == 0) {
		known->path_ops = peeked.ops;
		/*
		 * The mode bit of the file that fsmount(2) returns, FMODE_NEED_UNMOUNT: its close
		 * unmounts the tree.
		 */
		known->unmount_mode = tree.mode & ~peeked.mode;
	}
	if (peek(walkers, dir, &peeked) == 0)
		known->dir_ops = peeked.ops;
}

static void probe_namespace_files(struct bpf_loader *walkers)
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	bpfrefs_autofd mnt = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	bpfrefs_autofd net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	bpfrefs_autofd mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct walk_peek peeked;

	if (mnt >= 0 && peek_owner(walkers, mnt, &peeked) == 0) {
		known->ns_file_ops = peeked.ops;
		known->nsfs = peeked.sb;
		known->mnt_ns_ops = peeked.ns_ops;
	}
	if (net >= 0 && peek_owner(walkers, net, &peeked) == 0)
		known->net_ns_ops = peeked.ns_ops;
	if (mounts >= 0 && peek(walkers, mounts, &peeked) == 0)
		known->mounts_release = peeked.release;
}

/*
 * What cannot be read is no error: the counter of an owner then exceeds the holds that are found,
 * so the owner counts as one that stays.
 */
static void probe_owners(struct bpf_loader *walkers)
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	struct walk_peek peeked;

	probe_mount_files(walkers);
	probe_namespace_files(walkers);
	if (peek(walkers, bpf_loader_cpu_map_fd(walkers), &peeked) == 0)
		known->cpu_array = peeked.private_data;
	if (bpf_loader_call(walkers, "walk_init_namespaces", ignore, NULL))
		known->init_nsproxy = 0;
}

/* ------------------------------------------------------- other files --- */

static int own_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int own_ring(void)
{
	/* struct io_uring_params has 120 bytes, and all of them may be zero */
	char params[256] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int own_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = PERF_ATTR_SIZE_VER0,
		.disabled = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int own_tun(void)
{
	return open("/dev/net/tun", O_RDWR | O_CLOEXEC);
}

/* /dev/net/tun may be missing although the kernel has the driver: /proc/misc lists the driver. */
static bool has_tun(void)
{
	char devices[16384];

	return proc_text_read_at(AT_FDCWD, "/proc/misc", devices, sizeof(devices)) < 0 ||
	       strstr(devices, " tun\n") != NULL;
}

static bool kernel_lacks(enum walk_other other, int error)
{
	if (error == ENOENT && other == WALK_OTHER_TUN)
		return !has_tun();
	return error == ENOSYS || error == EAFNOSUPPORT || error == ENODEV || error == ENXIO;
}

/* A failure is no error here: the classes that need these files report it (kernel_ids_has()). */
static void probe_other(struct bpf_loader *walkers, enum walk_other other, int (*open_own)(void))
{
	struct walk_kernel_ids *known = &bpf_loader_control(walkers)->kernel_ids;
	bpfrefs_autofd fd = open_own();
	int err = fd < 0 ? -errno : 0;
	struct walk_peek peeked;

	if (err) {
		known->other_errors[other] = kernel_lacks(other, -err) ? 0 : (uint32_t)-err;
		return;
	}
	err = peek(walkers, fd, &peeked);
	known->other[other] = err ? 0 : peeked.release;
	known->other_errors[other] = err ? (uint32_t)-err : ENOTSUP;
}

static void probe_others(struct bpf_loader *walkers)
{
	static int (*const open_own[WALK_OTHERS])(void) = {
		[WALK_OTHER_SOCKET] = own_socket,
		[WALK_OTHER_RING] = own_ring,
		[WALK_OTHER_PERF] = own_perf,
		[WALK_OTHER_TUN] = own_tun,
	};

	for (unsigned int other = 0; other < WALK_OTHERS; other++)
		probe_other(walkers, other, open_own[other]);
}

bool kernel_ids_has(struct scan *scan, enum walk_other other)
{
	static const char *const names[WALK_OTHERS] = {
		[WALK_OTHER_SOCKET] = "sockets cannot be distinguished from other files",
		[WALK_OTHER_RING] = "io_uring rings cannot be distinguished from other files",
		[WALK_OTHER_PERF] = "perf events cannot be distinguished from other files",
		[WALK_OTHER_TUN] = "tun files cannot be distinguished from other files",
	};
	const struct walk_kernel_ids *known =
		&bpf_loader_control(walk_state_of(scan)->walkers)->kernel_ids;

	if (known->other[other])
		return true;
	if (known->other_errors[other])
		scan_unavailable(scan, names[other], (int)known->other_errors[other]);
	return false;
}

int kernel_ids_probe(struct bpf_loader *walkers, char **why)
{
	int err = probe_files(walkers);

	if (!err)
		err = probe_pins(walkers);
	if (err)
		*why = g_strdup_printf("BPF files and pins could not be identified: %s",
				       g_strerror(-err));
	if (!err) {
		probe_others(walkers);
		probe_owners(walkers);
	}
	bpf_loader_control(walkers)->self_prog = bpf_loader_program_id(walkers, "walk_progs");
	bpf_loader_control(walkers)->counts_prog = bpf_loader_program_id(walkers, "walk_counts");
	return err;
}
