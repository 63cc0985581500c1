#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon to the kernel fail, one at a time, in the midst of each kind of request: it
answers with an error, or rightly, or says what it could not read; a command has happened or it has
not; nothing leaks; and the next request finds everything as it was. Each place that calls are made from
is tried once (faulty.py). So is each while it starts: it says why it does not, and leaves nothing
mounted, or it starts and answers."""
import errno
import os
import resource
import signal
import subprocess
import sys
import time

from faulty import Faults, SEED, reads, try_changes, try_reads, world
from harness import PATIENCE, check, equal, is_mounted, libc, main

ERRORS = (errno.ENOMEM, errno.EMFILE, errno.EPERM)


def read_faults(env, *options):
    faults, helper, obj = world(env, *options)
    tried, felt = try_reads(env, faults, reads(faults.daemon, obj, helper),
                            lambda faults, action: faults.faults(action, ERRORS))
    print(f"# seed {SEED}: {tried} calls failed, {felt} answers said so")
    check(felt, "no fault was ever felt")


def test_reads(env):
    read_faults(env)


def test_reads_by_procfs(env):
    read_faults(env, "--source=proc")


def change_faults(env, *options):
    faults, _, obj = world(env, *options)
    tried, refused = try_changes(env, faults, obj,
                                 lambda faults, action: faults.faults(action, ERRORS))
    print(f"# seed {SEED}: {tried} calls failed, {refused} requests were refused for it")
    check(refused, "no fault was ever felt")


def test_changes(env):
    change_faults(env)


def test_changes_by_procfs(env):
    change_faults(env, "--source=proc")


def few_descriptors(env, *options):
    """The daemon may open so few files that it cannot read all: a directory has all that is there, or
    reading it fails."""
    group, helper = env.cgroup(), env.helper()
    obj, daemon = helper.make("map", "hash"), env.daemon(*options)
    pid = daemon.process.pid
    (group / "cgroup.procs").write_text(str(helper.pid))
    places = {daemon.tree / "pid": str(helper.pid), daemon.tree / f"pid/{helper.pid}/fd": str(obj.fd),
              daemon.tree / "cgroup": group.name}
    usual, refused = resource.prlimit(pid, resource.RLIMIT_NOFILE), 0
    env.cleanup((group.parent / "cgroup.procs").write_text, str(helper.pid))
    for more in (0, 1, 4):
        used = {int(x) for x in os.listdir(f"/proc/{pid}/fd")}
        limit = more + min(set(range(len(used) + 1)) - used)
        for place, name in places.items():
            time.sleep(1.1)  # what a snapshot of the last second has needs none
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, usual[1]))
            try:
                check(name in os.listdir(place), f"{place}, {more} more: {name} is missing")
            except OSError as error:
                equal(error.errno, errno.EMFILE, f"{place}, {more} more")
                refused += 1
            finally:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
            check(name in os.listdir(place), f"{place} afterwards: {name} is missing")
    check(refused, "the daemon always had enough")


def test_few_descriptors(env):
    few_descriptors(env)


def test_few_descriptors_by_procfs(env):
    few_descriptors(env, "--source=proc")


# So that a place has the same address each time that it starts.
ADDR_NO_RANDOMIZE = 0x0040000
# Where libbpf takes the kernel to have no global functions the verifier gives up on a program only after
# a million instructions, and the load is repeated for the verifier's log.
LIMIT = 24 * PATIENCE


class Start:
    """One start, with a fault or without, and an end."""

    def __init__(self, env, faults, *options):
        self.env, self.faults, self.command = env, faults, [env.bpfrefs, "-f", *options, env.bpffs, env.mnt]
        self.log, self.fault = env.tmp / "starting", None

    def __call__(self):
        """What it answered of all holders and of itself, or None if it did not start."""
        with open(self.log, "wb") as log:
            process = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, env={**os.environ, **self.faults.environ},
                                       preexec_fn=lambda: libc.personality(ADDR_NO_RANDOMIZE))
        try:
            return self.answers(process)
        finally:
            process.kill()
            process.wait()

    def answers(self, process):
        end = time.monotonic() + LIMIT
        while not is_mounted(self.env.mnt):
            status = process.poll()
            if status is not None:
                equal(status, 1, f"{self.fault}: exit status, log: {self.log.read_text()}")
                return None
            check(time.monotonic() < end, f"{self.fault}: neither mounted nor gone")
            time.sleep(0.005)
        self.faults.control.armed = 0
        try:
            found = [(self.env.mnt / ".bpf" / name).read_text() for name in ("holders", "status")]
            process.send_signal(signal.SIGTERM)
        except OSError:
            found = None  # it goes again
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = "none, it does not end"
        equal(status, 0 if found else 1, f"{self.fault}: exit status, log: {self.log.read_text()}")
        return found


def start_faults(env, *options):
    faults, helper = Faults(env), env.helper()
    obj = helper.make("map", "prog_array")
    helper.do("pin", obj.var, env.bpffs / "p")
    start, before = Start(env, faults, *options), os.listdir(env.bpffs)
    check(start(), "it must start without a fault")
    tried = refused = 0
    for fault in faults.faults(start, ERRORS):
        start.fault = fault
        print(f"# {fault}", flush=True)  # one alone takes minutes where the processor is emulated
        answered = faults.run(start, fault)
        where = f"{fault} ({faults.control.name.decode()})"
        check(not isinstance(answered, OSError), f"{where}: {answered}")
        check(not is_mounted(env.mnt), f"{where}: a mount is left, log: {start.log.read_text()}")
        equal(os.listdir(env.bpffs), before, where)
        if answered:
            check(obj.key in answered[0] or "# " in answered[0], f"{where}: no gap is shown: {answered[1]}")
            check("version" in answered[1], f"{where}: {answered[1]}")
        else:
            check("bpfrefs: " in start.log.read_text(), f"{where}: it does not say why it does not start")
        tried += faults.control.failed > 0
        refused += answered is None
    print(f"# seed {SEED}: {tried} calls failed, for {refused} of them it did not start")
    check(tried > refused > 0, "no fault was ever felt, or each")


def test_start(env):
    start_faults(env)


def test_start_by_procfs(env):
    start_faults(env, "--source=proc")


if __name__ == "__main__":
    sys.exit(main(globals()))
