#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What configurations for other machines do. This machine's compiler stands in for that of the other
machine, so that no other packages are needed: meson asks it for no byte order.

Usage: cross.py SOURCE BUILD CLANG BPFTOOL, from meson.
"""
import os
import pathlib
import shutil
import subprocess
import sys

from tap import Failure, Skip, run_functions

SOURCE, OUTER, CLANG, BPFTOOL = (pathlib.Path(x).resolve() for x in sys.argv[1:5])
PLACE = OUTER / "cross"
CROSS_FILE = """
[binaries]
c = {c}
pkgconfig = 'pkg-config'
clang = '{clang}'
bpftool = '{bpftool}'
[properties]
needs_exe_wrapper = true
[host_machine]
system = 'linux'
cpu_family = '{machine}'
cpu = '{machine}'
endian = '{endian}'
"""
# It links nothing, and writes what meson wants to see.
STAND_IN = """#!/bin/sh
[ "$2" != object ] || cp "$4" "$3"
"""
ELF_BIG = 2  # EI_DATA


def check(condition, text):
    if not condition:
        raise Failure(text)


def setup(name, machine, endian, c="['cc']", bpftool=BPFTOOL):
    """Configures the tree for the machine: whether that was possible, what was said, and where."""
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "cross.ini").write_text(CROSS_FILE.format(
        c=c, machine=machine, endian=endian, clang=CLANG, bpftool=bpftool))
    done = subprocess.run(["meson", "setup", "--cross-file", place / "cross.ini", "-Dman=disabled",
                           "-Dbpf=enabled", place / "build", SOURCE], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr, place / "build"


def same_order():
    good, said, build = setup("aarch64", "aarch64", "little")
    check(good, said[-3000:])
    rules = (build / "build.ninja").read_text()
    check("fuzz-walk" not in rules, "programs with this machine's libFuzzer")
    check("-target bpfel" in rules and "-target bpfeb" not in rules, "the target of clang")


def other_order():
    script = PLACE / "bpftool"
    PLACE.mkdir(exist_ok=True)
    script.write_text(STAND_IN)
    script.chmod(0o755)
    good, said, build = setup("s390x", "s390x", "big", bpftool=script)
    check(good, said[-3000:])
    done = subprocess.run(["ninja", "-C", build, "lib/fd.bpf.o"], capture_output=True, text=True,
                          check=False)
    check(done.returncode == 0, done.stdout[-3000:])
    check((build / "lib/fd.bpf.o").read_bytes()[5] == ELF_BIG, "the order of bytes in fd.bpf.o")


def other_order_without_bpftool():
    good, said, _ = setup("refused", "s390x", "big", bpftool="/bin/false")
    check(not good, "configured with a bpftool that cannot")
    check("This bpftool cannot link BPF programs of the other byte order, which s390x has" in said,
          said[-3000:])


def narrow():
    if subprocess.run(["cc", "-m32", "-c", "-xc", "/dev/null", "-o", "/dev/null"],
                      capture_output=True, check=False).returncode:
        raise Skip("this machine's compiler knows no -m32")
    good, said, _ = setup("narrow", "x86", "little", c="['cc', '-m32']")
    check(not good, "configured for 32 bits")
    check("bpfrefs needs a machine of 64 bits" in said, said[-3000:])


def main():
    return run_functions([same_order, other_order, other_order_without_bpftool, narrow])


if __name__ == "__main__":
    for key in ("LD_LIBRARY_PATH", "LD_PRELOAD", "CC"):
        os.environ.pop(key, None)
    sys.exit(main())
