#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OBJ/free.sh for what is attached in networks: made, freed by the script, and gone."""
import os
import subprocess
import sys

from harness import Skip, check, equal, main, run, tool
from test_free import changed, free, free_with, script
from test_net import MK_NET, Link, Netns, Prog, add_action, netfilter, world

ODD = "-$`'\";#&"  # a name of a device, of at most fifteen bytes


def made(env, kind, **options):
    """A daemon, a network namespace, and a program that is pinned until it is attached."""
    daemon, helper, netns = world(env)
    return daemon, netns, Prog(env, helper, kind, **options)


def freed(env, daemon, prog, *wanted, **kwargs):
    prog.let_go()
    free(env, daemon, prog.key, *wanted, **kwargs)


def test_xdp(env):
    daemon, netns, prog = made(env, "xdp", result=2)
    other = Netns(env, f"other{os.getpid()}")
    netns.ip("link", "set", "dev", "a0", "xdpdrv", "pinned", prog.path)
    netns.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", prog.path)
    other.ip("link", "set", "dev", "a1", "xdpgeneric", "pinned", prog.path)
    enter = f"\nnsenter --net={netns.path} ip link set dev"
    freed(env, daemon, prog, f"{enter} a0 xdpdrv off ", f"{enter} lo xdpgeneric off ",
          f"\nnsenter --net={other.path} ip link set dev a1 xdpgeneric off ")


def test_xdp_of_another_program(env):
    """Another program is there when the script runs, and a second time."""
    daemon, netns, prog = made(env, "xdp", result=2)
    other = Prog(env, env.helpers[0], "xdp", result=2)
    netns.ip("link", "set", "dev", "a0", "xdpgeneric", "pinned", prog.path)
    path = script(env, daemon, prog.obj)[0]
    netns.ip("link", "set", "dev", "a0", "xdpgeneric", "off")
    netns.ip("link", "set", "dev", "a0", "xdpgeneric", "pinned", other.path)
    changed(env, path)
    check(os.path.exists(prog.path), "the pin was removed")
    check(f"id {other.obj.id} " in netns.ip("link", "show", "a0"), "the other program was removed")


def test_xdp_link(env):
    """The process that has the link holds the program."""
    daemon, netns, prog = made(env, "xdp", result=2)
    link = Link(netns, "xdp-link", prog.path, "a0", "driver")
    prog.let_go()
    free_with(env, daemon, prog.key, link.pid)


def test_names_of_devices_that_break_out(env):
    daemon, netns, prog = made(env, "sched_cls")
    netns.ip("link", "set", "a0", "down")
    netns.ip("link", "set", "dev", "a0", "name", ODD)
    netns.tc("qdisc", "add", "dev", ODD, "clsact")
    netns.tc("filter", "add", "dev", ODD, "ingress", "bpf", "direct-action", "pinned", prog.path)
    freed(env, daemon, prog, "'-$`'\\''\";#&'")


def test_namespace_that_only_a_process_keeps(env):
    daemon, netns, prog = made(env, "xdp", result=2)
    netns.ip("link", "set", "dev", "lo", "xdpgeneric", "pinned", prog.path)
    with subprocess.Popen([tool("nsenter"), f"--net={netns.path}", "sleep", "600"]) as process:
        try:
            inside = f"/proc/{process.pid}/ns/net"
            while os.stat(inside).st_ino != netns.inum:
                pass
            netns.delete()
            freed(env, daemon, prog, f"\nnsenter --net={inside} ip link set dev lo xdpgeneric off ")
        finally:
            process.kill()


def test_tc_filters(env):
    """Each filter alone: what else is there stays."""
    daemon, netns, prog = made(env, "sched_cls")
    netns.tc("qdisc", "add", "dev", "a0", "clsact")
    netns.tc("qdisc", "add", "dev", "a1", "root", "handle", "1:", "htb")
    netns.tc("class", "add", "dev", "a1", "parent", "1:", "classid", "1:10", "htb", "rate", "1mbit")
    bpf = ["bpf", "direct-action", "pinned", prog.path]
    add = ["filter", "add", "dev", "a0"]
    netns.tc(*add, "ingress", "prio", "1", "handle", "1", *bpf)
    netns.tc(*add, "ingress", "prio", "1", "handle", "0x20", *bpf)
    netns.tc(*add, "egress", "prio", "7", "protocol", "ip", "handle", "3", "chain", "5", *bpf)
    netns.tc(*add, "ingress", "prio", "1", "handle", "9", "bpf", "bytecode", "1,6 0 0 0")
    for parent in ("1:", "1:10"):
        netns.tc("filter", "add", "dev", "a1", "parent", parent, "prio", "4", "handle", "1", *bpf)
    freed(env, daemon, prog, f"\nnsenter --net={netns.path} tc filter del dev a0 egress chain 5 pref 7 ")
    left = netns.tc("filter", "show", "dev", "a0", "ingress")
    check("handle 0x9" in left and "handle 0x20" not in left, left)


def test_tc_shared_block(env):
    daemon, netns, prog = made(env, "sched_cls")
    for device in ("a0", "a1"):
        netns.tc("qdisc", "add", "dev", device, "ingress_block", "22", "clsact")
    netns.tc("filter", "add", "block", "22", "prio", "1", "handle", "1", "bpf", "da", "pinned", prog.path)
    freed(env, daemon, prog, " tc filter del block 22 chain 0 pref 1 handle 0x1 bpf ")


def test_tc_action(env):
    daemon, netns, prog = made(env, "sched_act")
    add_action(netns, prog, 7)
    freed(env, daemon, prog, " tc actions del action bpf index 7 ")


def with_new_bpftool(env):
    """The environment of a script: bpftool detaches programs of tcx since 7.5. Where this one does not,
    one stands in for it that makes the same call."""
    real = tool("bpftool")
    if "tcx_ingress" in "".join(run(real, "net", "help")[1:]):
        return {}
    spare, place = env.bpffs / "spare", env.tmp / "bin"
    env.helpers[0].do("pin", env.helpers[0].make("prog", "sched_cls").var, spare)
    place.mkdir()
    (place / "bpftool").write_text(
        "#!/bin/sh\n"
        f'case "$1 $2 $3" in "net detach tcx_"*) exec {" ".join(MK_NET)} - tcx-last {spare} "$5" '
        f'"${{3#tcx_}}";; *) exec {real} "$@";; esac\n')
    (place / "bpftool").chmod(0o755)
    return {"environment": {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}}


def test_tcx(env):
    """Two positions of one device, and another device."""
    daemon, netns, prog = made(env, "sched_cls")
    status, _, error = run(*MK_NET, netns.path, "tcx", prog.path, "a0", "ingress")
    if status and "EINVAL" in error:
        raise Skip("no tcx in this kernel (6.6)")
    check(status == 0, f"tcx: {error}")
    netns.mk("tcx", prog.path, "a1", "egress")
    freed(env, daemon, prog, " bpftool net detach tcx_ingress dev a0 ", " bpftool net detach tcx_egress dev a1 ",
          **with_new_bpftool(env))


def test_tcx_behind_which_is_another(env):
    """bpftool would detach the other program: so nothing is run."""
    daemon, netns, prog = made(env, "sched_cls")
    other = Prog(env, env.helpers[0], "sched_cls")
    status, _, error = run(*MK_NET, netns.path, "tcx", prog.path, "a0", "ingress")
    if status and "EINVAL" in error:
        raise Skip("no tcx in this kernel (6.6)")
    netns.mk("tcx", other.path, "a0", "ingress")
    prog.let_go()
    text = daemon.read(f"{prog.key}/free.sh")
    check(f"\n#nsenter --net={netns.path} bpftool net detach tcx_ingress dev a0\n" in text, text)
    other.let_go()
    newer = with_new_bpftool(env)
    free(env, daemon, other.key, **newer)
    free(env, daemon, prog.key, **newer)


def test_flow_dissector(env):
    daemon, netns, prog = made(env, "flow_dissector", attach="flow_dissector")
    netns.mk("dissector", prog.path, "on")
    freed(env, daemon, prog, f"\nnsenter --net={netns.path} bpftool prog detach id ")


def test_routes(env):
    daemon, netns, prog = made(env, "lwt_xmit")
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    netns.ip("addr", "add", "10.8.0.1/24", "dev", "a1")
    encap = ["encap", "bpf", "xmit", "pinned", prog.path]
    netns.ip("route", "add", "10.1.0.0/16", *encap, "dev", "a0")
    netns.ip("route", "add", "10.1.128.0/17", *encap, "dev", "a0", "table", "100")
    netns.ip("route", "add", "default", *encap, "via", "10.9.0.2", "dev", "a0")
    netns.ip("route", "add", "10.2.0.0/16", "nexthop", *encap, "via", "10.9.0.2", "dev", "a0",
             "nexthop", *encap, "via", "10.8.0.2", "dev", "a1")
    netns.ip("-6", "route", "add", "2001:db8:5:1::/64", *encap, "dev", "a0")
    netns.ip("-6", "route", "add", "2001:db8:77::/48", "nexthop", *encap, "via", "fe80::1", "dev", "a0",
             "nexthop", *encap, "via", "fe80::2", "dev", "a1")
    netns.ip("nexthop", "add", "id", "12", *encap, "via", "10.9.0.3", "dev", "a0")
    netns.ip("route", "add", "10.3.0.0/16", "nhid", "12")
    freed(env, daemon, prog, " sh -4 10.1.128.0/17 table 100 metric 0 dev a0 ", " ip nexthop del id 12 ")


def test_routes_to_one_destination(env):
    """Only those with the program are removed."""
    daemon, netns, prog = made(env, "lwt_xmit")
    encap = ["encap", "bpf", "xmit", "pinned", prog.path]
    for family, dst, metrics in (("-4", "10.1.0.0/16", (0, 50, 7)), ("-6", "2001:db8:7::/48", (512, 1024, 2048))):
        netns.ip(family, "route", "add", dst, "dev", "a0", "metric", str(metrics[0]))
        netns.ip(family, "route", "add", dst, *encap, "dev", "a1", "metric", str(metrics[1]))
        netns.ip(family, "route", "add", dst, "dev", "a1", "metric", str(metrics[2]))
    netns.ip("-6", "route", "add", "fe80::/64", *encap, "dev", "a1", "metric", "256", "table", "77")
    netns.ip("-6", "route", "append", "fe80::/64", "dev", "a0", "metric", "256", "table", "77")
    freed(env, daemon, prog)
    for family, dst in (("-4", "10.1.0.0/16"), ("-6", "2001:db8:7::/48")):
        left = netns.ip(family, "route", "show", dst)
        check(len(left.splitlines()) == 2 and "encap" not in left, left)
    check("dev a0" in netns.ip("-6", "route", "show", "table", "77"), "the route of the other device was removed")


def test_routes_with_the_same_words(env):
    """ip would remove the first, which is not the one with the program: so none is removed."""
    daemon, netns, prog = made(env, "lwt_xmit")
    netns.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    encap = ["encap", "bpf", "xmit", "pinned", prog.path]
    for dst, other, ours in (("10.1.0.0/16", ["via", "10.9.0.7"], ["via", "10.9.0.2"]), ("10.2.0.0/16", [], []),
                             ("default", ["via", "10.9.0.7"], ["via", "10.9.0.2"])):
        netns.ip("route", "add", dst, *other, "dev", "a0")
        netns.ip("route", "append", dst, *encap, *ours, "dev", "a0")
    before = netns.ip("route", "show")
    prog.let_go()
    path = script(env, daemon, prog)[0]
    status, _, err = run("sh", path)
    equal((status, err.count("free.sh: 2 routes are like this one: none is removed\n")), (1, 3), err)
    check("free.sh: steps that have failed: 1 2 3\n" in err, err)
    equal(netns.ip("route", "show"), before)


def test_route_seg6local(env):
    daemon, netns, prog = made(env, "lwt_seg6local")
    netns.ip("-6", "route", "add", "fc00:5::/64", "encap", "seg6local", "action", "End.BPF", "endpoint",
             "pinned", prog.path, "dev", "a0", "table", "77")
    freed(env, daemon, prog, " sh -6 fc00:5::/64 table 77 ")


def test_iptables(env):
    """All rules of a table in one step, for the kernel opens the programs of those that stay by their paths."""
    daemon, netns, prog = made(env, "socket_filter")
    netfilter(netns, "xt", prog.path, "filter", 3, "mine")
    netfilter(netns, "xt", prog.path, "6filter", 1, "mine")
    tool("iptables-legacy")
    freed(env, daemon, prog, f"\nnsenter --net={netns.path} sh -c ", "'-D mine 3' '-D mine 2' '-D mine 1' '-D INPUT 3' ")


def test_nftables(env):
    daemon, netns, prog = made(env, "socket_filter")
    netfilter(netns, "nft", prog.path, "first", "filter", 2)
    netfilter(netns, "nft", prog.path, "first", "user", 1)
    tool("nft")
    freed(env, daemon, prog, f"\nnsenter --net={netns.path} nft delete rule ip first filter handle 3 ")


def test_name_that_nft_cannot_write(env):
    daemon, netns, prog = made(env, "socket_filter")
    netfilter(netns, "nft", prog.path, "x; flush ruleset", "filter", 1)
    prog.let_go()
    text = daemon.read(f"{prog.key}/free.sh")
    check("\n#nsenter " in text and "\nnsenter " not in text, text)
    path = env.tmp / "free.sh"
    path.write_text(text)
    status, _, err = run("sh", path)
    check(status == 1 and "nft cannot write a name" in err, err)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
