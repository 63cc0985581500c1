#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""XDP programs of devices whose drivers hold them more than once, and of more devices than the
dispatcher has places for."""
import os
import pathlib
import re
import sys

from harness import Skip, check, equal, eventually, main, must, run, tool
from test_net import Netns, Prog, dispatched

DISPATCHER = 48  # BPF_DISPATCHER_MAX


def test_bonding(env):
    """The bond's driver holds the program for each device that is bonded."""
    daemon, helper, netns = env.daemon(), env.helper(), Netns(env, f"bond{os.getpid()}")
    status, _, error = run(tool("ip"), "-n", netns.name, "link", "add", "b0", "type", "bond", "mode",
                           "active-backup")
    if status:
        raise Skip(f"no bonding: {error.strip()}")
    prog = Prog(env, helper, "xdp", result=2)

    def enslave(name):
        netns.ip("link", "set", name, "down")
        netns.ip("link", "set", name, "master", "b0")
    enslave("a0")
    netns.ip("link", "set", "dev", "b0", "xdpdrv", "pinned", prog.path)
    prog.let_go()
    where = f"{netns.at('b0')} mode=driver"
    daemon.expect(prog.key, [prog.record("xdp", 3, where), dispatched(prog)])
    enslave("a1")
    daemon.expect(prog.key, [prog.record("xdp", 4, where), dispatched(prog)])
    netns.ip("link", "set", "a0", "nomaster")
    daemon.expect(prog.key, [prog.record("xdp", 3, where), dispatched(prog)])
    netns.ip("link", "del", "b0")
    daemon.gone(prog.key)


def virtio():
    """The name of such a device, and how many pairs of queues it has."""
    for path in pathlib.Path("/sys/class/net").iterdir():
        driver = path / "device/driver"
        if driver.exists() and driver.resolve().name == "virtio_net":
            said = must(tool("ip"), "-d", "link", "show", path.name)
            # as many as queues to receive, of which a kernel without CONFIG_RPS says nothing
            return path.name, int(re.search(r"numtxqueues (\d+)", said)[1])
    raise Skip("no device of virtio_net")


def test_virtio_net(env):
    """The driver holds the program for each pair of queues, in use or not."""
    name, pairs = virtio()
    if is_used(name):
        raise Skip(f"{name} is this machine's own, in use")
    daemon, helper = env.daemon(), env.helper()
    prog = Prog(env, helper, "xdp", result=2)
    must(tool("ip"), "link", "set", "dev", name, "xdpdrv", "pinned", prog.path)
    env.cleanup(run, tool("ip"), "link", "set", "dev", name, "xdpdrv", "off")
    index = int(must(tool("ip"), "-o", "link", "show", name).split(":", 1)[0])
    where = f"ifname={name} ifindex={index} netns={os.stat('/proc/self/ns/net').st_ino} mode=driver"
    prog.let_go()
    print(f"# {name} has {pairs} pairs of queues")
    daemon.expect(prog.key, [prog.record("xdp", 1 + pairs, where), dispatched(prog)])
    must(tool("ip"), "link", "set", "dev", name, "xdpdrv", "off")
    daemon.gone(prog.key)


def is_used(name):
    return int(pathlib.Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 1  # IFF_UP


def test_full_dispatcher(env):
    """It has 48 places. Whose program came too late cannot be found: then a gap says so."""
    daemon, helper, netns = env.daemon(), env.helper(), Netns(env, f"full{os.getpid()}")
    if any(x.endswith(" mode=dispatcher") for x in daemon.lines("holders")[0]):
        raise Skip("others have programs in it")
    progs = []
    for number in range(DISPATCHER + 1):
        if number % 2 == 0:
            netns.ip("link", "add", f"d{number}", "type", "veth", "peer", "name", f"d{number + 1}")
        prog = Prog(env, helper, "xdp", result=2)
        netns.ip("link", "set", "dev", f"d{number}", "xdpgeneric", "pinned", prog.path)
        prog.let_go()
        progs.append(prog)
    generic = [prog.record("xdp", 2, f"{netns.at(f'd{n}')} mode=generic")
               for n, prog in enumerate(progs)]

    def look():
        rests = []
        for prog, line in zip(progs, generic):
            lines, gaps = daemon.lines(f"{prog.key}/holders")
            equal(lines, [line])
            check(any("full dispatcher" in gap for gap in gaps), f"gaps: {gaps}")
            rests.append(daemon.pairs(f"{prog.key}/refs")["unexplained"])
        # all but one have a place
        equal(sorted(rests), ["0"] + ["1"] * DISPATCHER)
    eventually(look)
    # with one less all are explained again
    late = next(n for n, prog in enumerate(progs)
                if daemon.pairs(f"{prog.key}/refs")["unexplained"] == "0")
    netns.ip("link", "set", "dev", f"d{late}", "xdpgeneric", "off")
    daemon.gone(progs[late].key)
    for number in (0, DISPATCHER // 2):
        if number != late:
            daemon.expect(progs[number].key, [generic[number], dispatched(progs[number])])


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
