// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a node of a cluster has apart from BPF objects: pods, that is processes in mount, network, pid
 * and cgroup namespaces of their own; cgroups; sockets; processes that map and unmap memory all the
 * time; an agent with very many descriptors; a process that creates and closes maps all the time.
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
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

/* Every so many pods one has the node's bpffs mounted, as agents have. */
#define PODS_A_BPFFS 10
#define POD_FLAGS    (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWIPC)

struct node {
	struct load *load;
	const char *directory;
	int ready;
};

static void is_ready(const struct node *node)
{
	if (write(node->ready, "", 1) != 1)
		_exit(1);
}

static void sleep_for(unsigned int microseconds)
{
	nanosleep(&(struct timespec){ .tv_sec = microseconds / 1000000,
				      .tv_nsec = microseconds % 1000000 * 1000 },
		  NULL);
}

/* --------------------------------------------------------------- pods --- */

static void cgroup_path(const struct size *size, unsigned int index, const char *file, char *path,
			size_t length)
{
	snprintf(path, length, "%s/load%u%s", size->cgroup, index, file);
}

/* The calling process goes into cgroup number @index, if there are any. */
static void enter_cgroup(const struct size *size, unsigned int index)
{
	char path[512];
	int fd;

	if (!size->cgroups)
		return;
	cgroup_path(size, index % size->cgroups, "/cgroup.procs", path, sizeof(path));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		load_die(path);
	close(fd);
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		load_die(path);
}

/* A root of its own, in which there are @mounts mounts; of the node's only the bpffs, if at all. */
static void make_mounts(const struct node *node, unsigned int index)
{
	unsigned int mounts = node->load->size.mounts;
	int bpffs = index % PODS_A_BPFFS == 0;
	char path[64];

	/* /tmp may have the bpffs below it: hence the relative path */
	if (chdir(node->directory) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("load", "/tmp", "tmpfs", 0, NULL) != 0)
		load_die("the root of a pod");
	make_directory("/tmp/old");
	make_directory("/tmp/bpf");
	if (bpffs && mount(".", "/tmp/bpf", NULL, MS_BIND, NULL) != 0)
		load_die("the bpffs of a pod");
	if (chdir("/tmp") != 0)
		load_die("/tmp");
	for (unsigned int i = 0; i < mounts; i++) {
		snprintf(path, sizeof(path), "volume%u", i);
		make_directory(path);
		if (mount("load", path, "tmpfs", 0, "size=4k,nr_inodes=4") != 0)
			load_die("a mount of a pod");
	}
	if (syscall(SYS_pivot_root, ".", "old") != 0 || umount2("/old", MNT_DETACH) != 0)
		load_die("pivot_root");
}

static void be_pod(const struct node *node, unsigned int index)
{
	enter_cgroup(&node->load->size, index);
	make_mounts(node, index);
	is_ready(node);
	for (;;)
		pause();
}

/* ---------------------------------------------------- other processes --- */

/* Many mappings that cannot be merged, one of a BPF map, and one that comes and goes. */
static void be_mapper(const struct node *node, unsigned int index)
{
	unsigned int mappings = node->load->size.mappings;
	long page = sysconf(_SC_PAGESIZE);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mapped", 4, 8, 1, &opts);
	char *area;

	area = mmap(NULL, (size_t)page * (mappings + 1), PROT_READ,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (unsigned int i = 0; area != MAP_FAILED && i < mappings; i += 2)
		if (mprotect(area + (size_t)page * i, (size_t)page, PROT_READ | PROT_WRITE) != 0)
			load_die("mappings (vm.max_map_count?)");
	if (area == MAP_FAILED || map < 0 ||
	    mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, map, 0) == MAP_FAILED)
		load_die("mappings");
	close(map);
	enter_cgroup(&node->load->size, index);
	is_ready(node);
	for (;; sleep_for(node->load->size.pause)) {
		area = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(area, (size_t)page);
	}
}

static void be_agent(const struct node *node, unsigned int index)
{
	const struct load *load = node->load;

	for (unsigned int i = 0; i < load->size.agent; i++)
		if (bpf_map_get_fd_by_id(load->map_ids[i % load->size.maps]) < 0)
			load_die("a descriptor of the agent");
	enter_cgroup(&load->size, index);
	is_ready(node);
	for (;;)
		pause();
}

static void be_server(const struct node *node, unsigned int index)
{
	for (unsigned int i = 0; i < node->load->size.sockets; i++)
		if (socket(i % 2 ? AF_INET : AF_UNIX, SOCK_DGRAM, 0) < 0)
			load_die("a socket");
	enter_cgroup(&node->load->size, index);
	is_ready(node);
	for (;;)
		pause();
}

static void be_churn(const struct node *node, unsigned int index)
{
	(void)index;
	is_ready(node);
	for (;; sleep_for(node->load->size.pause))
		close(bpf_map_create(BPF_MAP_TYPE_ARRAY, "churn", 4, 8, 1, NULL));
}

/* -------------------------------------------------------------- main --- */

static void start(struct node *node, unsigned long flags, unsigned int index,
		  void (*be)(const struct node *node, unsigned int index))
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		load_die("a process of the node");
	if (pid) {
		node->load->node_pids[node->load->node_count++] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* a table of its own; of the load generator's descriptors the standard ones and the pipe */
	if (syscall(SYS_close_range, node->ready + 1, ~0u, CLOSE_RANGE_UNSHARE) != 0 ||
	    close(node->ready - 1) != 0)
		load_die("close_range");
	be(node, index);
	_exit(1);
}

unsigned int node_processes(const struct size *size)
{
	return size->pods + size->mappers + !!size->sockets + !!size->agent + size->churn;
}

void node_make(struct load *load, const char *directory, int ready)
{
	struct node node = { .load = load, .directory = directory, .ready = ready };
	const struct size *size = &load->size;
	char path[512];

	for (unsigned int i = 0; i < size->cgroups; i++) {
		cgroup_path(size, i, "", path, sizeof(path));
		make_directory(path);
	}
	/* the agent is first: `agent=PID` */
	if (size->agent)
		start(&node, 0, 0, be_agent);
	if (size->sockets)
		start(&node, 0, 0, be_server);
	for (unsigned int i = 0; i < size->pods; i++)
		start(&node, POD_FLAGS, i, be_pod);
	for (unsigned int i = 0; i < size->mappers; i++)
		start(&node, 0, i, be_mapper);
	for (unsigned int i = 0; i < size->churn; i++)
		start(&node, 0, i, be_churn);
}

void node_remove(const struct load *load)
{
	char path[512];

	for (unsigned int i = 0; i < load->size.cgroups; i++) {
		cgroup_path(&load->size, i, "", path, sizeof(path));
		for (int tries = 0; rmdir(path) != 0 && errno == EBUSY && tries < 1000; tries++)
			sleep_for(1000);
	}
}
