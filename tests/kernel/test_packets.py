#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of closed sockets that a packet keeps: in another socket's queue, in a device's queue, or not
yet acknowledged. Each is made for real, told line by line, and goes with the packet."""
import os
import socket
import subprocess
import sys

from harness import equal, main
from made import OURS, held, keep, netns
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


def alone(env):
    """A daemon, and a program that nothing but what is attached here holds."""
    daemon, helper = env.daemon(), env.helper()
    return daemon, helper.make("prog", "socket_filter")


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
    daemon.expect(obj, [held(obj, "socket", tail(), queue.fileno(), 1)])  # the first one is told
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
    """It goes with the process that could receive it, as retains says."""
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
            (told,) = daemon.lines(f"pid/{child.pid}/retains")[0]
            equal((told.split()[0], "effect=freed" in told), (obj.key, True), told)
        finally:
            child.kill()
    daemon.gone(obj)


def test_packet_of_a_pair(env):
    """The peer, which is told as such, is told once."""
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


if __name__ == "__main__":
    sys.exit(main(globals()))
