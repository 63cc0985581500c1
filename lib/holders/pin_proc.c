/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fields of class pin, and its half of the procfs source. */
#include <stdio.h>
#include <string.h>

#include "holders/holders.h"
#include "procfs/procfs.h"
#include "snapshot/owner.h"

enum { PIN_FIELDS(HOLDER_FIELD_INDEX) };

void pin_fill(struct scan *scan, struct bpfrefs_ref *ref, const struct pin_facts *facts)
{
	char dev[24], mode[8];

	snprintf(dev, sizeof(dev), "%u:%u", facts->major, facts->minor);
	snprintf(mode, sizeof(mode), "%o", facts->mode & 07777u); /* as `stat -c %a` prints it */
	ref_set_str(scan, ref, PIN_PATH, facts->path);
	if (!facts->path && facts->inner)
		ref_set_str(scan, ref, PIN_INNER, facts->inner);
	ref_set_str(scan, ref, PIN_DEV, dev);
	ref_set_num(ref, PIN_INO, facts->ino);
	ref_set_num(ref, PIN_UID, facts->uid);
	ref_set_num(ref, PIN_GID, facts->gid);
	ref_set_str(scan, ref, PIN_MODE, mode);
	ref_set_num(ref, PIN_MTIME, (uint64_t)MAX(facts->mtime, 0));
	ref_set_static(ref, PIN_STATE, facts->state);
	if (facts->pid)
		ref_set_num(ref, PIN_PID, facts->pid);
}

static void add_pin(struct scan *scan, const struct proc_pins *pins, const struct proc_pin *pin)
{
	g_autofree char *path = mounts_path(pins->own, pin->major, pin->minor, pin->inner);
	uint32_t count = pin->first ? 1 : 0;
	struct bpfrefs_ref *ref =
		scan_add(scan, pin->key, count, pin->key.kind == BPFREFS_KIND_MAP ? count : 0);
	struct pin_facts facts = {
		.major = pin->major,
		.minor = pin->minor,
		.uid = pin->uid,
		.gid = pin->gid,
		.mode = pin->mode,
		.ino = pin->ino,
		.mtime = pin->mtime,
		.path = path,
		.inner = pin->inner,
		.state = "live",
		.pid = path ? 0 : pin->pid,
	};

	if (!ref)
		return;
	pin_fill(scan, ref, &facts);
	owner_set_ref(ref, owner_find(scan, OWNER_BPFFS, owner_bpffs_id(pin->major, pin->minor)));
	ref_set_location(scan, ref, proc_pin_location(pin));
}

static void add_mount(struct scan *scan, const struct proc_mount *place)
{
	struct bpfrefs_mount mount = {
		.mnt_ns = place->mnt_ns,
		.pid = place->pid ? place->pid : scan->ctx->self,
		.path = place->mount->target,
		.here = place->pid == 0,
		.covered = place->mount->hidden,
	};

	scan_bpffs_mount(scan, place->mount->major, place->mount->minor, &mount);
	if (strcmp(place->mount->root, "/") == 0)
		scan_bpffs_options(scan, place->mount->major, place->mount->minor,
				   place->mount->options);
}

static uint64_t count_pins(const struct proc_pins *pins, const struct bpffs_mount *mount)
{
	uint64_t count = 0;

	for (guint i = 0; i < pins->pins->len; i++) {
		const struct proc_pin *pin = &g_array_index(pins->pins, struct proc_pin, i);

		count += pin->first && pin->major == mount->major && pin->minor == mount->minor;
	}
	return count;
}

/* Adds each instance of bpffs: the number of inodes that are pins, and where it is mounted. */
static void add_instances(struct scan *scan, const struct proc_pins *pins)
{
	const struct bpffs_mount *last = NULL;

	for (guint i = 0; i < pins->places->len; i++) {
		const struct proc_mount *place = &g_array_index(pins->places, struct proc_mount, i);
		const struct bpffs_mount *mount = place->mount;

		if (!last || last->major != mount->major || last->minor != mount->minor)
			scan_bpffs(scan, mount->major, mount->minor, count_pins(pins, mount), true);
		last = mount;
		add_mount(scan, place);
	}
	for (guint i = 0; i < pins->dirs->len; i++) {
		const struct proc_dir *dir = &g_array_index(pins->dirs, struct proc_dir, i);

		scan_bpffs_dir(scan, dir->major, dir->minor, dir->ino, dir->inner);
	}
}

void pin_proc_gaps(struct scan *scan, const struct proc_pins *pins)
{
	const struct proc_gap gaps[] = {
		{ &pins->instances, "bpffs instances" },
		{ &pins->parts, "directories of bpffs" },
		{ &pins->covered, "names in bpffs under other mounts" },
		{ &pins->pinned, "pins" },
		{ &pins->namespaces, "processes' mount namespaces" },
	};

	proc_gaps(scan, gaps, G_N_ELEMENTS(gaps));
}

int pin_proc(struct scan *scan)
{
	const struct proc_scan *proc = scan->source_data;
	const struct proc_pins *pins = &proc->pins;

	add_instances(scan, pins);
	for (guint i = 0; i < pins->pins->len; i++) {
		const struct proc_pin *pin = &g_array_index(pins->pins, struct proc_pin, i);

		if (pin->keep == BPFREFS_KEEP_OFF)
			add_pin(scan, pins, pin);
	}
	pin_proc_gaps(scan, pins);
	return 0;
}
