/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Learns how files and pinned inodes of each kind look in this kernel, from descriptors and pins of
 * our own. The values are addresses of the kernel's static tables: the same for its whole life.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "uapi/syscalls.h"
#include "procfs/fdinfo.h"
#include "kernel/bpf_source.h"

static void ignore(const struct walk_rec *rec, void *data)
{
	(void)rec;
	(void)data;
}

static int peek(struct walkers *walkers, int fd, struct walk_peek *out)
{
	struct walk_control *control = walkers_control(walkers);
	int err;

	if (fd < 0)
		return fd;
	control->peek_fd = (uint32_t)fd;
	err = walkers_call(walkers, "walk_peek_prog", ignore, NULL);
	*out = control->peeked;
	return err;
}

static int learn_files(struct walkers *walkers)
{
	struct walk_known *known = &walkers_control(walkers)->known;
	bpfrefs_autofd iterator = walkers_open_iterator(walkers, "walk_maps");
	struct walk_peek peeked;
	int err;

	for (unsigned int kind = 0; kind < BPFREFS_KIND_COUNT; kind++) {
		err = peek(walkers, walkers_own_fd(walkers, kind), &peeked);
		if (err)
			return err;
		if (!peeked.release)
			return -ENOTSUP;
		known->release[kind] = peeked.release;
	}
	err = peek(walkers, iterator, &peeked);
	if (err)
		return err;
	known->iter_release = peeked.release;
	return peeked.release ? 0 : -ENOTSUP;
}

/* A bpffs that is never attached anywhere: nobody else sees it, and it goes with its descriptor. */
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

static int learn_pin(struct walkers *walkers, int bpffs, enum bpfrefs_kind kind)
{
	struct walk_known *known = &walkers_control(walkers)->known;
	const char *name = bpfrefs_kind_name(kind);
	bpfrefs_autofd pin = -1;
	struct walk_peek peeked;
	int err;

	err = bpf_pin_at(walkers_own_fd(walkers, kind), bpffs, name);
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

static int learn_pins(struct walkers *walkers)
{
	bpfrefs_autofd bpffs = own_bpffs();
	int err = 0;

	if (bpffs < 0)
		return bpffs;
	for (unsigned int kind = BPFREFS_MAP; !err && kind <= BPFREFS_LINK; kind++)
		err = learn_pin(walkers, bpffs, kind);
	return err;
}

/* ---------------------------------------------- what keeps owners (walk-owner.c) --- */

/* Looks at more of a descriptor: its super block, and which kind of namespace's file it is. */
static int peek_owner(struct walkers *walkers, int fd, struct walk_peek *out)
{
	int err = peek(walkers, fd, out);

	if (!err)
		err = walkers_call(walkers, "walk_peek_owner", ignore, NULL);
	*out = walkers_control(walkers)->peeked;
	return err;
}

static void learn_mount_files(struct walkers *walkers)
{
	struct walk_known *known = &walkers_control(walkers)->known;
	bpfrefs_autofd bpffs = own_bpffs();
	bpfrefs_autofd path = openat(bpffs, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bpfrefs_autofd dir = openat(bpffs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct walk_peek tree, peeked;

	if (bpffs < 0 || path < 0 || dir < 0)
		return;
	if (peek_owner(walkers, bpffs, &tree) == 0 && peek_owner(walkers, path, &peeked) == 0) {
		known->path_ops = peeked.ops;
		/* what closes with the file that fsmount() gives (FMODE_NEED_UNMOUNT) */
		known->unmount_mode = tree.mode & ~peeked.mode;
	}
	if (peek(walkers, dir, &peeked) == 0)
		known->dir_ops = peeked.ops;
}

static void learn_namespace_files(struct walkers *walkers)
{
	struct walk_known *known = &walkers_control(walkers)->known;
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

/* What cannot be found out is no error: an owner then has holds that are not found, and stays. */
static void learn_owners(struct walkers *walkers)
{
	struct walk_known *known = &walkers_control(walkers)->known;
	struct walk_peek peeked;

	learn_mount_files(walkers);
	learn_namespace_files(walkers);
	if (peek(walkers, walkers_cpu_map_fd(walkers), &peeked) == 0)
		known->cpu_array = peeked.private_data;
	if (walkers_call(walkers, "walk_init_namespaces", ignore, NULL))
		known->init_nsproxy = 0;
}

/* ---------------------------------------------------------- other files --- */

static int own_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int own_ring(void)
{
	char params[256] = { 0 }; /* struct io_uring_params: 120 bytes, all of them zero for us */

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

/* A device node may be missing where its driver is not. */
static bool has_tun(void)
{
	char devices[16384];

	return text_read_at(AT_FDCWD, "/proc/misc", devices, sizeof(devices)) < 0 ||
	       strstr(devices, " tun\n") != NULL;
}

static bool kernel_lacks(enum walk_other other, int error)
{
	if (error == ENOENT && other == WALK_OTHER_TUN)
		return !has_tun();
	return error == ENOSYS || error == EAFNOSUPPORT || error == ENODEV || error == ENXIO;
}

/* What cannot be learnt is no error here: the classes that need it say so (walk_knows()). */
static void learn_other(struct walkers *walkers, enum walk_other other, int (*open_own)(void))
{
	struct walk_known *known = &walkers_control(walkers)->known;
	bpfrefs_autofd fd = open_own();
	int err = fd < 0 ? -errno : 0;
	struct walk_peek peeked;

	if (err) {
		known->unlearnt[other] = kernel_lacks(other, -err) ? 0 : (uint32_t)-err;
		return;
	}
	err = peek(walkers, fd, &peeked);
	known->other[other] = err ? 0 : peeked.release;
	known->unlearnt[other] = err ? (uint32_t)-err : ENOTSUP;
}

static void learn_others(struct walkers *walkers)
{
	static int (*const open_own[WALK_OTHERS])(void) = {
		[WALK_OTHER_SOCKET] = own_socket,
		[WALK_OTHER_RING] = own_ring,
		[WALK_OTHER_PERF] = own_perf,
		[WALK_OTHER_TUN] = own_tun,
	};

	for (unsigned int other = 0; other < WALK_OTHERS; other++)
		learn_other(walkers, other, open_own[other]);
}

bool walk_knows(struct scan *scan, enum walk_other other)
{
	static const char *const names[WALK_OTHERS] = {
		[WALK_OTHER_SOCKET] = "sockets cannot be told from other files",
		[WALK_OTHER_RING] = "io_uring rings cannot be told from other files",
		[WALK_OTHER_PERF] = "perf events cannot be told from other files",
		[WALK_OTHER_TUN] = "tun files cannot be told from other files",
	};
	const struct walk_known *known = &walkers_control(walk_state_of(scan)->walkers)->known;

	if (known->other[other])
		return true;
	if (known->unlearnt[other])
		scan_unavailable(scan, names[other], (int)known->unlearnt[other]);
	return false;
}

int walk_learn(struct walkers *walkers, char **why)
{
	int err = learn_files(walkers);

	if (!err)
		err = learn_pins(walkers);
	if (err)
		*why = g_strdup_printf("BPF files and pins could not be told apart: %s",
				       g_strerror(-err));
	if (!err) {
		learn_others(walkers);
		learn_owners(walkers);
	}
	walkers_control(walkers)->self_prog = walkers_program_id(walkers, "walk_progs");
	walkers_control(walkers)->counts_prog = walkers_program_id(walkers, "walk_counts");
	return err;
}
