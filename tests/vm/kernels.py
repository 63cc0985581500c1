# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels, by package name through apt, downloaded once and kept outside the tree.

Each suite has an apt configuration of its own in the cache, made from where this machine's apt gets
Debian from: the machine's list of suites stays as it is.
"""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess

# The suites that have it (of the main archive, and of the security archive), and the package that
# always depends on the newest there.
KERNELS = {
    "5.10": (("bullseye",), ("bullseye-security",), "linux-image-amd64"),
    "6.1": (("bookworm",), ("bookworm-security",), "linux-image-amd64"),
    "6.12": (("bookworm",), ("bookworm-security",), "linux-image-6.12-amd64"),
    "newest": (("unstable",), (), "linux-image-amd64"),
}
# What an image package has its parts in, besides itself.
PARTS = re.compile(r"linux-(image|modules|binary)\S*-amd64")


class Unreachable(Exception):
    """No kernel, and none could be had: no network, no such suite on the mirror."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        base = "/var/cache" if os.geteuid() == 0 else pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "bpfrefs-vm"


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
    """An apt of our own, for the suites of one kernel."""

    def __init__(self, place, suites, security_suites):
        self.place = place
        for name in ("state/lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True, exist_ok=True)
        (place / "status").touch()
        main, security = archives()
        (place / "sources.list").write_text("".join(
            f"deb {uri} {suite} main\n"
            for uri, names in ((main, suites), (security, security_suites)) for suite in names))
        self.options = [word for option in (
            f"Dir::State={place}/state", f"Dir::State::status={place}/status",
            f"Dir::Cache={place}/cache", f"Dir::Etc::sourcelist={place}/sources.list",
            "Dir::Etc::sourceparts=/dev/null", "APT::Architecture=amd64",
            "Acquire::Languages=none", "Acquire::Retries=3", "APT::Update::Error-Mode=any",
            # a cache below a home is closed to apt's own user
            "APT::Sandbox::User=root") for word in ("-o", option)]
        call("apt-get", *self.options, "-q", "update")

    def depends(self, package):
        lines = call("apt-cache", *self.options, "depends", package).splitlines()
        return [line.split()[-1] for line in lines if re.match(r"\s+\|?Depends: ", line)]

    def parts(self, meta):
        """The packages that the newest kernel is in: the one that the meta package names, and what
        of its own files it has in packages of their own."""
        todo, found = [meta], []
        while todo:
            for package in self.depends(todo.pop()):
                if PARTS.fullmatch(package) and package not in found:
                    found.append(package)
                    todo.append(package)
        if not found:
            raise Unreachable(f"{meta} depends on no kernel")
        return found


def download(name, place):
    suites, security, meta = KERNELS[name]
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise Unreachable(f"no {tool}: not a Debian")
    apt = Apt(cache() / f"apt-{name}", suites, security)
    new = place.with_name(place.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    call("apt-get", *apt.options, "-q", "download", *apt.parts(meta), cwd=new)
    for package in list(new.glob("*.deb")):
        call("dpkg-deb", "-x", package, new)
        package.unlink()
    new.rename(place)


class Kernel:
    """An unpacked one: its image and its modules. Since 7.x both are below usr/lib/modules."""

    def __init__(self, name, place):
        self.name = name
        (modules,) = [path for path in place.glob("**/lib/modules/*") if (path / "kernel").is_dir()]
        self.modules, self.release = modules, modules.name
        images = (modules / "vmlinuz", place / "boot" / f"vmlinuz-{self.release}")
        self.image = next(path for path in images if path.is_file())


def get(name):
    """The kernel, downloaded unless it is there: delete the cache for a newer one."""
    cache().mkdir(parents=True, exist_ok=True)
    place = cache() / name
    with open(cache() / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            download(name, place)
    return Kernel(name, place)
