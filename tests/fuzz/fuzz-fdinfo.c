/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing fdinfo: the object that is found is named by a whole line of the text. */
#include <stdio.h>

#include "fuzz.h"
#include "procfs/fdinfo.h"

/* Returns whether there is a line "KEY:<blanks>ID", which may have leading zeros. */
static bool has_line(const char *text, const char *key, uint32_t id)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *number = g_strdup_printf("%u", id);

	for (char **line = lines; *line; line++) {
		const char *value = *line + strlen(key) + 1;

		if (!g_str_has_prefix(*line, key) || (*line)[strlen(key)] != ':')
			continue;
		value += strspn(value, " \t");
		while (value[0] == '0' && value[1])
			value++;
		if (strcmp(value, number) == 0)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[KIND_COUNT] = {
		[BPFREFS_KIND_MAP] = "map_id",
		[BPFREFS_KIND_PROG] = "prog_id",
		[BPFREFS_KIND_LINK] = "link_id",
		[BPFREFS_KIND_BTF] = "btf_id",
	};
	char *text = exact_string(data, size);
	struct bpfrefs_key key = { BPFREFS_KIND_NONE, 0 };
	uint64_t value;
	int err = fdinfo_key(text, &key);

	if (err) {
		must(err == -EINVAL && key.kind == BPFREFS_KIND_NONE && key.id == 0);
	} else {
		must(key.kind < KIND_COUNT && key.id != 0);
		must(has_line(text, names[key.kind], key.id));
		/* a link's fdinfo has the ids of other objects too, but not the reverse */
		must(key.kind == BPFREFS_KIND_LINK || !fdinfo_num(text, "link_id", &value));
	}
	fdinfo_num(text, "memlock", &value);
	fdinfo_num(text, "", &value);
	free(text);
	return 0;
}
