/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Testers that do random things and compare what came of them with what must come of them:
 *
 *	random TESTER [KIND] [--seed=N] [--rounds=N] [--steps=N] [--trace]
 *
 * Each kind of a tester is a TAP case, in a process of its own. A round begins with nothing and with a
 * seed of its own: a failure prints the command that repeats its round alone. In the environment SEED
 * is the seed of the first round, and STEPS is the number of steps in all, for a long run.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

enum outcome { GOOD, WRONG, SKIPPED };

struct run {
	const char *kind; /* or NULL */
	uint64_t seed, random;
	unsigned long rounds, steps;	 /* of a round, at most */
	unsigned long round, step, done; /* counted from 1; steps in all */
	bool trace;
	char text[4096]; /* the result in words, or the reason why the case is skipped */
};

struct tester {
	const char *name, *kinds[2];
	unsigned long rounds, steps;
	enum outcome (*begin)(struct run *run);
	enum outcome (*round)(struct run *run); /* with run->random for chance */
	/* After begin in any case. The outcome, which was @outcome so far. */
	enum outcome (*end)(struct run *run, enum outcome outcome);
};

extern const struct tester keep_tester, answers_tester, differential_tester;

/* Prints what was wrong, and where. WRONG. */
enum outcome wrong(const struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* That the case cannot run here. SKIPPED. */
enum outcome skipped(struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* xorshift64*: the same everywhere for the same seed, which is not 0. */
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
