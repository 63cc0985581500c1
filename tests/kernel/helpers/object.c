// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An ordinary libbpf program.
 *
 * object FILE reuse MAP_PIN: loads the object; its map is the one pinned there, if there is one,
 * else it is new and gets pinned there. Prints the map's id.
 *
 * object FILE iter LINK_PIN: attaches the iterator and pins its link.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what)
{
	fprintf(stderr, "object: %s: %s\n", what, strerror(errno));
	return 1;
}

static int reuse(struct bpf_object *object, const char *pin)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "counters");
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);

	if (!map || bpf_map__set_pin_path(map, pin) < 0)
		return fail("the map");
	if (bpf_object__load(object) < 0)
		return fail("load");
	if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &length) < 0)
		return fail("info");
	printf("map/%u\n", info.id);
	return 0;
}

static int iter(struct bpf_object *object, const char *pin)
{
	struct bpf_program *program;
	struct bpf_link *link;
	int status = 0;

	if (bpf_object__load(object) < 0)
		return fail("load");
	program = bpf_object__find_program_by_name(object, "show");
	link = program ? bpf_program__attach_iter(program, NULL) : NULL;
	if (!link)
		return fail("attach");
	if (bpf_link__pin(link, pin) < 0)
		status = fail("pin");
	bpf_link__destroy(link);
	return status;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	int status = 2;

	if (argc != 4) {
		fprintf(stderr, "usage: object FILE reuse|iter PIN\n");
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object)
		return fail(argv[1]);
	if (strcmp(argv[2], "reuse") == 0)
		status = reuse(object, argv[3]);
	else if (strcmp(argv[2], "iter") == 0)
		status = iter(object, argv[3]);
	bpf_object__close(object);
	return status;
}
