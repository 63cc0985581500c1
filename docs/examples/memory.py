#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints how much memory BPF objects take, by the cgroup of the processes that hold them. It needs no
compiler: ctypes calls five functions of libbpfrefs, and json reads what the library writes."""
import collections
import ctypes
import json
import os
import sys

lib = ctypes.CDLL(os.environ.get("LIBBPFREFS", "libbpfrefs.so.0"))
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def check(err):
    if err:
        sys.exit(f"memory.py: {os.strerror(-err)}")


def snapshot():
    """The whole system, as .bpf/json has it."""
    ctx, snap, parts = ctypes.c_void_p(), ctypes.c_void_p(), []
    write = WRITE(lambda text, length, _: parts.append(ctypes.string_at(text, length)) or 0)
    check(lib.bpfrefs_ctx_open(None, ctypes.byref(ctx)))
    check(lib.bpfrefs_snapshot_take(ctx, ctypes.byref(snap)))
    check(lib.bpfrefs_snapshot_to_json(ctx, snap, write, None))
    lib.bpfrefs_snapshot_unref(snap)
    lib.bpfrefs_ctx_close(ctx)
    return json.loads(b"".join(parts))


def cgroup(pid):
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return next(line[3:-1] for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return "?"


def main():
    everything, held = snapshot(), collections.defaultdict(set)
    for ref in everything["holders"]:
        held[cgroup(ref["pid"]) if ref.get("pid") else "(no process)"].add(ref["object"])
    memlock = {x["object"]: x.get("memlock") for x in everything["objects"]}
    print(f"{'BYTES':>12} OBJECTS CGROUP")
    for bytes_, count, path in sorted(((sum(memlock.get(x) or 0 for x in objects), len(objects), path)
                                       for path, objects in held.items()), reverse=True):
        print(f"{bytes_:12} {count:7} {path}")


if __name__ == "__main__":
    main()
