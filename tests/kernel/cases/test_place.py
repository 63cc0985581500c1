#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Odd places to mount, odd neighbours there, and what mount(8) passes on."""
import errno
import os
import signal
import subprocess
import sys
import time

from harness import (MNT_DETACH, check, equal, eventually, fails, is_mounted, libc, main, mount,
                     names, run, umount)

EXIT_MOUNT_FAILED = 32


def top_type(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        kinds = [x.split(" - ")[1].split()[0] for x in file if f" {path} " in x]
    return kinds


def daemon_of(env):
    """The pid of the background daemon on this test's mount point."""
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except (OSError, NotADirectoryError):
            continue
        if name.isdigit() and os.fsencode(env.mnt) in words:
            return int(name)
    raise AssertionError("no daemon")


def test_source_would_be_covered(env):
    status, _, err = run(env.bpfrefs, "-f", env.bpffs, env.tmp)
    check(status != 0 and "hide" in err, err)
    equal(top_type(env.tmp), [])


def is_stopped(pid):
    """Whether every thread has come to its stop."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as file:
            if file.read().rsplit(")", 1)[1].split()[0] != "T":
                return False
    return True


def test_hung_daemon_is_refused(env):
    """A stopped daemon answers nothing: it must not take whoever looks at it along."""
    daemon = env.daemon()
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: check(is_stopped(daemon.pid), "not stopped"))
        start = time.monotonic()
        status, _, err = run(env.bpfrefs, "-f", env.bpffs, env.mnt, timeout=20)
        check(status != 0 and "does not answer" in err, err)
        check(time.monotonic() - start < 10, "took too long")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    check(daemon.read("status"), "the first one suffered")


def test_dead_mounts_upon_each_other(env):
    first = env.daemon()
    other = env.tmp / "other"
    other.mkdir()
    mount(env.mnt, other, None, 4096)
    env.cleanup(lambda: is_mounted(other) and umount(other, MNT_DETACH))
    first.kill()
    mount(other, env.mnt, None, 4096)
    equal(top_type(env.mnt), ["fuse.bpfrefs", "fuse.bpfrefs"])
    second = env.daemon()
    equal(top_type(env.mnt), ["fuse.bpfrefs"])
    second.stop()


def test_what_is_mounted_over_it_stays(env):
    """As bpftool does when it has to pin in a directory that is not on a bpffs."""
    daemon = env.daemon()
    mount("tmpfs", env.mnt, "tmpfs")
    (env.mnt / "kept").mkdir()
    daemon.process.send_signal(signal.SIGTERM)
    equal(daemon.process.wait(20), 0)
    check((env.mnt / "kept").is_dir(), "it took away what is not its own")
    umount(env.mnt)
    fails(errno.ENOTCONN, os.listdir, env.mnt)


def test_parent_waits_and_lets_go(env):
    """The parent is done when the mount works, and the daemon keeps nothing of the starter's."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    process = subprocess.run([env.bpfrefs, env.bpffs, env.mnt], close_fds=False, check=False)
    equal(process.returncode, 0)
    check((env.mnt / ".bpf").is_dir(), "not there yet")
    os.close(write)
    equal(os.read(read, 1), b"", "the daemon holds our pipe")
    os.close(read)
    pid = daemon_of(env)
    equal({os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)}, {"/dev/null"})
    equal(os.readlink(f"/proc/{pid}/cwd"), "/")
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: check(not is_mounted(env.mnt), "still mounted"))


def test_parent_reports_the_childs_error(env):
    status, _, err = run(env.bpfrefs, "-o", "context=nonsense", env.bpffs, env.mnt)
    check(status == 1 and err.strip(), err)
    check(not is_mounted(env.mnt), "mounted in spite of it")


def test_failed_mount_takes_its_bpffs_back(env):
    plain = env.tmp / "plain"
    plain.mkdir()
    status, _, _ = run(env.bpfrefs, "--mount-bpffs", plain, env.tmp / "none")
    check(status != 0 and not is_mounted(plain), "the bpffs stays")


def test_as_mount_helper(env):
    helper = env.tmp / "mount.fuse.bpfrefs"
    helper.symlink_to(env.bpfrefs)
    equal(run(helper, env.bpffs, env.mnt, "-f", "-o", "rw")[0], 0, "-f mounts nothing")
    check(not is_mounted(env.mnt), "mounted with -f")
    equal(run(helper, env.tmp, env.mnt)[0], EXIT_MOUNT_FAILED, "a failed mount")
    equal(run(helper, env.bpffs, env.mnt, "-o", "pins=odd")[0], 1, "usage")
    equal(run(helper, env.bpffs, env.mnt, "-sv", "-t", "fuse.bpfrefs", "-o", "rw,dev,suid")[0], 0)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        line = next(x for x in file if f" {env.mnt} " in x)
    check("nosuid,nodev" in line, line)
    umount(env.mnt)


def test_helper_in_another_mount_namespace(env):
    """mount -N: the mount appears there and not here."""
    helper = env.tmp / "mount.fuse.bpfrefs"
    helper.symlink_to(env.bpfrefs)
    pid = os.fork()
    if pid == 0:
        libc.unshare(0x00020000)
        signal.pause()
        os._exit(0)
    try:
        ours = os.readlink("/proc/self/ns/mnt")
        eventually(lambda: check(os.readlink(f"/proc/{pid}/ns/mnt") != ours, "no namespace yet"))
        equal(run(helper, env.bpffs, env.mnt, "-N", pid)[0], 0)
        check(not is_mounted(env.mnt), "mounted here")
        check(".bpf" in os.listdir(f"/proc/{pid}/root{env.mnt}"), "not mounted there")
        os.kill(daemon_of(env), signal.SIGTERM)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_odd_names(env):
    source, target = env.tmp / "s r,c\\x", env.tmp / "m t,\\y"
    source.mkdir()
    target.mkdir()
    mount("bpf", source, "bpf")
    env.cleanup(lambda: is_mounted(str(source).replace("\\", "\\134").replace(" ", "\\040"))
                and umount(source, MNT_DETACH))
    status, _, err = run(env.bpfrefs, source, f"{target}/")
    equal(status, 0, err)
    (target / "d").mkdir()
    equal(names(source), ["d"])
    equal(os.readlink(target / ".bpf" / "source"), str(source))
    status, _, err = run(env.bpfrefs, source, target)
    check(status != 0 and "already" in err, err)
    umount(target)


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
