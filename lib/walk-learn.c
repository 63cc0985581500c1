/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Learns how files and pinned inodes of each kind look in this kernel, from descriptors and pins of
 * our own. The values are addresses of the kernel's static tables: the same for its whole life.
 */
#include <fcntl.h>
#include <sys/mount.h>

#include "bpf.h"
#include "walk-scan.h"

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

int walk_learn(struct walkers *walkers, char **why)
{
	int err = learn_files(walkers);

	if (!err)
		err = learn_pins(walkers);
	if (err)
		*why = g_strdup_printf("BPF files and pins could not be told apart: %s",
				       g_strerror(-err));
	walkers_control(walkers)->self_prog = walkers_program_id(walkers, "walk_progs");
	return err;
}
