#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is mounted over the mirror, as bpftool does where it has to pin in a directory that is
not a bpffs, is named in .bpf/status, in whatever mount namespace."""
import os
import subprocess
import sys

from harness import (MNT_DETACH, check, equal, eventually, is_mounted, main, mount, names, tool,
                     umount, unescape)

MS_BIND, MS_SHARED = 4096, 1 << 20


def text(fd):
    """Status by a descriptor of .bpf, which nothing mounted over the root hides."""
    with open(os.open("status", os.O_RDONLY, dir_fd=fd), encoding="ascii") as file:
        return file.read()


def mounts_shown(status):
    """The mounts that status names: (path, type, whether in another namespace)."""
    found = []
    for line in status.splitlines():
        check(not line.startswith("# mounted_over"), line)
        if line.startswith("mounted_over: "):
            words = line.split(" ")[1:]
            keys = dict(word.split("=", 1) for word in words[1:])
            found.append((unescape(words[0]), keys.pop("type"), keys))
    return found


def here(daemon):
    found = mounts_shown(daemon.read("status"))
    check(not any(keys for _, _, keys in found), str(found))
    return sorted((path, kind) for path, kind, _ in found)


def pinned_daemon(env, *options):
    helper = env.helper()
    obj = helper.make("map", "array")
    for name in ("d", "d/e", "f"):
        (env.bpffs / name).mkdir()
    helper.do("pin", obj.var, env.bpffs / "p")
    return env.daemon(*options)


def clean(env, place):
    """Whatever is mounted there goes at the end, unless it went with the mirror."""
    env.cleanup(lambda: is_mounted(place) and umount(place, MNT_DETACH))


def uncover(env, *places):
    """Takes away what holds the mirror's directories."""
    for place in places:
        umount(env.mnt / place)


def over(env, place, kind="bpf"):
    mount(kind, place, kind)
    clean(env, place)


def test_named_at_once_and_no_longer(env, *options):
    daemon = pinned_daemon(env, *options)
    equal(here(daemon), [])
    for _ in range(3):
        over(env, daemon.mnt / "d")
        equal(here(daemon), [(f"{daemon.mnt}/d", "bpf")])
        umount(daemon.mnt / "d")
        equal(here(daemon), [])


def test_named_with_procfs_alone(env):
    test_named_at_once_and_no_longer(env, "--source=proc")


def test_several_deep_and_upon_each_other(env):
    daemon = pinned_daemon(env)
    over(env, daemon.mnt / "d" / "e")
    over(env, daemon.mnt / "f", "tmpfs")
    (daemon.mnt / "f" / "g").mkdir()
    over(env, daemon.mnt / "f" / "g")
    over(env, daemon.mnt / "f" / "g", "tmpfs")
    want = [("d/e", "bpf"), ("f", "tmpfs"), ("f/g", "bpf"), ("f/g", "tmpfs")]
    equal(here(daemon), [(f"{daemon.mnt}/{path}", kind) for path, kind in want])
    umount(daemon.mnt / "f" / "g")
    umount(daemon.mnt / "d" / "e")
    want = [("f", "tmpfs"), ("f/g", "bpf")]
    equal(here(daemon), [(f"{daemon.mnt}/{path}", kind) for path, kind in want])
    uncover(env, "f/g", "f")
    equal(here(daemon), [])


def test_names_forge_nothing(env):
    daemon = pinned_daemon(env)
    odd = ["with space", "a\nmounted_over: forged type=bpf", "back\\134slash", "\udcff\udcfe",
           "tab\tq\"'"]
    for name in odd:
        (daemon.mnt / name).mkdir()
        over(env, daemon.mnt / name)
    equal([path for path, _ in here(daemon)], sorted(f"{daemon.mnt}/{name}" for name in odd))
    uncover(env, *odd)


def test_over_a_pin_and_by_a_bind_mount(env):
    daemon = pinned_daemon(env, "-o", "pins=file")
    other = env.tmp / "other"
    other.mkdir()
    with open(env.tmp / "file", "w", encoding="ascii"):
        pass
    mount(env.tmp / "file", daemon.mnt / "p", None, MS_BIND)
    clean(env, daemon.mnt / "p")
    mount(daemon.mnt / "d", daemon.mnt / "f", None, MS_BIND)
    clean(env, daemon.mnt / "f")
    mount(daemon.mnt, other, None, MS_BIND)
    clean(env, other)
    mount("bpf", other / "d", "bpf")
    got = [path for path, _ in here(daemon)]
    equal(got, sorted([f"{daemon.mnt}/p", f"{daemon.mnt}/f", f"{other}/d"]))
    umount(other / "d")
    umount(other)
    uncover(env, "p", "f")


def test_over_the_root(env):
    daemon = pinned_daemon(env)
    fd = os.open(daemon.tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        over(env, daemon.mnt)
        equal(names(daemon.mnt), [])
        equal(mounts_shown(text(fd)), [(str(daemon.mnt), "bpf", {})])
        umount(daemon.mnt)
        equal(here(daemon), [])
    finally:
        os.close(fd)


def test_what_is_mounted_elsewhere_is_not(env):
    daemon = pinned_daemon(env)
    other = env.tmp / "mnt-other"
    other.mkdir()
    over(env, other)
    (other / "d").mkdir()
    over(env, other / "d", "tmpfs")
    equal(here(daemon), [])


def elsewhere(mnt, script, propagation="private"):
    """A process in a mount namespace of its own, that has run the script there and waits."""
    process = subprocess.Popen([tool("unshare"), "--mount", f"--propagation={propagation}", "sh",
                                "-c", f"{script} && echo ready && read -r _", "sh", mnt],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "ready\n")
    return process


def test_in_another_mount_namespace(env):
    daemon = pinned_daemon(env)
    process = elsewhere(daemon.mnt,
                        'mount -t bpf bpf "$1/d" && mount -t tmpfs tmpfs "$1/f"')
    try:
        ns = os.stat(f"/proc/{process.pid}/ns/mnt").st_ino
        found = sorted((path, kind, keys) for path, kind, keys in mounts_shown(daemon.read("status")))
        want = {"mnt_ns": str(ns), "pid": str(process.pid)}
        equal(found, [(f"{daemon.mnt}/d", "bpf", want), (f"{daemon.mnt}/f", "tmpfs", want)])
        check((daemon.mnt / "d" / "e").is_dir(), "hidden here too")
    finally:
        process.communicate("\n")
    equal(here(daemon), [])


def test_seen_past_a_process_with_another_root(env):
    """In the other namespace the first process sees but a part of the mounts."""
    daemon = pinned_daemon(env)
    jail = env.tmp / "jail"
    jail.mkdir()
    mount("/", jail, None, MS_BIND)
    clean(env, jail)
    first = elsewhere(daemon.mnt, 'mount -t bpf bpf "$1/d"')
    enter = [tool("nsenter"), f"--mount=/proc/{first.pid}/ns/mnt"]
    rest = [subprocess.Popen([*enter, *command, "sleep", "1000"], stdout=subprocess.DEVNULL)
            for command in ([tool("chroot"), jail], [])]
    try:
        eventually(lambda: check(os.readlink(f"/proc/{rest[0].pid}/root") != "/", "not yet"))
        ns = os.readlink(f"/proc/{first.pid}/ns/mnt")
        eventually(lambda: equal(os.readlink(f"/proc/{rest[1].pid}/ns/mnt"), ns))
        first.communicate("\n")
        want = {"mnt_ns": ns[5:-1], "pid": str(rest[1].pid)}
        equal(mounts_shown(daemon.read("status")), [(f"{daemon.mnt}/d", "bpf", want)])
    finally:
        first.communicate()
        for process in rest:
            process.kill()
            process.wait()


def test_one_that_is_propagated_is_shown_once(env):
    daemon = pinned_daemon(env)
    mount(None, daemon.mnt, None, MS_SHARED)
    process = elsewhere(daemon.mnt, "true", "unchanged")
    try:
        over(env, daemon.mnt / "d")
        with open(f"/proc/{process.pid}/mountinfo", errors="surrogateescape") as file:
            check(f" {daemon.mnt}/d " in file.read(), "not propagated")
        equal(here(daemon), [(f"{daemon.mnt}/d", "bpf")])
        uncover(env, "d")
    finally:
        process.communicate("\n")


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
