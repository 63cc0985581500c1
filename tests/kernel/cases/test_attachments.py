#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where programs run (.bpf/attachments): made for real, compared with what bpftool, ip and tc say of the
same, then detached and seen to disappear."""
import json
import os
import socket
import struct
import sys

from harness import Skip, check, compare, equal, eventually, main, must, run, tool
from made import OURS, bpf, keep, netns, private_net, taken, update
from test_cgroup import attach as attach_cgroup, detach as detach_cgroup, socket_in
from test_links import (COOKIE, EVERYONE, KERNEL, NETFILTER, OFFSET, OURSELVES, SK_LOOKUP,
                        UPROBE_MULTI, buffer, create, path_of, perf_link, pmu, probed_file, program,
                        raw_tracepoint, text)
from test_net import MK_NET, Link, Netns, Prog, netfilter
from test_objects import load
from test_perf import Event
from test_sockets import (SO_ATTACH_REUSEPORT_EBPF, TUNSETFILTEREBPF, attach, registered, set_program,
                          tun)

PROG_ATTACH, PROG_DETACH, SK_SKB_STREAM_PARSER, SK_SKB_STREAM_VERDICT = 8, 9, 4, 5


def expect(daemon, obj, *want):
    """The lines on a program are just these, after its name."""
    def look():
        found, gaps = daemon.lines("attachments")
        check(not gaps, f"gaps: {gaps}")
        compare([x for x in found if x.split(" ", 1)[0] == obj.key],
                [f"{obj.key} name=* {x}" for x in want])
    eventually(look)


def said(*command):
    """The JSON that a tool prints."""
    return json.loads(must(tool(command[0]), *command[1:]) or "[]")


def shown_link(link):
    """What bpftool shows of a link. Of 7.5 the exit status says nothing: it is that of an older error."""
    shown = json.loads(run(tool("bpftool"), "-j", "link", "show", "id", link.id)[1] or "{}")
    equal(str(shown.get("id")), link.id)
    return shown


def encap(route):
    """The type of what a route wraps packets into; since iproute2 6.15 that is a part of it."""
    kind = route.get("encap")
    return kind.get("encap_type") if isinstance(kind, dict) else kind


# --------------------------------------------------------------- networks ---

def test_devices(env):
    """One device with a program in each way: its name leads to all of them."""
    daemon, helper, space = env.daemon(), env.helper(), Netns(env, f"here{os.getpid()}")
    xdp, linked = (Prog(env, helper, "xdp", result=2) for _ in range(2))
    tc, tcx, by_link = (Prog(env, helper, "sched_cls") for _ in range(3))
    space.ip("link", "set", "dev", "a0", "xdpgeneric", "pinned", xdp.path)
    link = Link(space, "xdp-link", linked.path, "a1", "driver")
    space.tc("qdisc", "add", "dev", "a0", "clsact")
    space.tc("filter", "add", "dev", "a0", "egress", "prio", "7", "handle", "3", "chain", "5", "bpf",
             "direct-action", "pinned", tc.path)
    named = f"netns_name={space.name}"
    device = space.at("a0")
    expect(daemon, xdp, f"link= xdp {device} mode=generic {named}")
    expect(daemon, linked, f"link={link.id} xdp ifindex={space.index('a1')} ifname=a1"
                           f" netns={space.inum} {named}")
    expect(daemon, tc, f"link= tc {device} parent=egress chain=5 priority=7 handle=0x3 {named}")
    compare_net(space, {"xdp": {xdp: "a0", linked: "a1"}, "tc": {tc: "a0"}})
    (shown,) = [x for x in said("tc", "-n", space.name, "-j", "filter", "show", "dev", "a0", "egress")
                if "options" in x and "prog" in x["options"]]
    equal((shown["pref"], shown["chain"], shown["options"]["handle"], shown["options"]["prog"]["id"]),
          (7, 5, "0x3", tc.obj.id))
    status, _, error = run(*MK_NET, space.path, "tcx", tcx.path, "a0", "ingress")
    if not (status and "EINVAL" in error): # tcx is of 6.6
        check(status == 0, error)
        second = Link(space, "tcx-link", by_link.path, "a0", "ingress")
        expect(daemon, tcx, f"link= tcx {device} attach_type=tcx_ingress position=0 count=2 {named}")
        expect(daemon, by_link, f"link={second.id} tcx ifindex={space.index('a0')}"
                                f" attach_type=tcx_ingress ifname=a0 netns={space.inum} {named} position=1")
        compare_net(space, {"tc": {tc: "a0", tcx: "a0", by_link: "a0"}})
        equal({x.split()[0] for x in daemon.lines("attachments")[0]
               if f"netns={space.inum} " in x + " " and " ifname=a0 " in x + " "},
              {x.key for x in (xdp, tc, tcx, by_link)})
        space.mk("tcx-off", tcx.path, "a0", "ingress")
        expect(daemon, tcx)
        expect(daemon, by_link, f"link={second.id} tcx * attach_type=tcx_ingress ifname=a0 * * position=0")
    space.ip("link", "set", "dev", "a0", "xdpgeneric", "off")
    expect(daemon, xdp)
    space.tc("filter", "del", "dev", "a0", "egress", "chain", "5")
    expect(daemon, tc)
    # a link whose device was removed is there, and attached nowhere
    space.ip("link", "del", "a0")
    expect(daemon, linked)
    equal(daemon.pairs(f"{link.key}/info")["attached"], "no")


def compare_net(space, want):
    """@want: for each part of what bpftool-net(8) says the program of each device."""
    shown = json.loads(space.tool("bpftool", "-j", "net", "show"))[0]
    for part, progs in want.items():
        ids = {(x.get("id", x.get("prog_id")), x["devname"], x["ifindex"]) for x in shown[part]}
        for prog, device in progs.items():
            wanted = (prog.obj.id, device, space.index(device))
            # a bpftool that is older than tcx does not show it
            check(wanted in ids or (part == "tc" and not any("prog_id" in x for x in shown[part])),
                  f"bpftool net says {shown}, not {wanted}")


def test_renamed_and_moved(env):
    """Two devices of one name and index: the namespace says which."""
    daemon, helper = env.daemon(), env.helper()
    one, other = Netns(env, f"one{os.getpid()}"), Netns(env, f"other{os.getpid()}")
    prog = Prog(env, helper, "xdp", result=2)
    first, second = (Link(x, "xdp-link", prog.path, "a0", "driver") for x in (one, other))

    def line(link, space, device):
        return (f"link={link.id} xdp ifindex={space.index(device)} ifname={device} netns={space.inum}"
                f" netns_name={space.name}")
    expect(daemon, prog, line(first, one, "a0"), line(second, other, "a0"))
    one.ip("link", "set", "a0", "down")
    one.ip("link", "set", "a0", "name", "new0")
    expect(daemon, prog, line(first, one, "new0"), line(second, other, "a0"))
    # without a name only its number is there; the process of the link is in it
    with open(other.path, "rb"):
        must(tool("ip"), "netns", "del", other.name)
        expect(daemon, prog, line(first, one, "new0"),
               f"link={second.id} xdp ifindex=* ifname=a0 netns={other.inum}")
    env.cleanup(must, tool("ip"), "netns", "add", other.name)


def test_namespaces(env):
    daemon, helper, space = env.daemon(), env.helper(), Netns(env, f"here{os.getpid()}")
    dissector = Prog(env, helper, "flow_dissector", attach="flow_dissector")
    space.mk("dissector", dissector.path, "on")
    expect(daemon, dissector, f"link= netns netns={space.inum} attach_type=flow_dissector netns_name={space.name}")
    space.mk("dissector", dissector.path, "off")
    expect(daemon, dissector)
    private_net(env)
    lookup = helper.make("prog", "sk_lookup", attach="sk_lookup", result=1)
    with open("/proc/self/ns/net", "rb") as own:
        link = create(env, lookup, own.fileno(), SK_LOOKUP)
    expect(daemon, lookup, f"link={link.id} netns attach_type=sk_lookup netns={netns()}")
    link.file.close()
    expect(daemon, lookup)
    filter_ = program(helper, "32", attach=str(NETFILTER), result=1)
    link = create(env, filter_, 0, NETFILTER, struct.pack("=IIiI", 2, 3, -77, 0))
    expect(daemon, filter_, f"link={link.id} netfilter pf=ipv4 hooknum=local_out priority=-77 netns={netns()}")
    equal(shown_link(link).get("prio", -77), -77)
    link.file.close()
    expect(daemon, filter_)


def test_routes_and_rules(env):
    daemon, helper, space = env.daemon(), env.helper(), Netns(env, f"here{os.getpid()}")
    out, rule = Prog(env, helper, "lwt_out"), Prog(env, helper, "socket_filter")
    space.ip("addr", "add", "10.9.0.1/24", "dev", "a0")
    space.ip("route", "add", "10.1.0.0/16", "encap", "bpf", "out", "pinned", out.path, "dev", "a0")
    expect(daemon, out, f"link= route netns={space.inum} table=254 dst=10.1.0.0/16 metric=0 ifname=a0 via=lwt_out"
                        f" netns_name={space.name}")
    (shown,) = [x for x in said("ip", "-n", space.name, "-j", "route", "show") if encap(x) == "bpf"]
    equal((shown["dst"], shown["dev"]), ("10.1.0.0/16", "a0"))
    space.ip("route", "del", "10.1.0.0/16")
    expect(daemon, out)
    netfilter(space, "xt", rule.path, "filter", 1, "-")
    where = f"link= netfilter netns={space.inum} family=ip table=filter chain=INPUT"
    expect(daemon, rule, f"{where} rule=1 via=xt_bpf netns_name={space.name}")
    netfilter(space, "xt", rule.path, "filter", 0, "-")
    expect(daemon, rule)


# ---------------------------------------------------------------- cgroups ---

def test_cgroups(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    child = group / "a\\b"
    child.mkdir()
    prog = helper.make("prog", "cgroup_skb")
    try:
        attach_cgroup(prog, group)
        link = helper.make("link", "cgroup", prog, child, attach="cgroup_inet_egress")
        path = path_of(group)
        direct = (f"link= cgroup cgroup={path} cgroup_id={group.stat().st_ino}"
                  " attach_type=cgroup_inet_ingress flags=multi")
        expect(daemon, prog, direct,
               f"link={link.id} cgroup cgroup_id={child.stat().st_ino} attach_type=cgroup_inet_egress"
               f" cgroup={path}/a\\134b")
        for place, kind in ((group, "cgroup_inet_ingress"), (child, "cgroup_inet_egress")):
            (shown,) = said("bpftool", "-j", "cgroup", "show", place)
            equal((shown["id"], shown["attach_type"].replace("cgroup_inet_", "")),
                  (prog.id, kind.replace("cgroup_inet_", "")))
        # what was made in a cgroup keeps it when it is removed, and its link with it
        sock = socket_in(child)
    finally:
        child.rmdir()
    expect(daemon, prog, direct,
           f"link={link.id} cgroup cgroup_id=* attach_type=cgroup_inet_egress cgroup=? state=dying")
    sock.close()
    expect(daemon, prog, direct)
    eventually(lambda: equal(daemon.pairs(f"{link.key}/info").get("attached"), "no"))
    detach_cgroup(prog, group)
    expect(daemon, prog)


# ---------------------------------------------------------------- tracing ---

def test_tracing(env):
    daemon, helper = env.daemon(), env.helper()
    raw = helper.make("prog", "raw_tracepoint")
    link = raw_tracepoint(env, raw)
    expect(daemon, raw, f"link={link.id} raw_tracepoint tracepoint=task_rename")
    equal(shown_link(link)["tp_name"], "task_rename")
    link.file.close()
    expect(daemon, raw)
    if KERNEL < (6, 9):
        return # the kernel does not say all of the following
    path, probe = probed_file(env), helper.make("prog", "kprobe")
    links = [perf_link(env, probe, who, pmu("uprobe"), 0, text(env, path), OFFSET)
             for who in (EVERYONE, OURSELVES)]
    where = f"uprobe offset={OFFSET} cookie={COOKIE}"
    expect(daemon, probe, f"link={links[0].id} {where} path={path}",
           f"link={links[1].id} {where} path={path} pid={os.getpid()}")
    shown = shown_link(links[1])
    equal((shown.get("file", str(path)), shown.get("offset", OFFSET)), (str(path), OFFSET))
    many = helper.make("prog", "kprobe", attach=str(UPROBE_MULTI))
    offsets, cookies = (buffer(env, struct.pack("=QQ", *x)) for x in ((64, 128), (7, COOKIE)))
    link = create(env, many, 0, UPROBE_MULTI, struct.pack(
        "=QQQQIIII", text(env, path), offsets, 0, cookies, 2, 0, os.getpid(), 0))
    expect(daemon, many, *(f"link={link.id} uprobe_multi path={path} pid={os.getpid()} offset={offset}"
                           f" cookie={cookie}" for offset, cookie in ((64, 7), (128, COOKIE))))
    link.file.close()
    expect(daemon, many)


def test_perf_events(env):
    """An event with two descriptors is one attachment, and none of its own if it has a link."""
    daemon, helper = env.daemon(), env.helper()
    direct, linked = (helper.make("prog", "perf_event") for _ in range(2))
    event = Event(env, direct)
    second = os.dup(event.fd)
    expect(daemon, direct, f"link= perf_event holder={os.getpid()} fd=* event=software:cpu-clock")
    os.close(second)
    map_ = helper.make("map", "perf_event_array", max=3, flags=0x800) # BPF_F_PRESERVE_ELEMS
    update(map_, 2, event.fd)
    event.close()
    expect(daemon, direct, f"link= perf_event event=software:cpu-clock via=perf_event_array map_id={map_.id}"
                           " slot=2")
    map_.close()
    expect(daemon, direct)
    link = perf_link(env, linked, EVERYONE, 1, 8, cookie=0)
    expect(daemon, linked, f"link={link.id} perf_event event_type=software config=8 cpu=0"
           if KERNEL >= (6, 6) else f"link={link.id} perf_event event=software:emulation-faults")
    link.file.close()


# ---------------------------------------------------------------- sockets ---

def test_sockets(env):
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    filter_, group, device = (helper.make("prog", "socket_filter") for _ in range(3))
    sock = keep(env, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    attach(sock, filter_)
    second = keep(env, sock.dup())
    where = f"{OURS} fd=*"
    expect(daemon, filter_, f"link= socket {where} via=filter type=udp6 local=[::]:0 netns={netns()}")
    second.close()
    sock.close()
    expect(daemon, filter_)
    sock = keep(env, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 0))
    attach(sock, group, SO_ATTACH_REUSEPORT_EBPF)
    expect(daemon, group, f"link= reuseport {where} type=udp local=127.0.0.1:{sock.getsockname()[1]}"
                          f" netns={netns()}")
    sock.close()
    expect(daemon, group)
    file = tun(env, "bpfrefs0")
    set_program(file, TUNSETFILTEREBPF, device)
    index = socket.if_nametoindex("bpfrefs0")
    expect(daemon, device, f"link= tun {where} ifname=bpfrefs0 ifindex={index} netns={netns()} via=filter")
    set_program(file, TUNSETFILTEREBPF, None)
    expect(daemon, device)


def test_sockmaps(env):
    daemon, helper = env.daemon(), env.helper()
    prog, map_ = helper.make("prog", "sk_skb"), helper.make("map", "sockmap", name="socks", max=2)
    with taken(prog) as fd, taken(map_) as target:
        bpf(PROG_ATTACH, struct.pack("=IIII", target, fd, SK_SKB_STREAM_VERDICT, 0))
        expect(daemon, prog, f"link= sockmap map_id={map_.id} map_name=socks via=stream_verdict")
        bpf(PROG_DETACH, struct.pack("=IIII", target, fd, SK_SKB_STREAM_VERDICT, 0))
    expect(daemon, prog)
    prog = helper.make("prog", "sk_skb", attach="sk_skb_verdict")
    try:
        link = helper.make("link", "sockmap", prog, map_, attach="sk_skb_verdict")
    except OSError as error:
        raise Skip(f"no sockmap links before 6.10: {error}") from error
    # the map holds the program too, as the link's
    expect(daemon, prog, f"link={link.id} sockmap map_id={map_.id} attach_type=sk_skb_verdict")
    link.close()
    expect(daemon, prog)
    prog = helper.make("prog", "sk_skb")
    link = helper.make("link", "sockmap", prog, map_, attach="sk_skb_stream_verdict")
    with taken(prog) as fd, taken(map_) as target:
        bpf(PROG_ATTACH, struct.pack("=IIII", target, fd, SK_SKB_STREAM_PARSER, 0))
    expect(daemon, prog, f"link={link.id} sockmap map_id={map_.id} attach_type=sk_skb_stream_verdict",
           f"link= sockmap map_id={map_.id} map_name=socks via=stream_parser")


# ------------------------------------------------------------- struct_ops ---

def members(daemon, key):
    """The programs of a struct_ops map, as objects."""
    class Member:
        def __init__(self, key):
            self.key = key
    return [Member(x.split(" ", 1)[0]) for x in daemon.lines(f"{key}/holding")[0] if "via=struct_ops" in x]


def test_struct_ops(env):
    daemon = env.daemon()
    name, key = registered(env)
    progs = members(daemon, key)
    check(progs, "the map has programs")
    for prog in progs:
        expect(daemon, prog, f"link= struct_ops ops=tcp_congestion_ops algorithm={name}")
    must(tool("bpftool"), "struct_ops", "unregister", "id", key.split("/")[1])
    eventually(lambda: check(not any(x.split()[0] in {p.key for p in progs}
                                     for x in daemon.lines("attachments")[0]), "still attached"))


def test_struct_ops_by_link(env):
    daemon = env.daemon()
    names = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")
    helper, (control, *_) = load(env, "congestion.bpf.o", *names, flags=0x2000)
    progs = members(daemon, control.key)
    for prog in progs:
        expect(daemon, prog) # loaded, and registered nowhere
    try:
        link = helper.make("register", "bpfrefs_test")
    except OSError as error:
        raise Skip(f"registering through a link, since 6.4: {error}") from error
    ident = next(x.split("id=")[1].split()[0] for x in daemon.lines(f"{control.key}/holders")[0]
                 if " link " in x)
    for prog in progs:
        expect(daemon, prog, f"link={ident} struct_ops map_id={control.id}")
    link.close()
    for prog in progs:
        expect(daemon, prog)


# ------------------------------------------------------- what is no place ---

def test_nothing(env):
    """A slot of a program array, an iterator and a descriptor run nothing by themselves."""
    daemon, helper = env.daemon(), env.helper()
    array, prog = helper.make("map", "prog_array", max=2), helper.make("prog", "xdp", result=2)
    helper.do("pin", prog.var, env.bpffs / "prog")
    update_slot(array, prog)
    expect(daemon, prog)
    iterator = program(helper, "tracing", attach="trace_iter", target="bpf_map")
    create(env, iterator, 0, 28, struct.pack("=QI", 0, 0))
    expect(daemon, iterator)


def update_slot(array, prog):
    with taken(prog) as fd:
        update(array, 1, fd)


# ----------------------------------------------------------------- procfs ---

def test_procfs_source(env):
    """bpf(2) shows the links, and not where their devices are; what has no link is a gap."""
    helper, group = env.helper(), env.cgroup()
    private_net(env)
    daemon = env.daemon("--source=proc")
    xdp, skb = helper.make("prog", "xdp", result=2), helper.make("prog", "cgroup_skb")
    device = create(env, xdp, 1, 37, flags=2)
    link = helper.make("link", "cgroup", skb, group, attach="cgroup_inet_egress")
    found, gaps = daemon.lines("attachments")
    compare([x for x in found if x.split(" ", 1)[0] in (xdp.key, skb.key)],
            [f"{xdp.key} name=* link={device.id} xdp ifindex=1 ifname=? netns=?",
             f"{skb.key} name=* link={link.id} cgroup cgroup_id=* attach_type=cgroup_inet_egress"
             f" cgroup={path_of(group)}"])
    for name in ("cgroup", "xdp", "tc", "tcx"):
        check(any(x.startswith(f"# {name}: unavailable") for x in gaps), f"no gap for {name}: {gaps}")


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
