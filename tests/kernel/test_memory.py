#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""There is no memory: one allocation of the daemon's fails, at each place that it allocates from, or
all do from some moment on until the request is answered, or the kernel gives no more to the process
(RLIMIT_DATA). Each request is answered, by an error or rightly; no command is half done; the daemon
lives, and serves as before once there is memory again. FAULT_CALLS and FAULT_SEED as in faulty.py;
FAULT_MOMENTS: how many moments of each request (3)."""
import collections
import errno
import os
import random
import resource
import sys
import threading
import time

from faulty import (ALLOCATION, CLEAN, FROM, SEED, Fault, reads, try_changes, try_reads, whole,
                    world)
from harness import Skip, check, eventually, main
from test_limits import many

MOMENTS = int(os.environ.get("FAULT_MOMENTS", "3"))
SQUEEZED_S = 10


def memory_world(env, *options):
    if os.environ.get("WITH_RESERVE") != "1":
        raise Skip("this build has no reserve of memory")
    return world(env, *options, kind=ALLOCATION)


def one_fails(faults, action):
    """Each place that has not had its turn yet, once."""
    return faults.faults(action, [errno.ENOMEM])


def all_fail(faults, action):
    """All fail from some moments on: the first allocation, and others at random."""
    faults.sites(action)
    count = max(faults.control.count, 1)
    moments = [1] + [faults.rng.randint(1, count) for _ in range(MOMENTS - 1)]
    return [Fault(FROM, at, errno.ENOMEM, count=count) for at in moments]


def tell(faults, got, what):
    print(f"# seed {SEED}: {got[0]} {what}, {got[1]} were told so")
    check(got[0] > 20, "hardly anything was tried")
    check("memory: ok" in faults.daemon.read("status"), "status")


def test_one_allocation_in_reads(env):
    faults, helper, obj = memory_world(env)
    tell(faults, try_reads(env, faults, reads(faults.daemon, obj, helper), one_fails), "reads with one failing")


def test_one_allocation_in_reads_by_procfs(env):
    faults, helper, obj = memory_world(env, "--source=proc")
    tell(faults, try_reads(env, faults, reads(faults.daemon, obj, helper), one_fails), "reads with one failing")


def test_one_allocation_in_changes(env):
    faults, _, obj = memory_world(env)
    tell(faults, try_changes(env, faults, obj, one_fails), "changes with one failing")


def test_no_memory_in_reads(env):
    faults, helper, obj = memory_world(env)
    tell(faults, try_reads(env, faults, reads(faults.daemon, obj, helper), all_fail), "reads without memory")


def test_no_memory_in_reads_by_procfs(env):
    faults, helper, obj = memory_world(env, "--source=proc")
    tell(faults, try_reads(env, faults, reads(faults.daemon, obj, helper), all_fail), "reads without memory")


def test_no_memory_in_changes(env):
    faults, _, obj = memory_world(env)
    tell(faults, try_changes(env, faults, obj, all_fail), "changes without memory")


class Squeeze(threading.Thread):
    """At random moments the kernel gives the daemon no more memory, for a moment."""

    def __init__(self, faults, what):
        super().__init__()
        self.pid, self.what, self.rng = faults.daemon.pid, what, faults.rng
        self.ends, self.times = threading.Event(), 0

    def run(self):
        before = resource.prlimit(self.pid, self.what)
        while not self.ends.is_set():
            resource.prlimit(self.pid, self.what, (1 << 20, before[1]))
            self.times += 1
            time.sleep(self.rng.random() * 0.2)
            resource.prlimit(self.pid, self.what, before)
            time.sleep(self.rng.random() * 0.4)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()


def squeezed(env, what, *options):
    """Readers of everything, large answers too, and commands, while memory comes and goes."""
    faults, helper, obj = memory_world(env, *options)
    daemon, key = faults.daemon, many(env, "slots", 20000)
    requests = [*reads(daemon, obj, helper), ("large", lambda: daemon.read(f"{key}/holders"), key),
                ("large", lambda: daemon.read(f"{key}/json"), key)]
    done, refused, wrong = collections.Counter(), collections.Counter(), []

    def ask(seed):
        rng, end = random.Random(seed), time.monotonic() + SQUEEZED_S
        while time.monotonic() < end and not wrong:
            name, action, want = rng.choice(requests)
            try:
                got = action()
                done[name] += 1
                if want not in got and "# " not in got and "?" not in got:
                    wrong.append(f"{name}: {got}")
            except OSError as error:
                refused[name] += 1
                if error.errno not in CLEAN:
                    wrong.append(f"{name}: {error}")

    threads = [threading.Thread(target=ask, args=(SEED + x,)) for x in range(8)]
    with Squeeze(faults, what) as squeeze:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(not wrong, f"seed {SEED}: {wrong}")
    check(daemon.process.poll() is None, f"seed {SEED}: the daemon died: {daemon.log_text()}")
    print(f"# seed {SEED}: {squeeze.times} times no more; {sum(done.values())} answers, "
          f"{sum(refused.values())} refused: {dict(refused)}")
    check(sum(done.values()) > 20, "hardly anything was tried")
    for name, action, want in requests:
        eventually(lambda a=action, n=name, w=want: check(w in a(), f"{n} afterwards"))
    whole(env, daemon, "afterwards")


def test_no_more_data(env):
    squeezed(env, resource.RLIMIT_DATA)


def test_no_more_address_space(env):
    squeezed(env, resource.RLIMIT_AS)


def test_no_more_data_by_procfs(env):
    squeezed(env, resource.RLIMIT_DATA, "--source=proc")


if __name__ == "__main__":
    sys.exit(main(globals()))
