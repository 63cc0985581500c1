#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of perf events: of descriptors, inherited by tasks, kept by arrays, links and mappings."""
import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import sys

from harness import Skip, check, equal, main, must, run
from machine import ENTRY, bit_field, syscall
from made import bpf, held, keep, only_mapped, shared, taken, update

PERF_EVENT_IOC_SET_BPF, PERF_TYPE_SOFTWARE = 0x40042408, 1
INHERIT = bit_field(1)  # in struct perf_event_attr
LINK_CREATE, PERF_EVENT = 28, 41
PRESERVE_ELEMS = 0x800


def perf_event(flags=0, config=0, kind=PERF_TYPE_SOFTWARE, config1=0, config2=0):
    """An event of ours that counts, on whatever CPU."""
    attr = struct.pack("=IIQQQQQIIQQ", kind, 72, config, 1000000000, 0, 0, flags, 0, 0, config1, config2)
    data = ctypes.create_string_buffer(attr, 72)
    return syscall("perf_event_open", data, ctypes.c_int(0), ctypes.c_int(-1),
                   ctypes.c_int(-1), ctypes.c_ulong(8))


class Event:
    """A perf event with a program."""

    def __init__(self, env, obj=None, **kwargs):
        self.fd = perf_event(**kwargs)
        env.cleanup(self.close)
        if obj:
            with taken(obj) as prog:
                fcntl.ioctl(self.fd, PERF_EVENT_IOC_SET_BPF, prog)

    def fileno(self):
        return self.fd

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def test_perf_event(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    event = Event(env, obj)
    line = held(obj, "perf", "event=software:cpu-clock", event.fd)
    second = os.dup(event.fd)
    daemon.expect(obj, [obj.held(), line,
                        held(obj, "perf", "event=software:cpu-clock", second)])
    shared(daemon, obj, "perf")
    os.close(second)
    obj.close()
    daemon.expect(obj, [line])
    event.close()
    daemon.gone(obj)


def test_perf_mapped(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    event = Event(env, obj)
    only_mapped(daemon, obj, event, "perf", "event=software:cpu-clock")


def test_perf_tracepoint(env):
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "tracefs"
    place.mkdir()
    if run("mount", "-t", "tracefs", "none", place)[0]:
        raise Skip("no tracefs")
    env.cleanup(must, "umount", place)
    number = int((place / "events/sched/sched_switch/id").read_text())
    obj = helper.make("prog", "tracepoint")
    event = Event(env, obj, kind=2, config=number)
    daemon.expect(obj, [obj.held(),
                        held(obj, "perf", "event=sched:sched_switch", event.fd, 1)])
    event.close()
    daemon.expect(obj, [obj.held()])


def test_perf_inherited(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    event = Event(env, obj, flags=INHERIT)
    line = held(obj, "perf", "event=software:cpu-clock", event.fd, 1)
    children = []

    def end(child):
        child.terminate()
        child.wait()
    for count in (1, 2):
        children.append(subprocess.Popen(["sleep", "100"]))
        env.cleanup(end, children[-1])
        daemon.expect(obj, [obj.held(), line,
                            held(obj, "perf", "event=software:cpu-clock via=inherited", event.fd,
                                 count)])
    # Parent and child may have swapped contexts: whose event is closed with the child cannot be said.
    end(children[0])
    daemon.expect(obj, [obj.held(), line,
                        held(obj, "perf", "event=software:cpu-clock via=inherited", event.fd)])
    event.close()
    daemon.expect(obj, [obj.held()])


def test_perf_event_array(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("prog", "perf_event")
    map_ = helper.make("map", "perf_event_array", max=3, flags=PRESERVE_ELEMS)
    event = Event(env, obj)
    update(map_, 2, event.fd)
    line = held(obj, "perf", "event=software:cpu-clock", event.fd, 1)
    slot = (f"{obj.key} perf ref=* user=0 share=* event=software:cpu-clock via=perf_event_array"
            f" id={map_.id} slot=2")
    daemon.expect(obj, [obj.held(), line, slot])
    shared(daemon, obj, "perf")
    event.close()
    obj.close()
    daemon.expect(obj, [slot])
    check(obj.key in daemon.read(f"{map_.key}/holding"), "holding of the array")
    equal(daemon.row(obj.key)["state"], "held")
    map_.close()
    daemon.gone(obj)


def test_perf_kprobe(env):
    """A kprobe is an event of a PMU of its own; its program is the event's."""
    try:
        with open("/sys/bus/event_source/devices/kprobe/type", encoding="ascii") as text:
            kind = int(text.read())
    except FileNotFoundError as error:
        raise Skip("no kprobes (CONFIG_KPROBE_EVENTS)") from error
    daemon, helper = env.daemon(), env.helper()
    obj, linked = helper.make("prog", "kprobe"), helper.make("prog", "kprobe")
    function = ctypes.create_string_buffer(b"vfs_statx")
    where = {"kind": kind, "config1": ctypes.addressof(function), "config2": ENTRY}
    event = Event(env, obj, **where)
    line = held(obj, "perf", "event=*vfs_statx", event.fd, 1)
    daemon.expect(obj, [obj.held(), line])
    obj.close()
    daemon.expect(obj, [line])
    check_link(env, daemon, linked, Event(env, **where), "*vfs_statx")
    event.close()
    daemon.gone(obj)


def test_perf_link(env):
    daemon, helper = env.daemon(), env.helper()
    check_link(env, daemon, helper.make("prog", "perf_event"), Event(env), "software:cpu-clock")


def check_link(env, daemon, obj, event, name):
    """A link of a program to an event is a holder of both."""
    with taken(obj) as prog:
        try:
            link = bpf(LINK_CREATE, struct.pack("=IIII", prog, event.fd, PERF_EVENT, 0))
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise Skip("no perf event links") from error
            raise
    file = keep(env, os.fdopen(link, "rb", buffering=0))
    with open(f"/proc/self/fdinfo/{link}", encoding="ascii") as info:
        ident = next(x.split()[1] for x in info if x.startswith("link_id:"))
    by_link = [f"{obj.key} link ref=1 user=0 id={ident} name= via=prog",
               f"{obj.key} perf ref=* user=0 share=* event={name} via=link id={ident}"]
    daemon.expect(obj, [obj.held(), held(obj, "perf", f"event={name}", event.fd)] + by_link)
    shared(daemon, obj, "perf")
    event.close()
    daemon.expect(obj, [obj.held()] + by_link)
    file.close()
    daemon.expect(obj, [obj.held()])


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
