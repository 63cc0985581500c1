#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every holder class, made for real: its records line by line, the account against the kernel's
counters, then the holder's end, and the record's."""
import os
import socket
import sys

from harness import (Skip, check, compare, equal, eventually, fields, main, must,
                     over_a_map, stable)


def shared(daemon, key):
    """All descriptors of one open file: one line counts, all have the same token."""
    lines = daemon.lines(f"{key}/holders")[0]
    equal(sorted(fields(x)["ref"] for x in lines), ["0"] * (len(lines) - 1) + ["1"], str(lines))
    equal(len({fields(x)["file"] for x in lines}), 1, f"tokens in {lines}")


def test_fd_of_each_kind(env):
    daemon, helper = env.daemon(), env.helper()
    made = [helper.make("map", "array"), helper.make("prog", "raw_tracepoint"),
            helper.make("btf")]
    link = helper.make("link", "raw_tp", made[1], "task_newtask")
    for obj in (made[0], made[2], link):
        daemon.expect(obj, [obj.held()])
    by_link = f"{made[1].key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(made[1], [made[1].held(), by_link])
    link.close()
    daemon.gone(link)
    for obj in made:
        daemon.expect(obj, [obj.held()])
        obj.close()
        daemon.gone(obj)


def test_fd_dup_and_fork(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "hash")
    second = helper.make("dup", obj)
    child = helper.do("fork")["child"]
    daemon.expect(obj, [f"{obj.key} fd ref=* user=* file=* pid={pid} comm=mkobj fd={fd}"
                        for pid in (helper.pid, child) for fd in (obj.fd, second.fd)])
    shared(daemon, obj.key)
    obj.close()
    second.close()
    daemon.expect(obj, [f"{obj.key} fd ref=* user=* file=* pid={child} comm=mkobj fd={fd}"
                        for fd in (obj.fd, second.fd)])
    shared(daemon, obj.key)
    helper.do("reap", child)
    daemon.gone(obj)


def test_fd_opened_twice(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    again = helper.make("open", "map", obj.id)
    daemon.expect(obj, [obj.held(), again.held()])
    tokens = {fields(x)["file"] for x in daemon.lines(f"{obj.key}/holders")[0]}
    equal(len(tokens), 2, "tokens of two open files")
    obj.close()
    daemon.expect(obj, [again.held()])


def test_fd_passed(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    path = str(env.tmp / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        helper.do("pass", obj.var, path)
        peer, _ = server.accept()
        with peer:
            (fd,) = socket.recv_fds(peer, 1, 1)[1]
    with open("/proc/self/comm", encoding="ascii") as file:
        comm = file.read().strip()
    ours = f"{obj.key} fd ref=* user=* file=* pid={os.getpid()} comm={comm} fd={fd}"
    daemon.expect(obj, [ours, f"{obj.key} fd ref=* user=* file=* pid={helper.pid} comm=mkobj"
                              f" fd={obj.fd}"])
    shared(daemon, obj.key)
    obj.close()
    daemon.expect(obj, [ours])
    os.close(fd)
    daemon.gone(obj)


def test_fd_in_a_thread_of_its_own_table(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    tid = helper.do("thread")["tid"]
    theirs = (f"{obj.key} fd ref=* user=* file=* pid={helper.pid} tid={tid} comm=mkobj"
              f" fd={obj.fd}")
    daemon.expect(obj, [f"{obj.key} fd ref=* user=* file=* pid={helper.pid} comm=mkobj"
                        f" fd={obj.fd}", theirs])
    shared(daemon, obj.key)
    obj.close()
    daemon.expect(obj, [theirs])
    helper.do("join")
    daemon.gone(obj)


def pinned(obj, path, state="live", ref=1, pid=None, inner=None):
    user = ref if obj.key.startswith("map/") else 0
    tail = f" pid={pid}" if pid else ""
    place = f"{path} inner={inner}" if inner else path
    return (f"{obj.key} pin ref={ref} user={user} path={place} dev=* ino=* uid=0"
            f" gid=0 mode=600 mtime=* state={state}{tail}")


def test_pin_of_each_kind(env):
    daemon, helper = env.daemon(), env.helper()
    prog = helper.make("prog", "raw_tracepoint")
    objects = [helper.make("map", "array"), prog,
               helper.make("link", "raw_tp", prog, "task_newtask")]
    for obj in objects:
        path = env.bpffs / f"pin_{obj.var}"
        helper.do("pin", obj.var, path)
        more = [x for x in daemon.lines(f"{obj.key}/holders")[0] if " link " in x]
        daemon.expect(obj, [obj.held(), pinned(obj, path)] + more)
        equal(daemon.read(f"{obj.key}/pin"), f"pin_{obj.var}\n")
        os.unlink(path)
        daemon.expect(obj, [obj.held()] + more)


def test_pin_inode_facts(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    path = env.bpffs / "x"
    helper.do("pin", obj.var, path)
    os.chown(path, 1234, 5678)
    os.chmod(path, 0o1640)
    facts = os.stat(path)
    line = next(x for x in daemon.lines(f"{obj.key}/holders")[0] if " pin " in x)
    said = fields(line)
    equal(said["dev"], f"{os.major(facts.st_dev)}:{os.minor(facts.st_dev)}", line)
    equal((int(said["ino"]), int(said["uid"]), int(said["gid"])), (facts.st_ino, 1234, 5678), line)
    equal(said["mode"], must("stat", "-c", "%a", path).strip(), line)
    equal(int(float(said["mtime"])), int(facts.st_mtime), line)


def test_pin_hard_links(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "d").mkdir()
    names = [env.bpffs / "a", env.bpffs / "d" / "b"]
    helper.do("pin", obj.var, names[0])
    os.link(names[0], names[1])
    obj.close()
    daemon.expect(obj, [f"{obj.key} pin ref=* user=* path={n} dev=* ino=* uid=0"
                        " gid=0 mode=600 mtime=* state=live" for n in names])
    lines = daemon.lines(f"{obj.key}/holders")[0]
    equal(len({fields(x)["ino"] for x in lines}), 1, "one inode")
    equal(daemon.row(obj.key)["pins"], "2")
    os.unlink(names[0])
    daemon.expect(obj, [pinned(obj, names[1])])
    os.unlink(names[1])
    daemon.gone(obj)


def test_pin_escaped_name(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "plain")
    os.rename(env.bpffs / "plain", env.bpffs / "a b\\\n\u00e9")
    daemon.expect(obj, [obj.held(), pinned(obj, f"{env.bpffs}/a\\040b\\134\\012\\303\\251")])


def test_pin_unlinked(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    path = env.bpffs / "x"
    helper.do("pin", obj.var, path)
    open_path = helper.make("opath", path)
    os.unlink(path)
    obj.close()
    daemon.expect(obj, [pinned(obj, "*", "unlinked")])
    equal(daemon.row(obj.key)["pins"], "0")
    open_path.close()
    daemon.gone(obj)


def test_pin_in_another_namespace(env):
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "other"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, place / "x")
    daemon.expect(obj, [obj.held(), pinned(obj, "?", "live", pid=helper.pid, inner="/x")])
    inode = os.stat(f"/proc/{helper.pid}/root{place}")
    dev = f"{os.major(inode.st_dev)}:{os.minor(inode.st_dev)}"
    line = next(x for x in daemon.lines("bpffs")[0] if dev in x)
    check(str(place) in line, f"where it is mounted: {line}")
    obj.close()
    daemon.expect(obj, [pinned(obj, "?", "live", pid=helper.pid, inner="/x")])
    helper.end()
    daemon.gone(obj)


def test_pin_detached(env):
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "lazy"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, place / "x")
    directory = helper.make("opath", place)
    helper.do("umount", place, detach=1)
    obj.close()
    daemon.expect(obj, [pinned(obj, "?", "detached", inner="/x")])
    directory.close()
    daemon.gone(obj)


def test_pin_never_attached(env):
    daemon, helper = env.daemon(), env.helper()
    mount = helper.make("fsmount")
    obj = helper.make("map", "array")
    try:
        helper.do("pin", obj.var, "x", dir=mount.var)
    except OSError as error:
        raise Skip(f"no BPF_F_PATH_FD before 6.5: {error}") from error
    obj.close()
    daemon.expect(obj, [pinned(obj, "?", "detached", inner="/x")])
    mount.close()
    daemon.gone(obj)


def test_pin_behind_the_mirror_goes_at_once(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    os.stat(daemon.mnt / "x")
    os.readlink(daemon.mnt / "x")
    obj.close()
    os.unlink(env.bpffs / "x")
    daemon.gone(obj)


def test_prog_used_maps(env):
    daemon, helper = env.daemon(), env.helper()
    maps = [helper.make("map", "array", name=f"m{i}") for i in range(3)]
    prog = helper.make("prog", "socket_filter", name="reader", maps=maps[:2])

    def by(obj):
        return f"{obj.key} prog ref=1 user=0 id={prog.id} name=reader via=used_maps"

    for obj in maps[:2]:
        daemon.expect(obj, [obj.held(), by(obj)])
    daemon.expect(maps[2], [maps[2].held()])
    helper.do("bind", prog.var, maps[2].var)
    helper.do("bind", prog.var, maps[2].var)
    daemon.expect(maps[2], [maps[2].held(), by(maps[2])])
    holding = daemon.lines(f"{prog.key}/holding")[0]
    equal(sorted(holding), sorted(by(obj) for obj in maps), "holding")
    prog.close()
    for obj in maps:
        daemon.expect(obj, [obj.held()])


def test_what_programs_use_is_read(env):
    """Once a scan has looked into a program it is not looked into again unless it uses another map: the
    answers are the same, whatever changes between them."""
    daemon, helper = env.daemon(), env.helper()
    maps = [helper.make("map", "array", name=f"m{i}") for i in range(6)]
    progs = [helper.make("prog", "socket_filter", name=f"p{i}", maps=maps[i:i + 3])
             for i in range(3)]
    used = {prog.key: maps[i:i + 3] for i, prog in enumerate(progs)}

    def all_is_shown():
        lines = daemon.lines("holders")[0]
        for i, prog in enumerate(progs):
            want = [f"{m.key} prog ref=1 user=0 id={prog.id} name=p{i} via=used_maps"
                    for m in used[prog.key]]
            equal(sorted(x for x in lines if f" prog ref=1 user=0 id={prog.id} " in x), sorted(want))
        odd = {x for x in daemon.lines("objects")[0] if fields(x)["unexplained"] != "0"}
        equal({x for x in odd if x.split(" ")[0] in {o.key for o in maps + progs}}, set())

    def thrice():
        for _ in range(3):
            eventually(all_is_shown)
    thrice()
    helper.do("bind", progs[1].var, maps[5].var)
    used[progs[1].key] = used[progs[1].key] + [maps[5]]
    thrice()
    gone = progs.pop(0) # those behind it move
    gone.close()
    progs.insert(0, helper.make("prog", "socket_filter", name="p0", maps=maps[4:]))
    used[progs[0].key] = maps[4:]
    thrice()
    helper.do("bind", progs[0].var, maps[0].var)
    helper.do("bind", progs[2].var, maps[1].var)
    used[progs[0].key] = used[progs[0].key] + [maps[0]]
    used[progs[2].key] = used[progs[2].key] + [maps[1]]
    thrice()


def test_map_program_array(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", name="jmp", max=8)
    progs = [helper.make("prog", "socket_filter", name=f"t{i}") for i in range(2)]
    for slot, prog in ((1, 0), (5, 1), (6, 1)):
        helper.do("slot", array.var, slot, progs[prog].var)

    def by(prog, slot):
        return f"{prog.key} map ref=1 user=0 id={array.id} name=jmp via=slot slot={slot}"

    daemon.expect(progs[0], [progs[0].held(), by(progs[0], 1)])
    daemon.expect(progs[1], [progs[1].held(), by(progs[1], 5), by(progs[1], 6)])
    equal(daemon.read(f"{array.key}/slots"),
          f"1 {progs[0].key} t0\n5 {progs[1].key} t1\n6 {progs[1].key} t1\n")
    helper.do("clear", array.var, 5)
    daemon.expect(progs[1], [progs[1].held(), by(progs[1], 6)])
    array.close()
    for prog in progs:
        daemon.expect(prog, [prog.held()])
    daemon.gone(array)


def test_map_cleared_program_array(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", name="jmp", max=2)
    target = helper.make("prog", "socket_filter")
    entry = helper.make("prog", "socket_filter", maps=array, name="entry")
    helper.do("slot", array.var, 0, target.var)
    array.close()
    used = f"{array.key} prog ref=1 user=0 id={entry.id} name=entry via=used_maps"
    daemon.expect(array, [used])
    daemon.expect(target, [target.held()])
    refs = daemon.pairs(f"{array.key}/refs")
    equal((refs["usercnt"], refs["state"]), ("0", "cleared"), str(refs))
    # Looking must not have touched it: a descriptor of an array with usercnt 0 clears it again,
    # and the kernel then loses count.
    for _ in range(20):
        daemon.read(f"{array.key}/info")
        daemon.read("holders")
    daemon.expect(array, [used])
    entry.close()
    daemon.gone(array)


def test_map_in_map(env):
    daemon, helper = env.daemon(), env.helper()
    inner = [helper.make("map", "array", name=f"in{i}") for i in range(2)]
    for kind in ("array_of_maps", "hash_of_maps"):
        outer = helper.make("map", kind, inner=inner[0], max=4, name="outer")
        helper.do("slot", outer.var, 1, inner[0].var)
        helper.do("slot", outer.var, 3, inner[1].var)
        for slot, obj in ((1, inner[0]), (3, inner[1])):
            daemon.expect(obj, [obj.held(), f"{obj.key} map ref=1 user=0 id={outer.id}"
                                            f" name=outer via=inner slot={slot}"])
        equal(sorted(daemon.read(f"{outer.key}/slots").splitlines()),
              [f"1 {inner[0].key} in0", f"3 {inner[1].key} in1"], "slots")
        outer.close()
        for obj in inner:
            daemon.expect(obj, [obj.held()])


def test_btf(env):
    daemon, helper = env.daemon(), env.helper()
    btf = helper.make("btf")
    inner = helper.make("map", "array", btf=btf, name="typed")
    prog = helper.make("prog", "socket_filter", btf=btf, name="entry")
    outer = helper.make("map", "array_of_maps", inner=inner, name="outer")
    by = [f"{btf.key} map ref=1 user=0 id={inner.id} name=typed via=btf",
          f"{btf.key} prog ref=1 user=0 id={prog.id} name=entry via=func_info",
          f"{btf.key} map ref=1 user=0 id={outer.id} name=outer via=template"]
    daemon.expect(btf, [btf.held()] + by)
    btf.close()
    daemon.expect(btf, by)
    outer.close()
    prog.close()
    daemon.expect(btf, by[:1])
    inner.close()
    daemon.gone(btf)


def test_link_that_was_detached(env):
    daemon, helper = env.daemon(), env.helper()
    child = env.cgroup()
    prog = helper.make("prog", "cgroup_skb", attach="cgroup_inet_egress", result=1, name="skb")
    link = helper.make("link", "cgroup", prog, child, attach="cgroup_inet_egress")
    by = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(prog, [prog.held(), by])
    check("attached" not in daemon.pairs(f"{link.key}/info"), "attached")
    helper.do("detach", link.var)
    daemon.expect(prog, [prog.held(), by])
    equal(daemon.pairs(f"{link.key}/info")["attached"], "no")
    link.close()
    daemon.expect(prog, [prog.held()])


def iterator(helper, target):
    prog = helper.make("prog", "tracing", attach="trace_iter", target=target, name="show")
    return prog, helper.make("link", "iter", prog)


def test_iter(env):
    daemon, helper = env.daemon(), env.helper()
    prog, link = iterator(helper, "task")
    by_link = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(prog, [prog.held(), by_link])
    look = helper.make("iter", link)
    by_iter = f"{prog.key} iter ref=1 user=0 pid={helper.pid} comm=mkobj fd={look.fd} target=task"
    daemon.expect(prog, [prog.held(), by_link, by_iter])
    daemon.expect(link, [link.held()])
    link.close()
    daemon.expect(prog, [prog.held(), by_iter])
    daemon.gone(link)
    look.close()
    daemon.expect(prog, [prog.held()])


def test_iter_over_a_map(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "array", name="shown")
    prog = over_a_map(helper)
    daemon.expect(array, [array.held()])  # while no link holds it
    link = helper.make("link", "iter", prog, map=array)
    by_link = f"{array.key} link ref=1 user=1 id={link.id} name= via=target"
    daemon.expect(array, [array.held(), by_link])
    look = helper.make("iter", link)
    by_iter = (f"{array.key} iter ref=1 user=1 pid={helper.pid} comm=mkobj fd={look.fd}"
               " target=bpf_map_elem")
    daemon.expect(array, [array.held(), by_link, by_iter])
    link.close()
    array.close()
    prog.close()
    daemon.expect(array, [by_iter])
    look.close()
    daemon.gone(array)


def test_iter_opened_by_its_pin(env):
    daemon, helper = env.daemon(), env.helper()
    prog, link = iterator(helper, "task")
    helper.do("pin", link.var, env.bpffs / "tasks")
    by_link = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    link.close()
    daemon.expect(link, [pinned(link, env.bpffs / "tasks")])
    look = helper.make("openfile", env.bpffs / "tasks")
    daemon.expect(prog, [prog.held(), by_link,
                         f"{prog.key} iter ref=1 user=0 pid={helper.pid} comm=mkobj fd={look.fd}"
                         " target=task"])
    look.close()
    daemon.expect(prog, [prog.held(), by_link])


def test_kernel_btf(env):
    daemon, helper = env.daemon(), env.helper()
    helper.make("map", "array")
    line = next((x for x in daemon.lines("holders")[0]
                 if x.startswith("btf/") and " kernel " in x), None)
    check(line is not None, "no line of class kernel")
    said = fields(line)
    equal((said["ref"], said["user"]), ("1", "0"), line)
    check(said["why"], line)


def test_kptrs_hold_the_kernels_btf(env):
    daemon, helper = env.daemon(), env.helper()
    vmlinux = next(x.split(" ", 1)[0] for x in daemon.lines("objects")[0]
                   if fields(x)["name"] == "vmlinux")

    def ours(*holders):
        """What of the lines on vmlinux's BTF is about these holders, and the remainder."""
        lines = [x for x in daemon.lines(f"{vmlinux}/holders")[0]
                 if "kptr" in fields(x).get("via", "")
                 and any(f" {o.key.split('/')[0]} " in x and fields(x)["id"] == str(o.id)
                         for o in holders)]
        return lines, daemon.pairs(f"{vmlinux}/refs")["unexplained"]

    before = stable(lambda: ours()[1])
    # Before 6.3 "kptr" was the tag of what is "kptr_untrusted" now, and that none.
    btf = helper.make("btf", kptrs=1, tag="kptr")
    plain = helper.make("map", "array", btf=btf, kptrs=1, value=8)
    outer = helper.make("map", "array_of_maps", inner=plain, max=2)
    # A BTF's own structures are looked into for kptrs since 6.14; then it holds the kernel's too.
    of_btf = f"{vmlinux} btf ref=1 user=0 id={btf.id} name= via=kptr"
    wanted = [f"{vmlinux} map ref=1 user=0 id={plain.id} name= via=kptr",
              f"{vmlinux} map ref=1 user=0 id={outer.id} name= via=template_kptr"]

    def held():
        lines, rest = ours(btf, plain, outer)
        compare([x for x in lines if x != of_btf], wanted)
        equal(rest, before, "the remainder on vmlinux's BTF")
    eventually(held)
    for obj in (outer, plain, btf):
        obj.close()
        daemon.gone(obj)
    eventually(lambda: equal(ours(btf, plain, outer), ([], before), "after the end"))


def test_link_of_a_sockmap(env):
    daemon, helper = env.daemon(), env.helper()
    sockmap = helper.make("map", "sockmap", name="sockets")
    prog = helper.make("prog", "sk_skb", attach="sk_skb_verdict")
    try:
        link = helper.make("link", "sockmap", prog, sockmap, attach="sk_skb_verdict")
    except OSError as error:
        raise Skip(f"no sockmap links before 6.10: {error}") from error
    target = f"{sockmap.key} link ref=1 user=1 id={link.id} name= via=target"
    daemon.expect(sockmap, [sockmap.held(), target])
    sockmap.close()
    daemon.expect(sockmap, [target])
    link.close()
    daemon.gone(sockmap)


def test_process_directory(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "array")
    prog = helper.make("prog", "socket_filter", maps=array)
    base = f"pid/{helper.pid}"
    equal(daemon.read(f"{base}/comm"), "mkobj\n")
    holding = [x.split(" ", 1)[0] for x in daemon.lines(f"{base}/holding")[0]]
    equal(sorted(holding), sorted([array.key, prog.key]), "holding")
    links = {name: os.readlink(daemon.tree / base / "fd" / name)
             for name in os.listdir(daemon.tree / base / "fd")}
    equal(links, {str(o.fd): f"../../../{o.key}" for o in (array, prog)}, "fd")
    check((daemon.tree / base / "fd" / str(array.fd) / "info").exists(), "fd leads nowhere")
    helper.end()

    def gone():
        check(not (daemon.tree / base).exists(), f"{base} is still there")
    eventually(gone)


def test_whole_system_files_agree(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array", name="jmp", max=2)
    prog = helper.make("prog", "socket_filter", maps=array, name="entry")
    helper.do("slot", array.var, 0, prog.var)
    helper.do("pin", array.var, env.bpffs / "jmp")
    every = daemon.lines("holders")[0]
    for obj in (array, prog):
        own = daemon.lines(f"{obj.key}/holders")[0]

        def strip(lines):
            return sorted(" ".join(w for w in x.split(" ") if not w.startswith("file="))
                          for x in lines)
        equal(strip(x for x in every if x.startswith(obj.key + " ")), strip(own), obj.key)
        row, refs = daemon.row(obj.key), daemon.pairs(f"{obj.key}/refs")
        for name in ("refcnt", "unexplained", "state"):
            equal(row[name], refs[name], f"{obj.key} {name}")
    row = daemon.row(array.key)
    equal((row["name"], row["type"], row["pins"], row["usercnt"]),
          ("jmp", "prog_array", "1", "2"), str(row))


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
