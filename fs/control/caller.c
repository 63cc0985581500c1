/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rights of a caller, and acting as a caller. Everything is read from /proc/TID. The number
 * cannot become another thread's meanwhile, because a caller, killed or not, waits until its
 * request is answered. procfs shows the rights of the thread itself, while the request has the
 * ids it was made with. Where the kernel lets a thread act for another (workers of io_uring and
 * of the kernel, overlayfs), these may differ. In that case the daemon takes neither's rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/caps.h"

/* PROC_USER_INIT_INO (include/linux/proc_ns.h), unchanged since Linux 3.8. */
#define INITIAL_USER_NS "user:[4026531837]"

/* NGROUPS_MAX, the most groups that a credential can have. */
#define GROUPS_MAX 65536

/*
 * PF_IO_WORKER and PF_KTHREAD of the kernel (include/linux/sched.h), as /proc/TID/stat shows
 * them.
 */
#define FLAGS_OF_WORKERS UINT64_C(0x00200010)

/* The rights that are read of a caller. */
struct rights {
	GArray *groups; /* of gid_t; owned */
	uint64_t caps;	/* effective in the initial user namespace */
};

static void rights_clear(struct rights *rights)
{
	g_array_unref(rights->groups);
}

#define auto_rights __attribute__((cleanup(rights_clear))) struct rights

static char *proc_read(pid_t tid, const char *name)
{
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return tid > 0 && text_read(path, &text, NULL) == 0 ? text : NULL;
}

/* Returns the text after @key, which is "\nKEY:\t", or NULL if there is no such line. */
static const char *status_field(const char *status, const char *key)
{
	const char *found = strstr(status, key);

	return found ? found + strlen(key) : NULL;
}

/* Reads the numbers of a line, at most GROUPS_MAX. */
static void read_numbers(const char *at, GArray *numbers)
{
	while (at && *at != '\n' && numbers->len < GROUPS_MAX) {
		char *end;
		gid_t number = (gid_t)strtoul(at, &end, 10);

		if (end == at)
			break;
		g_array_append_val(numbers, number);
		at = end + strspn(end, " \t");
	}
}

/* Returns whether the request was made with the thread's own fsuid, the last number of "Uid:". */
static bool is_as_itself(const struct caller *caller, const char *status)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(gid_t));

	read_numbers(status_field(status, "\nUid:\t"), uids);
	return uids->len == 4 && g_array_index(uids, gid_t, 3) == caller->uid;
}

static bool in_initial_user_ns(pid_t tid)
{
	char path[64], ns[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)tid);
	len = readlink(path, ns, sizeof(ns) - 1);
	if (len < 0)
		return false;
	ns[len] = '\0';
	return strcmp(ns, INITIAL_USER_NS) == 0;
}

/*
 * A worker has the credentials of the thread that started it, which may have dropped them since,
 * and works for every process that has the ring. Returns true if this cannot be read.
 */
static bool is_worker(pid_t tid)
{
	g_autofree char *stat = proc_read(tid, "stat");
	/* The comm is in parentheses, and may contain parentheses itself. */
	const char *at = stat ? strrchr(stat, ')') : NULL;

	/* state ppid pgrp session tty_nr tpgid flags */
	for (int i = 0; at && i < 7; i++)
		at = strchr(at + 1, ' ');
	return !at || strtoull(at, NULL, 10) & FLAGS_OF_WORKERS;
}

/*
 * Returns those capabilities of @wanted that the thread has in the initial user namespace; none
 * if that is uncertain.
 */
static uint64_t read_caps(const struct caller *caller, const char *status, uint64_t wanted)
{
	const char *field = status_field(status, "\nCapEff:\t");
	uint64_t caps = field ? strtoull(field, NULL, 16) & wanted : 0;

	/* Most callers have none of them, so only the others take more reads. */
	if (caps && (!in_initial_user_ns(caller->tid) || is_worker(caller->tid)))
		caps = 0;
	return caps;
}

/* Returns -ESRCH if procfs does not show the thread. */
static int rights_read(const struct caller *caller, uint64_t wanted, struct rights *rights)
{
	g_autofree char *status = proc_read(caller->tid, "status");

	if (!status)
		return -ESRCH;
	if (!is_as_itself(caller, status))
		return 0;
	read_numbers(status_field(status, "\nGroups:\t"), rights->groups);
	rights->caps = read_caps(caller, status, wanted);
	return 0;
}

static struct rights rights_none(void)
{
	return (struct rights){ .groups = g_array_new(FALSE, FALSE, sizeof(gid_t)) };
}

int caller_is_admin(const struct caller *caller)
{
	const uint64_t admin = UINT64_C(1) << CAP_SYS_ADMIN;
	auto_rights rights = rights_none();

	return rights_read(caller, admin, &rights) == 0 && rights.caps == admin ? 0 : -EPERM;
}

static bool has_group(const struct caller *caller, const struct rights *rights, gid_t gid)
{
	bool has = caller->gid == gid;

	for (guint i = 0; !has && i < rights->groups->len; i++)
		has = g_array_index(rights->groups, gid_t, i) == gid;
	return has;
}

bool caller_may_read(const struct caller *caller, const struct fs_options *opt)
{
	auto_rights rights = rights_none();

	/* root owns the files and directories of .bpf. */
	if (caller->uid == 0)
		return true;
	if (rights_read(caller, caps_to_read(), &rights) != 0)
		return false;
	return rights.caps || (opt->has_gid && has_group(caller, &rights, opt->gid));
}

void caller_describe(const struct caller *caller, pid_t *pid, char comm[32])
{
	g_autofree char *status = proc_read(caller->tid, "status");
	/* comm is read, because "Name:" of status is escaped. */
	g_autofree char *name = proc_read(caller->tid, "comm");
	const char *field = status ? status_field(status, "\nTgid:\t") : NULL;

	*pid = field ? (pid_t)strtol(field, NULL, 10) : caller->tid;
	g_strlcpy(comm, "?", 32);
	if (!name)
		return;
	/* procfs adds one newline. A newline before that is part of the name. */
	if (g_str_has_suffix(name, "\n"))
		name[strlen(name) - 1] = '\0';
	g_strlcpy(comm, name, 32);
}

/* -------------------------------------------------- acting as a caller --- */

/* setgroups(2) of glibc changes all threads of the process, the system call only this one. */
static int thread_setgroups(size_t count, const gid_t *groups)
{
	return syscall(SYS_setgroups, count, groups) == 0 ? 0 : -errno;
}

/*
 * Returns whether the thread's filesystem ids are these. An id of -1 changes nothing, and the
 * call returns the current id.
 */
static bool fs_ids_are(uid_t uid, gid_t gid)
{
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

int caller_enter(const struct caller *caller)
{
	auto_rights rights = rights_none();
	int err = rights_read(caller, caps_of_files(), &rights);

	if (!err)
		err = thread_setgroups(rights.groups->len,
				       (const gid_t *)(const void *)rights.groups->data);
	if (err)
		return err;
	setfsgid(caller->gid);
	/* setfsuid(2) changes the effective capabilities, so they are set afterwards. */
	setfsuid(caller->uid);
	err = fs_ids_are(caller->uid, caller->gid) ? caps_set_files(rights.caps) : -EPERM;
	if (err)
		caller_leave();
	return err;
}

/* The daemon is root without supplementary groups (prepare_process()), so this cannot fail. */
void caller_leave(void)
{
	setfsuid(0);
	setfsgid(0);
	thread_setgroups(0, NULL);
	caps_set_files(caps_of_files());
}
