/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing mountinfo: a process can put any line into its mountinfo by its mounts. */
#include <fcntl.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "procfs/procfs.h"

static int proc_fd, self_fd;

void fuzz_begin(void)
{
	const char *dir = fuzz_dir();

	proc_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(proc_fd >= 0 && mkdirat(proc_fd, "self", 0700) == 0);
	self_fd = openat(proc_fd, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(self_fd >= 0);
}

/* Checks that a path is in a mount of this instance that can be reached. */
static void check_path(const GPtrArray *mounts, const struct bpffs_mount *of, const char *inner)
{
	g_autofree char *path = mounts_path(mounts, of->major, of->minor, inner);
	bool found = false;

	for (guint i = 0; path && !found && i < mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(mounts, i);

		found = mount->major == of->major && mount->minor == of->minor && !mount->hidden &&
			g_str_has_prefix(path, mount->target);
	}
	must(!path || found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GPtrArray *mounts = NULL;
	int err;

	fuzz_write(self_fd, "mountinfo", data, size);
	err = mounts_read(proc_fd, 0, &mounts);
	must(err <= 0 && (err == 0) == (mounts != NULL));
	for (guint i = 0; mounts && i < mounts->len; i++) {
		const struct bpffs_mount *mount = g_ptr_array_index(mounts, i);

		must(mount->root && mount->target);
		check_path(mounts, mount, "/");
		check_path(mounts, mount, "/app/conns");
		check_path(mounts, mount, mount->root);
	}
	if (mounts)
		g_ptr_array_unref(mounts);
	return 0;
}
