# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machines: their architectures, where their kernels come from, how they differ.

A machine of another architecture than x86-64 is named ARCHITECTURE-KERNEL.
"""
import typing


class Architecture(typing.NamedTuple):
    """Under the name that Debian has for it."""
    triplet: str  # of Debian's folders of libraries, and of its cross compiler
    cpu: str  # meson's cpu_family
    suites: tuple  # what the programs in the machine come from: a suite, and its security archive
    qemu: tuple  # the emulator, its machine and processor
    console: str  # the serial line that Linux prints to
    bus: str  # what qemu's virtio devices are attached to
    endian: str = "little"


BOOKWORM = (("bookworm",), ("bookworm-security",))
# One thread emulates all processors of x86-64: with a thread for each, qemu 7.2 does not always see
# code that another processor has changed, and kernels change their code while they run. Elsewhere a
# processor says itself when code has changed.
ARCHITECTURES = {
    "amd64": Architecture("x86_64-linux-gnu", "x86_64", BOOKWORM,
                          ("qemu-system-x86_64", "-cpu", "max", "-accel",
                           "tcg,thread=single,tb-size=1024"), "ttyS0", "pci"),
    # the architecture's own way to sign pointers takes most of the time in emulation
    "arm64": Architecture("aarch64-linux-gnu", "aarch64", BOOKWORM,
                          ("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on",
                           "-accel", "tcg,thread=multi,tb-size=1024"), "ttyAMA0", "pci"),
}


class Machine(typing.NamedTuple):
    """A kernel, and what of a system is around it."""
    version: str  # as tests/vm/skips.txt and shorter.txt name it
    suites: tuple
    package: str  # always depends on the newest kernel of these suites
    processors: int
    cgroups: str  # what is mounted of them
    words: str = ""  # more of them for the kernel
    tests: tuple = ()  # that run; empty: all
    arch: str = "amd64"
    kernel: str = ""  # the machine whose kernel it has, if not its own

    def names(self, name):
        """By which a list of cases can mean it."""
        return {"*", name, self.version, self.arch}


MACHINES = {
    "5.10": Machine("5.10", (("bullseye",), ("bullseye-security",)), "linux-image-amd64", 2, "v1"),
    "6.1": Machine("6.1", BOOKWORM, "linux-image-amd64", 2, "hybrid"),
    "6.12": Machine("6.12", BOOKWORM, "linux-image-6.12-amd64", 2, "v2"),
    "newest": Machine("newest", (("unstable",), ()), "linux-image-amd64", 4, "none"),
    # may not read the kernel's memory by BPF programs: as if they could not be loaded
    "lockdown": Machine("6.12", BOOKWORM, "linux-image-6.12-amd64", 2, "v2",
                        "lockdown=confidentiality", ("without", "mirror", "place", "session"),
                        kernel="6.12"),
    "arm64-6.1": Machine("6.1", BOOKWORM, "linux-image-arm64", 2, "hybrid", arch="arm64"),
    "arm64-6.12": Machine("6.12", BOOKWORM, "linux-image-6.12-arm64", 2, "v2", arch="arm64"),
    "arm64-6.12-16k": Machine("6.12", BOOKWORM, "linux-image-6.12-arm64-16k", 2, "v2",
                              arch="arm64"),
}
