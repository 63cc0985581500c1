#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""struct_ops of other kinds than congestion controls: what holds the map while it is registered, by a
link or without, what uses it, and what it holds."""
import errno
import os
import pathlib
import struct
import sys

from harness import Skip, check, equal, eventually, main, must, tool
from made import bpf, netns, private_net, taken
from test_objects import by_map, load, make, state_is, unregister

LINK = {"flags": 0x2000}  # BPF_F_LINK
PLACE = 0x0BF0E0F5        # in the objects, where a test puts a number
BPF_PROG_ASSOC_STRUCT_OPS = 38
DEFAULT_QDISC = pathlib.Path("/proc/sys/net/core/default_qdisc")
QDISC = ("bpfrefs_qdisc", "test_enqueue", "test_dequeue", "test_init", "test_reset", "test_destroy")
SCHED = ("bpfrefs_sched", "test_running", "test_stopping")


def register(helper, var, name):
    """Without a link there is nothing that would be an object."""
    try:
        if var is None:
            return helper.do("register", "none", name)
        return helper.make("register", name)
    except OSError as error:
        raise Skip(f"{name} cannot be registered: {error}") from error


class Registered:
    """A map that is registered, and its members; the file is unloaded again."""

    def __init__(self, env, file, names, link=False, daemon=None):
        self.helper, (self.map, *self.members) = load(env, file, *names, **(LINK if link else {}))
        if not link:
            env.cleanup(unregister, self.helper, self.map)
        self.link = register(self.helper, link or None, names[0])
        self.helper.do("unload")
        self.daemon = daemon or env.daemon()

    def by_link(self):
        return f"{self.map.key} link ref=1 user=0 id={self.link.id} name= via=struct_ops"

    def by_kernel(self, ops, algorithm=""):
        algorithm = f" algorithm={algorithm}" if algorithm else ""
        return f"{self.map.key} struct_ops ref=1 user=0 ops={ops}{algorithm}"

    def members_are_held(self, own=True):
        for prog in self.members:
            self.daemon.expect(prog, [prog.held()] * own + [by_map(prog, self.map, "struct_ops")])

    def close(self):
        for obj in (self.map, *self.members):
            obj.close()

    def unregister(self):
        again = self.helper.make("open", "map", self.map.id)
        self.helper.do("clear", again.var, 0)
        again.close()

    def all_gone(self):
        for obj in (self.map, *self.members):
            self.daemon.gone(obj)


def without_link(env, file, names, ops, algorithm=""):
    """Held by the kernel when everybody has left, until it is unregistered."""
    it = Registered(env, file, names)
    held = it.by_kernel(ops, algorithm)
    it.daemon.expect(it.map, [it.map.held(), held])
    it.members_are_held()
    it.close()
    it.daemon.expect(it.map, [held])
    it.members_are_held(own=False)
    state_is(it.daemon, it.map, "registered with the kernel (struct_ops)")
    it.unregister()
    it.all_gone()


def with_link(env, file, names):
    it = Registered(env, file, names, link=True)
    it.daemon.expect(it.map, [it.map.held(), it.by_link()])
    it.members_are_held()
    it.close()
    it.daemon.expect(it.map, [it.by_link()])
    it.daemon.expect(it.link, [it.link.held()])
    it.members_are_held(own=False)
    it.link.close()
    it.all_gone()


def test_scheduler(env):
    without_link(env, "ops-sched.bpf.o", SCHED, "sched_ext_ops", "bpfrefs_scheduler_with_a_long_name")


def test_scheduler_by_a_link(env):
    with_link(env, "ops-sched.bpf.o", SCHED)


def test_scheduler_with_an_arena(env):
    """It is held by the program that uses it, as every map, and by the scheduler."""
    names = ("bpfrefs_cid", "test_running", "arena")
    it = Registered(env, "ops-cid.bpf.o", names)
    prog, arena = it.members
    held = it.by_kernel("sched_ext_ops_cid", "bpfrefs_cid")
    uses = f"{arena.key} prog ref=1 user=0 id={prog.id} name=test_running via=used_maps"
    by_scheduler = f"{arena.key} map ref=1 user=0 id={it.map.id} name=bpfrefs_cid via=arena"
    it.daemon.expect(it.map, [it.map.held(), held])
    it.daemon.expect(arena, [arena.held(), uses, by_scheduler])
    it.close()
    it.daemon.expect(it.map, [held])
    it.daemon.expect(arena, [uses, by_scheduler])
    check(by_scheduler in it.daemon.lines(f"{it.map.key}/holding")[0], "holding")
    it.unregister()
    it.all_gone()


def test_qdisc(env):
    without_link(env, "ops-qdisc.bpf.o", QDISC, "Qdisc_ops", "bpfrefs_test")


def test_qdisc_by_a_link(env):
    with_link(env, "ops-qdisc.bpf.o", QDISC)


def used_by(it, where):
    return f"{it.map.key} struct_ops ref=1 user=0 ops=Qdisc_ops algorithm=bpfrefs_test {where}"


def add_device(name, *options):
    must(tool("ip"), "link", "add", name, *options, "type", "veth", "peer", "name", f"{name}p")
    index = int(must(tool("ip"), "-o", "link", "show", name).split(":", 1)[0])
    return f"ifname={name} ifindex={index} netns={netns()}"


def test_qdisc_of_a_device(env):
    """Each qdisc holds the map, when it is registered no longer too."""
    it = Registered(env, "ops-qdisc.bpf.o", QDISC, link=True)
    private_net(env)
    first, second = add_device("v0"), add_device("v1")
    for name, handle in (("v0", "12"), ("v1", "a")):
        must(tool("tc"), "qdisc", "add", "dev", name, "root", "handle", f"{handle}:", "bpfrefs_test")
    first, second = (used_by(it, f"{where} parent=root handle={handle}:")
                     for where, handle in ((first, "12"), (second, "a")))
    it.daemon.expect(it.map, [it.map.held(), it.by_link(), first, second])
    it.close()
    must(tool("tc"), "qdisc", "del", "dev", "v1", "root")
    it.daemon.expect(it.map, [it.by_link(), first])
    it.link.close()
    it.daemon.expect(it.map, [first])
    it.members_are_held(own=False)
    equal(it.daemon.row(it.map.key)["state"], "held")
    must(tool("ip"), "link", "del", "v0")
    it.all_gone()


def test_default_qdisc(env):
    """The kernel holds the default one, and queues of a device get one each."""
    it = Registered(env, "ops-qdisc.bpf.o", QDISC)
    # opened here: it is not there in another network namespace
    default = os.open(DEFAULT_QDISC, os.O_RDWR | os.O_CLOEXEC)
    env.cleanup(os.close, default)
    before = os.pread(default, 64, 0)
    env.cleanup(os.pwrite, default, before, 0)
    os.pwrite(default, b"bpfrefs_test", 0)
    it.close()
    held = [it.by_kernel("Qdisc_ops", "bpfrefs_test"), used_by(it, "via=default_qdisc")]
    it.daemon.expect(it.map, held)
    private_net(env)
    where = add_device("v2", "numtxqueues", "4")
    must(tool("tc"), "qdisc", "add", "dev", "v2", "root", "handle", "1:", "mq")
    queues = [used_by(it, f"{where} parent=1:{n} handle=0:") for n in (1, 2, 3, 4)]
    it.daemon.expect(it.map, held + queues)
    must(tool("ip"), "link", "del", "v2")
    it.daemon.expect(it.map, held)
    os.pwrite(default, before, 0)
    it.daemon.expect(it.map, held[:1])
    it.unregister()
    it.all_gone()


def with_number(env, file, number):
    """A copy of an object in which the place has been filled in: libbpf of the floor cannot."""
    if "OBJECT_FILES" not in os.environ:
        raise Skip("built without BPF")
    data = pathlib.Path(os.environ["OBJECT_FILES"], file).read_bytes()
    equal(data.count(struct.pack("=I", PLACE)), 1, "places in the object")
    path = env.tmp / file
    path.write_bytes(data.replace(struct.pack("=I", PLACE), struct.pack("=I", number)))
    return path


class Hid:
    """A HID device of ours."""

    DESCRIPTOR = bytes.fromhex("0600ff0901a101150026ff0075089501090181 02c0")

    def __init__(self, env):
        try:
            self.fd = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Skip(f"no HID devices: {error}") from error
        env.cleanup(self.close)
        before = set(self.listed())
        create = struct.pack("=I128s64s64sHHIIII4096s", 11, b"bpfrefs test", b"", b"",
                             len(self.DESCRIPTOR), 3, 0x1209, 1, 0, 0, self.DESCRIPTOR)
        os.write(self.fd, create)
        eventually(lambda: check(set(self.listed()) - before, "no device"))
        (name,) = set(self.listed()) - before
        self.id = int(name.split(".")[1], 16)

    @staticmethod
    def listed():
        return os.listdir("/sys/bus/hid/devices")

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def test_hid(env):
    """The device holds nothing: the map stays registered when the device was removed."""
    device = Hid(env)
    it = Registered(env, with_number(env, "ops-hid.bpf.o", device.id), ("bpfrefs_hid", "test_event"))
    held = it.by_kernel("hid_bpf_ops")
    it.daemon.expect(it.map, [it.map.held(), held])
    it.close()
    it.daemon.expect(it.map, [held])
    it.members_are_held(own=False)
    device.close()
    it.daemon.expect(it.map, [held])
    it.unregister()
    it.all_gone()


def test_hid_by_a_link(env):
    device = Hid(env)
    with_link(env, with_number(env, "ops-hid.bpf.o", device.id), ("bpfrefs_hid", "test_event"))


def test_ring(env):
    """A ring holds nothing either; it is named by a descriptor of who registers."""
    helper, names = env.helper(), ("bpfrefs_uring", "test_step")
    # DEFER_TASKRUN and SINGLE_ISSUER: it must be such a one
    ring = make(helper, "uring", flags=1 << 13 | 1 << 12)
    file = with_number(env, "ops-uring.bpf.o", ring.fd)
    table, prog = load(env, file, *names, helper=helper)[1]
    env.cleanup(unregister, helper, table)
    register(helper, None, names[0])
    helper.do("unload")
    daemon = env.daemon()
    held = f"{table.key} struct_ops ref=1 user=0 ops=io_uring_bpf_ops"
    daemon.expect(table, [table.held(), held])
    daemon.expect(prog, [prog.held(), by_map(prog, table, "struct_ops")])
    helper.do("close", ring.var)
    daemon.expect(table, [table.held(), held])
    helper.do("clear", table.var, 0)
    daemon.expect(table, [table.held()])


def test_associated_program(env):
    """A program that is no member holds the map that it was associated with, as long as it lives."""
    names = ("bpfrefs_test", "test_ssthresh", "test_cong_avoid", "test_undo_cwnd")
    helper, (table, *members) = load(env, "congestion.bpf.o", *names)
    helper.do("unload")
    daemon = env.daemon()
    prog = make(helper, "prog", "raw_tracepoint", name="other")
    with taken(prog) as prog_fd, taken(table) as map_fd:
        try:
            bpf(BPF_PROG_ASSOC_STRUCT_OPS, struct.pack("=III", map_fd, prog_fd, 0))
        except OSError as error:
            check(error.errno == errno.EINVAL, str(error))
            raise Skip("no association with struct_ops, since 7.0") from error
    by_prog = f"{table.key} prog ref=1 user=0 id={prog.id} name=other via=st_ops_assoc"
    daemon.expect(table, [table.held(), by_prog])
    check(by_prog in daemon.lines(f"{prog.key}/holding")[0], "holding")
    table.close()
    daemon.expect(table, [by_prog])
    for member in members:
        member.close()
    daemon.expect(table, [by_prog])
    prog.close()
    daemon.gone(table)


if __name__ == "__main__":
    sys.exit(main(globals()))
