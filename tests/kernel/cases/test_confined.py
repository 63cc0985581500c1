#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing reaches out of SOURCE: here a directory inside a bpffs, next to one with what could be lost.
Tricks with names, and races with somebody who swaps what a name stands for all the time.

SECURITY_SECONDS is how long each race lasts at least; it goes on until both sides of it were met.
"""
import contextlib
import ctypes
import errno
import os
import subprocess
import sys
import time

from harness import MNT_DETACH, check, equal, fails, libc, main, mount, names, umount

SECONDS = float(os.environ.get("SECURITY_SECONDS", "0.5"))
LIMIT = SECONDS + 60
MS_BIND, RENAME_EXCHANGE = 4096, 2

# Swaps two names, each way, until it is ended.
SWAP = """
import ctypes, sys
rename = ctypes.CDLL(None).renameat2
a, b = (x.encode() for x in sys.argv[1:3])
print("going", flush=True)
while True:
    rename(-100, a, -100, b, 2)
"""
# Mounts something on a place and takes it away again, until it is ended.
COVER = """
import ctypes, random, sys, time
libc = ctypes.CDLL(None)
place, what = (x.encode() for x in sys.argv[1:3])
print("going", flush=True)
while True:
    libc.mount(what, place, None, ctypes.c_ulong(4096), None)
    time.sleep(random.random() / 100)
    libc.umount2(place, 2)
"""


def exchange(a, b):
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), RENAME_EXCHANGE) < 0:
        raise OSError(ctypes.get_errno(), f"exchange {a} {b}")


@contextlib.contextmanager
def meanwhile(code, *args):
    """Runs that in parallel."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, args)], text=True,
                               stdout=subprocess.PIPE)
    try:
        equal(process.stdout.readline(), "going\n")
        yield
        check(process.poll() is None, "the racer has died")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class World:
    """SOURCE is <bpffs>/src; <bpffs>/out is what nobody may touch through the mount."""

    def __init__(self, env, *options):
        self.env, self.helper = env, env.helper()
        self.src, self.out = env.bpffs / "src", env.bpffs / "out"
        self.src.mkdir()
        (self.out / "sub").mkdir(parents=True)
        os.chmod(self.out, 0o700)
        self.obj, self.victim = self.helper.make("map", "array"), self.helper.make("map", "array")
        for place in ("victim", "sub/victim", "p"):
            self.helper.do("pin", self.victim.var, self.out / place)
        self.daemon = env.daemon(*options, source=self.src)
        self.mnt = self.daemon.mnt
        self.before = self.state()
        self.results = {}

    def state(self):
        """All that is outside, but for what a mere look changes."""
        found = {}
        for place, dirs, files in os.walk(self.out):
            for name in ["."] + dirs + files:
                facts = os.lstat(os.path.join(place, name))
                found[os.path.join(place, name)] = (
                    facts.st_ino, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_nlink,
                    facts.st_mtime_ns, facts.st_ctime_ns)
        return found

    def untouched(self):
        equal(self.state(), self.before, "outside of SOURCE")

    def attempt(self, action, *args, **kwargs):
        """Tries it, and counts how it went."""
        try:
            action(*args, **kwargs)
            result = "ok"
        except OSError as error:
            result = errno.errorcode[error.errno]
        self.results[result] = self.results.get(result, 0) + 1
        return result

    def command(self, command):
        return self.attempt(self.daemon.write, "control", command)

    def keep(self, mode):
        return self.attempt(self.daemon.write, f"{self.obj.key}/keep", mode)

    def race(self, code, *args, meet):
        """Yields while that goes on, until the time is up and both sides of the race were met: these
        results, and no others but those of names that are or are not there."""
        begun = time.monotonic()
        with meanwhile(code, *args):
            while time.monotonic() < begun + SECONDS or not set(meet) <= set(self.results):
                check(time.monotonic() < begun + LIMIT, f"not {meet}: {self.results}")
                yield
        check(set(self.results) <= set(meet) | {"ENOENT", "EEXIST"}, str(self.results))


def test_names_that_lead_out(env):
    world = World(env)
    (world.src / "d").mkdir()
    (world.src / "up").symlink_to("..")
    (world.src / "absolute").symlink_to(world.out)
    (world.src / "d" / "relative").symlink_to("../../out/sub")
    (world.src / "pin").symlink_to("../out/victim")
    out = os.open(world.out, os.O_PATH)
    env.cleanup(os.close, out)
    (world.src / "self").symlink_to(f"/proc/self/fd/{out}")
    for path in ("../out/x", "d/../../out/x", f"{world.out}/x", "/x", "up/out/x", "absolute/x",
                 "d/relative/x", "self/x", "..", "up/..", "d/..", "d/../x"):
        for command in (f"pin {world.obj.key} {path}", f"unpin {path}"):
            fails(errno.EXDEV, world.daemon.write, "control", command)
    for path in ("absolute/victim", "up/out/victim", "../out/victim", f"{world.out}/victim"):
        fails(errno.EXDEV, world.daemon.write, f"{world.victim.key}/unpin", path)
    # the last component is never followed
    fails(errno.ENOENT, world.daemon.write, "control", "unpin pin")
    fails(errno.EEXIST, world.daemon.write, "control", f"pin {world.victim.key} pin")
    world.untouched()


def test_mounts_over_source(env):
    world = World(env, "-o", "pins=file")
    (world.src / "d").mkdir()
    world.helper.do("pin", world.obj.var, world.src / "p")
    fifo = env.tmp / "fifo"
    os.mkfifo(fifo)
    for place, what in ((world.src / "d", world.out), (world.src / "p", world.out / "victim")):
        mount(what, place, None, MS_BIND)
    for action in ((os.lstat, world.mnt / "d"), (os.mkdir, world.mnt / "d" / "x"),
                   (os.listdir, world.mnt / "d"), (os.lstat, world.mnt / "p"),
                   (os.open, world.mnt / "p", os.O_RDONLY), (os.chmod, world.mnt / "p", 0)):
        fails(errno.EXDEV, *action)
    for command in (f"pin {world.obj.key} d/x", "unpin d/victim", "unpin p"):
        fails(errno.EXDEV, world.daemon.write, "control", command)
    for place in ("d", "p"):
        umount(world.src / place)
    check(os.path.isfile(world.mnt / "p"), "itself again")
    # known to the kernel before something is mounted on it: a FIFO would hold up who opens it
    fd = os.open(world.mnt / "p", os.O_PATH)
    mount(fifo, world.src / "p", None, MS_BIND)
    try:
        result = world.attempt(os.open, f"/proc/self/fd/{fd}", os.O_RDONLY)
        equal(result, "EXDEV", "open of a pin with a FIFO on it")
    finally:
        umount(world.src / "p")
        os.close(fd)
    world.untouched()


def test_directory_moved_out(env):
    """A descriptor of a directory goes on where that goes, and the mirror ends at SOURCE."""
    world = World(env, "-o", "pins=file")
    (world.src / "d" / "e").mkdir(parents=True)
    world.helper.do("pin", world.obj.var, world.src / "d" / "p")
    world.helper.do("pin", world.obj.var, world.src / "q")
    fd = os.open(world.mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    pin = os.open(world.mnt / "d" / "p", os.O_PATH)
    os.rename(world.src / "d", world.out / "moved")
    world.before = world.state()
    tries = (
        (os.mkdir, "x", 0o777), (os.unlink, "p"), (os.rmdir, "e"), (os.symlink, "a", "b"),
        (os.open, "p", os.O_RDONLY), (os.stat, "p"), (os.open, ".", os.O_RDONLY),
        (os.chmod, "p", 0), (os.utime, "e"), (os.mkdir, "e/x", 0o777))
    for action, *args in tries:
        result = world.attempt(action, *args, dir_fd=fd)
        equal(result, "ESTALE", f"{action.__name__} {args} in what was moved out")
    for action, *args in ((os.rename, world.mnt / "q", "q"), (os.link, world.mnt / "q", "q")):
        equal(world.attempt(action, *args, dst_dir_fd=fd), "ESTALE", action.__name__)
    equal(world.attempt(os.rename, "p", world.mnt / "r", src_dir_fd=fd), "ESTALE", "rename out")
    equal(world.attempt(os.open, f"/proc/self/fd/{pin}", os.O_RDONLY), "ESTALE", "open")
    equal(world.attempt(os.fchmod, fd, 0), "ESTALE", "fchmod")
    world.untouched()
    os.rename(world.out / "moved", world.src / "back")
    os.mkdir("x", dir_fd=fd)
    check((world.src / "back" / "x").is_dir(), "it is inside again")
    for number in (fd, pin):
        os.close(number)


def test_race_of_a_directory_and_a_symlink(env):
    """Controls meet the directory or the symlink, and never what that leads to."""
    world = World(env)
    (world.src / "d").mkdir()
    (world.src / "s").symlink_to("../out")
    for _ in world.race(SWAP, world.src / "d", world.src / "s", meet=("ok", "EXDEV")):
        world.command(f"pin {world.obj.key} d/x")
        world.command("unpin d/x")
        world.command("unpin d/victim")
    world.untouched()


def test_race_of_deeper_directories(env):
    """The same one level up, with a symlink to the directory next to SOURCE by an absolute path."""
    world = World(env)
    (world.src / "d" / "sub").mkdir(parents=True)
    (world.src / "s").symlink_to(world.out)
    for _ in world.race(SWAP, world.src / "d", world.src / "s", meet=("ok", "EXDEV")):
        world.command(f"pin {world.obj.key} d/sub/x")
        world.command("unpin d/sub/x")
        world.command("unpin d/sub/victim")
    world.untouched()


def test_race_of_the_mirror(env):
    """Who opens the directory without following symlinks has the directory, and so has the mirror."""
    world = World(env, "-o", "pins=file")
    (world.src / "d").mkdir()
    (world.src / "s").symlink_to("../out")
    for _ in world.race(SWAP, world.src / "d", world.src / "s", meet=("ok", "ENOTDIR")):
        try:
            fd = os.open(world.mnt / "d", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            check(error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ESTALE), str(error))
            world.results["ENOTDIR"] = 1
            continue
        check("victim" not in os.listdir(fd), "it lists what is outside")
        world.attempt(os.mkdir, "x", dir_fd=fd)
        world.attempt(os.rmdir, "x", dir_fd=fd)
        world.attempt(os.unlink, "victim", dir_fd=fd)
        world.attempt(os.rename, "victim", "gone", src_dir_fd=fd, dst_dir_fd=fd)
        os.close(fd)
    world.untouched()


def test_race_of_a_pin_and_a_symlink(env):
    """unpin and reading judge the pin that they found, not what took its name."""
    world = World(env, "-o", "pins=file")
    (world.src / "s").symlink_to("../out/victim")
    world.helper.do("pin", world.obj.var, world.src / "p")
    world.helper.do("pin", world.obj.var, world.src / "more")
    for _ in world.race(SWAP, world.src / "p", world.src / "s", meet=("ok", "ENOENT")):
        if world.attempt(world.daemon.write, f"{world.obj.key}/unpin", "p") == "ok":
            for name in ("p", "s"):
                world.attempt(world.helper.do, "pin", world.obj.var, world.src / name)
        equal(world.attempt(world.daemon.write, f"{world.victim.key}/unpin", "p"), "ENOENT")
    world.untouched()


def test_race_of_mounts(env):
    """Something is mounted on a directory, and gone again, all the time."""
    world = World(env)
    (world.src / "d").mkdir()
    for _ in world.race(COVER, world.src / "d", world.out, meet=("ok", "EXDEV")):
        world.command(f"pin {world.obj.key} d/x")
        world.command("unpin d/x")
        world.command("unpin d/victim")
        world.attempt(os.mkdir, world.mnt / "d" / "y")
        world.attempt(os.rmdir, world.mnt / "d" / "y")
    umount_all(world.src / "d")
    world.untouched()


def umount_all(place):
    with contextlib.suppress(OSError):
        while True:
            umount(place, MNT_DETACH)


def race_of_keeps(env, place, mode):
    """That keep while one of its directories is a symlink at times."""
    world = World(env, "-o", "pins=file")
    array = world.helper.make("map", "prog_array")
    world.obj = array
    for first in ("pin", "auto", "off"):
        equal(world.keep(first), "ok")
    link = world.src / "s"
    link.symlink_to(os.path.relpath(world.out, (world.src / place).parent))
    for _ in world.race(SWAP, world.src / place, link, meet=("ok", "EPERM")):
        world.keep(mode)
        world.keep("off")
    # off where the keep is not to be found leaves it: root alone can have moved it
    world.untouched()
    if (world.src / place).is_symlink():
        exchange(world.src / place, link)
    world.keep("off")
    for kind in ("keep", "auto"):
        equal(names(world.src / "bpfrefs" / kind), [], kind)


def test_race_of_the_keeps_directory(env):
    race_of_keeps(env, "bpfrefs", "pin")


def test_race_of_the_automatic_keeps_directory(env):
    race_of_keeps(env, "bpfrefs/auto", "auto")


def test_keeps_through_symlinks_and_mounts(env):
    world = World(env)
    inner = world.src / "bpfrefs"
    inner.symlink_to("../out")
    fails(errno.EPERM, world.daemon.write, f"{world.obj.key}/keep", "pin")
    os.unlink(inner)
    equal(world.keep("pin"), "ok")
    equal(world.keep("off"), "ok")
    os.rmdir(inner / "keep")
    (inner / "keep").symlink_to("../../out")
    fails(errno.EPERM, world.daemon.write, f"{world.obj.key}/keep", "pin")
    os.unlink(inner / "keep")
    (inner / "keep").mkdir(0o700)
    mount(world.out, inner / "keep", None, MS_BIND)
    try:
        fails(errno.EPERM, world.daemon.write, f"{world.obj.key}/keep", "pin")
    finally:
        umount(inner / "keep")
    equal(world.daemon.read(f"{world.obj.key}/keep"), "off\n")
    world.untouched()


if __name__ == "__main__":
    sys.exit(main(globals()))
