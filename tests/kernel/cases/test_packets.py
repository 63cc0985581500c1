#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of closed sockets that a packet keeps: in another socket's queue, in a device's queue, or not
yet acknowledged. Each is made for real, compared line by line, and released with the packet."""
import os
import socket
import subprocess
import sys

from harness import Skip, check, equal, eventually, libc, main, must, run, tool
from made import CLONE_NEWNET, held, keep, netns, private_net
from test_sockets import attach

UNIX = socket.AF_UNIX


def sender(env, obj, kind=socket.SOCK_DGRAM):
    """A unix socket with the program as its filter."""
    sock = keep(env, socket.socket(UNIX, kind))
    attach(sock, obj)
    return sock


def receiver(env, kind=socket.SOCK_DGRAM):
    """A unix socket with an address of its own."""
    sock = keep(env, socket.socket(UNIX, kind))
    sock.bind(f"\0bpfrefs.{os.getpid()}.{sock.fileno()}")
    return sock


def tail(kind="unix_dgram"):
    return f"via=filter type={kind} netns={netns()}"


def alone(env, **options):
    """A daemon, and a program that nothing but what is attached here holds."""
    daemon, helper = env.daemon(), env.helper()
    return daemon, helper.make("prog", "socket_filter", **options)


# ------------------------------------------------------- queues of unix sockets ---


def test_packet_of_closed_datagram_socket(env):
    daemon, obj = alone(env)
    queue, sock = receiver(env), sender(env, obj)
    obj.close()
    sock.sendto(b"x", queue.getsockname())
    daemon.expect(obj, [held(obj, "socket", tail(), sock.fileno(), 1)])
    sock.close()
    daemon.expect(obj, [held(obj, "socket", tail(), queue.fileno(), 1)])
    equal(daemon.row(obj.key)["state"], "held")
    second = keep(env, queue.dup())
    daemon.expect(obj, [held(obj, "socket", tail(), queue.fileno(), 1)])  # the first one is shown
    queue.close()
    daemon.expect(obj, [held(obj, "socket", tail(), second.fileno(), 1)])
    second.recv(1)
    daemon.gone(obj)


def test_packet_many_of_two_senders(env):
    """However many of them are in the queue, a line for each sender; of the open one no more."""
    daemon, obj = alone(env)
    queue = receiver(env)
    first, second, third = (sender(env, obj) for _ in range(3))
    obj.close()
    for _ in range(3):
        for sock in (first, second, third):
            sock.sendto(b"x", queue.getsockname())
    first.close()
    second.close()
    closed = held(obj, "socket", tail(), queue.fileno(), 1)
    daemon.expect(obj, [closed, closed, held(obj, "socket", tail(), third.fileno(), 1)])
    queue.close()
    daemon.expect(obj, [held(obj, "socket", tail(), third.fileno(), 1)])
    third.close()
    daemon.gone(obj)


def test_packet_in_another_process(env):
    """It is freed with the process that could receive it, as retains says."""
    daemon, obj = alone(env)
    queue, sock = receiver(env), sender(env, obj)
    obj.close()
    sock.sendto(b"x", queue.getsockname())
    sock.close()
    with subprocess.Popen(["sleep", "100"], pass_fds=[queue.fileno()]) as child:
        fd = queue.fileno()
        queue.close()
        try:
            daemon.expect(obj, [f"{obj.key} socket ref=1 user=0 share=* pid={child.pid} comm=sleep"
                                f" fd={fd} {tail()}"])
            (shown,) = daemon.lines(f"pid/{child.pid}/retains")[0]
            equal((shown.split()[0], "effect=freed" in shown), (obj.key, True), shown)
        finally:
            child.kill()
    daemon.gone(obj)


def test_packet_of_a_pair(env):
    """The peer, which is shown as such, is shown once."""
    daemon, obj = alone(env)
    for kind, name in ((socket.SOCK_DGRAM, "unix_dgram"), (socket.SOCK_STREAM, "unix_stream"),
                       (socket.SOCK_SEQPACKET, "unix_seqpacket")):
        left, right = (keep(env, x) for x in socket.socketpair(UNIX, kind))
        attach(left, obj)
        left.send(b"x")
        left.close()
        daemon.expect(obj, [obj.held(), held(obj, "socket", tail(name), right.fileno(), 1)])
        right.recv(1)
        right.close()
        daemon.expect(obj, [obj.held()])


def test_packet_not_accepted(env):
    """A client that has closed before it was accepted: its listener's descriptor leads there."""
    daemon, obj = alone(env)
    for kind, name in ((socket.SOCK_STREAM, "unix_stream"),
                       (socket.SOCK_SEQPACKET, "unix_seqpacket")):
        for data in (False, True):
            queue, sock = receiver(env, kind), sender(env, obj, kind)
            queue.listen()
            sock.connect(queue.getsockname())
            if data:
                sock.send(b"x")
            sock.close()
            daemon.expect(obj, [obj.held(), held(obj, "socket", tail(name), queue.fileno(), 1)])
            accepted = keep(env, queue.accept()[0])
            daemon.expect(obj, [obj.held(),
                                held(obj, "socket", tail(name), accepted.fileno(), 1)])
            accepted.close()
            queue.close()
            daemon.expect(obj, [obj.held()])


def test_packet_in_flight(env):
    """The receiving socket is itself in a message: no descriptor leads to it."""
    daemon, obj = alone(env)
    left, right = (keep(env, x) for x in socket.socketpair())
    queue, sock = receiver(env), sender(env, obj)
    obj.close()
    sock.sendto(b"x", queue.getsockname())
    sock.close()
    socket.send_fds(left, [b"x"], [queue.fileno()])
    queue.close()
    daemon.expect(obj, [held(obj, "socket", tail(), right.fileno(), 1)])
    right.close()
    daemon.gone(obj)


# ------------------------------------------------------------ queues of devices ---


def slow(*children, rate="8kbit"):
    """Of lo a queue that lets about one packet of 1000 bytes out in a second, whose inner one may be
    another; without arguments a fifo."""
    tc = tool("tc")
    status, out, err = run(tc, "qdisc", "add", "dev", "lo", "root", "handle", "1:", "tbf",
                           "rate", rate, "burst", "2000", "limit", "200000")
    if status:
        raise Skip(f"no tbf: {err or out}".strip())
    for words in children:
        status, out, err = run(tc, *words.split())
        if status:
            raise Skip(f"tc {words}: {err or out}".strip())


def fill(obj, count=20):
    """Sends more than the queue lets out at once, and closes the sender."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        attach(sock, obj)
        for _ in range(count):
            sock.sendto(b"x" * 1000, ("127.0.0.1", 9))


def in_queue(obj):
    """Its port is given up when it is closed."""
    return (f"{obj.key} socket ref=1 user=0 share=* via=filter type=udp local=0.0.0.0:0"
            f" netns={netns()} ifname=lo ifindex=1")


def queued(env, *children):
    daemon, obj = alone(env)
    private_net(env)
    slow(*children)
    fill(obj)
    fill(obj)
    obj.close()
    daemon.expect(obj, [in_queue(obj)] * 2)
    check("held" == daemon.row(obj.key)["state"], "not held")
    must(tool("tc"), "qdisc", "del", "dev", "lo", "root")
    daemon.gone(obj)


def test_packet_in_a_slow_queue(env):
    queued(env)


def test_packet_in_pfifo_fast(env):
    queued(env, "qdisc add dev lo parent 1:1 handle 2: pfifo_fast")


def test_packet_in_fq_codel(env):
    queued(env, "qdisc add dev lo parent 1:1 handle 2: fq_codel")


def test_packet_in_netem(env):
    queued(env, "qdisc del dev lo root", "qdisc add dev lo root netem delay 100s")


def test_packet_in_a_class(env):
    """The leaf of a class, and what htb lets pass unclassified."""
    queued(env, "qdisc del dev lo root", "qdisc add dev lo root handle 1: htb default 5",
           "class add dev lo parent 1: classid 1:5 htb rate 8kbit burst 2000 cburst 2000")


def test_packet_in_an_unknown_queue(env):
    """What cannot be looked into is a gap, as long as a reference is unexplained."""
    daemon, obj = alone(env)
    private_net(env)
    slow("qdisc add dev lo parent 1:1 handle 2: sfq", rate="160bit")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(2):  # one leaves at once, the other is what tbf has taken out already
            sock.sendto(b"x" * 1000, ("127.0.0.1", 9))
    fill(obj)
    obj.close()

    def look():
        lines, gaps = daemon.lines(f"{obj.key}/holders")
        equal(lines, [])
        check(any("socket: partial" in x and "queues of devices" in x for x in gaps), str(gaps))
    eventually(look)
    must(tool("tc"), "qdisc", "del", "dev", "lo", "root")
    daemon.gone(obj)
    eventually(lambda: equal(daemon.lines("holders")[1], []))


def test_packet_that_leaves(env):
    """It goes when the last packet does; the device's queue stays."""
    daemon, obj = alone(env)
    private_net(env)
    slow()
    fill(obj, count=10)
    obj.close()
    daemon.expect(obj, [in_queue(obj)])
    eventually(lambda: daemon.gone(obj), 30)


def test_packet_past_its_namespace(env):
    """No process is in the network namespace any more: its packets keep it until they have left."""
    daemon, obj = alone(env)
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    env.cleanup(os.close, before)
    private_net(env)
    slow()
    fill(obj, count=15)
    line = in_queue(obj)
    obj.close()
    check(libc.setns(before, CLONE_NEWNET) == 0, "setns")
    daemon.expect(obj, [line])
    eventually(lambda: daemon.gone(obj), 60)


def test_packet_open_again(env):
    """Of a socket that is open there is its own line and no other."""
    daemon, obj = alone(env)
    private_net(env)
    slow()
    fill(obj)
    sock = keep(env, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    attach(sock, obj)
    for _ in range(3):
        sock.sendto(b"x" * 1000, ("127.0.0.1", 9))
    own = held(obj, "socket", f"via=filter type=udp local=*:* netns={netns()}", sock.fileno(), 1)
    daemon.expect(obj, [obj.held(), own, in_queue(obj)])
    must(tool("tc"), "qdisc", "del", "dev", "lo", "root")
    daemon.expect(obj, [obj.held(), own])


# ------------------------------------------------------------------------- TCP ---


def test_packet_of_closed_tcp_socket(env):
    """One that has still to send: the other end does not read."""
    daemon, obj = alone(env, result=0xFFFF)  # it lets everything in
    private_net(env)
    server = keep(env, socket.create_server(("127.0.0.1", 0)))
    client = keep(env, socket.create_connection(server.getsockname()))
    other = keep(env, server.accept()[0])
    attach(client, obj)
    obj.close()
    port = client.getsockname()[1]
    client.setblocking(False)
    try:
        while True:
            client.send(b"x" * 65536)
    except BlockingIOError:
        pass
    tail_ = f"via=filter type=tcp local=127.0.0.1:{port} netns={netns()}"
    daemon.expect(obj, [held(obj, "socket", tail_, client.fileno(), 1)])
    client.close()
    daemon.expect(obj, [f"{obj.key} socket ref=1 user=0 share=* {tail_}"])
    other.close()
    server.close()
    daemon.gone(obj)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
