/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says who holds a pinned object: holders /sys/fs/bpf/NAME
 * cc holders.c $(pkg-config --cflags --libs bpfrefs) -o holders
 */
#include <bpfrefs.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print(const char *text, size_t length, void *data)
{
	return fwrite(text, 1, length, data) == length ? 0 : -EIO;
}

static int show(struct bpfrefs_ctx *ctx, struct bpfrefs_key key)
{
	struct bpfrefs_filter filter = { .size = sizeof(filter), .object = key };
	struct bpfrefs_snapshot *snapshot;
	struct bpfrefs_selection *holders;
	const struct bpfrefs_object *object;
	const struct bpfrefs_ref *ref;
	int err = bpfrefs_snapshot_take(ctx, &snapshot);

	if (err)
		return err;
	err = bpfrefs_select_refs(snapshot, &filter, &holders);
	while (!err && (ref = bpfrefs_next_ref(holders)))
		err = bpfrefs_ref_to_record(ref, print, stdout);
	bpfrefs_selection_free(holders);
	object = bpfrefs_snapshot_find(snapshot, key);
	if (object)
		printf("%s: %s\n", bpfrefs_state_name(object->state), object->because);
	bpfrefs_snapshot_unref(snapshot);
	return err;
}

int main(int argc, char **argv)
{
	char *path = strdup(argc > 1 ? argv[1] : "."), *name = strdup(path);
	int dir = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpfrefs_ctx *ctx = NULL;
	struct bpfrefs_key key;
	int err = dir < 0 ? -errno : bpfrefs_ctx_open(NULL, &ctx);

	err = err ? err : bpfrefs_pin_identify(ctx, dir, basename(name), &key);
	err = err ? err : show(ctx, key);
	if (err)
		fprintf(stderr, "holders: %s\n", strerror(-err));
	bpfrefs_ctx_close(ctx);
	close(dir);
	free(path);
	free(name);
	return err != 0;
}
