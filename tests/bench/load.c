// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills the system to a size: `load DIRECTORY maps=N progs=N links=N pins=N processes=N fds=N`, with
 * DIRECTORY in a bpffs, and with the keys of node.c: `pods=N mounts=N cgroup=DIRECTORY cgroups=N
 * sockets=N mappers=N mappings=N pause=US agent=N churn=N`. It prints `ready map=ID prog=ID pid=PID agent=PID`
 * once everything is there, waits until its standard input ends, and removes everything.
 *
 * A tenth of the maps are program arrays with a program in each of their slots. Each program uses
 * four maps. Each process has open: one map that all of them share, a map and a program of its own,
 * a pair of sockets, a pipe, and for the rest files that have nothing to do with BPF.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

#define MAPS_OF_PROG	  4
#define SLOTS_OF_ARRAY	  4
#define PINS_OF_DIRECTORY 100

/* Descriptors that a process keeps of its parent's; the parent has them at these numbers. */
enum { FD_SHARED_MAP = 3, FD_READY, FD_FIRST_FREE };

__attribute__((noreturn)) void load_die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1); /* processes end with us: PR_SET_PDEATHSIG */
}

static unsigned int id_of(int fd)
{
	struct bpf_prog_info info = { 0 }; /* maps' and programs' infos begin alike: type, id */
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		load_die("an object's id");
	return info.id;
}

/* ------------------------------------------------------------- objects --- */

static int map_new(unsigned int index)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "load%u", index);
	if (index % 10 == 1)
		fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, name, 4, 4, SLOTS_OF_ARRAY, NULL);
	else if (index % 10 == 2)
		fd = bpf_map_create(BPF_MAP_TYPE_HASH, name, 4, 8, 1, NULL);
	else
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, 8, 1, NULL);
	if (fd < 0)
		load_die("a map");
	return fd;
}

static unsigned int prog_type(const struct load *load, unsigned int index)
{
	static const unsigned int types[] = {
		BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_CGROUP_SKB, BPF_PROG_TYPE_SCHED_CLS,
		BPF_PROG_TYPE_XDP,	     BPF_PROG_TYPE_TRACEPOINT,
	};

	if (index < load->size.links)
		return BPF_PROG_TYPE_RAW_TRACEPOINT;
	return types[index % (sizeof(types) / sizeof(types[0]))];
}

/* A program array takes programs of one type: it is used once, other maps as often as it takes. */
static unsigned int used_map(const struct load *load, unsigned int number)
{
	unsigned int index = number % load->size.maps;

	return number >= load->size.maps && index % 10 == 1 ? index - 1 : index;
}

static int prog_new(const struct load *load, unsigned int index)
{
	struct bpf_insn insns[2 * MAPS_OF_PROG + 2] = { 0 };
	char name[16];
	int fd;

	for (unsigned int i = 0; i < MAPS_OF_PROG; i++) {
		insns[2 * i].code = BPF_LD | BPF_DW | BPF_IMM;
		insns[2 * i].dst_reg = BPF_REG_1;
		insns[2 * i].src_reg = BPF_PSEUDO_MAP_FD;
		insns[2 * i].imm = load->maps[used_map(load, index * MAPS_OF_PROG + i)];
	}
	insns[2 * MAPS_OF_PROG].code = BPF_ALU64 | BPF_MOV | BPF_K;
	insns[2 * MAPS_OF_PROG + 1].code = BPF_JMP | BPF_EXIT;
	snprintf(name, sizeof(name), "load%u", index);
	fd = bpf_prog_load(prog_type(load, index), name, "GPL", insns, 2 * MAPS_OF_PROG + 2, NULL);
	if (fd < 0)
		load_die("a program");
	return fd;
}

/* Programs of one type: an array takes no others. */
static void fill_array(const struct load *load, unsigned int index)
{
	unsigned int first = load->size.links;

	for (unsigned int slot = 0; slot < SLOTS_OF_ARRAY && first < load->size.progs; slot++) {
		unsigned int prog = first + (index / 10 * SLOTS_OF_ARRAY + slot) * 5;

		prog = first + (prog - first) % (load->size.progs - first);
		/* those of another type than the first are refused: then the slot stays empty */
		bpf_map_update_elem(load->maps[index], &slot, &load->progs[prog], BPF_ANY);
	}
}

/* Tracepoints that hardly ever fire; a kernel need not have each. */
static void link_new(int prog)
{
	static const char *const points[] = { "cgroup_remount", "oom_score_adj_update", NULL };

	for (unsigned int i = 0; points[i]; i++)
		if (bpf_raw_tracepoint_open(points[i], prog) >= 0)
			return;
	load_die("a link");
}

static void pin(const struct load *load, const char *directory, unsigned int index)
{
	char path[4096];
	int dir_len;

	dir_len = snprintf(path, sizeof(path), "%s/dir%u", directory, index / PINS_OF_DIRECTORY);
	if (index % PINS_OF_DIRECTORY == 0 && mkdir(path, 0700) != 0)
		load_die(path);
	snprintf(path + dir_len, sizeof(path) - (size_t)dir_len, "/map%u", index);
	if (bpf_obj_pin(load->maps[index % load->size.maps], path) != 0)
		load_die(path);
}

static void make_objects(struct load *load, const char *directory)
{
	const struct size *size = &load->size;

	for (unsigned int i = 0; i < size->maps; i++) {
		load->maps[i] = map_new(i);
		load->map_ids[i] = id_of(load->maps[i]);
	}
	for (unsigned int i = 0; i < size->progs; i++) {
		load->progs[i] = prog_new(load, i);
		load->prog_ids[i] = id_of(load->progs[i]);
	}
	for (unsigned int i = 1; i < size->maps; i += 10)
		fill_array(load, i);
	for (unsigned int i = 0; i < size->links; i++)
		link_new(load->progs[i]);
	for (unsigned int i = 0; i < size->pins; i++)
		pin(load, directory, i);
}

/* ----------------------------------------------------------- processes --- */

static void open_own(const struct load *load, unsigned int index)
{
	unsigned int open = FD_FIRST_FREE;
	int pair[2];

	if (bpf_map_get_fd_by_id(load->map_ids[index % load->size.maps]) < 0 ||
	    bpf_prog_get_fd_by_id(load->prog_ids[index % load->size.progs]) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || pipe(pair) != 0)
		load_die("a process's descriptors");
	for (open += 6; open < load->size.fds; open++)
		if (openat(AT_FDCWD, "/dev/null", O_RDONLY) < 0)
			load_die("/dev/null");
}

__attribute__((noreturn)) static void be_process(const struct load *load, unsigned int index,
						 pid_t parent)
{
	/* the table is ours from here on, and as short as what we keep of it */
	if (syscall(SYS_close_range, FD_FIRST_FREE, ~0u, CLOSE_RANGE_UNSHARE) != 0)
		load_die("close_range");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	open_own(load, index);
	if (write(FD_READY, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void make_processes(struct load *load)
{
	pid_t self = getpid();

	for (unsigned int i = 0; i < load->size.processes; i++) {
		/* a copy of our large table would take longer than all the rest */
		load->pids[i] = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
		if (load->pids[i] < 0)
			load_die("a process");
		if (load->pids[i] == 0)
			be_process(load, i, self);
	}
}

/* Returns when each process has written its byte. One that fails says why itself. */
static void await_processes(unsigned int count, int ready)
{
	char byte;

	for (unsigned int i = 0; i < count; i++)
		if (read(ready, &byte, 1) != 1 || waitpid(-1, NULL, WNOHANG) != 0)
			exit(1);
}

static void end_processes(const pid_t *pids, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	for (unsigned int i = 0; i < count; i++)
		waitpid(pids[i], NULL, 0);
}

/* ---------------------------------------------------------------- main --- */

static void parse(struct size *size, int argc, char **argv)
{
	const struct {
		const char *name;
		unsigned int *value;
	} keys[] = {
		{ "maps", &size->maps },	 { "progs", &size->progs },
		{ "links", &size->links },	 { "pins", &size->pins },
		{ "fds", &size->fds },		 { "processes", &size->processes },
		{ "pods", &size->pods },	 { "mounts", &size->mounts },
		{ "agent", &size->agent },	 { "cgroups", &size->cgroups },
		{ "churn", &size->churn },	 { "pause", &size->pause },
		{ "mappers", &size->mappers },	 { "sockets", &size->sockets },
		{ "mappings", &size->mappings },
	};
	const size_t count = sizeof(keys) / sizeof(keys[0]);

	for (int i = 2; i < argc; i++) {
		size_t length = strcspn(argv[i], "="), key = 0;

		if (sscanf(argv[i], "cgroup=%255s", size->cgroup) == 1)
			continue;
		while (key < count && (strlen(keys[key].name) != length ||
				       strncmp(keys[key].name, argv[i], length) != 0))
			key++;
		if (key == count || sscanf(argv[i] + length, "=%u", keys[key].value) != 1) {
			fprintf(stderr, "load: %s: no such parameter\n", argv[i]);
			exit(2);
		}
	}
	if (argc < 3 || !size->maps || !size->progs || size->links > size->progs ||
	    (size->cgroups && !size->cgroup[0])) {
		fprintf(stderr, "load: a directory, then maps=N progs=N ...; cgroups=N needs "
				"cgroup=DIRECTORY\n");
		exit(2);
	}
}

static void raise_limits(void)
{
	struct rlimit memory = { RLIM_INFINITY, RLIM_INFINITY }, files = { 1 << 20, 1 << 20 };

	setrlimit(RLIMIT_MEMLOCK, &memory);
	setrlimit(RLIMIT_NOFILE, &files); /* where it fails, opening says so */
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	int ready[2], shared;
	char byte;

	parse(&load.size, argc, argv);
	raise_limits();
	load.maps = calloc(load.size.maps, sizeof(int));
	load.progs = calloc(load.size.progs, sizeof(int));
	load.map_ids = calloc(load.size.maps, sizeof(unsigned int));
	load.prog_ids = calloc(load.size.progs, sizeof(unsigned int));
	load.pids = calloc(load.size.processes + 1, sizeof(pid_t));
	load.node_pids = calloc(node_processes(&load.size) + 1, sizeof(pid_t));
	close_range(3, ~0u, 0); /* nothing that we were given by chance */
	shared = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shared", 4, 8, 1, NULL);
	if (shared != FD_SHARED_MAP || pipe(ready) != 0)
		load_die("the first descriptors");
	shared = ready[0] == FD_READY ? fcntl(ready[0], F_DUPFD, 10) : ready[0];
	if (dup2(ready[1], FD_READY) != FD_READY)
		load_die("dup2");
	close(ready[1]);
	make_objects(&load, argv[1]);
	make_processes(&load);
	node_make(&load, argv[1], FD_READY);
	await_processes(load.size.processes + load.node_count, shared);
	printf("ready map=%u prog=%u pid=%d agent=%d\n", load.map_ids[load.size.maps / 2],
	       load.prog_ids[0], load.pids[0], load.node_pids[0]);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	end_processes(load.pids, load.size.processes);
	end_processes(load.node_pids, load.node_count);
	node_remove(&load);
	return 0;
}
