#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seldom met: working directories in a bpffs that is mounted no longer, cgroups in maps, iterators
over sockets' maps, what a kernel with BPF preload puts into each bpffs, protocols' own programs."""
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

from harness import Skip, check, equal, eventually, fails, fields, main, mount, umount
from made import OURS, taken, update
from test_cgroup import attach, line
from test_holders import pinned

AF_KCM, SIOCKCMATTACH = 41, 0x89E0
SK_STORAGE_FLAGS = 1  # BPF_F_NO_PREALLOC


def test_pin_kept_by_a_working_directory(env):
    """A process whose working directory is in a bpffs that was unmounted lazily keeps all of its
    pins; in a directory that was removed too."""
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "lazy"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, place / "x")
    inside = f"/proc/{helper.pid}/root{place}"
    os.mkdir(f"{inside}/d")
    with subprocess.Popen(["sleep", "1000"], cwd=f"{inside}/d") as process:
        try:
            os.rmdir(f"{inside}/d")
            helper.do("umount", place, detach=1)
            obj.close()
            daemon.expect(obj, [pinned(obj, "?", "detached", inner="/x")])
        finally:
            process.send_signal(signal.SIGKILL)
    daemon.gone(obj)


def test_cgroup_in_a_map(env):
    """A slot of a cgroup array holds a cgroup, and by that no program: not even once it is removed."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    child = group / "slot"
    child.mkdir()
    table = helper.make("map", "cgroup_array", max=2)
    prog = helper.make("prog", "cgroup_skb")
    attach(prog, child)
    fd = os.open(child, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    update(table, 1, fd)
    os.close(fd)
    daemon.expect(table, [table.held()])
    daemon.expect(prog, [prog.held(), line(prog, child)])
    prog.close()
    child.rmdir()
    daemon.gone(prog)
    daemon.expect(table, [table.held()])


def iterator(helper, target, obj):
    try:
        prog = helper.make("prog", "tracing", attach="trace_iter", target=target, name="show")
        return prog, helper.make("link", "iter", prog, map=obj)
    except OSError as error:
        raise Skip(f"no iterators over {target}: {error}") from error


def iterated(env, target, obj, helper):
    """The link holds the map, and so does each open iterator, which stays alone at the end."""
    daemon = env.daemon()
    prog, link = iterator(helper, target, obj)
    by_link = f"{obj.key} link ref=1 user=1 id={link.id} name= via=target"
    daemon.expect(obj, [obj.held(), by_link])
    look = helper.make("iter", link)
    by_iter = f"{obj.key} iter ref=1 user=1 pid={helper.pid} comm=mkobj fd={look.fd} target={target}"
    daemon.expect(obj, [obj.held(), by_link, by_iter])
    for other in (link, obj, prog):
        other.close()
    daemon.expect(obj, [by_iter])
    look.close()
    daemon.gone(obj)


def test_iter_over_a_sockmap(env):
    for kind in ("sockmap", "sockhash"):
        helper = env.helper()
        iterated(env, "sockmap", helper.make("map", kind), helper)
        env.daemons[-1].stop()


def test_iter_over_socket_storage(env):
    helper = env.helper()
    storage = helper.make("map", "sk_storage", btf=helper.make("btf"), max=0, flags=SK_STORAGE_FLAGS)
    iterated(env, "bpf_sk_storage_map", storage, helper)


def check_unlisted(daemon):
    """Two programs that are in no table of ids hold the BTF of vmlinux, once each, however many bpffs
    have their links. What the kernel's counter has beyond that was there before the daemon: some
    machines load programs at boot that have no id either."""
    btf = next(x.split(" ", 1)[0] for x in daemon.lines("objects")[0]
               if fields(x)["name"] == "vmlinux")

    def look():
        lines = daemon.lines(f"{btf}/holders")[0]
        equal(lines.count(f"{btf} kernel ref=1 user=0 why=preload"), 2, "\n".join(lines))
        refs = daemon.pairs(f"{btf}/refs")
        equal(refs["unexplained"], refs.get("constant", "0"))
    eventually(look)


def test_preload(env):
    """What the kernel puts into a new bpffs by itself: links of iterators, in each the same, which it
    holds itself too; or, where these are in no table of ids, names that no object is found by."""
    place = env.tmp / "new"
    place.mkdir()
    mount("bpf", place, "bpf")
    env.cleanup(umount, place)
    preloaded = sorted({"maps.debug", "progs.debug"} & set(os.listdir(place)))
    if not preloaded:
        raise Skip("this kernel preloads nothing")
    equal(preloaded, ["maps.debug", "progs.debug"])
    daemon = env.daemon()
    pins = [x for x in daemon.lines("holders")[0]
            if fields(x).get("path", "").endswith(("/maps.debug", "/progs.debug"))]
    check("\nclass pin: BPF walk: complete\n" in daemon.read("status"), daemon.read("status"))
    links = sorted({x.split(" ", 1)[0] for x in pins})
    print(f"# preload: {' '.join(links) or 'in no table of ids'}")
    dev = os.stat(place).st_dev
    here = [x for x in daemon.lines("bpffs")[0]
            if x.startswith(f"{os.major(dev)}:{os.minor(dev)} ")]
    equal([fields(x)["pins"] for x in here], [str(len(links))], "counted, and with records")
    # two dots: bpffs's own answer, whatever it is, since such a name has no twin
    for name in preloaded:
        try:
            os.lstat(place / f".{name}")
            raise AssertionError(f"bpffs has .{name}")
        except OSError as error:
            fails(error.errno, os.lstat, daemon.mnt / f".{name}")
    if not links:
        # the mirror has them as any name, and no object next to them
        check(set(preloaded) <= set(os.listdir(daemon.mnt)), "not in the mirror")
        check_unlisted(daemon)
        return
    equal(len(links), 2, "links")
    for link in links:
        here = [x for x in pins if x.startswith(f"{link} ")]
        check(sum(f" path={top}/" in x for x in here for top in (place, env.bpffs)) == 2, str(here))
        equal(daemon.pairs(f"{link}/refs")["unexplained"], "1", f"{link}: but for the kernel's own")
        for held in daemon.lines(f"{link}/holding")[0]:
            key = held.split(" ", 1)[0]
            equal(daemon.pairs(f"{key}/refs")["unexplained"], "0", key)


def test_counted_pins_have_records(env):
    """pins= of an instance in .bpf/bpffs is how many pinned inodes the records of pins and keeps name:
    hard links once, unlinked ones that something still holds, keeps; no symlinks and directories."""
    daemon, helper = env.daemon(), env.helper()
    objects = [helper.make("map", "array"), helper.make("prog", "socket_filter"),
               helper.make("map", "hash")]
    for number, obj in enumerate(objects):
        helper.do("pin", obj.var, env.bpffs / f"p{number}")
    os.link(env.bpffs / "p0", env.bpffs / "again")
    os.symlink("p0", env.bpffs / "symlink")
    os.mkdir(env.bpffs / "dir")
    opened = os.open(env.bpffs / "p1", os.O_PATH)
    os.unlink(env.bpffs / "p1")
    daemon.write(f"{objects[2].key}/keep", "pin")
    try:
        dev = os.stat(env.bpffs).st_dev
        name = f"{os.major(dev)}:{os.minor(dev)}"
        lines = daemon.lines("holders")[0]
        inodes = {fields(x)["ino"] for x in lines if f" dev={name} " in x}
        keeps = {x for x in lines if " keep " in x and f" path={env.bpffs}/" in x}
        equal((len(inodes), len(keeps)), (3, 1), str(lines))
        here = [x for x in daemon.lines("bpffs")[0] if x.startswith(f"{name} ")]
        equal([fields(x)["pins"] for x in here], ["4"])
    finally:
        os.close(opened)


def test_kcm(env):
    """A TCP connection that was given to a KCM socket holds the program that splits it up."""
    daemon, helper = env.daemon(), env.helper()
    try:
        kcm = socket.socket(AF_KCM, socket.SOCK_DGRAM, 0)
    except OSError as error:
        raise Skip(f"no KCM sockets: {error}") from error
    prog = helper.make("prog", "socket_filter")
    with kcm, socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as other:
        for sock in (client, other):
            with taken(prog) as fd:
                fcntl.ioctl(kcm, SIOCKCMATTACH, struct.pack("=ii", sock.fileno(), fd))
        prog.close()
        held = f"{prog.key} socket ref=1 user=0 share=* {OURS} fd={kcm.fileno()} via=kcm type=kcm_dgram netns=*"
        daemon.expect(prog, [held, held])
    daemon.gone(prog)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
