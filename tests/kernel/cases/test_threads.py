#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes whose main thread has exited while other threads live: what they hold is read from a living
thread. Each object is held by that process alone, so that it must go with the process."""
import mmap
import os
import pathlib
import sys

from harness import Skip, check, equal, eventually, fields, main

BPF_F_MMAPABLE = 1 << 10


def leave(helper, threads=2):
    """Ends the helper's main thread; two idle threads and a serving one are left. Returns its number."""
    tid = int(helper.do("leave", threads=threads)["tid"])

    def is_zombie():
        stat = pathlib.Path(f"/proc/{helper.pid}/stat").read_text()
        equal(stat.rsplit(")", 1)[1].split()[0], "Z")
    eventually(is_zombie)
    return tid


def first_thread(helper):
    """The oldest living thread: it stands for the process."""
    return min(int(x) for x in os.listdir(f"/proc/{helper.pid}/task") if int(x) != helper.pid)


def line(obj, name, tail):
    user = int(obj.key.startswith("map/"))
    return f"{obj.key} {name} ref=1 user={user} file=* pid={obj.helper.pid} comm=mkobj {tail}"


def goes_with_its_process(daemon, obj, *lines):
    """Held just so, by the process alone; and gone with it, as retains says."""
    daemon.expect(obj, lines)
    equal(daemon.row(obj.key)["state"], "held", obj.key)
    shown = [x for x in daemon.lines(f"pid/{obj.helper.pid}/retains")[0]
            if x.startswith(f"{obj.key} ")]
    equal([fields(x)["effect"] for x in shown], ["freed"], f"retains of {obj.key}")
    obj.helper.end()
    daemon.gone(obj)


def mapped(env, make, before):
    """@before: the process was looked at before its main thread exited."""
    daemon, helper = env.daemon(), env.helper()
    obj = make(helper)
    addr = helper.do("map_file", obj.var)["addr"]
    obj.close()
    if before:
        daemon.expect(obj, [line(obj, "mmap", f"addr={addr}")])
    leave(helper)
    goes_with_its_process(daemon, obj, line(obj, "mmap", f"addr={addr}"))


def test_leader_gone_mapped_array(env):
    mapped(env, lambda helper: helper.make("map", "array", flags=BPF_F_MMAPABLE), False)


def test_leader_gone_mapped_ringbuf(env):
    mapped(env, lambda helper: helper.make("map", "ringbuf", max=mmap.PAGESIZE), True)


def test_leader_gone_maps_later(env):
    """Its mappings led nowhere at first, and are looked at again when they have changed."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array", flags=BPF_F_MMAPABLE)
    leave(helper)
    for _ in range(3):
        daemon.read(f"{obj.key}/holders")
    addr = helper.do("map_file", obj.var)["addr"]
    obj.close()
    daemon.expect(obj, [line(obj, "mmap", f"addr={addr}")])
    helper.do("unmap")
    daemon.gone(obj)


def in_a_ring(env):
    """A map that is registered with the io_uring ring of a helper."""
    daemon, helper = env.daemon(), env.helper()
    try:
        helper.do("uring", "ring")
    except OSError as error:
        raise Skip(f"no io_uring: {error}") from error
    obj = helper.make("map", "array")
    helper.do("uring_files", "ring", obj.var)
    return daemon, helper, obj


def test_leader_gone_mapped_ring(env):
    """A map registered with an io_uring ring that is only mapped."""
    daemon, helper, obj = in_a_ring(env)
    helper.do("map_file", "ring")
    helper.do("close", "ring")
    obj.close()
    leave(helper)
    goes_with_its_process(daemon, obj, line(obj, "io_uring", "fd=mmap slot=0"))


def test_leader_gone_ring_of_a_thread(env):
    """The same with a ring that a thread has registered with itself."""
    daemon, helper, obj = in_a_ring(env)
    leave(helper)
    try:
        helper.do("uring_self", "ring")
    except OSError as error:
        raise Skip(f"rings are not registered with themselves: {error}") from error
    helper.do("close", "ring")
    obj.close()
    goes_with_its_process(daemon, obj, line(obj, "io_uring", "fd=registered slot=0"))


def test_leader_gone_mapped_event(env):
    """A perf event that is only mapped, with a program."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    helper.do("perf_event", "event", obj.var)
    helper.do("map_file", "event", read_only=1)
    helper.do("close", "event")
    obj.close()
    leave(helper)
    tail = f"pid={helper.pid} comm=mkobj event=software:cpu-clock"
    goes_with_its_process(daemon, obj, f"{obj.key} perf ref=1 user=0 share=* {tail}")


def test_leader_gone_request(env):
    """A pending request of the older asynchronous I/O."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "ringbuf", max=mmap.PAGESIZE)
    try:
        request = helper.do("aio_poll", obj.var)["request"]
    except OSError as error:
        raise Skip(f"no asynchronous I/O: {error}") from error
    obj.close()
    leave(helper)
    goes_with_its_process(daemon, obj, line(obj, "aio", f"request={request}"))


def test_leader_gone_descriptors(env):
    """One table that all the threads share: one line, that of the oldest."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    leave(helper)
    goes_with_its_process(daemon, obj, obj.held(tid=first_thread(helper)))


def test_leader_gone_message(env):
    """A socket of that table, with a descriptor in its queue."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pair", "a", "b")
    helper.do("send", "a", obj.var)
    obj.close()
    fd = int(helper.do("number", "b")["number"])
    leave(helper)
    goes_with_its_process(daemon, obj, line(obj, "inflight", f"fd={fd} via=queue depth=1"))


def test_leader_gone_event(env):
    """A perf event's descriptor: one line, whichever of the threads it is read from."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    fd = int(helper.do("perf_event", "event", obj.var)["fd"])
    obj.close()
    leave(helper)
    tail = f"pid={helper.pid} comm=mkobj fd={fd} event=software:cpu-clock"
    goes_with_its_process(daemon, obj, f"{obj.key} perf ref=1 user=0 share=* {tail}")


def test_leader_gone_own_table(env):
    """A thread with a table of its own, and others that share the one that was the leader's."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    tid = int(helper.do("thread")["tid"])
    leave(helper)
    rest = min(int(x) for x in os.listdir(f"/proc/{helper.pid}/task")
               if int(x) not in (helper.pid, tid))
    both = [obj.held(tid=each).replace("ref=1 user=1", "ref=* user=*") for each in (tid, rest)]
    daemon.expect(obj, both)
    equal(sorted(fields(x)["ref"] for x in daemon.lines(f"{obj.key}/holders")[0]), ["0", "1"])
    obj.close()
    goes_with_its_process(daemon, obj, obj.held(tid=tid))


def test_leader_gone_of_procfs(env):
    """The source without BPF programs reads the threads' tables, and not the leader's."""
    daemon, helper = env.daemon("--source=proc"), env.helper()
    obj = helper.make("map", "array")
    leave(helper)
    daemon.expect(obj, [obj.held(tid=first_thread(helper))], exact=False)
    helper.end()
    daemon.gone(obj)


def in_a_namespace(env, source):
    """A bpffs in a mount namespace of its own: by a thread's number, which leads there."""
    helper = env.helper()
    place = env.tmp / "private"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, place / "x")
    tid = leave(helper, threads=0)
    daemon = env.daemon(f"--source={source}")

    def look():
        found = [fields(x) for x in daemon.lines(f"{obj.key}/holders")[0] if " pin " in x]
        equal([(x["path"], x.get("pid")) for x in found], [("?", str(tid))])
    eventually(look)
    os.lstat(f"/proc/{tid}/root/{place}/x")
    check(f"pid={tid} path={place}" in daemon.read("bpffs"), daemon.read("bpffs"))
    obj.close()
    return daemon, obj


def test_leader_gone_mount_namespace(env):
    """And the namespace is freed with its process."""
    daemon, obj = in_a_namespace(env, "bpf")
    obj.helper.end()
    daemon.gone(obj)


def test_leader_gone_mount_namespace_of_procfs(env):
    in_a_namespace(env, "proc")


def test_leader_gone_mounted_over(env):
    """What such a process mounts on the mirror, in a mount namespace of its own."""
    (env.bpffs / "d").mkdir()
    daemon, helper = env.daemon(), env.helper()
    helper.do("newns")
    helper.do("mount", env.mnt / "d")
    tid = leave(helper, threads=1)

    def look():
        found = [x for x in daemon.read("status").splitlines() if x.startswith("mounted_over: ")]
        equal(len(found), 1, str(found))
        check(fields(found[0])["pid"] in os.listdir(f"/proc/{tid}/task"), found[0])
    eventually(look)
    helper.end()
    eventually(lambda: check("mounted_over: " not in daemon.read("status"), "still there"))


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
