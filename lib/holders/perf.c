/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Perf events. An event holds the program of PERF_EVENT_IOC_SET_BPF or of a link
 * (perf_event_set_bpf_prog()), and so does each event that a task inherits from it
 * (perf_event_alloc()). An event is held by its descriptors, by slots of perf event
 * arrays, and by links.
 */
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <string.h>

#include "holders/holders.h"
#include "kernel/mappings.h"
#include "kernel/nested_files.h"
#include "kernel/socket_holders.h"

#define FIELDS(X)               \
	SOCKET_HOLDER_FIELDS(X) \
	X(PERF_EVENT, "event")  \
	X(PERF_VIA, "via")      \
	X(PERF_ID, "id")        \
	X(PERF_SLOT, "slot")
HOLDER_FIELDS(FIELDS);

struct perf_state {
	bool arrays;	     /* there are perf event arrays */
	GHashTable *carried; /* struct carried: files that are still to be read */
	GArray *mapped;	     /* uint64_t: files of sockets that have been mapped */
};

/* The names that perf(1) uses. */
static const char *const software[] = {
	[PERF_COUNT_SW_CPU_CLOCK] = "cpu-clock",
	[PERF_COUNT_SW_TASK_CLOCK] = "task-clock",
	[PERF_COUNT_SW_PAGE_FAULTS] = "page-faults",
	[PERF_COUNT_SW_CONTEXT_SWITCHES] = "context-switches",
	[PERF_COUNT_SW_CPU_MIGRATIONS] = "cpu-migrations",
	[PERF_COUNT_SW_PAGE_FAULTS_MIN] = "minor-faults",
	[PERF_COUNT_SW_PAGE_FAULTS_MAJ] = "major-faults",
	[PERF_COUNT_SW_ALIGNMENT_FAULTS] = "alignment-faults",
	[PERF_COUNT_SW_EMULATION_FAULTS] = "emulation-faults",
	[PERF_COUNT_SW_DUMMY] = "dummy",
	[PERF_COUNT_SW_BPF_OUTPUT] = "bpf-output",
	[PERF_COUNT_SW_CGROUP_SWITCHES] = "cgroup-switches",
};

static const char *const hardware[] = {
	[PERF_COUNT_HW_CPU_CYCLES] = "cycles",
	[PERF_COUNT_HW_INSTRUCTIONS] = "instructions",
	[PERF_COUNT_HW_CACHE_REFERENCES] = "cache-references",
	[PERF_COUNT_HW_CACHE_MISSES] = "cache-misses",
	[PERF_COUNT_HW_BRANCH_INSTRUCTIONS] = "branches",
	[PERF_COUNT_HW_BRANCH_MISSES] = "branch-misses",
	[PERF_COUNT_HW_BUS_CYCLES] = "bus-cycles",
	[PERF_COUNT_HW_STALLED_CYCLES_FRONTEND] = "stalled-cycles-frontend",
	[PERF_COUNT_HW_STALLED_CYCLES_BACKEND] = "stalled-cycles-backend",
	[PERF_COUNT_HW_REF_CPU_CYCLES] = "ref-cycles",
};

/*
 * A name such as "software:cpu-clock", "sched:sched_switch" or "cpu:0x3c": the kernel's own
 * name if there is one.
 */
static char *event_name(const struct walk_event *event)
{
	g_autofree char *system = g_strndup(event->system, sizeof(event->system));
	g_autofree char *name = g_strndup(event->name, sizeof(event->name));
	g_autofree char *pmu = g_strndup(event->pmu, sizeof(event->pmu));

	if (*name)
		return g_strdup_printf("%s:%s", *system ? system : pmu, name);
	/*
	 * These two events have PMUs of their own, whose types they get (cpu_clock_event_init()).
	 */
	if (strcmp(pmu, "cpu_clock") == 0)
		return g_strdup("software:cpu-clock");
	if (strcmp(pmu, "task_clock") == 0)
		return g_strdup("software:task-clock");
	if (event->type == PERF_TYPE_SOFTWARE && event->config < G_N_ELEMENTS(software))
		return g_strdup_printf("software:%s", software[event->config]);
	if (event->type == PERF_TYPE_HARDWARE && event->config < G_N_ELEMENTS(hardware))
		return g_strdup_printf("hardware:%s", hardware[event->config]);
	return g_strdup_printf("%s:0x%" G_GINT64_MODIFIER "x", pmu, (guint64)event->config);
}

/* The array or link that holds the event is an object, and so the holder in the graph. */
static void set_holder(struct bpfrefs_ref *ref, const struct walk_event *event)
{
	bool array = event->holder_kind == WALK_KIND_MAP;

	ref->holder =
		(struct bpfrefs_key){ array ? BPFREFS_KIND_MAP : BPFREFS_KIND_LINK, event->holder };
	ref_set_via(ref, PERF_VIA, array ? WALK_VIA_EVENT_ARRAY : WALK_VIA_LINK);
	ref_set_num(ref, PERF_ID, event->holder);
	if (array)
		ref_set_num(ref, PERF_SLOT, event->slot);
}

static void decode_map(struct scan *scan, const void *record)
{
	struct perf_state *state = scan_state(scan, &holder_perf);

	state->arrays |= ((const struct walk_map *)record)->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

static void decode_event(struct scan *scan, const void *record)
{
	const struct walk_event *event = record;
	struct bpfrefs_ref *ref = socket_holder_add(scan, &event->use);
	g_autofree char *name = NULL;

	if (!ref)
		return;
	name = event_name(event);
	ref_set_str(scan, ref, PERF_EVENT, name);
	if (event->holder)
		set_holder(ref, event);
	if (event->use.use == WALK_USE_INHERITED)
		ref_set_via(ref, PERF_VIA, WALK_VIA_INHERITED);
}

/*
 * Sockets, tun devices and perf events that their process holds without a descriptor. This is the
 * first of the classes of these files, and the programs that emit such records have all run before.
 */
struct carried {
	uint64_t file;
	uint32_t pid, other;
	const char *comm;
};

static guint carried_hash(gconstpointer data)
{
	const struct carried *carried = data;

	return (guint)(carried->file >> 4) * 31 + carried->pid;
}

static gboolean carried_equal(gconstpointer a, gconstpointer b)
{
	const struct carried *one = a, *other = b;

	return one->file == other->file && one->pid == other->pid;
}

static void decode_carried(struct scan *scan, const void *record)
{
	const struct walk_carried *found = record;
	struct perf_state *state = scan_state(scan, &holder_perf);
	struct carried *carried = g_new0(struct carried, 1);

	if (found->other == WALK_OTHER_SOCKET && found->how == WALK_HOW_MMAP)
		mappings_found(scan, found->file);
	if (!state->carried)
		state->carried = g_hash_table_new_full(carried_hash, carried_equal, g_free, NULL);
	carried->file = found->file;
	carried->other = found->other;
	carried->pid = nested_file_pid(scan, &carried->comm);
	g_hash_table_add(state->carried, carried);
}

static void decode_mapped(struct scan *scan, const void *record)
{
	const struct walk_mapped *found = record;
	struct perf_state *state = scan_state(scan, &holder_perf);

	if (!state->mapped)
		state->mapped = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_array_append_val(state->mapped, found->file);
}

/* The processes that have a socket mapped of which a process was found to have a descriptor. */
static int walk_mapped(struct scan *scan)
{
	const struct perf_state *state = scan_state(scan, &holder_perf);
	uint32_t busy = 0;
	int err = 0;

	for (guint i = 0; !err && state->mapped && i < state->mapped->len; i++) {
		err = mappings_walk_file(scan, g_array_index(state->mapped, uint64_t, i),
					 dispatch_record);
		if (err == -EAGAIN) {
			busy++;
			err = 0;
		}
	}
	if (busy)
		scan_gap(scan, busy, "sockets whose mappings changed while they were read", EAGAIN);
	return err;
}

static int walk_carried(struct scan *scan)
{
	struct walk_state *state = walk_state_of(scan);
	struct walk_control *control = bpf_loader_control(state->walkers);
	struct perf_state *perf = scan_state(scan, &holder_perf);
	g_autoptr(GHashTable) files = g_steal_pointer(&perf->carried);
	const struct carried *carried;
	GHashTableIter iter;
	gpointer key;
	int err = 0;

	if (!files)
		return 0;
	g_hash_table_iter_init(&iter, files);
	while (!err && g_hash_table_iter_next(&iter, &key, NULL)) {
		carried = key;
		control->use_file = carried->file;
		control->use_other = carried->other;
		state->pid = carried->pid;
		state->comm = carried->comm;
		err = bpf_loader_call(state->walkers, "walk_carried", dispatch_record, scan);
	}
	/*
	 * These files are not known to hold other files. If one does, what it
	 * holds is not followed.
	 */
	if (perf->carried)
		scan_gap(scan, g_hash_table_size(perf->carried),
			 "files held by files without a descriptor", 0);
	return err;
}

static int walk(struct scan *scan)
{
	const struct perf_state *state = scan_state(scan, &holder_perf);
	int err;

	kernel_ids_has(scan, WALK_OTHER_PERF);
	err = walk_mapped(scan);
	err = err ? err : walk_carried(scan);
	err = err ? err : dispatch_tasks(scan);
	err = err ? err : dispatch_program(scan, "walk_event_slots", state->arrays);
	return err ? err : dispatch_program(scan, "walk_event_links", true);
}

static void end(void *data)
{
	struct perf_state *state = data;

	g_clear_pointer(&state->carried, g_hash_table_unref);
	g_clear_pointer(&state->mapped, g_array_unref);
}

/* Inherited events are those of the event that they are inherited from. */
static bool runs(const struct bpfrefs_ref *ref)
{
	return ref->via != WALK_VIA_INHERITED;
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	if (ref->via != WALK_VIA_EVENT_ARRAY)
		return; /* it ends with its process or link */
	removal_words(removal, "bpftool", "map", "delete", NULL);
	removal_id(removal, ref->holder);
	removal_map_key(removal, ref, PERF_SLOT);
}

const struct holder_class holder_perf = {
	.pub = { HOLDER_PUB("perf"), 1u << BPFREFS_KIND_PROG },
	.id = CLASS_PERF,
	.hook = BPFREFS_HOOK_PERF_EVENT,
	.runs = runs,
	.hook_words = { [SOCKET_HOLDER_SHARE] = "",
			[SOCKET_HOLDER_PID] = "holder",
			[SOCKET_HOLDER_COMM] = "",
			[PERF_ID] = "map_id" },
	.hook_shared = true,
	.removes = removes,
	.state = sizeof(struct perf_state),
	.end = end,
	.walk = walk,
	.decoders = { DECODER(walk_map, decode_map), DECODER(walk_event, decode_event),
		      DECODER(walk_carried, decode_carried), DECODER(walk_mapped, decode_mapped) },
	.gaps = { { WALK_GAP_CHILDREN,
		    "perf events whose inherited events could not be followed" } },
	.proc_gap = "procfs does not show what a perf event holds",
};
