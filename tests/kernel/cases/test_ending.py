#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How a mount ends while it is in use: by umount, by umount -l, by a signal at any moment, with
frozen readers. Each time the daemon ends with status 0, nothing stays mounted, and no caller hangs.
ENDING_ROUNDS says how often each moment is tried."""
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time

from harness import (MNT_DETACH, Skip, check, equal, eventually, fails, is_mounted, main, sanitized,
                     umount)

ROUNDS = int(os.environ.get("ENDING_ROUNDS", "4"))
# A daemon that takes this long hangs, however slow the machine.
LIMIT = 100
# The errors that a call may get once the end has begun.
ENDED = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.ENOTDIR, errno.ENODEV)


class Caller(threading.Thread):
    """Does one thing again and again until that fails."""

    def __init__(self, action):
        super().__init__(daemon=True) # one that hangs must not keep the test from saying so
        self.action, self.count, self.error = action, 0, None

    def run(self):
        try:
            while True:
                self.action()
                self.count += 1
        except OSError as error:
            self.error = error


def read(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(65536):
            pass


def walk(top):
    for name in os.listdir(top):
        try:
            os.stat(top / name)
        except FileNotFoundError: # gone meanwhile; the next listing says whether all is
            continue


def keep(daemon, obj, rng):
    try:
        daemon.write(f"{obj.key}/keep", rng.choice(["fd", "pin", "off"]))
    finally:
        daemon.read(f"{obj.key}/keep")


def pin(daemon, obj):
    try:
        daemon.write(f"{obj.key}/pin", f"p{obj.id}")
        os.rename(daemon.mnt / f"p{obj.id}", daemon.mnt / f"q{obj.id}")
        daemon.write("control", f"unpin q{obj.id}")
    except OSError as error:
        check(error.errno in ENDED, str(error))
        raise


def load(env, daemon):
    """Many readers, of files that need scans and of others, and writers."""
    rng, helper, tree = random.Random(1), env.helper(), daemon.tree
    objects = [helper.make("map", "prog_array") for _ in range(4)]
    (env.bpffs / "d" / "e").mkdir(parents=True, exist_ok=True)
    # none that would go on working in the empty directory under the mount
    actions = [lambda: read(tree / "holders"), lambda: read(tree / "json"),
               lambda: read(tree / "status"), lambda: read(tree / objects[0].key / "refs"),
               lambda: walk(tree / "map"), lambda: os.listdir(tree / "pid"),
               lambda: walk(daemon.mnt / "d")] * 2
    actions += [lambda o=o: keep(daemon, o, rng) for o in objects[:2]]
    actions += [lambda o=o: pin(daemon, o) for o in objects[2:]]
    callers = [Caller(action) for action in actions]
    for caller in callers:
        caller.start()

    def busy():
        check(all(caller.count or caller.error for caller in callers), "not all have begun")
    eventually(busy, LIMIT)
    equal([str(caller.error) for caller in callers if caller.error], [], "errors before the end")
    return callers


def ended(env, daemon, callers, status=0):
    """The daemon is done, in time and well; nothing is mounted; no caller still waits."""
    equal(daemon.process.wait(LIMIT), status, f"exit status, log: {daemon.log_text()}")
    check(not is_mounted(env.mnt), "a stale mount")
    for caller in callers:
        caller.join(LIMIT)
        check(not caller.is_alive(), "a caller hangs")
        check(caller.error.errno in ENDED, str(caller.error))


def test_signals_under_load(env):
    """Whatever the daemon is doing: scanning, rendering, at work on a command."""
    rng = random.Random(2)
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM]
    for number in (signals * ROUNDS)[:ROUNDS]:
        daemon = env.daemon("-o", rng.choice(["keep=auto", "pins=file", "max_age=50"]))
        callers = load(env, daemon)
        time.sleep(rng.uniform(0, 0.1))
        daemon.process.send_signal(number)
        ended(env, daemon, callers)


def test_signal_while_a_scan_runs(env):
    """One reader alone: so the signal meets its scan, or the moment before or after it."""
    rng = random.Random(3)
    for _ in range(2 * ROUNDS):
        daemon = env.daemon()
        reader = Caller(lambda tree=daemon.tree: read(tree / "holders"))
        reader.start()
        time.sleep(rng.uniform(0, 0.03))
        daemon.process.send_signal(signal.SIGTERM)
        ended(env, daemon, [reader])


def test_many_signals(env):
    daemon = env.daemon()
    callers = load(env, daemon)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        daemon.process.send_signal(number)
    ended(env, daemon, callers)


def test_signal_while_starting(env):
    """Before the mount works, or while it begins to: no mount is left behind."""
    rng, statuses = random.Random(4), []
    for _ in range(5 * ROUNDS):
        with open(env.tmp / "starting", "wb") as log:
            process = subprocess.Popen([env.bpfrefs, "-f", "--source=proc", env.bpffs, env.mnt],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGTERM)
        statuses.append(process.wait(LIMIT))
        check(statuses[-1] in (0, -signal.SIGTERM), f"exit status {statuses[-1]}")
        check(not is_mounted(env.mnt), f"a stale mount, exit status {statuses[-1]}")
    print(f"# {statuses.count(0)} of {len(statuses)} had begun to mount")


def test_signal_before_the_loop_sleeps(env):
    """libfuse's loop has looked whether it shall end, and not yet begun to wait for that."""
    if sanitized(env.bpfrefs):
        raise Skip("a sanitizer wants to be loaded before anything else")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with open(env.tmp / "starting", "wb") as log:
            process = subprocess.Popen([env.bpfrefs, "-f", "--source=proc", env.bpffs, env.mnt],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**os.environ, "LD_PRELOAD": os.environ["FAULT_SO"],
                                            "FAULT_SIGNAL": str(int(number))})
        try:
            equal(process.wait(LIMIT), 0, f"signal {number}")
        finally:
            process.kill()
        check(not is_mounted(env.mnt), "a stale mount")


def test_umount_under_load(env):
    """umount says EBUSY and harms nobody; umount -l ends the mount once nobody uses it."""
    daemon = env.daemon()
    callers = load(env, daemon)
    refused = 0
    for _ in range(20):
        try:
            umount(env.mnt)
        except OSError as error:
            equal(error.errno, errno.EBUSY, str(error))
            refused += 1
            continue
        break # it met a moment between two requests
    if is_mounted(env.mnt):
        umount(env.mnt, MNT_DETACH)
    ended(env, daemon, callers)
    print(f"# {refused} times busy")


def test_umount_with_open_files(env):
    daemon = env.daemon("-o", "pins=file")
    helper = env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    (env.bpffs / "d").mkdir()
    control = os.open(daemon.tree / obj.key / "keep", os.O_WRONLY)
    text, place = open(daemon.tree / "holders", "rb"), os.open(daemon.mnt / "d", os.O_RDONLY)
    fails(errno.EBUSY, umount, env.mnt)
    umount(env.mnt, MNT_DETACH)
    check(daemon.process.poll() is None, "ended though files are open")
    check(obj.key.encode() in text.read(), "an open file is no longer readable")
    os.write(control, b"fd")
    equal(os.listdir(place), [], "an open directory")
    text.close()
    os.close(place)
    os.close(control)
    ended(env, daemon, [])


class Frozen:
    """A process that has files of the mount open, or reads them in a loop, and is stopped."""

    def __init__(self, daemon, reading):
        source = ("import sys\n"
                  "file = open(sys.argv[1], 'rb', buffering=0)\n"
                  "print(flush=True)\n"
                  "while True:\n"
                  "    if sys.argv[2] == 'reading':\n"
                  "        open(sys.argv[1], 'rb').read()\n"
                  "    else:\n"
                  "        sys.stdin.read()\n")
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, daemon.tree / "holders", reading],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()
        time.sleep(0.05)
        self.process.send_signal(signal.SIGSTOP)

    def end(self):
        """Goes on, finds that the mount no longer exists, and can be ended."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(LIMIT)
        self.process.stdin.close()
        self.process.stdout.close()


def frozen_readers(daemon):
    frozen = [Frozen(daemon, x) for x in ("idle", "reading", "reading", "reading")]
    daemon.env.cleanup(lambda: [one.end() for one in frozen if one.process.returncode is None])
    check(daemon.read("objects"), "others must be served meanwhile")
    return frozen


def test_signal_with_frozen_readers(env):
    daemon = env.daemon()
    frozen_readers(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    ended(env, daemon, [])


def test_umount_with_frozen_readers(env):
    """They hold the mount, as any open file does, until they end."""
    daemon = env.daemon()
    frozen = frozen_readers(daemon)
    fails(errno.EBUSY, umount, env.mnt)
    umount(env.mnt, MNT_DETACH)
    check(not is_mounted(env.mnt), "still mounted")
    check(daemon.process.poll() is None, "ended though files are open")
    for one in frozen:
        one.end()
    ended(env, daemon, [])


if __name__ == "__main__":
    sys.exit(main(globals()))
