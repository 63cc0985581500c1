/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mutator of fuzz-walk, since random bytes are seldom a record. Half of its mutations are
 * libFuzzer's own. The others insert a record of an existing type, of about the right size and
 * with small numbers, into a chunk.
 */
#include "bpf/records.h"
#include "fuzz.h"
#include "world.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

#define RECORD(type, structure) { type, sizeof(struct structure) },

static const struct {
	uint16_t type;
	size_t size;
} records[] = {
	WALK_RECORDS(RECORD) WALK_NET_RECORDS(RECORD)
	/* again, since much depends on these */
	RECORD(WALK_MAP, walk_map) RECORD(WALK_PROG, walk_prog) RECORD(WALK_HELD, walk_held)
	/* with a key, and with a name */
	{ WALK_EDGE, sizeof(struct walk_edge) + 16 },
	{ WALK_DENTRY, sizeof(struct walk_dentry) + 16 },
};

static uint32_t roll(unsigned int *seed, uint32_t sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % sides;
}

/*
 * The numbers are small, so that ids, kinds, types and addresses are often equal; some records
 * have random bytes.
 */
static size_t make_record(uint8_t *out, unsigned int *seed)
{
	uint32_t kind = roll(seed, G_N_ELEMENTS(records));
	size_t size = records[kind].size;
	struct walk_rec rec = { records[kind].type, 0, 1 + roll(seed, 4) };
	bool wild = roll(seed, 8) == 0;

	for (size_t i = 0; i < size; i++)
		out[i] = wild ? (uint8_t)roll(seed, 256) : 0;
	for (size_t i = 0; i < size && !wild; i += 4)
		out[i] = roll(seed, 3) ? (uint8_t)roll(seed, 5) : (uint8_t)roll(seed, 36);
	rec.size = (uint16_t)size;
	memcpy(out, &rec, sizeof(rec));
	return size;
}

/* Inserts @len bytes at @at. */
static size_t insert(uint8_t *data, size_t size, size_t at, const uint8_t *bytes, size_t len)
{
	memmove(data + at + len, data + at, size - at);
	memcpy(data + at, bytes, len);
	return size + len;
}

/* Returns the offset of a random chunk, or @size. */
static size_t some_chunk(const uint8_t *data, size_t size, unsigned int *seed)
{
	struct chunk chunk;
	size_t at = 0, chosen = size, len, seen = 0;

	while (world_chunk(data, size, at, &chunk, &len)) {
		if (roll(seed, (uint32_t)++seen) == 0)
			chosen = at;
		at += sizeof(chunk) + len;
	}
	return chosen;
}

static size_t add_chunk(uint8_t *data, size_t size, unsigned int *seed)
{
	struct chunk chunk = { .program = (uint8_t)roll(seed, world_program_count()) };

	if (roll(seed, 4) == 0)
		chunk.ended = (uint8_t)roll(seed, 16);
	return insert(data, size, some_chunk(data, size, seed), (const uint8_t *)&chunk,
		      sizeof(chunk));
}

static size_t add_record(uint8_t *data, size_t size, unsigned int *seed)
{
	uint8_t record[WALK_REC_MAX];
	size_t at = some_chunk(data, size, seed), len, place, total;
	struct chunk chunk;

	if (!world_chunk(data, size, at, &chunk, &len))
		return add_chunk(data, size, seed);
	total = make_record(record, seed);
	if (len + total > UINT16_MAX)
		return size;
	place = at + sizeof(chunk) + (roll(seed, 2) ? len : 0);
	size = insert(data, size, place, record, total);
	len += total;
	chunk.len[0] = (uint8_t)len;
	chunk.len[1] = (uint8_t)(len >> 8);
	memcpy(data + at, &chunk, sizeof(chunk));
	return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	unsigned int state = seed;

	if (size + WALK_REC_MAX + sizeof(struct chunk) > max || roll(&state, 2))
		return LLVMFuzzerMutate(data, size, max);
	if (roll(&state, 3) == 0)
		return add_chunk(data, size, &state);
	for (uint32_t i = 0; i <= roll(&state, 3); i++)
		if (size + WALK_REC_MAX + sizeof(struct chunk) <= max)
			size = add_record(data, size, &state);
	return size;
}
