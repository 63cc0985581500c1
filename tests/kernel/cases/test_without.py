#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Without BPF programs: on kernels that do not load ours (before 6.1, under lockdown), where this is
what the daemon finds for itself; elsewhere an option says so. The mirror and the controls work, what procfs
and bpf(2) give is shown, and all else is reported as unknown."""
import errno
import os
import pathlib
import re
import socket
import sys

from harness import Skip, check, compare, equal, eventually, fails, main
from made import taken

SO_ATTACH_BPF = 50
REFUSED = "the BPF programs did not load: "
JIT = pathlib.Path("/proc/sys/net/core/bpf_jit_enable")
CLASS = re.compile(r"class (\w+): (procfs|bpf\(2\)): "
                   r"(complete|partial: \d.*|partial: \w.*|unavailable: \w.*)")
# What procfs and bpf(2) give everywhere; the rest may be partial or unavailable, but not complete.
COMPLETE = {"link", "kernel"}
SEEN = {"fd", "pin", "keep", "prog", "map", "iter"} | COMPLETE


def without(env, *options):
    """A daemon that has no walkers: by itself where they do not load."""
    daemon = env.daemon(*options)
    if daemon.pairs("status")["source"] == "bpf":
        daemon.stop()
        daemon = env.daemon("--source=proc", *options)
    status = daemon.pairs("status")
    equal(status["source"], "proc")
    check(status["source_why"], "no reason")
    return daemon


def world(env, helper):
    array = helper.make("map", "prog_array", name="jmp", max=4)
    prog = helper.make("prog", "socket_filter", maps=array, name="entry")
    inner = helper.make("map", "array", name="inner")
    outer = helper.make("map", "array_of_maps", inner=inner, max=3, name="outer")
    raw = helper.make("prog", "raw_tracepoint", name="raw")
    link = helper.make("link", "raw_tp", raw, "task_newtask")
    helper.do("slot", array.var, 2, prog.var)
    helper.do("slot", outer.var, 1, inner.var)
    helper.do("pin", prog.var, env.bpffs / "entry")
    return array, prog, inner, outer, raw, link


def test_what_is_shown(env):
    helper = env.helper()
    daemon = without(env)
    array, prog, inner, outer, raw, link = world(env, helper)
    pinned = (f"{prog.key} pin ref=1 user=0 path={env.bpffs}/entry dev=* ino=* uid=0"
              " gid=0 mode=600 mtime=* state=live")
    for obj, others in (
            (array, [f"{array.key} prog ref=1 user=0 id={prog.id} name=entry via=used_maps"]),
            (prog, [f"{prog.key} map ref=1 user=0 id={array.id} name=jmp via=slot slot=2", pinned]),
            (inner, [f"{inner.key} map ref=1 user=0 id={outer.id} name=outer via=inner slot=1"]),
            (outer, []),
            (raw, [f"{raw.key} link ref=1 user=0 id={link.id} name= via=prog"]),
            (link, [])):
        def look(obj=obj, others=others):
            lines = daemon.lines(f"{obj.key}/holders")[0]
            # another daemon's automatic keep, in a bpffs that is not seen from here
            compare([x for x in lines if not x.endswith(" mode=auto path=?")],
                    [obj.held(), *others])
            refs = daemon.pairs(f"{obj.key}/refs")
            equal((refs["refcnt"], refs["unexplained"], refs["state"]), ("?", "?", "held"))
        eventually(look)
        check(f"id: {obj.id}\n" in daemon.read(f"{obj.key}/info"), "info")
    equal(daemon.lines(f"{array.key}/slots")[0], [f"2 {prog.key} entry"])
    equal(os.readlink(daemon.mnt / ".entry"), f".bpf/{prog.key}")
    listed = {f"{kind}/{name}" for kind in ("map", "prog", "link")
              for name in os.listdir(daemon.tree / kind)}
    check({o.key for o in (array, prog, inner, outer, raw, link)} <= listed, f"{listed}")


def reason(env):
    status = env.daemon().pairs("status")
    equal(status["source"], "proc")
    return status["source_why"]


def test_jit(env):
    """Without a BPF JIT the programs do not load, and the reason says so."""
    if not JIT.exists():
        equal(reason(env), f"{REFUSED}this kernel has no BPF JIT")
        return
    before = JIT.read_text()
    if "ALONE" not in os.environ:
        raise Skip("others on this machine need the BPF JIT")
    try:
        JIT.write_text("0")
    except OSError as error:
        raise Skip("the BPF JIT is always on (CONFIG_BPF_JIT_ALWAYS_ON)") from error
    try:
        equal(reason(env), f"{REFUSED}the BPF JIT is off (sysctl net.core.bpf_jit_enable=1)")
    finally:
        JIT.write_text(before)


def test_facts_that_a_kernel_does_not_give(env):
    """bpf_map_info ends before map_extra until 5.16: it is not there then, and not 0."""
    daemon, helper = without(env), env.helper()
    table = helper.make("map", "array")
    version = tuple(int(x) for x in os.uname().release.split("-")[0].split(".")[:2])
    facts = daemon.pairs(f"{table.key}/info")
    equal(facts.get("map_extra"), "0" if version >= (5, 16) else None, str(facts))
    check("btf_vmlinux_id" not in facts, "of struct_ops maps alone")
    equal(facts["btf_value_type_id"], "0")


def test_each_class_says_what_it_misses(env):
    """None is silently empty: what is not complete says so in status and at the end of each file."""
    daemon = without(env)
    helper = env.helper()
    world(env, helper)
    found = {}
    for line in daemon.read("status").splitlines():
        if line.startswith("class "):
            match = CLASS.fullmatch(line)
            check(match, line)
            found[match[1]] = match[3]
    check(len(found) > 20, f"{found}")
    for name, state in found.items():
        if name not in SEEN:
            check(state.startswith("unavailable: "), f"{name}: {state}")
        if name in COMPLETE:
            equal(state, "complete", name)
    gaps = {line.split(":")[0][2:] for line in daemon.lines("holders")[1]}
    missing = {name for name, state in found.items() if state != "complete"}
    # between the two scans a process may have come whose descriptors cannot be read
    equal(gaps - SEEN, missing - SEEN)


def test_holders_that_procfs_lacks(env):
    """What only a walk would find leaves an object unknown, never unheld."""
    daemon, helper = without(env), env.helper()
    prog = helper.make("prog", "socket_filter")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with taken(prog) as fd:
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, fd)
        prog.close()
        eventually(lambda: equal(daemon.lines(f"{prog.key}/holders")[0], []))
        equal(daemon.pairs(f"{prog.key}/refs")["state"], "unknown")
        check(any(x.startswith("# socket: unavailable") for x in
                  daemon.lines(f"{prog.key}/holders")[1]), "no gap")
    daemon.gone(prog)


def test_controls(env):
    daemon, helper = without(env), env.helper()
    obj = helper.make("map", "prog_array", name="jmp")
    daemon.write(f"{obj.key}/pin", "x")
    equal(daemon.lines(f"{obj.key}/pin")[0], ["x"])
    check((env.bpffs / "x").exists(), "no pin")
    fails(errno.EEXIST, daemon.write, f"{helper.make('map', 'array').key}/pin", "x")
    daemon.write(f"{obj.key}/unpin", "x")
    check(not (env.bpffs / "x").exists(), "still there")
    for mode in ("fd", "pin", "auto", "off"):
        daemon.write(f"{obj.key}/keep", mode)
        equal(daemon.read(f"{obj.key}/keep"), f"{mode}\n")
    daemon.write(f"{obj.key}/keep", "fd")
    obj.close()
    lines, _ = eventually(lambda: only_kept(daemon, obj))
    compare(lines, [f"{obj.key} keep ref=1 user=1 mode=fd"])
    daemon.write("control", f"keep {obj.key} off")
    daemon.gone(obj)


def only_kept(daemon, obj):
    lines, gaps = daemon.lines(f"{obj.key}/holders")
    equal(len(lines), 1, f"{lines}")
    return lines, gaps


def test_mirror(env):
    daemon, helper = without(env), env.helper()
    obj = helper.make("map", "array")
    os.mkdir(daemon.mnt / "d", 0o750)
    helper.do("pin", obj.var, env.bpffs / "d" / "x")
    os.rename(daemon.mnt / "d" / "x", daemon.mnt / "d" / "y")
    os.link(daemon.mnt / "d" / "y", daemon.mnt / "z", follow_symlinks=False)
    equal(sorted(os.listdir(env.bpffs / "d")), ["y"])
    equal(helper.make("get", daemon.mnt / "z").key, obj.key)
    fails(errno.ENOTEMPTY, os.rmdir, daemon.mnt / "d")
    os.unlink(daemon.mnt / "d" / "y")
    os.rmdir(daemon.mnt / "d")
    equal(os.stat(env.bpffs / "z").st_nlink, 1)
    os.unlink(daemon.mnt / "z")


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
