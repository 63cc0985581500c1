#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-o guard: no removal through the mirror frees or clears an object, and every other one works."""
import ctypes
import errno
import os
import subprocess
import sys
import threading

from harness import Skip, check, equal, eventually, fails, libc, main, names, tool
from test_files import DEPTH_MAX, nested

RENAME_NOREPLACE, RENAME_EXCHANGE, AT_FDCWD = 1, 2, -100
GUARD = ("-o", "guard")


def rename(old, new, flags=0):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))


def errors(daemon):
    return daemon.read("errors").splitlines()


def pinned(env, helper, name, kind="array", keep=False):
    """A map that a pin holds, and nothing else unless its descriptor is to stay."""
    obj = helper.make("map", kind)
    helper.do("pin", obj.var, env.bpffs / name)
    if not keep:
        obj.close()
    return obj


def refused(daemon, action, *args):
    fails(errno.EBUSY, action, *args)
    check("EBUSY: guard: " in errors(daemon)[-1], str(errors(daemon)))


def test_last_pin_stays(env):
    for mode in ("symlink", "file"):
        daemon, helper = env.daemon("-o", f"guard,pins={mode}"), env.helper()
        check(",guard" in daemon.pairs("status")["options"], "not in status")
        obj = pinned(env, helper, "x")
        refused(daemon, os.unlink, daemon.mnt / "x")
        check(f"pid={os.getpid()} comm=python3 command=unlink\\040x EBUSY" in errors(daemon)[-1],
              errors(daemon)[-1])
        daemon.expect(obj, [f"{obj.key} pin ref=1 user=1 path={env.bpffs}/x dev=* ino=* uid=0"
                            " gid=0 mode=600 mtime=* state=live"])
        held = pinned(env, helper, "held", keep=True)
        os.unlink(daemon.mnt / "held")
        daemon.expect(held, [held.held()])
        equal(len(errors(daemon)), 1, "the one that was let through is in the log")
        os.unlink(env.bpffs / "x")
        daemon.gone(obj)
        daemon.stop()


def test_rm_reports(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    (env.bpffs / "d").mkdir()
    obj = pinned(env, helper, "d/x")
    pinned(env, helper, "d/y", keep=True)
    done = subprocess.run([tool("rm"), "-r", daemon.mnt / "d"], capture_output=True, text=True,
                          check=False, timeout=60)
    check(done.returncode == 1 and os.strerror(errno.EBUSY) in done.stderr, done.stderr)
    equal(names(env.bpffs / "d"), ["x"], "what had another holder went")
    check("command=unlink\\040d/x " in errors(daemon)[-1], errors(daemon)[-1])
    check((daemon.tree / obj.key).is_dir(), "freed")


def test_each_kind(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    prog = helper.make("prog", "raw_tracepoint")
    link = helper.make("link", "raw_tp", prog, "task_newtask")
    for obj in (link, prog):
        helper.do("pin", obj.var, env.bpffs / obj.key.replace("/", "_"))
        obj.close()
    refused(daemon, os.unlink, daemon.mnt / link.key.replace("/", "_"))
    os.unlink(daemon.mnt / prog.key.replace("/", "_"))  # the link holds it
    os.unlink(env.bpffs / link.key.replace("/", "_"))
    daemon.gone(prog)


def kept_by_others(daemon, obj):
    """Another bpfrefs on this machine, mounted with keep=auto, keeps program arrays as they come."""
    return any(" mode=auto path=? " in x + " " for x in daemon.lines(f"{obj.key}/holders")[0])


def test_user_state_stays(env):
    """A program keeps the map, but only the pin keeps what is in it."""
    daemon, helper = env.daemon(*GUARD), env.helper()
    for kind in ("sockmap", "prog_array"):
        user = helper.make("map", kind)
        prog = helper.make("prog", "socket_filter", maps=user)
        if kind == "prog_array":
            helper.do("slot", user.var, 0, prog.var)
        helper.do("pin", user.var, env.bpffs / "user")
        helper.do("pin", prog.var, env.bpffs / "prog")
        user.close()
        try:
            refused(daemon, os.unlink, daemon.mnt / "user")
        except AssertionError:
            if not kept_by_others(daemon, user):
                raise
        else:
            if kind == "prog_array":
                equal(len(daemon.lines(f"{user.key}/slots")[0]), 1, "slots")
            daemon.write(f"{user.key}/keep", "fd")
            os.unlink(daemon.mnt / "user")
            daemon.write(f"{user.key}/keep", "off")
        os.unlink(daemon.mnt / "prog")


def test_hard_links(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    obj = pinned(env, helper, "a")
    os.link(env.bpffs / "a", env.bpffs / "b")
    rename(daemon.mnt / "a", daemon.mnt / "b")  # two names of one inode: nothing happens
    equal(names(env.bpffs), ["a", "b"])
    os.unlink(daemon.mnt / "a")
    refused(daemon, os.unlink, daemon.mnt / "b")
    check((daemon.tree / obj.key).is_dir(), "freed")


def test_rename_over(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    obj, other = pinned(env, helper, "x"), pinned(env, helper, "y")
    refused(daemon, rename, daemon.mnt / "y", daemon.mnt / "x")
    check("command=rename\\040y\\040x " in errors(daemon)[-1], errors(daemon)[-1])
    (env.bpffs / "s").symlink_to("x")
    refused(daemon, rename, daemon.mnt / "s", daemon.mnt / "x")
    fails(errno.EEXIST, rename, daemon.mnt / "y", daemon.mnt / "x", RENAME_NOREPLACE)
    fails(errno.EPERM, rename, daemon.mnt / ".y", daemon.mnt / "x")
    fails(errno.EPERM, rename, daemon.mnt / "y", daemon.mnt / "a.b")
    fails(errno.EPERM, os.unlink, daemon.mnt / ".x")
    before = len(errors(daemon))
    rename(daemon.mnt / "x", daemon.mnt / "y", RENAME_EXCHANGE)
    equal(daemon.read(f"{obj.key}/pin"), "y\n")
    rename(daemon.mnt / "x", daemon.mnt / "z")
    equal(daemon.read(f"{other.key}/pin"), "z\n")
    rename(daemon.mnt / "z", daemon.mnt / "s")  # over a symlink
    equal(names(env.bpffs), ["s", "y"])
    again = helper.make("map", "array")
    for name in ("one", "two"):
        helper.do("pin", again.var, env.bpffs / name)
    again.close()
    rename(daemon.mnt / "one", daemon.mnt / "two")  # the object's other pin
    equal(daemon.read(f"{again.key}/pin"), "two\n")
    equal(len(errors(daemon)), before, "what was let through is in the log")


def test_directories(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    (env.bpffs / "d").mkdir()
    (env.bpffs / "e").mkdir()
    pinned(env, helper, "d/x")
    fails(errno.ENOTEMPTY, os.rmdir, daemon.mnt / "d")
    fails(errno.ENOTEMPTY, rename, daemon.mnt / "e", daemon.mnt / "d")
    rename(daemon.mnt / "d", daemon.mnt / "e")  # takes the pin with it
    equal(names(env.bpffs / "e"), ["x"])
    (daemon.mnt / "f").mkdir()
    os.rmdir(daemon.mnt / "f")
    equal(errors(daemon), [])


def test_keeps(env):
    """A keep's own pin is guarded too, an automatic one as well."""
    daemon, helper = env.daemon(*GUARD), env.helper()
    user = helper.make("map", "sockmap")
    prog = helper.make("prog", "socket_filter", maps=user)
    helper.do("pin", prog.var, env.bpffs / "prog")
    for mode, place in (("pin", "keep"), ("auto", "auto")):
        daemon.write(f"{user.key}/keep", mode)
        if mode == "pin":
            user.close()
        name = f"bpfrefs/{place}/map_{user.id}"
        refused(daemon, os.unlink, daemon.mnt / name)
        equal(daemon.read(f"{user.key}/keep"), mode + "\n")
    daemon.write(f"{user.key}/keep", "fd")
    equal(names(env.bpffs / "bpfrefs" / "auto"), [])
    daemon.write(f"{user.key}/keep", "off")


def test_two_removers(env):
    """Of two who remove the last two pins at once, one is refused, every time."""
    daemon, helper = env.daemon(*GUARD), env.helper()
    for turn in range(25):
        obj = helper.make("map", "array")
        for name in ("a", "b"):
            helper.do("pin", obj.var, env.bpffs / name)
        obj.close()
        results, start = [], threading.Barrier(2)

        def remove(name, results=results, start=start):
            start.wait()
            try:
                os.unlink(daemon.mnt / name)
                results.append("gone")
            except OSError as error:
                results.append(errno.errorcode[error.errno])
        threads = [threading.Thread(target=remove, args=(x,)) for x in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(sorted(results), ["EBUSY", "gone"], f"turn {turn}")
        equal(len(names(env.bpffs)), 1)
        os.unlink(env.bpffs / names(env.bpffs)[0])


def test_unpin_and_rm(env):
    """unpin and rm judge alike, one at a time."""
    daemon, helper = env.daemon(*GUARD), env.helper()
    obj = helper.make("map", "array")
    for name in ("a", "b"):
        helper.do("pin", obj.var, env.bpffs / name)
    obj.close()
    daemon.write(f"{obj.key}/unpin", "a")
    refused(daemon, os.unlink, daemon.mnt / "b")
    fails(errno.EBUSY, daemon.write, f"{obj.key}/unpin", "b")


def test_other_users(env):
    """Who may not remove a pin gets what bpffs says; who may, is guarded and logged."""
    daemon, helper = env.daemon("-o", "guard,allow_other"), env.helper()
    os.chmod(env.tmp, 0o755)
    os.chmod(env.bpffs, 0o755)
    (env.bpffs / "theirs").mkdir()
    os.chown(env.bpffs / "theirs", 1234, 1234)
    pinned(env, helper, "ours")
    pinned(env, helper, "theirs/x")
    wrap = [tool("setpriv"), "--reuid=1234", "--regid=1234", "--clear-groups", tool("rm"), "-f"]
    for name, says in (("ours", errno.EACCES), ("theirs/x", errno.EBUSY)):
        done = subprocess.run([*wrap, daemon.mnt / name], capture_output=True, text=True,
                              check=False, timeout=60)
        check(os.strerror(says) in done.stderr, f"{name}: {done.stderr}")
    equal(len(errors(daemon)), 1)
    check("comm=rm command=unlink\\040theirs/x EBUSY" in errors(daemon)[0], errors(daemon)[0])


def test_not_in_source_and_not_without(env):
    daemon, helper = env.daemon(*GUARD), env.helper()
    obj = pinned(env, helper, "x")
    os.unlink(env.bpffs / "x")
    daemon.gone(obj)
    daemon.stop()
    plain = env.daemon()
    obj = pinned(env, helper, "x")
    os.unlink(plain.mnt / "x")
    plain.gone(obj)


def test_without_counters(env):
    """procfs: only holders that are found save a pin from being the last."""
    daemon, helper = env.daemon("--source=proc", *GUARD), env.helper()
    obj = pinned(env, helper, "x")
    held = pinned(env, helper, "held", keep=True)
    refused(daemon, os.unlink, daemon.mnt / "x")
    os.unlink(daemon.mnt / "held")
    check((daemon.tree / held.key).is_dir() and (daemon.tree / obj.key).is_dir(), "freed")


def test_what_nothing_explains(env):
    """A count that no holder was found for is one: where it stays in a second snapshot, the pin may go."""
    daemon, helper = env.daemon(*GUARD), env.helper()
    obj = pinned(env, helper, "x", keep=True)
    try:
        nested(helper, obj, DEPTH_MAX + 1)
    except OSError as error:
        equal(error.errno, errno.ETOOMANYREFS, str(error))
        raise Skip(f"this kernel refuses to nest that deep: {error}") from error
    eventually(lambda: equal(daemon.pairs(f"{obj.key}/refs")["unexplained"], "1"))
    os.unlink(daemon.mnt / "x")
    check((daemon.tree / obj.key).is_dir(), "freed")


if __name__ == "__main__":
    sys.exit(main(globals()))
