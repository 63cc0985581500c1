#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is attached is released with what it is attached in: network namespaces that processes keep in every
way there is, tun devices, pairs of veth; and what a sockmap gave to its sockets is released with the map. Each
answer is put to the test: the process is ended, and the kernel shows."""
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

from harness import (MNT_DETACH, MS_BIND, Helper, Skip, check, compare, equal, eventually, fields, main,
                     mount, must, run, tool, umount)
from made import bpf, taken, update
from test_net import MK_NET, Prog

PROG_ATTACH, SK_SKB_STREAM_VERDICT = 8, 5

CHILD = r'''
import ctypes, fcntl, os, socket, struct, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
kept = []


def join(path):
    fd = os.open(path, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):
        sys.exit("setns: " + os.strerror(ctypes.get_errno()))
    os.close(fd)


def new():
    if libc.unshare(0x40000000):
        sys.exit("unshare: " + os.strerror(ctypes.get_errno()))


def open_(path):
    kept.append(os.open(path, os.O_RDONLY))


def sock(path):
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    join(path)
    kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    join(f"/proc/self/fd/{own}")
    os.close(own)


def thread(path):
    there = threading.Event()

    def run():
        join(path)
        there.set()
        threading.Event().wait()
    threading.Thread(target=run, daemon=True).start()
    there.wait()


def tap(name, persist="0"):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("=16sH14x", name.encode(), 0x1002))
    fcntl.ioctl(fd, 0x400454CB, int(persist))
    kept.append(fd)


for word in sys.argv[1:]:
    name, *args = word.split("=")
    {"join": join, "new": new, "open": open_, "sock": sock, "thread": thread, "tap": tap}[name](*args)
print("ready", flush=True)
sys.stdin.read()
'''


class Process:
    """A process that keeps something, as its words say."""

    def __init__(self, env, *words):
        self.process = subprocess.Popen([sys.executable, "-c", CHILD, *words], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        env.cleanup(self.end)
        self.pid = self.process.pid
        check(self.process.stdout.readline() == "ready\n", f"{words} failed")
        self.net = f"/proc/{self.pid}/ns/net"
        self.inum = os.stat(self.net).st_ino

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def enter(net, *command):
    return must(tool("nsenter"), f"--net={net}", *command)


def attach(env, helper, net, device="lo"):
    """An XDP program, and where there is tcx one there, by nothing but the device."""
    xdp = Prog(env, helper, "xdp", result=2)
    enter(net, tool("ip"), "link", "set", "dev", device, "xdpgeneric", "pinned", xdp.path)
    progs, tcx = [xdp], Prog(env, helper, "sched_cls")
    status, _, error = run(*MK_NET, net, "tcx", tcx.path, device, "ingress")
    check(status == 0 or "EINVAL" in error, error)
    if status == 0:
        progs.append(tcx)
    for prog in (xdp, tcx):
        prog.let_go()
    return progs


def retained(daemon, pid, objects):
    """What retains says of these objects; None: the process is not there at all."""
    try:
        lines = daemon.lines(f"pid/{pid}/retains")[0]
    except FileNotFoundError:
        return None
    keys = {obj.key for obj in objects}
    return {line.split(" ", 1)[0]: fields(line)["effect"] for line in lines
            if line.split(" ", 1)[0] in keys}


def goes(daemon, pid, objects, effect="freed"):
    eventually(lambda: equal(retained(daemon, pid, objects), {x.key: effect for x in objects},
                             f"retains of {pid}"))


def stays(daemon, pids, objects, listed=True):
    """It is freed with none of these alone, and all of them are listed."""
    def look():
        for pid in pids:
            equal(retained(daemon, pid, objects), {} if listed else None, f"retains of {pid}")
    eventually(look)


def because(daemon, obj):
    return daemon.pairs(f"{obj.key}/refs")["because"]


def is_there(daemon, objects):
    for obj in objects:
        check((daemon.tree / obj.key).exists(), f"{obj.key} was freed")
        equal(daemon.row(obj.key)["state"], "held")


# -------------------------------------------------------------- namespaces ---

def test_alone(env):
    """A process alone in its network namespace: what is attached there is freed with it, and so is the
    user state of what that uses; nobody is named who has nothing to do with it."""
    script = env.tmp / "inside"
    script.write_text(f"#!/bin/sh\nexec {tool('unshare')} --net {env.mkobj}\n")
    script.chmod(0o700)
    inside = type("Inside", (), {"mkobj": str(script)})
    daemon, helper, alone = env.daemon(), env.helper(), Helper(inside)
    env.helpers.append(alone)
    net = f"/proc/{alone.pid}/ns/net"
    progs = attach(env, helper, net)
    array = alone.make("map", "prog_array", name="jmp", max=2)
    entry = alone.make("prog", "xdp", result=2, maps=array)
    used = alone.make("map", "array", name="used")
    alone.do("pin", entry.var, env.bpffs / "entry")
    # instead of the first one
    enter(net, tool("ip"), "-force", "link", "set", "dev", "lo", "xdpgeneric", "pinned",
          env.bpffs / "entry")
    daemon.gone(progs[0].key)
    os.unlink(env.bpffs / "entry")
    entry.close()
    used.close()
    objects = [array, entry, *progs[1:]]
    goes(daemon, alone.pid, objects)
    row = daemon.row(array.key)
    equal((row["state"], daemon.row(entry.key)["state"]), ("held", "held"), str(row))
    equal(because(daemon, entry),
          f"attached (xdp lo) in a network namespace that only pid {alone.pid} (mkobj) holds")
    inum = os.stat(net).st_ino
    compare(daemon.lines(f"{entry.key}/roots")[0],
            [f"{entry.key} xdp ref=* user=0 ifname=lo ifindex=1 netns={inum} mode=generic"
             f" owner=net_ns owner_pid={alone.pid} owner_comm=mkobj chain={entry.key}"])
    os.kill(alone.pid, signal.SIGKILL)
    alone.process.wait()
    for obj in objects:
        daemon.gone(obj)


def kept_twice(env, other, listed=True):
    """A namespace that one process is in, and that @other makes something else keep; what ends that."""
    daemon, helper, first = env.daemon(), env.helper(), Process(env, "new")
    progs = attach(env, helper, first.net)
    goes(daemon, first.pid, progs)
    equal(daemon.read(f"pid/{first.pid}/comm").strip(),
          pathlib.Path(f"/proc/{first.pid}/comm").read_text().strip())
    second, end = other(first)
    stays(daemon, [first.pid], progs, listed=listed)
    if second:
        stays(daemon, [second.pid], progs)
    first.end()
    if second:
        goes(daemon, second.pid, progs)
        line = daemon.lines(f"{progs[0].key}/roots")[0][0]
        equal(fields(line)["owner_pid"], str(second.pid), line)
    else:
        eventually(lambda: check("owner=" not in daemon.read(f"{progs[0].key}/roots"), "a root"))
    is_there(daemon, progs)
    end()
    for prog in progs:
        daemon.gone(prog.key)


def by_process(env, word):
    def other(first):
        process = Process(env, f"{word}={first.net}")
        return process, process.end
    return other


def test_second_process(env):
    kept_twice(env, by_process(env, "join"))


def test_thread(env):
    kept_twice(env, by_process(env, "thread"))


def test_descriptor(env):
    kept_twice(env, by_process(env, "open"))


def test_socket(env):
    kept_twice(env, by_process(env, "sock"))


def test_bind_mount(env):
    place = env.tmp / "net"
    place.touch()

    def other(first):
        mount(first.net, place, None, MS_BIND)
        env.cleanup(run, tool("umount"), "-l", place)
        return None, lambda: umount(place, MNT_DETACH)
    # nothing is the process's alone any more, and so it is not listed
    kept_twice(env, other, listed=False)


def test_other_classes(env):
    """Filters of tc, routes and a flow dissector of such a namespace."""
    daemon, helper, alone = env.daemon(), env.helper(), Process(env, "new")
    cls, route = Prog(env, helper, "sched_cls"), Prog(env, helper, "lwt_xmit")
    dissector = Prog(env, helper, "flow_dissector", attach="flow_dissector")
    must(*MK_NET, alone.net, "dissector", dissector.path, "on")
    enter(alone.net, tool("ip"), "link", "set", "lo", "up")
    enter(alone.net, tool("tc"), "qdisc", "add", "dev", "lo", "clsact")
    enter(alone.net, tool("tc"), "filter", "add", "dev", "lo", "ingress", "bpf", "direct-action",
          "pinned", cls.path)
    enter(alone.net, tool("ip"), "route", "add", "192.0.2.0/24", "encap", "bpf", "xmit", "pinned",
          route.path, "dev", "lo")
    progs = [cls, route, dissector]
    for prog in progs:
        prog.let_go()
    goes(daemon, alone.pid, progs)
    alone.end()
    for prog in progs:
        daemon.gone(prog.key)


# ----------------------------------------------------------------- devices ---

def tap_process(env, *words):
    if not os.access("/dev/net/tun", os.R_OK):
        raise Skip("no /dev/net/tun")
    return Process(env, *words)


def test_tap(env):
    """One that does not persist is removed with its file, though others are in its namespace."""
    daemon, helper, first = env.daemon(), env.helper(), tap_process(env, "new", "tap=tap0")
    second = Process(env, f"join={first.net}")
    progs = attach(env, helper, first.net, "tap0")
    goes(daemon, first.pid, progs)
    stays(daemon, [second.pid], progs)
    why = because(daemon, progs[0])
    check(why.startswith(f"attached (xdp tap0) to a device that only pid {first.pid} ("), why)
    first.end()
    for prog in progs:
        daemon.gone(prog.key)


def test_tap_persistent(env):
    daemon, helper, first = env.daemon(), env.helper(), tap_process(env, "new", "tap=tap0=1")
    second = Process(env, f"join={first.net}")
    progs = attach(env, helper, first.net, "tap0")
    stays(daemon, [first.pid, second.pid], progs)
    first.end()
    goes(daemon, second.pid, progs)
    is_there(daemon, progs)
    second.end()
    for prog in progs:
        daemon.gone(prog.key)


def test_tap_moved(env):
    """In a namespace that its file is not of it is removed with either."""
    daemon, helper, first = env.daemon(), env.helper(), tap_process(env, "new", "tap=tap0", "tap=tap1")
    second = Process(env, "new")
    for name in ("tap0", "tap1"):
        enter(first.net, tool("ip"), "link", "set", name, "netns", second.pid)
    progs = attach(env, helper, second.net, "tap0")
    goes(daemon, first.pid, progs)
    goes(daemon, second.pid, progs)
    roots = daemon.lines(f"{progs[0].key}/roots")[0]
    equal({(fields(x)["owner_pid"], fields(x)["owner"]) for x in roots if "tap0" in x},
          {(str(first.pid), "tun"), (str(second.pid), "net_ns")}, str(roots))
    second.end()
    for prog in progs:
        daemon.gone(prog.key)


def test_veth(env):
    """The end that is in a namespace that stays is removed with the namespace of the other one."""
    daemon, helper, stay, inner = (env.daemon(), env.helper(), Process(env, "new"),
                                   Process(env, "new"))
    enter(stay.net, tool("ip"), "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns",
          inner.pid)
    progs = attach(env, helper, stay.net, "out0")
    goes(daemon, stay.pid, progs)
    goes(daemon, inner.pid, progs)
    inner.end()
    for prog in progs:
        daemon.gone(prog.key)


def test_macvlan(env):
    """One on a device of another namespace is removed with that."""
    daemon, helper, below, above = (env.daemon(), env.helper(), Process(env, "new"),
                                    Process(env, "new"))
    enter(below.net, tool("ip"), "link", "add", "low0", "type", "veth", "peer", "name", "low1")
    status, _, error = run(tool("nsenter"), f"--net={below.net}", tool("ip"), "link", "add", "link",
                           "low0", "name", "up0", "type", "macvlan")
    if status:
        raise Skip(f"no macvlan device: {error.strip()}")
    enter(below.net, tool("ip"), "link", "set", "up0", "netns", above.pid)
    progs = attach(env, helper, above.net, "up0")
    goes(daemon, above.pid, progs)
    goes(daemon, below.pid, progs)
    below.end()
    for prog in progs:
        daemon.gone(prog.key)


TUNNELS = {
    "vxlan": "id 5 remote 192.0.2.2 dstport 4789",
    "geneve": "id 5 remote 192.0.2.2",
    "gre": "local 192.0.2.1 remote 192.0.2.2",
    "gretap": "local 192.0.2.1 remote 192.0.2.2",
    "ipip": "local 192.0.2.1 remote 192.0.2.2",
    "sit": "local 192.0.2.1 remote 192.0.2.2",
    "vti": "local 192.0.2.1 remote 192.0.2.2 key 1",
    "ip6tnl": "local 2001:db8::1 remote 2001:db8::2",
    "ip6gre": "local 2001:db8::1 remote 2001:db8::2",
    "ip6gretap": "local 2001:db8::1 remote 2001:db8::2",
    "vti6": "local 2001:db8::1 remote 2001:db8::2 key 1",
    "xfrm": "if_id 5",
}


def test_tunnels(env):
    """One that was moved is removed with the namespace that it was made in as well."""
    daemon, helper, found = env.daemon(), env.helper(), []
    for kind, words in TUNNELS.items():
        made, moved = Process(env, "new"), Process(env, "new")
        status = run(tool("nsenter"), f"--net={made.net}", tool("ip"), "link", "add", "tun0", "type",
                     kind, *words.split())[0]
        if status == 0:
            found.append(kind)
            enter(made.net, tool("ip"), "link", "set", "tun0", "netns", moved.pid)
            progs = attach(env, helper, moved.net, "tun0")
            goes(daemon, moved.pid, progs)
            goes(daemon, made.pid, progs)
            made.end()
            for prog in progs:
                daemon.gone(prog.key)
        made.end()
        moved.end()
    if not found:
        raise Skip("this kernel has no tunnels")


def test_stack(env):
    """A vxlan device on a macvlan device on a tap, each in a namespace of its own: it is removed with
    the last descriptor of the tap, and with each of the namespaces."""
    daemon, helper = env.daemon(), env.helper()
    for last in range(4):
        net = Process(env, "new")
        tap = Process(env, f"join={net.net}", "tap=low0", "new")
        middle, top = Process(env, "new"), Process(env, "new")
        for made, moved, *words in ((net, middle, "mid0", "link", "low0", "type", "macvlan"),
                                    (middle, top, "up0", "type", "vxlan", "id", "5", "dev", "mid0",
                                     "dstport", "4789")):
            status, _, error = run(tool("nsenter"), f"--net={made.net}", tool("ip"), "link", "add",
                                   *words)
            if status:
                raise Skip(f"no such device: {error.strip()}")
            enter(made.net, tool("ip"), "link", "set", words[0], "netns", moved.pid)
        progs = attach(env, helper, top.net, "up0")
        keepers = (tap, middle, top)
        for process in keepers:
            goes(daemon, process.pid, progs)
        stays(daemon, [net.pid], progs)  # the tap's file keeps that namespace
        if last < len(keepers):
            keepers[last].end()
        else:
            enter(net.net, tool("ip"), "link", "del", "low0")
        for prog in progs:
            daemon.gone(prog.key)
        for process in (tap, middle, top, net):
            process.end()


def test_initial_namespace(env):
    """What is attached in the kernel's own namespace is freed with no process, and names none."""
    if not pathlib.Path("/proc/sys/net/core/netdev_budget").exists():
        raise Skip("we are not in the initial network namespace") # which alone has all of these
    daemon, helper = env.daemon(), env.helper()
    name = f"own{os.getpid()}"
    must(tool("ip"), "link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    env.cleanup(must, tool("ip"), "link", "del", name)
    progs = attach(env, helper, "/proc/self/ns/net", name)
    eventually(lambda: is_there(daemon, progs))
    for line in daemon.lines(f"{progs[0].key}/roots")[0]:
        check("owner" not in line, line)
    equal(because(daemon, progs[0]), f"attached (xdp {name})")
    equal(retained(daemon, os.getpid(), progs), None, "retains of this test")


# ----------------------------------------------------------------- sockmaps ---

def sockmap(env):
    """A map of a helper's, with a verdict program that nothing else holds, and our sockets in it."""
    daemon, helper = env.daemon(), env.helper()
    verdict = helper.make("prog", "sk_skb", result=1)
    map_ = helper.make("map", "sockmap", max=2)
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    sock = server.accept()[0]
    for each in (server, client, sock):
        env.cleanup(each.close)
    with taken(verdict) as prog, taken(map_) as target:
        bpf(PROG_ATTACH, struct.pack("=IIII", target, prog, SK_SKB_STREAM_VERDICT, 0))
    update(map_, 0, sock.fileno())
    verdict.close()
    return daemon, helper, map_, verdict, sock


def test_psock(env):
    """The verdict program is released with the map, though a socket has its copy and stays open."""
    daemon, helper, map_, verdict, sock = sockmap(env)

    def look():
        lines = daemon.lines(f"{verdict.key}/holders")[0]
        check(any(f"pid={os.getpid()}" in x and "via=psock" in x for x in lines), str(lines))
        compare(daemon.lines(f"{verdict.key}/roots")[0],
                [f"{map_.held()} chain={map_.key},{verdict.key}"])
    eventually(look)
    goes(daemon, helper.pid, [map_, verdict])
    equal(retained(daemon, os.getpid(), [map_, verdict]), {}, "retains of the socket's process")
    os.kill(helper.pid, signal.SIGKILL)
    helper.process.wait()
    daemon.gone(verdict)
    daemon.gone(map_)
    check(sock.fileno() >= 0 and sock.getpeername(), "the socket is open")


def test_psock_without_users(env):
    """A map that only a program uses has dropped its own programs, and its sockets have theirs."""
    daemon, helper, map_, verdict, sock = sockmap(env)
    user = helper.make("prog", "socket_filter", maps=map_)
    helper.do("pin", user.var, env.bpffs / "user")
    user.close()

    def look():
        state = retained(daemon, helper.pid, [map_, verdict])
        equal(state, {map_.key: "cleared"})
    eventually(look)
    map_.close()

    def cleared():
        equal(daemon.row(map_.key)["state"], "cleared")
        lines = daemon.lines(f"{verdict.key}/holders")[0]
        check(len(lines) == 1 and "via=psock" in lines[0], str(lines))
        row = daemon.row(verdict.key)
        equal((row["state"], row["refcnt"]), ("held", "1"))
        lines = daemon.lines(f"{verdict.key}/roots")[0]
        check(len(lines) == 1 and lines[0].endswith(
            f" chain={user.key},{map_.key},{verdict.key}"), str(lines))
    eventually(cleared)
    os.unlink(env.bpffs / "user")
    daemon.gone(verdict)
    check(sock.fileno() >= 0 and sock.getpeername(), "the socket is open")


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
