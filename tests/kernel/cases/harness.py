# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel tests share: a private mount namespace with a private bpffs, the daemon on it,
helper processes that make known objects, and a TAP driver.

A test file is a list of functions test_*(env), run in order by main(). Nothing of it is seen
outside: mounts are private and go with the process, daemons and helpers are ended by their ids.
"""
import collections
import ctypes
import errno
import gc
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
ENOTSUPP = 524  # of include/linux/errno.h, which the UAPI does not have
SUSPICIOUS = re.compile(r"CRITICAL|WARNING \*\*|ERROR \*\*|Sanitizer|runtime error|assertion|abort",
                        re.I)
# Deferred frees (RCU, work queues) and other processes' short looks pass within this, on a machine
# that is not emulated.
PATIENCE = float(os.environ.get("PATIENCE", "15"))

libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(got, want, text=""):
    check(got == want, f"{text}: got {got!r}, want {want!r}")


def fails(number, action, *args, **kwargs):
    """The action must fail with just this errno."""
    try:
        action(*args, **kwargs)
    except OSError as error:
        equal(errno.errorcode.get(error.errno), errno.errorcode[number], str(error))
        return
    raise AssertionError(f"no error, want {errno.errorcode[number]}")


def stable(read):
    """What @read gives once it has given the same for a while: what a daemon's start or an earlier test
    has released is freed some tenths of a second later (programs after a grace period)."""
    last, since = read(), time.monotonic()
    while time.monotonic() - since < max(0.5, PATIENCE / 60):
        time.sleep(0.05)
        now = read()
        if now != last:
            last, since = now, time.monotonic()
    return last


def eventually(action, patience=PATIENCE):
    """Tries until the action does not raise AssertionError; its last error if it never does."""
    end = time.monotonic() + patience
    while True:
        try:
            return action()
        except (AssertionError, FileNotFoundError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def mount(source, target, kind, flags=0, data=None):
    args = [os.fsencode(x) if x is not None else None for x in (source, target, kind)]
    data = data.encode() if data else None
    if libc.mount(*args, ctypes.c_ulong(flags), data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def umount(target, flags=0):
    if libc.umount2(os.fsencode(target), flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def names(directory):
    """What is in a directory of bpffs, but for the two names that a kernel with BPF preload puts
    into every new mount."""
    return sorted(set(os.listdir(directory)) - {"maps.debug", "progs.debug"})


def protected(what):
    """Whether this kernel guards "symlinks" or "hardlinks" of other owners."""
    with open(f"/proc/sys/fs/protected_{what}", encoding="ascii") as text:
        return text.read().strip() != "0"


def is_mounted(target):
    needle = f" {target} "
    with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
        return any(needle in line for line in mounts)


def open_files(pid):
    """What a process has open, sorted, without the directory that lists it."""
    place, found = f"/proc/{pid}/fd", []
    for name in os.listdir(place):
        try:
            found.append(os.readlink(f"{place}/{name}"))
        except FileNotFoundError:
            continue
    return sorted(found)


def same_files(now, before, who):
    now, before = collections.Counter(now), collections.Counter(before)
    check(now == before, f"{who} has open, more than before: {sorted((now - before).elements())},"
                         f" and no longer: {sorted((before - now).elements())}")


def leaves_open(reason):
    """For a test after which the daemon rightly has more or less open than before: says why."""
    def mark(function):
        function.leaves_open = reason
        return function
    return mark


def run(*command, **kwargs):
    """A command's (exit status, standard output, standard error)."""
    kwargs.setdefault("timeout", 4 * PATIENCE)
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, **kwargs)
    return done.returncode, done.stdout, done.stderr


def must(*command, **kwargs):
    """The standard output of a command that must succeed."""
    status, out, err = run(*command, **kwargs)
    check(status == 0, f"{' '.join(map(str, command))}: exit {status}: {err}{out}")
    return out


def tool(name):
    """The path of a tool, or a skip."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def sanitized(program):
    """Whether it was built with a sanitizer, which takes memory for itself and holds back what is
    freed."""
    return re.search(rb"__[at]san_init", pathlib.Path(program).read_bytes()) is not None


def unescape(text):
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]),
                  text.encode()).decode(errors="surrogateescape")


def records(text):
    """The lines of a holders file; the "#" lines, which say what is missing, apart. The line about
    what self=hide leaves out is none of these."""
    lines = [x for x in text.splitlines() if not x.startswith("# self: ")]
    return [x for x in lines if not x.startswith("#")], [x for x in lines if x.startswith("#")]


def fields(line):
    """KEY=VALUE words of a record, unescaped. because= runs to the end of the line."""
    line, because, sentence = line.partition(" because=")
    words = [w.split("=", 1) for w in line.split(" ") if "=" in w]
    return {k: unescape(v) for k, v in words + ([["because", sentence]] if because else [])}


def matches(line, template):
    """A record against a template, in which * stands for any value, after because= for any
    sentence, and ? for itself."""
    pattern = re.escape(template).replace(r"because=\*", "because=.*").replace(r"\*", r"\S*")
    return re.fullmatch(pattern, line) is not None


def compare(lines, templates):
    """Every line by one template and every template by one line, in any order."""
    left = list(lines)
    for template in templates:
        hit = next((line for line in left if matches(line, template)), None)
        check(hit is not None, f"no line like\n  {template}\namong\n  " + "\n  ".join(left))
        left.remove(hit)
    check(not left, "lines too many:\n  " + "\n  ".join(left))


class Object:
    """An object of a helper: its key, and the helper's descriptor."""

    def __init__(self, helper, var, said):
        self.helper, self.var = helper, var
        self.fd = int(said["fd"])
        self.key = said.get("key")
        self.id = int(self.key.split("/")[1]) if self.key else None

    def held(self, user=None, own=True, comm="mkobj", tid=None):
        """The record of the helper's own descriptor."""
        user = int(self.key.startswith("map/")) if user is None else user
        ref, user = (1, user) if own else (0, 0)
        thread = f" tid={tid}" if tid else ""
        return (f"{self.key} fd ref={ref} user={user} file=* pid={self.helper.pid}{thread}"
                f" comm={comm} fd={self.fd}")

    def close(self):
        self.helper.do("close", self.var)


def over_a_map(helper):
    """A program that iterates over the elements of a map, which hardened kernels let nobody load."""
    try:
        return helper.make("prog", "tracing", attach="trace_iter", target="bpf_map_elem")
    except PermissionError as error:
        raise Skip("this kernel lets no program iterate over what is in a map") from error


class Helper:
    """A mkobj process."""

    def __init__(self, env):
        self.process = subprocess.Popen([env.mkobj], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.count = 0
        self.answer()

    def answer(self):
        line = self.process.stdout.readline().split()
        check(line, "mkobj died")
        said = dict(word.split("=", 1) for word in line[1:] if "=" in word)
        if line[0] == "ok":
            return said
        number = int(line[1]) if line[1].isdigit() else getattr(errno, line[1])
        raise OSError(number, os.strerror(number))

    def do(self, *words, **options):
        words = [str(w) for w in words] + [f"{k}={v}" for k, v in options.items()]
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def make(self, command, *words, **options):
        """Makes an object; objects among the words and options stand for their variables."""
        self.count += 1
        var = f"v{self.count}"
        words = [w.var if isinstance(w, Object) else w for w in words]
        options = {k: ",".join(o.var for o in v) if isinstance(v, list)
                   else v.var if isinstance(v, Object) else v for k, v in options.items()}
        return Object(self, var, self.do(command, var, *words, **options))

    def sleeps(self):
        """Waits until it waits for the next command: on a busy machine that may be long after its answer."""
        def look():
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
            check(stat.rsplit(")", 1)[1].split()[0] == "S", "it runs")
        eventually(look)

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
        self.process.stdout.close()


class Daemon:
    """bpfrefs -f on a bpffs, with self=hide as users have it: a test that looks for the daemon's own
    objects in lists mounts it with self=show, or reads them by number."""

    def __init__(self, env, *options, source=None, mountpoint=None, program=None):
        self.env = env
        self.source = pathlib.Path(source or env.bpffs)
        self.mnt = pathlib.Path(mountpoint or env.mnt)
        self.log = env.tmp / f"log.{len(env.daemons)}"
        command = [*(program or [env.bpfrefs]), "-f", *options, self.source, self.mnt]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(w) for w in command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.pid = self.process.pid
        env.daemons.append(self)
        self.tree = self.mnt / ".bpf"
        self.wait_until_up()
        self.open_before = self.descriptors()

    def wait_until_up(self):
        end = time.monotonic() + 2 * PATIENCE
        while True:
            try:
                self.read("holders")
                return
            except OSError as error:
                # Nothing is there yet, or the dead mount of an earlier one.
                check(error.errno in (errno.ENOENT, errno.ENOTCONN), str(error))
            status = self.process.poll()
            check(status is None, f"the daemon gave up, exit {status}: {self.log_text()}")
            check(time.monotonic() < end, f"not mounted after {2 * PATIENCE} s: " + self.log_text())
            time.sleep(0.01)

    def log_text(self):
        return self.log.read_text(errors="replace")

    def descriptors(self):
        """What the daemon has open, and what of BPF and perf it has mapped, as text to compare."""
        maps = pathlib.Path(f"/proc/{self.pid}/maps").read_text().splitlines()
        return open_files(self.pid) + sorted(
            "mapped " + line.split(None, 5)[5] for line in maps if "anon_inode:" in line)

    def check_descriptors(self):
        """After a test the daemon has open what it had before it; and each directory of the mirror that
        the kernel still remembers, once (that it closes what is forgotten: tests/unit)."""
        def look():
            now = self.descriptors()
            directories = {x for x in now if x.startswith(f"{self.source}/")}
            before = self.open_before + sorted(directories - set(self.open_before))
            # once a walk took long, which it may for what others have open
            transient = ["anon_inode:bpf-map", "anon_inode:bpf_link", "mapped anon_inode:bpf-map"]
            if sorted(before + transient) != sorted(now):
                same_files(now, before, "the daemon")
        if self.process.poll() is None and is_mounted(self.mnt):
            eventually(look, 2 * PATIENCE)

    def read(self, path):
        return (self.tree / path).read_text()

    def write(self, path, command):
        """One write(2) to a control."""
        fd = os.open(self.tree / path, os.O_WRONLY)
        try:
            os.write(fd, command.encode(errors="surrogateescape"))
        finally:
            os.close(fd)

    def lines(self, path):
        return records(self.read(path))

    def pairs(self, path):
        """A `key: value` file."""
        return dict(x.split(": ", 1) for x in self.read(path).splitlines()
                    if not x.startswith("#") and ": " in x)

    def row(self, key):
        """The line of .bpf/objects on one object, as a dictionary; None if there is none."""
        for line in self.lines("objects")[0]:
            if line.split(" ", 1)[0] == key:
                return fields(line)
        return None

    def expect(self, obj, templates, exact=True):
        """The holders of an object are just these, and its account is even."""
        key = obj if isinstance(obj, str) else obj.key

        def look():
            # After something new all is looked at; the second time a map alone may be.
            for _ in range(2):
                lines, gaps = self.lines(f"{key}/holders")
                compare(lines, templates)
            if not exact:
                return
            check(not gaps, f"{key}: {gaps}")
            refs = self.pairs(f"{key}/refs")
            equal(refs["unexplained"], "0", f"{key}: {refs}\n" + "\n".join(lines))
            equal(refs["refcnt"], refs["explained"], f"{key} refcnt")
            equal(int(refs["refcnt"]), sum(int(fields(x)["ref"]) for x in lines), f"{key} ref sum")
            if key.startswith("map/"):
                equal(refs["user_unexplained"], "0", f"{key} user")
                equal(int(refs["usercnt"]), sum(int(fields(x)["user"]) for x in lines),
                      f"{key} user sum")
        eventually(look)

    def gone(self, obj):
        """The object is no more."""
        key = obj if isinstance(obj, str) else obj.key

        def look():
            check(not (self.tree / key).exists(), f"{key} is still there")
        eventually(look)

    def stop(self, number=None):
        """Unmounts it, or ends it by a signal; it must end well."""
        if self.process.poll() is None:
            if number:
                self.process.send_signal(number)
            else:
                umount(self.mnt)
            status = self.process.wait(20)
            equal(status, 0, f"exit status of the daemon, log: {self.log_text()}")
            check(not is_mounted(self.mnt), "still mounted after the daemon's end")

    def kill(self):
        """Ends it as a crash would; the dead mount stays."""
        self.process.kill()
        self.process.wait()

    def clear(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        while is_mounted(self.mnt):
            umount(self.mnt, MNT_DETACH)

    def scan_log(self):
        # libfuse prints it for a request that was half read when umount -l ended the mount.
        end = f"fuse: reading device: {os.strerror(errno.ECONNABORTED)}"
        bad = [x for x in self.log_text().splitlines() if x != end and SUSPICIOUS.search(x)]
        check(not bad, "in the daemon's log:\n  " + "\n  ".join(bad))


class Env:
    """The world of one test: bpffs is a bpffs, mnt is a mount point. With @shared both are those of
    another Env, and so is the daemon that is mounted there, if the test wants one without options."""

    def __init__(self, shared=None):
        self.shared = shared
        self.bpfrefs = os.environ["BPFREFS"]
        self.mkobj = os.environ["MKOBJ"]
        self.loader = os.environ.get("LOADER")
        self.object_file = os.environ.get("OBJECT_FILE")
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="bpfrefs-test."))
        self.daemons, self.helpers, self.cleanups = [], [], []
        if shared:
            self.bpffs, self.mnt = shared.bpffs, shared.mnt
            return
        self.bpffs, self.mnt = self.tmp / "bpf", self.tmp / "mnt"
        self.bpffs.mkdir()
        self.mnt.mkdir()
        mount("bpf", self.bpffs, "bpf")

    def helper(self):
        helper = Helper(self)
        self.helpers.append(helper)
        return helper

    def daemon(self, *options, **kwargs):
        """A new one; the shared one, if it is the test's first and has no options."""
        shared = self.shared
        if not shared or self.daemons:
            return Daemon(self, *options, **kwargs)
        if options or kwargs:
            shared.end_daemons()
            return Daemon(self, *options, **kwargs)
        self.daemons.append(shared.daemons[0] if shared.daemons else Daemon(shared))
        return self.daemons[0]

    def end_daemons(self):
        """Each must end well."""
        while self.daemons:
            self.daemons[0].stop(signal.SIGTERM)
            self.daemons.pop(0).scan_log()

    def between_tests(self, failed):
        """Removes what is pinned on a shared bpffs. After a failure the next test has a new daemon."""
        for daemon in self.daemons if failed else []:
            daemon.clear()
        self.daemons = [x for x in self.daemons if x.process.poll() is None]
        if not self.daemons:
            self.unmount()
        for name in names(self.bpffs):
            path = self.bpffs / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def unmount(self):
        # One that went to the background ends with its mount.
        while is_mounted(self.mnt):
            umount(self.mnt, MNT_DETACH)

    def cgroup(self):
        """A new cgroup (v2) of our own, through a mount of our own."""
        top = self.tmp / "cgroup"
        top.mkdir()
        try:
            mount("none", top, "cgroup2")
        except OSError as error:
            raise Skip(f"no cgroup v2: {error}") from error
        self.cleanup(umount, top, MNT_DETACH)
        group = top / f"bpfrefs-test-{os.getpid()}"
        group.mkdir()
        self.cleanup(group.rmdir)
        return group

    def cleanup(self, action, *args):
        self.cleanups.append((action, args))

    def close(self):
        for action, args in reversed(self.cleanups):
            action(*args)
        for helper in self.helpers:
            helper.end()
        for daemon in self.daemons:
            if daemon.env is self:
                daemon.clear()
        if not self.shared:
            self.unmount()
            umount(self.bpffs, MNT_DETACH)
        shutil.rmtree(self.tmp, ignore_errors=True)


def one(function, shared=None):
    """Runs one test in its own world. It must leave no descriptor behind, here or in a daemon."""
    before = open_files("self")
    world(function, shared)
    gc.collect() # a test's world has circles: pipes of a process in it are closed only now
    same_files(open_files("self"), before, "the test")


def world(function, shared):
    env, failed = Env(shared), True
    try:
        function(env)
        for daemon in env.daemons:
            if not getattr(function, "leaves_open", None):
                daemon.check_descriptors()
            if daemon.env is env:
                daemon.stop(signal.SIGTERM)
            daemon.scan_log()
        failed = False
    except Skip:
        failed = False
        raise
    except BaseException:
        for daemon in env.daemons:
            for line in daemon.log_text().splitlines()[-20:]:
                print(f"# daemon: {line}")
        raise
    finally:
        env.close()
        if shared:
            shared.between_tests(failed)


def have_walkers():
    """Whether the BPF source is built in and loads here: what most tests compare with. That it does
    is found once for all test programs: it stays true for this build until the next boot."""
    program = pathlib.Path(os.environ["BPFREFS"])
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer, loaded = program.with_name("bpf-source-loads"), f"{boot} {program.stat().st_mtime_ns}"
    if answer.exists() and answer.read_text() == loaded:
        return True
    loads = start_with_bpf()
    if loads:
        answer.write_text(loaded)
    return loads


def start_with_bpf():
    env = Env()
    try:
        daemon = env.daemon()
        return daemon.pairs("status")["source"] == "bpf"
    finally:
        env.close()


def whole_reason(needs_bpf):
    if os.geteuid() != 0:
        return "not root"
    if libc.unshare(CLONE_NEWNS) < 0:
        return "no mount namespace: " + os.strerror(ctypes.get_errno())
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    if not os.path.exists("/dev/fuse"):
        return "no /dev/fuse"
    if needs_bpf and not have_walkers():
        return "the BPF walkers do not load here"
    return None


def main(namespace, needs_bpf=True, shares_daemon=False):
    """Runs the functions test_* of a module in the order in which they stand, and prints TAP. With
    @shares_daemon those that want a daemon without options have one together, for they only make
    objects and read the files on them."""
    sys.stdout.reconfigure(line_buffering=True)
    tests = [f for name, f in namespace.items() if name.startswith("test_") and callable(f)]
    chosen = sys.argv[1:]
    tests = [f for f in tests if not chosen or f.__name__ in chosen]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # What who started us ignores (nohup, a shell's &) a daemon would ignore too.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        reason = whole_reason(needs_bpf)
    except (OSError, AssertionError) as error:
        print(f"Bail out! {error}")
        return 1
    print(f"1..{len(tests)}")
    shared = Env() if shares_daemon and not reason else None
    failed = 0
    for number, function in enumerate(tests, 1):
        name, start = function.__name__[5:], time.monotonic()
        try:
            if reason:
                raise Skip(reason)
            one(function, shared)
            print(f"ok {number} - {name}")
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}")
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines() if not isinstance(
                    error, AssertionError) else str(error).splitlines():
                print(f"#   {line}")
            place = traceback.extract_tb(error.__traceback__)
            print("#   at " + " < ".join(f"{p.name}:{p.lineno}" for p in reversed(place)))
        print(f"# {time.monotonic() - start:.2f} s")
    if shared:
        try:
            shared.end_daemons()
        except AssertionError as error:
            print(f"Bail out! {error}")
            failed += 1
        shared.close()
    return 1 if failed else 0
