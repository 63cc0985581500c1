#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
""".bpf/events: each reader gets what changed since its last poll, however it reads. Other
programs' objects come and go meanwhile: only lines about a test's own are looked at."""
import collections
import errno
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time

from harness import MNT_DETACH, check, equal, eventually, fails, main, sanitized, tool, umount
from test_limits import descriptors, memory, start_many

PATIENCE = 90


def about(line, obj):
    return f" {obj if isinstance(obj, str) else obj.key} " in line


def stripped(line):
    """Without what is a token of one snapshot."""
    return re.sub(r" (file|share)=\d+", r" \1=", line)


class Reader:
    """An open file of events, and the lines read from it so far. It does not wait unless that is requested:
    each of its reads looks at once."""

    def __init__(self, daemon, size=65536, flags=os.O_NONBLOCK):
        self.fd = os.open(daemon.tree / "events", os.O_RDONLY | flags)
        self.size, self.rest, self.lines = size, b"", []

    def wait(self, patience=PATIENCE):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(patience * 1000))

    def read(self):
        """False: there is nothing new."""
        try:
            data = os.read(self.fd, self.size)
        except BlockingIOError:
            return False
        check(data, "the end of a file that has none")
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += [x.decode("ascii") for x in lines]
        return True

    def until(self, pattern, *objects):
        """Reads until a line about one of the objects begins like this; all lines about them."""
        end = time.monotonic() + PATIENCE
        while True:
            mine = [x for x in self.lines if any(about(x, o) for o in objects)]
            if any(re.match(pattern, x) for x in mine):
                return mine
            check(time.monotonic() < end, f"no {pattern!r} among {mine}")
            if not self.read():
                time.sleep(0.02)

    def close(self):
        os.close(self.fd)


def blocked(pid):
    """The process is asleep in a read of a FUSE file that was sent to the daemon."""
    def look():
        text = pathlib.Path(f"/proc/{pid}/stack").read_text(encoding="ascii")
        check("fuse" in text and "read" in text, text)
    eventually(look, PATIENCE)


def reading(daemon, *command, **kwargs):
    """A program that has the file as its standard input."""
    kwargs.setdefault("stdout", subprocess.PIPE)
    with open(daemon.tree / "events", "rb", buffering=0) as file:
        return subprocess.Popen([str(x) for x in command], stdin=file, **kwargs)


def output_until(process, pattern):
    """Reads what a program writes until a line matches."""
    found = []
    patience = threading.Timer(4 * PATIENCE, process.kill)
    patience.start()
    try:
        for line in process.stdout:
            found.append(line.decode())
            if re.match(pattern, found[-1]):
                return
    finally:
        patience.cancel()
    raise AssertionError(f"no {pattern!r} in what came: {found[-5:]}")


def end(process):
    process.kill()
    process.wait(PATIENCE)
    process.stdout.close()


def test_found_by_lookup(env):
    daemon = env.daemon()
    check("events" not in os.listdir(daemon.tree), "listed")
    facts = os.stat(daemon.tree / "events")
    equal((facts.st_mode, facts.st_size), (0o100400, 0))
    for flags in (os.O_WRONLY, os.O_RDWR):
        fails(errno.EACCES, os.open, daemon.tree / "events", flags)
    reader = Reader(daemon)
    fails(errno.ESPIPE, os.lseek, reader.fd, 0, os.SEEK_CUR)
    fails(errno.ESPIPE, os.pread, reader.fd, 10, 0)
    equal(os.fstat(reader.fd).st_size, 0)
    reader.close()


def test_descriptors_come_and_go(env):
    daemon, helper = env.daemon(), env.helper()
    before = helper.make("map", "array")
    reader = Reader(daemon)
    obj = helper.make("map", "array")
    reader.until(r"\+", obj)
    shown = daemon.lines(f"{obj.key}/holders")[0]
    helper.do("dup", "twice", obj.var)
    helper.do("close", obj.var)
    helper.do("close", "twice")
    lines = reader.until("-", obj)
    equal(stripped(lines[0]), stripped("+ " + shown[0]))
    # The duplicate may have been seen by one poll: what is reported adds up to nothing.
    left = collections.Counter()
    for line in lines:
        check(line[0] in "+-", line)
        left[stripped(line)[2:]] += 1 if line[0] == "+" else -1
    check(not any(left.values()) and lines[-1].startswith("- "), str(lines))
    check(not any(about(x, before) for x in reader.lines), "what did not change was reported")
    reader.close()


# Another bpfrefs on this machine that keeps every program array, as keep=auto does.
OTHERS = r"\+ \S+ (keep .*mode=auto|fd .*comm=bpfrefs)"


def story(env, daemon, helper, reader, kind):
    """A map with user state is put at risk, saved by a keep, and cleared. Yields what was reported at
    each step; ends early where another bpfrefs steps in, as it does for program arrays only."""
    user = helper.make("map", kind)
    prog = helper.make("prog", "socket_filter", maps=user)
    reader.until(r"\+", user)
    others = f"|{OTHERS}" if kind == "prog_array" else ""
    steps = [("at-risk", lambda: helper.do("pin", prog.var, env.bpffs / "prog")),
             ("held", lambda: daemon.write(f"{user.key}/keep", "fd")),
             ("cleared", lambda: (user.close(), daemon.write(f"{user.key}/keep", "off")))]
    for state, action in steps:
        action()
        lines = reader.until(f"! .* state={state} {others}", user)
        if any(re.match(OTHERS, x) for x in lines):
            break
        yield state, user, prog, lines
    os.unlink(env.bpffs / "prog")


def test_state_changes(env):
    daemon, helper = env.daemon(), env.helper()
    reader = Reader(daemon)
    for kind in ("sockmap", "prog_array"):
        reported = []
        for state, user, prog, lines in story(env, daemon, helper, reader, kind):
            reported.append(state)
            row = next(x for x in lines if f" state={state} " in x)
            check(row.startswith(f"! {user.key} name= type={kind} refcnt="), row)
            now = [x for x in daemon.lines("objects")[0] if x.startswith(f"{user.key} ")]
            check(row[2:] in now or not any(f" state={state} " in x for x in now), f"{row}: {now}")
            if state == "at-risk":
                check(any(re.match(rf"\+ {prog.key} pin ", x) for x in reader.until(r"\+", prog)),
                      "the pin")
            if state == "held":
                check(any(re.match(rf"\+ {user.key} keep .*mode=fd", x) for x in lines), "the keep")
        check(kind == "prog_array" or reported == ["at-risk", "held", "cleared"], f"{kind}: {reported}")
    reader.close()


def test_readers_do_not_share(env):
    """Each has the difference from what it saw itself; what came and went meanwhile is no part."""
    daemon, helper = env.daemon(), env.helper()
    slow, quick = Reader(daemon), Reader(daemon)
    one = helper.make("map", "array")
    quick.until(r"\+", one)
    late = Reader(daemon)
    one.close()
    two = helper.make("map", "array")
    quick.until("-", one)
    quick.until(r"\+", two)
    late.until(r"\+", two)
    slow.until(r"\+", two)
    check(not any(about(x, one) for x in slow.lines), "reported what came and went")
    equal([x[0] for x in late.lines if about(x, one)], ["-"])
    for reader in (slow, quick, late):
        reader.close()


def test_small_reads(env):
    """A change larger than the buffer comes whole; where lines fit, none is cut."""
    daemon, helper = env.daemon(), env.helper()
    for size in (7, 200, 4096):
        reader = Reader(daemon, size)
        made = [helper.make("map", "array") for _ in range(60)]
        for obj in made:
            reader.until(r"\+", obj)
        if size >= 4096:
            equal(reader.rest, b"", "a line was cut")
        for obj in made:
            lines = [x for x in reader.lines if about(x, obj)]
            check(lines and all(re.match(r"[+!-] map/\d+ ", x) for x in lines), str(lines))
            obj.close()
        reader.close()


def test_nonblock(env):
    daemon, helper = env.daemon(), env.helper()
    reader = Reader(daemon)
    eventually(lambda: check(not reader.read(), "always something new"), PATIENCE)
    obj = helper.make("map", "array")
    reader.until(r"\+", obj)  # no poll: each read looks
    reader.close()


def test_polls(env):
    """poll(2), epoll(7) by level and by edge."""
    daemon, helper = env.daemon(), env.helper()
    waiters = []
    for edge in (None, 0, select.EPOLLET):
        reader = Reader(daemon)
        waiter = select.poll() if edge is None else select.epoll()
        waiter.register(reader.fd, select.POLLIN if edge is None else select.EPOLLIN | edge)
        waiters.append((edge, reader, waiter))
    drained = set(waiters)
    for _ in range(2):
        obj = helper.make("map", "array")
        for one in waiters:
            edge, reader, waiter = one
            end_at = time.monotonic() + PATIENCE
            while not any(about(x, obj) for x in reader.lines):
                check(time.monotonic() < end_at, f"{edge}: not woken")
                # Where there is always more to read, on a busy machine, nobody is woken by an edge.
                if not waiter.poll(1 if edge is not None else 1000) and one in drained:
                    continue
                drained.discard(one)
                if not all(reader.read() for _ in range(5)):
                    drained.add(one)
    for _, reader, _ in waiters:
        reader.close()


def test_nobody_waits_nobody_looks(env):
    daemon = env.daemon()
    waits, idle, polled = Reader(daemon), Reader(daemon), Reader(daemon)

    def scans():
        return int(daemon.pairs("status")["scans"])
    waits.wait(0.1)
    polled.wait(0.1)
    waits.close()
    time.sleep(1.5)  # until it is seen that nobody asks again
    before = scans()
    time.sleep(2)
    equal(scans(), before + 1, "scans, the one for status included")
    process = reading(daemon, tool("sh"), "-c", "while read x; do :; done", stdout=None)
    time.sleep(2.5)
    process.kill()
    process.wait()
    more = scans() - before - 2
    check(2 <= more <= 6, f"{more} looks in 2.5 seconds while somebody waits")
    idle.close()
    polled.close()


def test_shells_and_tools(env):
    daemon, helper = env.daemon(), env.helper()
    # A byte a read: what is not ours is not worth a write as well.
    loop = (f'while read -r sign key class rest; do case " $rest " in *" pid={helper.pid} "*) '
            'echo "$sign $key $class";; esac; done')
    processes = [reading(daemon, *command) for command in (
        [tool("cat")], [tool("dash"), "-c", loop], [tool("bash"), "-c", loop],
        [tool("busybox"), "sh", "-c", loop], [tool("grep"), "--line-buffered", " fd "],
        [tool("stdbuf"), "-oL", tool("sed"), "p"],
        [tool("stdbuf"), "-oL", tool("tail"), "-n", "+1", "-f"])]
    obj = helper.make("map", "array")
    for process in processes:
        output_until(process, rf"\+ {obj.key} fd\b")
    obj.close()
    for process in processes:
        output_until(process, rf"- {obj.key} fd\b")
        end(process)


def test_named_on_the_command_line(env):
    daemon, helper = env.daemon(), env.helper()
    for command in ([tool("cat")], [tool("grep"), "--line-buffered", "-h", "fd"]):
        process = subprocess.Popen([*command, daemon.tree / "events"], stdout=subprocess.PIPE)
        blocked(process.pid)
        obj = helper.make("map", "array")
        output_until(process, rf"\+ {obj.key} fd ")
        end(process)
        obj.close()


INTERRUPTED = """
import os, signal, sys
class Signalled(Exception): pass
def raise_it(*_): raise Signalled
signal.signal(signal.SIGUSR1, raise_it)
try:
    while True: os.read(0, 65536)
except Signalled:
    print("interrupted")
"""


def test_signals(env):
    """A read that waits ends at once by a signal, with EINTR; ^C and SIGKILL end the program."""
    daemon = env.daemon()
    process = reading(daemon, sys.executable, "-c", INTERRUPTED)
    blocked(process.pid)
    process.send_signal(signal.SIGUSR1)
    equal(process.stdout.readline(), b"interrupted\n")
    equal(process.wait(PATIENCE), 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = reading(daemon, tool("cat"), stdout=subprocess.DEVNULL)
        blocked(process.pid)
        process.send_signal(number)
        equal(process.wait(PATIENCE), -number)


def test_two_share_an_open_file(env):
    """Neither waits for the other by a lock that no signal ends."""
    daemon = env.daemon()
    with open(daemon.tree / "events", "rb", buffering=0) as file:
        both = [subprocess.Popen([tool("cat")], stdin=file, stdout=subprocess.DEVNULL)
                for _ in range(2)]
    for process in both:
        blocked(process.pid)
    for process in both:
        process.terminate()
        equal(process.wait(PATIENCE), -signal.SIGTERM)


def test_many_who_wait(env):
    """More reads that wait than the daemon has threads: everything else is served."""
    daemon, helper = env.daemon(), env.helper()
    processes = [reading(daemon, tool("grep"), "--line-buffered", f" pid={helper.pid} ")
                 for _ in range(80)]
    for process in processes:
        os.set_blocking(process.stdout.fileno(), False)
        blocked(process.pid)
    check(daemon.read("status"), "status")
    obj = helper.make("map", "array")
    texts = [b""] * len(processes)

    def all_reported():
        for at, process in enumerate(processes):
            texts[at] += process.stdout.read() or b""
        check(all(f"+ {obj.key} fd ".encode() in x for x in texts), "not all were reported")
    eventually(all_reported, PATIENCE)
    for process in processes:
        end(process)


def test_too_many_readers(env):
    """EMFILE, and not the daemon's memory."""
    daemon = env.daemon("-o", "max_age=86400000")

    def resident():
        text = pathlib.Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])
    before, fds = resident(), []
    try:
        while True:
            check(len(fds) < 5000, "no limit")
            fds.append(os.open(daemon.tree / "events", os.O_RDONLY))
    except OSError as error:
        equal(error.errno, errno.EMFILE)
    check(len(fds) >= 1000, f"{len(fds)} readers")
    check(resident() - before < 16384, f"{resident() - before} KiB for readers that saw the same")
    check(daemon.read("status"), "others are served")
    for fd in fds:
        os.close(fd)
    Reader(daemon).close()


def test_thousand_readers(env):
    """They poll, and all get what happens; they cost one state, and nobody gets an error."""
    daemon, helper = env.daemon(), env.helper()
    before = memory(daemon)
    with descriptors(2000):
        readers = [Reader(daemon) for _ in range(1000)]
        for kind in ("array", "hash"):
            obj, left = helper.make("map", kind), set(readers)

            def all_reported(left=left, obj=obj):
                poll = select.poll()
                for reader in left:
                    poll.register(reader.fd, select.POLLIN)
                ready = {fd for fd, _ in poll.poll(1000)}
                for reader in [x for x in left if x.fd in ready]:
                    reader.read()
                    if any(about(x, obj) for x in reader.lines):
                        left.discard(reader)
                check(not left, f"{len(left)} got no line about {obj.key}")
            eventually(all_reported, PATIENCE)
        for reader in readers:
            check(not any(x.startswith("# lost") for x in reader.lines), "lost")
            reader.close()
    more = memory(daemon) - before
    print(f"# {more // 1024} KiB more than before a thousand readers")
    if not sanitized(env.bpfrefs):
        check(more < 32 << 20, f"{more} bytes")


def test_overrun(env):
    """A reader that does not read while very much happens gets the number of changes it has lost, and
    from then on everything; one that reads loses nothing."""
    daemon, helper = env.daemon(), env.helper()
    slow, quick = Reader(daemon), Reader(daemon)
    before, count, reported = memory(daemon), 15000, 0
    for _ in range(4):
        with descriptors(count + 1000):
            process, key = start_many("fds", count)
        quick.until(r"\+", key)
        process.stdin.close()
        process.stdout.close()
        process.wait()
        lines = quick.until("-", key)
        reported += len(lines)
        check(len([x for x in lines if x[0] == "+"]) >= count, f"{len(lines)} lines")
        check(not any(x.startswith("# lost") for x in quick.lines), "the quick one lost some")
        quick.lines = []
    if not sanitized(env.bpfrefs):
        check(memory(daemon) - before < 64 << 20, "memory while nobody reads the log")
    check(slow.read(), "nothing is lost")
    lost = re.fullmatch(r"# lost (\d+) changes", slow.lines[0])
    check(lost and int(lost[1]) >= reported, f"{slow.lines[:3]}, {reported} lines about these alone")
    check(not any(about(x, key) for x in slow.lines), "reported what it has lost")
    obj = helper.make("map", "array")
    slow.until(r"\+", obj)
    for reader in (slow, quick):
        reader.close()


def test_lazy_umount(env):
    """Who reads goes on; the daemon ends with the last of them."""
    daemon, helper = env.daemon(), env.helper()
    process = reading(daemon, tool("cat"))
    blocked(process.pid)
    fails(errno.EBUSY, umount, env.mnt)
    umount(env.mnt, MNT_DETACH)
    obj = helper.make("map", "array")
    output_until(process, rf"\+ {obj.key} fd ")
    check(daemon.process.poll() is None, "the daemon has ended")
    end(process)
    equal(daemon.process.wait(PATIENCE), 0)


def test_sigterm(env):
    """Who waits gets an error, and the daemon ends."""
    daemon = env.daemon()
    processes = [reading(daemon, tool("cat"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                 for _ in range(3)]
    for process in processes:
        blocked(process.pid)
    polled = Reader(daemon)
    thread = threading.Thread(target=polled.wait)
    thread.start()
    daemon.stop(signal.SIGTERM)
    for process in processes:
        text = process.stderr.read().decode()
        equal(process.wait(PATIENCE), 1)
        check(any(os.strerror(x) in text for x in (errno.ENODEV, errno.ECONNABORTED,
                                                   errno.ENOTCONN)), text)
    thread.join(PATIENCE)
    check(not thread.is_alive(), "a poll goes on")
    polled.close()


def test_sigkill(env):
    daemon = env.daemon()
    process = reading(daemon, tool("cat"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    blocked(process.pid)
    daemon.kill()
    equal(process.wait(PATIENCE), 1)


def test_group_reads(env):
    daemon = env.daemon("-o", "gid=12345,allow_other")
    os.chmod(env.tmp, 0o755)
    wrap = [tool("setpriv"), "--reuid=65534", "--clear-groups"]
    command = [tool("timeout"), "0.5", tool("cat"), daemon.tree / "events"]
    for group, status in (("12345", 124), ("1", 1)):
        done = subprocess.run([*wrap, f"--regid={group}", *command], check=False, timeout=60,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        equal(done.returncode, status, group)


def test_from_procfs(env):
    """Without counters and with gaps that stay, descriptors are reported all the same."""
    daemon, helper = env.daemon("--source=proc"), env.helper()
    reader = Reader(daemon)
    obj = helper.make("map", "array")
    reader.until(r"\+", obj)
    obj.close()
    reader.until("-", obj)
    reader.close()


def test_all_the_time(env):
    """Changes at random while somebody reads: in the end all that was reported makes up what is there,
    and nothing was reported as removed that had not been added."""
    daemon, helper = env.daemon(), env.helper()
    reader, seed = Reader(daemon), random.randrange(1 << 30)
    chance, alive, pins, keys = random.Random(seed), [], [], set()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        choice = chance.randrange(5)
        if choice < 2 and len(alive) < 200 and len(keys) < 2000:
            obj = helper.make("map", chance.choice(["array", "hash", "prog_array"]))
            alive.append(obj)
            keys.add(obj.key)
        elif choice == 2 and alive:
            name = f"p{len(pins)}"
            helper.do("pin", chance.choice(alive).var, env.bpffs / name)
            pins.append(name)
        elif choice == 3 and pins and chance.random() < 0.5:
            name = chance.choice(pins)
            if (env.bpffs / name).exists():
                os.unlink(env.bpffs / name)
        elif alive:
            alive.pop(chance.randrange(len(alive))).close()
        reader.read()
    left, at = collections.Counter(), 0

    def adds_up():
        nonlocal at
        reader.read()
        for line in reader.lines[at:]:
            if line[0] not in "+-" or line.split()[1] not in keys:
                continue
            left[stripped(line)[2:]] += 1 if line[0] == "+" else -1
            check(left[stripped(line)[2:]] >= 0, f"seed {seed}: reported as removed: {line}")
        at = len(reader.lines)
        there = collections.Counter(stripped(x) for x in daemon.lines("holders")[0]
                                    if x.split()[0] in keys)
        equal(+left, there, f"seed {seed}")
    eventually(adds_up, PATIENCE)
    reader.close()


if __name__ == "__main__":
    sys.exit(main(globals()))
