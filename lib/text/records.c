/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records: one reference to an object, with its holder, on each line. */
#include <stdatomic.h>

#include "text/sink.h"

/* Records up to this length need no allocation. */
#define RECORD_SHORT 1024

/* The most classes, and the longest " KEY=". */
#define CLASSES_MAX 64
#define WORD_MAX    24

/* The constant parts of the records of a class, prepared once. */
struct record_form {
	unsigned int fields;
	size_t room; /* the most that words and numbers take */
	struct {
		char text[WORD_MAX];
		size_t len;
	} keys[REF_FIELDS_MAX], start;
};

static void prepare(struct record_form *form, const struct bpfrefs_class *class_)
{
	/* two keys, numbers, blanks, and the bytes that copy_word() writes behind the last word */
	form->room = 2 * BPFREFS_KEY_MAX + 4 * FMT_DIGITS_MAX + 2 * WORD_MAX;
	form->start.len = (size_t)g_snprintf(form->start.text, WORD_MAX, " %s ref=", class_->name);
	for (form->fields = 0; form->fields < REF_FIELDS_MAX && class_->keys[form->fields];
	     form->fields++) {
		form->keys[form->fields].len =
			(size_t)g_snprintf(form->keys[form->fields].text, WORD_MAX,
					   " %s=", class_->keys[form->fields]);
		form->room += WORD_MAX + FMT_DIGITS_MAX;
	}
}

static const struct record_form *form_of(const struct bpfrefs_ref *ref)
{
	static struct record_form all[CLASSES_MAX];
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

/* Gets the values of the fields, and returns how much room the record needs. */
static size_t record_values(const struct bpfrefs_ref *ref, const struct record_form *form,
			    struct bpfrefs_value values[REF_FIELDS_MAX])
{
	size_t room = form->room;

	for (unsigned int i = 0; i < form->fields; i++) {
		values[i] = bpfrefs_ref_value(ref, i);
		if (values[i].type == BPFREFS_VALUE_STR)
			room += FMT_ESCAPED_MAX(values[i].str);
	}
	return room;
}

static char *copy_record(char *at, const struct bpfrefs_ref *ref, const struct record_form *form,
			 const struct bpfrefs_value values[REF_FIELDS_MAX])
{
	at = fmt_key(at, bpfrefs_ref_target(ref));
	at = copy_word(at, form->start.text, form->start.len);
	at = fmt_digits(at, bpfrefs_ref_count(ref));
	at = fmt_str(at, " user=");
	at = fmt_digits(at, bpfrefs_ref_user(ref));
	for (unsigned int i = 0; i < form->fields; i++)
		if (values[i].type != BPFREFS_VALUE_ABSENT)
			at = copy_value(copy_word(at, form->keys[i].text, form->keys[i].len),
					values[i]);
	*at++ = '\n';
	return at;
}

static void add_record(GString *out, const void *snap, size_t index, bool first)
{
	const struct bpfrefs_ref *ref = snapshot_ref_at(snap, index);
	const struct record_form *form = form_of(ref);
	struct bpfrefs_value values[REF_FIELDS_MAX];
	size_t room = record_values(ref, form, values);

	(void)first;
	/* references are scattered in memory */
	__builtin_prefetch(snapshot_ref_at(snap, index + 4));
	fmt_end(out, copy_record(fmt_begin(out, room), ref, form, values));
}

int bpfrefs_ref_to_record(const struct bpfrefs_ref *ref, bpfrefs_write_fn write, void *data)
{
	const struct record_form *form = form_of(ref);
	struct bpfrefs_value values[REF_FIELDS_MAX];
	size_t room = record_values(ref, form, values);
	g_autofree char *large = room > RECORD_SHORT ? g_malloc(room) : NULL;
	char small[RECORD_SHORT], *start = large ? large : small;

	return write(start, (size_t)(copy_record(start, ref, form, values) - start), data);
}

int bpfrefs_snapshot_to_records(const struct bpfrefs_snapshot *snap, bpfrefs_write_fn write,
				void *data)
{
	struct sink_items refs = { bpfrefs_snapshot_ref_count(snap), add_record, snap,
				   sink_hides_ref, snap };
	struct text_sink sink = sink_begin(write, data);
	int err = sink_list(&sink, &refs);

	sink_gaps(sink.out, snap);
	sink_self(sink.out, snap);
	return sink_end(&sink, err);
}
