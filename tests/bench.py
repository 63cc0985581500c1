#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an answer costs, as ratios within one run: absolute times depend on the machine.

Usage: bench.py BUILD. Needs root. The system is of the small size: 20 maps, 5 programs, 50
processes that hold them through some 25 descriptors each.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "kernel"))
sys.dont_write_bytecode = True

import harness  # noqa: E402  pylint: disable=wrong-import-position

ROUNDS = 300


def read(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 16):
            pass


def milliseconds(action, rounds=ROUNDS):
    """The median time of an action, after a few for warmth."""
    for _ in range(5):
        action()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def command(*words):
    def action():
        subprocess.run([str(w) for w in words], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    return action


def populate(helper):
    maps = [helper.make("map", "array", name=f"bench{i}") for i in range(20)]
    for i in range(5):
        helper.make("prog", "socket_filter", name=f"bench{i}", maps=maps[i * 4:i * 4 + 4])
    for _ in range(50):
        helper.do("fork")
    return maps[7]


def measure(env):
    obj = populate(env.helper())
    daemon = env.daemon()
    base = daemon.tree / obj.key
    constant = daemon.tree / "control"
    rows = [
        ("open and read .bpf/control (a constant file)", milliseconds(lambda: read(constant))),
        ("open and read map/ID/info", milliseconds(lambda: read(base / "info"))),
        ("open and read map/ID/holders", milliseconds(lambda: read(base / "holders"))),
        ("open and read .bpf/objects", milliseconds(lambda: read(daemon.tree / "objects"))),
        ("open and read .bpf/holders", milliseconds(lambda: read(daemon.tree / "holders"))),
        ("cat .bpf/control (the process too)", milliseconds(command("cat", constant), 50)),
        ("cat map/ID/holders", milliseconds(command("cat", base / "holders"), 50)),
    ]
    bpftool = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin")
    if bpftool:
        rows.append(("bpftool map show id ID (as installed)",
                     milliseconds(command(bpftool, "map", "show", "id", obj.id), 10)))
        everything = milliseconds(lambda: [command(bpftool, kind, "show")()
                                           for kind in ("map", "prog", "link", "btf")], 5)
        rows.append(("bpftool map, prog, link, btf show", everything))
    unit = rows[0][1]
    print(f"{'':46} {'ms':>8} {'x constant':>11}")
    for name, took in rows:
        print(f"{name:46} {took:8.3f} {took / unit:11.1f}")
    for line in daemon.read("status").splitlines():
        if line.startswith(("scans", "scan", "last")):
            print(line)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    os.environ["BPFREFS"] = str(build / "fs" / "bpfrefs")
    os.environ["MKOBJ"] = str(build / "tests" / "mkobj")
    reason = harness.whole_reason(False)
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    harness.one(measure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
