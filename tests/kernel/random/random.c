// SPDX-License-Identifier: GPL-2.0-or-later
#include "random.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum outcome wrong(const struct run *run, const char *format, ...)
{
	va_list args;

	printf("# round %lu, step %lu: ", run->round, run->step);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	return WRONG;
}

enum outcome skipped(struct run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->text, sizeof(run->text), format, args);
	va_end(args);
	return SKIPPED;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum outcome run_rounds(const struct tester *tester, struct run *run)
{
	const char *kind = run->kind ? run->kind : "";
	enum outcome outcome = GOOD;

	for (run->round = 1; outcome == GOOD && run->round <= run->rounds; run->round++) {
		uint64_t seed = run->seed + run->round - 1;

		run->random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
		run->step = 0;
		outcome = tester->round(run);
		run->done += run->step;
		if (outcome == WRONG)
			printf("# again: BPFREFS=%s tests/random %s %s --seed=%llu --steps=%lu "
			       "--rounds=1\n",
			       getenv("BPFREFS"), tester->name, kind, (unsigned long long)seed,
			       run->step);
	}
	return outcome;
}

static int run_case(const struct tester *tester, struct run *run, int number)
{
	double begin = seconds();
	enum outcome outcome;

	if (geteuid() != 0 || !getenv("BPFREFS")) {
		outcome = skipped(run, "not run as root, or no BPFREFS in the environment");
	} else {
		outcome = tester->begin(run);
		if (outcome == GOOD)
			outcome = run_rounds(tester, run);
		outcome = tester->end(run, outcome);
	}
	printf("%sok %d %s%s", outcome == WRONG ? "not " : "", number, tester->name,
	       run->kind ? " " : "");
	printf("%s%s %s", run->kind ? run->kind : "", outcome == SKIPPED ? " # SKIP" : ":",
	       run->text);
	printf(", %lu steps, %.1f s\n", run->done, seconds() - begin);
	return outcome == WRONG;
}

static const struct tester *find_tester(const char *name)
{
	static const struct tester *const testers[] = { &keep_tester, &answers_tester,
							&differential_tester };

	for (size_t i = 0; name && i < sizeof(testers) / sizeof(*testers); i++)
		if (strcmp(testers[i]->name, name) == 0)
			return testers[i];
	fprintf(stderr, "usage: random keep|answers|differential [KIND] [--seed=N] [--rounds=N] "
			"[--steps=N] [--trace]\n");
	exit(2);
}

static void parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = { { "seed", required_argument, NULL, 's' },
						 { "steps", required_argument, NULL, 'n' },
						 { "rounds", required_argument, NULL, 'r' },
						 { "trace", no_argument, NULL, 't' },
						 { NULL, 0, NULL, 0 } };
	const char *seed = getenv("SEED"), *steps = getenv("STEPS");
	int option;

	run->seed = seed ? strtoull(seed, NULL, 0) : 1;
	if (steps)
		run->rounds = strtoul(steps, NULL, 0) / run->steps;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			run->seed = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			run->steps = strtoul(optarg, NULL, 0);
		else if (option == 'r')
			run->rounds = strtoul(optarg, NULL, 0);
		else if (option == 't')
			run->trace = true;
		else
			exit(2);
	}
	run->kind = argv[optind]; /* or NULL */
}

int main(int argc, char **argv)
{
	const struct tester *tester = find_tester(argv[1]);
	static struct run run;
	int failed = 0, count;

	setvbuf(stdout, NULL, _IOLBF, 0);
	run.rounds = tester->rounds;
	run.steps = tester->steps;
	parse(&run, argc - 1, argv + 1);
	count = !run.kind && tester->kinds[0] ? 2 : 1;
	printf("1..%d\n# seed %llu\n", count, (unsigned long long)run.seed);
	for (int i = 0; i < count; i++) {
		int status = 1;
		pid_t child;

		if (count > 1)
			run.kind = tester->kinds[i];
		child = fork();
		if (child == 0)
			exit(run_case(tester, &run, i + 1));
		waitpid(child, &status, 0);
		failed |= status != 0;
	}
	return failed;
}
