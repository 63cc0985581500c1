// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An ordinary libbpf program.
 *
 * mkobj object FILE reuse MAP_PIN: loads the object; its map is the one pinned there, if there is one,
 * else it is new and gets pinned there. Prints the map's key.
 *
 * mkobj object FILE iter LINK_PIN: attaches the iterator and pins its link.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mkobj.h"

static int reuse(struct bpf_object *object, const char *pin)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "counters");
	char key[KEY_ROOM];
	int error;

	if (!map)
		return -ENOENT;
	error = bpf_map__set_pin_path(map, pin);
	if (!error)
		error = bpf_object__load(object);
	if (!error)
		puts(key_of(bpf_map__fd(map), key));
	return error;
}

static int iter(struct bpf_object *object, const char *pin)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, "show");
	int error = bpf_object__load(object);
	struct bpf_link *link;

	if (error || !program)
		return error ? error : -ENOENT;
	link = bpf_program__attach_iter(program, NULL);
	if (!link)
		return -errno;
	error = bpf_link__pin(link, pin);
	bpf_link__destroy(link);
	return error;
}

int object_run(char **args)
{
	struct bpf_object *object = bpf_object__open_file(args[0], NULL);
	int error;

	if (!object)
		return -errno;
	error = strcmp(args[1], "reuse") == 0 ? reuse(object, args[2]) : iter(object, args[2]);
	bpf_object__close(object);
	return error;
}
