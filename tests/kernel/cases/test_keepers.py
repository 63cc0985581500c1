#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who keeps a bpffs that only other mount namespaces reach, or none: every way there is. The kernel
judges: with one of two keepers gone the pinned map is still there, with both gone it is freed."""
import array
import ctypes
import errno
import os
import re
import signal
import socket
import subprocess
import sys

from harness import (CLONE_NEWNS, MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC, check, equal, eventually,
                     libc, main, mount, umount)
from machine import NUMBERS

SYS_OPEN_TREE, OPEN_TREE_CLONE, AT_RECURSIVE, AT_FDCWD = 428, 1, 0x8000, -100


def must_be(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def setns(fd):
    must_be(libc.setns(fd, CLONE_NEWNS))


def own_namespace():
    must_be(libc.unshare(CLONE_NEWNS))
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def open_tree(path, flags=0):
    return must_be(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path),
                                OPEN_TREE_CLONE | flags))


class Child:
    """A process that does something once and then waits. It has no descriptor but those it opens."""

    def __init__(self, env, action):
        ready, done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(done, 3)
                os.closerange(4, 4096)
                action()
                os.write(3, b"x")
                os.close(3)
                while True:
                    signal.pause()
            except OSError as error:
                print(f"# child: {error}", flush=True)
            finally:
                os._exit(1)
        env.cleanup(self.end)
        os.close(done)
        answer = os.read(ready, 1)
        os.close(ready)
        equal(answer, b"x", "the child could not do it")

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Opened:
    """A descriptor of the test itself."""

    def __init__(self, env, fd):
        self.pid, self.fd = os.getpid(), fd
        env.cleanup(self.end)

    def end(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Script:
    """A python of its own, for what threads do."""

    def __init__(self, env, text, *args):
        self.process = subprocess.Popen([sys.executable, "-c", text, *map(str, args)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        env.cleanup(self.end)
        equal(self.process.stdout.readline(), "ready\n", "the script")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def pinned_elsewhere(env, *options):
    """A map that nothing holds but a pin in a bpffs of the helper's own mount namespace."""
    daemon, helper = env.daemon(*options), env.helper()
    place = env.tmp / "elsewhere"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array", name="kept")
    helper.do("pin", obj.var, place / "x")
    obj.close()
    return daemon, helper, place, obj


def retained(daemon, pid, obj):
    """What the process's end would do to the object: freed, cleared, or None. A process that holds
    nothing which would go with it need not be listed."""
    try:
        lines = daemon.lines(f"pid/{pid}/retains")[0]
    except FileNotFoundError:
        return None
    for line in lines:
        if line.split(" ", 1)[0] == obj.key:
            return re.search(r" effect=(\S+)", line)[1]
    return None


def named(daemon, obj):
    """The processes in the sentence."""
    return sorted(int(x) for x in re.findall(r"pid (\d+) ", daemon.pairs(f"{obj.key}/refs")["because"]))


def check_two(daemon, obj, one, other):
    def look():
        equal(named(daemon, obj), sorted([one, other]), "who keeps it")
        for pid in (one, other):
            equal(retained(daemon, pid, obj), None, f"with pid {pid} alone nothing goes")
    eventually(look)


def check_one(daemon, obj, pid):
    def look():
        equal(named(daemon, obj), [pid], "who keeps it")
        equal(retained(daemon, pid, obj), "freed", f"pid {pid} alone keeps it")
    eventually(look)


def check_keeper(env, keep):
    """@keep gives something with pid and end() that keeps the namespace, or its bpffs, too."""
    daemon, helper, place, obj = pinned_elsewhere(env)
    check_one(daemon, obj, helper.pid)
    keeper = keep(env, helper, f"/proc/{helper.pid}/root{place}")
    check_two(daemon, obj, helper.pid, keeper.pid)
    helper.end()
    check_one(daemon, obj, keeper.pid)
    keeper.end()
    daemon.gone(obj)


def check_stays(env, keep):
    """The same of what no process is known to keep: nothing is freed with the helper."""
    daemon, helper, place, obj = pinned_elsewhere(env)
    check_one(daemon, obj, helper.pid)
    keeper = keep(env, helper, f"/proc/{helper.pid}/root{place}")

    def look():
        equal(retained(daemon, helper.pid, obj), None, "it stays")
        equal(daemon.row(obj.key)["state"], "held")
    eventually(look)
    helper.end()

    def still():
        equal(daemon.row(obj.key)["state"], "held")
        equal(daemon.row(obj.key)["unexplained"], "0")
    eventually(still)
    keeper.end()
    daemon.gone(obj)


# ------------------------------------------------------------- the namespace ---

def join_namespace(helper):
    fd = os.open(f"/proc/{helper.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    setns(fd)
    os.close(fd)


def test_another_process(env):
    check_keeper(env, lambda env, helper, place: Child(env, lambda: join_namespace(helper)))


THREAD = """
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def enter():
    fd = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
    assert libc.unshare(0x200) == 0 and libc.setns(fd, 0x20000) == 0, ctypes.get_errno()
    os.close(fd)
    os.write(1, b"ready\\n")
    time.sleep(1000)
thread = threading.Thread(target=enter)
thread.start()
if len(sys.argv) > 2: # exit(2) of the main thread, which stays a zombie
    libc.syscall(int(sys.argv[2]), 0)
thread.join()
"""


def test_thread(env):
    check_keeper(env, lambda env, helper, place: Script(env, THREAD, helper.pid))


def test_thread_of_a_zombie(env):
    check_keeper(env, lambda env, helper, place: Script(env, THREAD, helper.pid, NUMBERS["exit"]))


def opening(path, flags=os.O_RDONLY):
    """What keeps a thing by a descriptor of a path below /proc/PID of the helper, or of the bpffs."""
    return lambda env, helper, place: Opened(env, os.open(
        f"/proc/{helper.pid}/{path}" if path else place, flags | os.O_CLOEXEC))


def test_descriptor_of_the_namespace(env):
    check_keeper(env, opening("ns/mnt"))


def test_path_descriptor_of_the_namespace(env):
    check_keeper(env, opening("ns/mnt", os.O_PATH))


def test_open_mountinfo(env):
    check_keeper(env, opening("mountinfo"))


class Bound:
    """A bind mount of a mount namespace's file, here."""

    def __init__(self, env, helper):
        self.target = env.tmp / "ns"
        self.target.touch()
        mount(f"/proc/{helper.pid}/ns/mnt", self.target, None, MS_BIND)
        env.cleanup(self.end)

    def end(self):
        if self.target:
            umount(self.target)
            self.target = None


def processors(env):
    """Only an older namespace may have a bind mount of a newer one's file (mnt_ns_loop()), and which is
    older is a number that each processor gives out of its own (gen_cookie_next(), 6.18). So makes us run
    on one after another."""
    allowed = os.sched_getaffinity(0)
    env.cleanup(os.sched_setaffinity, 0, allowed)
    for processor in sorted(allowed):
        os.sched_setaffinity(0, {processor})
        yield processor


def test_bind_mount_here(env):
    target = env.tmp / "try"
    target.touch()
    for _ in processors(env):
        newer = Child(env, own_namespace)
        try:
            mount(f"/proc/{newer.pid}/ns/mnt", target, None, MS_BIND)
        except OSError as error:
            equal(error.errno, errno.EINVAL)
            continue
        umount(target)
        break
    check_stays(env, lambda env, helper, place: Bound(env, helper))


def in_a_third_namespace(env):
    """What keeps a namespace by a bind mount of its file in an older one."""
    next(processors(env))
    target = env.tmp / "third"
    target.touch()
    older = Child(env, own_namespace)

    def bind(env, helper, _place):
        def enter():
            join_namespace(older)
            mount(f"/proc/{helper.pid}/ns/mnt", target, None, MS_BIND)
        keeper = Child(env, enter)
        older.end()
        return keeper
    return bind


def test_bind_mount_in_a_third_namespace(env):
    check_keeper(env, in_a_third_namespace(env))


# ---------------------------------------------------- the bpffs, while mounted ---

def test_working_directory(env):
    check_keeper(env, lambda env, helper, place: Child(env, lambda: os.chdir(place)))


def test_root_directory(env):
    check_keeper(env, lambda env, helper, place: Child(env, lambda: os.chroot(place)))


def test_open_directory(env):
    check_keeper(env, opening("", os.O_RDONLY | os.O_DIRECTORY))


def test_path_descriptor(env):
    check_keeper(env, opening("", os.O_PATH))


def clone_in(helper, place, flags):
    """Only a process in the namespace may clone a mount of it."""
    there = os.open(f"/proc/{helper.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    path = place.split("/root", 1)[1]
    setns(there)
    tree = open_tree(os.path.dirname(path) if flags else path, flags)
    setns(here)
    os.close(there)
    os.close(here)
    return tree


def test_clone_of_a_mount(env):
    check_keeper(env, lambda env, helper, place: Child(env, lambda: clone_in(helper, place, 0)))


def test_clone_of_a_tree(env):
    check_keeper(env, lambda env, helper, place: Child(
        env, lambda: clone_in(helper, place, AT_RECURSIVE)))


def check_in_flight(env, get):
    """A descriptor in a message, where no walk searches: the kernel's counts show it."""
    kept = []

    def keep(env, helper, place):
        def action():
            fd = get(helper, place)
            ends = socket.socketpair()
            ends[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            os.close(fd)
            kept.append(ends)
        return Child(env, action)
    check_stays(env, keep)


def test_clone_in_flight(env):
    check_in_flight(env, lambda helper, place: clone_in(helper, place, AT_RECURSIVE))


def test_descriptor_in_flight(env):
    """The same of a directory in it, while the namespace is there."""
    check_in_flight(env, lambda _helper, place: os.open(
        place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


# --------------------------------------------------------- a detached bpffs ---

def check_detached(env, keep):
    """A program array that an attached program uses, pinned in a bpffs that is mounted nowhere."""
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "detached"
    place.mkdir()
    mount("bpf", place, "bpf")
    obj = helper.make("map", "prog_array", name="kept")
    user = helper.make("prog", "raw_tracepoint", name="user", maps=[obj])
    target = helper.make("prog", "raw_tracepoint", name="target")
    helper.make("link", "raw_tp", user, "task_newtask")
    helper.do("slot", obj.var, 0, target.var)
    helper.do("pin", obj.var, place / "x")
    number = os.stat(place).st_dev
    obj.close()
    keeper = keep(env, place)
    umount(place, MNT_DETACH)

    def look():
        row = daemon.row(obj.key)
        equal(row["state"], "at-risk", row["because"])
        check(f"pid {keeper.pid} " in row["because"], row["because"])
        equal(retained(daemon, keeper.pid, obj), "cleared")
        instance = f"{os.major(number)}:{os.minor(number)} "
        line = next(x for x in daemon.lines("bpffs")[0] if x.startswith(instance))
        check(" state=detached " in line and line.endswith(f" pid={keeper.pid}"), line)
    eventually(look)
    keeper.end()
    eventually(lambda: equal(daemon.row(obj.key)["state"], "cleared"))
    eventually(lambda: equal(daemon.read(f"{obj.key}/slots"), "", "the kernel clears it by a work"))


def test_detached_working_directory(env):
    check_detached(env, lambda env, place: Child(env, lambda: os.chdir(place)))


def test_detached_root_directory(env):
    check_detached(env, lambda env, place: Child(env, lambda: os.chroot(place)))


def test_detached_open_directory(env):
    check_detached(env, lambda env, place: Child(env, lambda: os.open(place, os.O_RDONLY)))


def test_detached_path(env):
    check_detached(env, lambda env, place: Child(env, lambda: os.open(place / "x", os.O_PATH)))


def test_detached_clone(env):
    check_detached(env, lambda env, place: Child(env, lambda: open_tree(place)))


# ------------------------------------------------------------ changed roots ---

def test_first_process_with_another_root(env):
    """The first process of the namespace sees nothing of it; another one does."""
    daemon = env.daemon()
    place, jail = env.tmp / "behind", env.tmp / "jail"
    place.mkdir()
    jail.mkdir()

    def action():
        own_namespace()
        mount("bpf", place, "bpf")
        os.chroot(jail)
    first = Child(env, action)

    # setns(2) gives it the root directory of the namespace
    second = Child(env, lambda: join_namespace(first))
    helper = env.helper()
    obj = helper.make("map", "array", name="behind")
    helper.do("pin", obj.var, f"/proc/{second.pid}/root{place}/x")
    obj.close()

    def look():
        line = daemon.lines(f"{obj.key}/holders")[0][0]
        check(" path=? inner=/x " in line and line.endswith(f" pid={second.pid}"), line)
        number = os.stat(f"/proc/{second.pid}/root{place}").st_dev
        bpffs = next(x for x in daemon.lines("bpffs")[0]
                     if x.startswith(f"{os.major(number)}:{os.minor(number)} "))
        check(f" pid={second.pid} path={place}" in bpffs, bpffs)
    eventually(look)
    second.end()

    def hidden():
        line = daemon.lines(f"{obj.key}/holders")[0][0]
        check(" path=? inner=/x " in line and " pid=" not in line, line)
        equal(retained(daemon, first.pid, obj), "freed")
    eventually(hidden)
    first.end()
    daemon.gone(obj)


# ------------------------------------------------------------------ procfs ---

def check_procfs(env, keep):
    """Without walkers the keepers that procfs shows are named as well, and what is not shown is said."""
    daemon, helper, place, obj = pinned_elsewhere(env, "--source=proc")
    check_named(daemon, obj, helper.pid)
    keeper = keep(env, helper, f"/proc/{helper.pid}/root{place}")
    check_named(daemon, obj, helper.pid, keeper.pid)
    check(any(x.startswith("# pin: partial: ") for x in daemon.lines(f"{obj.key}/refs")[1]),
          "class pin is not complete")
    keeper.end()
    check_named(daemon, obj, helper.pid)
    helper.end()
    daemon.gone(obj)


def check_named(daemon, obj, *pids):
    eventually(lambda: equal(named(daemon, obj), sorted(pids), "who keeps it"))


def test_procfs_process(env):
    check_procfs(env, lambda env, helper, place: Child(env, lambda: join_namespace(helper)))


def test_procfs_thread(env):
    check_procfs(env, lambda env, helper, place: Script(env, THREAD, helper.pid))


def test_procfs_thread_of_a_zombie(env):
    check_procfs(env, lambda env, helper, place: Script(env, THREAD, helper.pid, NUMBERS["exit"]))


def test_procfs_descriptor(env):
    check_procfs(env, opening("ns/mnt"))


def test_procfs_directories(env):
    def keep(env, _helper, place):
        return Child(env, lambda: os.chdir(place) or os.open(place, os.O_RDONLY))
    check_procfs(env, keep)


def test_procfs_bind_mount(env):
    check_procfs(env, in_a_third_namespace(env))


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
