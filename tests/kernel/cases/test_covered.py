#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A bpffs that is mounted over SOURCE, or on the way to it, and a SOURCE whose mount was moved or
detached: the mirror goes on with the directory that it was started with, none of its symlinks leads
to another object of the same name, and .bpf/status, .bpf/bpffs and the pins' records say so."""
import contextlib
import errno
import json
import os
import subprocess
import sys

from harness import (MNT_DETACH, Skip, check, equal, eventually, fails, fields, leaves_open, main, mount,
                     must, names, run, tool, umount)

MS_BIND, MS_MOVE = 4096, 8192


def object_at(path, *wrap):
    """Which map the kernel finds at a path, by BPF_OBJ_GET."""
    return json.loads(must(*wrap, tool("bpftool"), "-n", "-j", "map", "show", "pinned", path))["id"]


@contextlib.contextmanager
def directory(path):
    """A descriptor's path of a directory, which nothing that is mounted later is in the way of."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)


def fill(helper, place):
    """Maps pinned at a and d/x."""
    (place / "d").mkdir()
    made = [helper.make("map", "array") for _ in range(2)]
    helper.do("pin", made[0].var, place / "a")
    helper.do("pin", made[1].var, place / "d" / "x")
    return made


def cover(env, place):
    """Another bpffs there, which is unmounted at the end if it still is there."""
    mount("bpf", place, "bpf")
    dev = os.stat(place).st_dev
    env.cleanup(lambda: os.stat(place).st_dev == dev and umount(place, MNT_DETACH))


def state(daemon):
    return daemon.pairs("status")["directory_state"].split(":")[0]


def shows(daemon, made):
    """The mirror leads to just these objects, by symlinks, twins and numbers."""
    mnt = daemon.mnt
    check(set(names(mnt)) >= {"a", "d"}, str(names(mnt)))
    for name, obj in zip(("a", "d/x"), made):
        twin = mnt / name
        equal(object_at(mnt / name), obj.id, name)
        equal(object_at(daemon.tree / "source" / name), obj.id, f"source/{name}")
        text = (twin.parent / f".{twin.name}" / "info").read_text()
        check(f"\nid: {obj.id}\n" in text, text)
        equal(daemon.read(f"{obj.key}/pin"), f"{name}\n", "pin")


def acts(daemon, lower, made):
    """What is done in the mirror is done in @lower, a path to the mirrored directory."""
    mnt, first = daemon.mnt, made[0]
    (mnt / "d" / "e").mkdir()
    check(os.path.isdir(f"{lower}/d/e"), "mkdir")
    os.rename(mnt / "d" / "e", mnt / "f")
    os.rmdir(mnt / "f")
    equal(names(f"{lower}/d"), ["x"])
    os.link(mnt / "a", mnt / "d" / "b")
    equal(os.stat(f"{lower}/d/b").st_ino, os.stat(f"{lower}/a").st_ino, "link")
    os.unlink(mnt / "d" / "b")
    daemon.write(f"{first.key}/pin", "d/y")
    equal(object_at(f"{lower}/d/y"), first.id, "pinned by the control")
    daemon.write(f"{first.key}/unpin", "d/y")
    daemon.write("control", f"pin {first.key} d/y")
    check(os.path.exists(f"{lower}/d/y"), "control")
    os.unlink(mnt / "d" / "y")
    equal(names(f"{lower}/d"), ["x"])
    daemon.write(f"{first.key}/keep", "pin")
    equal(object_at(f"{lower}/bpfrefs/keep/map_{first.id}"), first.id, "kept")
    equal(daemon.read(f"{first.key}/keep"), "pin\n")
    daemon.write(f"{first.key}/keep", "off")
    equal(names(f"{lower}/bpfrefs/keep"), [])
    must(tool("bpftool"), "-n", "map", "pin", "id", first.id, daemon.tree / "source" / "d" / "z")
    equal(object_at(f"{lower}/d/z"), first.id, "pinned by the symlink")
    os.unlink(mnt / "d" / "z")


def pin_of(daemon, obj):
    line = next(x for x in daemon.lines(f"{obj.key}/holders")[0] if " pin " in x)
    return fields(line)


def check_covered(env, daemon, made, upper, place):
    """@place is covered; what the upper bpffs has stays untouched."""
    before = {name: object_at(place / name) for name in ("a", "d/x")} if upper else {}
    equal(state(daemon), "covered")
    check(os.readlink(daemon.mnt / "a").startswith(f"/proc/{daemon.pid}/fd/"), "symlink")
    shows(daemon, made)
    acts(daemon, env.lower, made)
    record = pin_of(daemon, made[1])
    equal((record["path"], record["inner"], record["state"]), ("?", "/d/x", "covered"), str(record))
    check(f" covered={place}\n" in daemon.read("bpffs"), daemon.read("bpffs"))
    os.unlink(daemon.mnt / "a")
    check("a" not in names(env.lower), "rm")
    equal({name: object_at(place / name) for name in before}, before, "the upper bpffs")


def test_bpffs_over_source(env):
    helper = env.helper()
    made = fill(helper, env.bpffs)
    with directory(env.bpffs) as env.lower:
        daemon = env.daemon()
        equal((state(daemon), pin_of(daemon, made[0])["state"]), ("visible", "live"))
        equal(os.readlink(daemon.mnt / "a"), f"{env.bpffs}/a")
        cover(env, env.bpffs)
        others = fill(helper, env.bpffs)
        check_covered(env, daemon, made, True, env.bpffs)
        equal(pin_of(daemon, others[0])["path"], f"{env.bpffs}/a")
        umount(env.bpffs)
        equal((state(daemon), os.readlink(daemon.mnt / "d" / "x")), ("visible", f"{env.bpffs}/d/x"))
        record = pin_of(daemon, made[1])
        equal((record["path"], record["state"]), (f"{env.bpffs}/d/x", "live"))


def test_while_a_process_is_in_it(env):
    """One whose working directory is below SOURCE, from before."""
    made = fill(env.helper(), env.bpffs)
    daemon = env.daemon()
    (daemon.mnt / "d" / "g").mkdir()
    script = 'read -r _; ls .. && mkdir h && cat ../.x/info && ls -d h'
    with subprocess.Popen(["sh", "-ec", script], cwd=daemon.mnt / "d" / "g", text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        cover(env, env.bpffs)
        out, _ = process.communicate("\n")
    equal(process.returncode, 0, out)
    check(f"id: {made[1].id}\n" in out and out.endswith("h\n"), out)


def test_mount_over_a_directory_on_the_way(env):
    way = env.tmp / "way"
    place = way / "in" / "bpf"
    place.mkdir(parents=True)
    mount("bpf", place, "bpf")
    env.cleanup(umount, place, MNT_DETACH)
    made = fill(env.helper(), place)
    with directory(place) as env.lower:
        daemon = env.daemon(source=place)
        mount("tmpfs", way, "tmpfs")
        env.cleanup(umount, way, MNT_DETACH)
        check(not place.exists(), "not covered")
        check_covered(env, daemon, made, False, place)


@leaves_open("the same directories have other paths then")
def test_a_directory_of_a_bpffs_as_source(env):
    top = env.bpffs / "top"
    top.mkdir()
    made = fill(env.helper(), top)
    with directory(top) as env.lower, directory(env.bpffs) as above:
        daemon = env.daemon(source=top)
        cover(env, env.bpffs)
        equal(state(daemon), "covered")
        shows(daemon, made)
        acts(daemon, env.lower, made)
        # Out of SOURCE it is no longer the mirror's, which "has moved" and "is covered" are not.
        with directory(daemon.mnt / "d") as inside:
            os.rename(f"{env.lower}/d", f"{above}/out")
            fails(errno.ESTALE, os.mkdir, f"{inside}/e")
        umount(env.bpffs)
        os.rename(env.bpffs / "out", top / "d")
        os.rename(top, env.bpffs / "new")
        equal(state(daemon), "moved")
        equal(daemon.pairs("status")["directory_now"], str(env.bpffs / "new"))
        shows(daemon, made)
        acts(daemon, env.lower, made)


def test_moved_mount(env):
    made = fill(env.helper(), env.bpffs)
    other = env.tmp / "other"
    other.mkdir()
    with directory(env.bpffs) as env.lower:
        daemon = env.daemon()
        mount(env.bpffs, other, None, MS_MOVE)
        equal(state(daemon), "moved")
        equal(os.readlink(daemon.mnt / "a"), f"{other}/a")
        shows(daemon, made)
        acts(daemon, env.lower, made)
        mount(other, env.bpffs, None, MS_MOVE)
        equal((state(daemon), os.readlink(daemon.mnt / "a")), ("visible", f"{env.bpffs}/a"))


@leaves_open("the same directories have other paths then")
def test_detached_mount(env):
    helper = env.helper()
    made = fill(helper, env.bpffs)
    with directory(env.bpffs) as env.lower:
        daemon = env.daemon()
        umount(env.bpffs, MNT_DETACH)
        mount("bpf", env.bpffs, "bpf")
        fill(helper, env.bpffs)
        equal(state(daemon), "detached")
        shows(daemon, made)
        acts(daemon, env.lower, made)
        equal(pin_of(daemon, made[0])["state"], "detached")


def test_mount_in_source(env):
    """A name that something is mounted on is EXDEV, and so is a pin below it for a process that was
    there before: no symlink leads into what is mounted."""
    helper = env.helper()
    made = fill(helper, env.bpffs)
    daemon = env.daemon()
    with directory(daemon.mnt / "d") as inside:
        cover(env, env.bpffs / "d")
        helper.do("pin", made[0].var, env.bpffs / "d" / "x")
        fails(errno.EXDEV, os.readlink, f"{inside}/x")
        fails(errno.EXDEV, os.stat, daemon.mnt / "d")
        os.mkdir(f"{inside}/e")
        equal((state(daemon), object_at(daemon.mnt / "a")), ("visible", made[0].id))
        equal(pin_of(daemon, made[1])["state"], "covered")
        umount(env.bpffs / "d")
        equal(object_at(f"{inside}/x"), made[1].id)
        check((env.bpffs / "d" / "e").is_dir(), "mkdir")


def test_without_privileges(env):
    """Following the daemon's descriptor needs what ptrace(2) does: others get EACCES, and no other
    object."""
    helper = env.helper()
    fill(helper, env.bpffs)
    os.chmod(env.tmp, 0o755)
    os.chmod(env.bpffs / "a", 0o644)
    daemon = env.daemon("-o", "allow_other")
    wrap = [tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", tool("stat"), "-L"]
    equal(run(*wrap, daemon.mnt / "a")[0], 0, "by the path")
    cover(env, env.bpffs)
    helper.do("pin", helper.make("map", "array").var, env.bpffs / "a")
    os.chmod(env.bpffs / "a", 0o644)
    status, _, err = run(*wrap, daemon.mnt / "a")
    check(status == 1 and "Permission denied" in err, f"{status} {err}")


def test_another_bpffs(env):
    """One that is not the mirror's: its pins are covered, and visible through a bind mount."""
    place, bind = env.tmp / "second", env.tmp / "bind"
    place.mkdir()
    bind.mkdir()
    mount("bpf", place, "bpf")
    env.cleanup(umount, place, MNT_DETACH)
    helper = env.helper()
    obj = fill(helper, place)[1]
    daemon = env.daemon()
    equal(pin_of(daemon, obj)["path"], f"{place}/d/x")
    cover(env, place)
    record = pin_of(daemon, obj)
    equal((record["path"], record["state"], record.get("pid")), ("?", "covered", None))
    lines = [x for x in daemon.lines("bpffs")[0] if f"={place}" in x]
    equal(sorted("covered=" in x for x in lines), [False, True], str(lines))
    umount(place)
    mount(place, bind, None, MS_BIND)
    env.cleanup(umount, bind, MNT_DETACH)
    cover(env, place)
    record = pin_of(daemon, obj)
    equal((record["path"], record["state"]), (f"{bind}/d/x", "live"))
    umount(place)
    # Reached from another mount namespace alone.
    with subprocess.Popen([tool("unshare"), "--mount", "--propagation=private", "sh", "-c",
                           "echo ready && read -r _"], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE) as process:
        equal(process.stdout.readline(), "ready\n")
        cover(env, place)
        cover(env, bind)
        record = pin_of(daemon, obj)
        equal((record["state"], record["pid"]), ("live", str(process.pid)))
        process.communicate("\n")
    eventually(lambda: equal(pin_of(daemon, obj)["state"], "covered"))


def test_mount_options(env):
    """They are the kernel's own, of one that is covered too; of a detached one they are unknown."""
    place = env.tmp / "options"
    place.mkdir()
    mount("bpf", place, "bpf", data="mode=750,uid=5,gid=6,delegate_cmds=map_create:prog_load,"
                                    "delegate_maps=any,delegate_progs=xdp,delegate_attachs=any")
    dev = os.stat(place).st_dev
    with open("/proc/self/mountinfo", encoding="ascii") as mounts:
        line = next(x for x in mounts if f" {place} " in x)
    options = dict(x.split("=", 1) for x in line.split(" ")[-1].strip().split(",") if "=" in x)
    if "delegate_cmds" not in options:
        raise Skip("this kernel's bpffs delegates nothing")  # it ignores options that it does not know
    equal(len(options), 7, line)

    def shown(daemon, device):
        prefix = f"{os.major(device)}:{os.minor(device)} "
        found = fields(next(x for x in daemon.lines("bpffs")[0] if x.startswith(prefix)))
        return {key: found[key] for key in options}

    daemon = env.daemon()
    equal(shown(daemon, dev), options)
    equal(shown(daemon, os.stat(env.bpffs).st_dev),
          dict.fromkeys(options, "") | {"mode": "777", "uid": "0", "gid": "0"})
    cover(env, place)
    equal(shown(daemon, dev), options, "covered")
    umount(place)
    with directory(place):
        umount(place, MNT_DETACH)
        equal(shown(daemon, dev), dict.fromkeys(options, "?"), "detached")


def test_without_bpf(env):
    """From procfs what is covered cannot be walked: a gap, and the same mirror."""
    made = fill(env.helper(), env.bpffs)
    with directory(env.bpffs) as env.lower:
        daemon = env.daemon("--source=proc")
        cover(env, env.bpffs)
        equal(state(daemon), "covered")
        equal(object_at(daemon.mnt / "a"), made[0].id)
        check(any("pin: partial" in x for x in daemon.lines("holders")[1]), "no gap")
        (daemon.mnt / "d" / "e").mkdir()
        check(os.path.isdir(f"{env.lower}/d/e"), "mkdir")


if __name__ == "__main__":
    sys.exit(main(globals()))
