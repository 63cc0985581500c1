#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What answers cost, compared with what the kernel's own data cost to read.

Usage: bench.py BUILD [SIZE ...], as root; without sizes: all. What is timed and what bounds it run in
turn, in one process (measure.c), so that a loaded machine slows both down: read the ratios. Prints a
table and writes BUILD/bench.json. See docs/performance.md.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernel" / "cases"))
sys.dont_write_bytecode = True

import axes  # noqa: E402  pylint: disable=wrong-import-position
import harness  # noqa: E402  pylint: disable=wrong-import-position

# What there is (load.c), how often each is timed, and for how many seconds 10,000 readings may go on.
SIZES = {
    "small": {"maps": 20, "progs": 5, "links": 0, "pins": 5, "processes": 50, "fds": 20},
    "medium": {"maps": 1000, "progs": 250, "links": 25, "pins": 255, "processes": 500, "fds": 100},
    "large": {"maps": 10000, "progs": 2500, "links": 250, "pins": 2551, "processes": 2000,
              "fds": 100},
    # as large, but for its descriptors: a quarter, and four times as many
    "quarter": {"maps": 10000, "progs": 2500, "links": 250, "pins": 2551, "processes": 500,
                "fds": 100},
    # as many objects as one process may hold where no more than 20,000 descriptors are allowed
    "huge": {"maps": 14000, "progs": 3500, "links": 250, "pins": 3551, "processes": 8000,
             "fds": 120},
    "node": axes.NODE,
}
ROUNDS = {"small": 100, "medium": 40, "large": 11, "quarter": 11, "huge": 5, "node": 11}
CATS, CATS_SECONDS = 10000, {"small": 8, "medium": 10, "large": 10}
NS = 1e6


class Size:
    """The system filled to a size, and what times actions in it."""

    def __init__(self, env, build, name, parameters):
        self.env, self.build, self.name = env, build, name
        words = [f"{key}={value}" for key, value in parameters.items()]
        if parameters.get("cgroups"):
            words.append(f"cgroup={env.cgroup()}")
        self.load = self.spawn("load", env.bpffs, *words)
        said = self.load.stdout.readline().split()
        harness.check(said[:1] == ["ready"], "the load generator gave up")
        said = dict(x.split("=") for x in said[1:])
        self.map, self.pid, self.agent = f"map/{said['map']}", said["pid"], said["agent"]
        self.measure = self.spawn("measure")
        self.rows = {}

    def spawn(self, name, *words):
        return subprocess.Popen([str(self.build / "tests" / "bench" / name), *map(str, words)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def act(self, action, daemon=None):
        """(wall, processor time of the actor and of the daemon, count), in milliseconds."""
        before = cpu_of(daemon)
        self.measure.stdin.write(action + "\n")
        self.measure.stdin.flush()
        wall, cpu, count = map(int, self.measure.stdout.readline().split())
        return wall / NS, (cpu + cpu_of(daemon) - before) / NS, count

    def end(self):
        for process in (self.measure, self.load):
            process.stdin.close()
            process.wait()
            process.stdout.close()

    # -------------------------------------------------------------- rows ---

    def add(self, name, samples, **more):
        walls, cpus = [x[0] for x in samples], [x[1] for x in samples if x[1] is not None]
        row = {"median_ms": statistics.median(walls), "best_ms": min(walls), "runs": len(walls),
               "walls_ms": [round(x, 4) for x in walls]}
        if cpus:
            row["cpu_ms"] = statistics.median(cpus)
        row.update(more)
        self.rows[name] = row

    def turns(self, actions, rounds, daemon):
        """Each action once a round, after one round for warmth."""
        samples = {name: [] for name in actions}
        for number in range(rounds + 1):
            for name, action in actions.items():
                sample = self.act(action, daemon)
                if number:
                    samples[name].append(sample)
        for name, found in samples.items():
            self.add(name, found, count=found[-1][2])

    def command(self, name, words, rounds, daemon=None):
        self.commands({name: words}, rounds, daemon)

    def commands(self, commands, rounds, daemon=None):
        """Runs each command once a round."""
        samples = {name: [] for name in commands}
        for _ in range(rounds):
            for name, words in commands.items():
                samples[name].append(self.timed([str(word) for word in words], daemon))
        for name, found in samples.items():
            self.add(name, found)

    @staticmethod
    def timed(words, daemon):
        before, start, children = cpu_of(daemon), time.perf_counter(), os.times()
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL, check=False)
        wall, after = (time.perf_counter() - start) * 1000, os.times()
        cpu = (after.children_user - children.children_user +
               after.children_system - children.children_system) * 1000
        return wall, cpu + (cpu_of(daemon) - before) / NS


def cpu_of(daemon):
    """Nanoseconds that the daemon's threads have run; one that has ended takes its share away."""
    total = 0
    for thread in os.listdir(f"/proc/{daemon.pid}/task") if daemon else ():
        try:
            with open(f"/proc/{daemon.pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def memory_of(daemon, key):
    for line in open(f"/proc/{daemon.pid}/status", encoding="utf-8"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return None


# -------------------------------------------------------------- what is measured ---

def starts(size, rounds):
    """From the command to its return, which is when the mount works."""
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        harness.must(size.env.bpfrefs, size.env.bpffs, size.env.mnt)
        samples.append(((time.perf_counter() - start) * 1000, None))
        harness.umount(size.env.mnt)
    size.add("start to mounted", samples)


def idle(size, daemon):
    """Two seconds in which nobody asks, after half a second in which threads may go."""
    time.sleep(0.5)
    before = cpu_of(daemon)
    time.sleep(2)
    spent = (cpu_of(daemon) - before) / NS
    size.rows["nobody asks, 2 s"] = {"cpu_ms": spent, "runs": 1}


def answers(size, daemon):
    tree = daemon.tree
    size.turns({
        "bound: bare walk": "walk 1",
        "bound: bare iterators": "iterate",
        "one object's holders": f"read 1 {tree}/{size.map}/holders",
        "one object's refs": f"read 1 {tree}/{size.map}/refs",
        ".bpf/holders": f"read 1 {tree}/holders",
        ".bpf/objects": f"read 1 {tree}/objects",
        "retains of a pid": f"read 1 {tree}/pid/{size.pid}/retains",
    }, ROUNDS[size.name], daemon)
    size.rows["bound: bare walk"]["descriptors"] = size.act("seen")[2]
    # Where one takes less than a processor takes to wake from idleness.
    if size.name in ("small", "medium"):
        size.turns({
            "bound: ten bare walks": "walk 10",
            "ten readings of one object's holders": f"read 10 {tree}/{size.map}/holders",
        }, ROUNDS[size.name], daemon)
    size.turns({".bpf/json": f"read 1 {tree}/json"}, max(3, ROUNDS[size.name] // 5), daemon)


def listings(size, daemon):
    rounds = max(3, ROUNDS[size.name] // 5)
    size.command("ls .bpf/map", ["ls", daemon.tree / "map"], rounds, daemon)
    size.command("ls -l .bpf/map", ["ls", "-l", daemon.tree / "map"], rounds, daemon)
    if size.name != "large":  # there it looks at everything twice for each of 2,000 processes
        size.command("find .bpf", ["find", daemon.tree], 1, daemon)


def cats(size, daemon, name):
    """10,000 readings one after another, alternating with as many of a constant file."""
    constant, holders = daemon.tree / "control", daemon.tree / size.map / "holders"
    size.act(f"read 20 {holders}", daemon)
    batch, done, samples, bounds = 100, 0, [], []
    end = time.monotonic() + CATS_SECONDS[size.name]
    while done < CATS and (time.monotonic() < end or not samples):
        bounds.append(size.act(f"read {batch} {constant}", daemon))
        samples.append(size.act(f"read {batch} {holders}", daemon))
        done += batch
    for row, found in ((name, samples), (name + ": constant file", bounds)):
        times = CATS / batch
        size.add(row, [(w * times, c * times) for w, c, _ in found], readings=done)


def peers(size):
    for name in ("bpftool", "lsfd"):
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        if path and name == "bpftool":
            script = "; ".join(f"{path} {kind} show" for kind in ("map", "prog", "link", "btf"))
            size.command("peer: bpftool map, prog, link, btf show", ["sh", "-c", script], 3)
            size.command("peer: bpftool map show id", [path, "map", "show", "id",
                                                       size.map.split("/")[1]], 5)
        elif path:
            size.command("peer: lsfd of BPF files",
                         [path, "-Q", 'NAME =~ "anon_inode:.*bpf.*"'], 3)


def measure_node(size):
    """What is measured of a node besides the answers."""
    daemon = size.env.daemon()
    answers(size, daemon)
    size.turns({".bpf/status": f"read 1 {daemon.tree}/status"}, 5, daemon)
    axes.listings(size, daemon)
    axes.readers(size, daemon)
    axes.event_readers(size, daemon)
    axes.memory(size, daemon)
    daemon.stop()
    daemon = size.env.daemon("-o", "max_age=1000")
    axes.cached_listings(size, daemon)
    daemon.stop()


def measure_axis(build, name):
    """One axis: everything else is small."""
    parameters, axis, values = axes.AXES[name]
    results = []
    for value in values:
        def once(env, value=value):
            size = Size(env, build, "axis", {**axes.BASE, **parameters, axis: value})
            try:
                daemon = env.daemon()
                size.turns({"bound: bare walk": "walk 1", "bound: bare iterators": "iterate",
                            ".bpf/holders": f"read 1 {daemon.tree}/holders",
                            "one map": f"read 1 {daemon.tree}/{size.map}/holders"}, 15, daemon)
                daemon.stop()
            finally:
                size.end()
            results.append(size.rows)
        harness.one(once)
    return {"values": values, "slopes_us": axes.show_axis(name, values, results), "rows": results}


def measure(env, build, name, parameters):
    size = Size(env, build, name, parameters)
    if name == "node":
        try:
            measure_node(size)
        finally:
            size.end()
        return size.rows
    try:
        if name in ("small", "medium", "large"):
            starts(size, 5)
        daemon = env.daemon()
        answers(size, daemon)
        if name in CATS_SECONDS:
            listings(size, daemon)
            cats(size, daemon, "10,000 readings, max_age=0")
            idle(size, daemon)
        size.rows["memory, peak"] = {"mib": memory_of(daemon, "VmHWM"), "runs": 1}
        size.rows["memory, idle"] = {"mib": memory_of(daemon, "VmRSS"), "runs": 1}
        daemon.stop()
        if name in CATS_SECONDS:
            cats(size, env.daemon("-o", "max_age=1000"), "10,000 readings, max_age=1000")
            peers(size)
    finally:
        size.end()
    return size.rows


# -------------------------------------------------------------------- ratios ---

def pairs(rows, answer, *bounds, less=0.0):
    """What ran alternately: the median of the ratios of the pairs, during each of which a noisy
    machine was the same."""
    return statistics.median((wall - less) / sum(bound) for wall, *bound in zip(
        rows[answer]["walls_ms"], *(rows[bound]["walls_ms"] for bound in bounds)))


def ratios(rows, name):
    """(what, reached, wanted) for one size, within one run."""
    def ms(row):
        return rows[row]["median_ms"]

    walk, iterators = "bound: bare walk", "bound: bare iterators"
    if name == "node":
        return [(".bpf/holders, ms beyond two bare walks and iterators",
                 axes.over_the_bound(rows), "<= 1"), *axes.ratios(rows)]
    found = [("one object's holders, less 0.3 ms / bare walk",
              pairs(rows, "one object's holders", walk, less=0.3), "<= 1.5"),
             (".bpf/holders / bare walk and iterators",
              pairs(rows, ".bpf/holders", walk, iterators), "<= 2" if name == "large" else None)]
    if "bound: ten bare walks" in rows:
        ten = "ten readings of one object's holders"
        found.insert(1, (f"{ten}, less 3 ms / ten bare walks",
                         pairs(rows, ten, "bound: ten bare walks", less=3), "<= 1.5"))
    if "ls -l .bpf/map" in rows:
        readings = "10,000 readings, max_age=1000"
        found += [("10,000 readings with max_age=1000 / constant file",
                   pairs(rows, readings, f"{readings}: constant file"), "<= 1.5"),
                  ("ls -l .bpf/map, ms", ms("ls -l .bpf/map"),
                   "<= 400" if name == "large" else None),
                  ("peak memory, MiB", rows["memory, peak"]["mib"],
                   "<= 64" if name == "large" else None),
                  ("idle memory, MiB", rows["memory, idle"]["mib"], "<= 16"),
                  ("processor time in 2 s that nobody asks, ms",
                   rows["nobody asks, 2 s"]["cpu_ms"], "<= 0"),
                  ("start to mounted, ms", ms("start to mounted"),
                   "<= 150" if name == "small" else None)]
    for peer in ("peer: bpftool map, prog, link, btf show", "peer: lsfd of BPF files"):
        if peer in rows:
            found.append((f"{peer[6:]} / .bpf/holders", ms(peer) / ms(".bpf/holders"), None))
    return found


def slopes(results):
    """Four times the descriptors, with all else equal."""
    few, many = results["quarter"], results["large"]
    more = (many["bound: bare walk"]["descriptors"] / few["bound: bare walk"]["descriptors"])
    return [(f"{row}: cost / cost at 1/{more:.2f} of the descriptors",
             many[row]["median_ms"] / few[row]["median_ms"], "<= 4.4")
            for row in ("bound: bare walk", "one object's holders", ".bpf/holders")]


def show_rows(name, rows):
    print(f"\n{name:46} {'median ms':>10} {'best ms':>10} {'cpu ms':>10} {'count':>9}")
    for row, values in rows.items():
        def cell(key, values=values):
            return f"{values[key]:10.3f}" if key in values else f"{'':10}"
        if "mib" in values:
            print(f"{row:46} {values['mib']:10.1f} MiB")
        else:
            print(f"{row:46} {cell('median_ms')} {cell('best_ms')} {cell('cpu_ms')} "
                  f"{values.get('count', ''):>9}")


def show_ratios(found):
    for what, reached, wanted in found:
        verdict = ""
        if wanted:
            verdict = "met" if reached <= float(wanted.split()[1]) else "NOT MET"
        print(f"  {what:64} {reached:9.2f}  {wanted or '':8} {verdict}")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    chosen = sys.argv[2:] or ["small", "medium", "quarter", "large"]
    os.environ["BPFREFS"] = str(build / "fs" / "bpfrefs")
    os.environ["MKOBJ"] = str(build / "tests" / "mkobj")
    reason = harness.whole_reason(False)
    if not (build / "tests" / "bench" / "measure").exists():
        reason = "built without BPF: there is nothing to compare with"
    unknown = [x for x in chosen if x not in SIZES and x != "axes"]
    if unknown:
        reason = f"no such size: {' '.join(unknown)} (there are {' '.join(SIZES)} axes)"
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    results, found = {}, {}
    varied = {name: measure_axis(build, name) for name in axes.AXES} if "axes" in chosen else {}
    for name in chosen:
        if name == "axes":
            continue
        harness.one(lambda env, name=name: results.update(
            {name: measure(env, build, name, SIZES[name])}))
        found[name] = ratios(results[name], name)
        show_rows(name, results[name])
        show_ratios(found[name])
    if "quarter" in results and "large" in results:
        found["slopes"] = slopes(results)
        print("\nfour times the descriptors")
        show_ratios(found["slopes"])
    about = {"kernel": os.uname().release, "processors": os.cpu_count(),
             "load_average": os.getloadavg(),
             "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    with open(build / "bench.json", "w", encoding="utf-8") as file:
        json.dump({"about": about, "sizes": {k: SIZES[k] for k in results}, "rows": results, "axes": varied,
                   "ratios": {k: [{"what": w, "reached": r, "wanted": x} for w, r, x in v]
                              for k, v in found.items()}}, file, indent=1)
    print(f"\n{build / 'bench.json'} has all of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
