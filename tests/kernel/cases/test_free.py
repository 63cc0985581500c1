#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OBJ/free.sh: for each way in which the kernel holds an object, the object is freed once its script was
run; what would end a process is left to the reader. Attachments in networks: test_free_net.py."""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from harness import Skip, check, equal, eventually, libc, main, must, names, over_a_map, run, tool
from machine import key
from made import bpf, private_net, taken, update
from test_cgroup import attach as attach_to_cgroup
from test_cgroup import socket_in
from test_files import RINGBUF, mmapable, pair, ring
from test_objects import load, loopback, make, unregister
from test_perf import PRESERVE_ELEMS, Event
from test_sockets import (FANOUT_EBPF, PACKET_FANOUT, PACKET_FANOUT_DATA, PROG_ATTACH, SK_SKB_STREAM_VERDICT,
                          SO_ATTACH_REUSEPORT_EBPF, SOL_PACKET, TUNSETFILTEREBPF, TUNSETPERSIST, attach,
                          registered, set_program, tun)


PR_SET_NAME = 15


def key_of(obj):
    return obj if isinstance(obj, str) else obj.key


def script(env, daemon, obj):
    """The path of a copy of free.sh, which sh(1) and shellcheck(1) accept, and its text. A name may look
    like an expansion or a badly quoted word."""
    path = env.tmp / "free.sh"
    path.write_bytes((daemon.tree / key_of(obj) / "free.sh").read_bytes())
    must("sh", "-n", path)
    if shutil.which("shellcheck"):
        must("shellcheck", "-s", "sh", "-e", "SC2016,SC1003", path)
    return path, path.read_text(errors="surrogateescape")


def free(env, daemon, obj, *wanted, environment=None, cwd=None):
    """The script has these commands, removes all that leads to the object, and needs nobody for it."""
    def complete():
        path, text = script(env, daemon, obj)
        check("\n#" not in text.replace("#!", "").replace("\n# ", "\n"), text)
        check("&& printf" not in text, f"something is left to the reader\n{text}")
        for word in wanted:
            check(word in text, f"no {word} in\n{text}")
        return path, text
    path, text = eventually(complete)
    status, out, err = run("sh", path, env=environment, cwd=cwd)
    equal(status, 0, text + out + err)
    daemon.gone(key_of(obj))


def free_with(env, daemon, obj, *pids):
    """The script ends no process, and says which hold it. With the commented lines it is freed."""
    def complete():
        path, text = script(env, daemon, obj)
        for pid in pids:
            check(f"\n#kill {pid}\n" in text, text)
        return path, text
    path, text = eventually(complete)
    status, _, err = run("sh", path)
    equal(status, 1, text + err)
    for pid in pids:
        check(f"pid {pid} (" in err, err)
        os.kill(pid, 0)
    check((daemon.tree / key_of(obj)).exists(), "it was freed")
    path = script(env, daemon, obj)[0]
    must("sed", "-i", "s/^#kill /kill /", path)
    run("sh", path)
    daemon.gone(key_of(obj))


class Keeper:
    """A process that has all that we have open. What it alone shall keep we close afterwards."""

    def __init__(self, env, name=None):
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if name:
                libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
            time.sleep(600)
            os._exit(0)
        env.cleanup(self.end)

    def end(self):
        try:
            os.kill(self.pid, 9)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


# --------------------------------------------------------------------- pins ---

def test_pins_and_what_is_pinned_there(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array", name="conns")
    prog = helper.make("prog", "socket_filter", maps=obj)
    link = helper.make("link", "raw_tp", helper.make("prog", "raw_tracepoint", maps=obj), "task_newtask")
    for one, name in ((obj, "a"), (obj, "b"), (prog, "p"), (link, "l")):
        helper.do("pin", one.var, env.bpffs / name)
    os.link(env.bpffs / "a", env.bpffs / "c")
    helper.end()
    free(env, daemon, obj, *(f"\nunpin {env.bpffs}/{name} " for name in "abcpl"))
    daemon.gone(link)
    equal(names(env.bpffs), [])


def test_btf(env):
    daemon, helper = env.daemon(), env.helper()
    btf = helper.make("btf")
    prog = helper.make("prog", "socket_filter", btf=btf)
    inner = helper.make("map", "array", btf=btf)
    outer = helper.make("map", "array_of_maps", inner=inner)
    for one in (prog, inner, outer):
        helper.do("pin", one.var, env.bpffs / f"x{one.fd}")
    helper.end()
    free(env, daemon, btf)


def pinned_elsewhere(env, where="x"):
    helper, place = env.helper(), env.tmp / "other"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, place / where)
    return helper, obj, place


def test_pin_in_another_namespace(env):
    daemon = env.daemon()
    helper, obj, place = pinned_elsewhere(env)
    obj.close()
    free(env, daemon, obj, f"\nunpin /proc/{helper.pid}/root{place}/x ")


def test_pin_detached(env):
    daemon = env.daemon()
    helper, obj, place = pinned_elsewhere(env)
    directory = helper.make("opath", place)
    helper.do("umount", place, detach=1)
    obj.close()
    free(env, daemon, obj, f"\nunpin /proc/{helper.pid}/fd/{directory.fd}/x ")


def test_pin_never_attached(env):
    daemon, helper = env.daemon(), env.helper()
    mounted, obj = helper.make("fsmount"), helper.make("map", "array")
    try:
        helper.do("pin", obj.var, "x", dir=mounted.var)
    except OSError as error:
        raise Skip(f"no BPF_F_PATH_FD before 6.5: {error}") from error
    obj.close()
    free(env, daemon, obj, f"\nunpin /proc/{helper.pid}/fd/{mounted.fd}/x ")


def test_pin_by_a_working_directory(env):
    daemon = env.daemon()
    helper, obj, place = pinned_elsewhere(env)
    with subprocess.Popen(["sleep", "600"], cwd=f"/proc/{helper.pid}/root{place}") as process:
        try:
            helper.do("umount", place, detach=1)
            obj.close()
            free(env, daemon, obj, f"\nunpin /proc/{process.pid}/cwd/x ")
        finally:
            process.kill()


def test_pin_that_no_path_leads_to(env):
    """An inode that was removed and is open, and one below another mount."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    helper.make("opath", env.bpffs / "x")
    os.unlink(env.bpffs / "x")
    obj.close()
    path, text = script(env, daemon, obj)
    check("\nunpin " not in text, text)
    status, _, err = run("sh", path)
    equal(status, 1, text)
    check("its name was removed already" in err, err)
    helper.end()
    daemon.gone(obj)


def test_keeps(env):
    daemon, helper = env.daemon(), env.helper()
    for mode in ("fd", "pin"):
        obj = helper.make("map", "array")
        daemon.write(f"{obj.key}/keep", mode)
        obj.close()
        free(env, daemon, obj, f" {daemon.tree}/{obj.key}/keep ")
    array = helper.make("map", "prog_array", max=2)
    user = helper.make("prog", "socket_filter", maps=array)
    helper.do("pin", user.var, env.bpffs / "user")
    daemon.write(f"{array.key}/keep", "auto")
    array.close()
    user.close()
    free(env, daemon, array, f" {daemon.tree}/{array.key}/keep ", f"unpin {env.bpffs}/user ")


# --------------------------------------------------------------------- maps ---

def test_slots(env):
    """The slot is cleared, and the array stays with its other slot."""
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", max=300)
    progs = [helper.make("prog", "socket_filter") for _ in range(2)]
    for slot, prog in ((0, 0), (258, 0), (1, 1)):
        helper.do("slot", array.var, slot, progs[prog].var)
    helper.do("pin", array.var, env.bpffs / "array")
    progs[0].close()
    progs[1].close()
    free(env, daemon, progs[0], f"\nbpftool map delete id {array.id} key ")
    equal(daemon.read(f"{array.key}/slots"), f"1 {progs[1].key} \n")


def test_array_that_holds_itself(env):
    """What is in its slots ends with it: nothing opens the array once it has no user."""
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", max=2)
    prog = helper.make("prog", "socket_filter", maps=array)
    helper.do("slot", array.var, 0, prog.var)
    helper.do("pin", array.var, env.bpffs / "array")
    helper.end()
    path, text = script(env, daemon, array)
    check("bpftool" not in text, text)
    must("sh", path)
    daemon.gone(array)
    daemon.gone(prog)


def test_maps_in_maps(env):
    daemon, helper = env.daemon(), env.helper()
    template = helper.make("map", "array")
    for kind, options in (("array_of_maps", {}), ("hash_of_maps", {}), ("hash_of_maps", {"key": 8})):
        inner = helper.make("map", "array")
        outer = helper.make("map", kind, inner=template, max=4, **options)
        try:
            helper.do("slot", outer.var, 1, inner.var)
        except OSError:
            continue
        inner.close()
        free(env, daemon, inner, f"\nbpftool map delete id {outer.id} key ")


def test_entries(env):
    daemon, helper = env.daemon(), env.helper()
    for kind, value in (("devmap", loopback()), ("devmap_hash", loopback()), ("cpumap", 64)):
        table = make(helper, "map", kind, value=8, max=os.cpu_count() if kind == "cpumap" else 4)
        prog = make(helper, "prog", "xdp", attach=f"xdp_{kind.split('_', maxsplit=1)[0]}")
        helper.do("entry", table.var, 0, value, prog.var)
        prog.close()
        free(env, daemon, prog, f"\nbpftool map delete id {table.id} key {key(0)} ")


def test_xskmap(env):
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "xskmap", max=40)
    xsk = make(helper, "xsk", table, 33)
    helper.do("ring", xsk.var)
    xsk.close()
    table.close()
    free(env, daemon, table, f"\nbpftool map delete id {table.id} key {key(33)} ")


def test_perf_event_array(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    table = helper.make("map", "perf_event_array", max=3, flags=PRESERVE_ELEMS)
    event = Event(env, obj)
    update(table, 2, event.fd)
    event.close()
    obj.close()
    free(env, daemon, obj, f"\nbpftool map delete id {table.id} key {key(2)} ")


def test_timers(env):
    """In a hash the element is deleted; in an array the timer ends with the map's last user."""
    helper, (table, prog) = load(env, "objects-timer.bpf.o", "timer_hash", "set_hash")
    helper.do("unload")
    daemon = env.daemon()
    helper.do("run", prog.var)
    prog.close()
    free(env, daemon, prog, f"\nbpftool map delete id {table.id} key {key(5)} ")
    helper, (table, prog) = load(env, "objects-timer.bpf.o", "timer_array", "set_array")
    helper.do("unload")
    helper.do("run", prog.var)
    helper.do("pin", table.var, env.bpffs / "timers")
    prog.close()
    table.close()
    free(env, daemon, prog, f"\nunpin {env.bpffs}/timers ")


def test_sockmap_programs(env):
    daemon, helper = env.daemon(), env.helper()
    for attach_type, kind in (("sk_skb_stream_parser", "sk_skb"), ("sk_skb_stream_verdict", "sk_skb"),
                              ("sk_msg_verdict", "sk_msg")):
        table = make(helper, "map", "sockmap")
        prog = make(helper, "prog", kind, attach=attach_type)
        helper.do("attach", prog.var, table.var, attach_type)
        prog.close()
        free(env, daemon, prog, f"\nbpftool prog detach id {prog.id} {attach_type} id {table.id} ")
    table = make(helper, "map", "sockmap")
    prog = make(helper, "prog", "sk_skb", attach="sk_skb_verdict")
    link = make(helper, "link", "sockmap", prog, table, attach="sk_skb_verdict")
    helper.do("pin", link.var, env.bpffs / "link")
    for one in (prog, link):
        one.close()
    free(env, daemon, prog, f"\nunpin {env.bpffs}/link ")
    daemon.gone(link)
    prog = helper.make("prog", "sk_skb")  # by a link and without one
    link = make(helper, "link", "sockmap", prog, table, attach="sk_skb_stream_verdict")
    helper.do("attach", prog.var, table.var, "sk_skb_stream_parser")
    helper.do("pin", link.var, env.bpffs / "link")
    for one in (prog, link):
        one.close()
    free(env, daemon, prog, f"\nunpin {env.bpffs}/link ",
         f"\nbpftool prog detach id {prog.id} sk_skb_stream_parser id {table.id} ")


def test_socket_in_a_sockmap(env):
    """The socket has a copy of the program as long as the map is there."""
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    prog, table = helper.make("prog", "sk_skb", result=1), helper.make("map", "sockmap", max=2)
    with taken(prog) as fd, taken(table) as target:
        bpf(PROG_ATTACH, struct.pack("=IIII", target, fd, SK_SKB_STREAM_VERDICT, 0))
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    for one in (server, client):
        env.cleanup(one.close)
    update(table, 0, client.fileno())
    helper.do("pin", table.var, env.bpffs / "sockets")
    prog.close()
    table.close()
    free(env, daemon, prog, f"\nunpin {env.bpffs}/sockets ")


# ------------------------------------------------- what is there by then ---

def changed(env, path):
    """The script has become wrong, says so and does nothing."""
    status, out, err = run("sh", path)
    equal((status, out, err.splitlines()[-1]),
          (1, "", "free.sh: not the commands that bpfrefs shows now: read it again"))


def test_run_late(env):
    """The slot has another program by then, which the command would remove."""
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", max=2)
    first, second = (helper.make("prog", "socket_filter") for _ in range(2))
    helper.do("slot", array.var, 1, first.var)
    helper.do("pin", first.var, env.bpffs / "first")
    first.close()
    path = script(env, daemon, first)[0]
    helper.do("slot", array.var, 1, second.var)
    changed(env, path)
    check((env.bpffs / "first").exists(), "the pin was removed")
    equal(daemon.read(f"{array.key}/slots"), f"1 {second.key} \n")
    os.unlink(env.bpffs / "first")
    daemon.gone(first)
    equal(run("sh", path), (0, "", f"free.sh: {first.key} was freed already\n"))
    equal(daemon.read(f"{array.key}/slots"), f"1 {second.key} \n")


def test_bpfrefs_is_gone(env):
    """Nothing says then whether the commands are right."""
    daemon, helper = env.daemon("-o", "self=show"), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    obj.close()
    path = script(env, daemon, obj)[0]
    daemon.stop()
    changed(env, path)
    check((env.bpffs / "x").exists(), "the pin was removed")


def test_directory_that_became_a_symlink(env):
    """Whoever owns a directory of the path does not have root remove a file elsewhere."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    directory, precious = env.bpffs / "d", env.tmp / "precious"
    directory.mkdir()
    helper.do("pin", obj.var, directory / "precious")
    obj.close()
    path, text = script(env, daemon, obj)
    precious.write_text("mine")
    # between the check and the command, as it were
    swap = f"mv {directory} {env.bpffs}/e; ln -s {env.tmp} {directory}"
    path.write_text(text.replace("\nunpin /", f"\n{swap}\nunpin /"))
    status, _, err = run("sh", path)
    equal(status, 1, err)
    check("steps that have failed: 1" in err, err)
    equal(precious.read_text(), "mine")
    equal(names(env.bpffs / "e"), ["precious"])


# ------------------------------------------------------------- struct_ops ---

MEMBERS = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")


def test_struct_ops(env):
    helper, (control, *members) = load(env, "congestion.bpf.o", *MEMBERS)
    daemon = env.daemon()
    env.cleanup(unregister, helper, control)
    try:
        helper.do("register", "none", MEMBERS[0])
    except OSError as error:
        raise Skip(f"registering a congestion control: {error}") from error
    helper.do("unload")
    for obj in (control, *members):
        obj.close()
    free(env, daemon, members[0], f"\nbpftool struct_ops unregister id {control.id} ")
    daemon.gone(control)


def test_struct_ops_link(env):
    """A process holds the link, which releases its map when it is detached."""
    helper, (control, *members) = load(env, "congestion.bpf.o", *MEMBERS, flags=0x2000)
    daemon = env.daemon()
    try:
        link = helper.make("register", MEMBERS[0])
    except OSError as error:
        raise Skip(f"registering through a link, since 6.4: {error}") from error
    helper.do("unload")
    for obj in (control, *members):
        obj.close()
    free(env, daemon, control, f"\nbpftool link detach id {link.id} ")


def test_default_congestion_control(env):
    daemon = env.daemon()
    name, key = registered(env)
    private_net(env)
    with open("/proc/sys/net/ipv4/tcp_congestion_control", "w", encoding="ascii") as setting:
        setting.write(name)
    must(tool("bpftool"), "struct_ops", "unregister", "id", key.split("/")[1])
    free(env, daemon, key, f"\nnsenter --net=/proc/{os.getpid()}/ns/net sysctl -qw ")


# ---------------------------------------------------------------- processes ---

def test_descriptors(env):
    """Of several processes, and very many of one: the script is as short."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    child = int(helper.do("fork")["child"])
    for _ in range(20):
        helper.make("dup", obj)
    _, text = script(env, daemon, obj)
    check("and 17 more" in text, text)
    free_with(env, daemon, obj, helper.pid, child)


def held_by_helper(env, prepare):
    daemon, helper = env.daemon(), env.helper()
    free_with(env, daemon, prepare(helper), helper.pid)


def test_mmap(env):
    def prepare(helper):
        obj = mmapable(helper)
        helper.do("map_file", obj.var)
        obj.close()
        return obj
    held_by_helper(env, prepare)


def test_inflight(env):
    def prepare(helper):
        obj, (one, _) = helper.make("map", "array"), pair(helper)
        helper.do("send", one, obj.var)
        obj.close()
        return obj
    held_by_helper(env, prepare)


def test_io_uring(env):
    def prepare(helper):
        ring(helper)
        obj = helper.make("map", "array")
        helper.do("uring_files", "ring", obj.var)
        obj.close()
        return obj
    held_by_helper(env, prepare)


def test_aio(env):
    def prepare(helper):
        obj = helper.make("map", "ringbuf", **RINGBUF)
        try:
            helper.do("aio_poll", obj.var)
        except OSError as error:
            raise Skip(f"no asynchronous polls: {error}") from error
        obj.close()
        return obj
    held_by_helper(env, prepare)


def test_iter(env):
    def prepare(helper):
        obj, prog = helper.make("map", "array"), over_a_map(helper)
        link = helper.make("link", "iter", prog, map=obj)
        helper.make("iter", link)
        link.close()
        obj.close()
        return obj
    held_by_helper(env, prepare)


def held_by_fork(env, obj, *things):
    """A process that has the same files, and we close ours."""
    keeper = Keeper(env)
    for thing in things:
        thing.close()
    obj.close()
    free_with(env, env.daemons[0], obj, keeper.pid)


def test_perf(env):
    _, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    held_by_fork(env, obj, Event(env, obj))


def test_socket_and_reuseport(env):
    _, helper = env.daemon(), env.helper()
    private_net(env)
    for option in (50, SO_ATTACH_REUSEPORT_EBPF):
        obj = helper.make("prog", "socket_filter")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        attach(sock, obj, option)
        held_by_fork(env, obj, sock)


def test_fanout(env):
    _, helper = env.daemon(), env.helper()
    private_net(env)
    obj = helper.make("prog", "socket_filter")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind(("lo", 3))
    sock.setsockopt(SOL_PACKET, PACKET_FANOUT, 78 | FANOUT_EBPF << 16)
    with taken(obj) as fd:
        sock.setsockopt(SOL_PACKET, PACKET_FANOUT_DATA, fd)
    held_by_fork(env, obj, sock)


def test_tun(env):
    """A device is removed with its process, or with a command if it persists."""
    daemon, helper = env.daemon(), env.helper()
    private_net(env)
    obj, file = helper.make("prog", "socket_filter"), tun(env, "bpfrefs2")
    set_program(file, TUNSETFILTEREBPF, obj)
    held_by_fork(env, obj, file)
    obj, file = helper.make("prog", "socket_filter"), tun(env, "bpfrefs3")
    fcntl.ioctl(file, TUNSETPERSIST, 1)
    set_program(file, TUNSETFILTEREBPF, obj)
    file.close()
    obj.close()
    free(env, daemon, obj, f"\nnsenter --net=/proc/{os.getpid()}/ns/net ip link del dev bpfrefs3 ")


# ------------------------------------------------------------------ cgroups ---

def test_cgroup(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    v2 = next(x.split()[4] for x in open("/proc/self/mountinfo", encoding="ascii") if " - cgroup2 " in x)
    for prog_type, kind, flags in (("cgroup_skb", "cgroup_inet_egress", 2), ("cgroup_skb", "cgroup_inet_ingress", 2),
                                   ("cgroup_device", "cgroup_device", 0), ("sock_ops", "cgroup_sock_ops", 1)):
        prog = helper.make("prog", prog_type)
        attach_to_cgroup(prog, group, kind, flags)
        prog.close()
        free(env, daemon, prog, f"\nbpftool cgroup detach {v2}/{group.name} {kind} id {prog.id} ")


def test_dying_cgroup(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    child = group / "gone"
    child.mkdir()
    prog = helper.make("prog", "cgroup_skb")
    attach_to_cgroup(prog, child)
    sock = socket_in(child)
    child.rmdir()
    prog.close()
    path, text = script(env, daemon, prog)
    status, _, err = run("sh", path)
    equal(status, 1, text)
    check("its cgroup was removed" in err, err)
    sock.close()
    daemon.gone(prog)


# --------------------------------------------------------------- the kernel ---

def test_what_the_kernel_holds(env):
    daemon, helper = env.daemon(), env.helper()
    helper.make("map", "array")
    line = next(x for x in daemon.lines("holders")[0] if x.endswith(" kernel ref=1 user=0 why=vmlinux"))
    path, text = script(env, daemon, line.split(" ", 1)[0])
    status, out, err = run("sh", path)
    equal((status, out, err), (1, "", "free.sh: it cannot be freed: the kernel itself holds it\n"), text)


def test_what_bpfrefs_holds(env):
    """Its own programs, which end when it is unmounted."""
    daemon = env.daemon()
    own = next(x.split(" ", 1)[0] for x in daemon.lines(f"pid/{daemon.pid}/holding")[0]
               if x.startswith("map/"))
    path, text = script(env, daemon, own)
    check(f"\n#umount {daemon.mnt}\n" in text, text)
    check("\n#kill" not in text, text)
    equal(run("sh", path)[0], 1, text)
    check((daemon.tree / own).exists(), "it was freed")


# -------------------------------------------------------------- breaking out ---

def odd_names(canary):
    """Names that would have a script run something, or leave its comments, if it did not quote them."""
    touch = f"touch {canary.name}"
    return [f"$({touch})", f"`{touch}`", f"a\n{touch}\n#", f"';{touch};'", f"\";{touch};\"", f"a;{touch}", "-rf",
            f"\\';{touch}", "a b\tc\\n\\012", "*", "~", "''", "&", "|" + touch, "a\r" + touch, "#" + touch, "!x", "{a,b}",
            "\udcff\udcfe\udc81\udc88%s%%" + touch, "last\n\n", "".join(map(chr, range(1, 0x2e))), "\x1b[31mred", "name=$IFS"]


def test_names_that_break_out(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    canary = env.tmp / "canary"
    obj, prog = helper.make("map", "array"), helper.make("prog", "cgroup_skb")
    children = []
    helper.do("pin", obj.var, env.bpffs / "x")
    helper.do("pin", prog.var, env.bpffs / "y")
    (env.bpffs / "d").mkdir()
    for name in odd_names(canary):
        plain = name.replace(".", "")
        directory = env.bpffs / "d" / plain
        directory.mkdir()
        os.link(env.bpffs / "x", directory / plain)
        os.link(env.bpffs / "y", directory / "p")
        if "\n" in name:
            continue  # the kernel allows none in the name of a cgroup
        children.append(group / name)
        children[-1].mkdir()
        attach_to_cgroup(prog, children[-1])
    try:
        for one in (prog, obj):
            one.close()
            free(env, daemon, one, cwd=env.tmp)
    finally:
        for child in children:
            child.rmdir()
    check(not canary.exists(), "something else was run")
    

def test_comms_that_break_out(env):
    daemon, helper = env.daemon(), env.helper()
    for name in ("';touch x;'", "a\ntouch x\n#", "$(touch x)", "\\012\\n%s"):
        obj = helper.make("map", "array")
        with taken(obj):
            keeper = Keeper(env, name)
        obj.close()
        path, text = script(env, daemon, obj)
        status, out, err = run("sh", path, cwd=env.tmp)
        equal((status, out), (1, ""), text)
        check(len(err.splitlines()) == 2, err)
        check(not (env.tmp / "x").exists(), text)
        free_with(env, daemon, obj, keeper.pid)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
