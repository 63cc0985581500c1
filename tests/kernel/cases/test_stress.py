#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holders of many kinds come and go as fast as they can while snapshots are taken: nothing stays
unexplained, nothing is lost, and the daemon neither dies nor grows."""
import errno
import os
import random
import socket
import sys
import threading
import time

import test_files
import test_net
import test_objects
import test_perf
import test_sockets
from harness import (PATIENCE, Skip, check, equal, eventually, fields, main, over_a_map, run,
                     sanitized)

SECONDS = int(os.environ.get("STRESS_SECONDS", "60"))
# A remainder that stands this long, the same in every snapshot, is no holder on its way.
LASTING = 0.6 * PATIENCE
# What the daemon may grow by: its allocator's caches, and what others on the machine have made
# meanwhile. One snapshot in a hundred that is not freed is more.
GROWTH_KIB = 65536


def descriptors(env, helper, rng):
    kind = rng.choice(["array", "hash", "prog_array", "ringbuf"])
    options = test_files.RINGBUF if kind == "ringbuf" else {}
    obj = helper.make("map", kind, **options)
    copy = helper.make("dup", obj)
    child = helper.do("fork")["child"]
    rng.choice([obj, copy]).close()
    helper.do("reap", child)


def tail_calls(env, helper, rng):
    array = helper.make("map", "prog_array", max=8)
    progs = [helper.make("prog", "socket_filter", maps=array) for _ in range(3)]
    for prog in progs:
        helper.do("slot", array.var, rng.randrange(8), prog.var)
    path = env.bpffs / f"stress-{helper.pid}"
    helper.do("pin", rng.choice(progs).var, path)
    array.close()
    os.unlink(path)


def inner_maps(env, helper, rng):
    inner = helper.make("map", "array")
    outer = helper.make("map", rng.choice(["array_of_maps", "hash_of_maps"]), inner=inner, max=2)
    helper.do("slot", outer.var, 1, inner.var)
    inner.close()
    if rng.random() < 0.5:
        helper.do("clear", outer.var, 1)


def links(env, helper, rng):
    prog = helper.make("prog", "raw_tracepoint")
    link = helper.make("link", "raw_tp", prog, "task_newtask")
    rng.choice([prog, link]).close()


def mappings(env, helper, rng):
    obj = test_files.mmapable(helper)
    helper.do("map_file", obj.var)
    obj.close()
    helper.do("unmap")


def messages(env, helper, rng):
    obj = helper.make("map", "array")
    sender, receiver = test_files.pair(helper)
    helper.do("send", sender, obj.var)
    obj.close()
    for end in (sender, receiver):
        helper.do("close", end)


def rings(env, helper, rng):
    test_files.ring(helper)
    obj, prog = helper.make("map", "array"), helper.make("prog", "xdp")
    helper.do("uring_files", "ring", obj.var, prog.var)
    rng.choice([obj, prog]).close()
    helper.do("close", "ring")


def filters(env, helper, rng):
    obj = helper.make("prog", "socket_filter")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        test_sockets.attach(sock, obj)
        obj.close()


def events(env, helper, rng):
    obj = helper.make("prog", "perf_event")
    event = test_perf.Event(env, obj)
    for each in rng.sample([obj, event], 2):
        each.close()


def entries(env, helper, rng):
    table = helper.make("map", rng.choice(["devmap", "devmap_hash"]), value=8, max=8)
    prog = helper.make("prog", "xdp", attach="xdp_devmap")
    helper.do("entry", table.var, rng.randrange(8), test_objects.loopback(), prog.var)
    rng.choice([table, prog]).close()


def sockmaps(env, helper, rng):
    table = helper.make("map", rng.choice(["sockmap", "sockhash"]))
    prog = helper.make("prog", "sk_skb", attach="sk_skb_stream_verdict")
    helper.do("attach", prog.var, table.var, "sk_skb_stream_verdict")
    rng.choice([table, prog]).close()


def iterators(env, helper, rng):
    counted = helper.make("map", "array")
    try:
        prog = over_a_map(helper)
    except Skip:
        return
    link = helper.make("link", "iter", prog, map=counted)
    helper.make("iter", link)
    for obj in rng.sample([counted, prog, link], 2):
        obj.close()


def timers(env, helper, rng):
    file = os.path.join(os.environ["OBJECT_FILES"], "objects-timer.bpf.o")
    helper.do("load", file, "timer_hash", "set_hash")
    table, prog = helper.make("take", "timer_hash"), helper.make("take", "set_hash")
    helper.do("unload")
    helper.do("run", prog.var)
    rng.choice([table, prog]).close()


def struct_ops(env, helper, rng):
    file = os.path.join(os.environ["OBJECT_FILES"], "congestion.bpf.o")
    try:
        helper.do("load", file, "bpfrefs_test", "test_ssthresh", "test_cong_avoid",
                  "test_undo_cwnd", flags=0x2000)
    except OSError as error:
        raise Skip(f"BPF_F_LINK came with 6.4: {error}") from error
    control = helper.make("take", "bpfrefs_test")
    try:
        link = helper.make("register", "bpfrefs_test")
        rng.choice([control, link]).close()
    except OSError as error:
        # the name is another churner's at the moment
        check(error.errno == errno.EEXIST, str(error))
    helper.do("unload")


def cgroups(env, helper, rng):
    group = env.stress_cgroup / f"c{helper.pid}"
    group.mkdir()
    prog = helper.make("prog", "cgroup_skb")
    status, _, error = run(os.environ["MKOBJ"], "cgroup", "attach", prog.id, group,
                           "cgroup_inet_ingress", 2)
    check(status == 0, error)
    prog.close()
    group.rmdir()


def devices(env, helper, rng):
    """What tools attach in a network namespace, which goes in the end."""
    netns = test_net.Netns(env, f"stress{helper.pid}", clean=False)
    xdp, cls, lwt = (test_net.Prog(env, helper, kind, **options) for kind, options in (
        ("xdp", {"result": 2}), ("sched_cls", {}), ("lwt_xmit", {})))
    netns.ip("link", "set", "dev", "a0", rng.choice(["xdpdrv", "xdpgeneric"]), "pinned", xdp.path)
    netns.tc("qdisc", "add", "dev", "a0", "clsact")
    netns.tc("filter", "add", "dev", "a0", "egress", "bpf", "da", "pinned", cls.path)
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    netns.ip("route", "add", "10.1.0.0/16", "encap", "bpf", "xmit", "pinned", lwt.path, "dev", "a0")
    for prog in (xdp, cls, lwt):
        prog.let_go()
    if rng.random() < 0.5:
        netns.ip("link", "del", "a0")
    netns.delete()


SCENES = [descriptors, tail_calls, inner_maps, links, mappings, messages, rings, filters, events,
          entries, sockmaps, iterators, timers, struct_ops, cgroups, devices]


class Churner(threading.Thread):
    """One helper process that plays scene after scene; each ends with nothing left."""

    def __init__(self, env, seed):
        super().__init__()
        self.env, self.rng = env, random.Random(seed)
        self.helper, self.stopping, self.error = env.helper(), False, None
        self.scenes, self.played, self.skipped = 0, {}, {}

    def run(self):
        scene = None
        try:
            while not self.stopping:
                scene = self.rng.choice(SCENES)
                try:
                    scene(self.env, self.helper, self.rng)
                    self.played[scene.__name__] = self.played.get(scene.__name__, 0) + 1
                except Skip as skip:
                    self.skipped[scene.__name__] = str(skip)
                self.scenes += 1
                if self.scenes % 20 == 0: # what a scene left open is closed with its process
                    self.helper.end()
                    self.helper = self.env.helper()
        except Exception as error:  # pylint: disable=broad-except
            self.error = (scene.__name__, error)

    def stop(self):
        self.stopping = True
        self.join()
        self.helper.end()


def rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(x for x in file if x.startswith("VmRSS")).split()[1])


class Remainders:
    """How long each object has had the same remainder."""

    def __init__(self, rows):
        # What was unexplained before we began is none of ours.
        self.ignored = {key for key, row in rows.items() if row["unexplained"] != "0"}
        self.since = {}

    def look(self, rows):
        now = time.monotonic()
        seen = {key: row["unexplained"] for key, row in rows.items()
                if row["unexplained"] not in ("0", "?") and key not in self.ignored}
        self.since = {key: self.since[key] if key in self.since and self.since[key][0] == rest
                      else (rest, now) for key, rest in seen.items()}
        lasting = {key: rest for key, (rest, begun) in self.since.items()
                   if now - begun > LASTING}
        check(not lasting, f"unexplained for {LASTING} s: " +
              ", ".join(f"{key}: {rest}: {rows[key]}" for key, rest in lasting.items()))


def objects(daemon):
    return {x.split(" ", 1)[0]: fields(x) for x in daemon.lines("objects")[0]}


def test_churn(env):
    daemon = env.daemon()
    env.stress_cgroup = env.cgroup()
    test_net.Netns(env, f"before{os.getpid()}")  # mounts what ip keeps its namespaces in
    remainders = Remainders(objects(daemon))
    for _ in range(20):
        objects(daemon)
    before = rss(daemon.pid)
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}")
    churners = [Churner(env, seed + i) for i in range(3)]
    for churner in churners:
        churner.start()
    end, snapshots = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end:
            remainders.look(objects(daemon))
            daemon.read("holders")
            snapshots += 2
    finally:
        for churner in churners:
            churner.stop()
    for churner in churners:
        check(churner.error is None, f"a churner failed: {churner.error!r}")
    played, skipped = {}, {}
    for churner in churners:
        skipped.update(churner.skipped)
        for name, count in churner.played.items():
            played[name] = played.get(name, 0) + count
    print(f"# {snapshots} snapshots while there were " +
          ", ".join(f"{count} {name}" for name, count in sorted(played.items())))
    for name, reason in skipped.items():
        print(f"# without {name}: {reason}")
    check(snapshots > 10, "hardly any snapshots")

    def even():
        odd = {key: row for key, row in objects(daemon).items()
               if row["unexplained"] != "0" and key not in remainders.ignored}
        equal(odd, {}, "after the end")
    eventually(even)
    equal(daemon.descriptors(), daemon.open_before, "the daemon's descriptors")
    check(sanitized(env.bpfrefs) or rss(daemon.pid) - before < GROWTH_KIB,
          f"grew from {before} to {rss(daemon.pid)} KiB")


if __name__ == "__main__":
    sys.exit(main(globals()))
