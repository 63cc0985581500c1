# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages, through apt, downloaded once and kept outside the tree: kernels, and the
programs and libraries of other architectures.

Each has an apt configuration of its own in the cache, made from where this machine's apt gets Debian
from: the machine's list of suites and of architectures stays as it is.
"""
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys

# What an image package of a kernel has its parts in, besides itself.
PARTS = re.compile(r"linux-(image|modules|binary)-\S+")
# Of another architecture. To build with:
DEVELOPMENT = """libc6-dev libbpf-dev libfuse3-dev libglib2.0-dev libmount-dev libcap-ng-dev
    libjson-glib-dev""".split()
# and to run: what image.py looks for. The shell of busybox-static would prefer its own programs.
RUN = """python3 bash dash busybox iproute2 mount util-linux fuse3 jq rsync bpftool coreutils
    diffutils findutils grep sed mawk procps tar libgcc-s1""".split()
UNPACKED = "unpacked"  # has the names of the packages that were


class Unreachable(Exception):
    """Not here, and could not be had: no network, no such suite on the mirror."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = "/var/cache" if os.geteuid() == 0 else pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "bpfrefs-vm"


@contextlib.contextmanager
def locked(place):
    """Alone, among all that make this directory."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def call(*command, **kwargs):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=900, **kwargs)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise Unreachable(f"{' '.join(map(str, command[:1]))}: {last[0]}")
    return done.stdout


def archives():
    """Where this machine gets Debian from: the main archive's address, the security archive's."""
    lines = call("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)",
                 "Created-By: Packages").splitlines()
    main = next((x.split()[-1] for x in lines if x.startswith("Debian Debian ")), None)
    security = next((x.split()[-1] for x in lines if x.startswith("Debian Debian-Security ")), None)
    if not main or not security:
        raise Unreachable("apt knows no archive of Debian here: not a Debian, or no apt-get update")
    return main, security


class Apt:
    """An apt of our own, for some suites of an architecture, in which no package is installed."""

    def __init__(self, place, arch, suites):
        for tool in ("apt-get", "dpkg-deb"):
            if not shutil.which(tool):
                raise Unreachable(f"no {tool}: not a Debian")
        self.place = place
        for name in ("state/lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True, exist_ok=True)
        (place / "status").touch()
        (place / "sources.list").write_text("".join(
            f"deb {uri} {suite} main\n"
            for uri, names in zip(archives(), suites) for suite in names))
        self.options = [word for option in (
            f"Dir::State={place}/state", f"Dir::State::status={place}/status",
            f"Dir::Cache={place}/cache", f"Dir::Etc::sourcelist={place}/sources.list",
            "Dir::Etc::sourceparts=/dev/null", f"APT::Architecture={arch}",
            f"APT::Architectures={arch}", "Acquire::Languages=none", "Acquire::Retries=3",
            "APT::Update::Error-Mode=any",
            # a cache below a home is closed to apt's own user
            "APT::Sandbox::User=root") for word in ("-o", option)]
        call("apt-get", *self.options, "-q", "update")

    def depends(self, package):
        lines = call("apt-cache", *self.options, "depends", package).splitlines()
        return [line.split()[-1] for line in lines if re.match(r"\s+\|?Depends: ", line)]

    def kernel(self, meta, place):
        """Unpacks the newest kernel: the package that the meta package names, and what of its own
        files it has in packages of their own."""
        todo, found = [meta], []
        while todo:
            for package in self.depends(todo.pop()):
                if PARTS.fullmatch(package) and package not in found:
                    found.append(package)
                    todo.append(package)
        if not found:
            raise Unreachable(f"{meta} depends on no kernel")
        self.packages(found, place)

    def packages(self, names, place):
        """Unpacks packages alone."""
        call("apt-get", *self.options, "-q", "download", *names, cwd=place)
        unpack(place, place)

    def programs(self, names, place):
        """Unpacks packages and all that they depend on."""
        call("apt-get", *self.options, "-q", "-y", "--no-install-recommends", "--download-only",
             "install", *names)
        unpack(self.place / "cache/archives", place)


def unpack(packages, place):
    for package in sorted(packages.glob("*.deb")):
        call("dpkg-deb", "-x", package, place)
        package.unlink()


def merge(root):
    """Makes one system of unpacked packages: /bin, /lib and /sbin are those of /usr; links lead to
    names below root; awk, which is made when a package is configured, is mawk."""
    for name in ("bin", "lib", "lib64", "sbin"):
        place = root / name
        if place.is_dir() and not place.is_symlink():
            call("cp", "-al", f"{place}/.", root / "usr" / name)
            shutil.rmtree(place)
        if not place.is_symlink() and (root / "usr" / name).is_dir():
            place.symlink_to(f"usr/{name}")
    for folder, names, others in os.walk(root):
        for path in (pathlib.Path(folder, name) for name in names + others):
            if path.is_symlink() and os.path.isabs(target := os.readlink(path)):
                path.unlink()
                path.symlink_to(os.path.relpath(f"{root}{target}", folder))
    (root / "usr/bin/awk").symlink_to("mawk")
    # Python's library is compiled when it is configured: here, if that is the same Python.
    library = root / "usr/lib/python{}.{}".format(*sys.version_info)
    if library.is_dir():
        call(sys.executable, "-m", "compileall", "-q", "-x", "lib2to3|/test|idlelib|tkinter",
             "-s", root, "-p", "/", library)


def made(name, make):
    """A directory of the cache, made unless it is there: delete the cache for newer packages."""
    place = cache() / name
    with locked(place):
        if not place.exists():
            new = place.with_name(name + ".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            make(new)
            new.rename(place)
    return place


def kernel(name, machine):
    """The directory with a machine's kernel of Debian."""
    name = machine.kernel or name
    return made(name, lambda new: Apt(cache() / f"apt-{name}", machine.arch, machine.suites)
                .kernel(machine.package, new))


class Kernel:
    """An unpacked one: its image and its modules. Since 7.x both are below usr/lib/modules."""

    def __init__(self, place):
        (modules,) = [path for path in place.glob("**/lib/modules/*") if (path / "kernel").is_dir()]
        self.modules, self.release = modules, modules.name
        images = (modules / "vmlinuz", *(place / "boot" / f"{image}-{self.release}"
                                         for image in ("vmlinuz", "vmlinux")))
        self.image = next(path for path in images if path.is_file())


def root(arch, suites):
    """The directory with the programs and libraries of another architecture, as in a system's /."""
    names = " ".join(DEVELOPMENT + RUN)
    place = cache() / f"root-{arch}"
    if place.exists() and (place / UNPACKED).read_text() != names:
        shutil.rmtree(place)

    def make(new):
        Apt(cache() / f"apt-root-{arch}", arch, suites).programs(names.split(), new)
        merge(new)
        (new / UNPACKED).write_text(names)
    return made(place.name, make)
