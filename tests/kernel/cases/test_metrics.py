#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""metrics/bpfrefs.prom: valid Prometheus text, and the same numbers as the other files have."""
import collections
import ctypes
import math
import mmap
import os
import pathlib
import re
import select
import shutil
import struct
import sys
import threading

from harness import (PATIENCE, check, equal, eventually, fields, main, must, records, run, tool)
from made import bpf

OBJ_GET = 7

NAMES = {
    "bpfrefs_objects": {"kind", "type", "state"}, "bpfrefs_memlock_bytes": {"kind", "type"},
    "bpfrefs_unused_objects": {"kind", "type"}, "bpfrefs_self_objects": set(),
    "bpfrefs_references": {"class"},
    "bpfrefs_unexplained_references": set(), "bpfrefs_unexplained_constant_references": set(),
    "bpfrefs_gaps": {"class"},
    "bpfrefs_scan_seconds": set(), "bpfrefs_keeps": {"mode"}, "bpfrefs_build_info": {"version"},
}
PACKAGING = pathlib.Path(__file__).resolve().parents[3] / "docs/packaging"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:{{((?:{LABEL})(?:,{LABEL})*)}})? (NaN|[0-9]+(?:\.[0-9]+)?)")
STATES = {"held", "at-risk", "cleared", "unrooted", "unknown"}


def parse(text):
    """The samples of a text as {(name, labels): value}, which is checked against the format: every
    family announced once, in one piece, no sample twice."""
    check(text.endswith("\n"), "no newline at the end")
    samples, family, seen = {}, None, set()
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[:2] == ["#", "HELP"]:
            family = words[2]
            check(family not in seen and len(words) == 4, line)
            seen.add(family)
        elif words[:2] == ["#", "TYPE"]:
            equal((words[2], words[3]), (family, "gauge"), line)
        elif not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            check(match is not None and match[1] == family, f"not a sample of {family}: {line}")
            labels = frozenset(re.findall(LABEL, match[2] or ""))
            check((family, labels) not in samples, f"twice: {line}")
            samples[family, labels] = float(match[7])
    return samples


def by_label(samples, name, label):
    """Sums of a metric by one of its labels."""
    sums = collections.Counter()
    for (family, labels), value in samples.items():
        if family == name:
            sums[dict(labels)[label]] += value
    return sums


def obj_get(path):
    """BPF_OBJ_GET: a descriptor of what is pinned there."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))


def asleep(thread):
    """Sleeps, which is in poll(2): it does nothing else."""
    text = pathlib.Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return text.rsplit(")", 1)[1].split()[0] == "S"


def frozen(env, *options):
    """A daemon whose files all show one snapshot, so that they can be compared on a busy machine."""
    return env.daemon("-o", "max_age=86400000" + "".join(f",{x}" for x in options))


def test_names_and_format(env):
    daemon = env.daemon()
    samples = parse(daemon.read("metrics/bpfrefs.prom"))
    found = collections.defaultdict(set)
    for (family, labels), _ in samples.items():
        found[family] |= {key for key, _ in labels}
    equal(dict(found), NAMES)
    equal(set(by_label(samples, "bpfrefs_objects", "state")), STATES)
    equal(set(by_label(samples, "bpfrefs_keeps", "mode")), {"fd", "pin", "auto"})
    version = must(env.bpfrefs, "--version").split()[1]
    equal(samples["bpfrefs_build_info", frozenset({("version", version)})], 1)
    check(0 < samples["bpfrefs_scan_seconds", frozenset()] < 600, "scan_seconds")


def test_dashboard_and_rules_name_these(env):
    """Each metric and label value of the dashboard and of the rules is one of the file's; the dashboard shows
    what the rules alert to."""
    text = env.daemon().read("metrics/bpfrefs.prom")
    announced = set(re.findall(r"(?m)^# TYPE (\w+) ", text))
    named = {}
    for name in ("bpfrefs.dashboard.json", "bpfrefs.rules.yml", "bpfrefs.rules.test.yml"):
        wanted = (PACKAGING / name).read_text()
        named[name] = set(re.findall(r"\bbpfrefs_\w+", wanted))
        check(named[name] and named[name] <= announced, f"{name}: {named[name] - announced} of {announced}")
        states = set(re.findall(r'\bstate=~?\\?"([\w|-]+)', wanted))
        check(states and {state for some in states for state in some.split("|")} <= STATES, f"{name}: {states}")
    missing = named["bpfrefs.rules.yml"] - named["bpfrefs.dashboard.json"]
    check(not missing, f"not in the dashboard: {missing}")


def test_same_as_other_files(env):
    helper = env.helper()
    # Not a program array: another bpfrefs on this machine may keep all of those.
    user = helper.make("map", "sockmap")
    prog = helper.make("prog", "socket_filter", maps=user)
    helper.do("pin", prog.var, env.bpffs / "prog")
    for options in (), ("self=show",):
        compare_with_files(frozen(env, *options))
        env.end_daemons()


def compare_with_files(daemon):
    samples = parse(daemon.read("metrics/bpfrefs.prom"))
    objects, references = collections.Counter(), collections.Counter()
    missing, unknown = 0, 0
    for line in daemon.lines("objects")[0]:
        row = fields(line)
        objects[line.split("/")[0], row["type"], row["state"]] += 1
        if row["unexplained"] == "?":
            unknown += 1
        else:
            missing += int(row["unexplained"])
    for line in daemon.lines("holders")[0]:
        references[line.split()[1]] += int(fields(line)["ref"])
    got = {tuple(dict(labels)[x] for x in ("kind", "type", "state")): value
           for (family, labels), value in samples.items() if family == "bpfrefs_objects" and value}
    equal(got, dict(objects))
    check(got.get(("map", "sockmap", "at-risk"), 0) >= 1, f"none is at risk: {got}")
    own = int(samples["bpfrefs_self_objects", frozenset()])
    note = [x for x in daemon.read("objects").splitlines() if x.startswith("# self: ")]
    shown = sum(f" pid={daemon.pid} " in x for x in daemon.lines("holders")[0])
    check(own > 40, f"{own} objects of its own")
    if note:
        equal((note, shown), ([f"# self: {own} objects of bpfrefs itself (pid {daemon.pid}) left out;"
                               " mount with self=show"], 0))
    else:
        check(shown > 40, f"{shown} references of the daemon, {own} objects")
    unused = collections.Counter((x.split("/")[0], fields(x)["type"])
                                 for x in daemon.lines("unused")[0])
    equal({tuple(dict(labels)[x] for x in ("kind", "type")): value
           for (family, labels), value in samples.items()
           if family == "bpfrefs_unused_objects" and value}, dict(unused))
    equal(+by_label(samples, "bpfrefs_references", "class"), references)
    equal(sum(samples[f"bpfrefs_unexplained_{x}references", frozenset()]
              for x in ("", "constant_")), missing)
    gaps = by_label(samples, "bpfrefs_gaps", "class")
    equal(gaps["refcnt"], unknown)
    status = daemon.read("status")
    for name in set(gaps) - {"refcnt"}:
        complete = re.search(rf"^class {name}: [^:]*: complete$", status, re.M)
        equal(gaps[name] == 0, complete is not None, name)


def test_keeps_and_references(env):
    """The numbers follow what is done; each read is a scan of its own."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    before = parse(daemon.read("metrics/bpfrefs.prom"))
    equal(sum(by_label(before, "bpfrefs_keeps", "mode").values()), 0)
    daemon.write(f"{obj.key}/keep", "pin")

    def look():
        now = parse(daemon.read("metrics/bpfrefs.prom"))
        equal(by_label(now, "bpfrefs_keeps", "mode"), {"fd": 0, "pin": 1, "auto": 0})
        check(by_label(now, "bpfrefs_references", "class")["keep"] >= 1, "keep")
    eventually(look)


def alert(daemon, but=()):
    """What an alert would be by, less what @but and other people's objects on this machine add."""
    with open(daemon.tree / "metrics/bpfrefs.prom", encoding="utf-8") as metrics, \
            open(daemon.tree / "objects", encoding="utf-8") as objects:
        samples, rows = parse(metrics.read()), records(objects.read())[0]
    value = samples["bpfrefs_unexplained_references", frozenset()]
    for line in rows:
        row, key = fields(line), line.split(" ", 1)[0]
        if row["type"] != "kernel" and key not in but and row["unexplained"] != "?":
            value -= int(row["unexplained"])
    return value


def quiet(env):
    """One whose files show one state for a second, so that two of them agree."""
    return env.daemon("-o", "max_age=1000")


def test_nothing_to_alert_at_rest(env):
    """The kernel's own BTFs add nothing, though every tracing program and the kernel's own hold them;
    and what is constant there is in the account of that BTF too."""
    daemon = quiet(env)

    def look():
        equal(alert(daemon), 0)
        metrics = parse(daemon.read("metrics/bpfrefs.prom"))
        constant = sum(int(daemon.pairs(f"{line.split(' ', 1)[0]}/refs")["constant"])
                       for line in daemon.lines("objects")[0] if fields(line)["type"] == "kernel")
        equal(metrics["bpfrefs_unexplained_constant_references", frozenset()], constant)
    eventually(look, 4 * PATIENCE)
    # Another one's walkers, most of which hold vmlinux's BTF, come and go.
    (env.tmp / "other").mkdir()
    other = env.daemon(mountpoint=env.tmp / "other")
    eventually(lambda: equal(alert(daemon), 0), 4 * PATIENCE)
    other.stop()
    eventually(lambda: equal(alert(daemon), 0), 4 * PATIENCE)


def test_alert_for_what_is_covered(env):
    """A thread that sleeps in poll(2) on a ring buffer keeps it, though its descriptor was closed, and
    nothing but its stack leads there: the very thing that nobody can explain."""
    daemon, helper = quiet(env), env.helper()
    ring = helper.make("map", "ringbuf", max=mmap.PAGESIZE)
    eventually(lambda: equal(alert(daemon, [ring.key]), 0), 4 * PATIENCE)
    helper.do("pin", ring.var, env.bpffs / "ring")
    fd = obj_get(env.bpffs / "ring")
    end, ended = os.pipe()
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    poller.register(end, select.POLLIN)
    thread = threading.Thread(target=poller.poll)
    thread.start()
    try:
        eventually(lambda: check(asleep(thread), "not yet"))
        os.close(fd)
        # One of the object, and one of its users.
        eventually(lambda: equal(alert(daemon, [ring.key]), 2), 4 * PATIENCE)
        equal(daemon.row(ring.key)["unexplained"], "2")
    finally:
        os.write(ended, b"x")
        thread.join()
        os.close(end)
        os.close(ended)
    eventually(lambda: equal(alert(daemon, [ring.key]), 0), 4 * PATIENCE)


def test_without_counters(env):
    """procfs: what is not known is NaN, and a gap; never 0."""
    helper = env.helper()
    helper.make("map", "array")
    daemon = env.daemon("--source=proc")
    samples = parse(daemon.read("metrics/bpfrefs.prom"))
    references = by_label(samples, "bpfrefs_references", "class")
    gaps = by_label(samples, "bpfrefs_gaps", "class")
    check(math.isnan(references["mmap"]) and gaps["mmap"] >= 1, f"{references} {gaps}")
    check(references["fd"] >= 1, str(references))
    check(math.isnan(samples["bpfrefs_unexplained_references", frozenset()]), "unexplained")
    check(gaps["refcnt"] >= 1, str(gaps))
    lines, comments = daemon.lines("metrics/bpfrefs.prom")
    check(lines and any(x.startswith("# mmap: unavailable") for x in comments), str(comments))


def test_textfile_directory(env):
    """As node_exporter reads it: what the directory lists ends in .prom; size and time while open."""
    daemon = env.daemon("-o", "gid=12345,allow_other")
    place = daemon.tree / "metrics"
    equal(os.listdir(place), ["bpfrefs.prom"])
    equal(os.stat(place / "bpfrefs.prom").st_size, 0)
    with open(place / "bpfrefs.prom", "rb") as file:
        status = os.fstat(file.fileno())
        text = file.read()
        equal(status.st_size, len(text))
        check(status.st_mtime > 1e9, "time")
        for at in (0, 1, len(text) // 2, len(text) - 1):
            equal(os.pread(file.fileno(), 100, at), text[at:at + 100], "one snapshot")
    os.chmod(env.tmp, 0o755)
    wrap = [tool("setpriv"), "--reuid=65534", "--clear-groups"]
    command = [tool("cat"), place / "bpfrefs.prom"]
    equal(run(*wrap, "--regid=12345", *command)[0], 0, "the group may read it")
    equal(run(*wrap, "--regid=1", *command)[0], 1, "others may not")


def test_copies(env):
    """Tools that trust the size, or copy by sendfile(2), get all of it."""
    daemon = frozen(env)
    text = daemon.read("metrics/bpfrefs.prom")
    for command in ([tool("cp")], [tool("busybox"), "cp"]):
        target = env.tmp / "copy.prom"
        must(*command, daemon.tree / "metrics/bpfrefs.prom", target)
        equal(target.read_text(), text, str(command))
        target.unlink()
    shutil.copyfile(daemon.tree / "metrics/bpfrefs.prom", env.tmp / "copy.prom")
    equal(pathlib.Path(env.tmp / "copy.prom").read_text(), text, "shutil")


if __name__ == "__main__":
    sys.exit(main(globals()))
