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
    linux: str = ""  # for a kernel that linux.py builds: Linux's name of it,
    image: str = ""  # and what make calls the image


BOOKWORM = (("bookworm",), ("bookworm-security",))
TRIXIE = (("trixie",), ())
ARCHITECTURES = {
    "amd64": Architecture("x86_64-linux-gnu", "x86_64", BOOKWORM,
                          ("qemu-system-x86_64", "-cpu", "max"), "ttyS0", "pci"),
    # the architecture's own way to sign pointers takes most of the time in emulation
    "arm64": Architecture("aarch64-linux-gnu", "aarch64", BOOKWORM,
                          ("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"),
                          "ttyAMA0", "pci"),
    # of which Debian 12 has none
    "riscv64": Architecture("riscv64-linux-gnu", "riscv64", TRIXIE,
                            ("qemu-system-riscv64", "-M", "virt"), "ttyS0", "pci"),
    # With two processors qemu 7.2 loses a flush of the TLB now and then.
    "s390x": Architecture("s390x-linux-gnu", "s390x", BOOKWORM,
                          ("qemu-system-s390x", "-M", "s390-ccw-virtio", "-cpu", "max"), "ttyS0",
                          "ccw", "big", "s390", "bzImage"),
}


# The tests that need no walkers.
PROCFS = ("without", "mirror", "place", "session")


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
    config: str = ""  # the package is the kernel's source, which linux.py builds with this file

    def names(self, name):
        """By which a list of cases can mean it."""
        return {"*", name, self.version, self.arch} | (
            set() if self.config else {f"debian-{self.version}"})


MACHINES = {
    "5.10": Machine("5.10", (("bullseye",), ("bullseye-security",)), "linux-image-amd64", 2, "v1"),
    "6.1": Machine("6.1", BOOKWORM, "linux-image-amd64", 2, "hybrid"),
    "6.12": Machine("6.12", BOOKWORM, "linux-image-6.12-amd64", 2, "v2"),
    "newest": Machine("newest", (("unstable",), ()), "linux-image-amd64", 4, "none"),
    # may not read the kernel's memory by BPF programs: as if they could not be loaded
    "lockdown": Machine("6.12", BOOKWORM, "linux-image-6.12-amd64", 2, "v2",
                        "lockdown=confidentiality", PROCFS,
                        kernel="6.12"),
    "arm64-6.1": Machine("6.1", BOOKWORM, "linux-image-arm64", 2, "hybrid", arch="arm64"),
    "arm64-6.12": Machine("6.12", BOOKWORM, "linux-image-6.12-arm64", 2, "v2", arch="arm64"),
    "arm64-6.12-16k": Machine("6.12", BOOKWORM, "linux-image-6.12-arm64-16k", 2, "v2",
                              arch="arm64"),
    # Two processors in one thread do not boot there (qemu 7.2).
    "riscv64-6.12": Machine("6.12", TRIXIE, "linux-image-riscv64", 1, "v2", arch="riscv64"),
    # Debian's has neither a BPF JIT nor BTF: the procfs source. The other has both.
    "s390x-6.1": Machine("6.1", BOOKWORM, "linux-image-s390x", 1, "hybrid", "", PROCFS, "s390x"),
    "s390x-jit": Machine("6.12", BOOKWORM, "linux-source-6.12", 1, "v2", arch="s390x",
                         config="s390x.config"),
}
