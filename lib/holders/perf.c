/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Perf events. An event holds the program of PERF_EVENT_IOC_SET_BPF or of a link
 * (perf_event_set_bpf_prog()), and so does each event that a task inherits from it
 * (perf_event_alloc()). An event is held by its descriptors, by slots of perf event
 * arrays, and by links.
 */
#include <linux/perf_event.h>

#include "holders/holders.h"
#include "kernel/socket_holders.h"

enum { PERF_EVENT = SOCKET_HOLDER_OWN, PERF_VIA, PERF_ID, PERF_SLOT };

static const char *const keys[] = { SOCKET_HOLDER_KEYS, "event", "via", "id", "slot", NULL };
static const char *const walks[] = { "walk_tasks", "walk_event_slots", "walk_event_links", NULL };

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

	ref->holder = (struct bpfrefs_key){ array ? BPFREFS_MAP : BPFREFS_LINK, event->holder };
	ref_set_via(ref, PERF_VIA, array ? WALK_VIA_EVENT_ARRAY : WALK_VIA_LINK);
	ref_set_num(ref, PERF_ID, event->holder);
	if (array)
		ref_set_num(ref, PERF_SLOT, event->slot);
}

static bool decode(struct scan *scan, const struct walk_rec *rec)
{
	const struct walk_event *event = walk_record(rec, walk_event);
	const struct walk_gap *gap = walk_record(rec, walk_gap);
	g_autofree char *name = NULL;
	struct bpfrefs_ref *ref;

	if (socket_holder_carried(scan, rec))
		return true;
	if (gap && gap->kind == WALK_GAP_CHILDREN) {
		scan_gap(scan, 1, "perf events whose inherited events could not be followed", 0);
		return true;
	}
	if (!event)
		return false;
	ref = socket_holder_add(scan, &event->use);
	if (!ref)
		return true;
	name = event_name(event);
	ref_set_str(scan, ref, PERF_EVENT, name);
	if (event->holder)
		set_holder(ref, event);
	if (event->use.use == WALK_USE_INHERITED)
		ref_set_via(ref, PERF_VIA, WALK_VIA_INHERITED);
	return true;
}

static int walk(struct scan *scan)
{
	kernel_ids_has(scan, WALK_OTHER_PERF);
	return socket_holder_walk_carried(scan);
}

static int proc(struct scan *scan)
{
	scan_unavailable(scan, "procfs does not show what a perf event holds", 0);
	return 0;
}

const struct holder_class holder_perf = {
	.pub = { "perf", keys, 1u << BPFREFS_PROG },
	.id = CLASS_PERF,
	.walks = walks,
	.walk = walk,
	.takes = WALK_BIT(WALK_EVENT) | WALK_BIT(WALK_GAP) | WALK_BIT(WALK_CARRIED),
	.decode = decode,
	.proc = proc,
};
