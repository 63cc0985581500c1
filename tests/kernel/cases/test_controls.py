#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The controls: pin, unpin, keep, .bpf/control and .bpf/errors, and who may use them."""
import errno
import os
import subprocess
import sys

from harness import (MNT_DETACH, Skip, check, equal, eventually, fails, main, mount, names, run,
                     tool, umount)


def errors(daemon):
    return daemon.read("errors").splitlines()


def kept(key, mode, path=None):
    user = int(key.startswith("map/"))
    return f"{key} keep ref=1 user={user} mode={mode}" + (f" path={path}" if path else "")


def keep_path(env, key, where="keep"):
    return env.bpffs / "bpfrefs" / where / key.replace("/", "_")


def test_pin(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    (env.bpffs / "app").mkdir()
    equal(daemon.read(f"{obj.key}/pin"), "", "before")
    daemon.write(f"{obj.key}/pin", "app/conns")
    check((env.bpffs / "app" / "conns").is_file(), "no pin")
    equal(daemon.read(f"{obj.key}/pin"), "app/conns\n")
    equal(daemon.read(f"{obj.key}/unpin"), "app/conns\n")
    daemon.write(f"{obj.key}/pin", "app/conns\n")
    daemon.write(f"{obj.key}/pin", "second\n")
    equal(sorted(daemon.read(f"{obj.key}/pin").splitlines()), ["app/conns", "second"])
    helper.end()
    check((daemon.tree / obj.key).is_dir(), "it went, though pinned")


def test_pin_of_each_kind(env):
    daemon, helper = env.daemon(), env.helper()
    prog = helper.make("prog", "raw_tracepoint")
    link = helper.make("link", "raw_tp", prog, "task_newtask")
    for obj in (prog, link, helper.make("map", "hash")):
        name = obj.key.replace("/", "_")
        daemon.write(f"{obj.key}/pin", name)
        equal(daemon.read(f"{obj.key}/pin"), name + "\n")
    btf = helper.make("btf")
    check(not (daemon.tree / btf.key / "pin").exists(), "btf has no pin")
    fails(errno.EOPNOTSUPP, daemon.write, "control", f"pin {btf.key} x")


def test_pin_is_refused(env):
    daemon, helper = env.daemon(), env.helper()
    obj, other = helper.make("map", "array"), helper.make("map", "array")
    control = f"{obj.key}/pin"
    (env.bpffs / "d").mkdir()
    (env.bpffs / "s").symlink_to("d")
    (env.bpffs / "m").mkdir()
    mount("bpf", env.bpffs / "m", "bpf")
    env.cleanup(umount, env.bpffs / "m", MNT_DETACH)
    helper.do("pin", other.var, env.bpffs / "taken")
    for number, path in (
            (errno.EEXIST, "taken"), (errno.EEXIST, "d"), (errno.EEXIST, "s"),
            (errno.ENOENT, "none/x"), (errno.EXDEV, "/d/x"), (errno.EXDEV, "../x"),
            (errno.EXDEV, "d/../../x"), (errno.EXDEV, "s/x"), (errno.EXDEV, "m/x"),
            (errno.EINVAL, "a\nb"), (errno.EINVAL, "\n"), (errno.EINVAL, "x\n\n"),
            (errno.EINVAL, "back\\slash"), (errno.EPERM, "a.b"), (errno.ENAMETOOLONG, "n" * 256),
            (errno.E2BIG, "x" * 4097), (errno.EINVAL, "d/")):
        try:
            fails(number, daemon.write, control, path)
        except AssertionError as error:
            raise AssertionError(f"{path[:20]!r}: {error}") from error
    equal(daemon.read(control), "", "something was pinned")
    equal(len(errors(daemon)), 17, "\n".join(errors(daemon)))


def test_empty_write_does_nothing(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    daemon.write(f"{obj.key}/pin", "")
    equal(errors(daemon), [])


def test_escapes_are_undone(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    daemon.write(f"{obj.key}/pin", "a\\040b\\134c\\012d")
    check((env.bpffs / "a b\\c\nd").is_file(), str(os.listdir(env.bpffs)))
    shown = daemon.read(f"{obj.key}/pin").rstrip("\n")
    equal(shown, "a\\040b\\134c\\012d")
    daemon.write(f"{obj.key}/unpin", shown)
    equal(names(env.bpffs), [])


def test_unpin(env):
    daemon, helper = env.daemon(), env.helper()
    obj, other = helper.make("map", "array"), helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "x")
    helper.do("pin", obj.var, env.bpffs / "y")
    helper.do("pin", other.var, env.bpffs / "z")
    control = f"{obj.key}/unpin"
    fails(errno.ENOENT, daemon.write, control, "z")
    fails(errno.ENOENT, daemon.write, control, "none")
    daemon.write(control, "x")
    equal(names(env.bpffs), ["y", "z"])
    obj.close()
    eventually(lambda: fails(errno.EBUSY, daemon.write, control, "y"))
    check("unpin" in errors(daemon)[-1] and "EBUSY" in errors(daemon)[-1], errors(daemon)[-1])
    os.unlink(daemon.mnt / "y")
    daemon.gone(obj)


def test_unpin_counts_other_holders(env):
    daemon, helper = env.daemon(), env.helper()
    used = helper.make("map", "array")
    prog = helper.make("prog", "socket_filter", maps=used)
    helper.do("pin", used.var, env.bpffs / "used")
    helper.do("pin", prog.var, env.bpffs / "prog")
    used.close()
    prog.close()
    daemon.write(f"{used.key}/unpin", "used")
    eventually(lambda: fails(errno.EBUSY, daemon.write, f"{prog.key}/unpin", "prog"))


def test_unpin_spares_user_state(env):
    """A program keeps the array, but only the pin keeps what is in it."""
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array")
    prog = helper.make("prog", "socket_filter", maps=array)
    helper.do("slot", array.var, 0, prog.var)
    helper.do("pin", array.var, env.bpffs / "jmp")
    helper.do("pin", prog.var, env.bpffs / "prog")
    array.close()
    eventually(lambda: fails(errno.EBUSY, daemon.write, f"{array.key}/unpin", "jmp"))
    check((env.bpffs / "jmp").exists(), "removed in spite of it")


def test_unpin_of_one_hard_link(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "a")
    os.link(env.bpffs / "a", env.bpffs / "b")
    obj.close()
    daemon.write(f"{obj.key}/unpin", "a")
    eventually(lambda: fails(errno.EBUSY, daemon.write, f"{obj.key}/unpin", "b"))


def test_keep_fd(env):
    daemon, helper = env.daemon(), env.helper()
    made = [helper.make("map", "hash"), helper.make("prog", "socket_filter"), helper.make("btf")]
    for obj in made:
        equal(daemon.read(f"{obj.key}/keep"), "off\n")
        daemon.write(f"{obj.key}/keep", "fd")
        daemon.write(f"{obj.key}/keep", "fd\n")
        equal(daemon.read(f"{obj.key}/keep"), "fd\n")
        daemon.expect(obj, [obj.held(), kept(obj.key, "fd")])
        obj.close()
        daemon.expect(obj, [kept(obj.key, "fd")])
    for obj in made:
        daemon.write(f"{obj.key}/keep", "off")
        daemon.gone(obj)


def test_keep_fd_ends_with_the_daemon(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    daemon.write(f"{obj.key}/keep", "fd")
    obj.close()
    daemon.stop()
    env.daemon().gone(obj)


def test_keep_pin(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "prog_array")
    daemon.write(f"{obj.key}/keep", "pin")
    daemon.write(f"{obj.key}/keep", "pin")
    equal(daemon.read(f"{obj.key}/keep"), "pin\n")
    path = keep_path(env, obj.key)
    check(path.is_file(), "no pin")
    for directory in (path.parent, path.parent.parent):
        facts = os.stat(directory)
        equal((facts.st_mode & 0o7777, facts.st_uid), (0o700, 0), str(directory))
    daemon.expect(obj, [obj.held(), kept(obj.key, "pin", path)])
    equal(daemon.read(f"{obj.key}/pin"), "", "a keep is not shown as a pin")
    equal(daemon.row(obj.key)["pins"], "0", "nor counted as one")
    obj.close()
    daemon.expect(obj, [kept(obj.key, "pin", path)])
    daemon.kill()
    again = env.daemon()
    equal(again.read(f"{obj.key}/keep"), "pin\n", "after a crash and a remount")
    again.expect(obj, [kept(obj.key, "pin", path)])
    again.write(f"{obj.key}/keep", "off")
    again.gone(obj)
    check(not path.exists(), "the pin stayed")


def test_keep_changes_mode(env):
    daemon, helper = env.daemon(), env.helper()
    array = helper.make("map", "prog_array")
    helper.make("prog", "socket_filter", maps=array)
    for mode in ("fd", "pin", "auto", "fd", "auto", "pin", "off"):
        daemon.write(f"{array.key}/keep", mode)
        equal(daemon.read(f"{array.key}/keep"), mode + "\n")
        keeps = [x for x in daemon.lines(f"{array.key}/holders")[0] if " keep " in x]
        equal(len(keeps), int(mode != "off"), f"{mode}: {keeps}")


def test_keep_is_refused(env):
    daemon, helper = env.daemon(), env.helper()
    plain, prog = helper.make("map", "hash"), helper.make("prog", "socket_filter")
    fails(errno.EOPNOTSUPP, daemon.write, f"{plain.key}/keep", "auto")
    fails(errno.EOPNOTSUPP, daemon.write, f"{prog.key}/keep", "auto")
    btf = helper.make("btf")
    fails(errno.EOPNOTSUPP, daemon.write, f"{btf.key}/keep", "pin")
    for word in ("on", "FD", " fd", "fd ", "fd pin"):
        fails(errno.EINVAL, daemon.write, f"{plain.key}/keep", word)
    for obj in (plain, prog, btf):
        equal(daemon.read(f"{obj.key}/keep"), "off\n")


def test_keep_directory_taken(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    helper.do("pin", obj.var, env.bpffs / "bpfrefs")
    fails(errno.EPERM, daemon.write, f"{obj.key}/keep", "pin")
    os.unlink(env.bpffs / "bpfrefs")
    (env.bpffs / "bpfrefs").mkdir(0o755)
    os.chmod(env.bpffs / "bpfrefs", 0o755)
    fails(errno.EPERM, daemon.write, f"{obj.key}/keep", "pin")
    os.chmod(env.bpffs / "bpfrefs", 0o700)
    os.chown(env.bpffs / "bpfrefs", 1, 0)
    fails(errno.EPERM, daemon.write, f"{obj.key}/keep", "pin")
    os.chown(env.bpffs / "bpfrefs", 0, 0)
    daemon.write(f"{obj.key}/keep", "pin")


def test_global_control(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    daemon.write("control", f"pin {obj.key} x")
    check((env.bpffs / "x").is_file(), "pin")
    daemon.write("control", f"keep {obj.key} fd\n")
    equal(daemon.read(f"{obj.key}/keep"), "fd\n")
    daemon.write("control", "unpin x")
    check(not (env.bpffs / "x").exists(), "unpin")
    daemon.write("control", f"keep {obj.key} off")
    for number, command in ((errno.EINVAL, "frob"), (errno.EINVAL, "pin"), (errno.EINVAL, "pin x"),
                            (errno.EINVAL, f"keep {obj.key}"), (errno.EINVAL, "keep map/x fd"),
                            (errno.EINVAL, "keep map/01 fd"), (errno.ENOENT, "unpin none"),
                            (errno.ENOENT, "keep map/4294967295 fd"),
                            (errno.ENOENT, "pin map/4294967295 x")):
        try:
            fails(number, daemon.write, "control", command)
        except AssertionError as error:
            raise AssertionError(f"{command}: {error}") from error


def test_offsets_and_flags_do_not_matter(env):
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    path = daemon.tree / obj.key / "keep"
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, os.O_RDWR):
        fd = os.open(path, flags)
        try:
            for mode in ("fd", "off", "fd"):
                os.write(fd, mode.encode())
                equal(daemon.read(f"{obj.key}/keep"), mode + "\n", f"flags {flags:o}")
            os.pwrite(fd, b"off", 1000)
            equal(daemon.read(f"{obj.key}/keep"), "off\n")
        finally:
            os.close(fd)


def test_errors_are_logged(env):
    daemon = env.daemon()
    fails(errno.EINVAL, daemon.write, "control", "frob it")
    (line,) = errors(daemon)
    for part in (f"pid={os.getpid()}", "comm=python3", "command=control\\040frob\\040it", "EINVAL"):
        check(part in line, line)
    for _ in range(300):
        fails(errno.EINVAL, daemon.write, "control", "frob")
    equal(len(errors(daemon)), 256, "the newest are kept")


def child(env, wrap, *paths, code):
    """Runs Python code as another kind of caller; its standard output."""
    done = subprocess.run([*wrap, sys.executable, "-c", code, *map(str, paths)],
                          capture_output=True, text=True, check=False, cwd=env.tmp, timeout=60,
                          pass_fds=[fd for fd in (9,) if fd_is_open(fd)])
    return done.stdout.strip() + done.stderr


def fd_is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


OPEN = """
import errno, os, sys
try:
    os.write(os.open(sys.argv[1], os.O_WRONLY), b"fd")
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
WRITE = """
import errno, os
try:
    os.write(9, b"fd")
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def refused_to(env, *wrap):
    """A caller of this kind gets EPERM at open, and at a write through what root opened."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    control = daemon.tree / obj.key / "keep"
    equal(child(env, [], control, code=OPEN), "done", "root itself")
    daemon.write(f"{obj.key}/keep", "off")
    equal(child(env, wrap, control, code=OPEN), "EPERM", "open")
    fd = os.open(control, os.O_WRONLY)
    os.dup2(fd, 9, inheritable=True)
    try:
        equal(child(env, wrap, code=WRITE), "EPERM", "write through an inherited descriptor")
        equal(child(env, [], code=WRITE), "done", "the same by root itself")
        daemon.write(f"{obj.key}/keep", "off")
    finally:
        os.close(fd)
        os.close(9)
    equal(daemon.read(f"{obj.key}/keep"), "off\n")
    equal(sum("EPERM" in x for x in errors(daemon)), 2, "\n".join(errors(daemon)))


def test_caller_without_the_capability(env):
    refused_to(env, tool("setpriv"), "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")


def test_root_of_a_user_namespace(env):
    wrap = tool("unshare"), "--user", "--map-root-user"
    status, _, err = run(*wrap, "true")
    if status:
        raise Skip(f"no user namespaces here: {err.strip()}")
    refused_to(env, *wrap)


def test_caller_in_a_child_pid_namespace(env):
    """Not refused: it has the capability; its thread is identified by its number in ours."""
    daemon, helper = env.daemon(), env.helper()
    obj = helper.make("map", "array")
    equal(child(env, [tool("unshare"), "--pid", "--fork"], daemon.tree / obj.key / "keep",
                code=OPEN), "done")
    daemon.write(f"{obj.key}/keep", "off")


def test_directories_are_made_as_the_caller(env):
    daemon = env.daemon("-o", "allow_other")
    os.chmod(env.tmp, 0o755)
    os.chmod(env.bpffs, 0o1777)
    subprocess.run([tool("setpriv"), "--reuid=1234", "--regid=1235", "--clear-groups",
                    tool("mkdir"), str(daemon.mnt / "theirs")], check=True, timeout=60)
    facts = os.stat(env.bpffs / "theirs")
    equal((facts.st_uid, facts.st_gid), (1234, 1235))


if __name__ == "__main__":
    sys.exit(main(globals()))
