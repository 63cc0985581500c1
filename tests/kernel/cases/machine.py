# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between machines: the numbers of older system calls, and the order of bits and bytes.
Newer system calls, from 424 on, have the same numbers everywhere."""
import ctypes
import os
import sys

from harness import libc

# asm/unistd.h of each; the others use asm-generic/unistd.h.
_NUMBERS = {
    "x86_64": {"exit": 60, "capget": 125, "capset": 126, "getdents64": 217, "perf_event_open": 298,
               "bpf": 321},
    "s390x": {"exit": 1, "capget": 184, "capset": 185, "getdents64": 220, "perf_event_open": 331,
              "bpf": 351},
    "ppc64le": {"exit": 1, "capget": 183, "capset": 184, "getdents64": 202, "perf_event_open": 319,
                "bpf": 361},
    "generic": {"exit": 93, "capget": 90, "capset": 91, "getdents64": 61, "perf_event_open": 241,
                "bpf": 280},
}
NUMBERS = _NUMBERS.get(os.uname().machine, _NUMBERS["generic"])

# Where in a function a kprobe can be. The kernel of riscv64 has no CONFIG_KPROBES_ON_FTRACE: it refuses one
# at the first instruction, which is one of eight bytes that are ftrace's.
ENTRY = 8 if os.uname().machine == "riscv64" else 0


def syscall(number, *args):
    """By its number, or by its name in the table."""
    result = libc.syscall(ctypes.c_long(NUMBERS.get(number, number)), *args)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def bit_field(place, size=64):
    """The bit field of one bit that is declared in this place (0 is the first) of an integer."""
    return 1 << (place if sys.byteorder == "little" else size - 1 - place)


def integer(data):
    """The integer that the kernel has written so."""
    return int.from_bytes(data, sys.byteorder)


def key(value):
    """A key of four bytes as bpftool wants it: its bytes."""
    return " ".join(str(byte) for byte in value.to_bytes(4, sys.byteorder))
