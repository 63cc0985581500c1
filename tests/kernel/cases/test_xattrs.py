#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes, which some kernels' bpffs has (7.2) and others' has not (6.18): the mirror does
with them what bpffs does, for root and for others, and shows what was set behind it."""
import errno
import os
import stat
import sys

from harness import check, equal, fails, main

NAMES = ("user.x", "trusted.x", "security.x", "system.x", "system.posix_acl_access", "x")
OTHER = 1000
UNSUPPORTED = errno.errorcode[errno.EOPNOTSUPP]


def attempt(call, *args, **options):
    try:
        return call(*args, **options)
    except OSError as error:
        return errno.errorcode[error.errno]


def world(env):
    """Two of each kind: what is done to the one through the mirror is done to the other behind it."""
    helper = env.helper()
    for side in "ab":
        obj = helper.make("map", "array")
        (env.bpffs / f"d{side}").mkdir()
        helper.do("pin", obj.var, env.bpffs / f"p{side}")
        os.symlink("nowhere", env.bpffs / f"s{side}")
        os.chmod(env.bpffs / f"d{side}", 0o777)
        os.chmod(env.bpffs / f"p{side}", 0o666)


def steps(path, follow):
    """What each call gives, in order; each is identified by its name."""
    links = {} if follow is None else {"follow_symlinks": follow}
    for name in NAMES:
        yield f"get {name}", attempt(os.getxattr, path, name, **links)
        yield f"set {name}", attempt(os.setxattr, path, name, b"one", **links)
        yield f"get {name} again", attempt(os.getxattr, path, name, **links)
    yield "list", sorted(attempt(os.listxattr, path, **links))
    yield "create", attempt(os.setxattr, path, "trusted.x", b"two", os.XATTR_CREATE, **links)
    yield "replace", attempt(os.setxattr, path, "trusted.y", b"two", os.XATTR_REPLACE, **links)
    yield "empty", attempt(os.setxattr, path, "trusted.e", b"", **links)
    yield "get empty", attempt(os.getxattr, path, "trusted.e", **links)
    yield "large", attempt(os.setxattr, path, "trusted.l", b"l" * 65536, **links)
    large = attempt(os.getxattr, path, "trusted.l", **links)
    yield "get large", len(large) if isinstance(large, bytes) else large
    yield "remove none", attempt(os.removexattr, path, "trusted.none", **links)
    for name in (*NAMES, "trusted.e", "trusted.l"):
        yield f"remove {name}", attempt(os.removexattr, path, name, **links)
    yield "list at the end", sorted(attempt(os.listxattr, path, **links))


def compare(what, mirrored, behind, follow=None, but=None):
    for (step, got), (_, want) in zip(steps(mirrored, follow), steps(behind, follow)):
        if step != but:
            equal(got, want, f"{what}: {step}")


def test_as_bpffs_does(env):
    world(env)
    for pins in ("file", "symlink"):
        daemon = env.daemon("-o", f"pins={pins}")
        for kind in "dps":
            compare(f"pins={pins} {kind}", daemon.mnt / f"{kind}a", env.bpffs / f"{kind}b",
                    follow=kind != "s")  # with pins=symlink: what it leads to
        daemon.stop()


def test_as_another_user(env):
    """By descriptors, since he could not come here by a path."""
    world(env)
    daemon = env.daemon("-o", "pins=file,allow_other")
    for name in ("trusted.secret", "security.seen"):
        attempt(os.setxattr, env.bpffs / "da", name, b"1")
        attempt(os.setxattr, env.bpffs / "db", name, b"1")
    for kind, flags in (("d", os.O_RDONLY | os.O_DIRECTORY), ("p", os.O_RDONLY)):
        fds = [attempt(os.open, place, flags | os.O_CLOEXEC)
               for place in (daemon.mnt / f"{kind}a", env.bpffs / f"{kind}b")]
        equal(type(fds[0]), type(fds[1]), "both can be opened, or none")
        if not isinstance(fds[0], int):
            continue
        try:
            os.setegid(OTHER)
            os.seteuid(OTHER)
            # FUSE could have ACLs (bpfrefs(8), DIFFERENCES)
            compare(f"{kind} as another user", *fds, but="remove system.posix_acl_access")
        finally:
            os.seteuid(0)
            os.setegid(0)
            for fd in fds:
                os.close(fd)


def test_both_ways(env):
    """One file: what is set on the one side is there on the other, and is removed with it."""
    world(env)
    if attempt(os.setxattr, env.bpffs / "da", "trusted.x", b"behind") == UNSUPPORTED:
        return
    daemon = env.daemon("-o", "pins=file")
    for name in ("da", "pa"):
        os.setxattr(env.bpffs / name, "trusted.x", b"behind")
        equal(os.getxattr(daemon.mnt / name, "trusted.x"), b"behind")
        os.setxattr(daemon.mnt / name, "trusted.x", b"before")
        equal(os.getxattr(env.bpffs / name, "trusted.x"), b"before")
        equal(os.listxattr(daemon.mnt / name), ["trusted.x"])
        os.removexattr(daemon.mnt / name, "trusted.x")
        equal(os.listxattr(env.bpffs / name), [])
    check(stat.S_ISREG(os.stat(daemon.tree / "control").st_mode), "a virtual file")
    fails(errno.EOPNOTSUPP, os.setxattr, daemon.tree / "control", "trusted.x", b"1")
    equal(os.listxattr(daemon.tree / "control"), [])
    daemon.stop()
    daemon = env.daemon("-o", "ro")
    fails(errno.EROFS, os.setxattr, daemon.mnt / "da", "trusted.x", b"1")
    fails(errno.EROFS, os.removexattr, daemon.mnt / "da", "trusted.x")


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
