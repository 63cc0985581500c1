#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A bpffs that was remounted read-only: reading asks for no write access there. BPF_OBJ_GET does, unless
BPF_F_RDONLY is given, which the kernel takes for maps and programs and not for links."""
import errno
import os
import sys

from harness import check, equal, fails, fields, main, mount

MS_RDONLY, MS_REMOUNT = 1, 32
KINDS = ("map", "prog", "link")


def pinned(env, daemon):
    """A pin and a keep of each kind, then the bpffs is read-only."""
    helper = env.helper()
    raw = helper.make("prog", "raw_tracepoint")
    objects = {"map": helper.make("map", "prog_array", max=2), "prog": raw,
               "link": helper.make("link", "raw_tp", raw, "task_rename")}
    os.mkdir(env.bpffs / "d")
    for kind, obj in objects.items():
        helper.do("pin", obj.var, env.bpffs / "d" / kind)
        daemon.write(f"{obj.key}/keep", "pin")
    mount("bpf", env.bpffs, "bpf", MS_REMOUNT | MS_RDONLY)
    fails(errno.EROFS, os.mkdir, env.bpffs / "other")
    return objects


def twins(daemon, objects, kinds):
    for kind in kinds:
        equal(os.readlink(daemon.mnt / "d" / f".{kind}"), f"../.bpf/{objects[kind].key}")
        check((daemon.mnt / "d" / f".{kind}" / "info").read_text(), f"info of {kind}")


def test_bpf(env):
    daemon = env.daemon()
    objects = pinned(env, daemon)
    twins(daemon, objects, KINDS)
    for kind, obj in objects.items():
        equal(daemon.read(f"{obj.key}/keep"), "pin\n", kind)
        equal(daemon.read(f"{obj.key}/pin"), f"d/{kind}\n")
        pins = [x for x in daemon.lines(f"{obj.key}/holders")[0] if " pin " in x]
        equal([fields(x)["path"] for x in pins], [str(env.bpffs / "d" / kind)])
        # what changes something is refused as bpffs refuses it
        fails(errno.EROFS, daemon.write, f"{obj.key}/keep", "off")
        fails(errno.EROFS, os.unlink, daemon.mnt / "d" / kind)


def test_bpf_started_read_only(env):
    first = env.daemon()
    objects = pinned(env, first)
    first.stop()
    daemon = env.daemon()
    twins(daemon, objects, KINDS)
    for kind, obj in objects.items():
        equal(daemon.read(f"{obj.key}/keep"), "pin\n", kind)


def test_proc(env):
    """What a link's pin is of, cannot be found out: a gap, and no answer, not a wrong one."""
    daemon = env.daemon("--source=proc")
    objects = pinned(env, daemon)
    twins(daemon, objects, ("map", "prog"))
    fails(errno.EROFS, os.readlink, daemon.mnt / "d" / ".link")
    for kind in ("map", "prog"):
        key = objects[kind].key
        equal(daemon.read(f"{key}/keep"), "pin\n", kind)
        lines, gaps = daemon.lines(f"{key}/holders")
        equal([fields(x)["path"] for x in lines if " pin " in x],
              [str(env.bpffs / "d" / kind)])
        check(any("pin: partial" in x and "pins" in x for x in gaps), str(gaps))
    fails(errno.EROFS, daemon.read, f"{objects['link'].key}/keep")


if __name__ == "__main__":
    sys.exit(main(globals()))
