# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node of a cluster has much of, for bench.py: listings, many readers at once, memory; and
each axis of the system's size alone, with its slope."""
import errno
import os
import pathlib
import statistics
import subprocess
import time

NODE = {"maps": 2000, "progs": 600, "links": 100, "pins": 1000, "processes": 200, "fds": 100,
        "pods": 250, "mounts": 60, "cgroups": 1000, "sockets": 5000, "mappers": 200,
        "mappings": 1000, "pause": 20000, "agent": 10000, "churn": 1}

# For each axis the parameters of load.c that stay, the one that varies, and its values.
BASE = {"maps": 20, "progs": 5, "pins": 5, "processes": 20, "fds": 20}
AXES = {
    "mount namespaces of 30 mounts": ({"mounts": 30}, "pods", (0, 125, 250, 500)),
    "mounts in each of 200 namespaces": ({"pods": 200}, "mounts", (30, 110, 220, 330)),
    "mappings in each of 10 processes": ({"mappers": 10, "pause": 1000}, "mappings", (10, 10000, 20000, 40000)),
    "processes that map and unmap": ({"mappings": 100, "pause": 20000}, "mappers", (0, 125, 250, 500)),
    "descriptors of one process": ({"maps": 1000}, "agent", (100, 2500, 5000, 10000)),
    "processes": ({}, "processes", (20, 500, 1000, 2000)),
    "maps": ({}, "maps", (20, 2500, 5000, 10000)),
    "programs": ({"maps": 1000}, "progs", (5, 625, 1250, 2500)),
    "pins": ({"maps": 1000}, "pins", (5, 625, 1250, 2500)),
    "sockets": ({}, "sockets", (0, 1250, 2500, 5000)),
    "cgroups": ({}, "cgroups", (0, 250, 500, 1000)),
}


def listings(size, daemon, rounds=3):
    """Listings, each with the same of what the kernel itself lists, alternately."""
    tree = daemon.tree
    pairs = {
        "ls -l of the agent's descriptors": (["ls", "-l", f"/proc/{size.agent}/fd"],
                                             ["ls", "-l", tree / "pid" / size.agent / "fd"]),
        "find .bpf -name holders": (["find", tree / "map", tree / "prog", "-name", "none"],
                                    ["find", tree, "-name", "holders"]),
        "ls -l of the pins": (["ls", "-lR", daemon.source], ["ls", "-lR", daemon.mnt]),
    }
    for name, (bound, words) in pairs.items():
        size.commands({f"bound: {name}": bound, name: words}, rounds, daemon)


def cached_listings(size, daemon, rounds=3):
    """The same in a mount with max_age, whose names and attributes the kernel caches."""
    size.commands({"ls -lR .bpf, max_age": ["ls", "-lR", daemon.tree]}, 1, daemon)
    size.commands({"bound: ls -l of the pins, max_age": ["ls", "-lR", daemon.source],
                   "ls -l of the pins, max_age": ["ls", "-lR", daemon.mnt]}, rounds, daemon)


def together(size, count, action):
    """Milliseconds until @count processes have each done the action."""
    workers = [size.spawn("measure") for _ in range(count)]
    for worker in workers:  # until each has loaded its programs
        worker.stdin.write("seen\n")
        worker.stdin.flush()
        worker.stdout.readline()
    start = time.perf_counter()
    for worker in workers:
        worker.stdin.write(action + "\n")
        worker.stdin.flush()
    for worker in workers:
        worker.stdout.readline()
    wall = (time.perf_counter() - start) * 1000
    for worker in workers:
        worker.stdin.close()
        worker.wait()
        worker.stdout.close()
    return wall


def readers(size, daemon, rounds=3):
    """The same number of readings by one reader and by several, alternately."""
    for name, path, counts in (("one map's holders", f"{size.map}/holders", (1, 2, 8)),
                               (".bpf/json", "json", (1, 8))):
        samples = {count: [] for count in counts}
        for _ in range(rounds):
            for count in counts:
                wall = together(size, count, f"read {16 // count} {daemon.tree}/{path}")
                samples[count].append((wall, None))
        for count, found in samples.items():
            size.add(f"16 readings of {name}, {count} at once", found)


def event_readers(size, daemon, count=1000):
    """Opens and reads by very many readers of .bpf/events; those that fail are counted."""
    failed, open_files = 0, []
    for _ in range(count):
        try:
            open_files.append(os.open(daemon.tree / "events", os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            failed += 1
    for fd in open_files:
        try:
            os.read(fd, 65536)
        except OSError as error:
            failed += error.errno != errno.EAGAIN
    for fd in open_files:
        os.close(fd)
    size.rows[f"{count} readers of .bpf/events"] = {"failed": failed, "runs": 1}


def resident(daemon, key):
    text = pathlib.Path(f"/proc/{daemon.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(key)) / 1024


def memory(size, daemon):
    """After 32 readers at once of the three longest files."""
    commands = [subprocess.Popen(["cat", str(daemon.tree / name)], stdout=subprocess.DEVNULL)
                for name in ("json", "holders", "objects", "json") * 8]
    for command in commands:
        command.wait()
    time.sleep(1)
    size.rows["memory, peak of 32 readers"] = {"mib": resident(daemon, "VmHWM"), "runs": 1}
    size.rows["memory, a second after them"] = {"mib": resident(daemon, "VmRSS"), "runs": 1}
    size.rows["memory, maps of the daemon's own"] = {"mib": own_maps(daemon), "runs": 1}


def own_maps(daemon):
    """What the kernel says of the maps that the daemon has open."""
    maps = {}
    for fd in os.listdir(f"/proc/{daemon.pid}/fdinfo"):
        text = pathlib.Path(f"/proc/{daemon.pid}/fdinfo/{fd}").read_text(encoding="utf-8")
        found = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if "map_id" in found:
            maps[found["map_id"]] = int(found["memlock"])
    return sum(maps.values()) / (1 << 20)


def ratios(rows):
    """(what, reached, wanted) of the rows above."""
    def ms(row):
        return rows[row]["median_ms"]

    found = []
    for name, wanted in (("ls -l of the agent's descriptors", "<= 20"),
                         ("find .bpf -name holders", "<= 2"), ("ls -l of the pins", None),
                         ("ls -l of the pins, max_age", "<= 9")):
        found.append((f"{name} / the kernel's own, or names alone",
                      ms(name) / ms(f"bound: {name}"), wanted))
    found.append((".bpf/json / .bpf/holders", ms(".bpf/json") / ms(".bpf/holders"), "<= 4"))
    found.append((".bpf/status less .bpf/holders, ms", ms(".bpf/status") - ms(".bpf/holders"),
                  "<= 1"))
    for name, count in (("one map's holders", 2), ("one map's holders", 8), (".bpf/json", 8)):
        row = f"16 readings of {name}"
        found.append((f"{row}, {count} at once / one after another",
                      ms(f"{row}, {count} at once") / ms(f"{row}, 1 at once"), "<= 1"))
    found += [("failures of 1000 readers of .bpf/events",
               rows["1000 readers of .bpf/events"]["failed"], "<= 0"),
              ("ls -lR .bpf with max_age, ms", ms("ls -lR .bpf, max_age"), "<= 3000"),
              ("peak memory of 32 readers, MiB", rows["memory, peak of 32 readers"]["mib"], "<= 128"),
              ("memory a second after them, MiB", rows["memory, a second after them"]["mib"],
               "<= 16"),
              ("maps of the daemon's own, MiB", rows["memory, maps of the daemon's own"]["mib"],
               None)]
    return found


def over_the_bound(rows):
    """Milliseconds of .bpf/holders beyond two bare walks and iterators, of the same round."""
    return statistics.median(
        wall - 2 * (walk + iterators) for wall, walk, iterators in zip(
            rows[".bpf/holders"]["walls_ms"], rows["bound: bare walk"]["walls_ms"],
            rows["bound: bare iterators"]["walls_ms"]))


def slope(values, walls):
    """Microseconds for each unit of the axis, by least squares."""
    middle, wall = statistics.mean(values), statistics.mean(walls)
    return 1000 * (sum((v - middle) * (w - wall) for v, w in zip(values, walls)) /
                   sum((v - middle) ** 2 for v in values))


def show_axis(name, values, results):
    """One line for each value: times, and what is beyond the bound; then the slopes."""
    print(f"\n{name:40} {'holders ms':>10} {'one map ms':>10} {'walk ms':>9} {'iterators':>9} "
          f"{'over 2 x':>9}")
    for value, rows in zip(values, results):
        print(f"{value:40} {rows['.bpf/holders']['median_ms']:10.2f} "
              f"{rows['one map']['median_ms']:10.2f} {rows['bound: bare walk']['median_ms']:9.2f} "
              f"{rows['bound: bare iterators']['median_ms']:9.2f} {over_the_bound(rows):9.2f}")
    slopes = {row: slope(values, [rows[row]["median_ms"] for rows in results])
              for row in (".bpf/holders", "one map", "bound: bare walk", "bound: bare iterators")}
    print(f"{'microseconds for each':40} {slopes['.bpf/holders']:10.3f} {slopes['one map']:10.3f} "
          f"{slopes['bound: bare walk']:9.3f} {slopes['bound: bare iterators']:9.3f}")
    return slopes
