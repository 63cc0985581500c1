# SPDX-License-Identifier: GPL-2.0-or-later
"""What a virtual machine runs from: an initramfs of busybox, this build's programs, Python with its
standard library, the tools that the tests use, the libraries of all these, and the kernel's modules.
They are this machine's own, or come from a directory with those of another architecture. It is not
compressed: unpacking would be emulated too.
"""
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

# Found in PATH and copied; what of them is not installed here is missing there as well.
TOOLS = """bash dash bpftool ip tc mount umount unshare nsenter setpriv prlimit jq rsync fusermount3 sysctl
    awk cat chroot cp cut dd diff du find grep head install ls mkdir rm sed sleep sort
    sha256sum stat stdbuf tail tar tee timeout wc printf""".split()
# Parts of Python's library that no test uses, half of its size.
NOT_OF_PYTHON = re.compile(
    r"(test|tests|idlelib|tkinter|lib2to3|ensurepip|site-packages|dist-packages|turtledemo|"
    r"distutils|pydoc_data|config-.*|sqlite3|curses|asyncio|venv|wsgiref|xmlrpc|email)|"
    r".*\.opt-[12]\.pyc|_(ssl|sqlite3|tkinter|curses|dbm|gdbm|test|ctypes_test|xx).*\.so|readline.*\.so")
# Loaded at the start, with what they depend on. The kernel loads no other by itself here.
MODULES = """crc32c_generic fuse veth dummy macvlan tun tap sch_ingress sch_htb sch_prio sch_tbf sch_sfq sch_fq_codel sch_netem cls_bpf
    cls_u32 cls_basic cls_matchall act_bpf act_gact ip_tables iptable_filter iptable_nat ip6_tables ip6table_filter
    ip6table_nat xt_bpf x_tables overlay nf_tables nft_compat nft_chain_nat nf_nat nf_conntrack
    vxlan geneve ip_gre ip6_gre ipip sit ip_vti ip6_vti ip6_tunnel xfrm_interface
    unix af_packet algif_hash af_alg tcp_bbr tcp_dctcp tcp_bic hid uhid bonding kcm virtio_pci virtio_net
    virtio_console""".split()
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\n",
}


def said(program):
    """What a program or library says that it needs: the dynamic linker's path, the names of shared
    libraries, and the directories to search first."""
    done = subprocess.run(["readelf", "-dlW", str(program)], capture_output=True, text=True,
                          check=False, env={**os.environ, "LC_ALL": "C"})
    linker = re.findall(r"program interpreter: (/[^]]+)\]", done.stdout)
    libraries = re.findall(r"\(NEEDED\) .*\[(.+)\]", done.stdout)
    paths = re.findall(r"\((?:RUNPATH|RPATH)\) .*\[(.+)\]", done.stdout)
    here = str(pathlib.Path(program).parent)
    return linker, libraries, [part.replace("$ORIGIN", here)
                               for path in paths for part in path.split(":")]


class Image:
    """A directory that becomes a cpio archive. Files are at the paths that they have here, or below
    the other architecture's root, but for the tree and the build, which are below /bpfrefs."""

    def __init__(self, place, source, build, root, triplet):
        self.place, self.source, self.build, self.root = place, source, build, root
        self.libraries = [self.root / path for path in (
            f"lib/{triplet}", f"usr/lib/{triplet}", "lib64", "usr/lib64", "lib", "usr/lib",
            "usr/local/lib")]
        shutil.rmtree(place, ignore_errors=True)
        for name in ("bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "run", "mnt",
                     "etc", "root", "var/tmp"):
            (place / name).mkdir(parents=True)
        for name, text in ACCOUNTS.items():
            (place / "etc" / name).write_text(text)

    def within(self, path):
        """Where a path of this machine is in the virtual one."""
        path = pathlib.Path(path)
        for top, name in ((self.build, "bpfrefs/build"), (self.source, "bpfrefs/source"),
                          (self.root, "")):
            if path.is_relative_to(top):
                return pathlib.Path("/", name, path.relative_to(top))
        return path

    def at(self, path):
        target = self.place / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def add(self, path, to=None):
        target = self.at(to or self.within(path))
        if not target.exists():
            shutil.copy(path, target)

    def found(self, library, first):
        places = [pathlib.Path(place) for place in first] + self.libraries
        return next((place / library for place in places if (place / library).exists()), None)

    def program(self, path, to=None):
        """Adds a program or a library, and what it needs that is not there yet."""
        self.add(path, to)
        linker, libraries, first = said(path)
        for name in linker:
            self.add(self.root / name[1:], name)
        for library in (self.found(name, first) for name in libraries):
            target = library and self.within(os.path.normpath(library))
            if target and not self.at(target).exists():
                self.program(os.path.normpath(library), target)

    def which(self, name):
        places = [self.root / path for path in ("usr/bin", "usr/sbin", "bin", "sbin")]
        here = os.environ["PATH"] if self.root == pathlib.Path("/") else ""
        return shutil.which(name, path=":".join([here, *map(str, places)]).strip(":"))

    def busybox(self, applets):
        self.program(self.which("busybox"), "/bin/busybox")
        for name in applets:
            os.symlink("busybox", self.place / "bin" / name)

    def tools(self):
        for name in TOOLS:
            path = self.which(name)
            if path:
                target = self.place / "usr/bin" / name
                self.program(path, f"/usr/bin/{name}")
                target.chmod(0o755)  # not setuid: mount(8)
        for path in (self.root / "usr/libexec/coreutils").glob("libstdbuf.so"):
            self.add(path)

    def python(self):
        """Adds Python; its path there."""
        interpreter, library = pathlib.Path(sys.executable), sysconfig.get_path("stdlib")
        if self.root != pathlib.Path("/"):
            interpreter = pathlib.Path(self.which("python3"))
            library = self.root / "usr/lib" / interpreter.resolve().name

        def ignore(_, names):
            return [name for name in names if NOT_OF_PYTHON.fullmatch(name)]
        within = self.within(library)
        shutil.copytree(library, self.at(within), ignore=ignore)
        self.program(interpreter.resolve(), self.within(interpreter))
        for name, target in (("python3", self.within(interpreter)), ("env", "/bin/busybox")):
            if not self.at(f"/usr/bin/{name}").exists():
                os.symlink(target, self.place / "usr/bin" / name)
        # glibc loads it by name, to end a thread.
        self.program(self.found("libgcc_s.so.1", []))
        for module in pathlib.Path(library, "lib-dynload").glob("*.so"):
            if self.at(self.within(module)).exists():
                self.program(module)
        return self.within(interpreter)

    def modules(self, kernel):
        """The modules, unpacked, and what they depend on; their names in the order of loading."""
        files = {path.name.split(".")[0].replace("-", "_"): path
                 for path in kernel.modules.glob("kernel/**/*.ko*")}
        order = []

        def load(name):
            if name not in files or name in order:
                return
            data = files[name].read_bytes()
            if files[name].suffix == ".xz":
                data = lzma.decompress(data)
            said = re.search(rb"\0depends=([^\0]*)\0", data)
            for other in said[1].decode().split(",") if said else []:
                load(other.replace("-", "_"))
            self.at(f"/modules/{name}.ko").write_bytes(data)
            order.append(name)
        for name in MODULES:
            load(name)
        self.at("/modules/order").write_text("".join(f"{name}\n" for name in order))

    def plan(self, plan):
        self.at("/bpfrefs/plan.json").write_text(json.dumps(plan))

    def pack(self, archive):
        names = b"\0".join(os.fsencode(path.relative_to(self.place))
                           for path in sorted(self.place.rglob("*")))
        with open(archive, "wb") as out:
            subprocess.run(["cpio", "--quiet", "--null", "-o", "-H", "newc", "-R", "0:0"],
                           input=names, stdout=out, cwd=self.place, check=True)
        shutil.rmtree(self.place)
