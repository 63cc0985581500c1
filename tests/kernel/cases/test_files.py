#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Open files of BPF objects that are kept otherwise than by a descriptor: by mappings, messages in
flight, io_uring rings and asynchronous I/O. Each is made for real, compared with the kernel's
counters, and seen to go."""
import errno
import mmap
import os
import sys
import time

from harness import Skip, check, equal, eventually, fields, main, over_a_map

RINGBUF = {"max": mmap.PAGESIZE}
ARENA = 33
BPF_F_MMAPABLE = 1 << 10
DEPTH_MAX = 16


def line(obj, name, tail, own=True, pid=None):
    """A record of one of these classes; * for the tail's unknown words."""
    user = int(own and obj.key.startswith("map/"))
    return (f"{obj.key} {name} ref={int(own)} user={user} file=* pid={pid or obj.helper.pid}"
            f" comm=mkobj {tail}")


def mmapable(helper):
    return helper.make("map", "array", flags=BPF_F_MMAPABLE)


def pair(helper, number=1):
    """The names of two sockets, connected."""
    names = f"a{number}", f"b{number}"
    helper.do("pair", *names)
    return names


def fd_of(helper, var):
    """The descriptor behind a name."""
    return int(helper.do("number", var)["number"])


# ---------------------------------------------------------------- mmap


def mapped(env, obj, **options):
    daemon, helper = env.daemon(), obj.helper
    addr = helper.do("map_file", obj.var, **options)["addr"]
    daemon.expect(obj, [obj.held(), line(obj, "mmap", f"addr={addr}", own=False)])
    obj.close()
    daemon.expect(obj, [line(obj, "mmap", f"addr={addr}")])
    helper.do("unmap")
    daemon.gone(obj)


def test_mmap_array(env):
    mapped(env, mmapable(env.helper()))


def test_mmap_read_only(env):
    mapped(env, mmapable(env.helper()), read_only=1)


def test_mmap_ringbuf(env):
    mapped(env, env.helper().make("map", "ringbuf", **RINGBUF))


def test_mmap_arena(env):
    helper = env.helper()
    try:
        obj = helper.make("map", ARENA, key=0, value=0, flags=BPF_F_MMAPABLE)
    except OSError as error:
        raise Skip(f"no arena: {error}") from error
    mapped(env, obj)


def test_mmap_often(env):
    """Several mappings of one open file: one line; of two open files: two."""
    daemon, helper = env.daemon(), env.helper()
    obj = mmapable(helper)
    again = helper.make("open", "map", obj.id)
    for var in (obj.var, obj.var, again.var):
        helper.do("map_file", var)
    obj.close()
    again.close()
    daemon.expect(obj, [line(obj, "mmap", "addr=*"), line(obj, "mmap", "addr=*")])
    helper.do("unmap")
    daemon.gone(obj)


def test_mmap_of_two_processes(env):
    daemon, helper = env.daemon(), env.helper()
    obj = mmapable(helper)
    addr = helper.do("map_file", obj.var)["addr"]
    obj.close()
    child = int(helper.do("fork")["child"])
    daemon.expect(obj, [f"{obj.key} mmap ref=* user=* file=* pid={pid} comm=mkobj addr={addr}"
                        for pid in (helper.pid, child)])
    check(f"map/{obj.id}" in daemon.read(f"pid/{child}/holding"), "not in the child's holding")
    helper.do("unmap")
    daemon.expect(obj, [line(obj, "mmap", f"addr={addr}", pid=child)])
    helper.do("reap", child)
    daemon.gone(obj)


def test_mmap_that_comes_later(env):
    """A process whose mappings led nowhere is looked at again when they have changed, and only then;
    after an exec, or in a child, it is another one."""
    daemon, helper = env.daemon(), env.helper()
    obj = mmapable(helper)
    for _ in range(3):
        daemon.expect(obj, [obj.held()])
    for _ in range(3):
        helper.do("map_file", obj.var)
        daemon.expect(obj, [obj.held(), line(obj, "mmap", "addr=*", own=False)])
        helper.do("unmap")
        daemon.expect(obj, [obj.held()])
    helper.do("map_file", obj.var)
    obj.close()
    daemon.expect(obj, [line(obj, "mmap", "addr=*")])
    child = int(helper.do("fork")["child"])
    helper.do("unmap")
    daemon.expect(obj, [line(obj, "mmap", "addr=*", pid=child)])
    helper.do("reap", child)
    daemon.gone(obj)


# ------------------------------------------------------------ inflight


def test_inflight_of_each_kind(env):
    daemon, helper = env.daemon(), env.helper()
    prog = helper.make("prog", "raw_tracepoint")
    made = [helper.make("map", "array"), helper.make("btf"), prog,
            helper.make("link", "raw_tp", prog, "task_newtask")]
    one, two = pair(helper)
    for obj in made:
        helper.do("send", one, obj.var)
    where = f"fd={fd_of(helper, two)} via=queue depth=1"
    for obj in made:
        more = [x for x in daemon.lines(f"{obj.key}/holders")[0] if " link " in x]
        daemon.expect(obj, [obj.held(), line(obj, "inflight", where, own=False)] + more)
        obj.close()
        daemon.expect(obj, [line(obj, "inflight", where)] + more)
    for obj in made:
        helper.do("drop", two)
    for obj in made:
        daemon.gone(obj)


def test_inflight_iterator(env):
    daemon, helper = env.daemon(), env.helper()
    counted, (one, two) = helper.make("map", "array"), pair(helper)
    prog = over_a_map(helper)
    link = helper.make("link", "iter", prog, map=counted)
    iterator = helper.make("iter", link)
    helper.do("send", one, iterator.var)
    for obj in (iterator, link, prog, counted):
        obj.close()
    where = f"fd={fd_of(helper, two)} via=queue depth=1"
    for obj in (prog, counted):
        daemon.expect(obj, [line(obj, "inflight", where)])
    helper.do("drop", two)
    for obj in (prog, counted):
        daemon.gone(obj)


def nested(helper, obj, depth):
    """The object in a socket's queue, that socket in another one's, and so on; the last's name."""
    name = obj.var
    for level in range(1, depth + 1):
        one, two = pair(helper, level)
        helper.do("send", one, name)
        helper.do("close", name)
        name = two
    return name


def test_inflight_nested(env):
    daemon, helper = env.daemon(), env.helper()
    for depth in (2, 4):
        obj = helper.make("map", "array")
        last = nested(helper, obj, depth)
        where = f"fd={fd_of(helper, last)} via=queue depth={depth}"
        daemon.expect(obj, [line(obj, "inflight", where)])
        helper.do("close", last)
        daemon.gone(obj)
        for level in range(1, depth + 1):
            helper.do("close", f"a{level}")


def test_inflight_too_deep(env):
    """What is deeper than the bound is a gap, and the account says so."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    try:
        last = nested(helper, obj, DEPTH_MAX + 1)
    except OSError as error:
        equal(error.errno, errno.ETOOMANYREFS, str(error))
        raise Skip(f"this kernel refuses to nest that deep: {error}") from error

    def look():
        lines, gaps = daemon.lines(f"{obj.key}/holders")
        equal(lines, [])
        check(any("inflight: partial" in x for x in gaps), f"no gap: {gaps}")
        equal(daemon.pairs(f"{obj.key}/refs")["unexplained"], "1")
    eventually(look)
    helper.do("close", last)
    daemon.gone(obj)
    eventually(lambda: equal(daemon.lines("holders")[1], []))


def test_inflight_not_yet_accepted(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    path = env.tmp / "socket"
    helper.do("listen", "server", path)
    helper.do("connect", "client", path)
    helper.do("send", "client", obj.var)
    obj.close()
    where = f"fd={fd_of(helper, 'server')} via=accept depth=1"
    daemon.expect(obj, [line(obj, "inflight", where)])
    helper.do("close", "server")
    daemon.gone(obj)


def test_inflight_of_two_processes(env):
    """Either can receive it: both are shown, and it counts once."""
    daemon, helper = env.daemon(), env.helper()
    obj, (one, two) = helper.make("map", "array"), pair(helper)
    helper.do("send", one, obj.var)
    obj.close()
    child = int(helper.do("fork")["child"])
    where = f"fd={fd_of(helper, two)} via=queue depth=1"
    daemon.expect(obj, [f"{obj.key} inflight ref=* user=* file=* pid={pid} comm=mkobj {where}"
                        for pid in (helper.pid, child)])
    helper.do("close", two)
    daemon.expect(obj, [line(obj, "inflight", where, pid=child)])
    helper.do("reap", child)
    daemon.gone(obj)


def test_inflight_many(env):
    """More than one pass of the walk can emit: the same file often, another at the end."""
    daemon, helper = env.daemon(), env.helper()
    obj, last, (one, two) = helper.make("map", "array"), helper.make("map", "array"), pair(helper)
    helper.do("send", one, obj.var, messages=60, copies=253)
    helper.do("send", one, last.var)
    obj.close()
    last.close()
    where = f"fd={fd_of(helper, two)} via=queue depth=1"
    for which in (obj, last):
        daemon.expect(which, [line(which, "inflight", where)])
    helper.do("close", two)
    for which in (obj, last):
        daemon.gone(which)


# ------------------------------------------------------------ io_uring


def ring(helper):
    """A ring's descriptor."""
    try:
        return int(helper.do("uring", "ring")["fd"])
    except OSError as error:
        raise Skip(f"no io_uring: {error}") from error


def test_io_uring_registered_files(env):
    daemon, helper = env.daemon(), env.helper()
    fd, obj, other = ring(helper), helper.make("map", "array"), helper.make("prog", "xdp")
    helper.do("uring_files", "ring", obj.var, other.var, obj.var)
    daemon.expect(other, [other.held(), line(other, "io_uring", f"fd={fd} slot=1", own=False)])
    obj.close()
    other.close()
    daemon.expect(obj, [line(obj, "io_uring", f"fd={fd} slot=0"),
                        line(obj, "io_uring", f"fd={fd} slot=2", own=False)])
    daemon.expect(other, [line(other, "io_uring", f"fd={fd} slot=1")])
    helper.do("uring_no_files", "ring")
    daemon.gone(obj)
    daemon.gone(other)


def test_io_uring_kept_by_its_mapping(env):
    daemon, helper = env.daemon(), env.helper()
    ring(helper)
    obj = helper.make("map", "array")
    helper.do("uring_files", "ring", obj.var)
    helper.do("map_file", "ring")
    helper.do("close", "ring")
    obj.close()
    daemon.expect(obj, [line(obj, "io_uring", "fd=mmap slot=0")])
    helper.do("unmap")
    daemon.gone(obj)


def test_io_uring_kept_by_a_thread(env):
    daemon, helper = env.daemon(), env.helper()
    ring(helper)
    obj = helper.make("map", "array")
    helper.do("uring_files", "ring", obj.var)
    try:
        helper.do("uring_self", "ring")
    except OSError as error:
        raise Skip(f"rings are not registered with themselves: {error}") from error
    helper.do("close", "ring")
    obj.close()
    daemon.expect(obj, [line(obj, "io_uring", "fd=registered slot=0")])
    helper.end()
    daemon.gone(obj)


def test_io_uring_request(env):
    daemon, helper = env.daemon(), env.helper()
    fd, obj = ring(helper), helper.make("map", "ringbuf", **RINGBUF)
    helper.do("uring_poll", "ring", obj.var)
    request = f"fd={fd} request=poll_add"
    daemon.expect(obj, [obj.held(), line(obj, "io_uring", request, own=False)])
    obj.close()
    daemon.expect(obj, [line(obj, "io_uring", request)])
    helper.do("close", "ring")
    daemon.gone(obj)


def test_io_uring_socket(env):
    """A socket registered with a ring, and a map in that socket's queue."""
    daemon, helper = env.daemon(), env.helper()
    fd, obj, (one, two) = ring(helper), helper.make("map", "array"), pair(helper)
    helper.do("send", one, obj.var)
    try:
        helper.do("uring_files", "ring", two)
    except OSError as error:
        raise Skip(f"a socket cannot be registered with a ring: {error}") from error
    helper.do("close", two)
    obj.close()
    daemon.expect(obj, [line(obj, "inflight", f"fd={fd} via=queue depth=2")])
    helper.do("close", "ring")
    daemon.gone(obj)


# ----------------------------------------------------------------- aio


def test_aio_poll(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "ringbuf", **RINGBUF)
    try:
        request = helper.do("aio_poll", obj.var)["request"]
    except OSError as error:
        raise Skip(f"no asynchronous polls: {error}") from error
    daemon.expect(obj, [obj.held(), line(obj, "aio", f"request={request}", own=False)])
    obj.close()
    daemon.expect(obj, [line(obj, "aio", f"request={request}")])
    helper.do("aio_end")
    daemon.gone(obj)


def test_process_views(env):
    """Such holders make a process a root, and are in its `holding`, but are no descriptors."""
    daemon, helper = env.daemon(), env.helper()
    obj, sent, (one, two) = mmapable(helper), helper.make("map", "array"), pair(helper)
    helper.do("map_file", obj.var)
    helper.do("send", one, sent.var)
    for held in (obj, sent):
        held.close()
        equal(eventually(lambda key=held.key: daemon.row(key))["state"], "held")
        check(held.key in daemon.read(f"pid/{helper.pid}/holding"), f"no {held.key}")
    equal(os.listdir(daemon.tree / f"pid/{helper.pid}/fd"), [])
    status = daemon.pairs("status")
    for name in ("mmap", "inflight", "io_uring", "aio"):
        check("BPF walk: complete" in status[f"class {name}"], status[f"class {name}"])
    helper.do("close", two)
    daemon.gone(sent)


def test_while_it_changes(env):
    """Snapshots while a process makes and drops such holders as fast as it can: all of them are
    seen, and nothing is left of them afterwards."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "ringbuf", **RINGBUF)
    child = int(helper.do("churn", obj.id)["child"])
    kinds, seen = {"fd", "mmap", "inflight", "io_uring"}, set()
    start = time.monotonic()
    while time.monotonic() < start + (3 if seen == kinds else 60):
        lines = daemon.lines(f"{obj.key}/holders")[0]
        seen |= {x.split(" ")[1] for x in lines if f"pid={child} " in x}
        equal([fields(x)["ref"] for x in lines if f"pid={helper.pid} " in x], ["1"])
    helper.do("reap", child)
    equal(seen, kinds)
    daemon.expect(obj, [obj.held()])


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
