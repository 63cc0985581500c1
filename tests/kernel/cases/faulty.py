# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon whose calls fail on demand (fault.c), requests to it, and what must hold after each.
FAULT_CALLS says what is tried: nothing, each place that calls are made from, once; N, so many places of
each request; 0, each call. FAULT_SEED chooses which, and with which error."""
import collections
import contextlib
import ctypes
import errno
import mmap
import os
import random
import struct

from harness import (MNT_DETACH, MS_BIND, Skip, check, equal, eventually, mount, names, sanitized,
                     umount)
from test_crash import pinned_key, rename

CALLS = os.environ.get("FAULT_CALLS", "")
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.randrange(1, 1 << 32)
# What a request may answer: the error itself, or what the daemon makes of it.
CLEAN = {errno.ENOMEM, errno.EMFILE, errno.EPERM, errno.ENFILE, errno.EACCES, errno.EAGAIN, errno.EIO,
         errno.ESTALE, errno.ENOENT, errno.ESRCH, errno.EOPNOTSUPP}
COUNT, LIST, NTH, PLACE = range(4)


class Site(ctypes.Structure):
    _fields_ = [("hash", ctypes.c_uint64), ("count", ctypes.c_uint64), ("name", ctypes.c_char * 24)]


class Control(ctypes.Structure):
    _fields_ = [("armed", ctypes.c_uint32), ("error", ctypes.c_uint32), ("how", ctypes.c_uint32),
                ("at", ctypes.c_uint64), ("count", ctypes.c_uint64),
                ("site", ctypes.c_uint64), ("failed", ctypes.c_uint64), ("name", ctypes.c_char * 48),
                ("sites", Site * 16384)]


class Fault:
    """One call of a request: which, and what it fails with."""

    def __init__(self, how, at, error, site=0, name="", count=0):
        self.how, self.at, self.error, self.site = how, at, error, site
        self.name, self.count = name, count

    def __str__(self):
        return f"call {self.at} of {self.count} of {self.name or 'all'} " \
               f"fails with {errno.errorcode[self.error]}, seed {SEED}"


class Faults:
    """Daemons into which fault.so is loaded."""

    def __init__(self, env):
        if sanitized(env.bpfrefs):
            raise Skip("a sanitizer wants to be loaded before anything else")
        path = env.tmp / "faults"
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        with open(path, "r+b") as file:
            self.control = Control.from_buffer(mmap.mmap(file.fileno(), 0))
        self.seen, self.rng = set(), random.Random(SEED)
        self.environ = {"LD_PRELOAD": os.environ["FAULT_SO"], "FAULT_CONTROL": str(path)}
        self.daemon = None

    def begin(self, env, *options):
        """The daemon; none of its calls fails yet."""
        os.environ.update(self.environ)
        try:
            self.daemon = env.daemon(*options)
        finally:
            for name in self.environ:
                del os.environ[name]

    def run(self, action, fault=Fault(COUNT, 0, 0)):
        """The action's result or its error, with that fault."""
        self.control.how, self.control.at, self.control.error = fault.how, fault.at, fault.error
        self.control.site, self.control.count, self.control.failed = fault.site, 0, 0
        self.control.name = b""
        self.control.armed = 1
        try:
            return action()
        except OSError as error:
            return error
        finally:
            self.control.armed = 0

    def until_it_fails(self, fault):
        """Once, and once more at the first of its place where there were not as many this time."""
        yield
        if not self.control.failed and fault.at > 1:
            fault.at = 1
            yield

    def sites(self, action):
        """Each place that a request's calls are made from: how often, and the call's name."""
        ctypes.memset(self.control.sites, 0, ctypes.sizeof(self.control.sites))
        self.run(action, Fault(LIST, 0, 0))
        every = struct.iter_unpack("=QQ24s", bytes(self.control.sites))
        return {x: (count, name.split(b"\0")[0].decode()) for x, count, name in every if x}

    def faults(self, action, errors):
        """What to let fail of a request: places that no request before it has had, or as FAULT_CALLS
        says."""
        sites = self.sites(action)
        if CALLS == "0":
            count = self.control.count
            return [Fault(NTH, at, self.rng.choice(errors), count=count) for at in range(1, count + 1)]
        chosen = [x for x in sites if x not in self.seen]
        self.seen.update(chosen)
        if CALLS:
            chosen = self.rng.sample(sorted(sites), min(int(CALLS), len(sites)))
        return [Fault(PLACE, self.rng.randint(1, sites[x][0]), self.rng.choice(errors), x, sites[x][1],
                      sites[x][0]) for x in chosen]


def reads(daemon, obj, helper):
    """Requests that change nothing, each with what must be in the answer unless a gap is shown."""
    key, own = obj.key, f"pid={helper.pid} "
    for name, want in (("holders", f"{key} fd"), ("objects", f"{key} "), ("json", f'"{key}"'),
                       ("at-risk", ""), ("bpffs", str(daemon.source)), ("status", "version"),
                       ("errors", ""), ("graph.dot", f'"{key}"'), ("metrics/bpfrefs.prom", "bpfrefs_"),
                       (f"{key}/info", "prog_array"), (f"{key}/holders", own),
                       (f"{key}/holding", ""), (f"{key}/refs", "refcnt: "), (f"{key}/roots", own),
                       (f"{key}/free.sh", f"kill {helper.pid}\n"), (f"{key}/slots", ""), (f"{key}/keep", "off\n"), (f"{key}/pin", "p\n"),
                       (f"{key}/json", f'"{key}"'), (f"pid/{helper.pid}/holding", f"{key} fd"),
                       (f"pid/{helper.pid}/retains", ""), (f"pid/{helper.pid}/comm", "mkobj")):
        yield name, lambda n=name: daemon.read(n), want
    for name, want in (("map", str(obj.id)), ("pid", str(helper.pid)), (f"pid/{helper.pid}/fd", "")):
        yield f"ls .bpf/{name}", lambda n=name: " ".join(os.listdir(daemon.tree / n)), want
    yield "ls", lambda: " ".join(names(daemon.mnt)), ".bpf bpfrefs d e p u"
    yield "twin", lambda: os.readlink(daemon.mnt / ".p"), f".bpf/{key}"
    yield "pin's link", lambda: os.readlink(daemon.mnt / "p"), str(daemon.source / "p")
    yield "statfs", lambda: str(os.statvfs(daemon.mnt).f_namemax), "255"
    yield "events", lambda: look(daemon), ""


def look(daemon):
    """One poll for a reader of .bpf/events, which gets no change."""
    fd = os.open(daemon.tree / "events", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 4096).decode()
    except BlockingIOError:
        return ""
    finally:
        os.close(fd)


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
    yield "rmdir", lambda: os.rmdir(mnt / "e"), lambda: os.mkdir(mnt / "e")
    yield ("rename", lambda: rename(mnt / "p", mnt / "d" / "r"),
           lambda: rename(mnt / "d" / "r", mnt / "p"))
    yield "symlink", lambda: os.symlink("to", mnt / "s"), lambda: os.unlink(mnt / "s")
    yield ("link", lambda: os.link(mnt / "p", mnt / "l", follow_symlinks=False),
           lambda: os.unlink(mnt / "l"))
    yield "unlink", lambda: os.unlink(mnt / "u"), lambda: daemon.write(f"{key}/pin", "u")
    yield "chmod", lambda: os.chmod(mnt / "d", 0o711), lambda: os.chmod(mnt / "d", 0o755)
    yield "chown", lambda: os.chown(mnt / "d", 7, 8), lambda: os.chown(mnt / "d", 0, 0)
    yield "utimes", lambda: os.utime(mnt / "d", (1, 2)), lambda: os.utime(mnt / "d", (3, 4))


# What makes a name, or changes one, and then fails to look at it for the reply: it is done, as on any
# network file system, and the caller gets the error. (Controls reply with no more than the result.)
LOOKS_AFTERWARDS = ("mkdir", "symlink", "link", "chmod", "chown", "utimes")


def descriptors(daemon):
    """Less those of directories, which come and go as the kernel remembers them."""
    return [x for x in daemon.descriptors() if not x.startswith(f"{daemon.source}/")]


def whole(env, daemon, where):
    """Nothing has leaked, nobody has died."""
    check(daemon.process.poll() is None, f"{where}: the daemon died: {daemon.log_text()}")

    def same():
        now = collections.Counter(descriptors(daemon))
        equal((now - env.before, env.before - now), ({}, {}), f"{where}: descriptors too many, too few")
    eventually(same)


def state(env, daemon, obj):
    """All that a command could have changed: names on the bpffs, a directory's facts, and the keep."""
    found = {}
    for place, dirs, files in os.walk(env.bpffs):
        for name in {*dirs, *files} & set(names(place)):
            path = os.path.join(place, name)
            pin = os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, env.bpffs)] = pinned_key(path) if pin else ""
    st = os.stat(env.bpffs / "d")
    times = (int(st.st_mtime),) if st.st_mtime < 10 else () # the walk above is an access
    return found, (st.st_mode, st.st_uid, st.st_gid, *times), daemon.read(f"{obj.key}/keep")


def world(env, *options):
    """Objects, and a daemon that has seen them: the faults, the helper, the array."""
    helper = env.helper()
    obj = helper.make("map", "prog_array")
    helper.make("prog", "socket_filter", maps=obj)
    for name in ("d", "e"):
        (env.bpffs / name).mkdir()
    for name in ("p", "u"):
        helper.do("pin", obj.var, env.bpffs / name)
    if "--source=proc" in options:
        hide_crowds(env)
    faults = Faults(env)
    faults.begin(env, *options)
    for mode in ("pin", "auto", "off"): # the directories are there from now on
        faults.daemon.write(f"{obj.key}/keep", mode)
    look(faults.daemon) # and the thread that looks for readers
    env.before = collections.Counter(descriptors(faults.daemon))
    return faults, helper, obj


def hide_crowds(env):
    """Processes with very many descriptors are nothing to this test, and procfs is read one by one: from
    here on they are not to be seen in our mount namespace, which the daemon shares."""
    empty = env.tmp / "empty"
    empty.mkdir()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(pid) != os.getpid() and len(os.listdir(f"/proc/{pid}/fd")) > 40:
                mount(empty, f"/proc/{pid}", None, MS_BIND)
                env.cleanup(unhide, pid)


def unhide(pid):
    with contextlib.suppress(OSError): # what is mounted on it ends with the process
        umount(f"/proc/{pid}", MNT_DETACH)


def try_reads(env, faults, requests, choose):
    """Each read with each fault that is chosen for it: how many failed, and how often that was felt."""
    tried = felt = 0
    for request in requests:
        for fault in choose(faults, request[1]):
            for _ in faults.until_it_fails(fault):
                felt += try_read(env, faults, request, fault)
            tried += faults.control.failed > 0
        again = request[1]()
        check(request[2] in again, f"{request[0]} afterwards: {again}")
    return tried, felt


def try_read(env, faults, request, fault):
    """One read with a fault in it. True if the fault was felt."""
    name, action, want = request
    got = faults.run(action, fault)
    where = f"{name}: {fault} ({faults.control.name.decode()})"
    if isinstance(got, OSError):
        check(got.errno in CLEAN, f"{where}: {got}")
    elif want not in got:
        # what may not be read is missing from a directory, as from one of procfs
        check(name == "ls .bpf/pid" and fault.error == errno.EPERM or "# " in got or "?" in got or "off" in got, f"{where}: wrong, and no gap shown:\n{got}")
    whole(env, faults.daemon, where)
    return isinstance(got, OSError) or want not in got


def try_changes(env, faults, obj, choose):
    """Each change with each fault that is chosen for it: how many failed, how many were refused."""
    tried = refused = 0
    for request in changes(faults.daemon, obj):
        change = Change(env, faults, obj, request)
        chosen = choose(faults, change.action)
        change.back()
        for fault in chosen:
            for _ in faults.until_it_fails(fault):
                refused += change.attempt(fault)
            tried += faults.control.failed > 0
        if " to " in change.name:
            faults.daemon.write(f"{obj.key}/keep", "off")
    return tried, refused


class Change:
    """One request that changes something, and what was so before it and is after it."""

    def __init__(self, env, faults, obj, request):
        self.env, self.faults, self.obj = env, faults, obj
        self.name, self.action, self.back = request
        if " to " in self.name or self.name == "utimes":
            self.back()
        self.before = self.state()
        self.action()
        self.after = self.state()
        check(self.before != self.after, f"{self.name} does nothing")
        self.back()
        env.before = collections.Counter(descriptors(faults.daemon)) # a keep may be one of them

    def state(self):
        return state(self.env, self.faults.daemon, self.obj)

    def attempt(self, fault):
        """With a fault in it. True if it was refused."""
        got = self.faults.run(self.action, fault)
        where = f"{self.name}: {fault} ({self.faults.control.name.decode()})"
        if isinstance(got, OSError):
            check(got.errno in CLEAN, f"{where}: {got}")
        now = self.state()
        if not (got and now == self.after and self.name in LOOKS_AFTERWARDS):
            equal(now, self.before if got else self.after, f"half done: {where}: {got}")
            if got:
                self.action()
            equal(self.state(), self.after, f"after {where}")
        self.back()
        equal(self.state(), self.before, f"taken back after {where}")
        whole(self.env, self.faults.daemon, where)
        return got is not None
