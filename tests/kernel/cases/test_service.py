#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service manager is notified of (sd_notify(3)), and the messages of a service."""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

from harness import check, equal, eventually, libc, main

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # __WALL: threads too


class Manager:
    """The socket that the daemon notifies, as systemd's."""

    def __init__(self, env, abstract=False, **variables):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = f"@bpfrefs-test-{os.getpid()}" if abstract else str(env.tmp / "notify")
        self.socket.bind("\0" + path[1:] if abstract else path)
        self.socket.settimeout(10)
        self.variables = {"NOTIFY_SOCKET": path, **variables}
        os.environ.update(self.variables)
        env.cleanup(self.close)

    def close(self):
        for name in self.variables:
            os.environ.pop(name, None)
        self.socket.close()

    def message(self):
        return self.socket.recv(4096).decode().splitlines()


def drain(manager):
    """How many messages have arrived."""
    count = 0
    manager.socket.setblocking(False)
    try:
        while manager.message():
            count += 1
    except BlockingIOError:
        return count


def test_ready_status_stopping(env):
    manager = Manager(env)
    daemon = env.daemon()
    first = manager.message()
    equal(first[0], "READY=1", str(first))
    check(first[1].startswith(f"STATUS={env.bpffs} is mirrored at {env.mnt} (source "), first[1])
    equal(len(first), 2, str(first))
    daemon.stop(signal.SIGTERM)
    equal(manager.message(), ["STOPPING=1"])


def test_abstract_socket(env):
    manager = Manager(env, abstract=True)
    env.daemon()
    equal(manager.message()[0], "READY=1")


def test_watchdog(env):
    manager = Manager(env, WATCHDOG_USEC="400000")
    daemon = env.daemon()
    equal(manager.message()[0], "READY=1")
    daemon.read("objects")
    drain(manager)
    manager.socket.settimeout(10)
    for _ in range(3):
        said = manager.message()
        equal(said[0], "WATCHDOG=1", str(said))
    check(" scans, the last one found " in said[1], said[1])
    daemon.stop(signal.SIGTERM)
    while manager.message() != ["STOPPING=1"]:
        pass


def test_watchdog_of_another_process(env):
    manager = Manager(env, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    daemon = env.daemon()
    equal(manager.message()[0], "READY=1")
    time.sleep(0.5)
    daemon.stop(signal.SIGTERM)
    equal(manager.message(), ["STOPPING=1"])


def ptrace(request, thread):
    null = ctypes.c_void_p(0)
    check(libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), null, null) == 0,
          os.strerror(ctypes.get_errno()))


def threads(daemon):
    """The ids of the daemon's threads by their names."""
    found = {}
    for thread in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{thread}/comm", encoding="utf-8") as file:
            found.setdefault(file.read().strip(), []).append(int(thread))
    return found


def silent(manager):
    """Whether five intervals pass without a message; those that had been sent before do not count."""
    drain(manager)
    time.sleep(1)
    return drain(manager) == 0


def test_requests_hang(env):
    """Nothing answers the kernel's requests: the watchdog is not notified, so that the service
    manager restarts the daemon."""
    manager = Manager(env, WATCHDOG_USEC="200000")
    daemon = env.daemon()
    equal(manager.message()[0], "READY=1")
    equal(manager.message()[0], "WATCHDOG=1")
    stopped = [thread for comm, ids in threads(daemon).items() if comm != "service"
               for thread in ids]
    for thread in stopped:
        ptrace(PTRACE_SEIZE, thread)
        ptrace(PTRACE_INTERRUPT, thread)
        os.waitpid(thread, WALL)
    try:
        eventually(lambda: check(silent(manager), "notified although no request is answered"))
    finally:
        for thread in stopped:
            ptrace(PTRACE_DETACH, thread)
    manager.socket.settimeout(10)
    equal(manager.message()[0], "WATCHDOG=1")


def test_socket_that_is_not_there(env):
    os.environ["NOTIFY_SOCKET"] = str(env.tmp / "nothing")
    env.cleanup(os.environ.pop, "NOTIFY_SOCKET")
    daemon = env.daemon()
    check("cannot notify the service manager" in daemon.log_text(), daemon.log_text())


def test_levels_in_the_journal(env):
    """As systemd does: standard error is the stream that JOURNAL_STREAM names."""
    manager = Manager(env)
    log = env.tmp / "log.0"
    log.touch()
    stat = log.stat()
    os.environ["JOURNAL_STREAM"] = f"{stat.st_dev}:{stat.st_ino}"
    env.cleanup(os.environ.pop, "JOURNAL_STREAM")
    daemon = env.daemon()
    equal(manager.message()[0], "READY=1")
    check(f"<6>{env.bpffs} is mirrored at {env.mnt} (source " in daemon.log_text(), daemon.log_text())

    # a start that fails, too
    with open(log, "wb") as output:
        stat = os.fstat(output.fileno())
        journal = dict(os.environ, JOURNAL_STREAM=f"{stat.st_dev}:{stat.st_ino}")
        subprocess.run([env.bpfrefs, "-f", "/etc", str(env.tmp)], stderr=output, env=journal, check=False)
    check(log.read_text().startswith("<3>/etc is not on a bpffs: "), log.read_text())


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
