#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration that -Dbpf=auto falls back to where there is no clang or no bpftool: it is set up in
a directory of its own below the build directory, built without optimization, and its unit tests run; as
root also the kernel test of a daemon without BPF programs, with this daemon.

Usage: without-bpf.py SOURCE BUILD TEST_WITHOUT, from meson. Later runs build only what has changed.
"""
import json
import os
import pathlib
import subprocess
import sys

from tap import Failure, Skip, run_functions

SOURCE, OUTER, WITHOUT = (pathlib.Path(x).resolve() for x in sys.argv[1:4])
BUILD = OUTER / "without-bpf"


def must(*command, **kwargs):
    done = subprocess.run([str(x) for x in command], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, **kwargs)
    if done.returncode:
        raise Failure((done.stdout + done.stderr)[-4000:])
    return done.stdout


def inner_env():
    """Without what meson and sanitizers put into ours."""
    return {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "LD_PRELOAD")}


def configure():
    options = ["-Dbpf=disabled", "-Dbuildtype=debug", "-Dman=disabled", "--werror"]
    again = ["--reconfigure"] if (BUILD / "build.ninja").exists() else []
    must("meson", "setup", *again, *options, BUILD, SOURCE, env=inner_env())
    config = (BUILD / "config.h").read_text(encoding="ascii")
    if "#define HAVE_BPF 0" not in config:
        raise Failure(config)


def unit_tests():
    """The unit tests that are programs: what reads the source alone has run already."""
    tests = json.loads(must("meson", "introspect", "--tests", BUILD))
    return {x["name"]: pathlib.Path(x["cmd"][0]) for x in tests
            if "bpfrefs:unit" in x["suite"] and pathlib.Path(x["cmd"][0]).is_relative_to(BUILD)}


def build():
    programs = [str(x.relative_to(BUILD)) for x in unit_tests().values()]
    must("ninja", "-C", BUILD, "fs/bpfrefs", *programs, env=inner_env())


def run_units():
    must("meson", "test", "-C", BUILD, "--no-rebuild", "--print-errorlogs", *unit_tests(),
         env=inner_env())


def run_daemon():
    if os.geteuid() != 0:
        raise Skip("not root")
    must(sys.executable, WITHOUT, env={**inner_env(), "BPFREFS": str(BUILD / "fs" / "bpfrefs")})


def main():
    return run_functions([configure, build, run_units, run_daemon], in_turn=True)


if __name__ == "__main__":
    sys.exit(main())
