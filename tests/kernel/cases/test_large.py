#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""More holders of one object than a walk's buffer has room for (256 KiB: eleven thousand descriptors): it must be drained and go
on where it was, and neither lose nor repeat a record."""
import os
import subprocess
import sys

from harness import check, equal, eventually, fields, main, names

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
    daemon, helper = env.daemon(), env.helper()
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


if __name__ == "__main__":
    sys.exit(main(globals()))
