#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""More holders of one object than a walk's buffer has room for (256 KiB: eleven thousand descriptors): it must be drained and go
on where it was, and neither lose nor repeat a record."""
import os
import resource
import subprocess
import sys

from harness import check, equal, eventually, fields, main, names
from made import taken

COUNT = 15000
LONG_KEYS = 1200


def many(env, *words):
    """Runs the helper; the key of the object that it holds so often."""
    process = subprocess.Popen([os.environ["MKOBJ"], "many", *map(str, words)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    env.cleanup(process.stdout.close)
    env.cleanup(process.wait)
    env.cleanup(process.stdin.close)
    key = process.stdout.readline().strip()
    check(key, f"many {words} failed")
    return process, key


def check_account(daemon, key, refcnt, lines, usercnt=None):
    def look():
        refs = daemon.pairs(f"{key}/refs")
        equal(refs["unexplained"], "0", str(refs))
        equal(int(refs["refcnt"]), refcnt, "refcnt")
        if usercnt is not None:
            equal(int(refs["usercnt"]), usercnt, "usercnt")
        found = daemon.lines(f"{key}/holders")[0]
        equal(len(found), lines, "lines")
        return found
    return eventually(look)


def end(process, daemon, key):
    process.stdin.close()
    process.wait()
    daemon.gone(key)


def test_descriptors(env):
    daemon = env.daemon()
    process, key = many(env, "fds", COUNT)
    found = check_account(daemon, key, 1, COUNT, 1)
    equal(len({fields(x)["fd"] for x in found}), COUNT, "descriptors shown")
    equal(len({fields(x)["file"] for x in found}), 1, "files shown")
    end(process, daemon, key)


def test_walks_in_parallel(env):
    """Once the descriptors take long to walk they are walked in parallel with all else, by a
    second instance of the program: its own objects are shown and explained, and so is what changes then."""
    daemon, helper = env.daemon("-o", "self=show"), env.helper()
    _, key = many(env, "fds", COUNT)

    def links():
        return sum(x.startswith("link/") and f" pid={daemon.pid} " in x
                   for x in daemon.lines("holders")[0])

    before = links()  # that was the first long walk
    eventually(lambda: equal(links(), before + 1, "the daemon's links, one for each iterator program"))
    daemon.open_before = daemon.descriptors()  # it keeps them
    for turn in range(4):
        array = helper.make("map", "prog_array", name=f"a{turn}", max=4)
        prog = helper.make("prog", "socket_filter", name=f"p{turn}", maps=[array])
        helper.do("slot", array.var, 1, prog.var)
        helper.do("pin", prog.var, env.bpffs / f"p{turn}")
        check_account(daemon, key, 1, COUNT, 1)

        def all_explained():
            rows = {x.split(" ")[0]: fields(x) for x in daemon.lines("objects")[0]}
            ours = {k: x for k, x in rows.items() if k in (array.key, prog.key) or
                    x["name"].startswith("walk")}
            check(len(ours) > 40, "ours")
            equal({k: x for k, x in ours.items() if x["unexplained"] != "0"}, {}, "unexplained")
            lines = daemon.lines("holders")[0]
            equal(sum(x.startswith(f"{key} fd ") for x in lines), COUNT, "descriptors")
            equal(sum(x.startswith(f"{prog.key} ") for x in lines), 3, "fd, slot and pin")
            equal([x for x in lines if " iter " in x and f" pid={daemon.pid} " in x], [],
                  "iterators of the daemon's own")
        eventually(all_explained)
    equal(links(), before + 1, "no third one")


def test_slots(env):
    daemon = env.daemon()
    process, key = many(env, "slots", COUNT)
    found = check_account(daemon, key, COUNT + 1, COUNT + 1)
    slots = sorted(int(fields(x)["slot"]) for x in found if " map " in x)
    equal(slots, list(range(1, 2 * COUNT, 2)), "slots shown")
    array = fields(next(x for x in found if " map " in x))["id"]
    equal(daemon.read(f"map/{array}/slots").splitlines(),
          [f"{slot} {key} many" for slot in slots], "the slots file")
    end(process, daemon, key)


def test_hash_of_maps(env):
    daemon = env.daemon()
    process, key = many(env, "inner", LONG_KEYS)
    found = check_account(daemon, key, LONG_KEYS + 1, LONG_KEYS + 1, 1)
    keys = sorted(bytes.fromhex(fields(x)["slot"][2:]) for x in found if " map " in x)
    equal(keys, sorted(i.to_bytes(4, sys.byteorder) + bytes(252) for i in range(LONG_KEYS)),
          "keys shown")
    end(process, daemon, key)


def test_pins(env):
    daemon = env.daemon()
    process, key = many(env, "pins", COUNT, env.bpffs)
    found = check_account(daemon, key, COUNT + 1, COUNT + 1, COUNT + 1)
    paths = {fields(x)["path"] for x in found if " pin " in x}
    equal(paths, {f"{env.bpffs}/{name}" for name in names(env.bpffs)}, "paths shown")
    for name in names(env.bpffs):
        os.unlink(env.bpffs / name)
    end(process, daemon, key)


def test_names_of_one_pin(env):
    daemon = env.daemon()
    process, key = many(env, "links", COUNT, env.bpffs)
    found = check_account(daemon, key, 2, COUNT + 1, 2)
    paths = {fields(x)["path"] for x in found if " pin " in x}
    equal(paths, {f"{env.bpffs}/{name}" for name in names(env.bpffs)}, "paths shown")
    for name in names(env.bpffs):
        os.unlink(env.bpffs / name)
    end(process, daemon, key)


def test_descriptors_of_several_processes(env):
    """A hundred thousand descriptors of one map: all are in holders, and the answers are sums."""
    daemon, processes = env.daemon(), 5
    helper = env.helper()
    obj = helper.make("map", "hash")
    each = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200
    each = min(each, 100000 // processes)
    script = (f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({each + 200}, "
              f"{each + 200})); [os.dup(0) for _ in range({each})]; os.write(1, b'+'); os.read(2, 1)")
    children = []
    with taken(obj) as fd:
        for _ in range(processes):
            out, wait = os.pipe(), os.pipe()
            children.append((subprocess.Popen([sys.executable, "-c", script], stdin=fd, stdout=out[1],
                                              stderr=wait[0]), out, wait))
    for child, out, wait in children:
        os.close(out[1])
        os.close(wait[0])
        equal(os.read(out[0], 1), b"+", "its descriptors")
    # a child has its standard input, too
    found = check_account(daemon, obj.key, 1, processes * (each + 1) + 1, 1)
    equal(len({(fields(x)["pid"], fields(x)["fd"]) for x in found}), len(found), "different ones")
    roots = daemon.lines(f"{obj.key}/roots")[0]
    equal({fields(x)["pid"]: fields(x).get("ways") for x in roots},
          {str(helper.pid): None} | {str(x[0].pid): str(each + 1) for x in children})
    equal(len(roots), processes + 1)
    refs = daemon.read(f"{obj.key}/refs")
    check("fd: ref=1 user=1\n" in refs and f"; {processes} other processes hold it too" in refs or
          f", one of {each + 1}; {processes} other processes hold it too" in refs, refs)
    check(len(refs) < 1000, refs)
    picture = daemon.read(f"{obj.key}/graph.dot")
    check(f'[label="fd \u00d7{each + 1}"]' in picture and len(picture) < 4000, picture)
    for child, out, wait in children:
        os.close(wait[1])
        child.wait()
        os.close(out[0])
    equal(len(eventually(lambda: check_account(daemon, obj.key, 1, 1, 1))), 1)


if __name__ == "__main__":
    sys.exit(main(globals()))
