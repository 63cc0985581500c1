#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces in user and pid namespaces four levels deep, that no process is in any more; and
a system that has the first network namespace alone."""
import os
import pathlib
import re
import socket
import subprocess
import sys

from harness import Skip, check, equal, main, must, tool
from test_net import MK_NET, Prog, dispatched, filter_of

LEVELS = 4


def network_namespaces():
    """The numbers of those that processes are in."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(path.stat().st_ino)
        except OSError:
            pass  # it has ended
    return found


class Level:
    """A process in new user, pid and network namespaces, with a veth pair; the next one is its child,
    in its namespaces."""

    # the last level's answer is the innermost line
    SCRIPT = """
ip link add a0 type veth peer name a1 && ip link set lo up
echo level $(readlink /proc/self/ns/net) $(readlink /proc/self/ns/user)
if [ $1 -gt 1 ]; then exec unshare --user --map-root-user --pid --fork --net sh -c "$2" sh $(($1 - 1)) "$2"
fi
echo end
read -r line
"""

    def __init__(self, env, levels):
        enter = [tool("unshare"), "--user", "--map-root-user", "--pid", "--fork", "--net"]
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        self.process = subprocess.Popen(
            [*enter, "sh", "-c", self.SCRIPT, "sh", str(levels), self.SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PATH": path})
        env.cleanup(self.end)
        self.numbers, users = [], set()
        for line in iter(self.process.stdout.readline, ""):
            said = re.fullmatch(r"level net:\[(\d+)\] user:\[(\d+)\]\n", line)
            if not said:
                check(line == "end\n", f"unshare: {line}")
                break
            self.numbers.append(int(said[1]))
            users.add(said[2])
        equal(len(users), levels, "user namespaces")
        equal(len(set(self.numbers)), levels, "network namespaces")

    def descriptors(self):
        """One for each network namespace: found through the processes in them."""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/ns/net"):
            try:
                number = path.stat().st_ino
                if number in self.numbers and number not in found:
                    found[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
        equal(sorted(found), sorted(self.numbers), "namespaces found")
        return [found[number] for number in self.numbers]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(20)
        self.process.stdout.close()


def enter(fd, *command):
    return must(tool("nsenter"), f"--net=/proc/{os.getpid()}/fd/{fd}", *command)


def at(fd, number, device):
    index = enter(fd, tool("ip"), "-o", "link", "show", device).split(":", 1)[0]
    return f"ifname={device} ifindex={index} netns={number}"


def test_four_levels(env):
    """Each level has an attachment of another kind; then no process is in any of them."""
    daemon, helper = env.daemon(), env.helper()
    levels = Level(env, LEVELS)
    fds = levels.descriptors()
    for fd in fds:
        env.cleanup(os.close, fd)
    dissector = Prog(env, helper, "flow_dissector", attach="flow_dissector")
    xdp, tc = Prog(env, helper, "xdp", result=2), Prog(env, helper, "sched_cls")
    route = Prog(env, helper, "lwt_xmit")
    must(*MK_NET, f"/proc/{os.getpid()}/fd/{fds[0]}", "dissector", dissector.path, "on")
    enter(fds[1], tool("ip"), "link", "set", "dev", "a0", "xdpdrv", "pinned", xdp.path)
    enter(fds[2], tool("tc"), "qdisc", "add", "dev", "a1", "clsact")
    enter(fds[2], tool("tc"), "filter", "add", "dev", "a1", "egress", "prio", "1", "handle", "1",
          "bpf", "direct-action", "pinned", tc.path)
    enter(fds[3], tool("ip"), "link", "set", "a0", "up")
    enter(fds[3], tool("ip"), "route", "add", "192.0.2.0/24", "encap", "bpf", "xmit", "pinned",
          route.path, "dev", "a0")
    first, second, third, fourth = levels.numbers
    held = {
        dissector: [dissector.record("netns", 1, f"netns={first} attach_type=flow_dissector")],
        xdp: [xdp.record("xdp", 2, f"{at(fds[1], second, 'a0')} mode=driver"), dispatched(xdp)],
        tc: [filter_of(tc, f"{at(fds[2], third, 'a1')} parent=egress")],
        route: [route.record("route", 1, f"netns={fourth} table=254 dst=192.0.2.0/24 metric=0 ifname=a0"
                                            " via=lwt_xmit")],
    }
    for prog in held:
        prog.let_go()
    levels.end()
    check(not network_namespaces() & set(levels.numbers), "a process is still there")
    for prog, lines in held.items():
        daemon.expect(prog.key, lines)
    # from the innermost on, which goes alone
    for fd, prog in zip(reversed(fds), (route, tc, xdp, dissector)):
        env.cleanups.remove((os.close, (fd,)))
        os.close(fd)
        daemon.gone(prog.key)


def test_the_first_one_alone(env):
    """Nothing but the first network namespace: each class looks into it, and says that it is done."""
    own = os.stat("/proc/self/ns/net").st_ino
    others = network_namespaces() - {own}
    if others:
        raise Skip(f"there are others here: {len(others)}")
    daemon, helper = env.daemon(), env.helper()
    states = {name: state for name, state in re.findall(
        r"^class (\w+): BPF walk: (.*)$", daemon.read("status"), re.M)}
    check(len(states) > 20, f"{states}")
    equal({state for state in states.values()}, {"complete"}, f"{states}")
    must(tool("ip"), "link", "add", "bpfrefs0", "type", "veth", "peer", "name", "bpfrefs1")
    env.cleanup(must, tool("ip"), "link", "del", "bpfrefs0")
    xdp, tc = Prog(env, helper, "xdp", result=2), Prog(env, helper, "sched_cls")
    must(tool("ip"), "link", "set", "dev", "bpfrefs0", "xdpdrv", "pinned", xdp.path)
    must(tool("tc"), "qdisc", "add", "dev", "bpfrefs1", "clsact")
    must(tool("tc"), "filter", "add", "dev", "bpfrefs1", "ingress", "prio", "1", "handle", "1", "bpf",
         "direct-action", "pinned", tc.path)
    where = {name: f"ifname={name} ifindex={socket.if_nametoindex(name)} netns={own}"
             for name in ("bpfrefs0", "bpfrefs1")}
    xdp.let_go()
    tc.let_go()
    daemon.expect(xdp.key, [xdp.record("xdp", 2, f"{where['bpfrefs0']} mode=driver"),
                            dispatched(xdp)])
    daemon.expect(tc.key, [filter_of(tc, f"{where['bpfrefs1']} parent=ingress")])
    check(not daemon.lines("holders")[1], f"gaps: {daemon.lines('holders')[1]}")


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
