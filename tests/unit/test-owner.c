/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners as nodes of the graph: what lasts as long as namespaces, devices and sockets, on hand-made
 * snapshots.
 */
#include <fcntl.h>

#include "fixture.h"
#include "snapshot/owner.h"

/* ------------------------------------------------------------ a made-up world --- */

/* The holders and owners are identified by made-up numbers. */
static uint32_t net_ns(struct scan *scan, uint64_t id)
{
	return owner_add(scan, OWNER_NET_NS, id);
}

static void kept_by_pid(struct scan *scan, uint32_t owner, uint32_t pid)
{
	owner_add_hold(scan, (struct owner_hold){ owner, OWNER_NONE, pid, OWNER_BY_TASK, 0, 0 });
}

static void kept_by(struct scan *scan, uint32_t owner, uint32_t by)
{
	owner_add_hold(scan, (struct owner_hold){ owner, by, 0, OWNER_BY_MEMBER, 0, 0 });
}

static void kept_by_kernel(struct scan *scan, uint32_t owner)
{
	owner_add_hold(scan, (struct owner_hold){ owner, OWNER_NONE, 0, OWNER_BY_KERNEL, 0, 0 });
}

static void kept_by_map(struct scan *scan, uint32_t owner, uint32_t map_id)
{
	owner_add_hold(scan,
		       (struct owner_hold){ owner, OWNER_NONE, 0, OWNER_BY_MEMBER, 0, map_id });
}

static void attached(struct scan *scan, uint32_t prog_id, const char *ifname, uint32_t owner)
{
	struct bpfrefs_ref *ref = hold(scan, "xdp", prog(prog_id), nobody, NULL, 0);

	set(scan, ref, "ifname", ifname, 0);
	owner_set_ref(ref, owner);
}

static void pinned(struct scan *scan, struct bpfrefs_key key, uint64_t ino, uint32_t owner)
{
	struct bpfrefs_ref *ref =
		hold(scan, "pin", key, nobody, NULL, key.kind == BPFREFS_KIND_MAP);

	set(scan, ref, "path", NULL, BPFREFS_UNKNOWN);
	ref_set_location(scan, ref, (struct pin_location){ MAJOR, MINOR, ino, "/x" });
	owner_set_ref(ref, owner);
}

/* ------------------------------------------------------------------ answers --- */

static void processes_are(const struct bpfrefs_snapshot *snap, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const struct bpfrefs_process *process;

	for (size_t i = 0; (process = snapshot_process(snap, i)); i++) {
		g_string_append_printf(text, "%u ", process->pid);
		g_assert_true(bpfrefs_snapshot_find_pid(snap, process->pid) == process);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

/* ----------------------------------------------------------------- namespaces --- */

/*
 * Program 11 is attached in a network namespace that only process 77 is in, and uses map 1. 12:
 * that of processes 77 and 78. 13: the initial one, which all processes are in. 14: one of which no
 * hold was found. 15: one that a socket of process 79 keeps. 16: one that is bind-mounted in the
 * mount namespace of process 80. Nothing is attached in network namespace 9.
 */
TEST_GRAPH(namespaces)
{
	uint32_t socket = owner_add(scan, OWNER_SOCKET, 0x1000);
	uint32_t mnt_ns = owner_add(scan, OWNER_MNT_NS, 6);

	object(scan, map(1), "hash", false);
	for (uint32_t id = 11; id <= 16; id++) {
		program(scan, id);
		attached(scan, id, "lo", net_ns(scan, id));
	}
	uses(scan, 11, 1);
	kept_by_pid(scan, net_ns(scan, 11), 77);
	kept_by_pid(scan, net_ns(scan, 11), 77);
	kept_by_pid(scan, net_ns(scan, 12), 77);
	kept_by_pid(scan, net_ns(scan, 12), 78);
	kept_by_kernel(scan, net_ns(scan, 13));
	for (uint32_t pid = 70; pid < 90; pid++)
		kept_by_pid(scan, net_ns(scan, 13), pid);
	kept_by(scan, net_ns(scan, 15), socket);
	kept_by_pid(scan, socket, 79);
	kept_by(scan, net_ns(scan, 16), mnt_ns);
	kept_by_pid(scan, mnt_ns, 80);
	kept_by_pid(scan, net_ns(scan, 9), 81);
	scan_process(scan, 78, "child");
	snap = freeze(scan);
	retained_is(snap, 77, "map/1:freed prog/11:freed ");
	retained_is(snap, 78, "");
	retained_is(snap, 79, "prog/15:freed ");
	retained_is(snap, 80, "prog/16:freed ");
	retained_is(snap, 81, "");
	retained_by_all(snap, (uint32_t[]){ 78, 77 }, 2,
			"map/1:freed prog/11:freed prog/12:freed ");
	retained_by_all(snap, (uint32_t[]){ 80, 79, 79, 5 }, 4, "prog/15:freed prog/16:freed ");
	retained_by_all(snap, NULL, 0, "");
	processes_are(snap, "77 78 79 80 ");
	roots_are(snap, map(1), "xdp[net_ns 77]:prog/11,map/1 ");
	roots_are(snap, prog(12), "xdp[net_ns 77]:prog/12 xdp[net_ns 78]:prog/12 ");
	roots_are(snap, prog(13), "xdp:prog/13 ");
	roots_are(snap, prog(14), "xdp:prog/14 ");
	roots_are(snap, prog(15), "xdp[socket 79]:prog/15 ");
	roots_are(snap, prog(16), "xdp[mnt_ns 80]:prog/16 ");
	state_is(snap, map(1), BPFREFS_STATE_HELD, "prog/11 uses it");
	state_is(snap, prog(11), BPFREFS_STATE_HELD,
		 "attached (xdp lo) in a network namespace that only pid 77 holds");
	state_is(snap, prog(12), BPFREFS_STATE_HELD,
		 "attached (xdp lo) in a network namespace that only pid 77 and pid 78 (child) "
		 "hold");
	state_is(snap, prog(13), BPFREFS_STATE_HELD, "attached (xdp lo)");
	state_is(snap, prog(14), BPFREFS_STATE_HELD, "attached (xdp lo)");
}

/* Owners that hold each other stay if no other hold was found: something unknown holds them. */
TEST_GRAPH(circle)
{
	program(scan, 11);
	program(scan, 12);
	attached(scan, 11, "lo", net_ns(scan, 1));
	attached(scan, 12, "lo", net_ns(scan, 3));
	kept_by(scan, net_ns(scan, 1), net_ns(scan, 2));
	kept_by(scan, net_ns(scan, 2), net_ns(scan, 1));
	/* These two hold each other too, and a process holds one of them. */
	kept_by(scan, net_ns(scan, 3), net_ns(scan, 4));
	kept_by(scan, net_ns(scan, 4), net_ns(scan, 3));
	kept_by_pid(scan, net_ns(scan, 4), 77);
	scan_process(scan, 77, "a");
	snap = freeze(scan);
	roots_are(snap, prog(11), "xdp:prog/11 ");
	roots_are(snap, prog(12), "xdp[net_ns 77]:prog/12 ");
	retained_is(snap, 77, "prog/12:freed ");
}

/* ---------------------------------------------------------------------- pins --- */

/*
 * Arrays that are pinned in a bpffs in the mount namespace of processes 70 to 73. 1: a program that
 * stays uses it. 2: no program uses it. 3: the program that uses it is attached in the network
 * namespace of process 70 alone. 4: it has an automatic keep. Process 73 has an open directory in
 * the bpffs too.
 */
TEST_GRAPH(pins)
{
	uint32_t bpffs = owner_add(scan, OWNER_BPFFS, owner_bpffs_id(MAJOR, MINOR));
	uint32_t mnt_ns = owner_add(scan, OWNER_MNT_NS, 5);
	selection_auto *garbage = NULL;

	for (uint32_t id = 1; id <= 4; id++) {
		array(scan, id);
		pinned(scan, map(id), 100 + id, bpffs);
	}
	program(scan, 11);
	program(scan, 13);
	pin(scan, prog(11), 200);
	uses(scan, 11, 1);
	attached(scan, 13, "lo", net_ns(scan, 6));
	uses(scan, 13, 3);
	kept_by(scan, bpffs, mnt_ns);
	for (uint32_t pid = 70; pid < 74; pid++) {
		kept_by_pid(scan, mnt_ns, pid);
		scan_process(scan, pid, "sleep");
	}
	kept_by_pid(scan, bpffs, 73);
	kept_by_pid(scan, net_ns(scan, 6), 70);
	keep(scan, 4, "auto");
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_AT_RISK,
		 "only pid 70 (sleep), pid 71 (sleep) and 2 more hold its user state, and prog/11, "
		 "which stays, uses it");
	state_is(snap, map(2), BPFREFS_STATE_HELD,
		 "pinned in a bpffs that only pid 70 (sleep), pid 71 (sleep) and 2 more hold");
	state_is(snap, map(3), BPFREFS_STATE_HELD,
		 "pinned in a bpffs that only pid 70 (sleep), pid 71 (sleep) and 2 more hold");
	for (uint32_t pid = 71; pid < 74; pid++)
		retained_is(snap, pid, "");
	retained_is(snap, 70, "prog/13:freed ");
	/* Process 73 is listed once, though it keeps the bpffs in two ways. */
	roots_are(snap, map(2),
		  "pin[bpffs 73]:map/2 pin[mnt_ns 70]:map/2 pin[mnt_ns 71]:map/2 "
		  "pin[mnt_ns 72]:map/2 ");
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(2), MAJOR, MINOR, 102), ==, -EBUSY);
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR, 101), ==, -EBUSY);
	g_assert_cmpint(bpfrefs_unpin_check(snap, map(1), MAJOR, MINOR, 7), ==, 0);
	g_assert_cmpint(bpfrefs_select_garbage(snap, NULL, &garbage), ==, 0);
	g_assert_null(bpfrefs_next_object(garbage));
}

/*
 * Array 1 is not at risk: the program that uses it is removed with the only process that keeps the
 * pin of the array. Array 2 is at risk: another process keeps its program too.
 */
TEST_GRAPH(pins_ended)
{
	uint32_t bpffs = owner_add(scan, OWNER_BPFFS, owner_bpffs_id(MAJOR, MINOR));

	array(scan, 1);
	pinned(scan, map(1), 101, bpffs);
	program(scan, 11);
	attached(scan, 11, "lo", net_ns(scan, 1));
	uses(scan, 11, 1);
	kept_by_pid(scan, bpffs, 70);
	kept_by_pid(scan, net_ns(scan, 1), 70);
	array(scan, 2);
	pinned(scan, map(2), 102, bpffs);
	program(scan, 12);
	attached(scan, 12, "lo", net_ns(scan, 2));
	uses(scan, 12, 2);
	kept_by_pid(scan, net_ns(scan, 2), 70);
	kept_by_pid(scan, net_ns(scan, 2), 71);
	scan_process(scan, 70, "a");
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_HELD, "pinned in a bpffs that only pid 70 (a) holds");
	state_is(snap, map(2), BPFREFS_STATE_AT_RISK,
		 "only pid 70 (a) holds its user state, and prog/12, which stays, uses it");
	retained_is(snap, 70, "map/1:freed map/2:cleared prog/11:freed ");
}

/* ------------------------------------------------------------------- devices --- */

/*
 * Program 11 is attached to a tun device that process 77 has open, in the network namespace of 77
 * and 78: the device is removed when 77 exits. 12: such a device in the network namespace of 78: it
 * is removed when 77 or 78 exits. 13: a veth device in the initial network namespace, whose peer is
 * in that of 78. 14: a persistent device. Array 1 is used by program 12 and held by process 79.
 */
static void build_devices(struct scan *scan)
{
	uint32_t tun = owner_add(scan, OWNER_TUN, 0x1000);
	uint32_t tap = owner_add(scan, OWNER_NETDEV, 0x2000);
	uint32_t moved = owner_add(scan, OWNER_NETDEV, 0x3000);
	uint32_t veth = owner_add(scan, OWNER_NETDEV, 0x4000);
	uint32_t persistent = owner_add(scan, OWNER_NETDEV, 0x5000);

	for (uint32_t id = 11; id <= 14; id++)
		program(scan, id);
	array(scan, 1);
	fd(scan, map(1), 79);
	uses(scan, 12, 1);
	kept_by_kernel(scan, net_ns(scan, 1));
	kept_by_pid(scan, net_ns(scan, 2), 77);
	kept_by_pid(scan, net_ns(scan, 2), 78);
	kept_by_pid(scan, net_ns(scan, 3), 78);
	kept_by_pid(scan, tun, 77);
	kept_by(scan, tap, tun);
	kept_by(scan, tap, tun);
	kept_by(scan, tap, net_ns(scan, 2));
	kept_by(scan, moved, tun);
	kept_by(scan, moved, net_ns(scan, 3));
	kept_by(scan, veth, net_ns(scan, 1));
	kept_by(scan, veth, net_ns(scan, 3));
	kept_by_kernel(scan, persistent);
	kept_by(scan, persistent, net_ns(scan, 1));
	attached(scan, 11, "tap0", tap);
	attached(scan, 12, "tap1", moved);
	attached(scan, 13, "veth0", veth);
	attached(scan, 14, "tap2", persistent);
}

TEST_GRAPH(devices)
{
	build_devices(scan);
	snap = freeze(scan);
	retained_is(snap, 77, "prog/11:freed prog/12:freed ");
	retained_is(snap, 78, "prog/12:freed prog/13:freed ");
	retained_by_all(snap, (uint32_t[]){ 77, 78, 79 }, 3,
			"map/1:freed prog/11:freed prog/12:freed prog/13:freed ");
	roots_are(snap, prog(12), "xdp[tun 77]:prog/12 xdp[net_ns 78]:prog/12 ");
	roots_are(snap, prog(14), "xdp:prog/14 ");
	state_is(snap, prog(12), BPFREFS_STATE_HELD,
		 "attached (xdp tap1) to a device that is removed with pid 77, or with pid 78");
	state_is(snap, prog(11), BPFREFS_STATE_HELD,
		 "attached (xdp tap0) to a device that only pid 77 holds");
	state_is(snap, prog(13), BPFREFS_STATE_HELD,
		 "attached (xdp veth0) to a device that only pid 78 holds");
	state_is(snap, map(1), BPFREFS_STATE_AT_RISK,
		 "only pid 79 (loader) holds its user state, and prog/12, which stays, uses it");
}

/*
 * Process 78 alone holds arrays 2 and 3. Program 12, which uses array 2, is removed when 78 exits,
 * since its device needs both processes. Program 11, which uses array 3, stays.
 */
TEST_GRAPH(devices_with_holder)
{
	build_devices(scan);
	array(scan, 2);
	fd(scan, map(2), 78);
	uses(scan, 12, 2);
	array(scan, 3);
	fd(scan, map(3), 78);
	uses(scan, 11, 3);
	snap = freeze(scan);
	state_is(snap, map(2), BPFREFS_STATE_HELD, "pid 78 (loader) has a descriptor");
	state_is(snap, map(3), BPFREFS_STATE_AT_RISK,
		 "only pid 78 (loader) holds its user state, and prog/11, which stays, uses it");
	retained_is(snap, 78, "map/2:freed map/3:cleared prog/12:freed prog/13:freed ");
}

/* -------------------------------------------------------------------- psocks --- */

/*
 * A socket of process 78 is in sockmap 1 of process 77, which gave it program 11; and in two maps
 * that gave it program 12. Map 9 is not in the snapshot.
 */
TEST_GRAPH(psocks)
{
	for (uint32_t id = 1; id <= 3; id++)
		object(scan, map(id), "sockmap", true);
	for (uint32_t id = 11; id <= 13; id++) {
		struct bpfrefs_ref *ref;
		uint32_t psock = owner_add(scan, OWNER_PSOCK, id);

		program(scan, id);
		ref = hold(scan, "socket", prog(id), nobody, NULL, 0);
		ref_set_pid(ref, 78);
		set(scan, ref, "via", "psock", 0);
		owner_set_ref(ref, psock);
		if (id == 13)
			kept_by_map(scan, psock, 9);
		else
			kept_by_map(scan, psock, id - 10);
		if (id == 12)
			kept_by_map(scan, psock, 3);
	}
	hold(scan, "map", prog(11), map(1), "stream_verdict", 0);
	for (uint32_t id = 1; id <= 3; id++)
		fd(scan, map(id), 76 + id);
	scan_process(scan, 78, "server");
	snap = freeze(scan);
	roots_are(snap, prog(11), "fd(77):map/1,prog/11 ");
	roots_are(snap, prog(12), "fd(78):map/2,prog/12 fd(79):map/3,prog/12 ");
	retained_is(snap, 77, "map/1:freed prog/11:freed ");
	retained_is(snap, 78, "map/2:freed ");
	state_is(snap, prog(12), BPFREFS_STATE_HELD, "a socket in map/2 has it (psock)");
	state_is(snap, prog(13), BPFREFS_STATE_UNKNOWN,
		 "a socket in a sockmap has it (psock), and what holds that is not known");
}

/*
 * A sockmap without user references has released its programs, but its sockets still have theirs.
 */
TEST_GRAPH(psock_unused)
{
	uint32_t psock = owner_add(scan, OWNER_PSOCK, 1);
	struct bpfrefs_ref *ref;

	object(scan, map(1), "sockmap", true);
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(12), 100);
	uses(scan, 12, 1);
	ref = hold(scan, "socket", prog(11), nobody, NULL, 0);
	ref_set_pid(ref, 78);
	owner_set_ref(ref, psock);
	kept_by_map(scan, psock, 1);
	scan_process(scan, 78, "server");
	snap = freeze(scan);
	roots_are(snap, prog(11), "pin:prog/12,map/1,prog/11 ");
	state_is(snap, prog(11), BPFREFS_STATE_HELD, "a socket in map/1 has it (psock)");
	state_is(snap, map(1), BPFREFS_STATE_CLEARED,
		 "usercnt is 0 and prog/12 uses it: its parser and verdict programs were released");
}

/* ---------------------------------------------------------------------- many --- */

/* Processes that keep only owners without references are not listed, however many there are. */
TEST_GRAPH(many)
{
	program(scan, 11);
	attached(scan, 11, "lo", net_ns(scan, 1));
	for (uint32_t pid = 1; pid <= 20000; pid++) {
		kept_by_pid(scan, net_ns(scan, 2), pid);
		kept_by_pid(scan, owner_add(scan, OWNER_SOCKET, pid * 64), pid);
		kept_by(scan, net_ns(scan, 2), owner_add(scan, OWNER_SOCKET, pid * 64));
	}
	kept_by_pid(scan, net_ns(scan, 1), 4194303);
	snap = freeze(scan);
	processes_are(snap, "4194303 ");
	g_assert_cmpuint(snap->holds->len, ==, 1);
	retained_is(snap, 4194303, "prog/11:freed ");
}

/* If a process only keeps an owner, its name is read from procfs. */
static void build_comm(struct scan *scan)
{
	program(scan, 11);
	attached(scan, 11, "lo", net_ns(scan, 1));
	kept_by_pid(scan, net_ns(scan, 1), (uint32_t)getpid());
}

TEST(comm)
{
	struct fake fake = { .build = build_comm };
	const struct bpfrefs_process *process;
	struct bpfrefs_snapshot *snap = NULL;
	struct bpfrefs_ctx *ctx = fake_ctx_new(&fake);
	g_autofree char *comm = NULL;

	ctx->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(bpfrefs_snapshot_take(ctx, &snap), ==, 0);
	close(ctx->proc_fd);
	bpfrefs_ctx_close(ctx);
	process = bpfrefs_snapshot_find_pid(snap, (uint32_t)getpid());
	g_assert_nonnull(process);
	g_assert_true(g_file_get_contents("/proc/self/comm", &comm, NULL, NULL));
	g_assert_cmpstr(process->comm, ==, g_strchomp(comm));
	bpfrefs_snapshot_unref(snap);
}
