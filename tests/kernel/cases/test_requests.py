#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each action costs in requests from the kernel to the daemon (docs/performance.md lists them):
libfuse prints each one if debugging is on. Forgets come when the kernel likes and are left
out; all else is compared as it is, in order."""
import os
import re

from harness import Daemon, check, equal, eventually, main

LEFT_OUT = {"FORGET", "BATCH_FORGET", "INTERRUPT"}


# The mount's root is a directory of bpffs, whose mode may change behind us: the kernel asks for its
# attributes again whenever a path leads through it in another timer tick than the last one did.
ROOT = ("GETATTR", 1)


class Counted:
    """A daemon that prints its requests."""

    def __init__(self, env, *options):
        self.daemon = Daemon(env, "-o", "debug", *options)

    def requests(self, start):
        text = self.daemon.log.read_bytes()[start:].decode(errors="replace")
        found = re.findall(r"opcode: ([A-Z_]+) \(\d+\), nodeid: (\d+)", text)
        # with attributes or without is the kernel's choice
        return [name.replace("READDIRPLUS", "READDIR") for name, node in found
                if name not in LEFT_OUT and (name, int(node)) != ROOT]

    def expect(self, what, want, action, *args):
        """The second time: by then the kernel knows the names that stay."""
        action(*args)
        self.drain()
        start = self.daemon.log.stat().st_size
        action(*args)
        # a release is sent after close(2) has returned
        eventually(lambda: equal(self.requests(start), want, what))

    def drain(self):
        """Until every file that was opened is released."""
        def look():
            found = self.requests(0)
            equal(found.count("RELEASE"), found.count("OPEN"), "released")
            equal(found.count("RELEASEDIR"), found.count("OPENDIR"), "released directories")
        eventually(look)


def read_file(path):
    """As cat does: open, fstat, read to the end, close."""
    fd = os.open(path, os.O_RDONLY)
    os.fstat(fd)
    while os.read(fd, 1 << 17):
        pass
    os.close(fd)


def make(env):
    """A map, and a daemon that has shown it."""
    obj = env.helper().make("map", "array", name="counted")
    return obj, Counted(env)


def test_reading(env):
    """The object's directory is looked for each time, since it may have been removed; its files are not."""
    obj, counted = make(env)
    opened = ["GETATTR", "OPEN", "GETATTR", "READ", "READ", "RELEASE"]
    for name in ("holders", "info"):
        counted.expect(name, ["LOOKUP", *opened], read_file, counted.daemon.tree / obj.key / name)
    counted.expect("control", opened, read_file, counted.daemon.tree / "control")


def test_reading_with_max_age(env):
    """A name may be as old as an answer may be, at most a second."""
    obj = env.helper().make("map", "array", name="counted")
    counted = Counted(env, "-o", "max_age=60000")
    path = counted.daemon.tree / obj.key / "holders"
    opened = ["GETATTR", "OPEN", "GETATTR", "READ", "READ", "RELEASE"]

    def no_lookup():
        """Within that second; a slow machine may need another try."""
        counted.expect("holders", opened, read_file, path)
    eventually(no_lookup)


def test_attributes(env):
    """Those of files and directories of the tree never change."""
    obj, counted = make(env)
    base = counted.daemon.tree / obj.key
    counted.expect("a directory of an object", ["LOOKUP"], os.stat, base)
    counted.expect("a file of an object", ["LOOKUP"], os.stat, base / "info")
    counted.expect("a file of the tree's root", [], os.stat, counted.daemon.tree / "objects")


def test_listing(env):
    """As ls -l does: the names at once, then a lookup of each, which may fail by then."""
    obj, counted = make(env)
    base = counted.daemon.tree / obj.key
    names = os.listdir(base)

    def list_long():
        for name in os.listdir(base):
            os.lstat(base / name)
    counted.expect("files of an object",
                   ["LOOKUP", "OPENDIR", "READDIR", "READDIR", "RELEASEDIR",
                    *["LOOKUP"] * len(names)], list_long)


def test_a_long_listing(env):
    """One lookup for each object: what else is listed belongs to others."""
    _, counted = make(env)
    maps = counted.daemon.tree / "map"
    start = counted.daemon.log.stat().st_size
    names = os.listdir(maps)
    for name in names:
        try:
            os.lstat(maps / name)
        except FileNotFoundError:
            pass
    found = counted.requests(start)
    equal(found.count("GETATTR") <= 2, True, f"attributes requested again: {found}")
    check(found.count("LOOKUP") <= len(names) + 2, f"{len(names)} names: {found}")


def list_pins(directory):
    """As ls -l does."""
    for name in os.listdir(directory):
        os.lstat(directory / name)
        os.readlink(directory / name)


def pinned(env):
    """Twenty pins in a directory of the mirror, and names to go there."""
    helper = env.helper()
    (env.bpffs / "app").mkdir()
    for i in range(20):
        helper.do("pin", helper.make("map", "array").var, env.bpffs / "app" / f"p{i}")
    return ["OPENDIR", "GETATTR", "READDIR", "READDIR", "RELEASEDIR"]


def test_listing_pins(env):
    """Each name is looked up whenever a path leads through it, since it may be another's behind the
    mirror: a listing itself looks up none."""
    opened = pinned(env)
    counted = Counted(env)
    counted.expect("names", ["LOOKUP", "GETATTR", *opened], os.listdir,
                   counted.daemon.mnt / "app")
    counted.expect("pins", ["LOOKUP", "GETATTR", *opened,
                            *[*["LOOKUP", "GETATTR"] * 3, "LOOKUP", "READLINK"] * 20], list_pins,
                   counted.daemon.mnt / "app")


def test_listing_pins_with_max_age(env):
    """Names and attributes come with the listing, and only the targets are read."""
    opened = pinned(env)
    counted = Counted(env, "-o", "max_age=60000")

    def targets_only():
        """Within a second; a slow machine may need another try."""
        counted.expect("pins", [*opened, *["READLINK"] * 20], list_pins,
                       counted.daemon.mnt / "app")
    eventually(targets_only)


if __name__ == "__main__":
    raise SystemExit(main(globals()))
