#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md and docs/*.md show is what happens: each block of them that begins with ```console
is typed at a shell, and the output is compared up to ids, times and the like.

The world of a document is a bpffs of its own at /sys/fs/bpf, mirrored at /run/bpfrefs. In a block,

    # COMMAND       is run; what follows up to the next command is its whole output
    [Enter]         is that key, for a command that waits for it
    ...             stands for any lines of output

"```console second" is another terminal, whose commands need not end. The same between "<!-- console"
and "-->" is run, but not shown to readers: there stands what brings about the situation. Objects,
processes, inodes and the like have a number in a document that is bound to a real one where it is
first printed, so it has to be printed before a command names it.
"""
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

from harness import MNT_DETACH, PATIENCE, check, equal, is_mounted, main, mount, tool, umount

TOP = pathlib.Path(__file__).resolve().parents[3]
SOURCE, MOUNTPOINT = "/sys/fs/bpf", "/run/bpfrefs"
BLOCK = re.compile(r"^(?:```|<!-- )console(?: (\w+))?\n(.*?)^(?:```|-->)$", re.M | re.S)
# What begins otherwise is a comment at the end of a file: output.
COMMAND = re.compile(r"# (?!\w+: |HELP |TYPE )(.+)|\[Enter\]")
# May be run again until the kernel has done what it does later, such as to clear an array.
READS = re.compile(r"(cat|ls|grep|readlink|loader run|sleep|bpftool \w+ (show|list)|head|tail|jq|awk)\b")
# These files show objects of others too, who use this machine.
SYSTEM = re.compile(r"(?<!\d/)\b(objects|holders|at-risk|attachments|unused|processes)\b")

# Numbers that differ each time: those of a name that is a key of NUMBERS are bound, others any.
KIND = "map|prog|link|btf"
NUMBERS = re.compile(
    rf"\b(?P<kind>{KIND})[/_](?P<object>\d+)|(?P<bare>(?<= id[= ])\d+|(?<=^id: )\d+)"
    r"|(?P<pid>(?<=\bpid[/= ])\d+|(?<=^pid: )\d+|^\d+(?= comm=))"
    r"|(?P<file>(?<= file=)\d+)|(?P<inode>(?<= ino=)\d+)|(?P<namespace>(?<=_ns=)\d+|(?<= netns=)\d+)"
    r"|(?P<any>\d{4}-\d\d-\d\dT[\d:.]+Z|\b[A-Z][a-z]{2} [ \d]\d (?:\d\d:\d\d| \d{4})"
    r"|(?<= dev=)[\d:]+|(?<= ifindex=)\d+|(?<= mtime=)\d+|(?<=memlock=)\d+|(?<=^memlock: )\d+|(?<=self: )\d+"
    r"|(?<= )\d+:\d+(?= \|\| failed)|\b\d+\.\d+(?= m?s\b)|(?<=^tag: )[0-9a-f]+|(?<=^load_time: ).+|(?<=_len: )\d+)")
SAMPLE = re.compile(r"(bpfrefs_\w+(?:\{.*\})?) [\d.e+]+")


class Numbers:
    """Which real number each number of the document is."""

    def __init__(self):
        self.real = {}  # by space and the document's number

    @staticmethod
    def key(match, text):
        """The space of a number in a line or command, and the number; None if it may be any."""
        if match["any"]:
            return None
        if match["bare"]:
            kind = re.match(rf"\S+ ({KIND}) ", text) or re.match(rf"(?:.*\| *)?bpftool (?:-\w+ )*({KIND}) ", text)
            return kind and (kind[1], match["bare"])
        if match["object"]:
            return match["kind"], match["object"]
        return next((name, match[name]) for name in ("pid", "file", "inode", "namespace") if match[name])

    def command(self, text):
        """A command of the document with the real numbers."""
        def real(match):
            key = self.key(match, text)
            prefix = f"{match[0][:-len(match['object'])]}" if match["object"] else ""
            return prefix + self.real.get(key, key[1]) if key else match[0]
        return NUMBERS.sub(real, text)

    def pattern(self, line, new):
        """A regular expression for a line of output; @new gets the key of each group."""
        sample = SAMPLE.fullmatch(line)
        if sample:
            return re.escape(sample[1]) + r" [\d.e+]+"
        out, end = "", 0
        for match in NUMBERS.finditer(line):
            out += re.escape(line[end:match.start()])
            end, key = match.end(), self.key(match, line)
            if match["object"]:
                out += re.escape(match[0][:-len(match["object"])])
            out += self.group(key, new) if key else r"[\w:.?+ -]+"
        return out + re.escape(line[end:])

    def group(self, key, new):
        if key in self.real:
            return re.escape(self.real[key])
        if key in new.values():
            return "(?P=" + next(name for name, other in new.items() if other == key) + ")"
        new[f"n{len(new)}"] = key
        return f"(?P<n{len(new) - 1}>\\d+)"

    def is_bound(self, key):
        return any(space == key[0] and real == key[1] for (space, _), real in self.real.items())

    def bind(self, match, new):
        """Binds what one line has bound. Two numbers of the document are never one real one."""
        found = {key: match[name] for name, key in new.items()}
        if any(self.is_bound((key[0], value)) for key, value in found.items()):
            return False
        self.real.update(found)
        return True


def foreign(line, numbers):
    """Whether a line is about an object or a process that the document does not name."""
    match = re.match(rf"({KIND})/(\d+) |()(\d+) comm=", line)
    return match and not numbers.is_bound((match[1], match[2]) if match[1] else ("pid", match[4]))


def compare(want, got, numbers, system):
    """Raises AssertionError unless the output is the document's. Binds the numbers if it is."""
    trial, left, skip, others = Numbers(), list(got), False, []
    trial.real.update(numbers.real)

    def describe():
        return "the document shows\n  " + "\n  ".join(want) + "\nand the output is\n  " + "\n  ".join(got)
    for line in want:
        if line == "...":
            skip = True
            continue
        while True:
            check(left, f"nothing like\n  {line}\nfollows; {describe()}")
            real, new = left.pop(0), {}
            match = re.fullmatch(trial.pattern(line, new), real)
            if match and trial.bind(match, new):
                break
            check(skip or system, f"\n  {real}\nis not\n  {line}\n{describe()}")
            others += [] if skip else [real]
        skip = False
    others += [] if skip else left
    wrong = [x for x in others if not (system and foreign(x, trial))]
    check(not wrong, "lines too many:\n  " + "\n  ".join(wrong) + "\n" + describe())
    # file= is valid within one snapshot
    numbers.real = {key: real for key, real in trial.real.items() if key[0] != "file"}


class Terminal:
    """A shell that reads what is typed."""

    def __init__(self, environ):
        self.shell = subprocess.Popen(["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, env=environ,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      start_new_session=True)
        self.busy = False

    def type(self, text):
        self.shell.stdin.write(text.encode() + b"\n")
        self.shell.stdin.flush()

    def read(self, complete):
        """The output up to where it is complete."""
        text, until = "", time.monotonic() + 12 * PATIENCE
        while not complete(text):
            ready = select.select([self.shell.stdout], [], [], max(0, until - time.monotonic()))[0]
            check(ready, f"the command does not end; so far: {text}")
            part = os.read(self.shell.stdout.fileno(), 65536)
            if not part:
                break
            text += part.decode(errors="replace")
        return text

    def run(self, command):
        """The lines that a command prints."""
        end = "--- the command has ended"
        self.type(f"{command}\necho '{end}'")
        text = self.read(lambda text: text.endswith(end + "\n")).removesuffix(end + "\n")
        return re.sub(r"(?m)^bash: line \d+: ", "bash: ", text).splitlines()

    def start(self, command, lines):
        """The first lines of a command that may not end."""
        self.busy = True
        self.type(command)
        return self.read(lambda text: text.count("\n") >= lines).splitlines()

    def enter(self):
        """Presses that key, and waits until the command has ended."""
        self.type("")
        children = pathlib.Path(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children")
        until = time.monotonic() + 4 * PATIENCE
        while children.read_text():
            check(time.monotonic() < until, "the command does not end after Enter")
            time.sleep(0.01)
        self.busy = False
        return self.run(":")

    def close(self):
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()
        self.shell.stdin.close()
        self.shell.stdout.close()


class Reader:
    """Who follows a document."""

    def __init__(self, env):
        os.makedirs(SOURCE, exist_ok=True)
        for place, kind in ((SOURCE, "bpf"), ("/run", "tmpfs")):
            mount(kind, place, kind)
            env.cleanup(umount, place, MNT_DETACH)
        os.mkdir(MOUNTPOINT)
        env.cleanup(self.close)
        programs = [os.path.dirname(env.loader), os.path.dirname(env.mkobj), os.path.dirname(env.bpfrefs)]
        self.environ = dict(os.environ, LC_ALL="C", TZ="UTC",
                            PATH=":".join(programs + [os.environ["PATH"], "/usr/sbin", "/sbin"]))
        self.environ.pop("G_DEBUG", None)
        self.terminals, self.numbers = {}, Numbers()
        subprocess.run([env.bpfrefs, SOURCE, MOUNTPOINT], check=True, env=self.environ)

    def close(self):
        for terminal in self.terminals.values():
            terminal.close()
        while is_mounted(MOUNTPOINT):
            umount(MOUNTPOINT, MNT_DETACH)

    def output(self, name, command, lines):
        if name not in self.terminals:
            self.terminals[name] = Terminal(self.environ)
            self.terminals[name].run("cd /" if name else f"cd {MOUNTPOINT}/.bpf")
        terminal = self.terminals[name]
        if command == "[Enter]":
            return terminal.enter()
        check(not terminal.busy, "a command still runs in this terminal")
        return terminal.start(command, lines) if name else terminal.run(command)

    def follow(self, name, command, want):
        """One command. What only reads is run again as long as it prints something else."""
        until = time.monotonic() + 2 * PATIENCE
        real = self.numbers.command(command)
        while True:
            got = self.output(name, real, len(want))
            try:
                return compare(want, got, self.numbers, SYSTEM.search(command))
            except AssertionError:
                if name or not READS.match(command) or time.monotonic() > until:
                    raise
                time.sleep(0.1)


def commands(text):
    """Each command of a document: its line, its terminal, the command, and the lines of output."""
    for block in BLOCK.finditer(text):
        at, found = text.count("\n", 0, block.start(2)) + 1, []
        for number, line in enumerate(block[2].splitlines(), at):
            if found and found[-1][2].endswith("\\"):
                found[-1][2] += "\n" + line
            elif COMMAND.fullmatch(line):
                found.append([number, block[1], COMMAND.fullmatch(line)[1] or line, []])
            else:
                check(found, f"line {number}: output before the first command")
                found[-1][3].append(line)
        yield from found


def follow(env, name, text):
    for needed in re.findall(r"^# (bpftool|dot|jq) ", text, re.M):
        tool(needed)
    reader = Reader(env)
    for number, terminal, command, want in commands(text):
        try:
            reader.follow(terminal, command, want)
        except AssertionError as error:
            raise AssertionError(f"{name}:{number}: {command}: {error}") from error


LOADS = """
<!-- console second
# loader load /sys/fs/bpf/entry
array=map/11
first=prog/21
second=prog/22
entry=prog/23
-->
"""


def test_stale_text_is_found(env):
    """What this program is for: it does not take one text for another."""
    shown = "map/11 prog ref=1 user=0 id=23 name=entry via=used_maps\n"
    fd = "map/11 fd ref=1 user=1 file=4 pid=77 comm=loader fd=3\n"
    block = LOADS + "```console\n# cat map/11/holders\n%s```\n"
    reader = Reader(env)
    for number, part in enumerate((fd + shown, shown, fd + shown.replace("id=23", "id=22"),
                                   fd.replace("user=1", "user=0") + shown, fd + shown + fd, "")):
        results = list(commands(block % part))
        for _, terminal, command, want in results[number > 0:]:
            got = reader.output(terminal, reader.numbers.command(command), len(want))
            try:
                compare(want, got, reader.numbers, False)
                found = False
            except AssertionError:
                found = True
            equal(found, number > 0, command + part)


def follows(path):
    def test(env):
        follow(env, path.relative_to(TOP), path.read_text(encoding="utf-8"))
    test.__name__ = "test_" + re.sub(r"\W", "_", path.stem.lower())
    return test


TESTS = [follows(path) for path in (TOP / "README.md", *sorted((TOP / "docs").glob("*.md")))
         if BLOCK.search(path.read_text(encoding="utf-8"))]

if __name__ == "__main__":
    sys.exit(main({f.__name__: f for f in (test_stale_text_is_found, *TESTS)}))
