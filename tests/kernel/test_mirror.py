#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The mirror against bpffs itself: the same random operations on a mirrored bpffs and on a plain
one must give the same errno each time, and the same trees."""
import ctypes
import errno
import os
import random
import stat
import sys

from harness import MNT_DETACH, check, equal, fails, libc, main, mount, names, umount

SEED = int(os.environ.get("SEED", "20250101"))
STEPS = int(os.environ.get("STEPS", "4000"))
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
POOL = ["a", "b", "c", "p0", "p1", "p2", "x.y", "..z", "n" * 255, "n" * 256]


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), ctypes.c_uint(flags)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_close(path, flags):
    os.close(os.open(path, flags, 0o600))


def facts(path):
    """What stat says that does not depend on the instance or the time."""
    found = os.stat(path)
    return (stat.S_IFMT(found.st_mode), found.st_mode & 0o7777, found.st_uid, found.st_gid,
            found.st_nlink, found.st_size if stat.S_ISREG(found.st_mode) else 0)


def listing(path):
    with os.scandir(path) as entries:
        return sorted((e.name, e.is_dir()) for e in entries
                      if e.name not in (".bpf", "maps.debug", "progs.debug"))


def xattr(path, name, follow=True):
    return os.getxattr(path, name, follow_symlinks=follow)


# The name, and what to do with the paths x and y of one side and a random number n.
OPERATIONS = [
    ("mkdir", lambda x, y, n: os.mkdir(x, n & 0o7777 | 0o700)),
    ("mkdir", lambda x, y, n: os.mkdir(x)),
    ("rmdir", lambda x, y, n: os.rmdir(x)),
    ("unlink", lambda x, y, n: os.unlink(x)),
    ("rename", lambda x, y, n: os.rename(x, y)),
    ("rename", lambda x, y, n: os.rename(x, y)),
    ("noreplace", lambda x, y, n: renameat2(x, y, NOREPLACE)),
    ("exchange", lambda x, y, n: renameat2(x, y, EXCHANGE)),
    ("whiteout", lambda x, y, n: renameat2(x, y, WHITEOUT)),
    ("both", lambda x, y, n: renameat2(x, y, NOREPLACE | EXCHANGE)),
    ("link", lambda x, y, n: os.link(x, y, follow_symlinks=False)),
    ("symlink", lambda x, y, n: os.symlink("a" * (n % 300), x)),
    ("chmod", lambda x, y, n: os.chmod(x, n & 0o1777 | 0o700)),
    ("chown", lambda x, y, n: os.chown(x, n % 3, n % 5)),
    ("utime", lambda x, y, n: os.utime(x, (n, n))),
    ("truncate", lambda x, y, n: os.truncate(x, n % 100)),
    ("stat", lambda x, y, n: facts(x)),
    ("listing", lambda x, y, n: listing(x)),
    ("access", lambda x, y, n: os.access(x, n & 7)),
    ("create", lambda x, y, n: open_close(x, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
    ("mknod", lambda x, y, n: os.mknod(x, stat.S_IFREG | 0o600)),
    ("fifo", lambda x, y, n: os.mkfifo(x)),
    ("device", lambda x, y, n: os.mknod(x, stat.S_IFCHR | 0o600, os.makedev(1, 3))),
    ("directory", lambda x, y, n: open_close(x, os.O_RDONLY | os.O_DIRECTORY)),
    ("getxattr", lambda x, y, n: xattr(x, "user.x")),
    ("setxattr", lambda x, y, n: os.setxattr(x, "user.x", b"1")),
    ("trusted", lambda x, y, n: os.setxattr(x, "trusted.x", b"1")),
    ("listxattr", lambda x, y, n: os.listxattr(x)),
    ("removexattr", lambda x, y, n: os.removexattr(x, "user.x")),
    ("readlink", lambda x, y, n: None),
]


def outcome(action, *args):
    try:
        return action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def tree(top):
    """Every name below, with its facts."""
    found = {}
    for where, directories, files in os.walk(top):
        directories[:] = [d for d in directories if d != ".bpf"]
        for name in directories + files:
            path = os.path.join(where, name)
            if name not in ("maps.debug", "progs.debug"):
                found[os.path.relpath(path, top)] = outcome(facts, path)
    return found


def differ(env, mode):
    other = env.tmp / "plain"
    other.mkdir()
    mount("bpf", other, "bpf")
    env.cleanup(umount, other, MNT_DETACH)
    helper = env.helper()
    maps = [helper.make("map", "array") for _ in range(3)]
    daemon = env.daemon("-o", f"pins={mode}")
    dice = random.Random(SEED)

    def path():
        return "/".join(dice.choice(POOL) if dice.random() < 0.2 else dice.choice(POOL[:6])
                        for _ in range(dice.choice((1, 1, 2, 2, 3))))

    for step in range(STEPS):
        if step % 50 == 0:
            for number, obj in enumerate(maps):
                for top in (env.bpffs, other):
                    if not os.path.lexists(top / f"p{number}"):
                        helper.do("pin", obj.var, top / f"p{number}")
        name, action = dice.choice(OPERATIONS)
        x, y, number = path(), path(), dice.randrange(1 << 16)
        got = outcome(action, daemon.mnt / x, daemon.mnt / y, number)
        want = outcome(action, other / x, other / y, number)
        equal(got, want, f"seed {SEED} step {step}: {name} {x[:40]} {y[:40]} {number:o}")
        if step % 200 == 0:
            equal(tree(daemon.mnt), tree(other), f"seed {SEED} step {step}: trees")
    equal(tree(daemon.mnt), tree(other), f"seed {SEED}: trees at the end")
    equal(tree(env.bpffs), tree(other), f"seed {SEED}: SOURCE at the end")


def test_random_operations_pins_symlink(env):
    differ(env, "symlink")


def test_random_operations_pins_file(env):
    differ(env, "file")


def test_pin_is_a_symlink(env):
    helper = env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "d" / "x")
    daemon = env.daemon()
    path = daemon.mnt / "d" / "x"
    check(path.is_symlink(), "not a symlink")
    check(os.path.samefile(path, env.bpffs / "d" / "x"), os.readlink(path))
    equal(helper.make("get", path).key, obj.key)


def test_pin_is_a_file(env):
    helper = env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    os.chmod(env.bpffs / "x", 0o640)
    os.chown(env.bpffs / "x", 12, 34)
    os.link(env.bpffs / "x", env.bpffs / "y")
    daemon = env.daemon("-o", "pins=file")
    theirs, ours = os.lstat(daemon.mnt / "x"), os.lstat(env.bpffs / "x")
    for name in ("st_mode", "st_uid", "st_gid", "st_nlink", "st_size", "st_mtime_ns",
                 "st_atime_ns", "st_ctime_ns"):
        equal(getattr(theirs, name), getattr(ours, name), name)


def test_twin(env):
    helper = env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "d" / "e").mkdir(parents=True)
    for mode in ("symlink", "file"):
        daemon = env.daemon("-o", f"pins={mode}")
        for place, up in (("", ""), ("d/", "../"), ("d/e/", "../../")):
            pin = env.bpffs / f"{place}x"
            helper.do("pin", obj.var, pin)
            equal(os.readlink(daemon.mnt / f"{place}.x"), f"{up}.bpf/{obj.key}", mode)
            check((daemon.mnt / f"{place}.x" / "info").is_file(), "the twin leads nowhere")
            check(".x" not in os.listdir(daemon.mnt / place), "the twin is listed")
            os.unlink(pin)
            fails(errno.EPERM, os.lstat, daemon.mnt / f"{place}.x")
        fails(errno.EPERM, os.lstat, daemon.mnt / ".d")
        daemon.stop()


def test_virtual_part_is_only_in_the_root(env):
    (env.bpffs / "d").mkdir()
    daemon = env.daemon()
    check(".bpf" in os.listdir(daemon.mnt), "not listed in the root")
    equal(os.listdir(daemon.mnt / "d"), [])
    fails(errno.EPERM, os.lstat, daemon.mnt / "d" / ".bpf")
    for action in (lambda: os.mkdir(daemon.tree / "x"), lambda: os.unlink(daemon.tree / "status"),
                   lambda: os.rename(daemon.tree / "status", daemon.mnt / "s"),
                   lambda: os.rmdir(daemon.tree), lambda: os.chmod(daemon.tree / "status", 0o777)):
        check(outcome(action) in ("EPERM", "EACCES", "EROFS", "EXDEV"), "the tree was changed")


def test_real_dotted_entry_wins(env):
    """bpffs takes dotted names in a directory of mode 000, from root."""
    (env.bpffs / "d").mkdir()
    os.chmod(env.bpffs / "d", 0)
    try:
        (env.bpffs / "d" / "a.b").mkdir()
    except OSError as error:
        fails(errno.EPERM, os.mkdir, env.bpffs / "d" / "a.b")
        raise AssertionError("bpffs has become stricter than BPFFS.md says") from error
    os.chmod(env.bpffs / "d", 0o755)
    daemon = env.daemon()
    check((daemon.mnt / "d" / "a.b").is_dir(), "not mirrored")


def test_changes_behind_the_mirror_show_at_once(env):
    daemon = env.daemon()
    for number in range(200):
        (env.bpffs / "d").mkdir()
        check((daemon.mnt / "d").is_dir(), f"{number}: not yet")
        os.rmdir(env.bpffs / "d")
        check(not (daemon.mnt / "d").exists(), f"{number}: still")


def test_name_reused_for_another_kind(env):
    daemon, helper = env.daemon("-o", "pins=file"), env.helper()
    obj = helper.make("map", "array")
    for _ in range(50):
        helper.do("pin", obj.var, env.bpffs / "x")
        check(stat.S_ISREG(os.lstat(daemon.mnt / "x").st_mode), "pin")
        os.unlink(env.bpffs / "x")
        os.mkdir(env.bpffs / "x")
        check(stat.S_ISDIR(os.lstat(daemon.mnt / "x").st_mode), "directory")
        os.rmdir(env.bpffs / "x")
    equal(names(env.bpffs), [])


def test_removed_directory_that_is_open(env):
    daemon = env.daemon()
    (env.bpffs / "d").mkdir()
    fd = os.open(daemon.mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(env.bpffs / "d")
        fails(errno.ENOENT, os.mkdir, "x", dir_fd=fd)
        equal(os.listdir(fd), [])
    finally:
        os.close(fd)


def test_big_directory(env):
    daemon = env.daemon()
    want = {f"d{i}" for i in range(3000)}
    for name in want:
        os.mkdir(env.bpffs / name)
    got = os.listdir(daemon.mnt)
    equal(len(got), len(set(got)), "names twice")
    equal(set(got) - {".bpf", "maps.debug", "progs.debug"}, want)


def test_statfs(env):
    daemon = env.daemon()
    equal(os.statvfs(daemon.mnt).f_namemax, os.statvfs(env.bpffs).f_namemax)


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
