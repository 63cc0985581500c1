#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what: every row of docs/threat-model.md. Callers of each kind try everything, through
the mirror and in bpffs itself, and the two must say the same; and what the virtual files say to
each is written down here."""
import errno
import json
import os
import resource
import shutil
import sys

from harness import (Skip, check, equal, eventually, fails, is_mounted, main, mount, must, protected,
                     run, tool, umount)

GROUP = 12345
# One that everybody may execute, if there is one.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
READABLE, WRITABLE = 8, 9  # descriptors that root opened and left to its children

# What one caller tries. Arguments: the mount, an object's key, and two directories of equal content.
ACTS = r"""
import errno, json, os, sys
mnt, key, mirrored, plain = sys.argv[1:]
tree = os.path.join(mnt, ".bpf")

def attempt(action, *args):
    try:
        action(*args)
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]

def opened(path, flags):
    os.close(os.open(path, flags))

def read(path):
    with open(path, "rb") as file:
        file.read()

def virtual():
    obj = os.path.join(tree, key)
    found = {"list": attempt(os.listdir, tree)}
    for name in ("holders", "objects", "errors", "status", key + "/info"):
        found["read " + name] = attempt(read, os.path.join(tree, name))
    found["peek"] = attempt(read, os.path.join(obj, "keep"))
    for name in ("pin", "unpin", "keep"):
        found["open " + name] = attempt(opened, os.path.join(obj, name), os.O_WRONLY)
    found["open control"] = attempt(opened, os.path.join(tree, "control"), os.O_RDWR)
    found["write"] = attempt(os.write, 9, b"fd")
    found["reopen"] = attempt(opened, "/proc/self/fd/9", os.O_WRONLY)
    found["read descriptor"] = attempt(os.read, 8, 10)
    found["twin"] = attempt(os.readlink, os.path.join(mnt, ".pinned"))
    return found

def changes(base):
    at = lambda name: os.path.join(base, name)
    uid, gid = os.geteuid(), os.getegid()
    acts = [
        ("ls", os.listdir, at("root")),
        ("ls closed", os.listdir, at("closed")),
        ("stat in closed", os.lstat, at("closed/p")),
        ("mkdir", os.mkdir, at("root/new")),
        ("mkdir in closed", os.mkdir, at("closed/new")),
        ("mkdir in open", os.mkdir, at("open/new"), 0o2755),
        ("chown of own", os.chown, at("open/new"), 77, 78),
        ("chgrp of own", os.chown, at("open/new"), -1, gid),
        ("chmod of own", os.chmod, at("open/new"), 0o2777),
        ("symlink", os.symlink, "x", at("root/link")),
        ("symlink in open", os.symlink, "/etc/passwd", at("open/link")),
        ("read", read, at("root/p")),
        ("open to write", opened, at("root/p"), os.O_WRONLY),
        ("truncate", os.truncate, at("root/p"), 0),
        ("chmod", os.chmod, at("root/p"), 0o666),
        ("chown", os.chown, at("root/p"), uid, gid),
        ("chmod setgid", os.chmod, at("root/dir"), 0o2755),
        ("utime", os.utime, at("root/q"), (1, 1)),
        ("utime now", os.utime, at("root/q")),
        ("link", os.link, at("root/q"), at("open/l")),
        ("mknod", os.mknod, at("open/device"), 0o20666, 259),
        ("rename", os.rename, at("root/q"), at("root/r")),
        ("rename out of sticky", os.rename, at("sticky/p"), at("open/s")),
        ("unlink in sticky", os.unlink, at("sticky/q")),
        ("unlink", os.unlink, at("root/r")),
        ("unlink in open", os.unlink, at("open/p")),
        ("unlink in closed", os.unlink, at("closed/p")),
        ("rmdir", os.rmdir, at("root/sub")),
    ]
    found = {}
    for name, action, *args in acts:
        found[name] = attempt(action, *args)
    return found

print(json.dumps([virtual(), changes(mirrored), changes(plain)]))
"""

DOCKER = ("chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,"
          "sys_chroot,mknod,audit_write,setfcap")


def only(caps):
    """Options of setpriv(1) that leave just these."""
    return [f"--{kind}=-all" + "".join(f",+{cap}" for cap in caps.split(",") if cap)
            for kind in ("bounding-set", "inh-caps")]


def user(*options, caps=""):
    """The command before a caller that is no root, perhaps with a capability or two."""
    given = [f"--inh-caps=-all,+{caps}", f"--ambient-caps=+{caps}"] if caps else []
    groups = [] if any(x.startswith("--groups") for x in options) else ["--clear-groups"]
    return [tool("setpriv"), "--reuid=1234", "--regid=1235", *groups, *options, *given]


def layout(env, helper, obj, name):
    """A directory with all that a caller may want to change, root's."""
    base = env.bpffs / name.replace(" ", "-")
    for sub, mode in (("root", 0o755), ("open", 0o777), ("sticky", 0o1777), ("closed", 0o700)):
        (base / sub).mkdir(parents=True)
        for pin in ("p", "q"):
            helper.do("pin", obj.var, base / sub / pin)
        os.chmod(base / sub, mode)
    for sub in ("sub", "dir"):
        (base / "root" / sub).mkdir()
    os.chown(base / "root" / "dir", 0, 4321)
    return base


def state(base):
    """What is there, by root's own eyes."""
    found = {}
    for place, dirs, files in os.walk(base):
        for name in dirs + files:
            facts = os.lstat(os.path.join(place, name))
            found[os.path.relpath(os.path.join(place, name), base)] = (
                oct(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_nlink,
                facts.st_mtime < 10)
    return found


class World:
    """A mount that others may use, and what they try on it."""

    def __init__(self, env, *options):
        self.env, self.helper = env, env.helper()
        self.symlinks = not any("pins=file" in option for option in options)
        self.daemon = env.daemon(*options)
        self.obj = self.helper.make("map", "array")
        os.chmod(env.tmp, 0o755)
        self.helper.do("pin", self.obj.var, env.bpffs / "pinned")
        for number, path, flags in ((READABLE, self.daemon.tree / "holders", os.O_RDONLY),
                                    (WRITABLE, self.control, os.O_WRONLY)):
            fd = os.open(path, flags)
            os.dup2(fd, number, inheritable=True)
            os.close(fd)
            env.cleanup(os.close, number)

    @property
    def control(self):
        return self.daemon.tree / self.obj.key / "keep"

    def ask(self, wrap, name):
        """What a caller of that kind gets: by the virtual files, the mirror and bpffs."""
        places = [layout(self.env, self.helper, self.obj, f"{kind}-{name}") for kind in "md"]
        status, out, err = run(*wrap, PYTHON, "-c", ACTS, self.daemon.mnt, self.obj.key,
                               self.daemon.mnt / places[0].name, places[1],
                               pass_fds=(READABLE, WRITABLE), cwd="/")
        equal(status, 0, f"{name}: {err}")
        virtual, mirrored, plain = json.loads(out)
        for base, results in zip(places, (mirrored, plain)):
            results["left"] = state(base)
            shutil.rmtree(base)
        if self.symlinks and protected("hardlinks") and mirrored["link"] == "EPERM":
            # nobody else may link a symlink then, as bpfrefs(5) says
            mirrored["link"] = plain["link"]
            plain["left"].pop("open/l", None)
        return virtual, mirrored, plain

    def trial(self, wrap, name, want):
        """Nothing is kept or changed by it but what @want says, and the mirror is as bpffs is."""
        virtual, mirrored, plain = self.ask(wrap, name)
        equal(mirrored, plain, f"{name}: mirror and bpffs")
        for act, result in virtual.items():
            rule = next(rule for rule in want if act.startswith(rule))
            equal(result, want[rule], f"{name}: {act}")
        kept = "fd\n" if want["write"] == "ok" else "off\n"
        equal(self.daemon.read(f"{self.obj.key}/keep"), kept, f"{name}: keep")
        self.daemon.write(f"{self.obj.key}/keep", "off")
        return mirrored


def want(read, control, write, peek=None):
    """Results by the beginning of an act's name, the first that fits. Who passes the controls' mode
    may read them, and then needs the capability; to open one again is to open it."""
    return {"read descriptor": "ok", "list": read, "read ": read, "open": control, "reopen": control,
            "peek": peek or ("EACCES" if control == "EACCES" else "ok"), "write": write,
            "twin": "ok" if read == "ok" else "EPERM"}


# Kinds of callers with allow_other and gid=: the command before them, and what .bpf shows them.
def kinds():
    root = [tool("setpriv")]
    return {
        "root": ([], want("ok", "ok", "ok")),
        "user": (user(), want("EACCES", "EACCES", "EPERM")),
        "member": (user(f"--groups={GROUP}"), want("ok", "EACCES", "EPERM")),
        "cap_bpf": (user(caps="bpf"), want("EACCES", "EACCES", "EPERM")),
        "cap_bpf,perfmon,net_admin":
            (user(caps="bpf,+perfmon,+net_admin"), want("EACCES", "EACCES", "EPERM")),
        "cap_dac_override": (user(caps="dac_override"), want("ok", "EPERM", "EPERM")),
        "cap_dac_read_search":
            (user(caps="dac_read_search"), want("ok", "EACCES", "EPERM", peek="ok")),
        "cap_fowner": (user(caps="fowner"), want("EACCES", "EACCES", "EPERM")),
        "cap_chown": (user(caps="chown"), want("EACCES", "EACCES", "EPERM")),
        # It could do with bpf(2) what the control does; the file's mode still holds for its open.
        "cap_sys_admin": (user(caps="sys_admin"), want("EACCES", "EACCES", "ok")),
        "root without capabilities": (root + only(""), want("ok", "EPERM", "EPERM")),
        "root of a container":
            ([tool("unshare"), "--pid", "--fork", "--net", "--ipc", *root, *only(DOCKER)],
             want("ok", "EPERM", "EPERM")),
        "root without sys_admin":
            (root + ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
             want("ok", "EPERM", "EPERM")),
    }


def test_each_kind_of_caller(env):
    world = World(env, "-o", f"allow_other,gid={GROUP},pins=file")
    for name, (wrap, wanted) in kinds().items():
        results = world.trial(wrap, name, wanted)
        # the comparison is of something: refused to some and granted to others
        check(results["mkdir in open"] == "ok", f"{name}: {results}")
        equal(results["mkdir in closed"] == "ok", "root" in name and "without cap" not in name or
              name in ("root without capabilities", "cap_dac_override"), f"{name}: {results}")


def test_each_kind_of_caller_with_symlinks(env):
    """The other way to show pins changes nothing about who may change what."""
    world = World(env, "-o", "allow_other")
    for name in ("user", "member", "cap_dac_override", "root without capabilities"):
        wrap, wanted = kinds()[name]
        if name == "member":  # of a group that has no right here
            wanted = want("EACCES", "EACCES", "EPERM")
        _, mirrored, plain = world.ask(wrap, name)
        equal(mirrored, plain, f"{name}: mirror and bpffs")
        world.trial(wrap, name + " again", wanted)


def test_root_of_a_user_namespace(env):
    world = World(env, "-o", f"allow_other,gid={GROUP},pins=file")
    mapped = [tool("unshare"), "--user", "--map-root-user"]
    status, _, err = run(*mapped, "true")
    if status:
        raise Skip(f"no user namespaces here: {err.strip()}")
    world.trial(user() + mapped, "user", want("EACCES", "EACCES", "EPERM"))
    # as root outside it owns root's files, and that is all
    world.trial(mapped, "root", want("ok", "EPERM", "EPERM"))


def test_nobody_else_without_allow_other(env):
    """The kernel keeps everyone out who is not root in every respect."""
    world = World(env, "-o", f"gid={GROUP},pins=file")
    for name in ("user", "member", "cap_bpf", "cap_dac_override"):
        virtual, mirrored, _ = world.ask(kinds()[name][0], name)
        equal(len(mirrored.pop("left")), 14, f"{name}: what it left")
        for act, result in list(virtual.items()) + list(mirrored.items()):
            granted = {"write": "EPERM", "read descriptor": "ok"}
            equal(result, granted.get(act, "EACCES"), f"{name}: {act}")
    fails(errno.EACCES, must_fail_to_read, world, user(caps="sys_admin"))


def must_fail_to_read(world, wrap):
    status, _, err = run(*wrap, tool("cat"), world.daemon.tree / "holders")
    number = errno.EACCES if "Permission denied" in err else 0
    raise OSError(number, f"exit {status}: {err}")


def test_permissions_are_always_checked(env):
    """default_permissions is not for the user to leave out."""
    env.daemon("-o", "allow_other")
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        line = next(x for x in file if f" {env.mnt} " in x)
    check("default_permissions" in line.rsplit(" - ", 1)[1], line)


# ------------------------------------------------- callers that change on the way


def caller(env, daemon, obj, mode, *words):
    """A run of the helper, as {what: result}."""
    out = must(env.mkobj, "caller", mode, daemon.tree / obj.key / "keep", "fd", *words)
    return dict(line.rsplit(" ", 1) for line in out.splitlines())


def untouched(daemon, obj):
    equal(daemon.read(f"{obj.key}/keep"), "off\n", "kept all the same")


def test_thread_with_other_credentials(env):
    daemon, obj = env.daemon(), env.helper().make("map", "array")
    said = caller(env, daemon, obj, "thread")
    equal(said, {"dropped-thread open": "EPERM", "dropped-thread write": "EPERM",
                 "dropped-process open": "EPERM", "dropped-process write": "EPERM",
                 "kept-thread open": "ok", "kept-thread write": "ok"})
    equal(daemon.read(f"{obj.key}/keep"), "fd\n", "by the thread that may")
    daemon.write(f"{obj.key}/keep", "off")


def test_privilege_dropped_between_open_and_write(env):
    daemon, obj = env.daemon("-o", "allow_other"), env.helper().make("map", "array")
    equal(caller(env, daemon, obj, "drop"), {"write": "EPERM"})
    untouched(daemon, obj)


def test_worker_of_a_ring(env):
    """A worker keeps the credentials of the moment in which it was made, and serves who has less."""
    daemon, obj = env.daemon("-o", "allow_other"), env.helper().make("map", "array")
    said = caller(env, daemon, obj, "uring")
    if "ring" in said:
        raise Skip(f"no io_uring here: {said['ring']}")
    equal(said, {"warm": "ok", "same-uid": "EPERM", "other-uid": "EPERM"})
    untouched(daemon, obj)


def test_exit_in_mid_request(env):
    """Killed at any moment of a write, whoever gets the number next: nothing is done in his name."""
    daemon, obj = env.daemon(), env.helper().make("map", "array")
    said = caller(env, daemon, obj, "exit", 400)
    check(int(said["inherited"]) > 0, f"no number was ever used again: {said}")
    equal(said["let-in"], "0")
    untouched(daemon, obj)


def setuid_copy(env, program):
    """A program that runs as root for whoever starts it, where setuid counts."""
    place = env.tmp / "suid"
    place.mkdir()
    mount("tmpfs", place, "tmpfs")
    env.cleanup(umount, place)
    copy = place / "program"
    shutil.copy(program, copy)
    os.chmod(copy, 0o4755)
    return copy


def test_output_of_a_setuid_program(env):
    """A user cannot lend it a control: the shell that should open it is the user's own."""
    daemon, obj = env.daemon("-o", "allow_other"), env.helper().make("map", "array")
    os.chmod(env.tmp, 0o755)
    echo = setuid_copy(env, "/usr/bin/printf")
    control = daemon.tree / obj.key / "keep"
    script = f"'{echo}' fd {{}} '{control}'"
    for redirect in (">", "1<>", ">>"):
        status, _, err = run(*user(), "/bin/sh", "-c", script.format(redirect))
        check(status != 0 and "ermission denied" in err, f"{redirect}: {status} {err}")
    # Whoever passes by modes opens it no more than bpf(2) would let him.
    status, _, err = run(*user(caps="dac_override"), "/bin/sh", "-c", script.format(">"))
    check(status != 0 and "not permitted" in err, err)
    untouched(daemon, obj)
    # The check is of the control and not of the program: root, who may, is served.
    equal(run("/bin/sh", "-c", script.format(">"))[0], 0, "root")
    equal(daemon.read(f"{obj.key}/keep"), "fd\n", "root")
    daemon.write(f"{obj.key}/keep", "off")


# ---------------------------------------------------- the daemon's own privileges

ALWAYS = {"cap_sys_admin", "cap_sys_ptrace", "cap_dac_read_search", "cap_dac_override",
          "cap_setuid", "cap_setgid"}
TO_CHANGE = {"cap_chown", "cap_fowner", "cap_fsetid"}


def may_lift_memlock():
    """Whether a daemon that this process starts may lift RLIMIT_MEMLOCK, by CAP_SYS_RESOURCE."""
    with open("/proc/self/status", encoding="utf-8") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return bool(effective >> 24 & 1) or hard == resource.RLIM_INFINITY


# What it keeps where it may not.
if not may_lift_memlock():
    ALWAYS = ALWAYS | {"cap_ipc_lock"}


def numbers(path):
    """The sets of capabilities of a thread, and no_new_privs."""
    with open(path, encoding="utf-8") as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {key: int(found[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                                                 "NoNewPrivs")}


def bits(names):
    known = ("chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap "
             "linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner "
             "sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot "
             "sys_nice").split()
    return sum(1 << known.index(name.removeprefix("cap_")) for name in names)


def all_threads(daemon):
    return {tid: numbers(f"/proc/{daemon.pid}/task/{tid}/status")
            for tid in os.listdir(f"/proc/{daemon.pid}/task")}


def keeps(daemon, names):
    pairs = daemon.pairs("status")
    equal(set(pairs["capabilities"].split(",")), names, "said in status")
    equal(pairs["no_new_privs"], "yes")
    kept = bits(names)
    found = all_threads(daemon)
    check(len(found) > 1, f"threads: {found}")
    for tid, sets in found.items():
        equal(sets, {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept, "CapAmb": 0,
                     "NoNewPrivs": 1}, f"thread {tid} of {daemon.pid}")


def test_daemon_drops_capabilities(env):
    for options, names in (("allow_other", ALWAYS | TO_CHANGE), ("ro", ALWAYS),
                           ("keep=auto", ALWAYS | TO_CHANGE | {"cap_sys_nice"})):
        daemon = env.daemon("-o", options)
        keeps(daemon, names)
        daemon.stop()


def test_daemon_is_itself_again_after_each_request(env):
    """Acting as callers of all kinds leaves no thread with more or less than before."""
    world = World(env, "-o", f"allow_other,gid={GROUP},pins=file")
    for name in ("user", "cap_dac_override", "root without capabilities"):
        world.ask(kinds()[name][0], name)

    def look():
        keeps(world.daemon, ALWAYS | TO_CHANGE)
        for tid in os.listdir(f"/proc/{world.daemon.pid}/task"):
            with open(f"/proc/{world.daemon.pid}/task/{tid}/status", encoding="utf-8") as file:
                text = file.read()
            check("\nUid:\t0\t0\t0\t0\n" in text and "\nGid:\t0\t0\t0\t0\n" in text, text)
            check("\nGroups:\t \n" in text, text)
    eventually(look)


def test_daemon_with_fewer_capabilities(env):
    """What was not given is not needed to start: it says what it has."""
    wrapper = env.tmp / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec {tool('setpriv')} --bounding-set=-fsetid,-setpcap "
                       f"--inh-caps=-fsetid,-setpcap {env.bpfrefs} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    env.bpfrefs = wrapper
    daemon = env.daemon()
    names = ALWAYS | TO_CHANGE - {"cap_fsetid"}
    equal(set(daemon.pairs("status")["capabilities"].split(",")), names)
    for tid, sets in all_threads(daemon).items():
        equal((sets["CapPrm"], sets["CapEff"], sets["NoNewPrivs"]), (bits(names), bits(names), 1),
              f"thread {tid}")
    daemon.stop()


def test_daemon_that_may_not_lift_a_limit(env):
    """It is exempt from it instead: its own ring and its perf rings do not count."""
    wrapper = env.tmp / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec {tool('prlimit')} --memlock=0:0 {tool('setpriv')} "
                       f"--bounding-set=-sys_resource --inh-caps=-sys_resource {env.bpfrefs} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    env.bpfrefs = wrapper
    daemon = env.daemon("-o", "keep=auto")
    pairs = daemon.pairs("status")
    equal(set(pairs["capabilities"].split(",")), ALWAYS | TO_CHANGE | {"cap_sys_nice", "cap_ipc_lock"})
    if pairs["source"] == "bpf":
        equal(pairs["class io_uring"], "BPF walk: complete")


def test_auto_unmount_without_new_privileges(env):
    """Its helper, fusermount3, is executed by a daemon that has given all else away. It looks at the
    mount when the daemon's socket is closed, and leaves it if the mount still answers: a moment early,
    at times. So it has some tries."""
    if not shutil.which("fusermount3"):
        raise Skip("fusermount3 is not installed")

    def gone():
        check(not is_mounted(env.mnt), "still mounted")

    for left in range(4, -1, -1):
        daemon = env.daemon("-o", "auto_unmount")
        daemon.kill()
        try:
            eventually(gone)
            return
        except AssertionError:
            check(left, "it never unmounts")
            daemon.clear()


if __name__ == "__main__":
    sys.exit(main(globals()))
