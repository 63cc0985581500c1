#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The capabilities of docs/packaging/kubernetes-narrow.yaml: with all of them everything works, and for
each of them something that fails without it. docs/threat-model.md has the same list."""
import os
import pathlib
import re
import sys

from harness import check, equal, main, tool
from test_security import GROUP, World, kinds, only

MANIFEST = pathlib.Path(__file__).resolve().parents[3] / "docs/packaging/kubernetes-narrow.yaml"
CHANGES = ("-o", f"allow_other,gid={GROUP},pins=file,keep=auto")
# Memory of BPF counts as locked on kernels before 5.11 alone: what is needed with none is needed always.
NO_MEMORY = "--memlock=0:0"


def listed():
    """Those of the manifest, with those in comments that it needs without ro."""
    return {name.lower(): not comment for comment, name in
            re.findall(r"(?m)^ +(# )?- ([A-Z_]+) # ", MANIFEST.read_text())}


def program(env, names):
    """The command that starts the daemon with these capabilities."""
    return [tool("prlimit"), NO_MEMORY, tool("setpriv"), *only(",".join(names)), env.bpfrefs]


class Restricted(World):
    """A mount of a daemon with these capabilities."""

    def __init__(self, env, names):
        start = env.daemon
        env.daemon = lambda *options: start(*options, program=program(env, names))
        try:
            super().__init__(env, *CHANGES)
        finally:
            env.daemon = start

    def as_bpffs(self, kind):
        """Whether what a caller of this kind does through the mirror is what bpffs does."""
        _, mirrored, plain = self.ask(kinds()[kind][0], kind)
        self.daemon.write(f"{self.obj.key}/keep", "off")  # of a caller who may
        return mirrored == plain


def starts(env, names):
    """It starts, mounts, and takes snapshots with BPF programs."""
    try:
        return env.daemon("-o", "ro", "--source=bpf", program=program(env, names)).pairs("status")["source"] == "bpf"
    except AssertionError as error:
        check("CAP_SYS_ADMIN" in str(error) or "Operation not permitted" in str(error), str(error))
        return False


def names_namespaces(env, names):
    daemon, helper = env.daemon("-o", "ro", program=program(env, names)), env.helper()
    helper.make("map", "array")
    line = next(line for line in daemon.lines("processes")[0] if line.startswith(f"{helper.pid} "))
    return f" mnt_ns={os.stat(f'/proc/{helper.pid}/ns/mnt').st_ino} " in line


def lists_closed_directories(env, names):
    (env.bpffs / "closed").mkdir()
    os.chmod(env.bpffs / "closed", 0)
    daemon = env.daemon("-o", "ro", program=program(env, names))
    try:
        return not os.listdir(daemon.mnt / "closed")
    except OSError:  # ESTALE: the daemon cannot see that it is still below SOURCE
        return False


def finds_rings(env, names):
    return env.daemon("-o", "ro", program=program(env, names)).pairs("status")["class io_uring"].endswith(": complete")


def real_time(env, names):
    daemon = env.daemon("-o", "keep=auto", program=program(env, names))
    return any(os.sched_getscheduler(int(thread)) & os.SCHED_FIFO for thread in os.listdir(f"/proc/{daemon.pid}/task"))


def change(kind):
    return lambda env, names: Restricted(env, names).as_bpffs(kind)


# What fails without each; and what else is left out, since it would do instead.
NEEDED = {
    "sys_admin": (starts, ()),
    "sys_ptrace": (names_namespaces, ()),
    "dac_read_search": (lists_closed_directories, ("dac_override",)),
    "ipc_lock": (finds_rings, ()),
    "dac_override": (change("cap_dac_override"), ()),
    "setuid": (change("user"), ()),
    "setgid": (change("root"), ()),
    "chown": (change("cap_chown"), ()),
    "fowner": (change("cap_fowner"), ()),
    "fsetid": (change("root"), ()),
    "sys_nice": (real_time, ()),
}


def test_the_list(_env):
    """Each is tried here, and just those outside of comments suffice with ro."""
    equal(set(listed()), set(NEEDED))
    equal({name for name, active in listed().items() if active},
          {"sys_admin", "sys_ptrace", "dac_read_search", "ipc_lock"})


def with_and_without(name):
    """The cases of a capability: what it is for, with it and without it."""
    works, others = NEEDED[name]

    def suffices(env):
        check(works(env, [one for one in NEEDED if one not in others]), "with it")

    def needed(env):
        check(not works(env, [one for one in NEEDED if one not in (name, *others)]), "without it")
    suffices.__name__, needed.__name__ = f"test_with_{name}", f"test_without_{name}"
    return {case.__name__: case for case in (suffices, needed)}


for capability in NEEDED:
    globals().update(with_and_without(capability))


if __name__ == "__main__":
    sys.exit(main(globals()))
