#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds bpfrefs and its tests for a virtual machine of another architecture, in a directory below
the build directory, then runs that machine: vm.py as this build's meson would run it.

Usage: cross.py MACHINE, from meson. The compiler is Debian's cross compiler, headers and libraries
are those of the machine's own packages (debian.py).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import debian
from machines import ARCHITECTURES, MACHINES

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["MESON_BUILD_ROOT"])


BPFTOOL = """#!/bin/sh
exec qemu-{cpu} -L {root} {root}/usr/sbin/bpftool "$@"
"""


def cross_file(arch, root, build):
    """The text of meson's cross file."""
    triplet, cpu, endian = arch.triplet, arch.cpu, arch.endian
    ccache = [path for path in [shutil.which("ccache")] if path]
    # Debian 12's cannot link for the other byte order: the architecture's own can, by qemu-user
    bpftool = f"bpftool = '{build}/bpftool'" if endian != sys.byteorder else ""
    libdir = [f"{root}/usr/{name}/pkgconfig" for name in (f"lib/{triplet}", "share")]
    return f"""[binaries]
c = {[*ccache, f"{triplet}-gcc", f"--sysroot={root}"]}
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
{bpftool}
[properties]
sys_root = '{root}'
pkg_config_libdir = {libdir}

[host_machine]
system = 'linux'
cpu_family = '{cpu}'
cpu = '{cpu}'
endian = '{endian}'

[built-in options]
# not the default on riscv64: test_fault knows places by backtraces
c_args = ['-fasynchronous-unwind-tables']
c_link_args = ['-L{root}/usr/lib/{triplet}']
"""


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        print(f"not ok 1 - the build: {command[0]}\n1..1")
        for line in [f"exit {done.returncode}", *done.stdout.splitlines()[-40:]]:
            print(f"# {line}")
        sys.exit(1)


def configure(arch, root, build):
    """Configures the build, or configures it anew if it would not be the same."""
    file, text = build / "cross.ini", cross_file(arch, root, build)
    if (build / "build.ninja").exists() and file.read_text() == text:
        return
    shutil.rmtree(build)
    build.mkdir()
    file.write_text(text)
    if arch.endian != sys.byteorder:
        (build / "bpftool").write_text(BPFTOOL.format(cpu=arch.cpu, root=root))
        (build / "bpftool").chmod(0o755)
    run("meson", "setup", "--cross-file", file, "-Dbpf=enabled", "-Dman=disabled", SOURCE, build)


def built(arch, name):
    """The directory of an architecture's build with what its virtual machines need, and its root."""
    root = debian.root(name, arch.suites)
    build = BUILD / "vm" / name
    with debian.locked(build):
        build.mkdir(exist_ok=True)
        configure(arch, root, build)
        run("ninja", "-C", build, "vm-programs", *(["vm-unit"] if os.environ.get("WHOLE") else []))
    return build, root


def main():
    name = sys.argv[1]
    arch = ARCHITECTURES[MACHINES[name].arch]
    for tool in (arch.qemu[0], f"{arch.triplet}-gcc",
                 *([f"qemu-{arch.cpu}"] if arch.endian != sys.byteorder else [])):
        if not shutil.which(tool):
            print(f"1..0 # SKIP the kernel itself: {tool} is not installed")
            return 0
    try:
        build, root = built(arch, MACHINES[name].arch)
    except debian.Unreachable as error:
        print(f"1..0 # SKIP the kernel itself: {error}")
        return 0
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)
    (test,) = [test for test in tests if test["name"] == f"vm-{name}"]
    sys.stdout.flush()
    os.execvpe(test["cmd"][0], test["cmd"], {**os.environ, **test["env"], "ROOT": str(root)})


sys.exit(main())
