// SPDX-License-Identifier: GPL-2.0-or-later
/* The commands that keep an open file otherwise than by a descriptor. */
#include "mkobj.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_MAPPINGS = 8, MAX_SLOTS = 8, RING_ENTRIES = 8, MAX_COPIES = 253 };

static struct {
	char *at;
	size_t size;
} mappings[MAX_MAPPINGS];

static struct iocb request;
static aio_context_t requests;

/* ------------------------------------------------------------ mappings --- */

/* map_file VAR [offset= pages= read_only=1] */
static int cmd_map_file(char **args)
{
	size_t page = (size_t)getpagesize(), size = page * option_num(args, "pages", 1);
	int prot = PROT_READ | (option_num(args, "read_only", 0) ? 0 : PROT_WRITE);
	unsigned int i = 0;
	char *at;

	while (i < MAX_MAPPINGS && mappings[i].at)
		i++;
	if (i == MAX_MAPPINGS)
		return -ENOSPC;
	at = mmap(NULL, size, prot, MAP_SHARED, var_get(args[0]), option_num(args, "offset", 0));
	if (at == MAP_FAILED)
		return -errno;
	mappings[i].at = at;
	mappings[i].size = size;
	say(" addr=%lx-%lx", (unsigned long)at, (unsigned long)at + size);
	return 0;
}

/* unmap: all that was mapped. */
static int cmd_unmap(char **args)
{
	(void)args;
	for (unsigned int i = 0; i < MAX_MAPPINGS; i++) {
		if (mappings[i].at)
			munmap(mappings[i].at, mappings[i].size);
		mappings[i].at = NULL;
	}
	return 0;
}

/* number VAR: says its descriptor. */
static int cmd_number(char **args)
{
	int fd = var_get(args[0]);

	say(" number=%d", fd);
	return fd < 0 ? -EBADF : 0;
}

/* ------------------------------------------------------------- sockets --- */

/* pair VAR VAR [type=]: two unix sockets, of streams unless @type says otherwise. */
static int cmd_pair(char **args)
{
	int fds[2], error;
	int type = (int)option_num(args, "type", SOCK_STREAM);

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	error = var_set(args[0], fds[0]);
	return error ? error : var_set(args[1], fds[1]);
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* listen VAR PATH */
static int cmd_listen(char **args)
{
	struct sockaddr_un address;
	int fd = unix_socket(args[1], &address);

	if (fd < 0)
		return fd;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
		close(fd);
		return -errno;
	}
	return var_set(args[0], fd);
}

/* connect VAR PATH */
static int cmd_connect(char **args)
{
	struct sockaddr_un address;
	int fd = unix_socket(args[1], &address);

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return var_set(args[0], fd);
}

/* send SOCKET VAR [messages= copies=]: so often, and so many times in each message. */
static int cmd_send(char **args)
{
	unsigned int messages = option_num(args, "messages", 1);
	unsigned int copies = option_num(args, "copies", 1);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MAX_COPIES)];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control };
	int fd = var_get(args[1]);

	if (copies > MAX_COPIES)
		return -EINVAL;
	control.header.cmsg_len = CMSG_LEN(sizeof(int) * copies);
	message.msg_controllen = CMSG_SPACE(sizeof(int) * copies);
	for (unsigned int i = 0; i < copies; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(fd), &fd, sizeof(fd));
	for (unsigned int i = 0; i < messages; i++)
		if (sendmsg(var_get(args[0]), &message, MSG_DONTWAIT) < 0)
			return -errno;
	return 0;
}

/* drop SOCKET: reads one message; what it carries is closed, since nobody asks for it. */
static int cmd_drop(char **args)
{
	char byte;

	return recv(var_get(args[0]), &byte, sizeof(byte), MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* ------------------------------------------------------------- io_uring --- */

/* uring VAR [flags=] */
static int cmd_uring(char **args)
{
	struct io_uring_params params = { .flags = option_num(args, "flags", 0) };
	int fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &params);

	return fd < 0 ? -errno : var_set(args[0], fd);
}

/* uring_files RING VAR...: registered, slot by slot. */
static int cmd_uring_files(char **args)
{
	unsigned int count = 0;
	int fds[MAX_SLOTS];

	for (; count < MAX_SLOTS && args[count + 1]; count++)
		fds[count] = var_get(args[count + 1]);
	if (syscall(SYS_io_uring_register, var_get(args[0]), IORING_REGISTER_FILES, fds, count) < 0)
		return -errno;
	return 0;
}

/* uring_no_files RING */
static int cmd_uring_no_files(char **args)
{
	if (syscall(SYS_io_uring_register, var_get(args[0]), IORING_UNREGISTER_FILES, NULL, 0) < 0)
		return -errno;
	return 0;
}

/* uring_self RING: kept by this thread, whatever becomes of its descriptor. */
static int cmd_uring_self(char **args)
{
	int ring = var_get(args[0]);
	struct io_uring_rsrc_update update = { .offset = ~0U, .data = (uint64_t)ring };

	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_RING_FDS, &update, 1) != 1)
		return -errno;
	return 0;
}

/* One submission on a ring that was just made, whose queues are still empty. */
static int uring_submit(int ring, const struct io_uring_sqe *entry)
{
	struct io_uring_params params = { 0 };
	size_t page = (size_t)getpagesize();
	struct io_uring_sqe *entries;
	unsigned int *queue;
	int other, error = 0;

	/* where the queue's parts are is the same for each ring of that size */
	other = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &params);
	if (other < 0)
		return -errno;
	close(other);
	queue = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		return -errno;
	entries[0] = *entry;
	queue[params.sq_off.array / sizeof(*queue)] = 0;
	__atomic_store_n(&queue[params.sq_off.tail / sizeof(*queue)], 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		error = errno ? -errno : -EIO;
	munmap(queue, page);
	munmap(entries, page);
	return error;
}

/* uring_poll RING VAR: a request that waits, for what never comes. */
static int cmd_uring_poll(char **args)
{
	struct io_uring_sqe entry = {
		.opcode = IORING_OP_POLL_ADD,
		.fd = var_get(args[1]),
		.poll32_events = POLLIN,
	};

	return uring_submit(var_get(args[0]), &entry);
}

/* ------------------------------------------------------------------ aio --- */

/* aio_poll VAR: the same with the older asynchronous I/O. */
static int cmd_aio_poll(char **args)
{
	struct iocb *list = &request;

	if (syscall(SYS_io_setup, 4, &requests) < 0)
		return -errno;
	request = (struct iocb){
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = (uint32_t)var_get(args[0]),
		.aio_buf = POLLIN,
	};
	if (syscall(SYS_io_submit, requests, 1, &list) != 1)
		return -errno;
	say(" request=%lx", (unsigned long)&request);
	return 0;
}

/* aio_end: its context goes, and the request with it. */
static int cmd_aio_end(char **args)
{
	(void)args;
	return syscall(SYS_io_destroy, requests) < 0 ? -errno : 0;
}

/* ---------------------------------------------------------------- perf --- */

/* perf_event VAR PROG: an event that counts, with a program. */
static int cmd_perf_event(char **args)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attr),
		.sample_period = 1000000000,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, var_get(args[1])) == 0)
		return var_set(args[0], fd);
	error = -errno;
	close(fd);
	return error;
}

/* --------------------------------------------------------------- churn --- */

/* One round of all of it with a new open file of the map; nothing of it is left. */
static void churn(unsigned int id)
{
	char map[] = "churn_map", a[] = "churn_a", b[] = "churn_b", ring[] = "churn_ring";
	char messages[] = "messages=20", copies[] = "copies=20";
	char *pair[] = { a, b, NULL }, *files[] = { ring, map, NULL };
	char *send[] = { a, map, messages, copies, NULL };

	answer_begin();
	var_set(map, bpf_map_get_fd_by_id(id));
	if (cmd_pair(pair) == 0)
		cmd_send(send);
	cmd_map_file(send + 1);
	cmd_uring_files(files);
	var_close(map);
	cmd_drop(pair + 1);
	var_close(a);
	var_close(b);
	cmd_unmap(pair);
	cmd_uring_no_files(files);
}

/* churn ID: a child that does so until it is reaped. */
static int cmd_churn(char **args)
{
	unsigned int id = (unsigned int)strtoul(args[0], NULL, 0);
	pid_t parent = getpid(), pid = fork();
	char ring[] = "churn_ring", *new_ring[] = { ring, NULL };

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		cmd_uring(new_ring);
		for (;;)
			churn(id);
	}
	say(" child=%d", pid);
	return 0;
}

const struct cmd file_cmds[] = {
	/* clang-format off */
	{ "map_file",       1, cmd_map_file },
	{ "unmap",          0, cmd_unmap },
	{ "number",         1, cmd_number },
	{ "pair",           2, cmd_pair },
	{ "listen",         2, cmd_listen },
	{ "connect",        2, cmd_connect },
	{ "send",           2, cmd_send },
	{ "drop",           1, cmd_drop },
	{ "uring",          1, cmd_uring },
	{ "uring_files",    2, cmd_uring_files },
	{ "uring_no_files", 1, cmd_uring_no_files },
	{ "uring_self",     1, cmd_uring_self },
	{ "uring_poll",     2, cmd_uring_poll },
	{ "aio_poll",       1, cmd_aio_poll },
	{ "aio_end",        0, cmd_aio_end },
	{ "perf_event",     2, cmd_perf_event },
	{ "churn",          1, cmd_churn },
	{ NULL,             0, NULL },
	/* clang-format on */
};
