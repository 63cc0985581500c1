#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the linters of .ci/packages over the source, and prints one TAP case for each: format
(clang-format), tidy (clang-tidy), shell (shellcheck), spelling (codespell), python (pyflakes),
header (doxygen), abi (abidiff).

Usage: lint.py SOURCE BUILD [--analyze] [CASE...], lint.py SOURCE --format, or lint.py SOURCE BUILD --abi.

The cases judge the working tree as it is, not what is committed. The path-sensitive checks of
clang-tidy (clang-analyzer-*) need about ten times the processor time of all others together.
`make check` leaves them out; `make lint` runs them (--analyze). --format lays out every C file in
place instead of running any case, and --abi writes the interface that abidiff compares with.
"""
import concurrent.futures
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from tap import Skip

# Other versions lay out differently and have other checks, so only the floor's version judges.
CLANG = "14"
FOLDERS = (".ci", "lib", "fs", "docs", "tests")
ABI = "tests/tools/libbpfrefs.abi"  # the interface of the library: make abi


def sources(top, pattern):
    found = [p for p in top.iterdir() if p.is_file()]
    for folder in FOLDERS:
        found += (p for p in (top / folder).rglob("*") if p.is_file())
    names = sorted(str(p.relative_to(top)) for p in found if "/corpus/" not in str(p))
    return [name for name in names if re.search(pattern, name)]


def tool(*names):
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise Skip(f"{names[0]} is not installed")


def clang_tool(name):
    path = tool(f"{name}-{CLANG}", name)
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", out)
    if not version or version[1] != CLANG:
        raise Skip(f"{name} is version {version[1] if version else '?'}; {CLANG} judges")
    return path


def run(command, top, given=None):
    """What a linter complained about, as lines; none if it found nothing."""
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, input=given, check=False)
    if not done.returncode:
        return []
    return (done.stdout + done.stderr).splitlines() or [f"{command[0]}: exit {done.returncode}"]


def format_(top, _build, _analyze):
    command = [clang_tool("clang-format"), "--dry-run", "--Werror"]
    lines = run(command + sources(top, r"\.[ch]$"), top)
    files = sorted({line.split(":")[0] for line in lines if ": error: " in line})
    return [f"{name}: run `make format`" for name in files] or lines


def tidy(top, build, analyze):
    program = clang_tool("clang-tidy")
    commands = json.loads((build / "compile_commands.json").read_text())
    paths = {os.path.normpath(os.path.join(c["directory"], c["file"])) for c in commands}
    files = sorted(p for p in paths if not p.startswith(str(build)))
    # a build with -Werror would make errors of what clang warns of and gcc, which compiles, does not
    command = [program, "-p", str(build), "--quiet", "--warnings-as-errors=*",
               "--extra-arg=-Wno-error"]
    if not analyze:
        command.append("--checks=-clang-analyzer-*")
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(lambda file: run([*command, file], build), files)
        lines = [line for result in results for line in result]
    # A finding in a header comes once for each file that includes it.
    return list(dict.fromkeys(x for x in lines if re.search(r" (warning|error): ", x))) or lines


def shell(top, _build, _analyze):
    program = tool("shellcheck")
    scripts = []
    for name in sources(top, r"(^|/)[^.]*$|\.sh$"):
        with open(top / name, "rb") as file:
            if re.match(rb"#!.*\b(ba|da)?sh\b", file.readline()):
                scripts.append(name)
    return run([program, "--format=gcc", *scripts], top)


def spelling(top, _build, _analyze):
    return run([tool("codespell"), *sources(top, r"^[^.]|^\.ci/")], top)  # .codespellrc


def python(top, _build, _analyze):
    return run([tool("pyflakes3"), *sources(top, r"\.py$")], top)


def header(top, _build, _analyze):
    """Doxygen judges the comments of the public header. A parameter may speak for itself."""
    settings = ["INPUT=lib/bpfrefs.h", "QUIET=YES", "WARN_AS_ERROR=FAIL_ON_WARNINGS",
                "GENERATE_HTML=NO", "GENERATE_LATEX=NO", "GENERATE_XML=YES",
                "OPTIMIZE_OUTPUT_FOR_C=YES", "JAVADOC_AUTOBRIEF=YES", "WARN_IF_INCOMPLETE_DOC=NO"]
    program = tool("doxygen")
    with tempfile.TemporaryDirectory() as place:
        return run([program, "-"], top, "\n".join([*settings, f"OUTPUT_DIRECTORY={place}"]))


def describe(top, build):
    """The interface that bpfrefs.h declares, as abidw writes it: from a directory with that header alone."""
    program, library = tool("abidw"), build / "lib" / "libbpfrefs.so"
    if b".debug_info" not in library.read_bytes():
        raise Skip("the library was built without debug information")
    with tempfile.TemporaryDirectory() as place:
        shutil.copy(top / "lib" / "bpfrefs.h", place)
        return subprocess.run([program, "--headers-dir", place, "--drop-private-types", "--no-corpus-path",
                               "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed",
                               "--drop-undefined-syms", "--type-id-style", "hash", library],
                              capture_output=True, text=True, check=True).stdout


def abi(top, build, _analyze):
    """What a program that was built with an older version relies on stays as it is."""
    text = describe(top, build)
    machine, ours = (re.search(r"architecture='[^']*'", x)[0] for x in (text, (top / ABI).read_text()))
    if machine != ours:
        raise Skip(f"{ABI} has {ours}, and this machine {machine}")
    with tempfile.NamedTemporaryFile("w", suffix=".abi") as now:
        now.write(text)
        now.flush()
        lines = run([tool("abidiff"), "--harmless", ABI, now.name], top)
    return lines and [
        *lines, f"The interface of the library is not that of {ABI}. If it has only new functions, types and "
        "constants, and new members at the end of structures that begin with their size, run `make "
        "abi`, and commit that file. All else breaks programs that use the library: undo it."]


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    if "--format" in sys.argv:
        return subprocess.run([clang_tool("clang-format"), "-i", *sources(top, r"\.[ch]$")],
                              cwd=top, check=False).returncode
    if "--abi" in sys.argv:
        return not (top / ABI).write_text(describe(top, pathlib.Path(sys.argv[2]).resolve()))
    build, wanted = pathlib.Path(sys.argv[2]).resolve(), set(sys.argv[3:]) - {"--analyze"}
    cases = [(function.__name__.strip("_"), function)
             for function in (format_, tidy, shell, spelling, python, header, abi)]
    cases = [case for case in cases if not wanted or case[0] in wanted]
    return tap.run([(name, functools.partial(function, top, build, "--analyze" in sys.argv))
                    for name, function in cases])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as missing:
        sys.exit(f"lint.py: {missing}")
