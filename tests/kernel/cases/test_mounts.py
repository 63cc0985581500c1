#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts of a bpffs in other mount namespaces: where they are is read again whenever it has changed,
also by what the kernel does not count as a change of mounts."""
import contextlib
import os
import signal
import sys

from harness import check, eventually, fields, libc, main

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 0x4000, 0x40000


class Elsewhere:
    """A process in a mount namespace of its own that mounts what it reads from a pipe."""

    def __init__(self, env):
        (commands, self.commands), (self.replies, replies) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self.commands)
                self.serve(os.fdopen(commands), replies)
            finally:
                os._exit(1)
        os.close(commands)
        os.close(replies)
        env.cleanup(self.end)
        check(os.read(self.replies, 1) == b"0", "a mount namespace of its own")
        self.number = os.stat(f"/proc/{self.pid}/ns/mnt").st_ino

    @staticmethod
    def serve(commands, replies):
        failed = libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        os.write(replies, b"1" if failed else b"0")
        for line in commands:
            name, *words = line.rstrip("\n").split("\t")
            paths = [word.encode() for word in words]
            if name == "bind":
                failed = libc.mount(paths[0], paths[1], None, MS_BIND, None)
            elif name == "cover":
                failed = libc.mount(b"none", paths[0], b"tmpfs", 0, None)
            elif name == "umount":
                failed = libc.umount2(paths[0], 0)
            else:
                failed = libc.chroot(paths[0]) or libc.chdir(b"/")
            os.write(replies, b"1" if failed else b"0")

    def do(self, *words):
        os.write(self.commands, ("\t".join(map(str, words)) + "\n").encode())
        check(os.read(self.replies, 1) == b"0", str(words))

    def end(self):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.commands)
            os.close(self.replies)


def shown(daemon, number):
    """What .bpf/bpffs says of the mounts in a mount namespace: (key, path)."""
    found = []
    for line in daemon.read("bpffs").splitlines():
        at = None
        for word in line.split()[1:]:
            key, _, value = word.partition("=")
            if key == "mnt_ns":
                at = int(value)
            elif at == number and key in ("path", "covered"):
                found.append((key, value))
    return sorted(found)


def shows(daemon, place, *wanted):
    """Twice: the second time, nothing has changed."""
    def look():
        for _ in range(2):
            found = [x for x in shown(daemon, place.number) if "/w" in x[1]]
            check(found == sorted(wanted), f"{found}, not {sorted(wanted)}")
    eventually(look)


def test_what_changes_in_another_namespace(env):
    daemon, place = env.daemon(), Elsewhere(env)
    work = env.tmp / "w"
    (work / "a" / "m").mkdir(parents=True)
    shows(daemon, place)
    place.do("bind", env.bpffs, work / "a" / "m")
    shows(daemon, place, ("path", f"{work}/a/m"))
    os.rename(work / "a", work / "b")  # which is no change of mounts
    shows(daemon, place, ("path", f"{work}/b/m"))
    place.do("cover", work / "b" / "m")
    shows(daemon, place, ("covered", f"{work}/b/m"))
    place.do("umount", work / "b" / "m")
    shows(daemon, place, ("path", f"{work}/b/m"))
    place.do("cover", work / "b")
    shows(daemon, place, ("covered", f"{work}/b/m"))
    place.do("umount", work / "b")
    place.do("chroot", work)
    shows(daemon, place)
    eventually(lambda: check(("path", "/b/m") in shown(daemon, place.number), "as seen in a chroot"))
    os.rename(work / "b", work / "c")
    eventually(lambda: check(("path", "/c/m") in shown(daemon, place.number), "and renamed"))


def test_names_within_the_bpffs(env):
    """The root of a bind mount is a directory of the bpffs, which is renamed; and what another mount
    covers of it."""
    daemon, place, helper = env.daemon(), Elsewhere(env), env.helper()
    work, obj = env.tmp / "w", helper.make("map", "array")
    work.mkdir()
    for name in ("top", "top/d", "top/x"):
        (env.bpffs / name).mkdir()
    helper.do("pin", obj.var, env.bpffs / "top" / "d" / "pin")
    place.do("bind", env.bpffs / "top", work)
    place.do("umount", env.bpffs)  # now this process's own mount there is the only way but the bind

    def path(want):
        def look():
            for _ in range(2):
                lines, _ = daemon.lines(f"{obj.key}/holders")
                found = [fields(x)["path"] for x in lines if x.startswith(f"{obj.key} pin ")]
                check(found == [want], str(lines))
        eventually(look)
    path(f"{env.bpffs}/top/d/pin")
    shows(daemon, place, ("path", str(work)))
    os.rename(env.bpffs / "top", env.bpffs / "new")
    path(f"{env.bpffs}/new/d/pin")
    place.do("cover", work / "d")
    os.rename(env.bpffs / "new" / "d", env.bpffs / "new" / "e")
    path(f"{env.bpffs}/new/e/pin")
    shows(daemon, place, ("path", str(work)))


def test_namespaces_with_the_same_number(env):
    """A new mount namespace often has the number of one that was freed."""
    daemon, work = env.daemon(), env.tmp / "w"
    for name in ("one", "two"):
        (work / name).mkdir(parents=True)
    for round_ in range(4):
        place = Elsewhere(env)
        target = work / ("one", "two")[round_ % 2]
        place.do("bind", env.bpffs, target)
        shows(daemon, place, ("path", str(target)))
        place.end()


if __name__ == "__main__":
    sys.exit(main(globals()))
