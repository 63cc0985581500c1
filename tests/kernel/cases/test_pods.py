#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes with their cgroups, and .bpf/cgroup: what is predicted for all processes of a cgroup is
compared with what the kernel frees and clears when they have been killed. And the cgroup that pays for
a map."""
import errno
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from harness import (MNT_DETACH, PATIENCE, Skip, check, equal, eventually, fails, fields, main, mount,
                     tool, umount)


def remove(group):
    """A cgroup can be removed when its last process has exited, which may be a moment later."""
    def look():
        try:
            group.rmdir()
        except OSError as error:
            check(error.errno != errno.EBUSY, f"{group} has processes")
            raise
    eventually(look)


def below(env, group, *names):
    for name in names:
        group = group / name
        if not group.exists():
            group.mkdir()
            env.cleanup(remove, group)
    return group


def member(env, group):
    """A helper in the cgroup."""
    helper = env.helper()
    env.cleanup(helper.end)
    (group / "cgroup.procs").write_text(str(helper.pid))
    return helper


def path_of(group):
    return "/" + str(group).split("/cgroup/", 1)[1]


def kill(*helpers):
    for helper in helpers:
        helper.process.kill()
        helper.process.wait()


def effects(daemon, path):
    """The key and effect of each object that is retained, and no gap."""
    lines, gaps = daemon.lines(f"{path}/retains")
    check(not gaps, str(gaps))
    return {line.split(" ", 1)[0]: fields(line)["effect"] for line in lines}


def row_of(daemon, pid):
    for line in daemon.lines("processes")[0]:
        if line.split(" ", 1)[0] == str(pid):
            return line
    return None


def own_bpffs(env, helper, name):
    """A bpffs in a mount namespace of the helper's own."""
    place = env.tmp / name
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    return place


def test_retains(env):
    """An agent of three processes in two cgroups, two of them with a mount namespace and a bpffs of
    their own; and somebody else, who holds some of it too."""
    daemon, group = env.daemon(), env.cgroup()
    agent = below(env, group, "agent")
    side = below(env, agent, "side")
    first, second = member(env, agent), member(env, side)
    other = member(env, below(env, group, "other"))
    place, place2 = own_bpffs(env, first, "first"), own_bpffs(env, second, "second")
    first.do("fork")  # holds the same, and is in the same namespace

    def held(helper, name, kind="array", *also, pin=None, keep=True):
        obj = helper.make("map", kind, name=name)
        for process in also:
            process.do("open", f"also_{name}", "map", obj.id)
        if pin:
            helper.do("pin", obj.var, pin)
        if not keep:
            obj.close()
        return obj
    kept = other.make("prog", "raw_tracepoint", name="elsewhere")
    freed = [held(second, "alone"), held(second, "both", "array", first),
             held(second, "inside", pin=place2 / "x")]
    inner = second.make("prog", "raw_tracepoint", name="inner", maps=[freed[2]])
    second.do("pin", inner.var, place2 / "prog")
    inner.close()
    freed[2].close()
    stays = [held(second, "common", "array", other), kept,
             held(second, "pinned", pin=env.bpffs / "pinned", keep=False),
             held(second, "twice", pin=env.bpffs / "twice")]
    jump = held(second, "jump", "prog_array")
    target = second.make("prog", "raw_tracepoint", name="target")
    entry = second.make("prog", "raw_tracepoint", name="entry", maps=[jump])
    second.do("slot", jump.var, 0, target.var)
    second.do("pin", entry.var, env.bpffs / "entry")
    stays.append(entry)
    # what the fork of the first process has no copy of, since it is older
    more = [held(first, "mine"), held(first, "hidden", pin=place / "x", keep=False)]
    freed += [inner, target]
    together = {obj.key: "freed" for obj in freed + more} | {jump.key: "cleared"}
    path = f"cgroup{path_of(agent)}"

    def look():
        equal(effects(daemon, path), together, "both")
        part = {obj.key: "freed" for obj in freed if obj is not freed[1]}
        equal(effects(daemon, f"{path}/side"), part | {jump.key: "cleared"}, "the second alone")
        equal(effects(daemon, f"cgroup{path_of(group)}/other"), {kept.key: "freed"}, "other")
        equal(effects(daemon, f"cgroup{path_of(group)}"),
              together | {kept.key: "freed", stays[0].key: "freed"}, "all three")
    eventually(look)
    kill(second, first)  # the fork is killed with its parent

    def ended():
        for obj in freed + more:
            check(not (daemon.tree / obj.key).exists(), f"{obj.key} is still there")
        equal(daemon.row(jump.key)["state"], "cleared")
        equal(daemon.read(f"{jump.key}/slots"), "")
        for obj in stays:
            row = daemon.row(obj.key)
            check(row and row["usercnt"] != "0", f"{obj.key}: {row}")
    eventually(ended)
    time.sleep(0.3)
    ended()
    for name in ("pinned", "twice", "entry"):
        os.unlink(env.bpffs / name)


def test_namespace_shared(env):
    """A pin in a mount namespace that a process of another cgroup is in too stays with that."""
    daemon, group = env.daemon(), env.cgroup()
    one, two = below(env, group, "one"), below(env, group, "two")
    helper = member(env, one)
    place = own_bpffs(env, helper, "shared")
    child = int(helper.do("fork")["child"])
    (two / "cgroup.procs").write_text(str(child))
    obj = helper.make("map", "array", name="pinned")
    helper.do("pin", obj.var, place / "x")
    obj.close()

    def look():
        equal(effects(daemon, f"cgroup{path_of(one)}"), {}, "one")
        equal(effects(daemon, f"cgroup{path_of(two)}"), {}, "two")
        equal(effects(daemon, f"cgroup{path_of(group)}"), {obj.key: "freed"}, "both")
    eventually(look)
    helper.do("reap", child)
    eventually(lambda: equal(effects(daemon, f"cgroup{path_of(one)}"), {obj.key: "freed"}))
    kill(helper)
    daemon.gone(obj)


def memlock_of(pid, fd):
    text = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    return next((int(x.split()[1]) for x in text.splitlines() if x.startswith("memlock:")), 0)


def test_processes(env):
    """Each line against /proc, and the same lines in the cgroup."""
    daemon, group = env.daemon(), env.cgroup()
    unit = below(env, group, "a b\\x2d.service")
    helper = member(env, unit)
    helper.do("newns")
    objects = [helper.make("map", "hash", name="flows"), helper.make("map", "array", name="stats")]
    objects.append(helper.make("prog", "raw_tracepoint", name="entry", maps=objects))
    objects.append(helper.make("link", "raw_tp", objects[2], "task_newtask"))
    helper.do("dup", "copy", objects[0].var)

    def look():
        line = row_of(daemon, helper.pid)
        check(line, "no line")
        check(f" cgroup={path_of(group)}/a\\040b\\134x2d.service " in line, line)
        row = fields(line)
        spaces = {key: str(os.stat(f"/proc/{helper.pid}/ns/{key}").st_ino) for key in ("mnt", "net")}
        cgroup = next(x for x in pathlib.Path(f"/proc/{helper.pid}/cgroup").read_text().splitlines()
                      if x.startswith("0::"))
        # a cgroup2 that was mounted elsewhere is the same hierarchy
        equal(row["cgroup"], cgroup[3:])
        equal((row["mnt_ns"], row["net_ns"]), (spaces["mnt"], spaces["net"]))
        equal([row[key] for key in ("comm", "fds", "maps", "progs", "links", "btfs", "memlock")],
              ["mkobj", "5", "2", "1", "1", "0",
               str(sum(memlock_of(helper.pid, obj.fd) for obj in objects))])
        equal(daemon.read(f"cgroup{path_of(unit)}/processes"), line + "\n")
        equal(daemon.read(f"pid/{helper.pid}/cgroup"),
              f"{path_of(group)}/a\\040b\\134x2d.service\n")
        equal(sorted(daemon.lines(f"cgroup{path_of(unit)}/holding")[0]),
              sorted(daemon.lines(f"pid/{helper.pid}/holding")[0]))
        check(daemon.read(f"cgroup{path_of(unit)}/graph.dot").startswith("digraph"), "graph.dot")
        because = daemon.pairs(f"{objects[1].key}/refs")["because"]
        equal(because, f"pid {helper.pid} (mkobj) in {path_of(group)}/a b\\134x2d.service"
                       " has a descriptor")
    eventually(look)
    for pid in os.listdir(daemon.tree / "pid"):
        check(row_of(daemon, pid) or not os.path.exists(f"/proc/{pid}"), f"no line for {pid}")


def opened_by(daemon, *names):
    """What the daemon opens while these files are read."""
    with tempfile.NamedTemporaryFile("r") as calls:
        trace = subprocess.Popen(  # pylint: disable=consider-using-with
            [tool("strace"), "-f", "-qq", "-e", "trace=openat", "-o", calls.name, "-p", str(daemon.pid)])
        try:
            eventually(lambda: check("TracerPid:\t0\n" not in pathlib.Path(
                f"/proc/{daemon.pid}/status").read_text(), "not traced"))
            for name in names:
                daemon.read(name)
        finally:
            trace.send_signal(signal.SIGINT)
            trace.wait()
        return calls.read()


def test_cost(env):
    """The sentences of many processes cost no file of procfs each, and follow a process that moves."""
    daemon, group = env.daemon(), env.cgroup()
    units = [below(env, group, name) for name in ("one", "two")]
    helper = member(env, units[0])
    obj = helper.make("map", "array", name="here")
    for unit in (*units, units[0]):
        (unit / "cgroup.procs").write_text(str(helper.pid))
        eventually(lambda u=unit: check(
            f" in {path_of(u)} has a descriptor" in daemon.row(obj.key)["because"],
            str(daemon.row(obj.key))))
    # the last of them reads it always, so that it is known that this is seen
    text = opened_by(daemon, "objects", "metrics/bpfrefs.prom", "processes", f"pid/{helper.pid}/cgroup")
    equal(text.count(f'"{helper.pid}/cgroup"'), 1, text)


def test_names(env):
    """Names of files, and bytes that are no text: each cgroup is there, and is another directory."""
    daemon, group = env.daemon(), env.cgroup()
    shown = {"holding": "_holding", "_holding": "__holding", "_other": "_other",
             "a b": "a b", os.fsdecode(b"\xff\xfe"): os.fsdecode(b"\xff\xfe"),
             "x (deleted)": "x (deleted)", "N" * 255: "N" * 255}
    helpers = {}
    for name in shown:
        helpers[name] = member(env, below(env, group, name))
        helpers[name].make("map", "array", name="here")
    empty = below(env, group, "empty")
    place = daemon.tree / f"cgroup{path_of(group)}"

    def look():
        equal(sorted(os.listdir(place)),
              sorted([*shown.values(), "processes", "holding", "retains", "graph.dot"]))
    eventually(look)
    numbers = {entry.name: entry.inode() for entry in os.scandir(place)}
    for name, seen in shown.items():
        lines = (place / seen / "processes").read_text().splitlines()
        equal([x.split()[0] for x in lines], [str(helpers[name].pid)], seen)
        equal(os.stat(place / seen).st_ino, numbers[seen], seen)
        equal(os.path.realpath(place / seen / ".."), str(place))
    check(not (place / empty.name).exists(), "a cgroup without objects is there")
    equal(len((place / "processes").read_text().splitlines()), len(shown))


def test_vanish(env):
    """What was listed and no longer exists is ENOENT, or an answer that was true before."""
    daemon, group = env.daemon(), env.cgroup()
    there = below(env, group, "there")
    for name in ("moves", "exits"):
        unit = below(env, group, name)
        helper = member(env, unit)
        obj = helper.make("map", "array", name="here")
        place = daemon.tree / f"cgroup{path_of(unit)}"
        eventually(lambda: check(place.exists(), "not there"))
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        with open(place / "retains", encoding="ascii") as opened:
            if name == "moves":
                (there / "cgroup.procs").write_text(str(helper.pid))
            else:
                kill(helper)
                daemon.gone(obj)
            equal(opened.read().split()[0], obj.key, "the snapshot of the open")
            fails(errno.ENOENT, os.open, "retains", os.O_RDONLY, dir_fd=directory)
            fails(errno.ENOENT, os.listdir, place)
            fails(errno.ENOENT, os.stat, place)
        os.close(directory)
        if name == "exits":
            fails(errno.ENOENT, daemon.read, f"pid/{helper.pid}/cgroup")
            equal(row_of(daemon, helper.pid), None)


def test_cgroup_namespace(env):
    """A daemon in a cgroup namespace of its own shows the paths of the host."""
    group = env.cgroup()
    inside = below(env, group, "inside")
    helper = member(env, below(env, group, "outside"))
    helper.make("map", "array", name="here")
    start = f'echo $$ >"{inside}/cgroup.procs" && exec {tool("unshare")} --cgroup "$@"'
    daemon = env.daemon(program=["sh", "-c", start, "sh", env.bpfrefs])
    env.cleanup(daemon.stop, signal.SIGTERM)
    equal(fields(row_of(daemon, helper.pid))["cgroup"], f"{path_of(group)}/outside")


def memory_group(env):
    """A new cgroup in the hierarchy that has the memory controller, which counts for those below it."""
    group = env.cgroup()
    top = group.parent
    if "memory" in (top / "cgroup.controllers").read_text().split():
        (top / "cgroup.subtree_control").write_text("+memory")
        (group / "cgroup.subtree_control").write_text("+memory")
        return group
    top = env.tmp / "memory"
    top.mkdir()
    try:
        mount("none", top, "cgroup", 0, "memory")
    except OSError as error:
        raise Skip(f"no memory controller: {error}") from error
    env.cleanup(umount, top, MNT_DETACH)
    group = top / group.name
    group.mkdir()
    env.cleanup(remove, group)
    return group


def kernel_memory(group):
    """The bytes that the kernel has allocated on behalf of a cgroup and those below it."""
    usage = group / "memory.kmem.usage_in_bytes"
    if usage.exists():
        return int(usage.read_text())
    stat = (group / "memory.stat").read_text().splitlines()
    return int(dict(line.split() for line in stat)["kernel"])


def memory_path(pid):
    """The kernel's path of the memory cgroup of a process."""
    lines = [line.split(":", 2) for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    paths = {controllers: path for _, controllers, path in lines}
    return paths.get("memory", paths.get(""))


def test_who_pays(env):
    """The cgroup of the process that made a map pays, whoever else has it open, and once that cgroup was
    removed the one above it."""
    daemon, above = env.daemon(), memory_group(env)
    group = above / "pays for it"
    group.mkdir()
    maker, other = member(env, group), env.helper()
    before = kernel_memory(above)
    path, paid = memory_path(maker.pid), maker.make("map", "array", name="paid", max=1000000)
    other.do("open", "paid", "map", paid.id)
    info = daemon.pairs(f"{paid.key}/info")
    equal((info["charged"], info.get("charged_state")), (path, None), str(info))
    check(path.endswith(f"/{above.name}/{group.name}"), path)
    check(kernel_memory(group) >= 7900000, f"{group} uses {kernel_memory(group)}")
    maker.end()
    remove(group)
    # The kernel hands its maps on later.
    end = time.monotonic() + PATIENCE
    while (info := daemon.pairs(f"{paid.key}/info"))["charged"] == path:
        equal(info.get("charged_state"), "dying", str(info))
        check(time.monotonic() < end, f"still charged: {info}")
    equal((info["charged"], info.get("charged_state")), (os.path.dirname(path), None), str(info))
    check(kernel_memory(above) - before >= 7900000, f"{above} uses {kernel_memory(above)}")
    other.do("close", "paid")
    daemon.gone(paid)
    eventually(lambda: check(kernel_memory(above) - before < 7900000, "still charged"))


def test_who_pays_is_unknown(env):
    """Without BPF programs, and where the way to the root is too long. No cgroup pays for a program."""
    daemon, deep = env.daemon(), memory_group(env)
    (deep.parent / "cgroup.procs").write_text(str(env.helper().pid))
    root = env.helpers[-1].make("map", "array")
    equal(daemon.pairs(f"{root.key}/info")["charged"], "/", "made by a process in the root")
    for _ in range(70):
        if (deep / "cgroup.subtree_control").exists():  # version 2
            (deep / "cgroup.subtree_control").write_text("+memory")
        deep = deep / "d"
        deep.mkdir()
        env.cleanup(remove, deep)
    maker = member(env, deep)
    made, prog = maker.make("map", "array"), maker.make("prog", "xdp")
    equal(daemon.pairs(f"{made.key}/info")["charged"], "?", "70 levels")
    check("charged" not in daemon.pairs(f"{prog.key}/info"), "a program has it")
    second = env.tmp / "second"
    second.mkdir()
    daemon = env.daemon("--source=proc", mountpoint=second)
    info = daemon.pairs(f"{root.key}/info")
    equal((info["charged"], info.get("charged_state")), ("?", None), "with the procfs source")


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
