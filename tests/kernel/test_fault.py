#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon to the kernel fail, one at a time, in the midst of each kind of request: it
answers with an error, or rightly, or says what it could not learn; a command has happened or it has
not; nothing leaks; and the next request finds everything as it was. FAULT_CALLS says how many calls
of each request are tried (0: each), FAULT_SEED which."""
import collections
import ctypes
import errno
import mmap
import os
import random
import sys

from harness import Skip, check, equal, eventually, main, names, sanitized
from test_crash import pinned_key, rename

CALLS = int(os.environ.get("FAULT_CALLS", "5"))
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.randrange(1, 1 << 32)
ERRORS = (errno.ENOMEM, errno.EMFILE, errno.EPERM)
# What a request may answer: the error itself, or what the daemon makes of it.
CLEAN = {*ERRORS, errno.ENFILE, errno.EACCES, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ENOENT,
         errno.ESRCH, errno.EOPNOTSUPP}


class Control(ctypes.Structure):
    _fields_ = [("armed", ctypes.c_uint32), ("error", ctypes.c_uint32), ("at", ctypes.c_uint64),
                ("count", ctypes.c_uint64), ("name", ctypes.c_char * 48)]


class Faults:
    """A daemon into which fault.so is loaded."""

    def __init__(self, env, *options):
        if sanitized(env.bpfrefs):
            raise Skip("a sanitizer wants to be loaded before anything else")
        path = env.tmp / "faults"
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        with open(path, "r+b") as file:
            self.control = Control.from_buffer(mmap.mmap(file.fileno(), 0))
        os.environ.update(LD_PRELOAD=os.environ["FAULT_SO"], FAULT_CONTROL=str(path))
        try:
            self.daemon = env.daemon(*options)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["FAULT_CONTROL"]

    def run(self, action, at=0, error=0):
        """The action's result or its error, with the call number @at failing."""
        self.control.at, self.control.count, self.control.error = at, 0, error
        self.control.name = b""
        self.control.armed = 1
        try:
            return action()
        except OSError as caught:
            return caught
        finally:
            self.control.armed = 0


def reads(daemon, obj, helper):
    """Requests that change nothing, each with what must be in the answer unless a gap is told."""
    key, own = obj.key, f"pid={helper.pid} "
    for name, want in (("holders", f"{key} fd"), ("objects", f"{key} "), ("json", f'"{key}"'),
                       ("at-risk", ""), ("bpffs", str(daemon.source)), ("status", "version"),
                       ("errors", ""), (f"{key}/info", "prog_array"), (f"{key}/holders", own),
                       (f"{key}/refs", "refcnt: "), (f"{key}/roots", own), (f"{key}/slots", ""),
                       (f"{key}/keep", "off\n"), (f"{key}/pin", "p\n"), (f"{key}/json", f'"{key}"'),
                       (f"pid/{helper.pid}/holding", f"{key} fd"),
                       (f"pid/{helper.pid}/retains", ""), (f"pid/{helper.pid}/comm", "mkobj")):
        yield name, lambda n=name: daemon.read(n), want
    yield "ls .bpf/map", lambda: " ".join(os.listdir(daemon.tree / "map")), str(obj.id)
    yield "ls", lambda: " ".join(names(daemon.mnt)), ".bpf bpfrefs d p"
    yield "twin", lambda: os.readlink(daemon.mnt / ".p"), f".bpf/{key}"
    yield "pin's link", lambda: os.readlink(daemon.mnt / "p"), str(daemon.source / "p")


def changes(daemon, obj):
    """Requests that change something, each with the one that takes it back."""
    key, mnt = obj.key, daemon.mnt
    for mode in ("fd", "pin", "auto"):
        yield (f"keep {mode}", lambda m=mode: daemon.write(f"{key}/keep", m),
               lambda: daemon.write(f"{key}/keep", "off"))
    for one, other in (("pin", "auto"), ("auto", "fd"), ("fd", "pin"), ("pin", "off")):
        yield (f"keep {one} to {other}", lambda o=other: daemon.write(f"{key}/keep", o),
               lambda o=one: daemon.write(f"{key}/keep", o))
    yield ("pin", lambda: daemon.write(f"{key}/pin", "d/q"),
           lambda: daemon.write("control", "unpin d/q"))
    yield ("unpin", lambda: daemon.write(f"{key}/unpin", "p"),
           lambda: daemon.write(f"{key}/pin", "p"))
    yield "mkdir", lambda: os.mkdir(mnt / "new"), lambda: os.rmdir(mnt / "new")
    yield "rename", lambda: rename(mnt / "p", mnt / "d" / "r"), lambda: rename(mnt / "d" / "r",
                                                                             mnt / "p")
    yield "symlink", lambda: os.symlink("to", mnt / "s"), lambda: os.unlink(mnt / "s")


# What makes a name and then fails to look at it for the reply: the name is there, as on any network
# file system, and the caller is told the error. (Controls reply with no more than the result.)
LOOKS_AFTERWARDS = ("mkdir", "symlink")


def numbers(faults, action, rng):
    """Which calls of a request to let fail."""
    faults.run(action)
    count = faults.control.count
    all_of_them = range(1, count + 1)
    return count, all_of_them if not CALLS else rng.sample(all_of_them, min(CALLS, count))


def descriptors(daemon):
    """Less those of directories, which come and go as the kernel remembers them."""
    return [x for x in daemon.descriptors() if not x.startswith(f"{daemon.source}/")]


def whole(env, daemon):
    """Nothing has leaked, nobody has died."""
    check(daemon.process.poll() is None, f"the daemon died: {daemon.log_text()}")

    def same():
        now = collections.Counter(descriptors(daemon))
        equal((now - env.before, env.before - now), ({}, {}), "descriptors too many, too few")
    eventually(same)


def state(env, daemon, obj):
    """All that a command could have changed: names on the bpffs, and the keep."""
    found = {}
    for place, dirs, files in os.walk(env.bpffs):
        for name in {*dirs, *files} & set(names(place)):
            path = os.path.join(place, name)
            pin = os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, env.bpffs)] = pinned_key(path) if pin else ""
    return found, daemon.read(f"{obj.key}/keep")


def world(env, *options):
    helper = env.helper()
    obj = helper.make("map", "prog_array")
    helper.make("prog", "socket_filter", maps=obj)
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "p")
    faults = Faults(env, *options)
    for mode in ("pin", "auto", "off"): # the directories are there from now on
        faults.daemon.write(f"{obj.key}/keep", mode)
    env.before = collections.Counter(descriptors(faults.daemon))
    return faults, helper, obj


def read_faults(env, *options):
    faults, helper, obj = world(env, *options)
    rng, tried, told = random.Random(SEED), 0, 0
    for name, action, want in reads(faults.daemon, obj, helper):
        count, chosen = numbers(faults, action, rng)
        for at in chosen:
            error = rng.choice(ERRORS)
            got = faults.run(action, at, error)
            where = f"{name}, call {at} of {count} ({faults.control.name.decode()}) " \
                    f"fails with {errno.errorcode[error]}, seed {SEED}"
            if isinstance(got, OSError):
                check(got.errno in CLEAN, f"{where}: {got}")
            elif want not in got:
                check("# " in got or "?" in got or "off" in got, f"{where}: wrong, and no gap told:\n{got}")
            told += isinstance(got, OSError) or want not in got
            tried += 1
            whole(env, faults.daemon)
            again = action()
            check(want in again, f"after {where}: {again}")
    print(f"# seed {SEED}: {tried} calls failed, {told} answers said so")
    check(told, "no fault was ever felt")


def test_reads(env):
    read_faults(env)


def test_reads_by_procfs(env):
    read_faults(env, "--source=proc")


def test_changes(env):
    faults, _, obj = world(env)
    daemon, rng, tried, refused = faults.daemon, random.Random(SEED), 0, 0
    for name, action, back in changes(daemon, obj):
        if " to " in name:
            back()
        before = state(env, daemon, obj)
        count, chosen = numbers(faults, action, rng)
        after = state(env, daemon, obj)
        check(before != after, f"{name} does nothing")
        back()
        env.before = collections.Counter(descriptors(daemon)) # a keep may be one of them
        for at in chosen:
            error = rng.choice(ERRORS)
            got = faults.run(action, at, error)
            where = f"{name}, call {at} of {count} ({faults.control.name.decode()}) " \
                    f"fails with {errno.errorcode[error]}, seed {SEED}"
            if isinstance(got, OSError):
                check(got.errno in CLEAN, f"{where}: {got}")
            now = state(env, daemon, obj)
            refused += got is not None
            if not (got and now == after and name in LOOKS_AFTERWARDS):
                equal(now, before if got else after, f"half done: {where}: {got}")
                if got:
                    action()
                equal(state(env, daemon, obj), after, f"after {where}")
            back()
            equal(state(env, daemon, obj), before, f"taken back after {where}")
            tried += 1
            whole(env, daemon)
        if " to " in name:
            daemon.write(f"{obj.key}/keep", "off")
    print(f"# seed {SEED}: {tried} calls failed, {refused} commands were refused for it")
    check(refused, "no fault was ever felt")


if __name__ == "__main__":
    sys.exit(main(globals()))
