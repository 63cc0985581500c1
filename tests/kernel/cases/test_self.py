#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""self=hide: what only the daemon holds, and for itself, is in no list, and can be opened by number."""
import json
import os
import pathlib
import signal
import sys
import time

from harness import check, equal, eventually, fields, main

LISTS = ("objects", "holders", "at-risk", "unused", "graph.dot")
KINDS = ("map", "prog", "link", "btf")


def own_objects(daemon):
    """The objects that the daemon has a descriptor of or that such an object holds, but for the
    kernel's BTF, by its files, which are there by number."""
    found = {x.split(" ", 1)[0] for x in daemon.lines(f"pid/{daemon.pid}/holding")[0]}
    for key in sorted(found):
        found |= {x.split(" ", 1)[0] for x in daemon.lines(f"{key}/holding")[0]}
    return {key for key in found if daemon.pairs(f"{key}/refs")["because"] != "the kernel holds it"}


def listed(daemon):
    return {f"{kind}/{name}" for kind in KINDS for name in os.listdir(daemon.tree / kind)}


def mentioned(daemon, keys):
    """Which of these are in a list as what is held, or in a directory."""
    found = {x.split(" ", 1)[0] for name in ("objects", "holders", "at-risk", "unused")
             for x in daemon.lines(name)[0]}
    whole = json.loads(daemon.read("json"))
    found |= {x["object"] for name in ("objects", "holders") for x in whole[name]}
    found |= {key for key in keys if f'"{key}"' in daemon.read("graph.dot")}
    return (found | listed(daemon)) & keys


def test_in_no_list(env):
    daemon, obj = env.daemon(), env.helper().make("map", "array")
    own = own_objects(daemon)
    check(len(own) > 40 and {x.split("/")[0] for x in own} == set(KINDS), str(own))
    note = (f"# self: {len(own)} objects of bpfrefs itself (pid {daemon.pid}) left out;"
            " mount with self=show")
    for name in LISTS:
        equal(daemon.read(name).splitlines()[-1], note, name)
    equal(mentioned(daemon, own | {obj.key}), {obj.key})
    equal(json.loads(daemon.read("json"))["self"],
          {"pid": daemon.pid, "objects": len(own), "left_out": True})
    check(str(daemon.pid) not in os.listdir(daemon.tree / "pid"), "listed")
    check(str(obj.helper.pid) in os.listdir(daemon.tree / "pid"), "not listed")
    check(f"bpfrefs_self_objects {len(own)}\n" in daemon.read("metrics/bpfrefs.prom"), "metric")


def test_by_number(env):
    daemon = env.daemon()
    own = own_objects(daemon)
    for key in sorted(own):
        equal(daemon.pairs(f"{key}/refs")["state"], "held", key)
        check(daemon.lines(f"{key}/holders")[0], key)
    links = {os.readlink(x.path) for x in os.scandir(daemon.tree / f"pid/{daemon.pid}/fd")}
    check(links <= {f"../../../{key}" for key in own} and len(links) > 40, f"{links - own}")


def test_accounts_stay_whole(env):
    """The kernel's BTF is held by the walkers: its account has them, in its files and in all lists."""
    daemon = env.daemon()
    own = own_objects(daemon)

    def look():
        held = {f"{line.split()[1]}/{fields(line)['id']}" for line in daemon.lines("btf/1/holders")[0]
                if "id" in fields(line)}
        check(len(held & own) > 10, str(held))  # 16 on 6.1
        refs = daemon.pairs("btf/1/refs")
        lines = [x for x in daemon.lines("holders")[0] if x.startswith("btf/1 ")]
        equal(sum(int(fields(x)["ref"]) for x in lines), int(refs["explained"]), "in holders")
    eventually(look)


def moved(env, daemon, *others):
    """A cgroup below a new one to which the daemon and the others are moved: its path in .bpf."""
    group = env.cgroup() / "self"
    group.mkdir()
    env.cleanup(group.rmdir)
    for pid in (daemon.pid, *others):
        (group / "cgroup.procs").write_text(str(pid))
    env.cleanup(daemon.stop, signal.SIGTERM)
    return f"cgroup/{str(group).split('/cgroup/', 1)[1]}"


def test_its_cgroup(env):
    """Files of a cgroup leave out the same; one where nobody else is, is not listed, and is there."""
    daemon = env.daemon("-o", "self=hide")
    path = moved(env, daemon)
    parent = os.path.dirname(path)
    notes = [x for x in daemon.read("objects").splitlines() if x.startswith("# self: ")]

    def alone():
        equal([daemon.read(f"{path}/{name}").splitlines() for name in ("processes", "holding", "retains")],
              [notes] * 3)
        check("digraph" in daemon.read(f"{path}/graph.dot"), "graph.dot")
        check(os.path.basename(parent) not in os.listdir(daemon.tree / "cgroup"), "listed")
        equal(sorted(os.listdir(daemon.tree / parent)), ["graph.dot", "holding", "processes", "retains"])
    eventually(alone)
    helper = env.helper()
    env.cleanup(helper.end)
    obj = helper.make("map", "array", name="other")
    for where in (path, "cgroup"):
        pathlib.Path(env.tmp / "cgroup" / path.split("/", 1)[1] / "cgroup.procs").write_text(
            str(helper.pid))

        def both(where=where):
            lines = {name: daemon.read(f"{where}/{name}").splitlines()
                     for name in ("processes", "holding", "retains")}
            for name, found in lines.items():
                equal([x for x in found if x.startswith("#")], notes, name)
                check(found[-1] == notes[0], name)
            pids = {x.split(" ", 1)[0] for x in lines["processes"][:-1]}
            check(str(helper.pid) in pids and str(daemon.pid) not in pids, str(pids))
            keys = {x.split(" ", 1)[0] for name in ("holding", "retains") for x in lines[name][:-1]}
            equal(keys & (own_objects(daemon) | {obj.key}), {obj.key})
        eventually(both)
        check(os.path.basename(path) in os.listdir(daemon.tree / parent), "not listed")
    check("# self" not in daemon.read(f"pid/{helper.pid}/holding"), "of one process")


def test_its_cgroup_shown(env):
    daemon = env.daemon("-o", "self=show")
    path = moved(env, daemon)

    def look():
        equal([x.split(" ", 1)[0] for x in daemon.lines(f"{path}/processes")[0]], [str(daemon.pid)])
        for name in ("holding", "retains"):
            check(len(daemon.lines(f"{path}/{name}")[0]) > 40, name)
        check(os.path.basename(path) in os.listdir(daemon.tree / os.path.dirname(path)), "not listed")
    eventually(look)


def test_shown(env):
    daemon = env.daemon("-o", "self=show")
    own = own_objects(daemon)
    for name in LISTS:
        check("# self" not in daemon.read(name), name)
    # in the graph they are one node
    equal(mentioned(daemon, own), own)
    equal({x.split(" ", 1)[0] for x in daemon.lines("unused")[0]} & own, set(), "in use")
    check(str(daemon.pid) in os.listdir(daemon.tree / "pid"), "not listed")
    check(",self=show" in daemon.pairs("status")["options"], "status")
    equal(json.loads(daemon.read("json"))["self"]["left_out"], False)


def test_what_others_hold_too(env):
    """A walker that somebody pins is theirs, too, until the pin is removed."""
    daemon = env.daemon()
    key = sorted(x for x in own_objects(daemon) if x.startswith("prog/"))[0]
    daemon.write(f"{key}/pin", "walker")
    eventually(lambda: equal(mentioned(daemon, {key}), {key}))
    check(any(x.startswith(f"{key} fd ") for x in daemon.lines("holders")[0]), "its whole account")
    daemon.write(f"{key}/unpin", "walker")
    eventually(lambda: equal(mentioned(daemon, {key}), set()))


def test_keeps_are_not_its_own(env):
    """What the daemon keeps for others stays in the lists, and so does the daemon then."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "prog_array")
    daemon.write(f"{obj.key}/keep", "fd")
    obj.close()
    equal(mentioned(daemon, {obj.key}), {obj.key})
    check(any(x.startswith(f"{obj.key} keep ") for x in daemon.lines("holders")[0]), "keep")
    check(str(daemon.pid) in os.listdir(daemon.tree / "pid"), "the process")
    daemon.write(f"{obj.key}/keep", "off")


def test_two_daemons(env):
    """Each shows what the other one holds."""
    (env.tmp / "mnt2").mkdir()
    one = env.daemon()
    two = env.daemon(mountpoint=env.tmp / "mnt2")
    for here, there in (one, two), (two, one):
        own = own_objects(there)
        check(len(own) > 40, "objects of the other one")
        eventually(lambda h=here, o=own: equal(mentioned(h, o), o))
        check(str(there.pid) in os.listdir(here.tree / "pid"), "the other one's process")


def test_events(env):
    """The walkers are no event, but what becomes somebody else's, too, is: with what it uses."""
    daemon, helper = env.daemon(), env.helper()
    own = own_objects(daemon)
    key = sorted(x for x in own if x.startswith("prog/"))[0]
    pinned = {key} | {x.split(" ", 1)[0] for x in daemon.lines(f"{key}/holding")[0]}
    reader = os.open(daemon.tree / "events", os.O_RDONLY | os.O_NONBLOCK)
    try:
        text, end = "", time.monotonic() + 30
        obj = helper.make("map", "array")
        daemon.write(f"{key}/pin", "walker")  # now it is somebody else's, too
        while obj.key not in text or f"+ {key} pin " not in text:
            check(time.monotonic() < end, text)
            try:
                text += os.read(reader, 65536).decode()
            except BlockingIOError:
                time.sleep(0.1)
        daemon.write(f"{key}/unpin", "walker")
    finally:
        os.close(reader)
    seen = {x.split(" ")[1] for x in text.splitlines() if x[0] in "+-!"}
    equal(seen & own, pinned & own, "objects of its own")


sys.exit(main(globals()))
