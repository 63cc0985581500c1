#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The two sources: BPF walkers, and procfs with bpf(2). On what both can see they must agree, and
the weaker one must say what it cannot."""
import errno
import os
import re
import sys

from harness import check, compare, equal, eventually, fails, main, run

# Classes that procfs and bpf(2) show as well as a walk does, for objects such as those below.
COMMON = ("fd", "pin", "prog", "map", "link", "btf", "keep")


def both(env, **kwargs):
    """A daemon of each source on the same bpffs."""
    second = env.tmp / "mnt2"
    second.mkdir(exist_ok=True)
    return (env.daemon("--source=bpf", **kwargs),
            env.daemon("--source=proc", mountpoint=second, **kwargs))


def plain(lines):
    """Records of the common classes, without tokens and without the count: procfs cannot show
    whose descriptor of several is one open file."""
    lines = [x for x in lines if x.split(" ")[1] in COMMON]
    return sorted(re.sub(r" (file|mtime)=\S*", "", x) for x in lines)


def agree(bpf, proc, objects):
    def look():
        for obj in objects:
            want = plain(bpf.lines(f"{obj.key}/holders")[0])
            got = plain(proc.lines(f"{obj.key}/holders")[0])
            equal(got, want, obj.key)
    eventually(look)


def world(env, helper):
    """One of each holder that both sources see."""
    btf = helper.make("btf")
    array = helper.make("map", "prog_array", name="jmp", max=4)
    typed = helper.make("map", "array", btf=btf, name="typed")
    inner = helper.make("map", "array", name="inner")
    outer = helper.make("map", "array_of_maps", inner=inner, max=3, name="outer")
    prog = helper.make("prog", "socket_filter", maps=[array, typed], btf=btf, name="entry")
    raw = helper.make("prog", "raw_tracepoint", name="raw")
    link = helper.make("link", "raw_tp", raw, "task_newtask")
    helper.do("slot", array.var, 2, prog.var)
    helper.do("slot", outer.var, 1, inner.var)
    (env.bpffs / "d").mkdir()
    helper.do("pin", typed.var, env.bpffs / "typed")
    helper.do("pin", link.var, env.bpffs / "d" / "link")
    os.link(env.bpffs / "typed", env.bpffs / "d" / "again")
    return [btf, array, typed, inner, outer, prog, raw, link]


def test_full_names(env):
    """The kernel cuts a program's name to 15 characters, and its BTF has the rest, up to 63 here."""
    helper, wanted = env.helper(), {}
    for name in ("entry", "fifteen_letters", "more_than_fifteen_letters", "x" * 63, "y" * 64):
        btf = helper.make("btf", func=name)
        wanted[helper.make("prog", "socket_filter", btf=btf, name=name[:15])] = name[:63]
    wanted[helper.make("prog", "socket_filter", name="no_information_here"[:15])] = "no_information_"
    for daemon in both(env):
        for _ in range(2):  # read, and remembered
            for prog, name in wanted.items():
                equal(daemon.row(prog.key)["name"], name, prog.key)
        for prog, name in wanted.items():
            equal(daemon.pairs(f"{prog.key}/info")["name"], name[:15], "the kernel's own")


def test_the_same_holders(env):
    helper = env.helper()
    objects = world(env, helper)
    bpf, proc = both(env)
    agree(bpf, proc, objects)


def test_the_same_facts(env):
    helper = env.helper()
    objects = world(env, helper)
    bpf, proc = both(env)
    for obj in objects:
        # Only BPF programs can read who pays for a map.
        want = re.sub("^charged: /.*$", "charged: ?", bpf.read(f"{obj.key}/info"), flags=re.M)
        equal(proc.read(f"{obj.key}/info"), want, f"{obj.key}/info")
        if obj.key.startswith("map/") and (bpf.tree / obj.key / "slots").exists():
            equal(proc.lines(f"{obj.key}/slots")[0], bpf.lines(f"{obj.key}/slots")[0],
                  f"{obj.key}/slots")


def test_the_same_processes(env):
    helper = env.helper()
    world(env, helper)
    bpf, proc = both(env)
    for daemon in (bpf, proc):
        check(str(helper.pid) in os.listdir(daemon.tree / "pid"), "no such process")
    equal(sorted(os.listdir(proc.tree / "pid" / str(helper.pid) / "fd")),
          sorted(os.listdir(bpf.tree / "pid" / str(helper.pid) / "fd")))


def test_proc_shows_what_it_cannot_know(env):
    helper = env.helper()
    objects = world(env, helper)
    _, proc = both(env)
    for obj in objects:
        refs = proc.pairs(f"{obj.key}/refs")
        equal((refs["refcnt"], refs["unexplained"]), ("?", "?"), obj.key)
        check(refs["state"] in ("held", "at-risk", "unknown"), f"{obj.key}: {refs}")
    status = proc.read("status")
    check("procfs" in status, status)
    # An unlinked pin is out of its sight, and it must not call the object unheld.
    hidden = helper.make("map", "array")
    helper.do("pin", hidden.var, env.bpffs / "hidden")
    helper.make("opath", env.bpffs / "hidden")
    os.unlink(env.bpffs / "hidden")
    hidden.close()
    lines, gaps = proc.lines(f"{hidden.key}/holders")
    compare(lines, [])
    check(gaps, "a gap must be shown")
    equal(proc.pairs(f"{hidden.key}/refs")["state"], "unknown")


def test_controls_need_no_bpf_program(env):
    helper = env.helper()
    obj = helper.make("map", "prog_array")
    daemon = env.daemon("--source=proc")
    daemon.write(f"{obj.key}/pin", "x")
    daemon.write(f"{obj.key}/keep", "pin")
    equal(daemon.lines(f"{obj.key}/pin")[0], ["x"])
    equal(daemon.read(f"{obj.key}/keep"), "pin\n")
    daemon.write(f"{obj.key}/unpin", "x")
    daemon.write(f"{obj.key}/keep", "off")
    equal(daemon.read(f"{obj.key}/keep"), "off\n")
    # Without counters, a pin next to which no holder was found is not removed.
    daemon.write(f"{obj.key}/pin", "x")
    obj.close()
    fails(errno.EBUSY, daemon.write, f"{obj.key}/unpin", "x")
    equal(daemon.lines(f"{obj.key}/pin")[0], ["x"])


def test_proc_refuses_what_it_cannot_judge(env):
    """The last pin that it knows of must not be removed: an unseen holder proves nothing."""
    helper = env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    obj.close()
    daemon = env.daemon("--source=proc")
    fails(errno.EBUSY, daemon.write, f"{obj.key}/unpin", "x")
    check((env.bpffs / "x").exists(), "removed in spite of it")


def test_bpf_source_is_in_status(env):
    status = env.daemon("--source=bpf").read("status")
    check("BPF walk" in status, status)


def test_reason_of_a_refused_program(env):
    """With too few descriptors the programs do not load: the reason, which libbpf gives, is said at the
    start with --source=bpf, and in status where procfs serves instead."""
    few = ("prlimit", "--nofile=40:40", env.bpfrefs, "-f")
    status, _, said = run(*few, "--source=bpf", env.bpffs, env.mnt)
    check(status != 0, "it started")
    # which call fails first for want of a descriptor differs between kernels
    check(re.search(r"--source=bpf: the BPF programs did not load: [A-Z][^:]+: libbpf: .+", said), said)
    equal(len(said.splitlines()), 1, f"libbpf's own words are not shown: {said}")
    daemon = env.daemon(program=few[:3])
    why = daemon.pairs("status")["source_why"]
    check(re.match(r"the BPF programs did not load: [A-Z][^:]+: libbpf: .+", why), why)


if __name__ == "__main__":
    sys.exit(main(globals()))
