#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The facts in link/ID/info, one case for each type of link: each field is compared with what the link
was made with, with the kernel's own fdinfo of the link, and with what bpftool says."""
import ctypes
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

from harness import Skip, check, equal, main, run, tool
from machine import ENTRY, syscall
from made import bpf, keep, netns, private_net, taken
from test_objects import load

OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN, LINK_CREATE, BTF_ID_VMLINUX = 15, 17, 28, "1"
KERNEL = tuple(int(x) for x in re.findall(r"\d+", os.uname().release)[:2])
# Instructions of some machines begin at multiples of 4, where uprobe_register() then wants an offset.
COOKIE, OFFSET, REF_CTR_OFFSET = 0x1122334455667788, 4536, 6146
# The kernel has this function for tests.
FUNCTION = "bpf_fentry_test1"
# Attach types of linux/bpf.h.
EGRESS, ITER, SK_LOOKUP, XDP, SK_SKB_VERDICT, PERF, KPROBE_MULTI = 1, 28, 36, 37, 38, 41, 42
NETFILTER, TCX_EGRESS, UPROBE_MULTI, NETKIT_PEER = 45, 47, 48, 55
# The kernels that report a fact at all. Before, a link has it, and its info does not show it.
PERF_SINCE, MISSED_SINCE, UPROBES_SINCE, COOKIES_SINCE = (6, 6), (6, 7), (6, 8), (6, 9)
REF_CTR_SINCE, TRACING_COOKIE_SINCE = (6, 16), (6, 17)
# What fdinfo calls a fact, where it has another name there; None: in other words, not compared.
FDINFO = {"file_name": "name", "func_name": "name", "tp_name": "tp_name", "missed": "missed",
          "addr": None, "flags": None, "count": None, "perf_event_type": None, "event_type": None,
          "order": None, "attach_type": None, "path": "path", "pf": None, "hooknum": None}


class Attachment:
    """A link of ours, by its descriptor."""

    def __init__(self, env, fd):
        self.file = keep(env, os.fdopen(fd, "rb", buffering=0))
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            self.fdinfo = dict(re.split(r":\s+", x.strip(), maxsplit=1) for x in info
                               if re.match(r"\w+:\s+\S", x))
        self.id = self.fdinfo["link_id"]


def buffer(env, data):
    """The address of bytes that stay where they are to the test's end."""
    place = ctypes.create_string_buffer(data, max(len(data), 1))
    env.cleanup(len, place)
    return ctypes.addressof(place)


def text(env, string):
    return buffer(env, os.fsencode(string) + b"\0")


def create(env, obj, target, attach, data=b"", flags=0):
    """BPF_LINK_CREATE; @data is the part of union bpf_attr after the flags."""
    with taken(obj) as prog:
        try:
            fd = bpf(LINK_CREATE, struct.pack("=IIII", prog, target, attach, flags) + data)
        except OSError as error:
            raise Skip(f"no such link here: {error}") from error
    return Attachment(env, fd)


def program(helper, *words, **options):
    try:
        return helper.make("prog", *words, **options)
    except OSError as error:
        raise Skip(f"no such program here: {error}") from error


def number(value):
    """A number of fdinfo or bpftool, which may be hexadecimal there, or the word."""
    try:
        return str(int(str(value), 0))
    except ValueError:
        return str(value)


def compare_fdinfo(info, link):
    for key, value in info.items():
        name = None if key in ("kind", "type", "id") else FDINFO.get(key, key)
        if name == "tp_name" and name not in link.fdinfo:
            name = "name"
        if name in link.fdinfo:
            # "NAME+0xOFFSET" of a kprobe
            shown = link.fdinfo[name].split("+0x")[0] if key == "func_name" else link.fdinfo[name]
            equal(value, number(shown), f"{key} and fdinfo's {name} of {link.fdinfo}")


def compare_bpftool(info, link):
    shown = json.loads(run(tool("bpftool"), "-j", "link", "show", "id", link.id)[1] or "{}")
    # addresses of the kernel are hidden from the daemon, which has no CAP_SYSLOG
    for key in set(info) & set(shown) - {"type", "attach_type", "order", "pf", "hook", "pids", "addr"}:
        equal(info[key], number(shown[key]), f"{key} and bpftool's, {shown}")
    check("id" in shown, f"bpftool says {shown}")


def facts(env, link, kind, obj, want):
    """The info of a link is just its kind, type, id, program and @want. A value "*" is compared with
    the kernel's own alone; None: this kernel does not report it."""
    daemon = env.daemons[0] if env.daemons else env.daemon()
    info = daemon.pairs(f"link/{link.id}/info")
    prog = "0" if obj is None else str(obj.id)
    want = {"kind": "link", "type": kind, "id": link.id, "prog_id": prog, **want}
    want = {key: str(value) for key, value in want.items() if value is not None}
    equal(sorted(info), sorted(want), f"names of {info}")
    for key, value in want.items():
        if value != "*":
            equal(info[key], value, f"{key} of {info}")
    compare_fdinfo(info, link)
    compare_bpftool(info, link)


def path_of(group):
    """The path of a cgroup of the v2 hierarchy, as the kernel shows it of a process in it."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        (group / "cgroup.procs").write_text(str(child.pid))
        with open(f"/proc/{child.pid}/cgroup", encoding="ascii") as lines:
            return next(x.strip()[3:] for x in lines if x.startswith("0::"))
    finally:
        child.kill()
        child.wait()


def since(version, value):
    return value if KERNEL >= version else None


# ---------------------------------------------------------------- tracing ---

def raw_tracepoint(env, obj, cookie=0):
    with taken(obj) as prog:
        attr = struct.pack("=QIIQ", text(env, "task_rename"), prog, 0, cookie)
        return Attachment(env, bpf(RAW_TRACEPOINT_OPEN, attr if cookie else attr[:16]))


def test_raw_tracepoint(env):
    obj = env.helper().make("prog", "raw_tracepoint")
    want = {"tp_name": "task_rename", "tracepoint": "task_rename"}
    facts(env, raw_tracepoint(env, obj), "raw_tracepoint", obj, want)
    try:
        link = raw_tracepoint(env, obj, COOKIE)
    except OSError as error:
        check(KERNEL < (6, 10), f"a cookie: {error}")
        return
    facts(env, link, "raw_tracepoint", obj, {**want, "cookie": since(TRACING_COOKIE_SINCE, COOKIE)})


def target_of(link):
    """The target of a tracing link, as the kernel fills struct bpf_link_info: Debian 12's bpftool does
    not show it, nor does fdinfo before 6.5."""
    info = ctypes.create_string_buffer(64)
    bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", link.file.fileno(), len(info), ctypes.addressof(info)))
    # after type, id and prog_id: a union that begins at 16, here with attach_type
    return dict(zip(("target_obj_id", "target_btf_id"), struct.unpack_from("=II", info, 20)))


def test_tracing(env):
    obj = program(env.helper(), "tracing", attach="trace_fentry", target=FUNCTION)
    # target_btf_id, and the cookie (5.19)
    link = create(env, obj, 0, 24, struct.pack("=IIQ", 0, 0, COOKIE))
    equal(str(target_of(link)["target_obj_id"]), BTF_ID_VMLINUX)
    facts(env, link, "tracing", obj,
          {"attach_type": "trace_fentry", "cookie": since(TRACING_COOKIE_SINCE, COOKIE),
           "function": FUNCTION, **target_of(link)})


def test_freplace(env):
    helper = env.helper()
    btf = helper.make("xdp_btf")
    target = helper.make("prog", "xdp", btf=btf)
    obj = program(helper, "ext", replaces=target, btf=btf)
    link = create(env, obj, 0, 0)
    equal(target_of(link)["target_obj_id"], target.id)
    facts(env, link, "tracing", obj, {"attach_type": "*", "function": "*", **target_of(link)})


def addresses_shown():
    """Whether the kernel says its addresses to who lacks CAP_SYSLOG, as the daemon does
    (kallsyms_show_value())."""
    restrict, paranoid = (int(pathlib.Path(f"/proc/sys/kernel/{name}").read_text())
                          for name in ("kptr_restrict", "perf_event_paranoid"))
    return restrict == 0 and paranoid <= 1


def test_kprobe_multi(env):
    obj = program(env.helper(), "kprobe", attach="trace_kprobe_multi")
    names = buffer(env, struct.pack("=QQ", text(env, FUNCTION), text(env, "bpf_fentry_test2")))
    link = create(env, obj, 0, KPROBE_MULTI, struct.pack("=IIQQQ", 1, 2, names, 0, 0))
    facts(env, link, "kprobe_multi", obj, {
        "count": since(PERF_SINCE, 2), "flags": since(PERF_SINCE, 1),
        "missed": since(MISSED_SINCE, "*"),
        **({"addrs": "*", "functions": f"{FUNCTION} bpf_fentry_test2"}
           if KERNEL >= PERF_SINCE and addresses_shown() else {"functions": "?"})})


def probed_file(env):
    """Nobody executes it, so that no breakpoint is ever put anywhere."""
    path = env.tmp / "probed"
    path.write_bytes(bytes(65536))
    return path


def test_uprobe_multi(env):
    obj = program(env.helper(), "kprobe", attach=str(UPROBE_MULTI))
    path = probed_file(env)
    offsets = buffer(env, struct.pack("=QQQ", OFFSET, OFFSET + 64, OFFSET + 128))
    cookies = buffer(env, struct.pack("=QQQ", 7, 8, COOKIE))
    data = struct.pack("=QQQQIIII", text(env, path), offsets, 0, cookies, 3, 1, os.getpid(), 0)
    link = create(env, obj, 0, UPROBE_MULTI, data)
    facts(env, link, "uprobe_multi", obj, {
        "path": path if KERNEL >= UPROBES_SINCE else "?", "count": since(UPROBES_SINCE, 3),
        "flags": since(UPROBES_SINCE, 1), "pid": since(UPROBES_SINCE, os.getpid()),
        "offsets": f"{OFFSET} {OFFSET + 64} {OFFSET + 128}" if KERNEL >= UPROBES_SINCE else "?",
        "cookies": since(UPROBES_SINCE, f"7 8 {COOKIE}")})


# ------------------------------------------------------------ perf events ---

def pmu(name):
    try:
        with open(f"/sys/bus/event_source/devices/{name}/type", encoding="ascii") as words:
            return int(words.read())
    except FileNotFoundError as error:
        raise Skip(f"no perf events of type {name}") from error


EVERYONE, OURSELVES = (-1, 0), (os.getpid(), -1)  # a process and a processor, or any


def perf_link(env, obj, who, event_type, config=0, config1=0, config2=0, cookie=COOKIE):
    attr = struct.pack("=IIQQQQQIIQQ", event_type, 72, config, 1000000000, 0, 0, 0, 0, 0, config1,
                       config2)
    event = syscall("perf_event_open", ctypes.create_string_buffer(attr, 72),
                    *(ctypes.c_int(x) for x in (*who, -1)), ctypes.c_ulong(8))
    keep(env, os.fdopen(event, "rb", buffering=0))
    return create(env, obj, event, PERF, struct.pack("=Q", cookie))


def perf_facts(env, link, obj, kind, want):
    want = {"perf_event_type": kind, **want, "cookie": since(COOKIES_SINCE, COOKIE)}
    facts(env, link, "perf_event", obj, want if KERNEL >= PERF_SINCE else {})


def uprobe(env, kind, config):
    obj, path = env.helper().make("prog", "kprobe"), probed_file(env)
    for who in (EVERYONE, OURSELVES):
        link = perf_link(env, obj, who, pmu("uprobe"), config | REF_CTR_OFFSET << 32,
                         text(env, path), OFFSET)
        perf_facts(env, link, obj, kind,
                   {"file_name": path, "path": path, "offset": OFFSET,
                    "ref_ctr_offset": since(REF_CTR_SINCE, REF_CTR_OFFSET),
                    "pid": who[0] if who == OURSELVES else None})


def test_uprobe(env):
    uprobe(env, "uprobe", 0)


def test_uretprobe(env):
    uprobe(env, "uretprobe", 1)


def kprobe(env, kind, config, offset):
    obj = env.helper().make("prog", "kprobe")
    link = perf_link(env, obj, EVERYONE, pmu("kprobe"), config, text(env, FUNCTION), offset)
    perf_facts(env, link, obj, kind, {"func_name": FUNCTION, "function": FUNCTION, "offset": offset,
                                      "addr": "*", "missed": since(MISSED_SINCE, "*")})


def test_kprobe(env):
    kprobe(env, "kprobe", 0, ENTRY)


def test_kretprobe(env):
    if ENTRY:
        raise Skip("no kprobe at the first instruction of a function, where each kretprobe is")
    kprobe(env, "kretprobe", 1, 0)


def test_tracepoint(env):
    place = env.tmp / "tracefs"
    place.mkdir()
    if run("mount", "-t", "tracefs", "none", place)[0]:
        raise Skip("no tracefs")
    env.cleanup(run, "umount", place)
    event = int((place / "events/task/task_rename/id").read_text())
    obj = env.helper().make("prog", "tracepoint")
    perf_facts(env, perf_link(env, obj, EVERYONE, 2, event), obj, "tracepoint",
               {"tp_name": "task_rename", "tracepoint": "task_rename"})


def test_event(env):
    obj = env.helper().make("prog", "perf_event")
    for who, where in ((EVERYONE, {"cpu": 0}), (OURSELVES, {"pid": os.getpid()})):
        # not a clock, which the kernel moves to a type of its own
        link = perf_link(env, obj, who, 1, 8)
        perf_facts(env, link, obj, "event", {"event_type": "software", "config": 8, **where})


# -------------------------------------------------------------- iterators ---

def iterator(env, target, *numbers, shape="=II", **options):
    """@numbers: union bpf_iter_link_info."""
    obj = program(env.helper(), "tracing", attach="trace_iter", target=target, **options)
    data = buffer(env, struct.pack(shape, *numbers)) if numbers else 0
    size = struct.calcsize(shape) if numbers else 0
    return obj, create(env, obj, 0, ITER, struct.pack("=QI", data, size))


def test_iter(env):
    obj, link = iterator(env, "bpf_map")
    facts(env, link, "iter", obj, {"target_name": "bpf_map", "target": "bpf_map"})


def test_iter_of_a_map(env):
    map_ = env.helper().make("map", "array", max=2)
    with taken(map_) as fd:
        obj, link = iterator(env, "bpf_map_elem", fd, 0)
    facts(env, link, "iter", obj, {"target_name": "bpf_map_elem", "target": "bpf_map_elem",
                                   "map_id": map_.id})


def test_iter_of_cgroups(env):
    group = env.cgroup()
    fd = os.open(group, os.O_RDONLY)
    try:
        obj, link = iterator(env, "cgroup", 2, fd, 0, shape="=IIQ") # descendants_pre
    finally:
        os.close(fd)
    # what the kernel calls a cgroup's id is its inode number
    facts(env, link, "iter", obj, {"target_name": "cgroup", "cgroup_id": group.stat().st_ino,
                                   "order": "descendants_pre", "target": "cgroup",
                                   "cgroup": path_of(group)})


def test_iter_of_a_task(env):
    for name, numbers, want in (("task", (os.getpid(), 0, 0), {"tid": os.getpid()}),
                                ("task_file", (0, os.getpid(), 0), {"pid": os.getpid()}),
                                ("task_vma", (0, os.getpid(), 0), {"pid": os.getpid()})):
        obj, link = iterator(env, name, *numbers, shape="=III")
        facts(env, link, "iter", obj, {"target_name": name, "target": name, **want})


# --------------------------------------------------------------- networks ---

def loopback(env):
    private_net(env)
    return 1 # lo's ifindex


def test_netns(env):
    private_net(env)
    obj = env.helper().make("prog", "sk_lookup", attach="sk_lookup", result=1)
    space = keep(env, open("/proc/self/ns/net", "rb"))
    link = create(env, obj, space.fileno(), SK_LOOKUP)
    facts(env, link, "netns", obj, {"netns_ino": netns(), "attach_type": "sk_lookup",
                                    "netns": netns()})


def test_xdp(env):
    ifindex = loopback(env)
    obj = env.helper().make("prog", "xdp", result=2)
    facts(env, create(env, obj, ifindex, XDP, flags=2), "xdp", obj,
          {"ifindex": ifindex, "ifname": "lo", "netns": netns()})


def test_tcx(env):
    ifindex = loopback(env)
    for position in range(2):
        obj = env.helper().make("prog", "sched_cls")
        link = create(env, obj, ifindex, TCX_EGRESS)
        facts(env, link, "tcx", obj, {"ifindex": ifindex, "attach_type": "tcx_egress", "ifname": "lo",
                                      "netns": netns(), "position": position})


def test_netkit(env):
    private_net(env)
    status, _, error = run(tool("ip"), "link", "add", "kit0", "type", "netkit")
    if status:
        raise Skip(f"no netkit device: {error.strip()}")
    # attached through the primary device, the link is the peer's (netkit_dev_fetch)
    ifindex, name = next(x for x in socket.if_nameindex() if x[1] not in ("lo", "kit0"))
    obj = env.helper().make("prog", "sched_cls")
    facts(env, create(env, obj, socket.if_nametoindex("kit0"), NETKIT_PEER), "netkit", obj,
          {"ifindex": ifindex, "attach_type": "netkit_peer", "ifname": name, "netns": netns(),
           "position": 0})


def test_netfilter(env):
    private_net(env)
    obj = program(env.helper(), "32", attach=str(NETFILTER), result=1)
    link = create(env, obj, 0, NETFILTER, struct.pack("=IIiI", 10, 3, -77, 0))
    facts(env, link, "netfilter", obj,
          {"pf": "ipv6", "hooknum": "local_out", "priority": -77, "flags": 0, "netns": netns()})


# ----------------------------------------------------------------- others ---

def test_cgroup(env):
    group = env.cgroup()
    obj = env.helper().make("prog", "cgroup_skb", attach="cgroup_inet_egress", result=1)
    fd = os.open(group, os.O_RDONLY)
    try:
        link = create(env, obj, fd, EGRESS)
    finally:
        os.close(fd)
    facts(env, link, "cgroup", obj,
          {"cgroup_id": group.stat().st_ino, "attach_type": "cgroup_inet_egress",
           "cgroup": path_of(group)})


def test_sockmap(env):
    helper = env.helper()
    obj, map_ = helper.make("prog", "sk_skb"), helper.make("map", "sockmap", max=2)
    with taken(map_) as fd:
        link = create(env, obj, fd, SK_SKB_VERDICT)
    facts(env, link, "sockmap", obj, {"map_id": map_.id, "attach_type": "sk_skb_verdict"})


def test_struct_ops(env):
    names = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")
    helper, (control, *_) = load(env, "congestion.bpf.o", *names, flags=0x2000)
    try:
        made = helper.make("register", "bpfrefs_test")
    except OSError as error:
        raise Skip(f"registering through a link, since 6.4: {error}") from error
    helper.do("unload")
    with taken(made) as fd:
        link = Attachment(env, os.dup(fd))
    facts(env, link, "struct_ops", None, {"map_id": control.id})


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
