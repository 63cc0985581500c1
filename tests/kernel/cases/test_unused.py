#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
""".bpf/unused: what only pins, keeps or nothing leads to, and what runs nowhere."""
import os
import sys

from harness import check, equal, eventually, fields, main, must, tool
from machine import key
from made import private_net, update
from test_cgroup import attach, detach
from test_links import XDP, create
from test_metrics import frozen, parse
from test_objects import load
from test_perf import PRESERVE_ELEMS, Event


class Left:
    """A daemon, and which of a test's objects are in its list."""

    def __init__(self, env, *options):
        self.env, self.daemon, self.helper = env, env.daemon(*options), env.helper()
        self.names = {}

    def make(self, name, *words, pinned=True, **options):
        """An object, pinned under a name; its descriptors are closed by are()."""
        obj = self.helper.make(*words, **options)
        self.names[obj.key] = name
        if pinned:
            self.helper.do("pin", obj.var, self.env.bpffs / name)
        return obj

    def are(self, want):
        """Just these, by their names, as lines of .bpf/objects, counted by the metrics, too."""
        def look():
            lines, gaps = self.daemon.lines("unused")
            found = {self.names[x.split(" ", 1)[0]]: x for x in lines if x.split(" ", 1)[0] in self.names}
            equal(sorted(found), sorted(want.split()), "\n".join(lines))
            equal(gaps, [])
            objects = self.daemon.lines("objects")[0]
            for line in found.values():
                check(line in objects, f"{line} is not a line of objects")
        eventually(look)


def test_pinned_and_attached_nowhere(env):
    """A program, a map that only it uses, and its BTF if it has one; each while a process has it, not."""
    left = Left(env)
    table = left.make("table", "map", "hash")
    prog = left.make("prog", "prog", "cgroup_skb", maps=table)
    alone = left.make("alone", "map", "array")
    left.are("")
    alone.close()
    left.are("alone")
    table.close()
    left.are("alone")  # a program that a process has uses the table
    prog.close()
    left.are("alone prog table")
    again = left.helper.make("get", env.bpffs / "prog")
    left.are("alone")
    again.close()
    left.are("alone prog table")
    os.unlink(env.bpffs / "table")
    left.are("alone prog table")  # nothing but such a program leads to it
    os.unlink(env.bpffs / "prog")
    left.are("alone")


def test_attached_to_a_cgroup(env):
    """With a link or without; after its end, and after that of the cgroup, it runs nowhere."""
    left, group = Left(env), env.cgroup()
    child = group / "child"
    child.mkdir()
    try:
        prog = left.make("prog", "prog", "cgroup_skb")
        attach(prog, group)
        linked = left.make("linked", "prog", "cgroup_skb", pinned=False)
        link = left.make("link", "link", "cgroup", linked, child, attach="cgroup_inet_egress")
        for obj in (prog, linked, link):
            obj.close()
        left.are("")
        detach(prog, group)
        left.are("prog")
    finally:
        child.rmdir()
    left.are("link linked prog")
    equal(left.daemon.pairs(f"{link.key}/info")["attached"], "no")


def test_a_device_that_is_gone(env):
    left, ip = Left(env), tool("ip")
    private_net(env)
    must(ip, "link", "add", "bpfrefs0", "type", "veth", "peer", "name", "bpfrefs1")
    index = int(must(ip, "-o", "link", "show", "bpfrefs0").split(":")[0])
    prog = left.make("prog", "prog", "xdp", pinned=False)
    link = create(env, prog, index, XDP)
    left.names[f"link/{link.id}"] = "link"
    must(tool("bpftool"), "-n", "link", "pin", "id", link.id, env.bpffs / "link")
    link.file.close()
    prog.close()
    left.are("")
    must(ip, "link", "del", "bpfrefs0")
    left.are("link prog")


def test_used_by_what_is_in_use(env):
    """A map that an attached program uses, and what is in the slots of its program array."""
    left, group = Left(env), env.cgroup()
    array = left.make("array", "map", "prog_array", max=4)
    inner = left.make("inner", "map", "hash")
    tail = left.make("tail", "prog", "cgroup_skb", maps=inner, pinned=False)
    entry = left.make("entry", "prog", "cgroup_skb", maps=array, pinned=False)
    left.helper.do("slot", array.var, 1, tail.var)
    attach(entry, group)
    for obj in (inner, tail, entry, array):
        obj.close()
    left.are("")
    detach(entry, group)  # that frees it
    left.are("array inner tail")
    os.unlink(env.bpffs / "array")
    left.are("inner")


def test_run_by_a_map(env):
    """A timer, and a perf event in a slot, run their programs though only a pin leads to them."""
    left = Left(env)
    helper, (table, prog) = load(env, "objects-timer.bpf.o", "timer_hash", "set_hash")
    helper.do("unload")
    helper.do("run", prog.var)
    helper.do("pin", table.var, env.bpffs / "timers")
    counter = left.make("counter", "prog", "perf_event", pinned=False)
    events = left.make("events", "map", "perf_event_array", max=3, flags=PRESERVE_ELEMS)
    event = Event(env, counter)
    update(events, 2, event.fd)
    event.close()
    left.names.update({table.key: "timers", prog.key: "timed"})
    for obj in (prog, table, counter, events):
        obj.close()
    left.are("")
    for obj, place in (table, 5), (table, 6), (events, 2):
        must(tool("bpftool"), "map", "delete", "id", obj.id, "key", *key(place).split())
    left.are("events timers")


def test_iterator(env):
    """It runs when its pin is read."""
    left = Left(env)
    prog = left.make("prog", "prog", "tracing", attach="trace_iter", target="bpf_map", pinned=False)
    link = left.make("iterator", "link", "iter", prog)
    prog.close()
    link.close()
    left.are("")


def test_keeps_are_pins(env):
    left = Left(env)
    for mode in "pin", "fd":
        obj = left.make(mode, "map", "array", pinned=False)
        left.daemon.write(f"{obj.key}/keep", mode)
        obj.close()
    left.are("fd pin")
    for name in left.names:
        left.daemon.write(f"{name}/keep", "off")
    left.are("")


def test_metric(env):
    helper = env.helper()
    obj = helper.make("map", "hash")
    helper.do("pin", obj.var, env.bpffs / "left")
    obj.close()
    daemon = frozen(env)
    samples = parse(daemon.read("metrics/bpfrefs.prom"))
    got = samples["bpfrefs_unused_objects", frozenset({("kind", "map"), ("type", "hash")})]
    lines = [x for x in daemon.lines("unused")[0] if fields(x)["type"] == "hash"]
    check(got == len(lines) and any(x.startswith(f"{obj.key} ") for x in lines), f"{got} {lines}")


def test_gap(env):
    """Without the walkers attachments are not known: the list says so."""
    left = Left(env, "--source=proc")
    obj = left.make("array", "map", "array")
    obj.close()
    lines, gaps = left.daemon.lines("unused")
    check(any(x.startswith(f"{obj.key} ") for x in lines), str(lines))
    check(any(x.startswith("# cgroup: unavailable") for x in gaps), str(gaps))


if __name__ == "__main__":
    sys.exit(main(globals()))
