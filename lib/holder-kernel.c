/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel itself holds: the BTF of vmlinux and of each loaded module once each
 * (btf_parse_vmlinux(), btf_parse_module(): the count that they begin with).
 */
#include <string.h>

#include "holders.h"
#include "walk-scan.h"

static const char *const keys[] = { "why", NULL };

static void derive(struct scan *scan)
{
	for (guint i = 0; i < scan->snap->objects->len; i++) {
		const struct bpfrefs_object *object = g_ptr_array_index(scan->snap->objects, i);
		struct bpfrefs_ref *ref;

		/* type_number of a btf: struct bpf_btf_info's kernel_btf */
		if (object->key.kind != BPFREFS_BTF || object->type_number != 1)
			continue;
		ref = scan_add(scan, object->key, 1, 0);
		if (ref)
			ref_set_static(ref, 0,
				       strcmp(object->name, "vmlinux") == 0 ? "vmlinux" : "module");
	}
}

static int proc(struct scan *scan)
{
	scan_source(scan, "bpf(2)");
	derive(scan);
	return 0;
}

const struct holder_class holder_kernel = {
	.pub = { "kernel", keys, 1u << BPFREFS_BTF },
	.derive = derive,
	.proc = proc,
};
