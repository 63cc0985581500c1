/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chance, the same everywhere for the same seed, which is not 0. */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stdint.h>

/* xorshift64* */
static inline uint32_t below(uint64_t *random, uint32_t limit)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return (uint32_t)(*random * UINT64_C(0x2545F4914F6CDD1D) >> 33) % limit;
}

static inline bool one_in(uint64_t *random, uint32_t chances)
{
	return below(random, chances) == 0;
}

#endif
