#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and maps held by sockets, reuseport and fanout groups, and tun devices: made for real by
this process, compared line by line, their account even, then undone and seen to be released."""
import array
import fcntl
import mmap
import os
import pathlib
import socket
import struct
import sys

from harness import (Skip, check, compare, equal, eventually, fields, libc, main, must, run, tool,
                     unescape)
from made import (CLONE_NEWNET, OURS, bpf, held, keep, netns, only_mapped, private_net, shared,
                  taken, update)

SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF = 50, 52
SOL_PACKET, PACKET_RX_RING, PACKET_FANOUT, PACKET_FANOUT_DATA = 263, 5, 18, 22
FANOUT_EBPF = 7
TUNSETIFF, TUNSETPERSIST, TUNSETQUEUE = 0x400454CA, 0x400454CB, 0x400454D9
TUNSETSTEERINGEBPF, TUNSETFILTEREBPF = 0x800454E0, 0x800454E1
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_DETACH_QUEUE = 2, 0x100, 0x1000, 0x400
PROG_ATTACH, PROG_DETACH, SK_SKB_STREAM_VERDICT = 8, 9, 5


def attach(sock, obj, option=SO_ATTACH_BPF):
    with taken(obj) as fd:
        sock.setsockopt(socket.SOL_SOCKET, option, fd)


# ------------------------------------------------------------------ sockets ---

def test_socket_filter(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    sock = keep(env, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    attach(sock, obj)
    tail = f"via=filter type=udp6 local=[::]:0 netns={netns()}"
    daemon.expect(obj, [obj.held(), held(obj, "socket", tail, sock.fileno(), 1)])
    second = keep(env, sock.dup())
    daemon.expect(obj, [obj.held(), held(obj, "socket", tail, sock.fileno()),
                        held(obj, "socket", tail, second.fileno())])
    shared(daemon, obj, "socket")
    obj.close()
    sock.close()
    daemon.expect(obj, [held(obj, "socket", tail, second.fileno(), 1)])
    check(obj.key in daemon.read(f"pid/{os.getpid()}/holding"), "holding of the process")
    equal(daemon.row(obj.key)["state"], "held")
    second.close()
    daemon.gone(obj)


def test_socket_filter_replaced(env):
    daemon, helper = env.daemon(), env.helper()
    first, second = (helper.make("prog", "socket_filter") for _ in range(2))
    sock = keep(env, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    tail = f"via=filter type=netlink_raw netns={netns()}"
    attach(sock, first)
    daemon.expect(first, [first.held(), held(first, "socket", tail, sock.fileno(), 1)])
    attach(sock, second)
    daemon.expect(first, [first.held()])
    daemon.expect(second, [second.held(), held(second, "socket", tail, sock.fileno(), 1)])


def test_socket_shared_with_accepted(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "socket_filter", result=0xFFFF)
    server = keep(env, socket.socket())
    attach(server, obj)
    obj.close()
    # Accepted sockets inherit this: closed before their clients they would else last up to 60 s in
    # FIN_WAIT2, with the filter.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.bind(("127.0.0.1", 0))
    server.listen()
    port = server.getsockname()[1]
    clients = [keep(env, socket.create_connection(("127.0.0.1", port))) for _ in range(3)]
    tail = f"via=filter type=tcp local=*:{port} netns={netns()}"
    daemon.expect(obj, [held(obj, "socket", tail, server.fileno(), 1)])
    accepted = [keep(env, server.accept()[0]) for _ in clients]
    daemon.expect(obj, [held(obj, "socket", tail, x.fileno()) for x in [server] + accepted])
    shared(daemon, obj, "socket")
    server.close()
    accepted.pop().close()
    daemon.expect(obj, [held(obj, "socket", tail, x.fileno()) for x in accepted])
    for sock in accepted:
        sock.close()
    daemon.gone(obj)


def test_socket_not_accepted_has_its_own(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    first, second = (helper.make("prog", "socket_filter", result=0xFFFF) for _ in range(2))
    server = keep(env, socket.socket())
    attach(server, first)
    server.bind(("127.0.0.1", 0))
    server.listen()
    keep(env, socket.create_connection(server.getsockname()))
    attach(server, second)  # the connection in the queue still has the first
    tail = f"via=filter type=tcp local=127.0.0.1:* netns={netns()}"
    for obj in (first, second):
        daemon.expect(obj, [obj.held(), held(obj, "socket", tail, server.fileno(), 1)])
    server.close()
    for obj in (first, second):
        daemon.expect(obj, [obj.held()])


def test_socket_unix_peer_of_closed(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    left, right = (keep(env, x) for x in socket.socketpair())
    attach(left, obj)
    obj.close()
    tail = f"via=filter type=unix_stream netns={netns()}"
    daemon.expect(obj, [held(obj, "socket", tail, left.fileno(), 1)])
    left.close()
    daemon.expect(obj, [held(obj, "socket", tail, right.fileno(), 1)])
    right.close()
    daemon.gone(obj)


def test_socket_in_flight(env):
    """No descriptor leads to it: it is in a message in another socket's queue."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    left, right = (keep(env, x) for x in socket.socketpair())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        attach(sock, obj)
        socket.send_fds(left, [b"x"], [sock.fileno()])
    line = (f"{obj.key} socket ref=1 user=0 share=* {OURS} via=filter type=udp local=0.0.0.0:0"
            f" netns={netns()}")
    obj.close()
    daemon.expect(obj, [line])
    (fd,) = socket.recv_fds(right, 1, 1)[1]
    daemon.expect(obj, [line.replace(" via", f" fd={fd} via")])
    os.close(fd)
    daemon.gone(obj)


def test_socket_mapped(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    sock = keep(env, socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
    attach(sock, obj)
    sock.setsockopt(SOL_PACKET, PACKET_RX_RING,
                    struct.pack("=IIII", mmap.PAGESIZE, 1, mmap.PAGESIZE, 1))
    only_mapped(daemon, obj, sock, "socket", f"via=filter type=packet_dgram netns={netns()}")


def test_socket_unix_names(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    path = str(env.tmp / "a name")
    names = {path: path.replace(" ", "\\040"), "\0bpfrefs\0test": "@bpfrefs@test"}
    socks = {}
    for name in names:
        socks[name] = keep(env, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        socks[name].bind(name)
        attach(socks[name], obj)
    daemon.expect(obj, [obj.held()] + [
        held(obj, "socket", f"via=filter type=unix_dgram local={shown} netns={netns()}",
             socks[name].fileno(), 1) for name, shown in names.items()])


def test_socket_of_another_namespace(env):
    """One that no process is in: only the socket keeps it."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "socket_filter")
    private_net(env)
    sock, inside = keep(env, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)), netns()
    attach(sock, obj)
    if libc.unshare(CLONE_NEWNET) < 0:
        raise Skip("no network namespace")
    tail = f"via=filter type=udp local=0.0.0.0:0 netns={inside}"
    daemon.expect(obj, [obj.held(), held(obj, "socket", tail, sock.fileno(), 1)])


def test_socket_psock(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "sk_skb", result=1)
    map_ = helper.make("map", "sockmap", max=2)

    def program(command):
        with taken(obj) as prog, taken(map_) as target:
            bpf(command, struct.pack("=IIII", target, prog, SK_SKB_STREAM_VERDICT, 0))
    program(PROG_ATTACH)
    server = keep(env, socket.create_server(("127.0.0.1", 0)))
    client = keep(env, socket.create_connection(server.getsockname()))
    sock = keep(env, server.accept()[0])
    by_map = f"{obj.key} map ref=1 user=0 id={map_.id} name= via=*"
    for index, each in enumerate((client, sock)):
        update(map_, index, each.fileno())
    psock = [held(obj, "socket", f"via=psock type=tcp local=127.0.0.1:* netns={netns()}",
                  x.fileno(), 1) for x in (client, sock)]
    daemon.expect(obj, [obj.held(), by_map] + psock, exact=False)
    exact(daemon, obj)
    program(PROG_DETACH)  # from the map; the sockets have their copies
    daemon.expect(obj, [obj.held()] + psock)
    client.close()
    daemon.expect(obj, [obj.held(), psock[1]])
    sock.close()
    daemon.expect(obj, [obj.held()])


def exact(daemon, obj):
    """The account alone, where another class's lines are not this file's business."""
    def look():
        refs = daemon.pairs(f"{obj.key}/refs")
        equal(refs["unexplained"], "0", str(refs))
    eventually(look)


def registered(env):
    """A congestion control of BPF, registered without a link: its name and its map."""
    bpftool = tool("bpftool")
    name = "bpfrefs_test"
    file = pathlib.Path(os.environ["OBJECT_FILES"]) / "congestion.bpf.o"
    status, out, err = run(bpftool, "struct_ops", "register", file)
    if status:
        raise Skip(f"bpftool cannot register a struct_ops: {err or out}".splitlines()[0])
    ident = next(x.split()[-1].rstrip(".") for x in (out + err).splitlines() if " id " in x)
    env.cleanup(run, bpftool, "struct_ops", "unregister", "id", ident)
    return name, f"map/{ident}"


def test_socket_struct_ops(env):
    daemon = env.daemon()
    name, key = registered(env)
    private_net(env)

    def ours():
        lines = daemon.lines(f"{key}/holders")[0]
        refs = daemon.pairs(f"{key}/refs")
        equal(refs["unexplained"], "0", f"{refs} {lines}")
        return [fields(x) for x in lines if " socket " in x]

    def counts(want):
        def look():
            lines = ours()
            equal({int(x.get("fd", -1)): int(x["ref"]) for x in lines}, want, f"{lines}")
        eventually(look)
    counts({})
    server = keep(env, socket.socket())
    server.setsockopt(socket.IPPROTO_TCP, 13, name.encode())
    server.bind(("127.0.0.1", 0))
    server.listen()
    counts({server.fileno(): 1})
    (line,) = ours()
    equal((line["via"], line["type"], line["pid"]), ("struct_ops", "tcp", str(os.getpid())))
    clients = [keep(env, socket.create_connection(server.getsockname())) for _ in range(3)]
    # those in the queue: one line more with the listener's descriptor
    def queued():
        equal(sorted(int(x["ref"]) for x in ours()), [1, 3])
        equal({int(x["fd"]) for x in ours()}, {server.fileno()})
    eventually(queued)
    accepted = [keep(env, server.accept()[0]) for _ in clients]
    counts({x.fileno(): 1 for x in [server] + accepted})
    server.close()
    for sock in clients + accepted:  # reset: the kernel may keep one that is closed for minutes
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    counts({})


def test_socket_struct_ops_default(env):
    """A namespace's default for new sockets, which they use, and which it holds itself."""
    daemon = env.daemon()
    name, key = registered(env)
    private_net(env)
    inside = netns()
    setting = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
    before = setting.read_text()

    def ours(want):
        lines = [x for x in daemon.lines(f"{key}/holders")[0] if " socket " in x]
        refs = daemon.pairs(f"{key}/refs")
        equal(refs["unexplained"], "0", f"{refs} {lines}")
        compare(lines, want)
    default = f"{key} socket ref=1 user=0 share=* via=struct_ops netns={inside}"
    setting.write_text(name)
    eventually(lambda: ours([default]))
    # once it is registered no more, this alone holds it
    must(tool("bpftool"), "struct_ops", "unregister", "id", key.split("/")[1])
    line = next(x for x in daemon.lines("objects")[0] if x.startswith(f"{key} "))
    check(f"default TCP congestion control of network namespace {inside}" in
          unescape(line.split(" because=")[1]), line)
    sock = keep(env, socket.socket())
    eventually(lambda: ours([default, f"{key} socket ref=1 user=0 share=* {OURS}"
                                      f" fd={sock.fileno()} via=struct_ops type=tcp"
                                      f" local=0.0.0.0:0 netns={inside}"]))
    sock.close()
    setting.write_text(before)
    daemon.gone(key)


# ---------------------------------------------------------- reuseport, fanout ---

def test_reuseport(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "socket_filter")
    socks = []
    for _ in range(2):
        sock = keep(env, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", socks[0].getsockname()[1] if socks else 0))
        socks.append(sock)
    attach(socks[1], obj, SO_ATTACH_REUSEPORT_EBPF)
    port = socks[0].getsockname()[1]
    tail = f"type=udp local=127.0.0.1:{port} netns={netns()}"
    daemon.expect(obj, [obj.held()] + [held(obj, "reuseport", tail, x.fileno()) for x in socks])
    shared(daemon, obj, "reuseport")
    obj.close()
    socks[1].close()
    daemon.expect(obj, [held(obj, "reuseport", tail, socks[0].fileno(), 1)])
    socks[0].close()
    daemon.gone(obj)


def test_reuseport_tcp(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "socket_filter")
    sock = keep(env, socket.socket(socket.AF_INET6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    attach(sock, obj, SO_ATTACH_REUSEPORT_EBPF)
    sock.bind(("::1", 0))
    sock.listen()
    tail = f"type=tcp6 local=[::1]:{sock.getsockname()[1]} netns={netns()}"
    daemon.expect(obj, [obj.held(), held(obj, "reuseport", tail, sock.fileno(), 1)])
    sock.close()
    daemon.expect(obj, [obj.held()])


def test_fanout(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "socket_filter")
    socks = []
    for _ in range(2):
        sock = keep(env, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        sock.bind(("lo", 3))
        sock.setsockopt(SOL_PACKET, PACKET_FANOUT, 77 | FANOUT_EBPF << 16)
        socks.append(sock)
    with taken(obj) as fd:
        socks[0].setsockopt(SOL_PACKET, PACKET_FANOUT_DATA, fd)
    tail = f"group=77 ifname=lo ifindex=1 netns={netns()}"
    daemon.expect(obj, [obj.held()] + [held(obj, "fanout", tail, x.fileno()) for x in socks])
    shared(daemon, obj, "fanout")
    obj.close()
    socks[0].close()
    daemon.expect(obj, [held(obj, "fanout", tail, socks[1].fileno(), 1)])
    socks[1].close()
    daemon.gone(obj)


# ---------------------------------------------------------------------- tun ---

def tun(env, name):
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Skip(f"/dev/net/tun: {error.strerror}") from error
    file = keep(env, os.fdopen(fd, "r+b", buffering=0))
    fcntl.ioctl(file, TUNSETIFF, struct.pack("=16sH14x", name.encode(),
                                             IFF_TAP | IFF_MULTI_QUEUE | IFF_NO_PI))
    return file


def set_program(file, request, obj):
    if obj is None:
        fcntl.ioctl(file, request, array.array("i", [-1]))
        return
    with taken(obj) as fd:
        fcntl.ioctl(file, request, array.array("i", [fd]))


def test_tun(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    files = [tun(env, "bpfrefs0") for _ in range(2)]
    index = socket.if_nametoindex("bpfrefs0")
    steering, filter_ = (helper.make("prog", "socket_filter") for _ in range(2))
    set_program(files[0], TUNSETSTEERINGEBPF, steering)
    set_program(files[1], TUNSETFILTEREBPF, filter_)
    tail = f"ifname=bpfrefs0 ifindex={index} netns={netns()} via="
    for obj, via in (steering, "steering"), (filter_, "filter"):
        daemon.expect(obj, [obj.held()] + [held(obj, "tun", tail + via, x.fileno())
                                           for x in files])
        shared(daemon, obj, "tun")
    set_program(files[0], TUNSETSTEERINGEBPF, None)
    daemon.expect(steering, [steering.held()])
    # a queue that is switched off keeps the device too
    fcntl.ioctl(files[0], TUNSETQUEUE, struct.pack("=16sH14x", b"", IFF_DETACH_QUEUE))
    files[1].close()
    daemon.expect(filter_, [filter_.held(),
                            held(filter_, "tun", tail + "filter", files[0].fileno(), 1)])
    filter_.close()
    files[0].close()
    daemon.gone(filter_)


def test_tun_persistent(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    file = tun(env, "bpfrefs1")
    fcntl.ioctl(file, TUNSETPERSIST, 1)
    index = socket.if_nametoindex("bpfrefs1")
    obj = helper.make("prog", "socket_filter")
    set_program(file, TUNSETFILTEREBPF, obj)
    obj.close()
    tail = f"ifname=bpfrefs1 ifindex={index} netns={netns()} via=filter"
    alone = f"{obj.key} tun ref=* user=0 share=* {tail}"
    daemon.expect(obj, [held(obj, "tun", tail, file.fileno()), alone])
    shared(daemon, obj, "tun")
    file.close()
    daemon.expect(obj, [alone])
    equal(daemon.row(obj.key)["state"], "held")
    file = tun(env, "bpfrefs1")
    fcntl.ioctl(file, TUNSETPERSIST, 0)
    daemon.expect(obj, [held(obj, "tun", tail, file.fileno(), 1)])
    file.close()
    daemon.gone(obj)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
