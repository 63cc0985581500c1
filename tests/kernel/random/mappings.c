// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mappings by the kernel's trees (walk_file_mappings), compared with those of iter/task_vma, which
 * goes through all mappings of all processes: after each of many random changes, which processes
 * make one after another, both must be the same. Then, while processes change their mappings as fast
 * as they can, the mappings that stay must be found each time.
 *
 * Usage: mappings-random [ROUNDS [SEED]], as root.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/mappings.h"
#include "random.h"

#define ROUNDS	    100
#define WORKERS	    8
#define FILES	    6 /* maps, perf events and rings, two of each */
#define RANGES	    12
#define PAGES	    4
#define CHILDREN    3
#define CHURNERS    3
#define BUSY_WALKS  200
#define BUSY_RANGES 2500 /* more than one buffer of records */

static int files[FILES];
static size_t page;

/* -------------------------------------------------------------- the workers --- */

struct worker {
	pid_t pid;
	int commands, replies;
};

static struct {
	char *at[RANGES];
	size_t size[RANGES];
	int file[RANGES];
	pid_t children[CHILDREN];
} my;

static size_t size_of(int file)
{
	return file < 2 ? PAGES * page : file < 4 ? 2 * page : page;
}

static int open_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/*
 * Each process has events of its own, and maps each once at a time: the kernel charges the user for a
 * second mapping, and never gives that back (perf_mmap()).
 */
static void own_events(void)
{
	for (int file = 2; file < 4; file++) {
		close(files[file]);
		files[file] = open_event();
	}
}

static bool is_event_mapped(int file)
{
	for (uint32_t i = 0; i < RANGES; i++)
		if (my.at[i] && my.file[i] == file)
			return file == 2 || file == 3;
	return false;
}

static void map_one(uint64_t *random, uint32_t range)
{
	int file = (int)below(random, FILES);
	size_t size = file < 2 ? (1 + below(random, PAGES)) * page : size_of(file);
	off_t offset = file < 2 ? (off_t)((size_of(file) - size) * below(random, 2)) : 0;

	if (is_event_mapped(file))
		return;
	my.file[range] = file;
	if (file >= 4)
		offset = one_in(random, 2) ? IORING_OFF_SQ_RING : (off_t)IORING_OFF_SQES;
	my.at[range] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, files[file], offset);
	my.size[range] = size;
	if (my.at[range] == MAP_FAILED)
		my.at[range] = NULL;
}

static int idle(void *unused)
{
	(void)unused;
	pause();
	return 0;
}

/* A child that has copies of the mappings, or (CLONE_VM) the same memory. */
static void change_child(uint64_t *random)
{
	static char stacks[CHILDREN][16384] __attribute__((aligned(16)));
	uint32_t at = below(random, CHILDREN);
	int flags = SIGCHLD | (one_in(random, 2) ? CLONE_VM : 0);

	if (my.children[at] > 0) {
		kill(my.children[at], SIGKILL);
		waitpid(my.children[at], NULL, 0);
		my.children[at] = 0;
		return;
	}
	my.children[at] = clone(idle, stacks[at] + sizeof(stacks[at]), flags, NULL);
}

static void change(uint64_t *random)
{
	uint32_t range = below(random, RANGES);
	size_t part = page * (1 + below(random, PAGES));
	char *moved;

	if (!my.at[range]) {
		map_one(random, range);
		return;
	}
	switch (below(random, 6)) {
	case 0:
	case 1:
		munmap(my.at[range], my.size[range]);
		my.at[range] = NULL;
		break;
	case 2:
		mprotect(my.at[range], part < my.size[range] ? part : my.size[range],
			 one_in(random, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
		break;
	case 3: /* the first part goes: the rest has another offset */
		if (part < my.size[range] && munmap(my.at[range], part) == 0) {
			my.at[range] += part;
			my.size[range] -= part;
		}
		break;
	case 4:
		moved = mremap(my.at[range], my.size[range], my.size[range], MREMAP_MAYMOVE);
		my.at[range] = moved == MAP_FAILED ? my.at[range] : moved;
		break;
	default:
		change_child(random);
	}
}

static void work(int commands, int replies, uint64_t random)
{
	char byte;

	own_events();
	while (read(commands, &byte, 1) == 1) {
		change(&random);
		if (write(replies, &byte, 1) != 1)
			break;
	}
	for (int i = 0; i < CHILDREN; i++)
		if (my.children[i] > 0)
			kill(my.children[i], SIGKILL);
	_exit(0);
}

static void churn(uint64_t random)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own_events();
	for (;;) {
		uint32_t range = below(&random, RANGES);

		if (my.at[range] && one_in(&random, 3))
			mprotect(my.at[range], page, PROT_READ);
		else if (my.at[range] && munmap(my.at[range], my.size[range]) == 0)
			my.at[range] = NULL;
		else
			map_one(&random, range);
	}
}

static void keep(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < BUSY_RANGES; i++)
		if (mmap(NULL, (size_t)(1 + i % PAGES) * page, PROT_READ | (i & 1 ? PROT_WRITE : 0),
			 MAP_SHARED, files[i % 2], 0) == MAP_FAILED)
			_exit(1);
	kill(getpid(), SIGSTOP);
	pause();
}

/* ------------------------------------------------------------ what is found --- */

struct seen {
	GHashTable *found;     /* owned text of each mapping */
	GHashTable *pids;      /* of ours; others on this machine do as they like */
	GHashTable *own_inode; /* the files of rings: (pointer) */
	uint32_t pid;
};

static void see(const struct walk_rec *rec, void *data)
{
	const struct walk_carried *carried = walk_record(rec, walk_carried);
	const struct walk_held *held = walk_record(rec, walk_held);
	struct seen *seen = data;

	if (rec->type == WALK_TASK)
		seen->pid = rec->id;
	if (!g_hash_table_contains(seen->pids, GUINT_TO_POINTER(seen->pid)))
		return;
	if (held && held->kind == WALK_HELD_RING)
		g_hash_table_add(seen->own_inode, GSIZE_TO_POINTER(held->file));
	if (held)
		g_hash_table_add(seen->found,
				 g_strdup_printf("%u %u %" G_GINT64_MODIFIER
						 "x: %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER
						 "x",
						 seen->pid, held->kind, (guint64)held->file,
						 (guint64)held->at, (guint64)held->end));
	else if (carried)
		g_hash_table_add(seen->found, g_strdup_printf("%u event %" G_GINT64_MODIFIER "x",
							      seen->pid, (guint64)carried->file));
}

static void add_children(GHashTable *pids, pid_t pid)
{
	char path[64], text[4096] = "";
	FILE *file;

	g_hash_table_add(pids, GINT_TO_POINTER(pid));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "r");
	if (!file)
		return;
	for (char *at = fgets(text, sizeof(text), file), *end; at; at = *end ? end : NULL) {
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		add_children(pids, (pid_t)child);
	}
	fclose(file);
}

static struct seen seen_new(GHashTable *pids)
{
	return (struct seen){
		.found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		.pids = pids,
		.own_inode = g_hash_table_new(NULL, NULL),
	};
}

static void seen_clear(struct seen *seen)
{
	g_hash_table_unref(seen->found);
	g_hash_table_unref(seen->own_inode);
}

/* Returns how many of @wanted are not in @found. */
static unsigned int missing(const struct seen *wanted, const struct seen *found, const char *by)
{
	unsigned int count = 0;
	GHashTableIter iter;
	gpointer text;

	g_hash_table_iter_init(&iter, wanted->found);
	while (g_hash_table_iter_next(&iter, &text, NULL))
		if (!g_hash_table_contains(found->found, text)) {
			printf("# not found by %s: %s\n", by, (const char *)text);
			count++;
		}
	return count;
}

static int read_trees(struct bpf_loader *walkers, const struct seen *all, struct seen *out)
{
	int err = mappings_walk_tree(walkers, bpf_loader_control(walkers)->kernel_ids.map_file, see,
				     out);
	GHashTableIter iter;
	gpointer file;

	g_hash_table_iter_init(&iter, all->own_inode);
	while (!err && g_hash_table_iter_next(&iter, &file, NULL))
		err = mappings_walk_tree(walkers, GPOINTER_TO_SIZE(file), see, out);
	return err;
}

/* --------------------------------------------------------------- the rounds --- */

static unsigned int compare(struct bpf_loader *walkers, unsigned int *mappings)
{
	g_autoptr(GHashTable) pids = g_hash_table_new(NULL, NULL);
	struct seen all = seen_new(pids), trees = seen_new(pids);
	unsigned int wrong;
	int err;

	add_children(pids, getpid());
	err = bpf_loader_iterate(walkers, "walk_mappings", see, &all);
	if (!err)
		err = read_trees(walkers, &all, &trees);
	if (err)
		printf("# the walk: %s\n", strerror(-err));
	*mappings += g_hash_table_size(all.found);
	wrong = missing(&all, &trees, "the trees") + missing(&trees, &all, "iter/task_vma");
	seen_clear(&all);
	seen_clear(&trees);
	return err ? 1 : wrong;
}

static bool start(struct worker *worker, uint64_t random)
{
	int commands[2], replies[2];

	if (pipe2(commands, O_CLOEXEC) || pipe2(replies, O_CLOEXEC))
		return false;
	worker->pid = fork();
	if (worker->pid == 0) {
		close(commands[1]);
		work(commands[0], replies[1], random);
	}
	close(commands[0]);
	close(replies[1]);
	worker->commands = commands[1];
	worker->replies = replies[0];
	return worker->pid > 0;
}

static unsigned int run_rounds(struct bpf_loader *walkers, int rounds, uint64_t random)
{
	struct worker workers[WORKERS];
	unsigned int wrong = 0, mappings = 0;
	char byte = 0;

	for (int i = 0; i < WORKERS; i++)
		wrong += !start(&workers[i], random + (uint64_t)i);
	for (int round = 0; !wrong && round < rounds; round++) {
		for (uint32_t i = 0; i < WORKERS * 4; i++) {
			const struct worker *worker = &workers[below(&random, WORKERS)];

			if (write(worker->commands, &byte, 1) != 1 ||
			    read(worker->replies, &byte, 1) != 1)
				wrong++;
		}
		wrong += compare(walkers, &mappings);
	}
	/* each worker has the pipes of those before it, so the last one ends first */
	for (int i = 0; i < WORKERS; i++)
		close(workers[i].commands);
	for (int i = 0; i < WORKERS; i++) {
		waitpid(workers[i].pid, NULL, 0);
		close(workers[i].replies);
	}
	printf("%sok 1 %d rounds, %u mappings\n", wrong || !mappings ? "not " : "", rounds,
	       mappings);
	return wrong || !mappings;
}

static unsigned int run_busy(struct bpf_loader *walkers, uint64_t random)
{
	g_autoptr(GHashTable) pids = g_hash_table_new(NULL, NULL);
	struct seen kept = seen_new(pids);
	unsigned int wrong = 0, torn = 0;
	pid_t churners[CHURNERS], keeper = fork();

	if (keeper == 0)
		keep();
	wrong += waitpid(keeper, NULL, WUNTRACED) != keeper;
	g_hash_table_add(pids, GINT_TO_POINTER(keeper));
	wrong += bpf_loader_iterate(walkers, "walk_mappings", see, &kept) != 0;
	for (int i = 0; i < CHURNERS; i++) {
		churners[i] = fork();
		if (churners[i] == 0)
			churn(random + (uint64_t)i);
	}
	for (int i = 0; !wrong && i < BUSY_WALKS; i++) {
		struct seen now = seen_new(pids);
		int err = read_trees(walkers, &kept, &now);

		torn += err == -EAGAIN;
		wrong += err && err != -EAGAIN;
		if (!err)
			wrong += missing(&kept, &now, "the tree");
		seen_clear(&now);
	}
	for (int i = 0; i < CHURNERS; i++) {
		kill(churners[i], SIGKILL);
		waitpid(churners[i], NULL, 0);
	}
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	printf("%sok 2 %u mappings that stay, %d walks, of which %u found no order\n",
	       wrong || g_hash_table_size(kept.found) < BUSY_RANGES / 2 ? "not " : "",
	       g_hash_table_size(kept.found), BUSY_WALKS, torn);
	seen_clear(&kept);
	return wrong;
}

static bool open_files(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	char params[256] = { 0 };

	page = (size_t)sysconf(_SC_PAGESIZE);
	for (int i = 0; i < 2; i++) {
		files[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mapped", 4, (unsigned int)page,
					  PAGES, &opts);
		files[2 + i] = open_event();
		files[4 + i] = (int)syscall(SYS_io_uring_setup, 1, params);
		memset(params, 0, sizeof(params));
		if (files[i] < 0 || files[2 + i] < 0 || files[4 + i] < 0)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261129;
	struct bpf_loader *walkers = NULL;
	g_autofree char *why = NULL;
	int err = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..2\n# seed %llu\n", (unsigned long long)seed);
	if (geteuid() != 0 || !open_files() || (err = bpf_loader_load(NULL, &walkers, &why)) != 0 ||
	    (err = kernel_ids_probe(walkers, &why)) != 0) {
		printf("ok 1 # SKIP not root, or this kernel lacks something: %s\n",
		       why ? why : "");
		printf("ok 2 # SKIP the same\n");
		return 0;
	}
	bpf_loader_control(walkers)->uses = ~0u;
	err = (int)run_rounds(walkers, rounds, seed);
	err |= (int)run_busy(walkers, seed);
	bpf_loader_free(walkers);
	return err ? 1 : 0;
}
