# SPDX-License-Identifier: GPL-2.0-or-later
"""For tests that hold a helper's objects themselves: by their own sockets, devices and events."""
import contextlib
import ctypes
import fcntl
import mmap
import os
import pathlib
import socket
import struct

from harness import Skip, check, equal, fields, libc
from machine import syscall

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
MAP_UPDATE = 2
SYS_PIDFD_GETFD = 438

# Who holds it, in a record.
OURS = f"pid={os.getpid()} comm={pathlib.Path('/proc/self/comm').read_text().strip()}"


def bpf(command, attr):
    data = ctypes.create_string_buffer(attr, len(attr))
    return syscall("bpf", ctypes.c_int(command), data, ctypes.c_uint(len(attr)))


@contextlib.contextmanager
def taken(obj):
    """The helper's open file as a descriptor of our own, for a moment."""
    process = os.pidfd_open(obj.helper.pid)
    fd = syscall(SYS_PIDFD_GETFD, ctypes.c_int(process), ctypes.c_int(obj.fd), ctypes.c_uint(0))
    os.close(process)
    try:
        yield fd
    finally:
        os.close(fd)


def update(map_, index, value):
    with taken(map_) as fd:
        words = [ctypes.create_string_buffer(struct.pack("=I", x), 4) for x in (index, value)]
        bpf(MAP_UPDATE, struct.pack("=IxxxxQQQ", fd, *map(ctypes.addressof, words), 0))


def netns():
    return os.stat("/proc/self/ns/net").st_ino


def private_net(env):
    """From now until the test's end we are in a network namespace of our own, with lo up."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.unshare(CLONE_NEWNET) < 0:
        os.close(before)
        raise Skip("no network namespace: " + os.strerror(ctypes.get_errno()))

    def leave():
        if libc.setns(before, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(before)
    env.cleanup(leave)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = struct.pack("=16sH14x", b"lo", 0)
        flags = struct.unpack("=16xH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, name))[0]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("=16sH14x", b"lo", flags | IFF_UP))


def keep(env, thing):
    """Closed at the test's end, whatever happens."""
    env.cleanup(thing.close)
    return thing


def held(obj, kind, tail, fd, ref="*"):
    """A record of ours: * as the count where lines share one reference."""
    return f"{obj.key} {kind} ref={ref} user=0 share=* {OURS} fd={fd} {tail}"


def shared(daemon, obj, kind):
    """All lines of a class are about one reference: one of them counts."""
    lines = [x for x in daemon.lines(f"{obj.key}/holders")[0] if f" {kind} " in x]
    equal(sorted(fields(x)["ref"] for x in lines), ["0"] * (len(lines) - 1) + ["1"], str(lines))
    equal(len({fields(x)["share"] for x in lines}), 1, f"tokens in {lines}")


def only_mapped(daemon, obj, thing, kind, tail):
    """Closes what holds a program, of which a mapping is left; then that goes too."""
    # not by Python's mmap, which keeps a descriptor of its own
    size = ctypes.c_size_t(mmap.PAGESIZE)
    libc.mmap.restype = ctypes.c_void_p
    ring = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, thing.fileno(),
                     ctypes.c_long(0))
    check(ring != ctypes.c_void_p(-1).value, "mmap")
    thing.close()
    obj.close()
    try:
        daemon.expect(obj, [f"{obj.key} {kind} ref=1 user=0 share=* {OURS} {tail}"])
    finally:
        libc.munmap(ctypes.c_void_p(ring), size)
    daemon.gone(obj)
