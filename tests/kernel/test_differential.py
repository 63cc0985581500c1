#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The mirror beside bpffs, as several users: random operations, with descriptors, odd flags and
permission bits, must give the same errno and change the same modes, owners and times in the
mirrored bpffs as in a plain one.

Left out with pins=symlink: what protected_symlinks and protected_hardlinks forbid for a symlink but
not for the pin in its place (following one in a sticky directory that all may write to, linking one
as a stranger), and questions about a pin's name itself. Left out with both: a rename between two
hard links of one pin by who may not write to the directory, which bpffs takes for done already."""
import ctypes
import errno
import fcntl
import os
import random
import stat
import sys
import time

from harness import MNT_DETACH, check, equal, fails, libc, main, mount, umount

SEED = int(os.environ.get("SEED", "7"))
STEPS = int(os.environ.get("STEPS", "2500"))
CLOCK_REALTIME_COARSE = 5
MS_REMOUNT, MS_BIND, MS_NOATIME = 32, 4096, 1024
AT_SYMLINK_NOFOLLOW, AT_FDCWD = 0x100, -100
STICKY = 0o1000
GETDENTS64 = 61 if os.uname().machine in ("aarch64", "riscv64", "loongarch64") else 217
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
UNCOMPARED = {".", "..", ".bpf", "maps.debug", "progs.debug"}
USERS = [(0, 0, []), (0, 0, []), (1000, 1000, [100, 2000]), (1001, 100, []), (65534, 65534, [])]
NAMES = ["a", "b", "c", "p0", "p1", "p2"]
ODD = ["x.y", "..z", ".q", "n" * 255, "n" * 256, "n" * 254 + ".z", "n" * 1500]


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


def raw(function, *args):
    if function(*args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def renameat2(old, new, flags):
    raw(libc.renameat2, AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new),
        ctypes.c_uint(flags))


def utimens(path, number):
    """Explicit, UTIME_NOW and UTIME_OMIT in each mixture; on the name itself."""
    kinds = (None, UTIME_NOW, UTIME_OMIT)
    times = (Timespec * 2)()
    for i, kind in enumerate((kinds[number % 3], kinds[number // 3 % 3])):
        times[i] = Timespec(number % 1000, 5 if kind is None else kind)
    pointer = None if number % 10 == 0 else times
    raw(libc.utimensat, AT_FDCWD, os.fsencode(path), pointer, AT_SYMLINK_NOFOLLOW)


def offsets(fd):
    """(offset of the next, name) of each entry from where the descriptor stands: by the system
    call, since readdir(3) hides the ENOENT of a removed directory."""
    buf, found = ctypes.create_string_buffer(1024), []
    while True:
        size = libc.syscall(GETDENTS64, fd, buf, len(buf))
        if size < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        if size == 0:
            return found
        at = 0
        while at < size:
            length = int.from_bytes(buf.raw[at + 16:at + 18], "little")
            found.append((int.from_bytes(buf.raw[at + 8:at + 16], "little"),
                          buf.raw[at + 19:at + length].split(b"\0")[0].decode()))
            at += length


def on_directory(path, number):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (lambda: os.fchmod(fd, number & 0o7777), lambda: os.fchown(fd, -1, number % 3 * 100),
         lambda: os.fchown(fd, -1, -1), lambda: os.utime(fd), lambda: os.fsync(fd),
         lambda: fcntl.ioctl(fd, 0x5401, b" " * 64), lambda: fcntl.flock(fd, fcntl.LOCK_EX),
         lambda: os.truncate(fd, 0))[number % 8]()
    finally:
        os.close(fd)


def removed_directory(path, number):
    """A directory that is removed while it is open."""
    os.mkdir(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(path)
        return os.fstat(fd).st_nlink, outcome(offsets, fd), outcome(
            lambda: os.mkdir("x", dir_fd=fd)), outcome(
            lambda: os.stat(".x", dir_fd=fd)), outcome(os.fchmod, fd, number & 0o777)
    finally:
        os.close(fd)


def through_directory(path, name):
    """Relative to a descriptor, as rm -r and find go."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.access(name, os.W_OK, dir_fd=fd), os.lstat(name, dir_fd=fd).st_nlink
    finally:
        os.close(fd)


def on_file(path, flags, number):
    """What an open pin gives and takes."""
    fd = os.open(path, flags)
    try:
        return [outcome(f) for f in (
            lambda: len(os.read(fd, 100)) > 0, lambda: os.lseek(fd, 0, os.SEEK_SET),
            lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, number % 50),
            lambda: os.fchmod(fd, number & 0o777), lambda: os.fchown(fd, -1, -1),
            lambda: os.utime(fd), lambda: os.fsync(fd), lambda: os.fdatasync(fd),
            lambda: os.fstat(fd).st_mode, lambda: os.fstat(fd).st_size)]
    finally:
        os.close(fd)


def open_close(path, flags, mode=0o600):
    os.close(os.open(path, flags, mode))


def listing(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sorted({name for _, name in offsets(fd)} - UNCOMPARED)
    finally:
        os.close(fd)


def facts(path):
    found = os.stat(path)
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_size


OPEN_FLAGS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC,
              os.O_WRONLY | os.O_APPEND, os.O_RDONLY | os.O_DIRECTORY, os.O_CREAT | os.O_RDWR,
              os.O_CREAT | os.O_EXCL | os.O_RDWR, os.O_TMPFILE | os.O_RDWR,
              os.O_RDONLY | os.O_DIRECT, os.O_RDONLY | os.O_NONBLOCK,
              os.O_CREAT | os.O_TRUNC | os.O_WRONLY]
NODES = [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]

# What to do with the paths x and y of one side and a random number n.
OPERATIONS = {
    "mkdir": lambda x, y, n: os.mkdir(x, n & 0o7777),
    "mkdir open": lambda x, y, n: os.mkdir(x, 0o777 | n & STICKY),
    "rmdir": lambda x, y, n: os.rmdir(x),
    "unlink": lambda x, y, n: os.unlink(x),
    "rename": lambda x, y, n: os.rename(x, y),
    "rename flags": lambda x, y, n: renameat2(x, y, n % 10),
    "exchange": lambda x, y, n: renameat2(x, y, 2),
    "link": lambda x, y, n: os.link(x, y, follow_symlinks=False),
    "symlink": lambda x, y, n: os.symlink(("a", "b", "c/a", "nowhere", "z" * 4095)[n % 5], x),
    "chmod": lambda x, y, n: os.chmod(x, n & 0o7777),
    "chmod open": lambda x, y, n: os.chmod(x, 0o777),
    "chown": lambda x, y, n: os.chown(x, (-1, 0, 1000, 1001)[n % 4],
                                      (-1, 0, 100, 1000)[n // 4 % 4]),
    "lchown": lambda x, y, n: os.lchown(x, (-1, 0, 1000)[n % 3], (-1, 100, 2000)[n // 3 % 3]),
    "touch": lambda x, y, n: os.utime(x),
    "utimens": lambda x, y, n: utimens(x, n),
    "truncate": lambda x, y, n: os.truncate(x, n % 100),
    "stat": lambda x, y, n: facts(x),
    "listing": lambda x, y, n: listing(x),
    "access": lambda x, y, n: os.access(x, n & 7, effective_ids=True),
    "open": lambda x, y, n: open_close(x, OPEN_FLAGS[n % len(OPEN_FLAGS)]),
    "file": lambda x, y, n: on_file(x, OPEN_FLAGS[n % 3], n),
    "mknod": lambda x, y, n: os.mknod(x, NODES[n % 5] | 0o600, os.makedev(1, 3)),
    "directory": lambda x, y, n: on_directory(x, n),
    "removed": lambda x, y, n: removed_directory(x, n),
    "beneath": lambda x, y, n: through_directory(x, NAMES[n % 6]),
    "slash": lambda x, y, n: os.unlink(f"{x}/"),
    "below": lambda x, y, n: os.mkdir(f"{x}/{NAMES[n % 6]}/"),
    "getxattr": lambda x, y, n: os.getxattr(x, "user.x"),
    "setxattr": lambda x, y, n: os.setxattr(x, ("user.x", "trusted.x", "security.x")[n % 3], b"1"),
    "removexattr": lambda x, y, n: os.removexattr(x, "user.x"),
    "listxattr": lambda x, y, n: os.listxattr(x),
    "umask": lambda x, y, n: os.umask(n & 0o77) and None,
}


def outcome(action, *args):
    try:
        return action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def become(user):
    uid, gid, groups = user
    os.seteuid(0)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)


def every_path(top):
    for where, directories, files in os.walk(top):
        for name in directories + files:
            if name not in UNCOMPARED:
                yield os.path.relpath(os.path.join(where, name), top)
    yield "."


def state(top, paths):
    """What each name is, but for times; and its times."""
    found, times = {}, {}
    for path in paths:
        it = os.lstat(top / path)
        found[path] = (oct(it.st_mode), it.st_uid, it.st_gid, it.st_nlink, it.st_size)
        times[path] = it.st_ino, (it.st_mtime_ns, it.st_ctime_ns, it.st_atime_ns)
    return found, times


def changed(before, after):
    """Which times of what each name now is have changed; None: it is new."""
    known, found = dict(before.values()), {}
    for path, (ino, now) in after.items():
        then = known.get(ino)
        found[path] = then and tuple(a != b for a, b in zip(now, then))
    return found


def next_tick():
    """bpffs stamps with the coarse clock: whatever changes from here on differs from before."""
    start = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) == start:
        pass


def same_as_shown(mnt, source, paths, mode):
    """What the mirror shows is what SOURCE has, number and times included."""
    for path in paths:
        shown, real = os.lstat(mnt / path), os.lstat(source / path)
        names = ["st_uid", "st_gid", "st_nlink", "st_mtime_ns", "st_ctime_ns", "st_atime_ns"]
        names += ["st_ino"] if path != "." else []
        if mode == "file" or not stat.S_ISREG(real.st_mode):
            names += ["st_mode", "st_size"]
        for name in names:
            equal(getattr(shown, name), getattr(real, name), f"{path} {name}")


def plain_bpffs(env):
    other = env.tmp / "plain"
    other.mkdir()
    mount("bpf", other, "bpf")
    env.cleanup(umount, other, MNT_DETACH)
    # relatime would change access times by when this test looks.
    for top in (env.bpffs, other):
        mount(None, top, None, MS_REMOUNT | MS_BIND | MS_NOATIME)
    return other


def differ(env, mode):
    other, helper = plain_bpffs(env), env.helper()
    btf = helper.make("btf")
    maps = [helper.make("map", "array"), helper.make("map", "array", btf=btf),
            helper.make("map", "hash")]
    daemon = env.daemon("-o", f"pins={mode},allow_other")
    os.chmod(env.tmp, 0o755)
    dice = random.Random(SEED)
    umask = os.umask(0o022)
    for top in (env.bpffs, other):
        os.chmod(top, 0o777 if mode == "symlink" else 0o1777)
    try:
        for step in range(STEPS):
            one_step(env, daemon, other, helper, maps, dice, mode, step)
    finally:
        become(USERS[0])
        os.umask(umask)


def restore_pins(env, other, helper, maps):
    for number, obj in enumerate(maps):
        for top in (env.bpffs, other):
            if not os.path.lexists(top / f"p{number}"):
                helper.do("pin", obj.var, top / f"p{number}")


def pick_path(dice, there):
    """A path that is there, a name in a directory that is perhaps there, or anything."""
    chance = dice.random()
    if chance < 0.5:
        return dice.choice(there)
    name = dice.choice(ODD) if dice.random() < 0.06 else dice.choice(NAMES)
    if chance < 0.8:
        return f"{os.path.dirname(dice.choice(there)) or '.'}/{name}"
    return "/".join([name] + [dice.choice(NAMES) for _ in range(dice.choice((0, 1, 2)))])


def same_pin(x, y):
    try:
        return os.lstat(x).st_ino == os.lstat(y).st_ino
    except OSError:
        return False


def one_step(env, daemon, other, helper, maps, dice, mode, step):
    if step % 25 == 0:
        restore_pins(env, other, helper, maps)
    name, number, user = dice.choice(list(OPERATIONS)), dice.randrange(1 << 18), dice.choice(USERS)
    there = sorted(every_path(other))
    x, y = pick_path(dice, there), pick_path(dice, there)
    if mode == "symlink":
        number &= ~STICKY
        user = USERS[0] if name == "link" else user
    if name in ("rename", "rename flags", "exchange") and same_pin(other / x, other / y):
        user = USERS[0]
    told = f"SEED={SEED} step {step}: {name} {x[:60]} {y[:60]} {number} uid {user[0]}"
    before = [state(top, list(every_path(top)))[1] for top in (env.bpffs, other)]
    next_tick()
    mask = os.umask(0)
    got, want = None, None
    for top in (other, daemon.mnt):
        os.umask(mask)
        become(user)
        result = outcome(OPERATIONS[name], top / x, top / y, number)
        become(USERS[0])
        got, want = (result, want) if top == daemon.mnt else (got, result)
    equal(got, want, told)
    paths = list(every_path(other))
    equal(sorted(every_path(env.bpffs)), sorted(paths), told)
    after = [state(top, paths) for top in (env.bpffs, other)]
    equal(after[0][0], after[1][0], told)
    equal(changed(before[0], after[0][1]), changed(before[1], after[1][1]), told)
    if step % 10 == 0:
        same_as_shown(daemon.mnt, env.bpffs, paths, mode)


def test_random_users_pins_file(env):
    differ(env, "file")


def test_random_users_pins_symlink(env):
    differ(env, "symlink")


def test_mounts_in_source_are_not_crossed(env):
    for name in ("d", "e"):
        (env.bpffs / name).mkdir()
    helper = env.helper()
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "p")
    other = plain_bpffs(env)
    daemon = env.daemon("-o", "pins=file")
    mount("tmpfs", env.bpffs / "d", "tmpfs")
    env.cleanup(umount, env.bpffs / "d", MNT_DETACH)
    (env.bpffs / "d" / "within").mkdir()
    with open(env.tmp / "bound", "w", encoding="ascii"):
        mount(env.tmp / "bound", env.bpffs / "p", None, MS_BIND)
    env.cleanup(umount, env.bpffs / "p", MNT_DETACH)
    for name in ("d", "d/within", "p"):
        fails(errno.EXDEV, os.lstat, daemon.mnt / name)
        fails(errno.EXDEV, os.rename, daemon.mnt / name, daemon.mnt / "new")
    fails(errno.EXDEV, os.rmdir, daemon.mnt / "d")
    fails(errno.EXDEV, os.unlink, daemon.mnt / "p")
    equal(listing(daemon.mnt), ["d", "e", "p"], "what is mounted upon is still listed")
    equal(listing(other), [])


def test_cookies(env):
    """A listing goes on from any place that it has been at; .bpf has one too."""
    for number in range(50):
        (env.bpffs / f"d{number}").mkdir()
    daemon = env.daemon()
    fd = os.open(daemon.mnt, os.O_RDONLY | os.O_DIRECTORY)
    try:
        whole = offsets(fd)
        equal([name for _, name in whole[:3]], [".", "..", ".bpf"])
        for place, (offset, _) in enumerate(whole):
            os.lseek(fd, offset, os.SEEK_SET)
            equal(offsets(fd), whole[place + 1:], f"from {whole[place]}")
    finally:
        os.close(fd)


def test_reading_a_pin_as_a_file(env):
    helper = env.helper()
    obj = helper.make("map", "array", btf=helper.make("btf"), max=3)
    helper.do("pin", obj.var, env.bpffs / "m")
    daemon = env.daemon("-o", "pins=file")
    with open(env.bpffs / "m", encoding="ascii") as file:
        want = file.read()
    check("2: 0" in want, want)
    for size in (1, 7, 4096):
        with open(daemon.mnt / "m", "rb", 0) as file:
            parts = iter(lambda f=file, n=size: f.read(n), b"")
            equal(b"".join(parts).decode(), want, f"by {size} bytes")
    os.unlink(env.bpffs / "m")
    fails(errno.ENOENT, open, daemon.mnt / "m")


def test_nothing_is_held(env):
    """A pin that was looked at in every way goes when it is removed behind the mirror."""
    helper = env.helper()
    daemon = env.daemon("-o", "pins=file")
    obj = helper.make("map", "array", btf=helper.make("btf"))
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "d" / "p")
    os.lstat(daemon.mnt / "d" / "p")
    os.readlink(daemon.mnt / "d" / ".p")
    listing(daemon.mnt / "d")
    with open(daemon.mnt / "d" / "p", encoding="ascii") as file:
        file.read()
    os.utime(daemon.mnt / "d" / "p")
    os.link(daemon.mnt / "d" / "p", daemon.mnt / "q")
    for path in ("d/p", "q"):
        os.unlink(env.bpffs / path)
    obj.close()
    daemon.gone(obj)


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
