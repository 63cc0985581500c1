#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is attached in network namespaces, in such as no process is in too: made for real, record by
record, the account against the kernel's counters, then taken away and seen to go."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading
import time

from harness import MNT_DETACH, PATIENCE, Skip, check, eventually, main, mount, must, run, tool, umount

MK_NET = (os.environ["MKOBJ"], "net")


class Netns:
    """A network namespace that only a bind mount holds, and a veth pair in it: a0 and a1."""

    def __init__(self, env, name, clean=True):
        if not hasattr(env, "netns_dir"):
            # ip keeps its mounts here; nothing of ours is to be seen outside
            mount("none", "/run", "tmpfs")
            env.netns_dir = True
            env.cleanup(umount, "/run", MNT_DETACH)
        self.env, self.name, self.path = env, name, f"/run/netns/{name}"
        self.tool("ip", "netns", "add", name, here=True)
        if clean:
            env.cleanup(run, tool("ip"), "netns", "del", name)
        self.inum = os.stat(self.path).st_ino
        self.ip("link", "add", "a0", "type", "veth", "peer", "name", "a1")
        self.ip("link", "set", "a0", "up")
        self.ip("link", "set", "a1", "up")

    def tool(self, program, *words, here=False):
        enter = [] if here else [tool("ip"), "netns", "exec", self.name]
        return must(*enter, tool(program), *words)

    def ip(self, *words):
        return must(tool("ip"), "-n", self.name, *words)

    def tc(self, *words):
        return must(tool("tc"), "-n", self.name, *words)

    def mk(self, *words):
        return must(*MK_NET, self.path, *words)

    def index(self, device):
        return int(self.ip("-o", "link", "show", device).split(":", 1)[0])

    def at(self, device):
        return f"ifname={device} ifindex={self.index(device)} netns={self.inum}"

    def delete(self):
        must(tool("ip"), "netns", "del", self.name)


class Link:
    """A process of mk-net that holds a link."""

    def __init__(self, netns, *words):
        self.process = subprocess.Popen([*MK_NET, netns.path, *map(str, words)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        check(line, f"mk-net {words} failed")
        said = dict(word.split("=", 1) for word in line.split())
        self.key, self.pid, self.fd = said["key"], self.process.pid, said["fd"]
        self.id = int(self.key.split("/")[1])
        netns.env.cleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
        self.process.stdout.close()


class Prog:
    """A program that nothing holds but a pin, until that is removed."""

    def __init__(self, env, helper, kind, **options):
        self.obj = helper.make("prog", kind, **options)
        self.key, self.path = self.obj.key, env.bpffs / f"prog_{self.obj.id}"
        helper.do("pin", self.obj.var, self.path)
        self.obj.close()

    def pinned(self):
        return (f"{self.key} pin ref=1 user=0 path={self.path} dev=* ino=* uid=0"
                " gid=0 mode=600 mtime=* state=live")

    def let_go(self):
        os.unlink(self.path)

    def record(self, kind, ref, where):
        return f"{self.key} {kind} ref={ref} user=0 {where}"


def world(env):
    return env.daemon(), env.helper(), Netns(env, f"test{os.getpid()}")


def dispatched(prog, link=""):
    return prog.record("xdp", 1, "mode=dispatcher" + link)


def test_xdp_driver_and_generic(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "xdp", result=2)
    daemon.expect(prog.key, [prog.pinned()])
    netns.ip("link", "set", "dev", "a0", "xdpdrv", "pinned", prog.path)
    driver = prog.record("xdp", 2, f"{netns.at('a0')} mode=driver")
    daemon.expect(prog.key, [prog.pinned(), driver, dispatched(prog)])
    # the dispatcher holds a program once, however many devices have it
    netns.ip("link", "set", "dev", "a1", "xdpgeneric", "pinned", prog.path)
    netns.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", prog.path)
    generic = [prog.record("xdp", 2, f"{netns.at(name)} mode=generic") for name in ("a1", "lo")]
    daemon.expect(prog.key, [prog.pinned(), driver, dispatched(prog), *generic])
    prog.let_go()
    daemon.expect(prog.key, [driver, dispatched(prog), *generic])
    check("state: held" in daemon.read(f"{prog.key}/refs"), "an attachment is a root")
    netns.ip("link", "set", "dev", "a1", "xdpgeneric", "off")
    netns.ip("link", "set", "dev", "lo", "xdpgeneric", "off")
    daemon.expect(prog.key, [driver, dispatched(prog)])
    netns.ip("link", "set", "dev", "a0", "xdpdrv", "off")
    daemon.gone(prog.key)


def test_xdp_two_programs_of_one_device(env):
    daemon, helper, netns = world(env)
    first, second = Prog(env, helper, "xdp", result=2), Prog(env, helper, "xdp", result=2)
    netns.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", first.path)
    netns.ip("link", "set", "dev", "a0", "xdpdrv", "pinned", second.path)
    other = Netns(env, f"other{os.getpid()}")
    other.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", first.path)
    for prog in (first, second):
        prog.let_go()
    daemon.expect(first.key, [first.record("xdp", 2, f"{netns.at('lo')} mode=generic"),
                              first.record("xdp", 2, f"{other.at('lo')} mode=generic"),
                              dispatched(first)])
    daemon.expect(second.key, [second.record("xdp", 2, f"{netns.at('a0')} mode=driver"),
                               dispatched(second)])
    netns.delete()
    daemon.gone(second.key)
    daemon.expect(first.key, [first.record("xdp", 2, f"{other.at('lo')} mode=generic"),
                              dispatched(first)])
    other.delete()
    daemon.gone(first.key)


def test_xdp_link(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "xdp", result=2)
    link = Link(netns, "xdp-link", prog.path, "a0", "driver")
    prog.let_go()
    by_link = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    records = [by_link, prog.record("xdp", 1, f"{netns.at('a0')} mode=driver link={link.id}"),
               dispatched(prog, f" link={link.id}")]
    daemon.expect(prog.key, records)
    holding = daemon.lines(f"{link.key}/holding")[0]
    check(sorted(holding) == sorted(records), f"what the link holds: {holding}")
    link.end()
    daemon.gone(prog.key)


def test_tcx(env):
    daemon, helper, netns = world(env)
    progs = [Prog(env, helper, "sched_cls") for _ in range(3)]
    first, second, third = progs
    status, _, error = run(*MK_NET, netns.path, "tcx", first.path, "a0", "ingress")
    if status and "EINVAL" in error:
        raise Skip("no tcx in this kernel (6.6)")
    check(status == 0, f"tcx: {error}")
    netns.mk("tcx", second.path, "a0", "ingress")
    netns.mk("tcx", second.path, "a1", "egress")
    link = Link(netns, "tcx-link", third.path, "a0", "ingress")
    for prog in progs:
        prog.let_go()
    place = f"{netns.at('a0')} attach_type=tcx_ingress position="
    daemon.expect(first.key, [first.record("tcx", 1, place + "0 count=3")])
    egress = second.record("tcx", 1, f"{netns.at('a1')} attach_type=tcx_egress position=0 count=1")
    daemon.expect(second.key, [second.record("tcx", 1, place + "1 count=3"), egress])
    # a link's program is held by the link alone
    daemon.expect(third.key, [f"{third.key} link ref=1 user=0 id={link.id} name= via=prog"])
    link.end()
    daemon.gone(third.key)
    netns.ip("link", "del", "a0")
    daemon.gone(first.key)
    daemon.gone(second.key)


def test_tcx_detached(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "sched_cls")
    status, _, error = run(*MK_NET, netns.path, "tcx", prog.path, "a0", "egress")
    if status and "EINVAL" in error:
        raise Skip("no tcx in this kernel (6.6)")
    daemon.expect(prog.key, [prog.pinned(), prog.record(
        "tcx", 1, f"{netns.at('a0')} attach_type=tcx_egress position=0 count=1")])
    netns.mk("tcx-off", prog.path, "a0", "egress")
    daemon.expect(prog.key, [prog.pinned()])
    prog.let_go()
    daemon.gone(prog.key)


def test_netkit(env):
    """Programs of both sides, and one that a link holds: each is a record of the device at whose
    side it is."""
    daemon, helper, netns = world(env)
    status, _, error = run(tool("ip"), "-n", netns.name, "link", "add", "kit0", "type", "netkit")
    if status:
        raise Skip(f"no netkit device: {error.strip()}")
    peer = next(line.split()[1].split("@")[0] for line in netns.ip("-o", "link").splitlines()
                if "@kit0:" in line)
    first, second, third, fourth = (Prog(env, helper, "sched_cls") for _ in range(4))
    netns.mk("netkit", first.path, "kit0", "primary")
    netns.mk("netkit", second.path, "kit0", "primary")
    netns.mk("netkit", third.path, "kit0", "peer")
    link = Link(netns, "netkit-link", fourth.path, "kit0", "primary")
    for prog in (first, second, third, fourth):
        prog.let_go()
    place = f"{netns.at('kit0')} attach_type=netkit_primary position="
    daemon.expect(first.key, [first.record("netkit", 1, place + "0 count=3")])
    daemon.expect(second.key, [second.record("netkit", 1, place + "1 count=3")])
    daemon.expect(third.key, [third.record(
        "netkit", 1, f"{netns.at(peer)} attach_type=netkit_peer position=0 count=1")])
    daemon.expect(fourth.key, [f"{fourth.key} link ref=1 user=0 id={link.id} name= via=prog"])
    link.end()
    daemon.gone(fourth.key)
    netns.ip("link", "del", "kit0")
    for prog in (first, second, third):
        daemon.gone(prog.key)


def test_netns_flow_dissector(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "flow_dissector", attach="flow_dissector")
    netns.mk("dissector", prog.path, "on")
    record = prog.record("netns", 1, f"netns={netns.inum} attach_type=flow_dissector")
    daemon.expect(prog.key, [prog.pinned(), record])
    netns.mk("dissector", prog.path, "off")
    daemon.expect(prog.key, [prog.pinned()])
    netns.mk("dissector", prog.path, "on")
    prog.let_go()
    daemon.expect(prog.key, [record])
    # a namespace that only a descriptor holds
    fd = os.open(netns.path, os.O_RDONLY)
    netns.delete()
    daemon.expect(prog.key, [record])
    os.close(fd)
    daemon.gone(prog.key)


def filter_of(prog, where, block="", handle="0x1", chain=0, priority=1, ref=1):
    block = f" block={block}" if block else ""
    return prog.record("tc", ref, f"{where}{block} chain={chain} priority={priority}"
                                  f" handle={handle}")


def test_tc_clsact(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "sched_cls")
    netns.tc("qdisc", "add", "dev", "a0", "clsact")
    add = ["filter", "add", "dev", "a0"]
    bpf = ["bpf", "direct-action", "pinned", prog.path]
    netns.tc(*add, "ingress", "prio", "1", "handle", "1", *bpf)
    netns.tc(*add, "ingress", "prio", "1", "handle", "0x20", *bpf)
    netns.tc(*add, "egress", "prio", "7", "handle", "3", "chain", "5", *bpf)
    # a classic program on the way: it has no id
    netns.tc(*add, "ingress", "prio", "3", "bpf", "bytecode", "1,6 0 0 0")
    netns.tc(*add, "ingress", "prio", "9", "handle", "1", *bpf)
    prog.let_go()
    ingress, egress = f"{netns.at('a0')} parent=ingress", f"{netns.at('a0')} parent=egress"
    last = filter_of(prog, ingress, priority=9)
    daemon.expect(prog.key, [filter_of(prog, ingress), filter_of(prog, ingress, handle="0x20"),
                             filter_of(prog, egress, handle="0x3", chain=5, priority=7), last])
    netns.tc("filter", "del", "dev", "a0", "egress", "chain", "5")
    netns.tc("filter", "del", "dev", "a0", "ingress", "prio", "1")
    daemon.expect(prog.key, [last])
    netns.tc("qdisc", "del", "dev", "a0", "clsact")
    daemon.gone(prog.key)


def test_tc_ingress_in_two_namespaces(env):
    daemon, helper, netns = world(env)
    other = Netns(env, f"other{os.getpid()}")
    prog = Prog(env, helper, "sched_cls")
    for place in (netns, other):
        place.tc("qdisc", "add", "dev", "a1", "ingress")
        place.tc("filter", "add", "dev", "a1", "ingress", "prio", "1", "handle", "1", "bpf",
                 "direct-action", "pinned", prog.path)
    prog.let_go()
    daemon.expect(prog.key, [filter_of(prog, f"{place.at('a1')} parent=ingress")
                             for place in (netns, other)])
    netns.delete()
    daemon.expect(prog.key, [filter_of(prog, f"{other.at('a1')} parent=ingress")])
    other.delete()
    daemon.gone(prog.key)


def test_tc_shared_block(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "sched_cls")
    for device in ("a0", "a1"):
        netns.tc("qdisc", "add", "dev", device, "ingress_block", "22", "clsact")
    netns.tc("filter", "add", "block", "22", "prio", "1", "handle", "1", "bpf", "direct-action",
             "pinned", prog.path)
    prog.let_go()
    lines = [filter_of(prog, f"{netns.at(device)} parent=ingress", block=22, ref="*")
             for device in ("a0", "a1")]
    daemon.expect(prog.key, lines)
    netns.tc("qdisc", "del", "dev", "a0", "clsact")
    daemon.expect(prog.key, [lines[1].replace("ref=*", "ref=1")])
    netns.tc("qdisc", "del", "dev", "a1", "clsact")
    daemon.gone(prog.key)


def test_tc_classful_qdisc(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "sched_cls")
    netns.tc("qdisc", "add", "dev", "a0", "root", "handle", "1:", "htb")
    netns.tc("class", "add", "dev", "a0", "parent", "1:", "classid", "1:10", "htb", "rate", "1mbit")
    netns.tc("class", "add", "dev", "a0", "parent", "1:10", "classid", "1:20", "htb", "rate",
             "1mbit")
    netns.tc("qdisc", "add", "dev", "a0", "parent", "1:20", "handle", "2:", "htb")
    for parent in ("1:", "1:10", "2:"):
        netns.tc("filter", "add", "dev", "a0", "parent", parent, "prio", "4", "handle", "1", "bpf",
                 "pinned", prog.path, "classid", "1:20")
    prog.let_go()
    records = [filter_of(prog, f"{netns.at('a0')} parent={parent}", priority=4)
               for parent in ("1:", "1:10", "2:")]
    daemon.expect(prog.key, records)
    netns.tc("qdisc", "del", "dev", "a0", "root")
    daemon.gone(prog.key)


def test_tc_program_of_no_action(env):
    daemon, helper = env.daemon(), env.helper()
    act = helper.make("prog", "sched_act")
    eventually(lambda: daemon.read(f"{act.key}/refs"))
    check("class tc: BPF walk: complete" in daemon.read("status"), daemon.read("status"))
    check(not daemon.lines("holders")[1], "a gap")
    act.close()
    daemon.gone(act)


def add_action(netns, prog, index):
    status, _, error = run(tool("tc"), "-n", netns.name, "actions", "add", "action", "bpf",
                           "object-pinned", prog.path, "index", str(index))
    if status and "Failed to load TC action module" in error:
        raise Skip("the kernel has no act_bpf (CONFIG_NET_ACT_BPF)")
    check(status == 0, error)


def action_of(prog, netns, index):
    return prog.record("tc", 1, f"netns={netns.inum} kind=action index={index}")


def test_tc_actions(env):
    helper, netns = env.helper(), Netns(env, f"test{os.getpid()}")
    other, first, second = Netns(env, f"other{os.getpid()}"), *(Prog(env, helper, "sched_act")
                                                                for _ in range(2))
    # before the daemon begins, so that it finds the types of what this may load as a module
    add_action(netns, first, 7)
    daemon = env.daemon()
    daemon.expect(first.key, [first.pinned(), action_of(first, netns, 7)])
    # far apart, so that their tree has all its levels; classic programs are no objects
    for index in (1, 63, 64, 4096, 300000, 4294967295):
        add_action(netns, second, index)
    netns.tc("actions", "add", "action", "bpf", "bytecode", "1,6 0 0 4294967295,", "index", "8")
    add_action(other, second, 7)
    # bound to two filters, one action is still one holder; one that a filter makes is another
    netns.tc("qdisc", "add", "dev", "a0", "clsact")
    for prio in ("1", "2"):
        netns.tc("filter", "add", "dev", "a0", "ingress", "prio", prio, "matchall", "action", "bpf",
                 "index", "7")
    netns.tc("filter", "add", "dev", "a0", "egress", "prio", "1", "matchall", "action", "bpf",
             "object-pinned", first.path, "index", "9")
    first.let_go()
    second.let_go()
    daemon.expect(first.key, [action_of(first, netns, 7), action_of(first, netns, 9)])
    here = [action_of(second, netns, index) for index in (1, 63, 64, 4096, 300000, 4294967295)]
    daemon.expect(second.key, [*here, action_of(second, other, 7)])
    check("class tc: BPF walk: complete" in daemon.read("status"), daemon.read("status"))
    netns.tc("actions", "del", "action", "bpf", "index", "4294967295")
    netns.tc("filter", "del", "dev", "a0", "egress")
    daemon.expect(second.key, [*here[:-1], action_of(second, other, 7)])
    daemon.expect(first.key, [action_of(first, netns, 7)])
    netns.delete()
    daemon.gone(first.key)
    daemon.expect(second.key, [action_of(second, other, 7)])
    other.tc("actions", "flush", "action", "bpf")
    daemon.gone(second.key)


def test_tc_module_that_comes_later(env):
    """The daemon began without act_bpf, and so without its types."""
    module = pathlib.Path("/modules/act_bpf.ko")  # where tests/vm has them
    if not module.exists():
        raise Skip("no module that could come later")
    helper, netns = env.helper(), Netns(env, f"test{os.getpid()}")
    must("rmmod", "act_bpf")
    loaded = []
    env.cleanup(lambda: loaded or must("insmod", module))
    prog, daemon = Prog(env, helper, "sched_act"), env.daemon()
    daemon.expect(prog.key, [prog.pinned()])
    loaded.append(must("insmod", module))
    add_action(netns, prog, 7)
    daemon.expect(prog.key, [prog.pinned(), action_of(prog, netns, 7)])
    prog.let_go()
    daemon.expect(prog.key, [action_of(prog, netns, 7)])
    check("class tc: BPF walk: complete" in daemon.read("status"), daemon.read("status"))
    netns.delete()
    daemon.gone(prog.key)


def test_tc_actions_that_change(env):
    helper, netns = env.helper(), Netns(env, f"test{os.getpid()}")
    prog, stop = Prog(env, helper, "sched_act"), threading.Event()
    steady = (2, 100, 70000)
    for index in steady:
        add_action(netns, prog, index)
    daemon = env.daemon()

    def change():
        # the tree gets levels and loses them again
        while not stop.is_set():
            for command in ("add", "del"):
                what = f" object-pinned {prog.path}" if command == "add" else ""
                batch(netns, ["tc"], [f"actions {command} action bpf{what} index {index}"
                                      for index in (1, *range(200, 300), 5000000, 4000000000)])

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        work, most, end = pool.submit(change), 0, time.monotonic() + 4
        while time.monotonic() < end:
            lines, gaps = daemon.lines(f"{prog.key}/holders")
            found = [int(line.split("index=")[1]) for line in lines if " tc " in line]
            check(len(found) == len(set(found)) and (gaps or set(steady) <= set(found)), f"{lines}")
            most = max(most, len(found))
        stop.set()
        work.result()
    check(most > len(steady), "nothing changed")
    prog.let_go()
    daemon.expect(prog.key, [action_of(prog, netns, index) for index in steady])
    netns.delete()
    daemon.gone(prog.key)


def test_tc_more_actions_than_one_buffer(env):
    helper, netns = env.helper(), Netns(env, f"test{os.getpid()}")
    prog, count = Prog(env, helper, "sched_act"), 17000
    add_action(netns, prog, 1)
    daemon = env.daemon()
    # tc closes no program's descriptor before it ends
    for start in range(1, count, 500):
        batch(netns, ["tc"], [f"actions add action bpf object-pinned {prog.path} index {i + 1}"
                              for i in range(start, min(start + 500, count))])
    prog.let_go()

    def look():
        refs = daemon.pairs(f"{prog.key}/refs")
        check(refs["unexplained"] == "0", f"{refs}")
        lines, gaps = daemon.lines(f"{prog.key}/holders")
        check(not gaps and len(lines) == len(set(lines)) == count, f"{len(lines)} {gaps}")
    eventually(look)
    netns.delete()
    daemon.gone(prog.key)


def routed(prog, netns, via, dst, table=254, device="a0", ref=1, metric=None, hops=1):
    metric = metric if metric is not None else 1024 if ":" in dst else 0
    return prog.record("route", ref, f"netns={netns.inum} table={table} dst={dst} metric={metric}"
                                     f"{f' hops={hops}' if hops > 1 else ''} ifname={device} via={via}")


def test_route_ipv4(env):
    daemon, helper, netns = world(env)
    progs = {hook: Prog(env, helper, f"lwt_{hook}") for hook in ("in", "out", "xmit")}
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    encap = ["encap", "bpf"]
    for hook, prog in progs.items():
        encap += [hook, "pinned", prog.path]
    netns.ip("route", "add", "10.1.0.0/16", *encap, "dev", "a0")
    netns.ip("route", "add", "10.1.128.0/17", "encap", "bpf", "out", "pinned", progs["out"].path,
             "dev", "a0", "table", "100")
    # many others between, so that the trie has inner nodes
    for i in range(40):
        netns.ip("route", "add", f"10.{i + 20}.0.0/16", "dev", "a0")
    netns.ip("route", "add", "default", "encap", "bpf", "xmit", "pinned", progs["xmit"].path,
             "via", "10.9.0.2", "dev", "a0")
    for prog in progs.values():
        prog.let_go()
    whole = {hook: routed(prog, netns, f"lwt_{hook}", "10.1.0.0/16")
             for hook, prog in progs.items()}
    daemon.expect(progs["in"].key, [whole["in"]])
    daemon.expect(progs["out"].key, [whole["out"], routed(progs["out"], netns, "lwt_out",
                                                          "10.1.128.0/17", table=100)])
    default = routed(progs["xmit"], netns, "lwt_xmit", "0.0.0.0/0")
    daemon.expect(progs["xmit"].key, [whole["xmit"], default])
    netns.ip("route", "del", "10.1.0.0/16")
    daemon.gone(progs["in"].key)
    daemon.expect(progs["xmit"].key, [default])
    netns.delete()
    daemon.gone(progs["xmit"].key)
    daemon.gone(progs["out"].key)


def test_route_multipath(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "lwt_xmit")
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    netns.ip("addr", "add", "10.8.0.1/24", "dev", "a1")
    netns.ip("route", "add", "10.1.0.0/16",
             "nexthop", "encap", "bpf", "xmit", "pinned", prog.path, "via", "10.9.0.2", "dev", "a0",
             "nexthop", "encap", "bpf", "xmit", "pinned", prog.path, "via", "10.8.0.2", "dev", "a1")
    prog.let_go()
    daemon.expect(prog.key, [routed(prog, netns, "lwt_xmit", "10.1.0.0/16", device=device, hops=2)
                             for device in ("a0", "a1")])
    netns.ip("route", "del", "10.1.0.0/16")
    daemon.gone(prog.key)


def test_route_ipv6_and_seg6local(env):
    daemon, helper, netns = world(env)
    out, end = Prog(env, helper, "lwt_out"), Prog(env, helper, "lwt_seg6local")
    for i in range(20):
        netns.ip("-6", "route", "add", f"2001:db8:{i:x}::/48", "dev", "a1")
    netns.ip("-6", "route", "add", "2001:db8:5:1::/64", "encap", "bpf", "out", "pinned", out.path,
             "dev", "a0")
    encap = ["encap", "bpf", "out", "pinned", out.path]
    netns.ip("-6", "route", "add", "2001:db8:77::/48",
             "nexthop", *encap, "via", "fe80::1", "dev", "a0",
             "nexthop", *encap, "via", "fe80::2", "dev", "a1")
    netns.ip("-6", "route", "add", "fc00:5::/64", "encap", "seg6local", "action", "End.BPF",
             "endpoint", "pinned", end.path, "dev", "a0", "table", "77")
    for prog in (out, end):
        prog.let_go()
    daemon.expect(out.key, [routed(out, netns, "lwt_out", "2001:db8:5:1::/64"),
                            *(routed(out, netns, "lwt_out", "2001:db8:77::/48", device=device, hops=2)
                              for device in ("a0", "a1"))])
    daemon.expect(end.key, [routed(end, netns, "seg6local", "fc00:5::/64", table=77)])
    netns.ip("-6", "route", "del", "fc00:5::/64", "table", "77")
    daemon.gone(end.key)
    netns.ip("-6", "route", "del", "2001:db8:77::/48")
    daemon.expect(out.key, [routed(out, netns, "lwt_out", "2001:db8:5:1::/64")])
    netns.ip("link", "del", "a0")
    daemon.gone(out.key)


def test_route_ipv6_by_source(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "lwt_out")
    netns.ip("-6", "route", "add", "2001:db8::/32", "dev", "a1")
    encap = ["encap", "bpf", "out", "pinned", prog.path, "dev", "a0"]
    status, _, error = run(tool("ip"), "-n", netns.name, "-6", "route", "add", "2001:db8:99::/48",
                           "from", "2001:db8:aa::/48", *encap)
    if status:
        raise Skip(f"no routes by source (CONFIG_IPV6_SUBTREES): {error.strip()}")
    netns.ip("-6", "route", "add", "2001:db8:99:1::/64", *encap)
    prog.let_go()
    daemon.expect(prog.key, [routed(prog, netns, "lwt_out", dst)
                             for dst in ("2001:db8:99::/48", "2001:db8:99:1::/64")])
    netns.delete()
    daemon.gone(prog.key)


def test_route_nexthop_object(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "lwt_xmit")
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    for number in (3, 1, 2, 9, 4, 7):
        netns.ip("nexthop", "add", "id", str(number), "via", "10.9.0.2", "dev", "a0")
    netns.ip("nexthop", "add", "id", "12", "encap", "bpf", "xmit", "pinned", prog.path, "via",
             "10.9.0.3", "dev", "a0")
    netns.ip("route", "add", "10.1.0.0/16", "nhid", "12")
    prog.let_go()
    daemon.expect(prog.key, [prog.record("route", 1, f"netns={netns.inum} ifname=a0 nexthop=12"
                                                     " via=lwt_xmit")])
    netns.ip("nexthop", "del", "id", "12")
    daemon.gone(prog.key)


def batch(netns, command, lines):
    file = netns.env.tmp / "batch"
    file.write_text("\n".join(lines) + "\n")
    must(tool(command[0]), *command[1:], "-n", netns.name, "-batch", file)


def test_more_than_one_buffer(env):
    """Walks are continued where the buffer of records ended: 256 KiB."""
    daemon, helper, netns = world(env)
    prog, cls = Prog(env, helper, "lwt_out"), Prog(env, helper, "sched_cls")
    encap, count = f"encap bpf out pinned {prog.path} dev a0", 5000
    netns.ip("addr", "add", "192.0.2.1/24", "dev", "a0")
    batch(netns, ["ip"], [f"route add 10.{i >> 8}.{i & 255}.0/24 {encap}" for i in range(count)])
    batch(netns, ["ip", "-6"], [f"route add 2001:db8:{i:x}::/48 {encap}" for i in range(count)])
    netns.tc("qdisc", "add", "dev", "a0", "clsact")
    batch(netns, ["tc"], [f"filter add dev a0 egress prio {i % 7 + 1} handle {i + 1} bpf da"
                          f" pinned {cls.path}" for i in range(9000)])
    for one, wanted in ((prog, 2 * count), (cls, 9000)):
        one.let_go()

        def look(key=one.key, wanted=wanted):
            refs = daemon.pairs(f"{key}/refs")
            check(refs["unexplained"] == "0", f"{refs}")
            lines, gaps = daemon.lines(f"{key}/holders")
            check(not gaps and len(lines) == len(set(lines)) == wanted, f"{len(lines)} {gaps}")
        eventually(look)
    netns.delete()
    daemon.gone(prog.key)
    daemon.gone(cls.key)


def rule_of(prog, netns, family, table, chain, **where):
    words = " ".join(f"{key}={value}" for key, value in where.items())
    return prog.record("netfilter", 1, f"netns={netns.inum} family={family} table={table}"
                                       f" chain={chain} {words}")


def netfilter(netns, *words):
    status, _, error = run(*MK_NET, netns.path, *words)
    if status and error.strip() in ("ENOPROTOOPT", "ENOENT", "EOPNOTSUPP", "EPROTONOSUPPORT"):
        raise Skip(f"no {words[0]} rules here: {error.strip()}")
    check(status == 0, f"{words}: {error}")


def test_netfilter_iptables(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "socket_filter")
    netfilter(netns, "xt", prog.path, "filter", 2, "mine")
    prog_rules = [rule_of(prog, netns, "ip", "filter", chain, rule=number, via="xt_bpf")
                  for chain in ("INPUT", "mine") for number in (1, 2)]
    daemon.expect(prog.key, [prog.pinned(), *prog_rules])
    # hooks of NAT are not where others are
    netfilter(netns, "xt", prog.path, "nat", 1, "-")
    nat = rule_of(prog, netns, "ip", "nat", "PREROUTING", rule=1, via="xt_bpf")
    daemon.expect(prog.key, [prog.pinned(), *prog_rules, nat])
    netfilter(netns, "xt", prog.path, "filter", 0, "-")
    prog.let_go()
    daemon.expect(prog.key, [nat])
    netns.delete()
    daemon.gone(prog.key)


def test_netfilter_nat_alone(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "socket_filter")
    netfilter(netns, "xt", prog.path, "nat", 3, "-")
    prog.let_go()
    daemon.expect(prog.key, [rule_of(prog, netns, "ip", "nat", "PREROUTING", rule=number,
                                     via="xt_bpf") for number in (1, 2, 3)])
    netns.delete()
    daemon.gone(prog.key)


def test_netfilter_ip6tables(env):
    daemon, helper, netns = world(env)
    prog = Prog(env, helper, "socket_filter")
    netfilter(netns, "xt", prog.path, "6filter", 1, "mine")
    netfilter(netns, "xt", prog.path, "6nat", 1, "-")
    prog.let_go()
    nat = rule_of(prog, netns, "ip6", "nat", "PREROUTING", rule=1, via="xt_bpf")
    daemon.expect(prog.key, [nat] + [rule_of(prog, netns, "ip6", "filter", chain, rule=1,
                                             via="xt_bpf") for chain in ("INPUT", "mine")])
    netns.delete()
    daemon.gone(prog.key)


def test_netfilter_nft_compat(env):
    daemon, helper, netns = world(env)
    other = Netns(env, f"other{os.getpid()}")
    prog = Prog(env, helper, "socket_filter")
    netfilter(netns, "nft", prog.path, "first", "filter", 2)
    netfilter(netns, "nft", prog.path, "first", "user", 1)
    netfilter(other, "nft", prog.path, "second", "nat", 1)
    in_nat = rule_of(prog, other, "ip", "second", "nat", handle="*", via="nft_compat")
    prog.let_go()
    daemon.expect(prog.key, [rule_of(prog, netns, "ip", "first", "filter", handle=2,
                                     via="nft_compat"),
                             rule_of(prog, netns, "ip", "first", "filter", handle=3,
                                     via="nft_compat"),
                             rule_of(prog, netns, "ip", "first", "user", handle="*",
                                     via="nft_compat"), in_nat])
    netns.delete()
    daemon.expect(prog.key, [in_nat])
    other.delete()
    daemon.gone(prog.key)


def test_netfilter_nft_without_hooks(env):
    daemon, helper, netns = world(env)
    hooked, prog = Prog(env, helper, "socket_filter"), Prog(env, helper, "socket_filter")
    other = Netns(env, f"other{os.getpid()}")
    # one table anywhere that has a hook shows the way to those that have none
    netfilter(other, "nft", hooked.path, "hooked", "filter", 1)
    netfilter(netns, "nft", prog.path, "idle", "user", 2)
    netfilter(netns, "nft", prog.path, "idle too", "user", 1)
    prog.let_go()
    daemon.expect(prog.key, [
        rule_of(prog, netns, "ip", table, "user", handle=handle, via="nft_compat")
        for table, handle in (("idle", 2), ("idle", 3), ("idle\\040too", 2))])
    netns.delete()
    daemon.gone(prog.key)


def churn(env, paths, stop, number):
    """Namespaces, devices, filters, routes and rules come and go."""
    while not stop.is_set():
        netns = Netns(env, f"churn{number}-{os.getpid()}", clean=False)
        netns.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", paths["xdp"])
        netns.tc("qdisc", "add", "dev", "a0", "clsact")
        for handle in range(1, 6):
            netns.tc("filter", "add", "dev", "a0", "egress", "prio", str(handle), "handle", "1",
                     "bpf", "da", "pinned", paths["cls"])
        netns.ip("-6", "route", "add", "2001:db8::/48", "encap", "bpf", "out", "pinned",
                 paths["lwt"], "dev", "a0")
        netns.ip("link", "set", "a1", "down")  # else it keeps its name before 6.2
        netns.ip("link", "set", "dev", "a1", "name", "b1")
        netns.tc("filter", "del", "dev", "a0", "egress", "prio", "3")
        netns.delete()


def test_changes_while_walking(env):
    daemon, helper, _ = world(env)
    progs = {"xdp": Prog(env, helper, "xdp", result=2), "cls": Prog(env, helper, "sched_cls"),
             "lwt": Prog(env, helper, "lwt_out")}
    paths, stop = {name: prog.path for name, prog in progs.items()}, threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        work = [pool.submit(churn, env, paths, stop, number) for number in range(2)]
        end = time.monotonic() + 5
        seen, wanted = set(), {"xdp", "tc", "route"}
        # on a slow machine nothing may have been made yet
        while time.monotonic() < end or (not wanted <= seen and time.monotonic() < end + PATIENCE):
            seen |= {line.split()[1] for line in daemon.lines("holders")[0]}
        stop.set()
        for one in work:
            one.result()
    check(wanted <= seen, f"never seen: {wanted - seen}")
    for prog in progs.values():
        daemon.expect(prog.key, [prog.pinned()])
        prog.let_go()
        daemon.gone(prog.key)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
