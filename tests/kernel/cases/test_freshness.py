#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An open never shows a state older than itself; what it shows does not change while it is open;
concurrent opens share scans."""
import errno
import os
import shutil
import sys
import threading
import time

from harness import check, equal, eventually, fails, main, matches


def test_fresh_at_every_open(env):
    daemon, helper = env.daemon(), env.helper()
    for _ in range(100):
        obj = helper.make("map", "array")
        lines = daemon.lines(f"{obj.key}/holders")[0]
        check(any(matches(x, obj.held()) for x in lines), f"not yet there: {lines}")
        again = helper.make("dup", obj)
        check(f" fd={again.fd}" in daemon.read("holders"), "a new descriptor is not yet there")
        again.close()
        text = daemon.read(f"{obj.key}/holders")
        check(f" fd={again.fd}\n" not in text, f"a closed descriptor is still there: {text}")
        obj.close()


def test_fresh_after_own_control(env):
    daemon, helper = env.daemon("-o", "max_age=60000"), env.helper()
    obj = helper.make("map", "array")
    for mode in ["fd", "off"] * 10:
        daemon.write(f"{obj.key}/keep", mode)
        keeps = [x for x in daemon.lines(f"{obj.key}/holders")[0] if " keep " in x]
        equal(len(keeps), int(mode == "fd"), f"after keep {mode}")


def test_max_age_is_used(env):
    daemon, helper = env.daemon("-o", "max_age=60000"), env.helper()
    obj = helper.make("map", "array")
    daemon.write(f"{obj.key}/keep", "off")
    daemon.read("holders")
    before = int(daemon.pairs("status")["scans"].split()[0])
    for _ in range(20):
        daemon.read("holders")
    equal(int(daemon.pairs("status")["scans"].split()[0]), before, "scans")


def test_names_with_max_age(env):
    """What was freed may have its name for a second more, but is nothing that could be opened."""
    daemon, helper = env.daemon("-o", "max_age=60000"), env.helper()
    for _ in range(5):
        obj = helper.make("map", "array")
        path = daemon.tree / obj.key
        check(path.is_dir(), "there")
        daemon.read(f"{obj.key}/info")
        obj.close()
        eventually(lambda p=path: fails(errno.ENOENT, open, p / "info", encoding="utf-8"))
        eventually(lambda p=path: check(not p.exists(), "still there"))


def test_descriptors_are_listed_at_once(env):
    """A new descriptor is in the next listing, and a closed one is not, with other names between."""
    daemon, helper = env.daemon(), env.helper()
    first = helper.make("map", "array")
    fds = daemon.tree / "pid" / str(helper.pid) / "fd"
    for _ in range(30):
        prog = helper.make("prog", "socket_filter")
        again = helper.make("dup", first)
        equal(sorted(map(int, os.listdir(fds))), sorted([first.fd, prog.fd, again.fd]), "new")
        equal(os.readlink(fds / str(prog.fd)), f"../../../{prog.key}", "new")
        again.close()
        equal(sorted(map(int, os.listdir(fds))), sorted([first.fd, prog.fd]), "closed")
        prog.close()
        equal(os.listdir(fds), [str(first.fd)], "both closed")


def test_directories_of_processes_share_a_scan(env):
    """One for the list of processes; then one a second, for what has not changed since."""
    daemon, helpers = env.daemon(), [env.helper() for _ in range(12)]
    objects = {h: [h.make("map", "array") for _ in range(5)] for h in helpers}
    pids = daemon.tree / "pid"

    def walk():
        check({str(h.pid) for h in helpers} <= set(os.listdir(pids)), "a process is missing")
        for helper, made in objects.items():
            fds = pids / str(helper.pid) / "fd"
            equal(sorted(os.listdir(pids / str(helper.pid))),
                  ["cgroup", "comm", "fd", "graph.dot", "holding", "retains"])
            equal({x: os.readlink(fds / x) for x in os.listdir(fds)},
                  {str(o.fd): f"../../../{o.key}" for o in made})
    walk()
    start = time.monotonic()
    before = int(daemon.pairs("status")["scans"].split()[0])
    walk()
    scans = int(daemon.pairs("status")["scans"].split()[0]) - before
    check(0 < scans <= 2 + time.monotonic() - start, f"{scans} scans for one walk")


def test_concurrent_opens_share_scans(env):
    daemon = env.daemon()
    rounds, threads = 50, 16
    before = int(daemon.pairs("status")["scans"].split()[0])
    start = threading.Barrier(threads)

    def read():
        start.wait()
        for _ in range(rounds):
            daemon.read("objects")

    workers = [threading.Thread(target=read) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    scans = int(daemon.pairs("status")["scans"].split()[0]) - before
    check(0 < scans < rounds * threads, f"{scans} scans for {rounds * threads} opens")


def test_frozen_while_open(env):
    daemon, helper = env.daemon(), env.helper()
    objects = [helper.make("map", "array", name=f"m{i}") for i in range(200)]
    whole = None
    fd = os.open(daemon.tree / "holders", os.O_RDONLY)
    try:
        length = os.fstat(fd).st_size
        first = os.read(fd, 100)
        for obj in objects:
            obj.close()
        rest = b"".join(iter(lambda: os.read(fd, 1000), b""))
        whole = first + rest
        equal(len(whole), length, "st_size of an open file")
        equal(os.pread(fd, 50, 10), whole[10:60], "pread")
        os.lseek(fd, -20, os.SEEK_END)
        equal(os.read(fd, 100), whole[-20:], "seek from the end")
    finally:
        os.close(fd)
    for obj in objects:
        check(f"{obj.key} fd ".encode() in whole, f"{obj.key} is missing from the frozen text")
    equal(os.stat(daemon.tree / "holders").st_size, 0, "st_size of a closed file")


def test_readers_that_trust_the_size(env):
    daemon, helper = env.daemon(), env.helper()
    helper.make("map", "array")
    shutil.copyfile(daemon.tree / "holders", env.tmp / "copy")
    check((env.tmp / "copy").read_bytes().startswith(b"map/"), "empty copy")


def test_listing_while_objects_come_and_go(env):
    daemon, helper = env.daemon(), env.helper()
    stable = [helper.make("map", "array") for _ in range(300)]
    stop = threading.Event()
    other = env.helper()

    def churn():
        while not stop.is_set():
            other.make("map", "array").close()

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(20):
            names = os.listdir(daemon.tree / "map")
            equal(len(names), len(set(names)), "names twice")
            missing = {str(o.id) for o in stable} - set(names)
            check(not missing, f"missing: {missing}")
    finally:
        stop.set()
        worker.join()


if __name__ == "__main__":
    sys.exit(main(globals()))
