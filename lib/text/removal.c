/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text/removal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "text/fmt.h"

static bool needs_quotes(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "_./:=@%+,-";

	return !*word || word[strspn(word, plain)];
}

static bool is_printable(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (word[i] < 0x20 || word[i] > 0x7e)
			return false;
	return true;
}

/*
 * In single quotes; with @format as a format of printf(1), in which all that could change what a terminal
 * shows is escaped.
 */
static void add_quoted(GString *out, const char *word, size_t len, bool format)
{
	g_string_append_c(out, '\'');
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\'')
			g_string_append(out, "'\\''");
		else if (format && (word[i] == '\\' || !is_printable(&word[i], 1)))
			g_string_append_printf(out, "\\%03o", (unsigned char)word[i]);
		else
			g_string_append_printf(out, "%s%c", format && word[i] == '%' ? "%" : "",
					       word[i]);
	}
	g_string_append_c(out, '\'');
}

/* sh removes newlines at the end of what a command prints: these are in a variable. */
void removal_quote(GString *out, const char *word)
{
	size_t len = strlen(word), shown = len;

	g_string_append_c(out, ' ');
	if (!needs_quotes(word)) {
		g_string_append(out, word);
		return;
	}
	if (is_printable(word, len)) {
		add_quoted(out, word, len, false);
		return;
	}
	while (shown && word[shown - 1] == '\n')
		shown--;
	g_string_append(out, "\"$(printf ");
	add_quoted(out, word, shown, true);
	g_string_append_c(out, ')');
	for (; shown < len; shown++)
		g_string_append(out, REMOVAL_NEWLINE);
	g_string_append_c(out, '"');
}

void removal_word(struct removal *removal, const char *word)
{
	if (removal->how == REMOVAL_BY_HOLDER)
		removal->how = REMOVAL_COMMAND;
	removal_quote(removal->command, word);
}

void removal_words(struct removal *removal, ...)
{
	const char *word;
	va_list words;

	va_start(words, removal);
	while ((word = va_arg(words, const char *)))
		removal_word(removal, word);
	va_end(words);
}

void removal_number(struct removal *removal, uint64_t number)
{
	char text[FMT_DIGITS_MAX + 1];

	*fmt_digits(text, number) = '\0';
	removal_word(removal, text);
}

void removal_suggest(struct removal *removal, const char *why)
{
	removal->how = REMOVAL_SUGGESTION;
	g_string_append_printf(removal->note, "%s%s", removal->note->len ? "; " : "", why);
}

void removal_field(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field)
{
	struct bpfrefs_value value = bpfrefs_ref_value(ref, field);
	const char *key = bpfrefs_ref_class(ref)->keys[field];
	g_autofree char *why = NULL, *gap = NULL;

	if (value.type == BPFREFS_VALUE_STR) {
		removal_word(removal, value.str);
	} else if (value.type == BPFREFS_VALUE_NUM) {
		removal_number(removal, value.num);
	} else {
		why = g_strdup_printf("its %s is not known", key);
		gap = g_ascii_strup(key, -1);
		removal_word(removal, gap);
		removal_suggest(removal, why);
	}
}

void removal_id(struct removal *removal, struct bpfrefs_key key)
{
	removal_word(removal, "id");
	removal_number(removal, key.id);
}

void removal_in_netns(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field)
{
	struct bpfrefs_value netns = bpfrefs_ref_value(ref, field);
	g_autofree char *word = NULL;
	const char *path;

	if (netns.type == BPFREFS_VALUE_NUM &&
	    enter_is_own_netns(removal->enter, (uint32_t)netns.num))
		return;
	path = netns.type == BPFREFS_VALUE_NUM ? enter_netns(removal->enter, (uint32_t)netns.num)
					       : NULL;
	word = g_strconcat("--net=", path ? path : "NETNS", NULL);
	removal_words(removal, "nsenter", word, NULL);
	if (!path)
		removal_suggest(removal,
				"no path leads to its network namespace, which no process is in"
				" and which is mounted nowhere here");
}

/* A slot of four bytes is shown as a number, any other key as its bytes. */
void removal_map_key(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field)
{
	struct bpfrefs_value slot = bpfrefs_ref_value(ref, field);
	const unsigned char *bytes;
	uint32_t number;

	removal_word(removal, "key");
	if (slot.type == BPFREFS_VALUE_NUM) {
		number = (uint32_t)slot.num;
		bytes = (const unsigned char *)&number;
		for (size_t i = 0; i < sizeof(number); i++)
			removal_number(removal, bytes[i]);
		return;
	}
	if (slot.type != BPFREFS_VALUE_STR || !g_str_has_prefix(slot.str, "0x") ||
	    strchr(slot.str, '.')) {
		removal_word(removal, "KEY");
		removal_suggest(removal, "its key is too long to be shown here");
		return;
	}
	removal_word(removal, "hex");
	for (const char *at = slot.str + 2; at[0] && at[1]; at += 2) {
		g_autofree char *byte = g_strndup(at, 2);

		removal_word(removal, byte);
	}
}

void removal_set(struct removal *removal, enum removal_how how, const char *note)
{
	removal->how = how;
	g_string_assign(removal->note, note);
}

void removal_by_process(struct removal *removal, const struct bpfrefs_ref *ref)
{
	(void)removal;
	(void)ref;
}

bool removal_is_plain(struct bpfrefs_value name)
{
	return name.type == BPFREFS_VALUE_STR && !needs_quotes(name.str) &&
	       (g_ascii_isalpha(name.str[0]) || name.str[0] == '_') && !strpbrk(name.str, ":=@%+,");
}

void removal_pin(struct removal *removal, const struct bpfrefs_ref *ref, const char *path)
{
	const struct pin_location *place = ref->place;
	g_autofree char *inode = g_strdup_printf(
		"%" PRIu64 ":%" PRIu64, (uint64_t)makedev(place->major, place->minor), place->ino);

	removal_words(removal, REMOVAL_UNPIN, path, inode, NULL);
}

/* ----------------------------------------------------- before the steps --- */

void removal_newline(GString *out, const char *words)
{
	if (strstr(words, REMOVAL_NEWLINE))
		g_string_append(out, "nl=$(printf '\\n.') && nl=${nl%.}\n");
}

/*
 * Whoever may rename a directory of a path decides what is there when the script runs: a pin is removed
 * from within its directory, and only if it is the inode that was seen.
 */
static const char unpin[] = REMOVAL_UNPIN
	"() { # PATH DEVICE:INODE\n"
	"\t(cd -- \"${1%/*}/\" && [ \"$(stat -c %d:%i \"./${1##*/}\")\" = \"$2\" ] &&\n"
	"\t\trm -- \"./${1##*/}\")\n"
	"}\n";

/* The commands of the steps as sed(1) finds them in the file. Returns false if there are none. */
static bool sum_commands(GChecksum *sum, const char *steps)
{
	const char *at = steps, *line;

	while ((line = strstr(at, "failed=\"$failed"))) {
		while (line > at && line[-1] != '\n')
			line--;
		at = strchr(line, '\n') + 1;
		g_checksum_update(sum, (const guchar *)line, at - line);
	}
	return at != steps;
}

void removal_check(GString *out, const char *steps, const char *mountpoint,
		   struct bpfrefs_key object)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autoptr(GString) word = g_string_new(NULL);
	g_autofree char *file = NULL;
	char key[BPFREFS_KEY_MAX];

	bpfrefs_key_format(object, key);
	file = g_strdup_printf("%s/.bpf/%s/free.sh", mountpoint, key);
	removal_quote(word, file);
	removal_newline(out, word->str);
	g_string_append_printf(out,
			       "file=%s\n"
			       "[ -e \"$file\" ] || [ ! -e \"${file%%/*/*}\" ] ||\n"
			       "\t{ echo 'free.sh: %s was freed already' >&2; exit 0; }\n",
			       word->str + 1, key);
	if (!sum_commands(sum, steps))
		return;
	if (strstr(steps, "\n" REMOVAL_UNPIN " "))
		g_string_append(out, unpin);
	g_string_append_printf(
		out,
		"[ \"$(sed -n '/failed=\"\\$failed/p' \"$file\" | sha256sum)\" = \\\n"
		"\t'%s  -' ] ||\n"
		"\t{ echo 'free.sh: not the commands that bpfrefs shows now: read it again' >&2; "
		"exit 1; }\n",
		g_checksum_get_string(sum));
}
