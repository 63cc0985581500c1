/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: one reference to an object, with its holder, on each line. */
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdatomic.h>
#include <string.h>

#include "kernel/worker.h"
#include "render/fmt.h"
#include "render/show.h"

/* ------------------------------------------------------- one record --- */

/* The approximate length of a record. */
#define LINE_MEAN 80

/* The number of records that takes longer to format than a thread takes to start. */
#define LONG_ANSWER 2000

/* The most classes, the most fields of a class, and the longest " KEY=". */
#define CLASSES_MAX 64
#define FIELDS_MAX  16
#define WORD_MAX    24

/* The constant parts of the records of a class, prepared once. */
struct words {
	unsigned int fields;
	size_t room; /* the most that words and numbers take */
	struct {
		char text[WORD_MAX];
		size_t len;
	} keys[FIELDS_MAX], start;
};

static void prepare(struct words *words, const struct bpfrefs_class *class_)
{
	/* two keys, numbers, blanks, and the bytes that copy_word() writes behind the last word */
	words->room = 2 * BPFREFS_KEY_MAX + 4 * FMT_DIGITS_MAX + 2 * WORD_MAX;
	words->start.len =
		(size_t)g_snprintf(words->start.text, WORD_MAX, " %s ref=", class_->name);
	for (words->fields = 0; words->fields < FIELDS_MAX && class_->keys[words->fields];
	     words->fields++) {
		words->keys[words->fields].len =
			(size_t)g_snprintf(words->keys[words->fields].text, WORD_MAX,
					   " %s=", class_->keys[words->fields]);
		words->room += WORD_MAX + FMT_DIGITS_MAX;
	}
}

static const struct words *words_of(const struct bpfrefs_ref *ref)
{
	static struct words all[CLASSES_MAX];
	static atomic_bool prepared[CLASSES_MAX];
	static GMutex lock;
	size_t index = MIN(bpfrefs_ref_class_index(ref), (size_t)CLASSES_MAX - 1);

	if (!atomic_load_explicit(&prepared[index], memory_order_acquire)) {
		g_mutex_lock(&lock);
		if (!atomic_load_explicit(&prepared[index], memory_order_relaxed))
			prepare(&all[index], bpfrefs_ref_class(ref));
		atomic_store_explicit(&prepared[index], true, memory_order_release);
		g_mutex_unlock(&lock);
	}
	return &all[index];
}

/* Always copies WORD_MAX bytes, which is faster than copying @len. There is room for them. */
static char *copy_word(char *at, const char text[WORD_MAX], size_t len)
{
	memcpy(at, text, WORD_MAX);
	return at + len;
}

static char *copy_value(char *at, struct bpfrefs_value value)
{
	if (value.type == BPFREFS_VALUE_NUM && value.num != BPFREFS_UNKNOWN)
		return fmt_digits(at, value.num);
	return fmt_escaped(at, value.type == BPFREFS_VALUE_STR ? value.str : NULL, 0x21);
}

void show_line(GString *out, const struct bpfrefs_ref *ref)
{
	const struct words *words = words_of(ref);
	struct bpfrefs_value values[FIELDS_MAX];
	size_t room = words->room;
	char *at;

	for (unsigned int i = 0; i < words->fields; i++) {
		values[i] = bpfrefs_ref_value(ref, i);
		if (values[i].type == BPFREFS_VALUE_STR)
			room += FMT_ESCAPED_MAX(values[i].str);
	}
	at = fmt_key(fmt_begin(out, room), bpfrefs_ref_target(ref));
	at = copy_word(at, words->start.text, words->start.len);
	at = fmt_digits(at, bpfrefs_ref_count(ref));
	at = fmt_str(at, " user=");
	at = fmt_digits(at, bpfrefs_ref_user(ref));
	for (unsigned int i = 0; i < words->fields; i++)
		if (values[i].type != BPFREFS_VALUE_ABSENT)
			at = copy_value(copy_word(at, words->keys[i].text, words->keys[i].len),
					values[i]);
	*at++ = '\n';
	fmt_end(out, at);
}

static int append_line(const struct bpfrefs_ref *ref, void *data)
{
	show_line(data, ref);
	return text_room(data);
}

/* --------------------------------------------------------------- gaps --- */

static void show_reason(GString *out, const struct bpfrefs_class_status *status)
{
	const char *error = status->error ? g_strerror(status->error) : NULL;

	g_string_append(out, ": ");
	if (status->coverage == BPFREFS_PARTIAL && status->count)
		g_string_append_printf(out, "%" PRIu32 " ", status->count);
	show_text(out, status->what ? status->what : error);
	if (status->what && error)
		g_string_append_printf(out, ": %s", error);
}

void show_coverage(GString *out, const struct bpfrefs_class_status *status)
{
	g_string_append(out, bpfrefs_coverage_name(status->coverage));
	if (status->coverage != BPFREFS_COMPLETE)
		show_reason(out, status);
}

void show_gaps(GString *out, const struct bpfrefs_snapshot *snap,
	       bool (*affects)(const struct bpfrefs_class *class_, const void *data),
	       const void *data)
{
	const struct bpfrefs_class_status *status;

	for (size_t i = 0; (status = bpfrefs_snapshot_class(snap, i)); i++) {
		if (status->coverage == BPFREFS_COMPLETE)
			continue;
		if (affects && !affects(status->class_, data))
			continue;
		g_string_append_printf(out, "# %s: ", status->class_->name);
		show_coverage(out, status);
		g_string_append_c(out, '\n');
	}
}

static bool is_class_of(const struct bpfrefs_class *class_, const void *data)
{
	const struct bpfrefs_key *key = data;

	return class_->holders & 1u << key->kind;
}

/* Returns whether the class can hold such an object. */
static bool can_hold(const struct bpfrefs_class *class_, const void *data)
{
	const struct bpfrefs_key *key = data;

	return !class_->kinds || class_->kinds & 1u << key->kind;
}

/* The references that a process holds are in the classes whose records have its comm. */
static bool is_class_of_processes(const struct bpfrefs_class *class_, const void *data)
{
	(void)data;
	for (size_t i = 0; class_->keys[i]; i++)
		if (strcmp(class_->keys[i], "comm") == 0)
			return true;
	return false;
}

/* -------------------------------------------------------------- files --- */

int show_holders(const struct where *w, GString *out)
{
	size_t first, count;
	int err = 0;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	count = bpfrefs_snapshot_holders(w->snap, w->key, &first);
	for (size_t i = 0; !err && i < count; i++)
		err = append_line(bpfrefs_snapshot_ref_at(w->snap, first + i), out);
	show_gaps(out, w->snap, can_hold, &w->key);
	return err;
}

int show_holding(const struct where *w, GString *out)
{
	int err;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = bpfrefs_snapshot_holding(w->snap, w->key, append_line, out);
	show_gaps(out, w->snap, is_class_of, &w->key);
	return err;
}

int show_pid_holding(const struct where *w, GString *out)
{
	int err;

	if (!bpfrefs_snapshot_find_pid(w->snap, w->pid))
		return -ENOENT;
	err = bpfrefs_snapshot_pid_holding(w->snap, w->pid, append_line, out);
	show_gaps(out, w->snap, is_class_of_processes, NULL);
	return err;
}

/* A range of the references, as text. */
struct object_range {
	const struct bpfrefs_snapshot *snap;
	size_t first, end;
	GString *out;
	int err;
};

static void *show_part(void *data)
{
	struct object_range *part = data;

	/* allocated in one step: growth by doubling would copy the text each time */
	part->err = text_room_for(part->out, LINE_MEAN * (part->end - part->first));
	for (size_t i = part->first; !part->err && i < part->end; i++) {
		/* references are scattered in memory */
		__builtin_prefetch(bpfrefs_snapshot_ref_at(part->snap, i + 4));
		part->err = append_line(bpfrefs_snapshot_ref_at(part->snap, i), part->out);
	}
	return NULL;
}

/* Formats one half of the records in a worker thread, at the same time as the other half. */
static void show_halves(struct object_range *all)
{
	size_t middle = all->first + (all->end - all->first) / 2;
	g_autoptr(GString) more = g_string_new(NULL);
	struct object_range second = { all->snap, middle, all->end, more, 0 };
	struct worker worker;

	worker_begin(&worker, show_part, &second);
	all->end = middle;
	show_part(all);
	worker_end(&worker);
	if (!all->err)
		all->err = second.err ? second.err : text_room_for(all->out, more->len);
	if (!all->err)
		g_string_append_len(all->out, more->str, (gssize)more->len);
}

int show_all_holders(const struct where *w, GString *out)
{
	struct object_range all = { w->snap, 0, bpfrefs_snapshot_ref_count(w->snap), out, 0 };

	if (all.end < LONG_ANSWER)
		show_part(&all);
	else
		show_halves(&all);
	show_gaps(out, w->snap, NULL, NULL);
	return all.err;
}

/* -------------------------------------------------------------- slots --- */

bool has_slots(const struct where *w)
{
	const struct bpfrefs_field *field;
	struct bpfrefs_info *info;
	bool found = false;

	if (bpfrefs_info_read(w->fs->ctx, w->key, &info) != 0)
		return false;
	for (size_t i = 0; (field = bpfrefs_info_field(info, i)); i++)
		if (strcmp(field->key, "type") == 0)
			found = field->num == BPF_MAP_TYPE_PROG_ARRAY ||
				field->num == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
				field->num == BPF_MAP_TYPE_HASH_OF_MAPS;
	bpfrefs_info_free(info);
	return found;
}

static int collect_slot(const struct bpfrefs_ref *ref, void *data)
{
	if (bpfrefs_ref_get(ref, "slot").type != BPFREFS_VALUE_ABSENT)
		g_ptr_array_add(data, (gpointer)ref);
	return 0;
}

/* Sorts by index, or by text for the keys of a hash that are not numbers. */
static int by_slot(gconstpointer a, gconstpointer b)
{
	struct bpfrefs_value x = bpfrefs_ref_get(*(const struct bpfrefs_ref *const *)a, "slot");
	struct bpfrefs_value y = bpfrefs_ref_get(*(const struct bpfrefs_ref *const *)b, "slot");

	if (x.type == BPFREFS_VALUE_STR && y.type == BPFREFS_VALUE_STR)
		return strcmp(x.str, y.str);
	return x.num < y.num ? -1 : x.num > y.num;
}

static void show_slot(GString *out, const struct bpfrefs_snapshot *snap,
		      const struct bpfrefs_ref *ref)
{
	struct bpfrefs_value slot = bpfrefs_ref_get(ref, "slot");
	struct bpfrefs_key target = bpfrefs_ref_target(ref);
	const struct bpfrefs_object *object = bpfrefs_snapshot_find(snap, target);

	if (slot.type == BPFREFS_VALUE_NUM)
		show_number(out, slot.num);
	else
		show_value(out, slot.type == BPFREFS_VALUE_STR ? slot.str : NULL);
	g_string_append_c(out, ' ');
	show_key(out, target);
	g_string_append_c(out, ' ');
	show_value(out, object ? object->name : NULL);
	g_string_append_c(out, '\n');
}

int show_slots(const struct where *w, GString *out)
{
	g_autoptr(GPtrArray) slots = g_ptr_array_new();
	int err = 0;

	if (!bpfrefs_snapshot_has(w->snap, w->key))
		return -ENOENT;
	err = bpfrefs_snapshot_holding(w->snap, w->key, collect_slot, slots);
	g_ptr_array_sort(slots, by_slot);
	for (guint i = 0; !err && i < slots->len; i++) {
		show_slot(out, w->snap, slots->pdata[i]);
		err = text_room(out);
	}
	show_gaps(out, w->snap, is_class_of, &w->key);
	return err;
}
