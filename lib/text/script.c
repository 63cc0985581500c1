/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The script that frees an object (bpfrefs(5), free.sh). Each step is a comment, the record of the
 * reference, and the command of its class. First come references that can be removed themselves, such as
 * slots of maps, while what they are named by is still there; then attachments, last found first, so that
 * rules that are numbered keep their numbers; then pins and keeps; then processes, as comments.
 */
#include <inttypes.h>
#include <time.h>

#include "graph/removals.h"
#include "snapshot/options.h"
#include "text/removal.h"
#include "text/sink.h"

/* How many records of a process are shown. */
#define RECORDS_SHOWN 4

/* A process, or references with no other way to end than a process's exit. */
struct script_process {
	uint32_t pid;
	GPtrArray *edges; /* const struct edge * */
};

struct script {
	struct text_sink sink;
	struct bpfrefs_ctx *ctx;
	struct bpfrefs_key key;
	struct removal removal; /* of the step that is being written */
	struct removals removals;
	GHashTable *commands;  /* those that were written: one may remove several references */
	GHashTable *processes; /* pid -> struct script_process */
	unsigned int step;
};

/*
 * The numbers of the steps that have failed, and of those that the reader must do. The kernel may free an
 * object some time after its last reference was removed.
 */
static const char head[] = "failed='' left=''\n";
static const char tail[] =
	"[ -z \"$failed\" ] || echo \"free.sh: steps that have failed:$failed\" >&2\n"
	"[ -z \"$left\" ] || echo \"free.sh: steps that are left to you:$left\" >&2\n"
	"[ -z \"$failed$left\" ] || exit 1\n"
	"n=0\n"
	"while [ -e \"$file\" ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done\n"
	"[ ! -e \"$file\" ] || { echo 'free.sh: it is still there: read free.sh again' >&2; exit "
	"1; }\n";

/* --------------------------------------------------------------- steps --- */

static void removal_of(struct script *script, const struct bpfrefs_ref *ref)
{
	struct removal *removal = &script->removal;

	removal->how = REMOVAL_BY_HOLDER;
	g_string_truncate(removal->command, 0);
	g_string_truncate(removal->note, 0);
	ref->class->removes(removal, ref);
}

static bool can_remove(const struct bpfrefs_ref *ref, void *data)
{
	struct script *script = data;

	removal_of(script, ref);
	return script->removal.how != REMOVAL_BY_HOLDER;
}

static int keep_in_out(const char *text, size_t length, void *out)
{
	g_string_append_len(out, text, (gssize)length);
	return 0;
}

/* The record of the reference, and the objects between it and the one that is freed. */
static void add_record(struct script *script, const struct edge *edge)
{
	g_autoptr(GArray) chain = g_array_new(FALSE, FALSE, sizeof(struct bpfrefs_key));
	GString *out = script->sink.out;

	if (!edge->ref) {
		g_string_append_printf(
			out, "%s pid=%" PRIu32 "\n",
			owner_name(graph_owner(script->removals.graph, edge->to)->kind), edge->pid);
		return;
	}
	bpfrefs_ref_to_record(edge->ref, keep_in_out, out);
	removals_chain(&script->removals, edge, chain);
	if (chain->len < 2)
		return;
	g_string_truncate(out, out->len - 1); /* the newline */
	for (guint i = 0; i < chain->len; i++) {
		g_string_append(out, i ? "," : " chain=");
		fmt_add_key(out, g_array_index(chain, struct bpfrefs_key, i));
	}
	g_string_append_c(out, '\n');
}

static void add_step(struct script *script, const struct edge *edge)
{
	g_string_append_printf(script->sink.out, "\n# %u. ", ++script->step);
	add_record(script, edge);
}

/* Has the script say that something is left to do. @only_if is a command, or "". */
static void add_left(struct script *script, const char *only_if, const char *what)
{
	GString *out = script->sink.out;

	g_string_append_printf(out, "%sleft=\"$left %u\" && printf '%%s\\n'", only_if,
			       script->step);
	removal_quote(out, what);
	g_string_append(out, " >&2\n");
}

static void add_suggestion(struct script *script)
{
	const struct removal *removal = &script->removal;
	GString *out = script->sink.out;

	/* after the blank */
	g_string_append_printf(out, "# %s:\n#%s\n", removal->note->str, removal->command->str + 1);
	add_left(script, "", removal->note->str);
}

static void add_no_way(struct script *script, const struct edge *edge)
{
	const struct removal *removal = &script->removal;

	add_step(script, edge);
	if (edge->kind == EDGE_LOST)
		add_left(script, "",
			 "what holds it was created or freed meanwhile: read free.sh again");
	else
		add_left(script, "",
			 removal->how == REMOVAL_NO_WAY ? removal->note->str
							: "no command is known that removes it");
}

static void add_command(struct script *script, const struct edge *edge)
{
	const struct removal *removal = &script->removal;

	if (!g_hash_table_add(script->commands, g_strdup(removal->command->str)))
		return;
	add_step(script, edge);
	removal_newline(script->sink.out, removal->command->str);
	if (removal->how == REMOVAL_SUGGESTION) {
		add_suggestion(script);
		return;
	}
	/* after the blank */
	g_string_append_printf(script->sink.out, "%s || failed=\"$failed %u\"\n",
			       removal->command->str + 1, script->step);
}

static void add_removal(struct script *script, const struct edge *edge)
{
	if (edge->kind == EDGE_LOST)
		add_no_way(script, edge);
	else
		removal_of(script, edge->ref);
	switch (edge->kind == EDGE_LOST ? REMOVAL_FOLLOWS : script->removal.how) {
	case REMOVAL_COMMAND:
	case REMOVAL_SUGGESTION:
		add_command(script, edge);
		break;
	case REMOVAL_BY_HOLDER:
	case REMOVAL_NO_WAY:
		add_no_way(script, edge);
		break;
	default:
		break;
	}
}

/* --------------------------------------------------------------- order --- */

enum rank { RANK_INNER, RANK_ATTACHMENT, RANK_PIN, RANK_PROCESS };

static enum rank rank_of(const struct script *script, const struct edge *edge)
{
	if (edge->kind == EDGE_PROCESS)
		return RANK_PROCESS;
	if (edge->kind == EDGE_HELD && !node_is_owner(script->removals.graph, edge->from))
		return RANK_INNER;
	if (edge->ref && edge->ref->class->pub.flags & (BPFREFS_CLASS_PIN | BPFREFS_CLASS_KEEP))
		return RANK_PIN;
	return RANK_ATTACHMENT;
}

static void add_rank(struct script *script, enum rank rank)
{
	const GPtrArray *edges = script->removals.edges;

	for (guint i = 0; i < edges->len; i++) {
		guint index = rank == RANK_ATTACHMENT ? edges->len - 1 - i : i;

		if (rank_of(script, edges->pdata[index]) == rank)
			add_removal(script, edges->pdata[index]);
	}
}

/* ----------------------------------------------------------- processes --- */

static void script_process_free(gpointer data)
{
	struct script_process *process = data;

	g_ptr_array_unref(process->edges);
	g_free(process);
}

static void collect_process(struct script *script, const struct edge *edge)
{
	gpointer pid = GUINT_TO_POINTER(edge->pid);
	struct script_process *process = g_hash_table_lookup(script->processes, pid);

	if (!process) {
		process = g_new0(struct script_process, 1);
		process->pid = edge->pid;
		process->edges = g_ptr_array_new();
		g_hash_table_insert(script->processes, pid, process);
	}
	g_ptr_array_add(process->edges, (gpointer)edge);
}

static int by_pid(gconstpointer a, gconstpointer b)
{
	uint32_t x = GPOINTER_TO_UINT(a), y = GPOINTER_TO_UINT(b);

	return x < y ? -1 : x > y;
}

static void add_process(struct script *script, const struct script_process *process)
{
	bool self = process->pid == script->ctx->self;
	g_autofree char *name = process_text(script->removal.snap, process->pid);
	GString *out = script->sink.out;
	g_autoptr(GString) left = g_string_new(NULL);
	char alive[64];

	g_string_append_printf(out, "\n# %u. ", ++script->step);
	fmt_add_text(out, name);
	g_string_append(out, self ? ", bpfrefs itself, holds it until it is unmounted:\n"
				  : " holds it until it exits, or closes it:\n");
	for (guint i = 0; i < MIN(process->edges->len, (guint)RECORDS_SHOWN); i++) {
		g_string_append(out, "#    ");
		add_record(script, process->edges->pdata[i]);
	}
	if (process->edges->len > RECORDS_SHOWN)
		g_string_append_printf(out, "#    and %u more\n",
				       process->edges->len - RECORDS_SHOWN);
	g_string_append(out, self ? "#umount" : "#kill");
	if (self)
		removal_quote(out, script->removal.options->mountpoint);
	else
		g_string_append_printf(out, " %" PRIu32, process->pid);
	g_string_append_c(out, '\n');
	g_snprintf(alive, sizeof(alive), "kill -0 %" PRIu32 " 2>/dev/null && ", process->pid);
	fmt_add_text(left, name);
	g_string_append(left,
			self ? " holds it until bpfrefs is unmounted" : " holds it until it exits");
	add_left(script, alive, left->str);
}

static void add_processes(struct script *script)
{
	g_autoptr(GList) pids = NULL;

	for (guint i = 0; i < script->removals.edges->len; i++) {
		const struct edge *edge = script->removals.edges->pdata[i];

		if (edge->kind == EDGE_PROCESS)
			collect_process(script, edge);
	}
	pids = g_list_sort(g_hash_table_get_keys(script->processes), by_pid);
	for (GList *at = pids; at; at = at->next)
		add_process(script, g_hash_table_lookup(script->processes, at->data));
}

/* ---------------------------------------------------------- the script --- */

static void add_start(struct script *script, const struct bpfrefs_object *object)
{
	time_t seconds = (time_t)(script->removal.snap->stats.wall_ns / G_USEC_PER_SEC / 1000);
	GString *out = script->sink.out;
	char when[32] = "?";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	g_string_append(out, "#!/bin/sh\n# Frees ");
	fmt_add_key(out, object->key);
	g_string_append(out, " name=");
	fmt_add_value(out, object->name);
	g_string_append(out, " type=");
	fmt_add_value(out, object->type);
	g_string_append_printf(
		out, ", which bpfrefs saw so at %s. Read it before you run it.\n# %s: ", when,
		bpfrefs_state_name(object->state));
	fmt_add_text(out, object->because);
	g_string_append_c(out, '\n');
}

/* What the kernel counts and the snapshot does not have cannot be removed. */
static void add_unexplained(struct script *script)
{
	const struct graph *graph = script->removals.graph;

	for (uint32_t i = 0; i < graph->objects; i++) {
		const struct bpfrefs_object *object = graph_object(graph, i);
		uint64_t count = bpfrefs_object_unexplained(object);
		char key[BPFREFS_KEY_MAX];
		g_autofree char *what = NULL;

		if (!removals_has(&script->removals, i) || !count)
			continue;
		what = count == BPFREFS_UNKNOWN
			       ? g_strdup_printf("not all that holds %s could be read",
						 bpfrefs_key_format(object->key, key))
			       : g_strdup_printf("%s has %" PRIu64
						 " references that were not found",
						 bpfrefs_key_format(object->key, key), count);
		g_string_append_printf(script->sink.out, "\n# %u. %s\n", ++script->step, what);
		add_left(script, "", what);
	}
}

/* If the kernel itself holds it, nothing else is removed in vain. */
static const struct edge *find_never(struct script *script)
{
	const GPtrArray *edges = script->removals.edges;

	for (guint i = 0; i < edges->len; i++) {
		const struct edge *edge = edges->pdata[i];

		if (edge->kind == EDGE_PROCESS || !edge->ref)
			continue;
		removal_of(script, edge->ref);
		if (script->removal.how == REMOVAL_NEVER)
			return edge;
	}
	return NULL;
}

static void add_steps(struct script *script)
{
	if (script->removals.edges->len == 0)
		g_string_append(script->sink.out, "\n# Nothing leads to it.\n");
	for (int rank = RANK_INNER; rank < RANK_PROCESS; rank++)
		add_rank(script, (enum rank)rank);
	add_processes(script);
	add_unexplained(script);
}

/* The functions and checks that the steps need, before those. */
static void add_head(struct script *script, gsize start)
{
	GString *out = script->sink.out;
	g_autoptr(GString) text = g_string_new(NULL);

	removal_check(text, &out->str[start], script->removal.options->mountpoint, script->key);
	g_string_insert(out, (gssize)start, head);
	g_string_insert(out, (gssize)start, text->str);
}

static int add_script(struct script *script, const struct bpfrefs_object *object, uint32_t index)
{
	int err = removals_find(&script->removals, index, can_remove, script);
	const struct edge *never = err ? NULL : find_never(script);
	gsize start;

	if (err)
		return err;
	add_start(script, object);
	if (never) {
		add_step(script, never);
		g_string_append_printf(script->sink.out,
				       "echo 'free.sh: it cannot be freed: %s' >&2\nexit 1\n",
				       script->removal.note->str);
		return 0;
	}
	start = script->sink.out->len;
	add_steps(script);
	add_head(script, start);
	g_string_append_c(script->sink.out, '\n');
	sink_gaps(script->sink.out, script->removal.snap);
	g_string_append(script->sink.out, tail);
	return 0;
}

int bpfrefs_object_to_script(struct bpfrefs_ctx *ctx, const struct bpfrefs_snapshot *snap,
			     struct bpfrefs_key key, const struct bpfrefs_script_options *options,
			     bpfrefs_write_fn write, void *data)
{
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, key);
	graph_auto *graph = object ? graph_new(snap) : NULL;
	struct script script = { .ctx = ctx, .key = key, .removals = { .graph = graph } };
	struct bpfrefs_script_options own = { 0 };
	int err = options_copy(&own, sizeof(own), options, options->size);

	if (err)
		return err;
	if (!own.mountpoint)
		return -EINVAL;
	if (!object)
		return -ENOENT;
	if (!graph)
		return -ENOMEM;
	script.sink = sink_begin(write, data);
	script.removal = (struct removal){ snap, enter_new(ctx->proc_fd), &own,
					   0,	 g_string_new(""),	  g_string_new("") };
	script.commands = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	script.processes = g_hash_table_new_full(NULL, NULL, NULL, script_process_free);
	err = add_script(&script, object, graph_index(snap, key));
	g_hash_table_unref(script.processes);
	g_hash_table_unref(script.commands);
	g_string_free(script.removal.command, TRUE);
	g_string_free(script.removal.note, TRUE);
	enter_free(script.removal.enter);
	removals_clear(&script.removals);
	return sink_end(&script.sink, err);
}
