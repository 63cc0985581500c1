#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of the daemon at random moments, while commands and renames stream through the mirror.

Afterwards the bpffs is what was acknowledged, where the one command that was under way may have
happened or not, and nothing in between; keeps that are pins are there, and the next mount, over the
dead one, lists just them. CRASH_ROUNDS and CRASH_SEED choose how often and which."""
import collections
import ctypes
import errno
import os
import random
import struct
import sys
import threading
import time

from harness import check, equal, fails, fields, libc, main
from made import bpf
from test_story import WORKING, Loader

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "12"))
LEAST = 10 * ROUNDS  # commands, for any conclusion
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.randrange(1, 1 << 32)
WORKERS, NAMES = 3, "abcdef"
OBJ_GET, EXCHANGE, AT_FDCWD = 7, 2, -100
# The error of a call whose daemon has died: before its request was read, and after.
DEATH = (errno.ENOTCONN, errno.ECONNABORTED)
# A scan holds up an unpin: so long that some requests of each kind are cut short.
LONGEST_STREAM = 0.3

State = collections.namedtuple("State", "pins keeps")


def pinned_key(path):
    """Which object is pinned there, as the kernel says."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    fd = bpf(OBJ_GET, struct.pack("=QIIi4x", ctypes.addressof(name), 0, 0, 0))
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            for line in file:
                kind, _, number = line.partition("_id:\t")
                if number and kind in ("map", "prog"):
                    return f"{kind}/{int(number)}"
    finally:
        os.close(fd)
    raise AssertionError(f"{path}: no object")


def rename(old, new, flags=0):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(old))


class Worker(threading.Thread):
    """A stream of changes to one directory and to objects that nobody else changes."""

    def __init__(self, stage, daemon, number, state):
        super().__init__()
        self.dir, self.objects = f"w{number}", stage.objects[number]
        self.rng = random.Random(stage.rng.random())
        self.daemon, self.state = daemon, state
        self.after = None  # what holds if the one under way happened
        self.sent, self.done, self.error = False, collections.Counter(), None

    def write(self, control, command):
        fd = os.open(self.daemon.tree / control, os.O_WRONLY)
        try:
            self.sent = True
            os.write(fd, command.encode())
        finally:
            os.close(fd)

    def place(self, name):
        return self.daemon.mnt / self.dir / name

    # Each sets self.after, and self.sent at the latest moment before the request itself.

    def pin(self, pins, _):
        name = self.rng.choice(NAMES)
        key = pins.get(name) or self.rng.choice(list(self.objects))
        pins[name] = key
        self.write(f"{key}/pin", f"{self.dir}/{name}")

    def unpin(self, pins, _):
        name = self.rng.choice(sorted(pins))
        key = pins.pop(name)
        if self.rng.random() < 0.5:
            self.write(f"{key}/unpin", f"{self.dir}/{name}")
        else:
            self.write("control", f"unpin {self.dir}/{name}")

    def remove(self, pins, _):
        name = self.rng.choice(sorted(pins))
        del pins[name]
        self.sent = True
        os.unlink(self.place(name))

    def move(self, pins, _):
        old = self.rng.choice(sorted(pins))
        new = self.rng.choice([x for x in NAMES if x != old])
        pins[new] = pins.pop(old)
        self.sent = True
        rename(self.place(old), self.place(new))

    def exchange(self, pins, _):
        one, other = self.rng.sample(sorted(pins), 2)
        pins[one], pins[other] = pins[other], pins[one]
        self.sent = True
        rename(self.place(one), self.place(other), EXCHANGE)

    def keep(self, _, keeps):
        key = self.rng.choice(list(self.objects))
        modes = {"fd", "pin", "off", "auto"} - {keeps.get(key, "off")}
        if not self.objects[key]:
            modes.discard("auto")
        mode = keeps[key] = self.rng.choice(sorted(modes))
        if self.rng.random() < 0.5:
            self.write(f"{key}/keep", mode)
        else:
            self.write("control", f"keep {key} {mode}")

    def step(self):
        choices = [self.pin, self.keep, self.keep]
        if self.state.pins:
            choices += [self.unpin, self.remove, self.move]
        if len(self.state.pins) > 1:
            choices.append(self.exchange)
        action = self.rng.choice(choices)
        self.sent, self.after = False, State(dict(self.state.pins), dict(self.state.keeps))
        action(*self.after)
        self.state = self.after
        self.done[action.__name__] += 1

    def run(self):
        try:
            while True:
                self.step()
        except OSError as error:
            if error.errno not in DEATH:
                self.error = error
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def possible(self):
        return [self.state, self.after] if self.sent else [self.state]


class Stage:
    """What outlives the daemons: objects, their helper, and what must hold."""

    def __init__(self, env):
        self.env, self.rng = env, random.Random(SEED)
        self.helper = env.helper()
        # key -> whether it has a user state, so that it can be kept automatically
        self.objects = []
        for number in range(WORKERS):
            (env.bpffs / f"w{number}").mkdir()
            self.objects.append({
                self.helper.make("map", "array").key: False,
                self.helper.make("map", "prog_array").key: True,
                self.helper.make("prog", "socket_filter").key: False,
            })
        self.states = [State({}, {}) for _ in range(WORKERS)]
        self.loaders = {}
        self.cut = collections.Counter()
        self.done = collections.Counter()

    def keep_loaders(self, daemon):
        """Arrays whose loaders exit: from then on only their keeps hold what is in them."""
        for mode in ("pin", "auto"):
            loader = self.loaders[mode] = Loader(self.env, f"entry_{mode}")
            daemon.write(f"{loader.keys['array']}/keep", mode)
            loader.exit()

    def stream(self, daemon):
        workers = [Worker(self, daemon, i, state) for i, state in enumerate(self.states)]
        for worker in workers:
            worker.start()
        time.sleep(self.rng.uniform(0, LONGEST_STREAM))
        daemon.kill()
        for worker in workers:
            worker.join(30)
            check(not worker.is_alive(), "a caller hangs after the daemon's death")
            check(worker.error is None, f"{worker.dir}: {worker.error!r}")
        for worker in workers:
            self.complete(worker)

    def found(self, worker):
        """What is on the bpffs of a worker's."""
        place = self.env.bpffs / worker.dir
        pins = {name: pinned_key(place / name) for name in os.listdir(place)}
        return State(pins, {k: m for k, m in self.kept().items() if k in worker.objects})

    def kept(self):
        """Keeps that are pins, by key. Two of one object would be half a command."""
        kept = {}
        for mode, place in (("pin", "keep"), ("auto", "auto")):
            place = self.env.bpffs / "bpfrefs" / place
            for name in os.listdir(place) if place.exists() else []:
                key = pinned_key(place / name)
                equal(name, key.replace("/", "_"), "the name of a keep")
                check(key not in kept, f"{key} is kept twice, as {mode} too")
                kept[key] = mode
        return kept

    def complete(self, worker):
        """Compares, and goes on from what is there."""
        found = self.found(worker)
        possible = [State(s.pins, {k: m for k, m in s.keeps.items() if m in ("pin", "auto")})
                    for s in worker.possible()]
        check(found in possible, f"{worker.dir}: {found}\nis none of\n" +
              "\n".join(map(str, possible)))
        if worker.sent and possible[0] != possible[1]:
            self.cut["done" if found == possible[1] else "not done"] += 1
        self.done += worker.done
        self.states[int(worker.dir[1:])] = found

    def check_mounted(self, daemon):
        """The keeps that were found again, each shown once and in both places."""
        known = self.kept()
        shown = {x.split(" ", 1)[0]: fields(x)["mode"] for x in daemon.lines("holders")[0]
                if " keep " in x and fields(x).get("path", "").startswith(str(self.env.bpffs))}
        equal(shown, known, "keeps in holders")
        mine = {key for objects in self.objects for key in objects}
        for key in mine | {x.keys["array"] for x in self.loaders.values()}:
            equal(daemon.read(f"{key}/keep"), known.get(key, "off") + "\n", f"keep of {key}")

    def check_loaders(self):
        for mode, loader in self.loaders.items():
            equal(loader.run(), WORKING, f"tail calls of the array that is kept by {mode}")


def mounts_at(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return sum(f" {path} " in line for line in file)


def test_killed_at_any_moment(env):
    stage = Stage(env)
    print(f"# seed {SEED}")
    # With sanitizers and on busy machines there are fewer commands in a round.
    number = 0
    while number < ROUNDS or (number < 4 * ROUNDS and sum(stage.done.values()) <= LEAST):
        # procfs starts at once, BPF is what is used
        source = "bpf" if number % 3 == 0 else "proc"
        pins = stage.rng.choice(["symlink", "file"])
        daemon = env.daemon(f"--source={source}", "-o", f"pins={pins}")
        equal(mounts_at(env.mnt), 1, "mounts, after a dead one was detached")
        if not stage.loaders:
            stage.keep_loaders(daemon)
        stage.check_mounted(daemon)
        stage.stream(daemon)
        fails(errno.ENOTCONN, os.listdir, env.mnt)
        stage.check_loaders()
        number += 1
    last = env.daemon()
    stage.check_mounted(last)
    stage.check_loaders()
    equal(last.descriptors(), last.open_before, "descriptors")
    print(f"# {number} rounds, {sum(stage.done.values())} acknowledged: {dict(stage.done)}; "
          f"under way and seen on the bpffs: {dict(stage.cut)}")
    check(sum(stage.done.values()) > LEAST, "too few commands for any conclusion")


if __name__ == "__main__":
    sys.exit(main(globals()))
