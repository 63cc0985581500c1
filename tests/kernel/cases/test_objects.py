#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What objects hold besides slots and used maps: entries of devmaps, cpumaps and xskmaps, programs of
sockmaps, callbacks in maps' values, members and registrations of struct_ops."""
import os
import socket
import sys

from harness import Skip, check, equal, eventually, fields, main


def make(helper, *words, **options):
    """An object, or a skip where this kernel refuses to make it."""
    try:
        return helper.make(*words, **options)
    except OSError as error:
        raise Skip(f"no {' '.join(map(str, words))}: {error}") from error


def by_map(target, holder, via, slot=None):
    tail = f" slot={slot}" if slot is not None else ""
    return f"{target.key} map ref=1 user=0 id={holder.id} name=* via={via}{tail}"


def state_is(daemon, obj, because, state="held"):
    row = daemon.row(obj.key)
    equal((row["state"], row["because"]), (state, because), obj.key)


def gone_with(daemon, helper, *objects):
    for obj in objects:
        helper.do("close", obj.var)
    for obj in objects:
        daemon.gone(obj)


def loopback():
    return socket.if_nametoindex("lo")


def entries(env, kind, attach, entry_keys, number):
    """Two entries with one program, one of them removed, then the map."""
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", kind, value=8, max=100)
    prog = make(helper, "prog", "xdp", attach=attach)
    for key in entry_keys:
        helper.do("entry", table.var, key, number, prog.var)
    daemon.expect(prog, [prog.held()] + [by_map(prog, table, "entry", k) for k in entry_keys])
    daemon.expect(table, [table.held()])
    helper.do("clear", table.var, entry_keys[0])
    rest = [by_map(prog, table, "entry", k) for k in entry_keys[1:]]
    daemon.expect(prog, [prog.held()] + rest)
    # A program of an entry stays when the map's last user is removed, and is released with the map.
    user = helper.make("prog", "xdp", maps=[table])
    table.close()
    daemon.expect(prog, [prog.held()] + rest)
    user.close()
    daemon.gone(table)
    daemon.expect(prog, [prog.held()])


def test_devmap_entry(env):
    entries(env, "devmap", "xdp_devmap", (3, 77), loopback())


def test_devmap_hash_entry(env):
    # Two keys of one bucket, of 128.
    entries(env, "devmap_hash", "xdp_devmap", (5, 5 + 128), loopback())


def count_of(daemon, obj, via):
    lines = daemon.lines(f"{obj.key}/holders")[0]
    return len({fields(x)["slot"] for x in lines if f" via={via} " in x})


def test_many_entries(env):
    """More than the walkers' buffer holds: they stop within a map, and go on."""
    daemon, helper = env.daemon(), env.helper()
    prog = make(helper, "prog", "xdp", attach="xdp_devmap")
    for kind in ("devmap", "devmap_hash"):
        table = make(helper, "map", kind, value=8, max=20000)
        helper.do("entry", table.var, 0, loopback(), prog.var, count=20000)
        eventually(lambda: equal(count_of(daemon, prog, "entry"), 20000, "entries"))
        refs = daemon.pairs(f"{prog.key}/refs")
        equal((refs["refcnt"], refs["unexplained"]), ("20001", "0"), kind)
        table.close()
        daemon.gone(table)
    daemon.expect(prog, [prog.held()])


def test_large_maps(env):
    """Longer than the walkers go at once: filled at both ends."""
    daemon, helper = env.daemon(), env.helper()
    prog = make(helper, "prog", "xdp", attach="xdp_devmap")
    table = make(helper, "map", "devmap_hash", value=8, max=1 << 20)
    ends = (0, (1 << 18) - 1, 1 << 18, (1 << 20) - 1)
    for key in ends:
        helper.do("entry", table.var, key, loopback(), prog.var)
    daemon.expect(prog, [prog.held()] + [by_map(prog, table, "entry", k) for k in ends])


def in_xskmap(table, xsk):
    return (f"{table.key} socket ref=1 user=0 share=* pid={xsk.helper.pid} comm=mkobj fd={xsk.fd}"
            " via=xskmap type=xdp_raw netns=*")


def test_xskmap(env):
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "xskmap", max=40)
    xsk = make(helper, "xsk", table, 2)
    daemon.expect(table, [table.held(), in_xskmap(table, xsk)])
    second = make(helper, "xsk", table, 39)
    daemon.expect(table, [table.held(), in_xskmap(table, xsk), in_xskmap(table, second)])
    # The sockets alone keep it.
    table.close()
    second.close()
    daemon.expect(table, [in_xskmap(table, xsk)])
    state_is(daemon, table, f"pid {helper.pid} (mkobj) holds it (socket)")
    xsk.close()
    daemon.gone(table)


def test_xskmap_by_a_mapped_ring(env):
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "xskmap", max=40)
    xsk = make(helper, "xsk", table, 33)
    helper.do("ring", xsk.var)
    xsk.close()
    slot = f"{table.key} map ref=1 user=0 via=xsk slot=33"
    daemon.expect(table, [table.held(), slot])
    table.close()
    daemon.expect(table, [slot])
    state_is(daemon, table, "an AF_XDP socket is in it")
    helper.do("unring")
    daemon.gone(table)


def test_cpumap_entry(env):
    last = os.cpu_count() - 1
    if not last:
        raise Skip("one processor only")
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "cpumap", value=8, max=os.cpu_count())
    prog = make(helper, "prog", "xdp", attach="xdp_cpumap")
    for cpu in (0, last):
        helper.do("entry", table.var, cpu, 64, prog.var)
    daemon.expect(prog, [prog.held(), by_map(prog, table, "entry", 0),
                         by_map(prog, table, "entry", last)])
    helper.do("clear", table.var, 0)
    daemon.expect(prog, [prog.held(), by_map(prog, table, "entry", last)])
    table.close()
    daemon.gone(table)
    daemon.expect(prog, [prog.held()])


def test_sockmap_programs(env):
    daemon, helper = env.daemon(), env.helper()
    kinds = {"sk_skb_stream_parser": ("sk_skb", "stream_parser"),
             "sk_skb_stream_verdict": ("sk_skb", "stream_verdict"),
             "sk_msg_verdict": ("sk_msg", "msg_parser")}
    for kind in ("sockmap", "sockhash"):
        table = make(helper, "map", kind)
        progs = {}
        for attach, (type_name, via) in kinds.items():
            prog = make(helper, "prog", type_name, attach=attach)
            helper.do("attach", prog.var, table.var, attach)
            daemon.expect(prog, [prog.held(), by_map(prog, table, via)])
            progs[attach] = prog
        daemon.expect(table, [table.held()])
        helper.do("unattach", progs["sk_msg_verdict"].var, table.var, "sk_msg_verdict")
        daemon.expect(progs["sk_msg_verdict"], [progs["sk_msg_verdict"].held()])
        # The rest is released with the map's last user, though a program still uses the map.
        user = helper.make("prog", "sk_skb", maps=[table])
        table.close()
        for prog in progs.values():
            daemon.expect(prog, [prog.held()])
        gone_with(daemon, helper, user, *progs.values())
        daemon.gone(table)


def test_sockmap_verdict_alone(env):
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "sockmap")
    prog = make(helper, "prog", "sk_skb", attach="sk_skb_verdict")
    helper.do("attach", prog.var, table.var, "sk_skb_verdict")
    daemon.expect(prog, [prog.held(), by_map(prog, table, "skb_verdict")])
    prog.close()
    daemon.expect(prog, [by_map(prog, table, "skb_verdict")])
    state_is(daemon, prog, f"{table.key} holds it (skb_verdict)")
    gone_with(daemon, helper, table)
    daemon.gone(prog)


def test_sockmap_link(env):
    """The link holds the program, and so does the map that it puts it in."""
    daemon, helper = env.daemon(), env.helper()
    table = make(helper, "map", "sockmap")
    prog = make(helper, "prog", "sk_skb", attach="sk_skb_verdict")
    link = make(helper, "link", "sockmap", prog, table, attach="sk_skb_verdict")
    linked = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(prog, [prog.held(), linked, by_map(prog, table, "skb_verdict")])
    table.close()
    daemon.expect(prog, [prog.held(), linked, by_map(prog, table, "skb_verdict")])
    link.close()
    daemon.gone(table)
    daemon.expect(prog, [prog.held()])


def load(env, file, *names, helper=None, **options):
    if "OBJECT_FILES" not in os.environ:
        raise Skip("built without BPF")
    helper, path = helper or env.helper(), os.path.join(os.environ["OBJECT_FILES"], file)
    other = path.replace(".bpf.o", "-implicit.bpf.o")
    try:
        try:
            helper.do("load", path, *names, **options)
        except OSError:
            if not os.path.exists(other):
                raise
            helper.do("load", other, *names, **options)
    except OSError as error:
        raise Skip(f"{', '.join(names)} of {file} cannot be loaded: {error}") from error
    objects = [helper.make("take", name) for name in names]
    return helper, objects


def callbacks(env, file, map_name, prog_name, run, held):
    """Callbacks hold the program until the map's last user goes, though the program uses the map."""
    helper, (table, prog) = load(env, file, map_name, prog_name)
    helper.do("unload")
    daemon = env.daemon()
    uses = f"{table.key} prog ref=1 user=0 id={prog.id} name=* via=used_maps"
    daemon.expect(prog, [prog.held()])
    equal(run(helper, prog)["retval"], "0", "the program that sets them")
    expected = [by_map(prog, table, via, slot) for via, slot in held]
    daemon.expect(prog, [prog.held()] + expected)
    daemon.expect(table, [table.held(), uses])
    prog.close()
    daemon.expect(prog, expected)
    state_is(daemon, prog, f"{table.key} holds it ({held[0][0]})")
    state_is(daemon, table, f"pid {helper.pid} (mkobj) has a descriptor")
    again = helper.make("open", "prog", prog.id)
    table.close()
    daemon.expect(prog, [again.held()])
    daemon.expect(table, [uses])
    equal(daemon.row(table.key)["state"], "cleared", table.key)
    gone_with(daemon, helper, again)
    daemon.gone(table)


def plain_run(helper, prog):
    return helper.do("run", prog.var)


def test_timer_in_array(env):
    callbacks(env, "objects-timer.bpf.o", "timer_array", "set_array", plain_run, [("timer", 70)])


def test_timer_in_hash(env):
    callbacks(env, "objects-timer.bpf.o", "timer_hash", "set_hash", plain_run,
              [("timer", 5), ("timer", 6)])


def test_timer_in_lru_hash(env):
    key = (0x1122).to_bytes(8, sys.byteorder).hex()
    callbacks(env, "objects-timer.bpf.o", "timer_lru", "set_lru", plain_run, [("timer", f"0x{key}")])


def test_timers_go_with_their_elements(env):
    helper, (table, prog) = load(env, "objects-timer.bpf.o", "timer_hash", "set_hash")
    helper.do("unload")
    daemon = env.daemon()
    helper.do("run", prog.var)
    helper.do("clear", table.var, 5)
    daemon.expect(prog, [prog.held(), by_map(prog, table, "timer", 6)])
    helper.do("clear", table.var, 6)
    daemon.expect(prog, [prog.held()])


def test_wq(env):
    callbacks(env, "objects-wq.bpf.o", "wq_hash", "set_wq", plain_run, [("wq", 9)])


def test_task_work(env):
    sleeper = env.helper()
    sleeper.sleeps()  # it waits for a command, so the work waits for it
    callbacks(env, "objects-work.bpf.o", "works", "set_work",
              lambda helper, prog: helper.do("run", prog.var, f"ctx={sleeper.pid}"), [("task_work", 1)])


def test_task_work_done(env):
    helper, (table, prog) = load(env, "objects-work.bpf.o", "works", "set_work")
    helper.do("unload")
    sleeper, daemon = env.helper(), env.daemon()
    sleeper.sleeps()
    helper.do("run", prog.var, f"ctx={sleeper.pid}")
    daemon.expect(prog, [prog.held(), by_map(prog, table, "task_work", 1)])
    sleeper.do("fork")
    daemon.expect(prog, [prog.held()])


def unregister(helper, control):
    """What no process holds must not outlive a test that failed."""
    try:
        helper.do("clear", helper.make("open", "map", control.id).var, 0)
    except OSError:
        pass  # it was freed, as it should be


def test_struct_ops(env):
    names = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")
    helper, (control, *members) = load(env, "congestion.bpf.o", *names)
    daemon = env.daemon()
    env.cleanup(unregister, helper, control)
    try:
        helper.do("register", "none", "bpfrefs_test")
    except OSError as error:
        raise Skip(f"registering a congestion control: {error}") from error
    helper.do("unload")
    registered = (f"{control.key} struct_ops ref=1 user=0 ops=tcp_congestion_ops"
                  " algorithm=bpfrefs_test")
    daemon.expect(control, [control.held(), registered])
    for prog in members:
        daemon.expect(prog, [prog.held(), by_map(prog, control, "struct_ops")])
    # It stays when everybody has left.
    for obj in (control, *members):
        obj.close()
    daemon.expect(control, [registered])
    state_is(daemon, control, "registered with the kernel (struct_ops)")
    for prog in members:
        daemon.expect(prog, [by_map(prog, control, "struct_ops")])
        state_is(daemon, prog, f"{control.key} holds it (struct_ops)")
    again = helper.make("open", "map", control.id)
    helper.do("clear", again.var, 0)
    daemon.expect(control, [again.held()])
    gone_with(daemon, helper, again)
    for prog in members:
        daemon.gone(prog)


def test_struct_ops_link(env):
    """Registered through a link: it holds the map, and the registration does not."""
    names = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")
    helper, (control, *members) = load(env, "congestion.bpf.o", *names, flags=0x2000)
    daemon = env.daemon()
    try:
        link = helper.make("register", "bpfrefs_test")
    except OSError as error:
        raise Skip(f"registering through a link, since 6.4: {error}") from error
    helper.do("unload")
    linked = f"{control.key} link ref=1 user=0 id={link.id} name= via=struct_ops"
    daemon.expect(control, [control.held(), linked])
    for obj in (control, *members):
        obj.close()
    daemon.expect(control, [linked])
    daemon.expect(link, [link.held()])
    for prog in members:
        daemon.expect(prog, [by_map(prog, control, "struct_ops")])
    gone_with(daemon, helper, link)
    for obj in (control, *members):
        daemon.gone(obj)


def test_freplace_target(env):
    daemon, helper = env.daemon(), env.helper()
    btf = helper.make("xdp_btf")
    target = helper.make("prog", "xdp", btf=btf)
    try:
        prog = helper.make("prog", "ext", replaces=target, btf=btf)
    except OSError as error:
        raise Skip(f"freplace programs do not load here: {error}") from error
    held = f"{target.key} prog ref=1 user=0 id={prog.id} name= via=target"
    daemon.expect(target, [target.held(), held])
    link = helper.make("freplace", prog)
    held = f"{target.key} link ref=1 user=0 id={link.id} name= via=target"
    daemon.expect(target, [target.held(), held])
    link.close()
    daemon.expect(target, [target.held()])


def test_full_names(env):
    """A program has the name of its function where the kernel's own name is cut, in the lines on it
    and on what it holds. bpfrefs's own programs are an example."""
    daemon = env.daemon("-o", "self=show")
    if daemon.pairs("status")["source"] != "bpf":
        raise Skip("bpfrefs has no BPF programs here")
    lines = [x for x in daemon.lines("objects")[0] if " name=walk_init_namespaces " in x]
    check(lines, "no such program")
    key = lines[0].split(" ", 1)[0]
    holding = daemon.lines(f"{key}/holding")[0]
    check(holding, f"{key} holds nothing")
    for line in holding:
        equal(fields(line)["name"], "walk_init_namespaces", line)


if __name__ == "__main__":
    raise SystemExit(main(globals(), shares_daemon=True))
