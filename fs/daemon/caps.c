/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's capabilities. A program that the daemon executes cannot get more than these: the
 * bounding set is reduced as well, and no_new_privs disables setuid bits and file capabilities.
 */
#include "daemon/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The capabilities and what each is needed for. docs/threat-model.md says how that was found, and
 * what tests it.
 */
static const struct need {
	unsigned int capability;
	bool changes;	 /* needed only to change something through the mirror: dropped with ro */
	bool keeps_auto; /* needed only with keep=auto */
	bool locks;	 /* needed only where RLIMIT_MEMLOCK cannot be lifted */
} needs[] = {
	/* bpf(2) by id, BPF programs, perf events, mount(2), umount2(2) */
	{ CAP_SYS_ADMIN, false, false },
	/* /proc/PID/fd, ns and root of processes of other users */
	{ CAP_SYS_PTRACE, false, false },
	/* bpffs directories that root may not read, for scans and lookups; cgroups by their ids */
	{ CAP_DAC_READ_SEARCH, false, false },
	/* the same on behalf of callers who have it: keeps, pins, and the files of pins */
	{ CAP_DAC_OVERRIDE, false, false },
	/* acting as the caller: setfsuid(2), setfsgid(2) and setgroups(2) */
	{ CAP_SETUID, false, false },
	{ CAP_SETGID, false, false },
	/* chown(2), chmod(2) and utimensat(2) on behalf of callers who have them */
	{ CAP_CHOWN, true, false },
	{ CAP_FOWNER, true, false },
	{ CAP_FSETID, true, false },
	/* real-time priority for the threads that must run before a loader exits (auto.c) */
	{ CAP_SYS_NICE, false, true },
	/* exempts from RLIMIT_MEMLOCK, see lift_memlock() */
	{ CAP_IPC_LOCK, .locks = true },
};

static uint64_t bit(unsigned int capability)
{
	return UINT64_C(1) << capability;
}

uint64_t caps_of_files(void)
{
	return bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) |
	       bit(CAP_FSETID);
}

uint64_t caps_to_read(void)
{
	return bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH);
}

/* Returns the capabilities to keep: those needed with these options that the process has. */
static uint64_t choose(const struct fs_options *opt, bool lifted)
{
	uint64_t chosen = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if (!(needs[i].changes && opt->ro) && !(needs[i].keeps_auto && !opt->keep_auto) &&
		    !(needs[i].locks && lifted) &&
		    capng_have_capability(CAPNG_PERMITTED, needs[i].capability))
			chosen |= bit(needs[i].capability);
	return chosen;
}

/*
 * Lifts RLIMIT_MEMLOCK while the process still has CAP_SYS_RESOURCE, and returns whether it is
 * unlimited. The limit applies to the perf ring buffers of keep=auto, to io_uring's, and before
 * Linux 5.11 to all memory of BPF. The kernel compares it with what all processes of the user have
 * locked (user_struct.locked_vm), so a process that has locked nothing may exceed it too.
 */
static bool lift_memlock(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

int caps_drop(const struct fs_options *opt)
{
	const capng_type_t sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET;
	const bool lifted = lift_memlock();
	bool bounds;
	uint64_t chosen;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (capng_get_caps_process() != 0)
		return -EIO; /* /proc is not mounted, or cannot be read */
	chosen = choose(opt, lifted);
	/*
	 * Without CAP_SETPCAP the bounding set cannot be reduced. no_new_privs then has the same
	 * effect.
	 */
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if (chosen & bit(needs[i].capability))
			capng_update(CAPNG_ADD, sets, needs[i].capability);
	if (bounds && capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return -EPERM;
	/*
	 * The kernel clears ambient capabilities with the inheritable ones, which are cleared
	 * here.
	 */
	return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

/* --------------------------------------------------------- one thread --- */

/* The two halves of the kernel's 64-bit sets. */
struct sets {
	struct __user_cap_data_struct half[2];
};

static int thread_sets(bool set, struct sets *sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	/*
	 * Without libcap-ng, which does more than that: this runs twice for each change through
	 * the mirror.
	 */
	return syscall(set ? SYS_capset : SYS_capget, &header, sets->half) == 0 ? 0 : -errno;
}

int caps_set_files(uint64_t files)
{
	uint64_t wanted = ~caps_of_files() | files;
	struct sets sets;
	int err = thread_sets(false, &sets);

	if (err)
		return err;
	for (int i = 0; i < 2; i++)
		sets.half[i].effective = sets.half[i].permitted & (uint32_t)(wanted >> 32 * i);
	return thread_sets(true, &sets);
}

void caps_show(GString *out)
{
	int unprivileged = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	const char *comma = "";
	struct sets sets;

	g_string_append(out, "capabilities: ");
	if (thread_sets(false, &sets) != 0) {
		g_string_append(out, "?");
	} else {
		for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
			if (!(sets.half[i / 32].permitted & 1u << i % 32))
				continue;
			g_string_append_printf(out, "%scap_%s", comma, capng_capability_to_name(i));
			comma = ",";
		}
	}
	g_string_append_printf(out, "\nno_new_privs: %s\n",
			       unprivileged < 0 ? "?"
			       : unprivileged	? "yes"
						: "no");
}
