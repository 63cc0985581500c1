#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs attached to cgroups without a link."""
import os
import signal
import socket
import sys

from harness import ENOTSUPP, Skip, check, equal, eventually, fields, main, run, stable

MULTI, OVERRIDE = 2, 1


def attach(obj, group, kind="cgroup_inet_ingress", flags=MULTI, action="attach"):
    status, out, err = run(os.environ["MKOBJ"], "cgroup", action, obj.id, group, kind, flags)
    if kind == "lsm_cgroup" and err.strip() == str(ENOTSUPP):
        raise Skip("trampolines cannot be attached here")
    check(status == 0, f"{action} {kind}: {out}{err}")


def detach(obj, group, kind="cgroup_inet_ingress"):
    attach(obj, group, kind, 0, "detach")


def shown(group):
    """The cgroup as the class names it: from the root of the hierarchy, and its number."""
    path = "/" + str(group).split("/cgroup/", 1)[1]
    return f"path={path} id={os.stat(group).st_ino}"


def line(obj, group, kind="cgroup_inet_ingress", flags="multi"):
    words = f" flags={flags}" if flags else ""
    return f"{obj.key} cgroup ref=1 user=0 {shown(group)} attach_type={kind}{words}"


def test_attached(env):
    """In several cgroups and as several types: one reference each. What is effective in a child
    counts for nothing."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    child = group / "below"
    child.mkdir()
    try:
        prog = helper.make("prog", "cgroup_skb")
        attach(prog, group)
        daemon.expect(prog, [prog.held(), line(prog, group)])
        attach(prog, group, "cgroup_inet_egress")
        attach(prog, child)
        all_three = [line(prog, group), line(prog, group, "cgroup_inet_egress"),
                     line(prog, child)]
        daemon.expect(prog, [prog.held(), *all_three])
        prog.close()
        daemon.expect(prog, all_three)
        equal(daemon.pairs(f"{prog.key}/refs")["because"], f"attached (cgroup /{group.name})")
        equal(daemon.row(prog.key)["state"], "held")
        detach(prog, group)
        daemon.expect(prog, all_three[1:])
        detach(prog, group, "cgroup_inet_egress")
        detach(prog, child)
        daemon.gone(prog)
    finally:
        child.rmdir()


def test_many_programs(env):
    """A list of several, in one cgroup; their order does not matter."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    progs = [helper.make("prog", "cgroup_skb", name=f"p{i}") for i in range(20)]
    for prog in progs:
        attach(prog, group)
    for prog in progs:
        daemon.expect(prog, [prog.held(), line(prog, group)])
        detach(prog, group)
        daemon.expect(prog, [prog.held()])


def test_flags_and_types(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    for prog_type, kind, flags, word in (
            ("cgroup_skb", "cgroup_inet_egress", 0, None),
            ("cgroup_device", "cgroup_device", OVERRIDE, "override"),
            ("cgroup_sock", "cgroup_inet_sock_create", MULTI, "multi"),
            ("sock_ops", "cgroup_sock_ops", MULTI, "multi"),
            ("cgroup_sysctl", "cgroup_sysctl", MULTI, "multi")):
        prog = helper.make("prog", prog_type)
        attach(prog, group, kind, flags)
        daemon.expect(prog, [prog.held(), line(prog, group, kind, word)])
        detach(prog, group, kind)
        daemon.expect(prog, [prog.held()])


def test_link_is_not_repeated(env):
    """With a link the cgroup holds nothing: its line is the link's."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    prog = helper.make("prog", "cgroup_skb")
    link = helper.make("link", "cgroup", prog, group, attach="cgroup_inet_ingress")
    daemon.expect(prog, [prog.held(),
                         f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"])


def test_strange_name(env):
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    odd = group / "a b\\c"
    odd.mkdir()
    try:
        prog = helper.make("prog", "cgroup_skb")
        attach(prog, odd)

        def look():
            found = [fields(x) for x in daemon.lines(f"{prog.key}/holders")[0] if " cgroup " in x]
            equal([x["path"] for x in found], [f"/{group.name}/a b\\c"])
        eventually(look)
        detach(prog, odd)
    finally:
        odd.rmdir()


def socket_in(group):
    """A socket that was made in a cgroup and keeps it in use."""
    top = next(p for p in group.parents if p.name == "cgroup")
    with open("/proc/self/cgroup") as text:
        before = next(x for x in text if x.startswith("0::"))[3:].strip()
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    finally:
        (top / before.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))


def test_dying(env):
    """A cgroup that was removed keeps its programs until the last socket made in it is closed."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    child = group / "gone"
    child.mkdir()
    prog = helper.make("prog", "cgroup_skb")
    attach(prog, child)
    sock = socket_in(child)
    want = line(prog, child)
    child.rmdir()
    daemon.expect(prog, [prog.held(), want + " state=dying"])
    prog.close()
    daemon.expect(prog, [want + " state=dying"])
    sock.close()
    daemon.gone(prog)


def test_below_a_dying_one(env):
    """What comes after a removed cgroup is found too, and so is what is below one."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    outer, after = group / "outer", group / "after"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    progs = [helper.make("prog", "cgroup_skb", name=name) for name in ("in", "after")]
    attach(progs[0], inner)
    sock = socket_in(inner)
    want = line(progs[0], inner)
    inner.rmdir()
    outer.rmdir()
    after.mkdir()
    try:
        attach(progs[1], after)
        daemon.expect(progs[0], [progs[0].held(), want + " state=dying"])
        daemon.expect(progs[1], [progs[1].held(), line(progs[1], after)])
        sock.close()
        daemon.expect(progs[0], [progs[0].held()])
    finally:
        after.rmdir()


def test_many_cgroups(env):
    """More than one buffer holds, at many levels."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    prog = helper.make("prog", "cgroup_skb")
    groups, at = [], group
    for level in range(30):
        at = at / f"{'d' * 40}{level}"
        at.mkdir()
        groups.append(at)
    for number in range(300):
        wide = groups[9] / f"w{number}"
        wide.mkdir()
        groups.append(wide)
    try:
        for each in groups:
            attach(prog, each)
        daemon.expect(prog, [prog.held()] + [line(prog, each) for each in groups])
    finally:
        for each in reversed(groups):
            each.rmdir()
    daemon.expect(prog, [prog.held()])


def churn(group):
    """For ever: cgroups come and go, at two levels."""
    for number in range(1 << 30):
        outer = group / f"c{number % 50}"
        outer.mkdir()
        (outer / "in").mkdir()
        (outer / "in").rmdir()
        outer.rmdir()


def test_churn(env):
    """While cgroups come and go, a program's account is the same in every snapshot."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    stays = [group / name for name in ("a", "z")]
    prog = helper.make("prog", "cgroup_skb")
    want = []
    for each in stays:
        each.mkdir()
        attach(prog, each)
        want.append(line(prog, each))
    child = os.fork()
    if child == 0:
        churn(group)
    try:
        for _ in range(100):
            lines, gaps = daemon.lines(f"{prog.key}/holders")
            check(not gaps, str(gaps))
            equal(sorted(x for x in lines if " cgroup " in x), sorted(want))
            equal(daemon.pairs(f"{prog.key}/refs")["unexplained"], "0")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for left in sorted(group.glob("**/"), reverse=True):
            if left != group:
                left.rmdir()


def hooks(daemon):
    """How many functions' BTF the kernel holds for lsm_cgroup, and what is unexplained on it."""
    lines = [x for x in daemon.lines("holders")[0] if x.endswith("why=lsm_cgroup")]
    check(all(" kernel ref=1 user=0 " in x for x in lines), f"{lines}")
    return len(lines), daemon.pairs("btf/1/refs")["unexplained"]


def test_lsm_cgroup(env):
    """One reference to the function's BTF for each function, whoever attaches to it: the program
    behind which they run is the kernel's own, and has no id."""
    daemon, helper, group = env.daemon(), env.helper(), env.cgroup()
    rest = stable(lambda: hooks(daemon))[1]
    try:
        prog = helper.make("prog", "lsm", attach="lsm_cgroup", target="socket_bind")
    except OSError as error:
        raise Skip(f"lsm_cgroup programs do not load here: {error}") from error
    same = helper.make("prog", "lsm", attach="lsm_cgroup", target="socket_bind", result=1)
    other = helper.make("prog", "lsm", attach="lsm_cgroup", target="socket_connect")
    child = group / "below"
    child.mkdir()
    env.cleanup(child.rmdir)
    eventually(lambda: equal(hooks(daemon), (0, rest), "loaded only"))
    attach(prog, group, "lsm_cgroup")
    daemon.expect(prog, [prog.held(), line(prog, group, "lsm_cgroup")])
    eventually(lambda: equal(hooks(daemon), (1, rest), "one function"))
    attach(same, child, "lsm_cgroup")
    link = helper.make("link", "cgroup", other, group, attach="lsm_cgroup")
    daemon.expect(same, [same.held(), line(same, child, "lsm_cgroup")])
    daemon.expect(other, [other.held(),
                          f"{other.key} link ref=1 user=0 id={link.id} name= via=prog"])
    eventually(lambda: equal(hooks(daemon), (2, rest), "two functions"))
    prog.close()
    daemon.expect(prog, [line(prog, group, "lsm_cgroup")])
    link.close()
    eventually(lambda: equal(hooks(daemon), (1, rest), "one again"))
    detach(same, child, "lsm_cgroup")
    detach(prog, group, "lsm_cgroup")
    daemon.gone(prog)
    daemon.expect(same, [same.held()])
    eventually(lambda: equal(hooks(daemon), (0, rest), "none"))


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
