/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs attached to cgroups by BPF_PROG_ATTACH, without a link. Each attachment
 * holds its program once (__cgroup_bpf_attach()), until it is detached or the cgroup is
 * freed (cgroup_bpf_release()). A removed cgroup is not freed yet while a socket that
 * was made in it exists.
 *
 * An lsm_cgroup program is called by a small program of the kernel, a shim. There is one shim for
 * each function that such programs are attached to, with or without a link, and it holds the BTF of
 * that function (bpf_trampoline_link_cgroup_shim(), cgroup_shim_alloc()).
 */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

#define FIELDS(X)                     \
	X(CGROUP_PATH, "path")        \
	X(CGROUP_ID, "id")            \
	X(CGROUP_TYPE, "attach_type") \
	X(CGROUP_FLAGS, "flags")      \
	X(CGROUP_STATE, "state")
HOLDER_FIELDS(FIELDS);

/*
 * How often the walk is begun again when its lists change, and how many calls in a
 * row may emit nothing.
 */
#define TORN_MAX	8
#define EMPTY_CALLS_MAX 8
/* The depth of cgroups that is followed: a deeper path is a cycle of stale pointers. */
#define LEVELS_MAX 4096

struct cgroup {
	uint64_t parent, id; /* parent is 0 for the root */
	bool dying;
	const char *name;
};

/* The state of the class: what the walk has emitted. One that begins again repeats much of it. */
struct cgroups {
	GHashTable *groups;  /* address -> struct cgroup, both owned */
	GHashTable *entries; /* the addresses of attachments, owned keys */
	GArray *progs;	     /* struct walk_cgroup_prog */
	uint64_t emitted;    /* the number of records of all attempts */
};

static gint64 *address_new(uint64_t address)
{
	gint64 *copy = g_new(gint64, 1);

	*copy = (gint64)address;
	return copy;
}

static void decode_group(struct scan *scan, const void *record)
{
	const struct walk_cgroup *rec = record;
	struct cgroups *cgroups = scan_state(scan, &holder_cgroup);
	struct cgroup *group;
	char name[sizeof(rec->name) + 1] = "";

	if (!cgroups->groups)
		return; /* emitted by another program than walk_cgroups */
	group = g_new0(struct cgroup, 1);
	memcpy(name, rec->name, sizeof(rec->name));
	group->parent = rec->parent;
	group->id = rec->id;
	group->dying = rec->dying;
	group->name = scan_str(scan, name);
	cgroups->emitted++;
	g_hash_table_replace(cgroups->groups, address_new(rec->cgroup), group);
}

static void decode_prog(struct scan *scan, const void *record)
{
	const struct walk_cgroup_prog *prog = record;
	struct cgroups *cgroups = scan_state(scan, &holder_cgroup);

	if (!cgroups->groups)
		return;
	cgroups->emitted++;
	if (g_hash_table_add(cgroups->entries, address_new(prog->entry)))
		g_array_append_val(cgroups->progs, *prog);
}

/* -------------------------------------------------------- references --- */

/* The path from the root of the v2 hierarchy, as in /proc/PID/cgroup; owned by the caller. */
static char *path_of(const struct cgroups *cgroups, uint64_t address)
{
	g_autoptr(GString) path = g_string_new(NULL);
	const struct cgroup *group = g_hash_table_lookup(cgroups->groups, &address);

	for (int level = 0; group && group->parent && level < LEVELS_MAX; level++) {
		g_string_prepend(path, group->name);
		g_string_prepend_c(path, '/');
		group = g_hash_table_lookup(cgroups->groups, &group->parent);
	}
	if (!group)
		return NULL;
	return g_strdup(path->len ? path->str : "/");
}

static void set_type(struct scan *scan, struct bpfrefs_ref *ref, uint32_t type)
{
	const char *name = type ? bpfrefs_enum_name(BPFREFS_ENUM_ATTACH_TYPE, type - 1) : NULL;

	if (name || !type)
		ref_set_str(scan, ref, CGROUP_TYPE, name);
	else
		ref_set_num(ref, CGROUP_TYPE, type - 1);
}

/*
 * bpftool's names for BPF_F_ALLOW_OVERRIDE and BPF_F_ALLOW_MULTI. The key is absent with neither.
 */
static void set_flags(struct bpfrefs_ref *ref, uint32_t flags)
{
	if (flags & 2)
		ref_set_static(ref, CGROUP_FLAGS, "multi");
	else if (flags & 1)
		ref_set_static(ref, CGROUP_FLAGS, "override");
}

static void add_prog(struct scan *scan, const struct cgroups *cgroups,
		     const struct walk_cgroup_prog *prog)
{
	uint64_t address = prog->cgroup;
	const struct cgroup *group = g_hash_table_lookup(cgroups->groups, &address);
	g_autofree char *path = path_of(cgroups, prog->cgroup);
	struct bpfrefs_ref *ref;

	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_PROG, prog->rec.id }, 1, 0);
	if (!ref)
		return;
	ref_set_str(scan, ref, CGROUP_PATH, path);
	ref_set_num(ref, CGROUP_ID, group ? group->id : BPFREFS_UNKNOWN);
	set_type(scan, ref, prog->type);
	set_flags(ref, prog->flags);
	if (group && group->dying)
		ref_set_static(ref, CGROUP_STATE, "dying");
}

/* Adds the BTF of each function that lsm_cgroup programs are attached to, once. */
static void add_hook(struct scan *scan, const struct walk_cgroup_prog *prog, GHashTable *hooks)
{
	uint64_t hook = (uint64_t)prog->hook_btf << 32 | prog->hook;
	const struct holder_class *own_class;
	struct bpfrefs_ref *ref;

	if (!prog->hook || !prog->hook_btf || !g_hash_table_add(hooks, address_new(hook)))
		return;
	own_class = scan_set_class(scan, &holder_kernel);
	ref = scan_add(scan, (struct bpfrefs_key){ BPFREFS_KIND_BTF, prog->hook_btf }, 1, 0);
	scan_set_class(scan, own_class);
	if (ref)
		ref_set_static(ref, 0, "lsm_cgroup");
}

static void add_all(struct scan *scan, const struct cgroups *cgroups)
{
	g_autoptr(GHashTable) hooks =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (guint i = 0; i < cgroups->progs->len; i++) {
		const struct walk_cgroup_prog *prog =
			&g_array_index(cgroups->progs, struct walk_cgroup_prog, i);

		if (!prog->linked)
			add_prog(scan, cgroups, prog);
		add_hook(scan, prog, hooks);
	}
}

/* -------------------------------------------------------------- walk --- */

/* Returns -EAGAIN if a list changed during the walk. */
static int walk_once(struct scan *scan, const struct cgroups *cgroups)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	struct walk_control *control = bpf_loader_control(walkers);
	struct walk_calls calls = { 0 };
	uint64_t emitted;
	int err, idle = 0;

	control->cgroups.at = 0;
	do {
		emitted = cgroups->emitted;
		err = bpf_loader_call(walkers, "walk_cgroups", dispatch_record, scan);
		/* A call ends also after as many steps as bpf_loop() makes. */
		idle = cgroups->emitted == emitted ? idle + 1 : 0;
		if (idle == EMPTY_CALLS_MAX)
			return -ELOOP;
	} while (!err && object_records_go_on(control, &calls));
	return !err && control->ended == WALK_TORN ? -EAGAIN : err;
}

static int walk_all(struct scan *scan, struct cgroups *cgroups)
{
	struct bpf_loader *walkers = walk_state_of(scan)->walkers;
	int err = 0;

	if (!bpf_loader_control(walkers)->cgroups.types[0])
		err = bpf_loader_call(walkers, "walk_cgroup_types", dispatch_record, scan);
	if (err)
		return err;
	err = -EAGAIN;
	for (int i = 0; err == -EAGAIN && i < TORN_MAX; i++) {
		/* What was emitted before the list changed may have been detached since. */
		g_hash_table_remove_all(cgroups->entries);
		g_array_set_size(cgroups->progs, 0);
		err = walk_once(scan, cgroups);
	}
	return err;
}

static int walk(struct scan *scan)
{
	struct cgroups *cgroups = scan_state(scan, &holder_cgroup);
	int err;

	cgroups->groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	cgroups->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	cgroups->progs = g_array_new(FALSE, FALSE, sizeof(struct walk_cgroup_prog));
	err = walk_all(scan, cgroups);
	add_all(scan, cgroups);
	return err;
}

static void end(void *state)
{
	struct cgroups *cgroups = state;

	g_clear_pointer(&cgroups->groups, g_hash_table_unref);
	g_clear_pointer(&cgroups->entries, g_hash_table_unref);
	g_clear_pointer(&cgroups->progs, g_array_unref);
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value group = bpfrefs_ref_value(ref, CGROUP_PATH);
	g_autofree char *path =
		group.type == BPFREFS_VALUE_STR ? enter_cgroup(removal->enter, group.str) : NULL;

	if (bpfrefs_ref_value(ref, CGROUP_STATE).type == BPFREFS_VALUE_STR) {
		removal_set(removal, REMOVAL_NO_WAY,
			    "its cgroup was removed: it ends when the last socket made there is "
			    "closed");
		return;
	}
	removal_words(removal, "bpftool", "cgroup", "detach", path ? path : "CGROUP", NULL);
	removal_field(removal, ref, CGROUP_TYPE);
	removal_id(removal, ref->target);
	if (!path)
		removal_suggest(removal, "the v2 hierarchy is not mounted here");
}

const struct holder_class holder_cgroup = {
	.pub = { HOLDER_PUB("cgroup"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_CGROUP,
	.hook = BPFREFS_HOOK_CGROUP,
	.hook_words = { [CGROUP_PATH] = "cgroup", [CGROUP_ID] = "cgroup_id" },
	.removes = removes,
	.state = sizeof(struct cgroups),
	.end = end,
	.walk = walk,
	.parallel = true,
	.decoders = { DECODER(walk_cgroup, decode_group), DECODER(walk_cgroup_prog, decode_prog) },
	.proc_gap = "only the BPF source can read all cgroups, including removed ones",
};
