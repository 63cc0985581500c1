#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mappings, which are read from one tree for each inode: compared with all mappings of all processes;
and rings and sockets, of which one process has a descriptor and another one a mapping alone."""
import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys

from harness import PATIENCE, Skip, check, libc, main
from made import taken

SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER = 425, 427
SO_ATTACH_BPF, SOL_PACKET, PACKET_RX_RING = 50, 263, 5
PROT, PAGE = mmap.PROT_READ | mmap.PROT_WRITE, mmap.PAGESIZE

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long)


def called(result, what):
    if result == -1 or result == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), what)
    return result


def keeps_mapping(env, fd, size):
    """A process that has the file mapped, and no descriptor of it."""
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            called(libc.mmap(None, size, PROT, mmap.MAP_SHARED, fd, 0), "mmap")
            os.closerange(3, said)
            os.closerange(said + 1, 256)
            os.write(said, b".")
            signal.pause()
        finally:
            os._exit(1)

    def end():
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    env.cleanup(end)
    os.close(said)
    check(os.read(ready, 1) == b".", "the other process has it mapped")
    os.close(ready)
    return pid, end


def test_trees_against_all_mappings(_env):
    """Maps, perf events and rings: mapped, unmapped, split, moved, in forked processes and in processes
    that share their memory."""
    program = os.environ.get("RANDOM_MAPPINGS")
    if not program:
        raise Skip("built without BPF")
    done = subprocess.run([program, "20"], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=30 * PATIENCE)
    results = [x for x in done.stdout.splitlines() if not x.startswith("#")]
    if any("# SKIP" in x for x in results):
        raise Skip(done.stdout)
    check(done.returncode == 0 and len(results) == 3 and all(x.startswith("ok ") for x in results[1:]),
          done.stdout[-4000:])


def test_ring_that_another_process_has_mapped(env):
    daemon, obj = env.daemon(), env.helper().make("map", "array")
    params = ctypes.create_string_buffer(256)
    ring = libc.syscall(SYS_IO_URING_SETUP, 1, params)
    if ring < 0:
        raise Skip("no io_uring")
    # Rings of all processes of this user without CAP_IPC_LOCK count, also that of the daemon.
    if "class io_uring: BPF walk: unavailable" in daemon.read("status"):
        os.close(ring)
        raise Skip("the daemon is refused a ring of its own")
    with taken(obj) as fd:
        files = (ctypes.c_int * 1)(fd)
        called(libc.syscall(SYS_IO_URING_REGISTER, ring, 2, files, 1), "IORING_REGISTER_FILES")
    pid, end = keeps_mapping(env, ring, PAGE)

    def slot(ref, who, how):
        return f"{obj.key} io_uring ref={ref} user={ref} file=* pid={who} comm=* fd={how} slot=0"
    daemon.expect(obj, [obj.held(), slot(0, os.getpid(), ring), slot(0, pid, "mmap")])
    obj.close()
    daemon.expect(obj, [slot(1, os.getpid(), ring), slot(0, pid, "mmap")])
    os.close(ring)
    daemon.expect(obj, [slot(1, pid, "mmap")])
    end()
    daemon.gone(obj)


def test_socket_that_another_process_has_mapped(env):
    daemon, obj = env.daemon(), env.helper().make("prog", "socket_filter")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", PAGE, 1, PAGE, 1))
    with taken(obj) as fd:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, fd)
    pid, end = keeps_mapping(env, sock.fileno(), PAGE)

    def holder(ref, who, how=""):
        return (f"{obj.key} socket ref={ref} user=0 share=* pid={who} comm=* {how}via=filter "
                "type=packet_raw netns=*")
    ours = f"fd={sock.fileno()} "
    daemon.expect(obj, [obj.held(), holder(1, os.getpid(), ours), holder(0, pid)])
    obj.close()
    daemon.expect(obj, [holder(1, os.getpid(), ours), holder(0, pid)])
    sock.close()
    daemon.expect(obj, [holder(1, pid)])
    end()
    daemon.gone(obj)


if __name__ == "__main__":
    sys.exit(main(globals()))
