// SPDX-License-Identifier: GPL-2.0-or-later
/* The next step, by chance. */
#include "differential.h"

#include <stdio.h>
#include <string.h>

enum { LONG = 1500 };

/* Names of limits and of what bpffs has a rule for: those with a dot. */
static void odd_name(uint64_t *random, char *name)
{
	static const struct {
		const char *text;
		size_t fill; /* as many times 'n' before it */
	} odd[] = { { "x.y", 0 },	{ "..z", 0 },  { ".q", 0 },	 { "", 255 },
		    { "", 256 },	{ ".z", 254 }, { ".z", 253 },	 { "", LONG },
		    { "\377\n \\", 0 }, { "...", 0 },  { ".bpfrefs", 0 } };
	uint32_t i = below(random, sizeof(odd) / sizeof(*odd));

	memset(name, 'n', odd[i].fill);
	strcpy(name + odd[i].fill, odd[i].text);
}

static void any_name(uint64_t *random, char *name)
{
	static const char *const names[] = { "a", "b", "c", "p0", "p1", "p2", "p3" };

	if (one_in(random, 16))
		odd_name(random, name);
	else
		strcpy(name, names[below(random, 7)]);
}

static void decorate(uint64_t *random, char *name)
{
	static const char *const ends[] = { "/", "/.", "/..", "//", "/../a", "/a/" };

	if (strlen(name) + 8 < PATH_ROOM)
		strcat(name, ends[below(random, 6)]);
}

/* What is there, a name in a directory that is perhaps there, or anything. */
static void choose_path(uint64_t *random, const struct scan *there, bool may_hold,
			struct path *path)
{
	static const char *const places[] = { ".",    "..",    "",	  "./a",
					      "../a", "../p1", "../../b", "../b/../a" };
	const char *item = there->items[below(random, (uint32_t)there->count)].name;
	uint32_t chance = below(random, 100);
	char *name = path->name, *slash;

	if (strlen(item) > PATH_ROOM / 2)
		item = ".";
	path->dir = -1;
	if (may_hold && one_in(random, 7)) {
		path->dir = (int)below(random, DIRS);
		if (one_in(random, 4))
			strcpy(name, places[below(random, sizeof(places) / sizeof(*places))]);
		else
			any_name(random, name);
		return;
	}
	if (chance < 50) {
		strcpy(name, item);
	} else if (chance < 80) {
		strcpy(name, item);
		slash = strrchr(name, '/');
		any_name(random, slash ? slash + 1 : name);
	} else {
		any_name(random, name);
		for (uint32_t more = below(random, 3); more; more--) {
			strcat(name, "/");
			any_name(random, name + strlen(name));
		}
	}
	if (one_in(random, 20))
		decorate(random, name);
}

static const struct operation *choose_operation(uint64_t *random)
{
	static const struct operation *const tables[] = { name_operations, attribute_operations,
							  file_operations };
	uint32_t sum = 0, chosen;

	for (int t = 0; t < 3; t++)
		for (const struct operation *op = tables[t]; op->name; op++)
			sum += op->weight;
	chosen = below(random, sum);
	for (int t = 0; t < 3; t++) {
		for (const struct operation *op = tables[t]; op->name; op++) {
			if (chosen < op->weight)
				return op;
			chosen -= op->weight;
		}
	}
	return &tables[0][0];
}

void step_choose(uint64_t *random, const struct scan *there, struct step *step)
{
	step->op = choose_operation(random);
	choose_path(random, there, !step->op->at_root, &step->x);
	choose_path(random, there, !step->op->at_root, &step->y);
	step->n = below(random, 1U << 31);
	step->user = step->op->any_user && one_in(random, 2) ? below(random, USERS) : 0;
	step->behind = one_in(random, 8) && step->x.dir < 0 && step->y.dir < 0 && !step->op->holds;
}
