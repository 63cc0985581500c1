#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of docs/examples are built as their comments say, and find what the test makes."""
import os
import pathlib
import shutil
import subprocess
import sys

from harness import PATIENCE, Skip, check, equal, fields, main

TOP = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = TOP / "docs" / "examples"
BUILD = pathlib.Path(os.environ["BPFREFS"]).parents[1]
LIBRARY = {"PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"), "PKG_CONFIG_SYSROOT_DIR": "",
           "LD_LIBRARY_PATH": f"{BUILD / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"}


def build(env, program, *command):
    """Builds an example with the library that was not installed, and returns its path, which is OUT
    in the command."""
    if not shutil.which(command[0]):
        raise Skip(f"no {command[0]}")
    out = env.tmp / program
    done = subprocess.run([str(out) if x == "OUT" else x for x in command], cwd=EXAMPLES, capture_output=True, text=True,
                          env={**os.environ, **LIBRARY, "GO111MODULE": "off",
                               "GOCACHE": str(env.tmp / "cache"), "GOPATH": str(env.tmp / "go"),
                               "BINDINGS": str(env.tmp / "bpfrefs.rs")}, check=False)
    check(not done.returncode, f"{command}: {done.stderr}")
    return out


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE,
                          env={**os.environ, **LIBRARY}, check=False)


def test_c_holders_of_a_pin(env):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "bpfrefs"], check=True, text=True,
                           env={**os.environ, **LIBRARY}, capture_output=True).stdout.split()
    program = build(env, "holders", "cc", "-Wall", "-Wextra", "-Werror", "holders.c", *flags,
                    "-o", "OUT")
    helper = env.helper()
    obj = helper.make("map", "hash")
    helper.do("pin", obj.var, env.bpffs / "here")
    done = run(program, str(env.bpffs / "here"))
    equal(done.returncode, 0, done.stderr)
    *records, last = done.stdout.splitlines()
    equal(sorted(x.split()[:2] for x in records), [[obj.key, "fd"], [obj.key, "pin"]], done.stdout)
    check(any(fields(x).get("path") == str(env.bpffs / "here") for x in records), done.stdout)
    check(last.startswith("held: "), last)
    done = run(program, str(env.bpffs / "missing"))
    equal((done.returncode, done.stderr.split(": ")[-1]), (1, "No such file or directory\n"))


def test_python_memory_by_cgroup(env):
    obj = env.helper().make("map", "array", max=1024)
    done = run("python3", str(EXAMPLES / "memory.py"))
    equal(done.returncode, 0, done.stderr)
    head, *rows = done.stdout.splitlines()
    equal(head.split(), ["BYTES", "OBJECTS", "CGROUP"])
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        ours = next(x[3:-1] for x in file if x.startswith("0::"))
    mine = [x.split(None, 2) for x in rows if x.split(None, 2)[2] == ours]
    check(mine and int(mine[0][0]) >= 1024 * 4 and int(mine[0][1]) >= 1, f"{obj.key}: {done.stdout}")


def test_go_events(env):
    program = build(env, "events", "go", "build", "-o", "OUT", "events.go")
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **LIBRARY}) as process:
        env.cleanup(process.kill)
        equal(process.stdout.readline(), "msg=ready\n")
        helper = env.helper()
        obj = helper.make("map", "hash")
        helper.do("pin", obj.var, env.bpffs / "new")
        while not (line := process.stdout.readline()).startswith(
                f'msg=added text="{obj.key} pin ref=1 user=1 path={env.bpffs}/new'):
            check(line, "it ended")
        os.unlink(env.bpffs / "new")
        while not (line := process.stdout.readline()).startswith(
                f'msg=removed text="{obj.key} pin '):
            check(line, "it ended")
        process.kill()


def test_rust_what_is_at_risk(env):
    """A program that is pinned uses an array that a process alone holds."""
    names = ["--allowlist-function", "bpfrefs_.*", "--allowlist-type", "bpfrefs_.*"]
    build(env, "bpfrefs.rs", "bindgen", str(TOP / "lib" / "bpfrefs.h"), "--no-prepend-enum-name", *names,
          "-o", "OUT")
    program = build(env, "at_risk", "rustc", "at_risk.rs", "-L", str(BUILD / "lib"), "-l", "bpfrefs",
                    "-o", "OUT")
    helper = env.helper()
    array = helper.make("map", "prog_array", name="jmp")
    prog = helper.make("prog", "socket_filter", maps=array)
    helper.do("pin", prog.var, env.bpffs / "entry")
    done = run(program)
    equal((done.returncode, done.stderr), (1, ""), done.stdout)
    check(any(x.startswith(f"{array.key} jmp: at-risk: ") for x in done.stdout.splitlines()), done.stdout)


if __name__ == "__main__":
    sys.exit(main(globals()))
