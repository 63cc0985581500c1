#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The story of docs/tutorial.md: a loader fills a program array, pins the entry program
alone and exits. With nothing else the kernel clears the array and every tail call fails; a keep
prevents it."""
import os
import subprocess
import sys

from harness import check, equal, eventually, main, must

WORKING, BROKEN = "first=1 second=2\n", "first=99 second=99\n"


class Loader:
    """A loader process that has done its work and waits to exit."""

    def __init__(self, env, name="entry"):
        self.pin = env.bpffs / name
        self.env = env
        self.process = subprocess.Popen([env.loader, "load", str(self.pin)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.keys = {}
        for _ in range(4):
            name, key = self.process.stdout.readline().strip().split("=")
            self.keys[name] = key

    def exit(self):
        self.process.stdin.close()
        equal(self.process.wait(10), 0, "the loader's exit")
        self.process.stdout.close()

    def run(self):
        """What the entry program's tail calls give."""
        return must(self.env.loader, "run", self.pin)


def broken(loader):
    """The kernel clears a program array in a work queue, so soon, not at once."""
    eventually(lambda: equal(loader.run(), BROKEN, "tail calls"))


def test_without_bpfrefs(env):
    loader = Loader(env)
    equal(loader.run(), WORKING, "before the loader's exit")
    loader.exit()
    broken(loader)


def test_refs_say_cleared(env):
    loader = Loader(env)
    daemon = env.daemon()
    array = loader.keys["array"]
    equal(daemon.pairs(f"{array}/refs")["state"], "at-risk")
    check("first" in loader.run(), "runs")
    loader.exit()
    broken(loader)

    def cleared():
        refs = daemon.pairs(f"{array}/refs")
        equal((refs["state"], refs["usercnt"]), ("cleared", "0"), str(refs))
        check(refs["because"], "no reason")
        equal(daemon.row(array)["state"], "cleared")
        equal(daemon.lines(f"{array}/slots")[0], [], "slots")
    eventually(cleared)
    for name in ("first", "second"):
        daemon.gone(loader.keys[name])


def outlives_everything(env, mode):
    """Kept in this mode, the calls work past the loader, the daemon, and a remount."""
    loader, daemon = Loader(env), env.daemon()
    array = loader.keys["array"]
    daemon.write(f"{array}/keep", mode)
    loader.exit()
    equal(loader.run(), WORKING, "after the loader's exit")
    equal(daemon.pairs(f"{array}/refs")["state"], "held")
    equal(daemon.lines(f"{array}/slots")[0],
          [f"{i} {loader.keys[n]} {n}" for i, n in enumerate(("first", "second"))])
    daemon.stop()
    equal(loader.run(), WORKING, "after the daemon's exit")
    again = env.daemon()
    equal(again.read(f"{array}/keep"), mode + "\n", "after a remount")
    equal(loader.run(), WORKING, "after a remount")
    return loader, again


def test_keep_pin(env):
    loader, daemon = outlives_everything(env, "pin")
    array = loader.keys["array"]
    os.unlink(loader.pin)
    daemon.gone(loader.keys["entry"])
    check((daemon.tree / array).exists(), "keep=pin is a root: it lasts until it is taken back")
    daemon.write(f"{array}/keep", "off")
    for name in ("array", "first", "second"):
        daemon.gone(loader.keys[name])


def test_keep_auto(env):
    loader, daemon = outlives_everything(env, "auto")
    os.unlink(loader.pin)
    for name in ("entry", "array", "first", "second"):
        eventually(lambda key=loader.keys[name]: check(not (daemon.tree / key).exists(),
                                                       f"{key} is still kept"), 20)
    check(not list((env.bpffs / "bpfrefs" / "auto").iterdir()), "the pin stayed")


def test_keep_auto_of_all(env):
    """With -o keep=auto nobody has to ask. (A loader that exits at once may win: this one waits.)"""
    daemon = env.daemon("-o", "keep=auto")
    loader = Loader(env)
    array = loader.keys["array"]
    eventually(lambda: equal(daemon.read(f"{array}/keep"), "auto\n"))
    loader.exit()
    equal(loader.run(), WORKING, "after the loader's exit")
    os.unlink(loader.pin)
    eventually(lambda: check(not (daemon.tree / array).exists(), "still kept"), 20)


def test_keep_auto_finds_what_was_there(env):
    loader = Loader(env)
    daemon = env.daemon("-o", "keep=auto")
    eventually(lambda: equal(daemon.read(f"{loader.keys['array']}/keep"), "auto\n"))
    loader.exit()
    equal(loader.run(), WORKING, "after the loader's exit")


def test_keep_auto_waits_for_a_daemon(env):
    """While no daemon runs, none is released; the next one does it."""
    loader, daemon = Loader(env), env.daemon()
    array = loader.keys["array"]
    daemon.write(f"{array}/keep", "auto")
    loader.exit()
    daemon.stop()
    os.unlink(loader.pin)
    kept = env.bpffs / "bpfrefs" / "auto" / array.replace("/", "_")
    check(kept.exists(), "nobody was there to let it go")
    again = env.daemon()
    eventually(lambda: check(not kept.exists(), "not released by the next daemon"), 20)
    again.gone(array)


def test_keep_auto_of_a_ring(env):
    """Two arrays whose programs use each other's array hold each other: garbage all the same."""
    daemon, helper = env.daemon(), env.helper()
    arrays = [helper.make("map", "prog_array", name=f"ring{i}") for i in range(2)]
    for i in range(2):
        prog = helper.make("prog", "socket_filter", maps=arrays[i])
        helper.do("slot", arrays[1 - i].var, 0, prog.var)
        daemon.write(f"{arrays[i].key}/keep", "auto")
    helper.end()
    for array in arrays:
        eventually(lambda key=array.key: check(not (daemon.tree / key).exists(),
                                               f"{key} is still kept"), 20)


if __name__ == "__main__":
    sys.exit(main(globals()))
