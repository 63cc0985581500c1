#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that others choose (of processes, pins, directories, devices, cgroups, files) cannot make,
hide or change a line of any file: with names that try, everything is read by strict parsers, and each
name is found where it belongs, once, byte for byte."""
import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import stat
import struct
import sys
import xml.etree.ElementTree

from harness import MNT_DETACH, check, equal, fails, main, mount, must, tool, umount
from made import private_net, taken
from test_sockets import TUNSETIFF, IFF_NO_PI, IFF_TAP, TUNSETSTEERINGEBPF, set_program

# A value, a record, and the files' own forms; "?" is the one that is not known.
VALUE = r"(?:[\x21-\x5b\x5d-\x7e]|\\[0-3][0-7]{2})*"
TEXT = r"(?:[\x20-\x5b\x5d-\x7e]|\\[0-3][0-7]{2})*"
KEY = r"(?:map|prog|link|btf)/[1-9][0-9]*"
COUNT = r"(?:\?|[0-9]+)"
RECORD = rf"{KEY} [a-z_]+ ref={COUNT} user={COUNT}(?: [a-z_]+={VALUE})*"
GAP = (rf"# [a-z_]+: (?:partial|unavailable|changing)(?:: {TEXT})?|# self: [0-9]+ objects of bpfrefs"
       r" itself \(pid [0-9]+\) left out; mount with self=show")
OBJECT = (rf"{KEY} name={VALUE} type={VALUE} refcnt={COUNT} usercnt=(?:{COUNT})? unexplained={COUNT}"
          rf" pins={COUNT} memlock={COUNT} state=[a-z-]+ because={TEXT}")
PAIR = rf"[a-z_]+(?: [a-z_]+)*: {TEXT}"
MOUNT = rf" mnt_ns=[0-9]+ pid={COUNT} (?:path|covered)={VALUE}"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z"
FORMS = {
    "holders": rf"{RECORD}|{GAP}", "holding": rf"{RECORD}|{GAP}",
    "roots": rf"{RECORD} chain={KEY}(?:,{KEY})*|{GAP}",
    "free.sh": rf"|#!/bin/sh|# {TEXT}|#    {RECORD}(?: chain={KEY}(?:,{KEY})*)?|#kill [0-9]+|#umount [!-~]+"
               r"|[a-z]+ [\x20-\x7e]+ \|\| failed=\"\$failed [0-9]+\"|(?:kill -0 [0-9]+ 2>/dev/null && )?left=[\x20-\x7e]+"
               r"|failed='' left=''|nl=[\x20-\x7e]+|\[ [\x20-\x7e]+|echo [\x20-\x7e]+|exit 1"
               r"|file=[!-~]+|unpin\(\) \{ # PATH DEVICE:INODE|\}|n=0|while \[ -e \"\$file\" \][\x20-\x7e]+"
               r"|\t\{ echo 'free.sh: [\x20-\x7e]+; exit [01]; \}|\t\(cd -- [\x20-\x7e]+"
               r"|\t\trm -- [\x20-\x7e]+|\t'[0-9a-f]{64}  -' \] \|\|",
    "info": PAIR, "refs": rf"{PAIR}|{GAP}", "status": rf"{PAIR}|{GAP}",
    "objects": rf"{OBJECT}|{GAP}", "at-risk": rf"{OBJECT}|{GAP}",
    "unused": rf"{OBJECT}|{GAP}",
    "pin": rf"(?!#){VALUE}|{GAP}", "unpin": rf"(?!#){VALUE}|{GAP}", "keep": r"fd|pin|auto|off",
    "slots": rf"{VALUE} {KEY} {VALUE}|{GAP}",
    "attachments": rf"{KEY} name={VALUE} link=[0-9]* [a-z_]+(?: [a-z_]+={VALUE})*|{GAP}",
    "processes": rf"[0-9]+(?: [a-z_]+={VALUE})*|{GAP}", "cgroup": TEXT,
    "bpffs": rf"[0-9]+:[0-9]+ pins={COUNT} state=[a-z]+ mode=[0-7?]+ uid={COUNT} gid={COUNT}"
             rf"(?: delegate_[a-z]+={VALUE}){{4}}(?:{MOUNT})*|{GAP}",
    "comm": rf"(?!#){TEXT}",
    "retains": rf"{KEY} name={VALUE} effect=(?:freed|cleared) memlock={COUNT}|{GAP}",
    "errors": rf"{TIME} pid=[0-9]+ comm={VALUE} command={VALUE} E[A-Z0-9]+: {TEXT}",
    "control": r"# [a-z]+ [A-Z/]+(?: [A-Za-z|]+)?",
    "bpfrefs.prom": r'# (?:HELP|TYPE) bpfrefs_[a-z_]+ [\x20-\x7e]+|bpfrefs_[a-z_]+'
                    r'(?:\{[a-z]+="[\x20-\x7e]*"(?:,[a-z]+="[\x20-\x7e]*")*\})? (?:NaN|[0-9.]+)',
}

# Names of at most 15 bytes, for comms and (without blanks, slashes and colons) for devices.
COMMS = [b"a\nmap/1 fd ref=", b"# fd: partial:", b"x ref=9 user=9", b"\x1b[2J\x1b[31mred", b"?",
         b"\xff\xfe\xc3(", b"\"];evil[x=\"", b"\\012\\n", b"','x':'", b"&#10;&lt;b&gt;", b"\r\t\x7f"]
DEVICES = [b"#=\"];\\\\", b"\x1b[2Jred", b"\xff\xc3(\x01", b"?", b"&#10;\\012", b"ref=9,user=9"]
# Paths in bpffs, which has no names with dots; where a mount is; and names of cgroups.
PATHS = [b"p\nmap/1 pin ref=1 user=1 path=/forged dev=1:1 ino=1 uid=0 mtime=x state=live",
         b"# pin: partial: 3 processes: no", b"#\n# pin: unavailable", b" ", b"?", b"x state=live",
         b"\x1b]0;title\x07\x1b[31m", b"\xff\xfe\xc3(\x80", b"\"];evil[label=\"", b"a\\nb\\012\\134",
         b"\",\"forged\":\"1", b"&#10;&quot;<b>", b"\r\n", b"l" * 254]


def raw(text):
    """The bytes that a value stands for."""
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), text.encode("ascii"))


def values(lines, key):
    """The bytes of a key's values, sorted, of the records that have it."""
    found = (re.search(rf" {key}=({VALUE})(?: |$)", line) for line in lines)
    return sorted(raw(match[1]) for match in found if match)


def one_object(pairs):
    names = [key for key, _ in pairs]
    equal(len(names), len(set(names)), f"a key twice in {names}")
    return dict(pairs)


def parse_json(data):
    return json.loads(data.decode("utf-8", errors="strict"), object_pairs_hook=one_object)


def read_all(daemon, dirs):
    """Reads every file that there is in these directories of .bpf, and checks every line."""
    parsed, seen = {}, set()
    for place in dirs:
        for name in sorted(os.listdir(daemon.tree / place)):
            path = daemon.tree / place / name
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            data = path.read_bytes()
            where = os.path.join(place, name)
            seen.add(name)
            if name == "json":
                parsed[where] = parse_json(data)
            elif name == "graph.dot":
                parsed[where] = data
            else:
                parsed[where] = parse_lines(where, name, data)
    # a file that is new has to be given its form here
    equal(sorted(set(FORMS) - seen), [], "never read")
    return parsed


def parse_lines(where, name, data):
    check(name in FORMS, f"{where}: what form has it?")
    text = data.decode("ascii", errors="strict")
    check(not text or text.endswith("\n"), f"{where}: an unfinished line")
    lines = text.split("\n")[:-1]
    for line in lines:
        check(re.fullmatch(FORMS[name], line), f"{where}: {line!r}")
    return lines


def shown(name, blank=0x20):
    """A name as a file shows it."""
    if name == b"?":
        return "\\077"
    return "".join(chr(x) if blank <= x <= 0x7e and x != 0x5c else f"\\{x:03o}" for x in name)


def set_comm(name):
    with open("/proc/self/comm", "wb") as file:
        file.write(name)


class Holder:
    """A child that holds an object, under a name of its own choosing."""

    def __init__(self, env, obj, comm):
        ready, child = os.pipe()
        self.comm, self.pid = comm, os.fork()
        if self.pid == 0:
            try:
                with taken(obj):
                    set_comm(comm)
                    os.write(child, b"x")
                    signal.pause()
            finally:
                os._exit(1)
        os.close(child)
        equal(os.read(ready, 1), b"x", "the holder")
        os.close(ready)
        env.cleanup(self.end)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def odd_pins(env, helper, obj):
    """Pins of all names, some in directories of such names: their paths in SOURCE."""
    source, paths = os.fsencode(env.bpffs), []
    for number, name in enumerate(PATHS):
        path = name + b"d/" + name if number % 3 == 1 else name
        os.makedirs(os.path.join(source, os.path.dirname(path)), exist_ok=True)
        helper.do("pin", obj.var, env.bpffs / "tmp")
        os.rename(os.path.join(source, b"tmp"), os.path.join(source, path))
        paths.append(path)
    return paths


def odd_devices(env, prog):
    """Tap devices that the program steers."""
    for name in DEVICES:
        file = open("/dev/net/tun", "r+b", buffering=0)
        env.cleanup(file.close)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("=16sH14x", name, IFF_TAP | IFF_NO_PI))
        set_program(file, TUNSETSTEERINGEBPF, prog)


def odd_cgroups(env, prog):
    """Cgroups that nothing but the program is attached to; the kernel lets none have a newline."""
    group = env.cgroup()
    for name in PATHS:
        if b"\n" in name:
            continue
        path = os.path.join(os.fsencode(group), name)
        os.mkdir(path)
        env.cleanup(os.rmdir, path)
        must(os.environ["MKOBJ"], "cgroup", "attach", prog.id, os.fsdecode(path), "cgroup_inet_ingress", 2)
        yield b"/" + os.fsencode(group.name) + b"/" + name
    prog.close()


def odd_mount(env):
    place = os.path.join(os.fsencode(env.tmp), PATHS[0])
    os.makedirs(place)
    mount("bpf", place, "bpf")
    env.cleanup(umount, place, MNT_DETACH)
    return place


def try_commands(daemon, obj):
    """Commands that fail, by a process of such a name: each is one line of the log."""
    pin = f"pin {obj.key} ".encode()
    commands = ((errno.EXDEV, pin + b"/\xff\x1b[31m"), (errno.EINVAL, pin + b"../x\nforged"),
                (errno.ENOENT, pin + b"\"quoted\" /x=y"), (errno.EINVAL, pin + b"a\\q\r"),
                (errno.EINVAL, b"frob\n2026-01-01T00:00:00.000Z pid=1 comm=init command=no EPERM: "),
                (errno.EINVAL, b"?"))
    before = os.path.basename(os.readlink("/proc/self/exe")).encode()[:15]
    set_comm(COMMS[0])
    try:
        for number, command in commands:
            fails(number, daemon.write, "control", os.fsdecode(command))
    finally:
        set_comm(before)
    return [b"control " + command for _, command in commands]


def picture(env, data, names):
    """dot(1) takes the graph as it is; and each name is a line of text or a tooltip of its own, that
    nobody's name could begin or end."""
    data.decode("utf-8", errors="strict")
    whole = env.tmp / "graph.dot"
    whole.write_bytes(data)
    svg = xml.etree.ElementTree.fromstring(must(tool("dot"), "-Tsvg", whole))
    texts = {node.text for node in svg.iter() if node.tag.endswith("}text")}
    texts |= {text for node in svg.iter() for key, text in node.items() if key.endswith("}title")}
    for name in names:
        check(shown(name) in texts, f"{name!r} is not in the picture")
    for name in COMMS + PATHS:
        for part in (name.split(b"\n") if b"\n" in name else []):
            check(part.decode() not in texts, f"{part!r} became a line")


def test_every_file_with_names_that_try(env):
    helper, daemon = env.helper(), env.daemon("-o", "pins=file")
    private_net(env)
    obj, array = helper.make("map", "hash"), helper.make("map", "prog_array")
    prog, ingress = helper.make("prog", "socket_filter", maps=array), helper.make("prog", "cgroup_skb")
    helper.do("slot", array.var, 0, prog.var)
    daemon.write(f"{array.key}/keep", "pin")
    holders = [Holder(env, obj, comm) for comm in COMMS]
    paths, groups = odd_pins(env, helper, obj), list(odd_cgroups(env, ingress))
    odd_devices(env, prog)
    place, commands = odd_mount(env), try_commands(daemon, obj)
    over = os.path.join(os.fsencode(daemon.mnt), paths[0].split(b"/")[0])
    mount("tmpfs", over, "tmpfs")
    try:
        parsed = read_all(daemon, [".", "metrics"] + [x.key for x in (obj, array, prog, ingress)] +
                          [f"pid/{x.pid}" for x in holders])
    finally:
        umount(over, MNT_DETACH)
    lines = parsed[f"{obj.key}/holders"]
    source = os.fsencode(env.bpffs) + b"/"
    equal(values((x for x in lines if " pin " in x), "path"), sorted(source + x for x in paths))
    equal(values((x for x in lines if " fd " in x), "comm"), sorted(COMMS + [b"mkobj"]))
    equal(values((x for x in parsed[f"{prog.key}/holders"] if " tun " in x), "ifname"),
          sorted(DEVICES))
    equal(values((x for x in parsed[f"{ingress.key}/holders"] if " cgroup " in x), "path"),
          sorted(groups))
    for holder in holders:
        equal(parsed[f"pid/{holder.pid}/comm"],
              [("\\043" if holder.comm[:1] == b"#" else "") +
               shown(holder.comm.removeprefix(b"#") if holder.comm[:1] == b"#" else holder.comm)])
    check(place in values(parsed["./bpffs"], "path"), "the mount of bpffs")
    equal([raw(re.search(rf" command=({VALUE}) ", x)[1]) for x in parsed["./errors"]], commands)
    equal(values(parsed["./errors"], "comm"), [COMMS[0]] * len(commands))
    equal([x for x in parsed["./status"] if x.startswith("mounted_over: ")],
          ["mounted_over: " + shown(over, 0x21) + " type=tmpfs"])
    said = parsed[f"{obj.key}/json"]["holders"]
    for key, kind, names in (("comm", "fd", COMMS + [b"mkobj"]),
                             ("path", "pin", [source + x for x in paths])):
        equal(sorted(x[key] for x in said if x["class"] == kind),
              sorted(x.decode("utf-8", errors="replace") for x in names), f"{key} in JSON")
    picture(env, parsed[f"{obj.key}/graph.dot"], COMMS + [source + x for x in paths])
    for where in [x for x in parsed if x.endswith("graph.dot")]:
        picture(env, parsed[where], [])
    # what a file shows can be written back
    equal(sorted(map(raw, parsed[f"{obj.key}/pin"])), sorted(paths))
    for line in parsed[f"{obj.key}/pin"]:
        daemon.write(f"{obj.key}/unpin", line)
    equal(daemon.read(f"{obj.key}/pin"), "")


def test_names_of_the_mount_itself(env):
    """SOURCE and MOUNTPOINT may have such names too."""
    source = os.path.join(os.fsencode(env.bpffs), PATHS[0])
    mnt = os.path.join(os.fsencode(env.tmp), PATHS[0])
    for place in (source, mnt):
        os.makedirs(place)
    env.cleanup(umount_quietly, mnt)
    daemon = env.daemon(source=os.fsdecode(source), mountpoint=os.fsdecode(mnt))
    obj = env.helper().make("map", "array")
    daemon.write(f"{obj.key}/pin", "x")
    parsed = {}
    for name in ("status", "bpffs"):
        parsed[name] = parse_lines(name, name, (daemon.tree / name).read_bytes())
    check(f"directory: {shown(source)}" in parsed["status"], parsed["status"])
    check(f"mountpoint: {shown(mnt)}" in parsed["status"], parsed["status"])
    equal(os.fsencode(os.readlink(daemon.tree / "source")), source)
    lines = parse_lines("holders", "holders", (daemon.tree / obj.key / "holders").read_bytes())
    equal(values((x for x in lines if " pin " in x), "path"), [source + b"/x"])
    umount(mnt)
    equal(daemon.process.wait(20), 0, "exit status")


def umount_quietly(place):
    with contextlib.suppress(OSError):
        umount(place, MNT_DETACH)


if __name__ == "__main__":
    sys.exit(main(globals()))
