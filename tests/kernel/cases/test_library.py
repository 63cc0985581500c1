#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The library in a process of its own, by ctypes: what it says, and that it changes nothing of the process."""
import ctypes
import errno
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

from harness import PATIENCE, Skip, check, equal, main, sanitized

BUILD = pathlib.Path(os.environ["BPFREFS"]).parents[1]
LIBRARY = str(BUILD / "lib" / "libbpfrefs.so")
WARNING, INFO, DEBUG = 4, 6, 7
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("source", ctypes.c_int), ("proc_fd", ctypes.c_int),
                ("hide_self", ctypes.c_bool), ("log_level", ctypes.c_int), ("memory", ctypes.c_uint64),
                ("why", ctypes.POINTER(ctypes.c_char_p)), ("log", LOG), ("log_data", ctypes.c_void_p)]


class Context:
    """A context of the library, and what it has logged: pairs of a level and a line."""

    def __init__(self, level=INFO, source=0, memory=0):
        self.lib = ctypes.CDLL(LIBRARY)
        self.said, self.handle, why = [], ctypes.c_void_p(), ctypes.c_char_p()
        self.log = LOG(lambda level, text, data: self.said.append([level, text.decode()]))
        options = Options(size=ctypes.sizeof(Options), source=source, log=self.log, log_level=level, memory=memory,
                          why=ctypes.pointer(why))
        self.error = -self.lib.bpfrefs_ctx_open(ctypes.byref(options), ctypes.byref(self.handle))
        self.why = why.value.decode() if why.value else None

    def source(self):
        why = ctypes.c_char_p()
        return self.lib.bpfrefs_ctx_source(self.handle, ctypes.byref(why)), (why.value or b"").decode()

    def records(self):
        snap, parts = ctypes.c_void_p(), []
        write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)(
            lambda text, length, _: parts.append(ctypes.string_at(text, length)) or 0)
        equal(self.lib.bpfrefs_snapshot_take(self.handle, ctypes.byref(snap)), 0)
        self.lib.bpfrefs_snapshot_to_records(snap, write, None)
        self.lib.bpfrefs_snapshot_unref(snap)
        return b"".join(parts).decode()

    def close(self):
        self.lib.bpfrefs_ctx_close(self.handle)


def child(function, *args, **env):
    """Calls a function of this file in a process of its own, and returns what it returns."""
    if sanitized(os.environ["BPFREFS"]):
        raise Skip("a sanitizer wants to be loaded before anything else")
    done = subprocess.run([sys.executable, __file__, "--call", function.__name__, json.dumps(args)],
                          env={**os.environ, **env}, capture_output=True, text=True, check=False,
                          timeout=8 * PATIENCE)
    equal(done.returncode, 0, done.stderr)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


# ------------------------------------------------------------------ log ---

def opened(level, source):
    ctx = Context(level, source)
    found = [ctx.error, ctx.why, ctx.said, *(ctx.source() if not ctx.error else ()),
             ctx.records() if not ctx.error else ""]
    if not ctx.error:
        ctx.close()
    return found


def refuse(*programs):
    return {"LD_PRELOAD": os.environ["FAULT_SO"], "FAULT_REFUSE": "".join(f"{x}," for x in programs)}


def test_program_that_the_verifier_refuses(env):
    """The words are those of this kernel's verifier: a program begins by reading a register that has no
    value. Its class is unavailable, and all else is read."""
    (error, _, said, source, why, records), _ = child(opened, INFO, 0, **refuse("walk_aio", "walk_cgroups"))
    equal((error, source, why), (0, 1, ""), f"{said}")
    for program, name in (("walk_aio", "aio"), ("walk_cgroups", "cgroup")):
        refused = f"the verifier refuses {program}: R9 !read_ok"
        check([WARNING, f"a BPF program is left out: {refused}"] in said, f"{said}")
        lines = [text for level, text in said if level == INFO and text.startswith(f"{program}: ")]
        check(2 < len(lines) <= 10 and lines[-1] == f"{program}: R9 !read_ok", f"{lines}")
        gap = f"# {name}: unavailable: its BPF program does not load on this kernel: {refused}"
        check(gap in records.splitlines(), records[-1000:])
    equal(re.findall(r"^# (\w+): unavailable", records, re.M), ["aio", "cgroup"])


def test_program_that_is_needed(env):
    """Without it procfs serves; with the BPF source the caller gets the reason."""
    reason = ("the BPF programs did not load: Permission denied: the verifier refuses walk_maps: "
              "R9 !read_ok")
    (error, _, said, source, why, _), _ = child(opened, INFO, 0, **refuse("walk_maps"))
    equal((error, source, why), (0, 2, reason))
    equal(said[-1], [WARNING, f"going on with procfs, without counters: {reason}"])
    (error, why, said, _), _ = child(opened, INFO, 1, **refuse("walk_maps"))
    equal((os.strerror(error), why), ("Permission denied", reason))
    equal({level for level, _ in said}, {INFO})
    daemon = env.daemon(program=("env", *(f"{k}={v}" for k, v in refuse("walk_maps").items()), env.bpfrefs))
    status = daemon.pairs("status")
    equal((status["source"], status["source_why"]), ("proc", reason))
    log = daemon.log.read_text()
    check("bpfrefs: walk_maps: R9 !read_ok\n" in log and f"counters: {reason}\n" in log, log)


def test_nothing_to_say(env):
    """Neither the library nor libbpf prints a line, and the log has none of the levels in question."""
    (error, why, said, _, _, records), printed = child(opened, INFO, 0)
    equal((error, why, said, printed), (0, None, [], ""))
    check(records, "no records")


# ------------------------------------------------------------- limits ---

def bounded():
    """What taking a snapshot returns if it may allocate ever more, until it succeeds."""
    found, memory = [], 1024
    while not found or found[-1]:
        ctx, snap = Context(memory=memory), ctypes.c_void_p()
        found.append(-ctx.lib.bpfrefs_snapshot_take(ctx.handle, ctypes.byref(snap)))
        ctx.lib.bpfrefs_snapshot_unref(snap)
        ctx.close()
        memory *= 4
    return found


def test_memory_is_bounded(env):
    """A snapshot that would need more is an error, and not the end of the process, wherever it ends."""
    found, printed = child(bounded)
    check(len(found) > 2, f"{found}")
    equal((set(found[:-1]), printed), ({errno.ENOMEM}, ""))


# -------------------------------------------------------- the process ---

def files():
    """The descriptors of this process: their targets, and whether they are closed by execve(2)."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[int(number)] = (os.readlink(f"/proc/self/fd/{number}"), not os.get_inheritable(int(number)))
        except OSError:
            continue  # that of the listing
    return found


def process():
    """What a library must leave as it is."""
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    keys = ("Umask", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
            "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", "Threads", "Cpus_allowed")
    return {**{key: status[key].split() for key in keys if key in status},
            **{name: pathlib.Path(f"/proc/self/{name}").read_text()
               for name in ("limits", "comm", "oom_score_adj", "timerslack_ns", "personality", "cgroup")},
            **{name: os.readlink(f"/proc/self/{name}") for name in ("cwd", "root", "ns/net", "ns/mnt")},
            "locale": ctypes.c_char_p(libc_locale()).value.decode(), "files": str(sorted(files().items()))}


def libc_locale():
    setlocale = ctypes.CDLL(None).setlocale
    setlocale.restype = ctypes.c_void_p
    return setlocale(6, None)  # LC_ALL


def used():
    """What differs after the library was used, and what the second use differs by."""
    libbpf = ctypes.CDLL("libbpf.so.1")
    libbpf.libbpf_set_print.restype = ctypes.c_void_p
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: 0)
    libbpf.libbpf_set_print(callback)
    ctypes.CDLL(LIBRARY)
    before, opened_before = process(), files()
    ctx = Context()
    ctx.records()
    leaked = [name for number, (name, cloexec) in files().items()
              if number not in opened_before and not cloexec]
    count = len(files()) - len(opened_before)
    ctx.close()
    after = process()
    ours = libbpf.libbpf_set_print(callback) == ctypes.cast(callback, ctypes.c_void_p).value
    return [{k: [v, after[k]] for k, v in before.items() if v != after[k]}, leaked, count, ours]


def test_process_stays_as_it_was(env):
    """Signals, umask, limits, the directory, the locale, threads and descriptors are those of before; while
    a context is open its descriptors are closed by execve(2); libbpf's callback is the application's."""
    (different, leaked, count, ours), _ = child(used)
    equal((different, leaked, ours), ({}, [], True))
    check(count > 20, f"{count} descriptors")


def two():
    first, second = Context(), Context()
    pin = os.environ["THE_MAP"]
    found = [pin in ctx.records() for ctx in (first, second, first)]
    first.close()
    found.append(pin in second.records())
    second.close()
    return found


def test_two_contexts_at_once(env):
    """Each finds what the other one holds, too."""
    obj = env.helper().make("map", "hash")
    equal(child(two, THE_MAP=f"{obj.key} fd ")[0], [True] * 4)


def threads():
    contexts, found = [Context(), Context(source=2)], []

    def work(ctx):
        for _ in range(3):
            found.append(os.environ["THE_MAP"] in ctx.records())
    workers = [threading.Thread(target=work, args=(contexts[i % 2],)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for ctx in contexts:
        ctx.close()
    return found


def test_several_threads(env):
    """Six threads share two contexts, one of each source."""
    obj = env.helper().make("map", "hash")
    equal(child(threads, THE_MAP=f"{obj.key} fd ")[0], [True] * 18)


def forked():
    """A child may close the contexts of its parent, and open its own; the parent goes on."""
    ctx, pin = Context(), os.environ["THE_MAP"]
    before = ctx.records()
    pid = os.fork()
    if pid == 0:
        ctx.close()
        own = Context()
        ok = pin in own.records()
        own.close()
        os._exit(0 if ok else 1)
    status = os.waitpid(pid, 0)[1]
    found = [status, pin in before, pin in ctx.records()]
    ctx.close()
    return found


def test_fork(env):
    obj = env.helper().make("map", "hash")
    equal(child(forked, THE_MAP=f"{obj.key} fd ")[0], [0, True, True])


def call(name, args):
    print(json.dumps(globals()[name](*json.loads(args))))
    return 0


if __name__ == "__main__":
    sys.exit(call(*sys.argv[2:]) if sys.argv[1:2] == ["--call"] else main(globals()))
