/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The states and the sentences that explain them, on hand-made snapshots: each state, and both
 * nodes of a map.
 */
#include "fixture.h"

/* --------------------------------------------------------------- states --- */

TEST_GRAPH(held)
{
	array(scan, 1);
	object(scan, map(2), "hash", false);
	program(scan, 3);
	program(scan, 4);
	object(scan, link_(5), "xdp", false);
	program(scan, 6);
	object(scan, map(7), "hash", false);
	pin(scan, map(1), 100);
	fd(scan, map(1), 77);
	uses(scan, 3, 2);
	slot(scan, 1, 0, 3);
	fd(scan, prog(4), 77);
	shared_fd(scan, prog(4), 78);
	fd(scan, link_(5), 77);
	hold(scan, "link", prog(6), link_(5), "prog", 0);
	keep(scan, 7, "fd");
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_HELD, "pinned at /sys/fs/bpf/x");
	state_is(snap, prog(3), BPFREFS_STATE_HELD, "map/1 has it in slot 0");
	state_is(snap, map(2), BPFREFS_STATE_HELD, "prog/3 uses it");
	state_is(snap, prog(4), BPFREFS_STATE_HELD,
		 "pid 77 (loader) has a descriptor; 1 other process holds it too");
	state_is(snap, link_(5), BPFREFS_STATE_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, prog(6), BPFREFS_STATE_HELD, "link/5 attaches it");
	state_is(snap, map(7), BPFREFS_STATE_HELD, "bpfrefs keeps it (fd)");
}

/*
 * Arrays 1 and 2: a pinned program uses them, and only processes hold them. 3: the program that
 * uses it is held by the same process. 4: the program that uses it is held by another process. 5: a
 * hash, which has no user state to lose.
 */
TEST_GRAPH(at_risk)
{
	for (uint32_t id = 1; id <= 4; id++)
		array(scan, id);
	object(scan, map(5), "hash", false);
	for (uint32_t id = 11; id <= 15; id++)
		program(scan, id);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	uses(scan, 11, 2);
	uses(scan, 11, 5);
	fd(scan, map(1), 77);
	fd(scan, map(2), 78);
	shared_fd(scan, map(2), 79);
	fd(scan, map(3), 77);
	fd(scan, prog(13), 77);
	uses(scan, 13, 3);
	fd(scan, map(4), 77);
	fd(scan, map(4), 80);
	fd(scan, prog(14), 81);
	uses(scan, 14, 4);
	fd(scan, map(5), 77);
	slot(scan, 1, 3, 15);
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_AT_RISK,
		 "only pid 77 (loader) holds its user state, and prog/11, which stays, uses it");
	state_is(snap, map(2), BPFREFS_STATE_AT_RISK,
		 "only pid 78 (loader) and pid 79 (child) hold its user state, and prog/11, which "
		 "stays, uses it");
	state_is(snap, map(3), BPFREFS_STATE_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, map(4), BPFREFS_STATE_AT_RISK,
		 "only pid 77 (loader) and pid 80 (loader) hold its user state, and prog/14, which "
		 "stays, uses it");
	state_is(snap, map(5), BPFREFS_STATE_HELD, "prog/11 uses it");
	state_is(snap, prog(15), BPFREFS_STATE_HELD, "map/1 has it in slot 3");
}

/*
 * Array 1 is held by more processes than a sentence names. Array 2 is not at risk: program 12,
 * which uses it, is held by a slot of array 2, so that it is freed together with the array.
 */
TEST_GRAPH(many)
{
	array(scan, 1);
	array(scan, 2);
	program(scan, 11);
	program(scan, 12);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	for (uint32_t pid = 70; pid < 75; pid++)
		fd(scan, map(1), pid);
	fd(scan, map(2), 70);
	slot(scan, 2, 0, 12);
	uses(scan, 12, 2);
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_AT_RISK,
		 "only pid 70 (loader), pid 71 (loader) and 3 more hold its user state, and "
		 "prog/11, which stays, uses it");
	state_is(snap, map(2), BPFREFS_STATE_HELD, "pid 70 (loader) has a descriptor");
}

TEST_GRAPH(cleared)
{
	array(scan, 1);
	object(scan, map(2), "sockmap", true);
	object(scan, map(3), "hash", true);
	object(scan, map(4), "hash", false);
	program(scan, 11);
	pin(scan, prog(11), 100);
	for (uint32_t id = 1; id <= 4; id++)
		uses(scan, 11, id);
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its tail calls fail");
	state_is(snap, map(2), BPFREFS_STATE_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its parser and verdict programs were released");
	state_is(snap, map(3), BPFREFS_STATE_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its timers and work queues were cancelled");
	state_is(snap, map(4), BPFREFS_STATE_HELD, "prog/11 uses it");
}

/* -------------------------------------------------- both nodes of a map --- */

/*
 * Array 1 has no user reference: what is in its slot (read while the array is being cleared) is not
 * held by a root. The inner map of map 2 does not depend on the user state of map 2, and a devmap's
 * program does not either, but a sockmap's program does. A link to a map holds the user state of
 * the map.
 */
TEST_GRAPH(parts)
{
	array(scan, 1);
	object(scan, map(2), "array_of_maps", false);
	object(scan, map(3), "hash", false);
	object(scan, map(4), "devmap", false);
	object(scan, map(5), "sockmap", true);
	object(scan, map(6), "sockmap", true);
	for (uint32_t id = 11; id <= 16; id++)
		program(scan, id);
	object(scan, link_(21), "sockmap", false);
	pin(scan, prog(11), 100);
	uses(scan, 11, 1);
	uses(scan, 11, 2);
	uses(scan, 11, 4);
	uses(scan, 11, 5);
	slot(scan, 1, 0, 12);
	set(scan, hold(scan, "map", map(3), map(2), "inner", 0), "slot", NULL, 4);
	set(scan, hold(scan, "map", prog(13), map(4), "entry", 0), "slot", NULL, 1);
	hold(scan, "map", prog(14), map(5), "stream_verdict", 0);
	pin(scan, link_(21), 101);
	hold(scan, "link", map(6), link_(21), "target", 1);
	hold(scan, "map", prog(15), map(6), "msg_parser", 0);
	hold(scan, "map", prog(16), map(6), "timer", 0);
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_CLEARED,
		 "usercnt is 0 and prog/11 uses it: its tail calls fail");
	state_is(snap, prog(12), BPFREFS_STATE_UNROOTED,
		 "no root leads to it: map/1 has it in slot 0");
	state_is(snap, map(3), BPFREFS_STATE_HELD, "map/2 has it in slot 4");
	state_is(snap, prog(13), BPFREFS_STATE_HELD, "map/4 has it in slot 1");
	state_is(snap, prog(14), BPFREFS_STATE_UNROOTED,
		 "no root leads to it: map/5 holds it (stream_verdict)");
	state_is(snap, map(6), BPFREFS_STATE_HELD, "link/21 holds it (target)");
	state_is(snap, prog(15), BPFREFS_STATE_HELD, "map/6 holds it (msg_parser)");
	state_is(snap, prog(16), BPFREFS_STATE_HELD, "map/6 holds it (timer)");
}

/* -------------------------------------------------------------- unknown --- */

TEST_GRAPH(unknown)
{
	struct bpfrefs_ref *ref;

	object(scan, map(1), "hash", false)->refcnt = BPFREFS_UNKNOWN;
	scan_object(scan, map(1))->usercnt = BPFREFS_UNKNOWN;
	array(scan, 2)->refcnt = 19;
	object(scan, map(3), "hash", false)->usercnt = 1;
	program(scan, 11);
	program(scan, 12);
	program(scan, 13);
	fd(scan, prog(11), 77);
	scan_object(scan, prog(11))->refcnt = 0;
	/* Held by a link that was created after the objects were listed. */
	hold(scan, "link", prog(12), link_(99), "prog", 0);
	/* Pinned in a bpffs that only the mount namespace of another process has. */
	ref = hold(scan, "pin", prog(13), nobody, NULL, 0);
	set(scan, ref, "path", NULL, BPFREFS_UNKNOWN);
	set(scan, ref, "pid", NULL, 77);
	snap = freeze(scan);
	state_is(snap, map(1), BPFREFS_STATE_UNKNOWN,
		 "no holder was found, and its refcnt could not be read");
	state_is(snap, map(2), BPFREFS_STATE_UNKNOWN,
		 "unexplained references: 19; the kernel may have leaked them");
	state_is(snap, map(3), BPFREFS_STATE_UNKNOWN, "unexplained user references: 1");
	state_is(snap, prog(11), BPFREFS_STATE_HELD, "pid 77 (loader) has a descriptor");
	state_is(snap, prog(12), BPFREFS_STATE_UNKNOWN,
		 "link/99 attaches it, and what holds that is not known");
	state_is(snap, prog(13), BPFREFS_STATE_HELD,
		 "pinned where pid 77 (loader) can reach it and bpfrefs cannot");
}
