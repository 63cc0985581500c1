#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounting and ending: what bpfrefs(8) says of SOURCE, MOUNTPOINT, signals and mount(8)."""
import errno
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from harness import (MNT_DETACH, MS_BIND, MS_REC, PATIENCE, Daemon, Skip, check, equal, eventually,
                     fails, is_mounted, main, mount, must, run, stable, tool, umount)


def mount_line(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return next(x.split() for x in file if f" {path} " in x)


def refused(env, *command, says, status=None):
    """The daemon must refuse to start, say why, and leave nothing mounted."""
    code, out, err = run(env.bpfrefs, *command)
    check(code != 0, f"accepted {command}")
    if status is not None:
        equal(code, status, err)
    check(says in err, f"{command}: {says!r} not in: {out}{err}")
    check(not is_mounted(env.mnt), "mounted in spite of it")


def test_mounted_as_requested(env):
    env.daemon()
    words = mount_line(env.mnt)
    kind, source = words[words.index("-") + 1], words[words.index("-") + 2]
    equal((kind, source), ("fuse.bpfrefs", str(env.bpffs)))
    for option in ("nosuid", "nodev"):
        check(option in words[5].split(","), words[5])


def test_umount_ends_the_daemon(env):
    daemon = env.daemon()
    (env.bpffs / "d").mkdir()
    for _ in range(20):
        os.listdir(daemon.mnt)
        daemon.read("holders")
    # A directory that the kernel still remembers may have one; nothing else may.
    more = list(daemon.descriptors())
    for name in daemon.open_before:
        if name in more:
            more.remove(name)
    check(all(x.startswith("/") and not x.startswith("/proc") for x in more), str(more))
    check(len(more) <= 1, str(more))
    daemon.stop()


def test_sigterm(env):
    env.daemon().stop(signal.SIGTERM)


def test_sigint(env):
    env.daemon().stop(signal.SIGINT)


def words_of(pid):
    """A process's command line; of one that has just ended, nothing."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_background(env):
    equal(run(env.bpfrefs, env.bpffs, env.mnt)[0], 0, "exit status of the foreground part")
    check((env.mnt / ".bpf" / "status").read_text(), "not working when it returned")
    pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and str(env.mnt).encode() in words_of(p)]
    equal(len(pids), 1, "daemons")
    equal(os.getsid(pids[0]), pids[0], "session of its own")
    umount(env.mnt)

    def ended():
        check(not os.path.exists(f"/proc/{pids[0]}"), "the daemon goes on")
    eventually(ended)


def copied(env):
    """A process in a mount namespace that has a copy of the mount, and keeps it."""
    process = subprocess.Popen([tool("unshare"), "--mount", "--propagation=private", "sh", "-c",
                                "echo ready && read -r _"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    env.cleanup(process.communicate)
    equal(process.stdout.readline(), "ready\n")
    return process


def test_unmounted_while_another_namespace_has_it(env):
    """The daemon goes on, and says so once; it ends with the last copy."""
    daemon = env.daemon()
    equal(daemon.pairs("status")["mount_state"], "mounted")
    process = copied(env)
    umount(env.mnt)
    text = f"until this copy of the mount is unmounted too: {env.mnt} mnt_ns="
    eventually(lambda: check(text in daemon.log_text(), daemon.log_text()), 4 * PATIENCE)
    elsewhere = pathlib.Path(f"/proc/{process.pid}/root{env.mnt}/.bpf/status")
    ns = os.stat(f"/proc/{process.pid}/ns/mnt").st_ino
    status = elsewhere.read_text()
    check("\nmount_state: unmounted here" in status, status)
    check(f"\nmounted_elsewhere: {env.mnt} mnt_ns={ns} pid={process.pid}\n" in status, status)
    fails(errno.EBUSY, umount, env.bpffs)
    mount("tmpfs", env.mnt, "tmpfs") # wakes it again
    umount(env.mnt)
    time.sleep(2)
    equal(daemon.log_text().count("no longer mounted here"), 1, daemon.log_text())
    process.communicate("\n")
    equal(daemon.process.wait(4 * PATIENCE), 0, daemon.log_text())


def test_unmounted_lazily_while_in_use(env):
    daemon = env.daemon()
    fd = os.open(daemon.tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        umount(env.mnt, MNT_DETACH)
        text = "until no process uses a file or a directory of it any more"
        eventually(lambda: check(text in daemon.log_text(), daemon.log_text()), 4 * PATIENCE)
        with open(os.open("status", os.O_RDONLY, dir_fd=fd), encoding="ascii") as file:
            check("\nmount_state: unmounted here" in file.read(), "status")
    finally:
        os.close(fd)
    equal(daemon.process.wait(4 * PATIENCE), 0, daemon.log_text())


def test_nothing_wakes_it_but_mounts(env):
    """The thread that looks for the mount sleeps while no mount in its namespace changes."""
    daemon = env.daemon()
    threads = pathlib.Path(f"/proc/{daemon.pid}/task")
    thread = next(x for x in threads.iterdir() if (x / "comm").read_text() == "mounted\n")

    def switches():
        words = (thread / "status").read_text().split()
        return int(words[words.index("voluntary_ctxt_switches:") + 1])
    before = stable(switches)
    time.sleep(2)
    equal(switches(), before, "wakes")
    mount("tmpfs", env.tmp / "bpf", "tmpfs")
    umount(env.tmp / "bpf")
    eventually(lambda: check(switches() > before, "sleeps on"))
    check("no longer" not in daemon.log_text(), daemon.log_text())


def own_dev(env):
    """A /dev of our own, in our mount namespace, with a socket for syslog(3)."""
    dev = env.tmp / "dev"
    dev.mkdir()
    mount("tmpfs", dev, "tmpfs")
    env.cleanup(umount, dev, MNT_DETACH)
    for name in ("null", "zero", "urandom", "fuse"):
        (dev / name).touch()
        mount(f"/dev/{name}", dev / name, None, MS_BIND)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    env.cleanup(log.close)
    log.bind(str(dev / "log"))
    log.settimeout(4 * PATIENCE)
    mount(dev, "/dev", None, MS_BIND | MS_REC)
    env.cleanup(umount, "/dev", MNT_DETACH)
    return log


def test_messages_in_the_background(env):
    """They go to syslog(3), the first line saying what is mounted where."""
    log = own_dev(env)
    equal(run(env.bpfrefs, env.bpffs, env.mnt)[0], 0, "exit status of the foreground part")
    line = log.recv(4096).decode()
    check(re.fullmatch(rf"<30>.* bpfrefs\[\d+\]: {env.bpffs} is mirrored at {env.mnt}"
                       r" \(source (bpf|proc: .*)\)\n?\0?", line), repr(line))
    process = copied(env)
    umount(env.mnt)
    line = log.recv(4096).decode()
    check(line.startswith("<28>") and f"{env.mnt} is no longer mounted here" in line, repr(line))
    process.communicate("\n")
    line = log.recv(4096).decode()
    check(line.startswith("<30>") and f"{env.mnt} is no longer mounted: ended" in line, repr(line))


def test_stale_mount_is_recovered(env):
    first = env.daemon()
    first.kill()
    fails(errno.ENOTCONN, os.listdir, env.mnt)
    second = env.daemon()
    check(second.read("status"), "status")
    second.stop()
    check(not is_mounted(env.mnt), "the dead mount is still under it")


def test_live_mount_is_refused(env):
    daemon = env.daemon()
    code, _, err = run(env.bpfrefs, "-f", env.bpffs, env.mnt)
    check(code != 0, "accepted")
    check(str(env.mnt) in err, err)
    check(daemon.read("status"), "the first one suffered")
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        equal(sum(f" {env.mnt} " in x for x in file), 1, "mounts")


def test_mountpoint_at_or_in_source(env):
    inside = env.bpffs / "inside"
    inside.mkdir()
    for place in (env.bpffs, inside):
        code, _, err = run(env.bpfrefs, "-f", env.bpffs, place)
        check(code != 0, f"accepted {place}")
        check("SOURCE" in err or str(env.bpffs) in err, err)
        check("fuse" not in " ".join(mount_line(env.bpffs)), "mounted over SOURCE")
        check(not is_mounted(inside), "mounted inside SOURCE")


def test_mountpoint_in_source_by_another_path(env):
    """The same directory through a bind mount and through a symlink is no less inside SOURCE."""
    inside, bound, name = env.bpffs / "inside", env.tmp / "bound", env.tmp / "name"
    inside.mkdir()
    bound.mkdir()
    mount(env.bpffs, bound, None, 4096)
    env.cleanup(umount, bound, MNT_DETACH)
    name.symlink_to(inside)
    for place in (bound / "inside", bound, name):
        code, _, _ = run(env.bpfrefs, "-f", env.bpffs, place)
        check(code != 0, f"accepted {place}")


def test_source_must_be_bpffs(env):
    plain = env.tmp / "plain"
    plain.mkdir()
    refused(env, "-f", plain, env.mnt, says="bpffs")
    refused(env, "-f", plain, env.mnt, says="--mount-bpffs")
    refused(env, "-f", env.tmp / "none", env.mnt, says=os.strerror(errno.ENOENT))
    refused(env, "-f", env.bpffs, env.tmp / "none", says=os.strerror(errno.ENOENT))


def test_mount_bpffs(env):
    plain = env.tmp / "plain"
    plain.mkdir()
    daemon = env.daemon("--mount-bpffs", source=plain)
    env.cleanup(lambda: is_mounted(plain) and umount(plain, MNT_DETACH))
    equal(mount_line(plain)[mount_line(plain).index("-") + 1], "bpf")
    (daemon.mnt / "d").mkdir()
    check((plain / "d").is_dir(), "not mirrored")


def test_source_is_a_directory_inside(env):
    sub = env.bpffs / "app"
    sub.mkdir()
    helper = env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, sub / "conns")
    daemon = env.daemon(source=sub)
    equal(sorted(os.listdir(daemon.mnt)), [".bpf", "conns"])
    equal(os.readlink(daemon.mnt / ".conns"), f".bpf/{obj.key}")
    equal(os.readlink(daemon.tree / "source"), str(sub))
    equal(daemon.lines(f"{obj.key}/pin")[0], ["conns"])


def test_source_stays_busy(env):
    daemon = env.daemon()
    fails(errno.EBUSY, umount, env.bpffs)
    daemon.stop()
    umount(env.bpffs)
    mount("bpf", env.bpffs, "bpf")


def test_open_file_makes_umount_busy(env):
    daemon = env.daemon()
    with open(daemon.tree / "holders", encoding="ascii") as file:
        fails(errno.EBUSY, umount, env.mnt)
        text = file.read(10)
        umount(env.mnt, MNT_DETACH)
        check(text + file.read(), "an open file must go on being readable")
    equal(daemon.process.wait(20), 0, "exit status after a lazy umount")


def test_bad_options(env):
    refused(env, "-f", "-o", "pins=maybe", env.bpffs, env.mnt, says="pins")
    refused(env, "-f", "-o", "max_age=-1", env.bpffs, env.mnt, says="max_age")
    refused(env, "-f", "-o", "max_age=x", env.bpffs, env.mnt, says="max_age")
    refused(env, "-f", "-o", "keep=some", env.bpffs, env.mnt, says="keep")
    refused(env, "-f", "-o", "gid=wheel!", env.bpffs, env.mnt, says="gid")
    refused(env, "-f", "-o", "no_such_option=1", env.bpffs, env.mnt, says="no_such_option")
    refused(env, "-f", "--source=guess", env.bpffs, env.mnt, says="guess")
    refused(env, "-f", env.bpffs, env.mnt, env.mnt, says="")


def test_child_pid_namespace_is_refused(env):
    code, _, err = run(tool("unshare"), "--pid", "--fork", "--mount-proc", env.bpfrefs, "-f",
                       env.bpffs, env.mnt)
    check(code != 0, "accepted")
    check("PID namespace" in err, err)


def test_without_privilege_it_says_so(env):
    copy = pathlib.Path(env.bpfrefs)
    os.chmod(env.tmp, 0o755)
    code, _, err = run(tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", copy,
                       "-f", env.bpffs, env.mnt)
    if "cannot" in err and "execute" in err:
        raise Skip("the build directory is closed to other users")
    check(code != 0, "accepted")
    check(err.strip(), "silent")


def test_read_only(env):
    daemon = env.daemon("-o", "ro")
    fails(errno.EROFS, os.mkdir, daemon.mnt / "d")
    check(daemon.read("objects") is not None, "readable")


def test_group_may_read(env):
    daemon = env.daemon("-o", "gid=12345,allow_other")
    facts = os.stat(daemon.tree / "holders")
    equal((facts.st_mode & 0o777, facts.st_gid), (0o440, 12345))
    os.chmod(env.tmp, 0o755)
    setpriv = tool("setpriv")
    read = [tool("cat"), daemon.tree / "holders"]
    equal(run(setpriv, "--reuid=65534", "--regid=12345", "--clear-groups", *read)[0], 0, "member")
    equal(run(setpriv, "--reuid=65534", "--regid=1", "--clear-groups", *read)[0], 1, "other user")


def test_root_alone_reads(env):
    daemon = env.daemon("-o", "allow_other")
    equal(os.stat(daemon.tree / "holders").st_mode & 0o777, 0o400)
    os.chmod(env.tmp, 0o755)
    equal(run(tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", tool("cat"),
              daemon.tree / "holders")[0], 1, "another user")


def test_mount_helper(env):
    """mount(8) finds its helpers in /sbin alone: so one is put there, in our namespace only."""
    sbin = os.path.realpath("/sbin")
    upper, work = env.tmp / "over" / "upper", env.tmp / "over" / "work"
    (env.tmp / "over").mkdir()
    mount("tmpfs", env.tmp / "over", "tmpfs")
    env.cleanup(umount, env.tmp / "over", MNT_DETACH)
    upper.mkdir()
    work.mkdir()
    (upper / "mount.fuse.bpfrefs").symlink_to(env.bpfrefs)
    try:
        mount("overlay", sbin, "overlay", 0, f"lowerdir={sbin},upperdir={upper},workdir={work}")
    except OSError as error:
        raise Skip(f"no overlay over {sbin}: {error}") from error
    env.cleanup(umount, sbin, MNT_DETACH)
    must(tool("mount"), "-t", "fuse.bpfrefs", env.bpffs, env.mnt, "-o", "pins=file,max_age=100")
    status = (env.mnt / ".bpf" / "status").read_text()
    check("pins=file" in status and "max_age=100" in status, status)
    must(tool("umount"), env.mnt)


def test_help(env):
    """Each sentence of --help is in bpfrefs(8), and each option of the one is in the other."""
    page = (pathlib.Path(__file__).resolve().parents[3] / "docs/bpfrefs.8.rst").read_text()
    page = " ".join(re.sub(r"[*`\\]+", "", page).split())
    options = page.split(" OPTIONS ===")[1].split(" Mount options ---")[0]
    code, out, err = run(env.bpfrefs, "--help")
    equal((code, err), (0, ""))
    found = re.findall(r"(?m)^  (?:-\w, )?(--[\w-]+)(?:=[A-Z]+)?  +(\S.*\.)$", out)
    check(len(found) == 6, out)
    equal({name for name, _ in found}, set(re.findall(r"--[\w-]+", options)) - {"--"}, options)
    summary = " ".join(out.split("\n\n")[1].split()).removeprefix("Mounts").rsplit(" See ", 1)[0]
    for sentence in [text for _, text in found] + re.split(r"(?<=\.) (?=[A-Z])", summary):
        check(sentence in page, f"{sentence!r} is not in bpfrefs(8)")


def test_remount_after_a_crash_while_a_reader_waits(env):
    daemon = env.daemon()
    reader = subprocess.Popen([tool("sleep"), "30"], cwd=daemon.mnt)
    try:
        daemon.kill()
        again = Daemon(env)
        check(again.read("status"), "status")
    finally:
        reader.kill()
        reader.wait()


def test_many_mounts_and_umounts(env):
    end = time.monotonic() + 5
    count = 0
    while count < 10 and (count < 3 or time.monotonic() < end):
        env.daemon().stop()
        count += 1


if __name__ == "__main__":
    sys.exit(main(globals(), needs_bpf=False))
