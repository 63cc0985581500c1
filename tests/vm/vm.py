#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the kernel tests on another kernel, in a virtual machine of qemu's software emulation, and
prints TAP: each case is named PROGRAM: CASE.

Usage: vm.py MACHINE (of machines.py), from meson, which gives the environment of the kernel tests.
With WHOLE=1 all cases run, else those that shorter.txt does not leave out; with CASES="net:*
perf:perf_link test-*:*" of both only those that match.
"""
import fnmatch
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

import debian
import linux
from image import Image
from machines import ARCHITECTURES, MACHINES

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = pathlib.Path(os.environ["MESON_BUILD_ROOT"])
# What the programs in the machine come from: this machine, or what cross.py made.
ROOT = pathlib.Path(os.environ.get("ROOT", "/"))
WHOLE = bool(os.environ.get("WHOLE"))
# No output for so long: it hangs. One program, the whole machine.
SILENT, PROGRAM, MACHINE = 900, 3000, 14000
MEMORY = "1500M"
# One thread emulates all processors. With a thread for each the same tests took 1.6 times as long on
# arm64, and on x86-64 qemu 7.2 does not always see code that another processor has changed, as kernels
# change their own while they run.
ACCELERATOR = "tcg,thread=single,tb-size=1024"
APPLETS = """sh echo grep insmod kill losetup mknod mkfifo modprobe poweroff stty true uname rmmod
    sleep dmesg ln chmod chown touch rmdir mv env id test readlink""".split()
# What the kernel tests are, and what they read.
READ = ("tests/kernel/cases/*.py", "docs/bpfrefs.8.rst", "docs/packaging/*.yml", "docs/packaging/*.json")
CASE = re.compile(r"^(not )?ok\b\s*\d*\s*(?:-\s*)?([^#]*)(?:#\s*SKIP\S*\s*(.*))?$", re.I)


def table(name):
    """The (machines, pattern, reason) of a list of cases."""
    found = []
    for line in (HERE / name).read_text().splitlines():
        text, _, reason = (part.strip() for part in line.partition("#"))
        if text:
            which, pattern = text.split(None, 1)
            found.append((which.split(","), pattern, reason))
    return found


def listed(rows, name, label):
    """The reason for which a case is in a list, or None."""
    for which, pattern, reason in rows:
        if MACHINES[name].names(name) & set(which) and fnmatch.fnmatchcase(label, pattern):
            return reason
    return None


class Tap:
    """To standard output, and to a file to look into while it runs."""

    def __init__(self, path):
        self.count = self.failed = 0
        self.file = open(path, "w", encoding="utf-8")

    def say(self, line):
        for out in (sys.stdout, self.file):
            print(line, file=out, flush=True)

    def case(self, good, label, skip=None):
        self.count += 1
        self.failed += not good
        self.say(f"{'ok' if good else 'not ok'} {self.count} - {label}" +
                 (f" # SKIP {skip}" if skip else ""))

    def note(self, text):
        self.say(f"# {text}")


class Results:
    """Judges what the machine prints."""

    def __init__(self, tap, name):
        self.tap, self.name = tap, name
        self.skips = table("skips.txt")
        self.program, self.cases, self.plan, self.bad = None, 0, None, 0
        self.alarms, self.done = [], False

    def line(self, line):
        if line.startswith("@"):
            word, *rest = line[1:].split(" ")
            getattr(self, "on_" + word, lambda *_: None)(*rest)
        elif self.program:
            self.said(line[1:])

    def on_kernel(self, release):
        self.tap.note(f"Linux {release}")

    def on_alarm(self, *words):
        self.alarms.append(" ".join(words))

    def on_done(self):
        self.done = True

    def on_begin(self, program):
        self.program, self.cases, self.plan, self.bad = program, 0, None, 0

    def said(self, line):
        plan, case = re.match(r"1\.\.(\d+)", line), CASE.match(line)
        if plan:
            self.plan = int(plan[1])
        elif case:
            self.cases += 1
            self.judge(case)
        elif line.strip():
            self.tap.note(line.lstrip("# "))

    def judge(self, case):
        label = f"{self.program}: {case[2].strip()}"
        reason = listed(self.skips, self.name, label)
        self.bad += bool(case[1])
        if case[3] is not None and reason is None:
            self.tap.case(False, label)
            self.tap.note(f"skipped, and not in tests/vm/skips.txt: {case[3]}")
        elif case[3] is not None:
            self.tap.case(True, label, f"{case[3]} ({reason})")
        elif reason is not None and not case[1]:
            self.tap.case(False, label)
            self.tap.note(f"in tests/vm/skips.txt ({reason}), but it passed here")
        else:
            self.tap.case(not case[1], label)

    def on_end(self, program, status, seconds):
        self.tap.note(f"{program}: {seconds} s")
        if self.plan is None or self.cases != self.plan or (int(status) and not self.bad):
            self.tap.case(False, f"{program}: the program itself")
            self.tap.note(f"exit {status}, {self.cases} cases of {self.plan}")
        self.program = None

    def machine(self, end, console):
        """The last case: the machine ran to its end, and the kernel complained of nothing."""
        self.tap.case(self.done and not self.alarms, "the machine")
        for alarm in self.alarms:
            self.tap.note(alarm)
        if not self.done:
            self.tap.note(f"{end}, while in {self.program or 'none of the tests'}; the console:")
            for line in console.read_text(errors="replace").splitlines()[-30:]:
                self.tap.note("  " + line)


def wanted(case):
    """Whether CASES has it."""
    patterns = os.environ.get("CASES", "*").split()
    return any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)


def chosen(program, name):
    """The functions of a test file that run, or None for all."""
    rows = [] if WHOLE else table("shorter.txt")
    text = (SOURCE / f"tests/kernel/cases/test_{program}.py").read_text()
    cases = re.findall(r"^def test_(\w+)\(", text, re.M)
    left = [case for case in cases if listed(rows, name, f"{program}: {case}") is None
            and wanted(f"{program}:{case}")]
    return None if left == cases else [f"test_{case}" for case in left]


def alone(program, name):
    """Whether a program runs whose cases cannot be chosen."""
    rows = [] if WHOLE else table("shorter.txt")
    return listed(rows, name, f"{program}: all") is None and wanted(f"{program}:all")


def programs(image, python, machine):
    """The plan's programs."""
    found = []
    only = MACHINES[machine].tests
    for name in only or os.environ["KERNEL_TESTS"].split(","):
        cases = chosen(name, machine)
        if cases == []:
            continue
        script = image.within(SOURCE / f"tests/kernel/cases/test_{name}.py")
        command = [python, script, *(cases or [])]
        found.append({"name": name, "command": [str(word) for word in command], "env": {}})
    for path in os.environ["TEST_PROGRAMS"].split(","):
        name = pathlib.Path(path).name
        if not (only and name == "programs") and alone(name, machine):
            image.program(path)
            found.append({"name": name, "command": [str(image.within(path)), "--tap", "-k"],
                          "env": {}})
    for name in os.environ["RANDOM_TESTERS"].split(","):
        label = f"random-{name}"
        if not only and alone(label, machine):
            command = [str(image.within(os.environ["RANDOM_PROGRAM"])), name]
            found.append({"name": label, "command": command, "env": {}})
    return found


def make_image(kernel, name, place):
    triplet = ARCHITECTURES[MACHINES[name].arch].triplet
    image = Image(place / "root", SOURCE, BUILD, ROOT, triplet)
    image.busybox(APPLETS)
    image.tools()
    python = image.python()
    image.modules(kernel)
    image.add(HERE / "init", "/init")
    image.add(HERE / "guest.py")
    for pattern in READ:
        for path in SOURCE.glob(pattern):
            image.add(path)
    # an emulated processor does in 20 ms what another does in one; faults are tried at some places only
    env = {"PATIENCE": "120", "CHURN_LIFE_US": "20000", "ALONE": "1", "FAULT_CALLS": "40"}
    for key in os.environ["KERNEL_ENV"].split(","):
        value = os.environ[key]
        path = pathlib.Path(value)
        if path.is_file():
            image.program(path)
        elif path.is_dir():
            for part in path.glob("*.bpf.o"):
                image.add(part)
        env[key] = str(image.within(value)) if path.is_absolute() else value
    # Python may write what it compiles: only the first that imports a file waits for that.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    image.program(os.environ["RANDOM_PROGRAM"])
    image.program(BUILD / "lib/libbpfrefs.so")
    image.plan({"env": env, "limit": PROGRAM,
                "programs": programs(image, python, name)})
    image.pack(place / "initramfs")
    return place / "initramfs"


def device(bus):
    """A virtio_net device with several queues where that can be had, which is in a network namespace
    of the emulator's own; else with one. Nothing is at its other end."""
    card = f"virtio-net-{bus},netdev=net"
    if os.geteuid() == 0 and os.path.exists("/dev/net/tun") and shutil.which("unshare"):
        vectors = ",vectors=10" if bus == "pci" else ""
        return (["-netdev", "tap,id=net,queues=4,script=no,downscript=no", "-device",
                 f"{card},mq=on{vectors}"], ["unshare", "--net"])
    return ["-netdev", "user,id=net,restrict=on", "-device", card], []


def boot(name, kernel, initramfs, console, results):
    """Runs the machine; why it ended."""
    machine = MACHINES[name]
    arch = ARCHITECTURES[machine.arch]
    network, alone = device(arch.bus)
    # A busy host stalls an emulated processor, and the verifier may be busy for a minute: that is no
    # lockup of the guest's kernel.
    words = (f"console={arch.console} quiet panic=-1 oops=panic nowatchdog no_timer_check audit=0 "
             "rcupdate.rcu_cpu_stall_timeout=300 mitigations=off init_on_alloc=0 lsm=lockdown,yama,bpf "
             f"bpfrefs_cgroups={machine.cgroups} {machine.words}")
    process = subprocess.Popen(
        [*alone, *arch.qemu, "-accel", ACCELERATOR, "-smp", str(machine.processors), "-m", MEMORY,
         "-display", "none", "-monitor", "none", *network, "-no-reboot", "-serial", f"file:{console}",
         "-chardev", "file,id=results,path=/dev/stdout", "-device", f"virtio-serial-{arch.bus}",
         "-device", "virtserialport,chardev=results", "-kernel", str(kernel.image),
         "-initrd", str(initramfs), "-append", words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    ends = []

    def end(why):
        ends.append(why)
        process.kill()

    def alarm(seconds, why):
        timer = threading.Timer(seconds, end, [f"{why} {seconds} s"])
        timer.daemon = True
        timer.start()
        return timer
    whole = alarm(MACHINE, "not done after")
    try:
        while True:
            silence = alarm(SILENT, "silent for")
            line = process.stdout.readline()
            silence.cancel()
            if not line:
                break
            results.line(line.rstrip("\r\n"))
    finally:
        whole.cancel()
        process.kill()
        status = process.wait()
    return ends[0] if ends else f"the machine went off (qemu: exit {status})"


def main():
    name = sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the machine ends with us
    for tool in (ARCHITECTURES[MACHINES[name].arch].qemu[0], "cpio", "readelf"):
        if not shutil.which(tool):
            print(f"1..0 # SKIP the kernel itself: {tool} is not installed")
            return 0
    try:
        machine = MACHINES[name]
        kernel = debian.Kernel((linux if machine.config else debian).kernel(name, machine))
    except debian.Unreachable as error:
        print(f"1..0 # SKIP the kernel itself: {error}")
        return 0
    place = BUILD / "tests" / f"vm-{name}"
    place.mkdir(parents=True, exist_ok=True)
    tap = Tap(place / "tap")
    results = Results(tap, name)
    console = place / "console"
    end = boot(name, kernel, make_image(kernel, name, place), console, results)
    results.machine(end, console)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


sys.exit(main())
