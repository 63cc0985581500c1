/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks, and acting as they. Everything comes from /proc/TID, which cannot become another
 * thread's meanwhile: a caller stays, killed or not, until its request was answered.
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

#include "fs.h"

/* The initial user namespace: PROC_USER_INIT_INO of the kernel, fixed since 3.8. */
#define INITIAL_USER_NS "user:[4026531837]"

/* NGROUPS_MAX: no credential has more groups. */
#define GROUPS_MAX 65536

static int read_status(pid_t tid, char **text)
{
	char path[64];

	if (tid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	return g_file_get_contents(path, text, NULL, NULL) ? 0 : -ESRCH;
}

/* What follows "\nKEY:" and its tab, up to the end of the text; NULL if there is no such line. */
static const char *status_field(const char *status, const char *key)
{
	const char *found = strstr(status, key);

	return found ? found + strlen(key) : NULL;
}

int caller_is_admin(const struct caller *caller)
{
	g_autofree char *status = NULL;
	char path[64], ns[64];
	const char *field;
	uint64_t effective;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)caller->tid);
	len = readlink(path, ns, sizeof(ns) - 1);
	if (len < 0)
		return -EPERM;
	ns[len] = '\0';
	if (strcmp(ns, INITIAL_USER_NS) != 0 || read_status(caller->tid, &status) != 0)
		return -EPERM;
	field = status_field(status, "\nCapEff:\t");
	if (!field)
		return -EPERM;
	effective = strtoull(field, NULL, 16);
	return effective & (UINT64_C(1) << CAP_SYS_ADMIN) ? 0 : -EPERM;
}

void caller_describe(const struct caller *caller, pid_t *pid, char comm[32])
{
	g_autofree char *status = NULL, *name = NULL;
	const char *field;
	char path[64];

	*pid = caller->tid;
	g_strlcpy(comm, "?", 32);
	if (read_status(caller->tid, &status) != 0)
		return;
	field = status_field(status, "\nTgid:\t");
	if (field)
		*pid = (pid_t)strtol(field, NULL, 10);
	/* Not status's Name, which is escaped. */
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)caller->tid);
	if (!g_file_get_contents(path, &name, NULL, NULL))
		return;
	name[strcspn(name, "\n")] = '\0';
	g_strlcpy(comm, name, 32);
}

/* glibc's setgroups() changes every thread of the process; the system call just this one. */
static int thread_setgroups(size_t count, const gid_t *groups)
{
	return syscall(SYS_setgroups, count, groups) == 0 ? 0 : -errno;
}

static int take_groups(const struct caller *caller)
{
	g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
	g_autofree char *status = NULL;
	const char *at;
	int err = read_status(caller->tid, &status);

	if (err)
		return err;
	at = status_field(status, "\nGroups:\t");
	while (at && groups->len < GROUPS_MAX) {
		char *end;
		gid_t gid;

		at += strspn(at, " ");
		gid = (gid_t)strtoul(at, &end, 10);
		if (end == at)
			break;
		g_array_append_val(groups, gid);
		at = end;
		if (*at == '\n')
			break;
	}
	return thread_setgroups(groups->len, (const gid_t *)(const void *)groups->data);
}

/* Do this thread's file system ids match? (-1 changes nothing and tells.) */
static bool fs_ids_are(uid_t uid, gid_t gid)
{
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

int caller_enter(const struct caller *caller)
{
	int err;

	/* Groups say nothing more to what has root's capabilities: save reading /proc. */
	if (caller->uid != 0) {
		err = take_groups(caller);
		if (err)
			return err;
	}
	/* The uid last: with it the thread loses the capabilities that override permissions. */
	setfsgid(caller->gid);
	setfsuid(caller->uid);
	if (fs_ids_are(caller->uid, caller->gid))
		return 0;
	caller_leave();
	return -EPERM;
}

/* The daemon is root without further groups (session.c drops them): so this cannot fail. */
void caller_leave(void)
{
	setfsuid(0);
	setfsgid(0);
	thread_setgroups(0, NULL);
}
