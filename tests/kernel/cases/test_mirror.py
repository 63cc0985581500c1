#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is particular to the mirror. That it is as bpffs is, operation by operation, differential.c
sees to."""
import ctypes
import errno
import fcntl
import os
import stat
import sys
import threading

from harness import (MNT_DETACH, Skip, check, equal, eventually, fails, libc, main, mount, must,
                     names, protected, tool, umount)
from machine import integer, syscall

MS_BIND = 4096
AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
FS_IOC_GETFLAGS = 0x80086601


def mirrored(env, *options):
    """Where facts come from is no matter here, and procfs is ready at once."""
    return env.daemon("--source=proc", *options)


def outcome(action, *args):
    try:
        return action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def as_user(action, *args):
    os.seteuid(1000)
    try:
        return action(*args)
    finally:
        os.seteuid(0)


def chown_place(fd, uid):
    if libc.fchownat(fd, b"", uid, -1, AT_EMPTY_PATH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def offsets(fd):
    """(offset of the next, name) of each entry from where the descriptor stands: by the system
    call, since readdir(3) hides the ENOENT of a removed directory."""
    buf, found = ctypes.create_string_buffer(1024), []
    while True:
        size = syscall("getdents64", fd, buf, len(buf))
        if size == 0:
            return found
        at = 0
        while at < size:
            length = integer(buf.raw[at + 16:at + 18])
            found.append((integer(buf.raw[at + 8:at + 16]),
                          buf.raw[at + 19:at + length].split(b"\0")[0].decode()))
            at += length


def test_another_owners_symlink(env):
    """What fs.protected_symlinks refuses: a pin of another owner, shown as a symlink in bpffs's own
    root. It is no matter below a directory that is not sticky, nor with pins=file."""
    helper = env.helper()
    (env.bpffs / "d").mkdir()
    for name in ("p", "d/p"):
        helper.do("pin", helper.make("map", "array").var, env.bpffs / name)
        os.chown(env.bpffs / name, 1, 1)
    equal(stat.S_IMODE(os.stat(env.bpffs).st_mode), 0o1777, "bpffs's own root")
    daemon = mirrored(env)
    if protected("symlinks"):
        fails(errno.EACCES, helper.make, "get", daemon.mnt / "p")
    else:
        helper.make("get", daemon.mnt / "p")
    helper.make("get", daemon.mnt / "d/p")
    daemon.stop()
    daemon = mirrored(env, "-o", "pins=file")
    equal(os.stat(daemon.mnt / "p").st_uid, 1, "owner")


def test_pin_is_a_symlink(env):
    helper = env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "d" / "x")
    daemon = mirrored(env)
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
    daemon = mirrored(env, "-o", "pins=file")
    theirs, ours = os.lstat(daemon.mnt / "x"), os.lstat(env.bpffs / "x")
    for name in ("st_mode", "st_uid", "st_gid", "st_nlink", "st_size", "st_mtime_ns",
                 "st_atime_ns", "st_ctime_ns"):
        equal(getattr(theirs, name), getattr(ours, name), name)


def test_twin(env):
    helper = env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "d" / "e").mkdir(parents=True)
    for mode in ("symlink", "file"):
        daemon = mirrored(env, "-o", f"pins={mode}")
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
    daemon = mirrored(env)
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
    daemon = mirrored(env)
    check((daemon.mnt / "d" / "a.b").is_dir(), "not mirrored")


def test_changes_behind_the_mirror_show_at_once(env):
    daemon = mirrored(env)
    for number in range(200):
        (env.bpffs / "d").mkdir()
        check((daemon.mnt / "d").is_dir(), f"{number}: not yet")
        os.rmdir(env.bpffs / "d")
        check(not (daemon.mnt / "d").exists(), f"{number}: still")


def test_changes_with_max_age(env):
    """What is done through the mirror shows at once, what is done behind it within a second."""
    daemon, helper = env.daemon("-o", "max_age=60000"), env.helper()
    for i in range(3):
        helper.do("pin", helper.make("map", "array").var, env.bpffs / f"p{i}")
    (env.bpffs / "d").mkdir()
    equal({x: os.lstat(daemon.mnt / x).st_nlink for x in ("p0", "p1")}, {"p0": 1, "p1": 1})
    os.listdir(daemon.mnt)
    os.rename(daemon.mnt / "p0", daemon.mnt / "d" / "q0")
    fails(errno.ENOENT, os.lstat, daemon.mnt / "p0")
    equal(os.readlink(daemon.mnt / "d" / "q0"), str(env.bpffs / "d" / "q0"))
    os.chmod(daemon.mnt / "d", 0o711)
    equal(os.stat(daemon.mnt / "d").st_mode & 0o777, 0o711, "mode")
    os.link(daemon.mnt / "p1", daemon.mnt / "l1", follow_symlinks=False)
    equal({x: os.lstat(daemon.mnt / x).st_nlink for x in ("p1", "l1")}, {"p1": 2, "l1": 2})
    for name in ("p1", "l1", "p1"):
        equal(os.readlink(daemon.mnt / name), str(env.bpffs / name), "each name its own path")
    os.unlink(daemon.mnt / "l1")
    equal(os.lstat(daemon.mnt / "p1").st_nlink, 1, "a name less")
    os.unlink(env.bpffs / "p2")
    os.chmod(env.bpffs / "d", 0o700)
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "new")
    check(stat.S_ISLNK(os.lstat(daemon.mnt / "new").st_mode), "a new name needs no time")
    eventually(lambda: fails(errno.ENOENT, os.lstat, daemon.mnt / "p2"))
    eventually(lambda: equal(os.stat(daemon.mnt / "d").st_mode & 0o777, 0o700, "mode"))
    os.rename(daemon.mnt / "d", daemon.mnt / "e")
    equal(os.readlink(daemon.mnt / "e" / "q0"), str(env.bpffs / "e" / "q0"), "at once")
    os.rename(env.bpffs / "e", env.bpffs / "f")
    eventually(lambda: equal(os.readlink(daemon.mnt / "f" / "q0"), str(env.bpffs / "f" / "q0")))


def test_name_reused_for_another_kind(env):
    daemon, helper = mirrored(env, "-o", "pins=file"), env.helper()
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
    daemon = mirrored(env)
    (env.bpffs / "d").mkdir()
    fd = os.open(daemon.mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(env.bpffs / "d")
        fails(errno.ENOENT, os.mkdir, "x", dir_fd=fd)
        equal(os.listdir(fd), [])
    finally:
        os.close(fd)


def test_big_directory(env):
    daemon = mirrored(env)
    want = {f"d{i}" for i in range(3000)}
    for name in want:
        os.mkdir(env.bpffs / name)
    got = os.listdir(daemon.mnt)
    equal(len(got), len(set(got)), "names twice")
    equal(set(got) - {".bpf", "maps.debug", "progs.debug"}, want)


def test_statfs(env):
    daemon = mirrored(env)
    equal(os.statvfs(daemon.mnt).f_namemax, os.statvfs(env.bpffs).f_namemax)


def handle(path):
    """Asks for a file's handle, as the kernel has them for nothing in bpffs."""
    buf = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder), 136)
    if libc.name_to_handle_at(AT_FDCWD, str(path).encode(), buf,
                              ctypes.byref(ctypes.c_int()), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def test_handles(env):
    daemon = mirrored(env)
    (env.bpffs / "d").mkdir()
    fails(errno.EOPNOTSUPP, handle, env.bpffs / "d")
    if outcome(handle, daemon.mnt / "d") is None:
        raise Skip("libfuse (3.17) or the kernel (6.9) is too old to refuse them")
    fails(errno.EOPNOTSUPP, handle, daemon.mnt / "d")


def test_mounts_in_source_are_not_crossed(env):
    for name in ("d", "e"):
        (env.bpffs / name).mkdir()
    helper = env.helper()
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "p")
    daemon = mirrored(env, "-o", "pins=file")
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
    equal(sorted(set(names(daemon.mnt)) - {".bpf"}), ["d", "e", "p"], "what is mounted upon is still listed")


def test_cookies(env):
    """A listing goes on from any place that it has been at; .bpf has one too."""
    for number in range(50):
        (env.bpffs / f"d{number}").mkdir()
    daemon = mirrored(env)
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
    daemon = mirrored(env, "-o", "pins=file")
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
    daemon = mirrored(env, "-o", "pins=file")
    obj = helper.make("map", "array", btf=helper.make("btf"))
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "d" / "p")
    os.lstat(daemon.mnt / "d" / "p")
    os.readlink(daemon.mnt / "d" / ".p")
    os.listdir(daemon.mnt / "d")
    with open(daemon.mnt / "d" / "p", encoding="ascii") as file:
        file.read()
    os.utime(daemon.mnt / "d" / "p")
    os.link(daemon.mnt / "d" / "p", daemon.mnt / "q")
    for path in ("d/p", "q"):
        os.unlink(env.bpffs / path)
    obj.close()
    daemon.gone(obj)


def test_a_listed_link_goes_at_once(env):
    """The pin of an attached program is removed behind a mirror that has just been listed."""
    helper, group = env.helper(), env.cgroup()
    prog = helper.make("prog", "cgroup_skb", attach="cgroup_inet_egress", result=1)
    (env.bpffs / "d").mkdir()
    for mode in ("symlink", "file"):
        daemon = mirrored(env, "-o", f"pins={mode}")
        link = helper.make("link", "cgroup", prog, group, attach="cgroup_inet_egress")
        helper.do("pin", link.var, env.bpffs / "d" / "p")
        link.close()
        check("p" in must(tool("ls"), "-lR", "--ignore=.bpf", daemon.mnt), "not listed")
        must(tool("find"), daemon.mnt / "d", "-ls")
        check((daemon.tree / link.key).is_dir(), "the pin does not hold its link")
        os.unlink(env.bpffs / "d" / "p")
        daemon.gone(link)
        daemon.stop()


def test_o_path_holds_nothing(env):
    """An O_PATH descriptor of a pin is the pin while that is there, and then nothing."""
    daemon, helper = mirrored(env, "-o", "pins=file"), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "p")
    obj.close()
    fd = os.open(daemon.mnt / "p", os.O_PATH)
    try:
        equal(os.fstat(fd).st_nlink, 1)
        os.unlink(env.bpffs / "p")
        fails(errno.ESTALE, os.fstat, fd)
        daemon.gone(obj)
    finally:
        os.close(fd)


def test_hard_links_are_one_file(env):
    """What is done by one name is so by the other at once; a rename of one over the other is done,
    whoever the caller is; and a descriptor of O_PATH stays the pin while that has any name."""
    helper = env.helper()
    os.chmod(env.tmp, 0o711)
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "p")
    (env.bpffs / "d").mkdir()
    os.link(env.bpffs / "p", env.bpffs / "d" / "q")
    for mode in ("file", "symlink"):
        daemon = mirrored(env, "-o", f"allow_other,pins={mode}")
        p, q = daemon.mnt / "p", daemon.mnt / "d" / "q"
        place = os.open(p, os.O_PATH | os.O_NOFOLLOW)
        try:
            for root in (env.bpffs, daemon.mnt):
                as_user(os.rename, root / "p", root / "d" / "q")
                fails(errno.EPERM, as_user, os.rename, root / "p", root / "d" / "n")
            os.chown(q, 1000, 1000, follow_symlinks=False)
            as_user(chown_place, place, 1000)
            os.rename(q, daemon.mnt / "d" / "r")
            os.unlink(p)
            equal((os.fstat(place).st_uid, os.fstat(place).st_nlink), (1000, 1))
        finally:
            os.close(place)
        os.link(daemon.mnt / "d" / "r", p, follow_symlinks=False)
        os.rename(daemon.mnt / "d" / "r", q)
        os.chown(p, 0, 0, follow_symlinks=False)
        daemon.stop()


def test_each_name_has_its_own_path(env):
    """A pin's link says the name that was requested, also while others request its other names."""
    daemon, helper = mirrored(env), env.helper()
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "n0")
    for number in range(1, 4):
        os.link(env.bpffs / "n0", env.bpffs / f"n{number}")
    wrong = []

    def ask(name):
        for _ in range(500):
            shown = os.readlink(daemon.mnt / name)
            if shown != str(env.bpffs / name):
                wrong.append((name, shown))
    threads = [threading.Thread(target=ask, args=(f"n{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong[:3], [])


def test_name_of_an_open_pin_is_another_pins(env):
    """What is open stays that, and is opened again as that, whatever has its name now."""
    daemon, helper = mirrored(env, "-o", "pins=file"), env.helper()
    obj = helper.make("map", "array", btf=helper.make("btf"))
    helper.do("pin", obj.var, env.bpffs / "p")
    fd = os.open(daemon.mnt / "p", os.O_RDONLY)
    try:
        os.unlink(env.bpffs / "p")
        helper.do("pin", helper.make("map", "array").var, env.bpffs / "p")
        fails(errno.EIO, os.open, daemon.mnt / "p", os.O_RDONLY)
        equal(os.fstat(fd).st_nlink, 0)
        os.chown(fd, 12, 34)
        equal((os.fstat(fd).st_uid, os.fstat(fd).st_gid), (12, 34))
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        equal(os.read(again, 4096), os.read(fd, 4096))
        os.close(again)
        equal(os.lstat(env.bpffs / "p").st_uid, 0)
    finally:
        os.close(fd)


def test_directories_moved_behind_the_mirror(env):
    """They can be renamed through it at once, though the kernel knows them elsewhere."""
    daemon = mirrored(env)
    for name in ("a", "b", "a/x", "b/y"):
        (env.bpffs / name).mkdir()
    for name in ("a/x", "b/y"):
        check((daemon.mnt / name).is_dir(), name)
    os.rename(env.bpffs / "a" / "x", env.bpffs / "b" / "z")
    os.rename(daemon.mnt / "b" / "z", daemon.mnt / "a" / "w")
    os.rename(env.bpffs / "b", env.bpffs / "a" / "w" / "b")
    os.rename(daemon.mnt / "a" / "w" / "b" / "y", daemon.mnt / "c")
    equal(sorted(os.listdir(env.bpffs / "a" / "w")), ["b"])
    check((env.bpffs / "c").is_dir() and (daemon.mnt / "c").is_dir(), "not renamed")
    # Once the kernel looks at the old places it forgets what they were, and so does the daemon.
    for name in ("a/x", "b"):
        check(not (daemon.mnt / name).exists(), f"{name} is still there")



def test_read_only(env):
    """Every change is refused, and so is opening what could make one."""
    helper = env.helper()
    obj = helper.make("map", "array", btf=helper.make("btf"))
    helper.do("pin", obj.var, env.bpffs / "p")
    (env.bpffs / "d").mkdir()
    os.symlink("d", env.bpffs / "l")

    def facts():
        found = [os.lstat(env.bpffs / name) for name in ("p", "d", "l", ".")]
        return names(env.bpffs), [(x.st_ino, x.st_mode, x.st_uid, x.st_gid, x.st_nlink, x.st_size,
                                   x.st_mtime_ns, x.st_ctime_ns) for x in found]
    before = facts()
    for mode in ("symlink", "file"):
        daemon = mirrored(env, "-o", f"ro,pins={mode}")
        p, d, l, n = (daemon.mnt / name for name in ("p", "d", "l", "n"))
        for action in (
                lambda: os.mkdir(n), lambda: os.rmdir(d), lambda: os.unlink(p),
                lambda: os.rename(p, n), lambda: os.rename(p, l), lambda: os.symlink("x", n),
                lambda: os.link(p, n, follow_symlinks=False), lambda: os.mknod(n, 0o600),
                lambda: os.chmod(d, 0o700), lambda: os.lchown(p, 1, 1), lambda: os.utime(d),
                lambda: os.utime(p, (1, 1), follow_symlinks=False),
                lambda: os.open(n, os.O_CREAT | os.O_WRONLY),
                lambda: os.open(daemon.tree / "control", os.O_WRONLY),
                lambda: os.open(daemon.tree / obj.key / "pin", os.O_WRONLY),
                lambda: os.open(daemon.tree / obj.key / "keep", os.O_RDWR)):
            fails(errno.EROFS, action)
        if mode == "file":
            for action in (lambda: os.open(p, os.O_RDWR), lambda: os.truncate(p, 1),
                           lambda: os.chmod(p, 0o700)):
                fails(errno.EROFS, action)
            with open(p, "rb") as file:
                check(file.read(), "cannot be read")
        check(daemon.read("objects"), "cannot be read")
        daemon.stop()
    equal(facts(), before)


def test_umount_with_removed_things_open(env):
    """A plain umount says busy, a lazy one ends the daemon once all is closed; nothing hangs."""
    helper = env.helper()
    obj = helper.make("map", "array", btf=helper.make("btf"))
    daemon = mirrored(env, "-o", "pins=file")
    (env.bpffs / "d").mkdir()
    helper.do("pin", obj.var, env.bpffs / "d" / "p")
    fds = [os.open(daemon.mnt / "d" / "p", os.O_RDONLY), os.open(daemon.mnt / "d", os.O_RDONLY),
           os.open(daemon.mnt / "d", os.O_PATH)]
    try:
        os.unlink(daemon.mnt / "d" / "p")
        os.rmdir(env.bpffs / "d")
        fails(errno.EBUSY, umount, daemon.mnt)
        umount(daemon.mnt, MNT_DETACH)
        check(os.read(fds[0], 100), "no longer readable")
        fails(errno.ENOENT, offsets, fds[1])
        equal(os.fstat(fds[2]).st_nlink, 0)
        equal(daemon.process.poll(), None, "ended while in use")
    finally:
        for fd in fds:
            os.close(fd)
    equal(daemon.process.wait(20), 0)


def test_sigterm_with_removed_things_open(env):
    daemon = mirrored(env, "-o", "pins=file")
    (env.bpffs / "d").mkdir()
    fd = os.open(daemon.mnt / "d", os.O_RDONLY)
    os.rmdir(daemon.mnt / "d")
    daemon.process.terminate()
    equal(daemon.process.wait(20), 0)
    fails(errno.ENOTCONN, os.listdir, fd)
    os.close(fd)


def test_inode_flags(env):
    """bpffs has none, and says so; not that the call is not known."""
    daemon = env.daemon()
    (env.bpffs / "d").mkdir()
    for place in (env.bpffs, daemon.mnt):
        fd = os.open(place / "d", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fails(errno.ENOTTY, fcntl.ioctl, fd, FS_IOC_GETFLAGS, bytes(8))
        finally:
            os.close(fd)


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
