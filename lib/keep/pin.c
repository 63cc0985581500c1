/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pinning objects, and identifying the object of a pin. */
#include "keep/pin.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "uapi/syscalls.h"
#include "uapi/uapi_info.h"

int pin_object_alone(struct bpfrefs_ctx *ctx, uint32_t map_id)
{
	uint64_t usercnt;
	int err;

	if (!ctx->source->map_usercnt)
		return -EOPNOTSUPP;
	err = ctx->source->map_usercnt(ctx, map_id, &usercnt);
	if (err)
		return err;
	return usercnt <= 1;
}

int pin_object_open(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	struct map_facts facts;
	int fd = syscall_open_id(key.kind, key.id);

	if (fd < 0 || key.kind != BPFREFS_KIND_MAP)
		return fd;
	if (uapi_info_map_read(fd, &facts) == 0 && facts.type == BPF_MAP_TYPE_PROG_ARRAY &&
	    pin_object_alone(ctx, key.id) == 1)
		g_usleep(CLEAR_WAIT_US);
	return fd;
}

static int pin_locked(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, int dir_fd, const char *name)
{
	bpfrefs_autofd fd = pin_object_open(ctx, key);

	return fd < 0 ? fd : syscall_pin_at(fd, dir_fd, name);
}

int bpfrefs_pin(struct bpfrefs_ctx *ctx, struct bpfrefs_key key, int dir_fd, const char *name)
{
	int err;

	if (key.kind == BPFREFS_KIND_BTF)
		return -EOPNOTSUPP;
	/*
	 * The lock keeps a scan from finding this descriptor, which would be a holder of the object
	 * that bpfrefs itself adds for a moment.
	 */
	ctx_lock(ctx);
	err = pin_locked(ctx, key, dir_fd, name);
	g_mutex_unlock(&ctx->lock);
	return err;
}

int pin_identify_locked(int dir_fd, const char *name, struct bpfrefs_key *key)
{
	bpfrefs_autofd fd = syscall_get_at(dir_fd, name);

	return fd < 0 ? fd : syscall_identify(fd, key);
}

/* Finds the object of a pinned inode in a snapshot. -ENOENT: the snapshot does not have it. */
static int find_place(const struct bpfrefs_snapshot *snap, const struct stat *st,
		      struct bpfrefs_key *key)
{
	for (guint i = 0; i < snap->refs->len; i++) {
		const struct bpfrefs_ref *ref = snap->refs->pdata[i];

		if (ref->place && ref->place->ino == st->st_ino &&
		    ref->place->major == major(st->st_dev) &&
		    ref->place->minor == minor(st->st_dev)) {
			*key = ref->target;
			return 0;
		}
	}
	return -ENOENT;
}

int pin_identify_unopened(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			  struct bpfrefs_key *key)
{
	struct bpfrefs_snapshot *snap;
	struct stat st;
	int err;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	err = bpfrefs_snapshot_take(ctx, &snap);
	if (err)
		return err;
	err = find_place(snap, &st, key);
	bpfrefs_snapshot_unref(snap);
	/* The procfs source has to open the pin too, and could not. */
	return err ? -EROFS : 0;
}

int bpfrefs_pin_identify(struct bpfrefs_ctx *ctx, int dir_fd, const char *name,
			 struct bpfrefs_key *key)
{
	int err;

	ctx_lock(ctx);
	err = pin_identify_locked(dir_fd, name, key);
	g_mutex_unlock(&ctx->lock);
	return err == -EROFS ? pin_identify_unopened(ctx, dir_fd, name, key) : err;
}
