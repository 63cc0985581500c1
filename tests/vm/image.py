# SPDX-License-Identifier: GPL-2.0-or-later
"""What a virtual machine runs from: an initramfs of busybox, this build's programs, Python with its
standard library, the tools that the tests use, the libraries of all these, and the kernel's modules.
It is not compressed: unpacking would be emulated too.
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
    stat stdbuf tail tar tee timeout wc printf""".split()
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
    unix af_packet algif_hash af_alg tcp_bbr tcp_dctcp tcp_bic hid uhid bonding kcm virtio_pci virtio_net""".split()
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\n",
}


def needed(program):
    """The shared libraries of a program, the dynamic linker among them, as absolute paths."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    if done.returncode:
        return []  # static, or a script
    return re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)


class Image:
    """A directory that becomes a cpio archive. Files are at the paths that they have here, but for
    the tree and the build, which are below /bpfrefs."""

    def __init__(self, root, source, build):
        self.root, self.source, self.build = root, source, build
        shutil.rmtree(root, ignore_errors=True)
        for name in ("bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "run", "mnt",
                     "etc", "root", "var/tmp"):
            (root / name).mkdir(parents=True)
        for name, text in ACCOUNTS.items():
            (root / "etc" / name).write_text(text)

    def within(self, path):
        """Where a path of this machine is in the virtual one."""
        path = pathlib.Path(path)
        for top, name in ((self.build, "build"), (self.source, "source")):
            if path.is_relative_to(top):
                return pathlib.Path("/bpfrefs", name, path.relative_to(top))
        return path

    def at(self, path):
        target = self.root / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def add(self, path, to=None):
        target = self.at(to or self.within(path))
        if not target.exists():
            shutil.copy(path, target)

    def program(self, path, to=None):
        self.add(path, to)
        for library in needed(path):
            self.add(os.path.normpath(library), self.within(os.path.normpath(library)))

    def busybox(self, applets):
        self.program(shutil.which("busybox"), "/bin/busybox")
        for name in applets:
            os.symlink("busybox", self.root / "bin" / name)

    def tools(self):
        for name in TOOLS:
            path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
            if path:
                target = self.root / "usr/bin" / name
                self.program(path, f"/usr/bin/{name}")
                target.chmod(0o755)  # not setuid: mount(8)
        for path in pathlib.Path("/usr/libexec/coreutils").glob("libstdbuf.so"):
            self.add(path)

    def python(self):
        library = pathlib.Path(sysconfig.get_path("stdlib"))

        def ignore(_, names):
            return [name for name in names if NOT_OF_PYTHON.fullmatch(name)]
        shutil.copytree(library, self.at(library), ignore=ignore)
        interpreter = pathlib.Path(sys.executable)
        self.program(interpreter.resolve(), interpreter)
        for name in ("python3", "env"):
            target = {"python3": interpreter, "env": "/bin/busybox"}[name]
            os.symlink(target, self.root / "usr/bin" / name)
        # glibc loads it by name, to end a thread.
        for line in subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True,
                                   env={"PATH": "/usr/sbin:/sbin"}).stdout.splitlines():
            if "libgcc_s.so.1 (libc6,x86-64)" in line:
                self.add(line.split()[-1])
        for module in self.at(library).glob("lib-dynload/*.so"):
            for path in needed(module):
                self.add(path)

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
        names = b"\0".join(os.fsencode(path.relative_to(self.root))
                           for path in sorted(self.root.rglob("*")))
        with open(archive, "wb") as out:
            subprocess.run(["cpio", "--quiet", "--null", "-o", "-H", "newc", "-R", "0:0"],
                           input=names, stdout=out, cwd=self.root, check=True)
        shutil.rmtree(self.root)
