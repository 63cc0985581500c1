# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds a kernel from Debian's source of it, where Debian's own kernel of an architecture has no BPF
JIT or no BTF: from a list of options (NAME.config), and nothing else.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import debian
from machines import ARCHITECTURES

TOOLS = "make flex bison bc pahole openssl".split()
TIMEOUT = 7200


class Failed(Exception):
    """What make says is in the log."""


def run(place, log, *command):
    with open(log, "ab") as out:
        done = subprocess.run(["nice", "-n", "19", *map(str, command)], cwd=place, stdout=out,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                              timeout=TIMEOUT)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}, see {log}")


def missing(options, config):
    """The options that this kernel did not take: they depend on others, or are not there."""
    return sorted(set(re.findall(r"^CONFIG_.*", options.read_text(), re.M)) -
                  set(config.read_text().splitlines()))


def build(name, machine, options, place):
    """Builds the kernel into a directory, laid out as an image package's."""
    arch, log = ARCHITECTURES[machine.arch], place / "build.log"
    for tool in (*TOOLS, f"{arch.triplet}-gcc"):
        if not shutil.which(tool):
            raise debian.Unreachable(f"{tool} is not installed, which building a kernel needs")
    # It is the same for all; an archive may have none of an older suite for another architecture.
    debian.Apt(debian.cache() / f"apt-{name}", debian.call("dpkg", "--print-architecture").strip(),
               machine.suites).packages([machine.package], place)
    (tar,) = place.glob("usr/src/*.tar.xz")
    run(place, log, "tar", "xf", tar)
    (source,) = place.glob("linux-source-*")
    ccache = [path for path in [shutil.which("ccache")] if path]
    make = ("make", f"-j{os.cpu_count()}", f"ARCH={arch.linux}", f"CROSS_COMPILE={arch.triplet}-",
            f"CC={' '.join([*ccache, f'{arch.triplet}-gcc'])}")
    run(source, log, *make, f"KCONFIG_ALLCONFIG={options}", "allnoconfig")
    if left := missing(options, source / ".config"):
        raise Failed(f"{machine.package} does not take {', '.join(left)}")
    run(source, log, *make, arch.image, "modules")
    run(source, log, *make, f"INSTALL_MOD_PATH={place}", "DEPMOD=true", "modules_install")
    (modules,) = place.glob("lib/modules/*")
    (place / "boot").mkdir()
    shutil.copy(source / "arch" / arch.linux / "boot" / arch.image,
                place / "boot" / f"vmlinuz-{modules.name}")
    shutil.rmtree(source)
    shutil.rmtree(place / "usr")


def kernel(name, machine):
    """The directory with the kernel; another list of options is another kernel."""
    options = pathlib.Path(__file__).resolve().parent / machine.config
    digest = hashlib.sha256(options.read_bytes()).hexdigest()[:8]
    return debian.made(f"{name}-{digest}", lambda new: build(name, machine, options, new))
