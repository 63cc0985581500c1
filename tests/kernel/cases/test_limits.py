#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller that requests very much gets an error or has to wait, and no other does; the daemon's memory stays
within the bounds of docs/threat-model.md.

LIMITS_OBJECTS is the size of the large graph: 2,000, or 100,000 for the whole of it.
"""
import contextlib
import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time

from harness import Skip, check, equal, eventually, fails, main, records, sanitized, tool
from machine import syscall

OBJECTS = int(os.environ.get("LIMITS_OBJECTS", "2000"))
FILES = 10000
MIB = 1 << 20
# What docs/threat-model.md says of the memory that a snapshot takes, and the answers about it.
BYTES_PER_OBJECT, BASE = 8192, 96 * MIB


def memory(daemon):
    """What it has in memory that is its own."""
    with open(f"/proc/{daemon.pid}/status", encoding="utf-8") as file:
        facts = dict(line.split(":", 1) for line in file)
    return int(facts["RssAnon"].split()[0]) * 1024


def limited(env, data):
    """From now on the daemon may have so much of memory."""
    wrapper = env.tmp / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec {tool('prlimit')} --data={data} {env.bpfrefs} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    env.bpfrefs = wrapper


def many(env, *words):
    """The helper that makes much; the key of what it made."""
    process, key = start_many(*words)
    env.cleanup(process.wait)
    env.cleanup(process.stdin.close)
    return key


def start_many(*words):
    process = subprocess.Popen([os.environ["MKOBJ"], "many", *map(str, words)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    key = process.stdout.readline().strip()
    check(key, f"many {words} failed")
    return process, key


@contextlib.contextmanager
def descriptors(count):
    """We may have so many, for now."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_many(path, count, opened):
    """Opens a file so often, or until it cannot be: the error then."""
    try:
        for _ in range(count):
            opened.append(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return 0


def others_are_served(daemon, key):
    check(os.listdir(daemon.mnt), "the mirror")
    os.mkdir(daemon.mnt / "d")
    os.rmdir(daemon.mnt / "d")
    check(daemon.read(f"{key}/info"), "info")


def own_memory(env):
    if sanitized(env.bpfrefs):
        raise Skip("a sanitizer's memory is not the daemon's")


def test_reader_of_ten_thousand_files(env):
    """Small ones may all be open; of large ones as many as there is room for."""
    own_memory(env)
    limited(env, 4096 * MIB)  # of which a sixteenth is for texts
    key = many(env, "fds", 3000)
    daemon = env.daemon("-o", "max_age=86400000")
    size, before = len(daemon.read(f"{key}/holders")), memory(daemon)
    room = min(256 * MIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16)
    check(FILES * size > 2 * room, f"the file is too small for this test: {size}")
    opened = []
    with descriptors(FILES + 1000):
        try:
            equal(open_many(daemon.tree / key / "info", FILES, opened), 0, "small files")
            check(memory(daemon) < before + FILES * 8192 + 32 * MIB, "memory for small files")
            others_are_served(daemon, key)
            while opened:
                os.close(opened.pop())
            # readers of one snapshot share the text
            equal(open_many(daemon.tree / key / "holders", FILES, opened), 0, "one large text")
            check(memory(daemon) < before + FILES * 8192 + 32 * MIB, "memory for one large text")
            while opened:
                os.close(opened.pop())
            daemon.stop()
            # each of these has a text of its own
            daemon = env.daemon()
            size, before = len(daemon.read(f"{key}/holders")), memory(daemon)
            equal(open_many(daemon.tree / key / "holders", FILES, opened), errno.ENOMEM, "large ones")
            check(room - 2 * size <= len(opened) * size <= room, f"{len(opened)} times {size}")
            check(memory(daemon) < before + room + 64 * MIB, f"{memory(daemon)}, first {before}")
            others_are_served(daemon, key)
            # what is open stays whole, and there is room again for what was closed
            equal(len(os.pread(opened[7], size + 1, 0)), size, "an open file")
            os.close(opened.pop())
            eventually(lambda: opened.append(reopen(daemon.tree / key / "holders")))
        finally:
            for fd in opened:
                os.close(fd)
    check(daemon.read(f"{key}/holders"), "afterwards")


def reopen(path):
    """The release of what was closed may still be on its way."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise AssertionError(str(error)) from error


def test_pins_and_directories_without_end(env):
    """Open ones are descriptors of the daemon's: others than root get half of them, root not the last."""
    wrapper = env.tmp / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec {tool('prlimit')} --nofile=1024 {env.bpfrefs} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    os.chmod(env.tmp, 0o755)
    env.bpfrefs = wrapper
    daemon, helper = env.daemon("-o", "allow_other,pins=file"), env.helper()
    obj = helper.make("map", "array")
    daemon.write(f"{obj.key}/pin", "x")
    for number in range(900):
        os.mkdir(env.bpffs / f"d{number}")
    code = ("import os, sys\nn = 0\ntry:\n while n < 2000:\n  os.open(sys.argv[1], os.O_RDONLY |"
            " os.O_DIRECTORY)\n  n += 1\nexcept OSError as e:\n print(n, e.errno, flush=True)\n"
            "sys.stdin.read()")
    other = subprocess.Popen([tool("prlimit"), "--nofile=4096", tool("setpriv"), "--reuid=1234",
                              "--regid=1235", "--clear-groups", tool("python3"), "-c", code,
                              daemon.mnt], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        count, number = map(int, other.stdout.readline().split())
        equal(number, errno.EMFILE, "the other user")
        check(300 < count <= 512, f"{count} of 1024")
        # root opens more, and all else goes on
        others_are_served(daemon, obj.key)
        daemon.write(f"{obj.key}/keep", "fd")
        daemon.write(f"{obj.key}/keep", "off")
        opened = []
        equal(open_many(daemon.mnt, 2000, opened), errno.EMFILE, "root")
        check(daemon.lines("holders")[0], "a scan with all but the last descriptors taken")
        check(not records(daemon.read(f"{obj.key}/holders"))[1], "and nothing is missing in it")
        for fd in opened:
            os.close(fd)
    finally:
        other.communicate("")
    # names of directories, which the kernel remembers: three quarters
    taken = sum(looked_up(env, daemon, f"d{x}") for x in range(900))
    check(500 < taken <= 768, f"{taken} directories of 1024")
    check(daemon.lines("holders")[0], "a scan after that")


def looked_up(env, daemon, name):
    """Whether the kernel has got to know that directory, and we keep it so."""
    try:
        fd = os.open(daemon.mnt / name, os.O_PATH)
    except OSError as error:
        equal(error.errno, errno.EMFILE, name)
        return 0
    env.cleanup(os.close, fd)
    return 1


class Flood:
    """Processes that each do a thing all the time, and count how often."""

    def __init__(self, count, action, first=None):
        self.counters = mmap.mmap(-1, count * 8)
        self.pids = []
        for number in range(count):
            pid = os.fork()
            if pid == 0:
                self.run(number, action, first)
            self.pids.append(pid)

    def run(self, number, action, first):
        done = 0
        try:
            if first:
                first()
            while True:
                action()
                done += 1
                struct.pack_into("=Q", self.counters, number * 8, done)
        finally:
            os._exit(1)

    def counts(self):
        return list(struct.unpack(f"={len(self.pids)}Q", self.counters[:len(self.pids) * 8]))

    def end(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        statuses = [os.waitpid(pid, 0)[1] for pid in self.pids]
        check(all(os.WIFSIGNALED(x) for x in statuses), f"some ended by themselves: {statuses}")


def served_between(flood, action):
    """How many of the flood's requests were served while one of ours was."""
    before = sum(flood.counts())
    action()
    return sum(flood.counts()) - before


def test_readers_that_wait_keep_nobody(env):
    """Twice as many readers wait for scans as there are threads: what needs no scan is not behind them
    in a queue."""
    daemon, count = env.daemon(), 64
    key = many(env, "fds", 2000)

    def read():
        fd = os.open(daemon.tree / key / "holders", os.O_RDONLY)
        os.close(fd)

    def mirror():
        os.mkdir(daemon.mnt / "d")
        os.rmdir(daemon.mnt / "d")

    flood = Flood(count, read)
    try:
        eventually(lambda: check(min(flood.counts()) > 0, str(flood.counts())), 60)
        passed = [served_between(flood, mirror) for _ in range(40)]
        # five requests or more: each would wait for all that are before it
        check(statistics.median(passed) < count, f"served meanwhile: {sorted(passed)}")
    finally:
        flood.end()
    print(f"# {statistics.median(passed)} of {count} readers served while the mirror was changed")


def test_writers_that_flood(env):
    """Refused commands without end, and slow ones: others are served, and memory stays where it was."""
    own_memory(env)
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    for name in ("x", "y"):
        daemon.write(f"{obj.key}/pin", name)
    fd = os.open(daemon.tree / obj.key / "keep", os.O_WRONLY)
    command = "unpin " + "y" * 4000

    def refused():
        fails(errno.EPERM, os.write, fd, b"off")

    def slow():
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            daemon.write(f"{obj.key}/unpin", "x")
            daemon.write(f"{obj.key}/pin", "x")

    def wrong():
        fails(errno.ENAMETOOLONG, daemon.write, "control", command)

    before, floods = memory(daemon), []
    try:
        # more of each than there are threads, but for those whose commands take long
        for count, action, first in ((40, refused, drop_admin), (4, slow, None), (40, wrong, None)):
            floods.append(Flood(count, action, first))
        for flood in floods:
            eventually(lambda flood=flood: check(sum(flood.counts()) > 20, str(flood.counts())), 60)
        for _ in range(5):
            others_are_served(daemon, obj.key)
        check(daemon.read(f"{obj.key}/holders"), "a reader")
        daemon.write("control", f"keep {obj.key} fd")  # in its order
        equal(daemon.read(f"{obj.key}/keep"), "fd\n")
        check(memory(daemon) < before + 64 * MIB, f"{memory(daemon)}, first {before}")
        check(len(daemon.read("errors").splitlines()) <= 256, "the log is bounded")
    finally:
        for flood in floods:
            flood.end()
        os.close(fd)
    equal(daemon.read(f"{obj.key}/keep"), "fd\n", "set off by one who may not")
    daemon.write(f"{obj.key}/keep", "off")


def drop_admin():
    """Gives CAP_SYS_ADMIN up, in this process."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    words = list(struct.unpack("=6I", data.raw))
    words[0] &= ~(1 << 21)
    data = ctypes.create_string_buffer(struct.pack("=6I", *words), 24)
    syscall("capset", header, data)


def test_snapshot_beyond_its_share(env):
    """A scan may take an eighth of what the daemon may have. One that would take more fails, and what
    was known stays known; nobody else is kept waiting."""
    own_memory(env)
    limited(env, 256 * MIB)
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    facts = dict(x.split(": ", 1) for x in daemon.read("status").splitlines())
    equal(int(facts["scan_bytes_max"]), 32 * MIB)
    check(0 < int(facts["last_scan_bytes"]) < 8 * MIB, facts["last_scan_bytes"])
    before = memory(daemon)
    with many_for_now("slots", 300000) as key:
        for name in ("holders", "json", f"{key}/refs", "events"):
            fails(errno.ENOMEM, daemon.read, name)
        status = daemon.read("status")
        check("scan_failed: Cannot allocate memory" in status, status)
        check(f"objects: {facts['objects']}\n" in status, "the last snapshot")
        others_are_served(daemon, obj.key)
        check(memory(daemon) < before + 64 * MIB, f"{memory(daemon)}, first {before}")
        daemon.write(f"{obj.key}/keep", "fd")
        daemon.write(f"{obj.key}/keep", "off")
    # the kernel frees them a moment later
    eventually(lambda: os.close(reopen(daemon.tree / "holders")))
    check(f"{obj.key} fd" in daemon.read("holders"), "afterwards")


@contextlib.contextmanager
def many_for_now(*words):
    process, key = start_many(*words)
    try:
        yield key
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_large_graph(env):
    """Every file about the whole system, and one object's, of a graph with very many objects."""
    own_memory(env)
    daemon = env.daemon("-o", "max_age=86400000")
    first = memory(daemon)
    key = many(env, "maps", OBJECTS)
    daemon.stop()
    begun = time.monotonic()
    daemon = env.daemon("-o", "max_age=86400000")
    started = time.monotonic() - begun
    sizes = {}
    for name in ("objects", "holders", "json", "graph.dot", f"{key}/slots", f"{key}/holding"):
        begun = time.monotonic()
        text = daemon.read(name)
        sizes[name] = len(text)
        print(f"# {name}: {len(text) / MIB:.1f} MiB in {time.monotonic() - begun:.2f} s")
        if name == "json":
            check(len(json.loads(text)["objects"]) >= OBJECTS, "json")
        elif name != "graph.dot":
            check(len(text.splitlines()) >= OBJECTS, f"{name}: {len(text.splitlines())} lines")
    peak = int(open(f"/proc/{daemon.pid}/status").read().split("VmHWM:")[1].split()[0]) * 1024
    print(f"# {OBJECTS} objects: up in {started:.1f} s, first {first / MIB:.0f} MiB, "
          f"peak {peak / MIB:.0f} MiB, now {memory(daemon) / MIB:.0f} MiB")
    check(peak < BASE + OBJECTS * BYTES_PER_OBJECT, f"{peak / MIB:.0f} MiB")
    others_are_served(daemon, key)


def test_memory_after_load(env):
    """What many readers at a time take is returned to the kernel afterwards."""
    if sanitized(env.bpfrefs):
        raise Skip("a sanitizer's memory is not the daemon's")
    # meson sets it: malloc(3) then writes to memory that would never be touched
    perturb = os.environ.pop("MALLOC_PERTURB_", None)
    if perturb:
        env.cleanup(os.environ.update, {"MALLOC_PERTURB_": perturb})
    daemon, helper = env.daemon(), env.helper()
    for _ in range(1500):
        helper.make("map", "array")
    daemon.read("json")
    eventually(lambda: check(memory(daemon) < 16 * MIB, f"{memory(daemon) / MIB:.1f} MiB at first"))

    def read():
        for _ in range(5):
            for name in ("json", "objects", "holders"):
                daemon.read(name)
    readers = [threading.Thread(target=read) for _ in range(32)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    print(f"# {memory(daemon) / MIB:.1f} MiB after the last reader")
    eventually(lambda: check(memory(daemon) < 16 * MIB, f"{memory(daemon) / MIB:.1f} MiB still"))


if __name__ == "__main__":
    sys.exit(main(globals()))
