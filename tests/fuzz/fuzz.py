#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the fuzz targets: each on its corpus as it is, then on what libFuzzer makes of it.

Usage: fuzz.py BUILD CORPUS SECONDS [TARGET...]. CORPUS has a directory for each target. What is found
is left in BUILD/fuzz-found, new inputs of interest in BUILD/fuzz-corpus; nothing is written to CORPUS
(but with --merge instead of SECONDS those of them that reach new code are added to it).
"""
import os
import pathlib
import subprocess
import sys
import tempfile

LIMITS = ["-timeout=60", "-rss_limit_mb=2048", "-max_len=4096"]
ENV = {"ASAN_OPTIONS": "allocator_may_return_null=1:detect_stack_use_after_return=1",
       "UBSAN_OPTIONS": "print_stacktrace=1", "G_SLICE": "always-malloc"}


class Target:
    """One fuzz-NAME program."""

    def __init__(self, program, build, corpus):
        self.program, self.name = program, program.name.removeprefix("fuzz-")
        self.corpus = corpus / self.name
        self.found = build / "fuzz-found"
        self.grown = build / "fuzz-corpus" / self.name
        for directory in (self.found, self.grown):
            directory.mkdir(parents=True, exist_ok=True)

    def run(self, *options):
        """Exit status and output. What a program that dies leaves in its TMPDIR is removed."""
        with tempfile.TemporaryDirectory(prefix="bpfrefs-fuzz.") as tmp:
            command = [self.program, *LIMITS, f"-artifact_prefix={self.found}/{self.name}-",
                       *options]
            done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="backslashreplace", check=False,
                                  env={**os.environ, **ENV, "TMPDIR": tmp})
        return done.returncode, done.stdout

    def replay(self):
        inputs = sorted(x for x in self.corpus.iterdir() if x.is_file())
        if not inputs:
            return 1, f"no inputs in {self.corpus}", ""
        status, out = self.run("-runs=1", *inputs)
        ran = out.count("\nExecuted ")
        if not status and ran != len(inputs):
            return 1, f"{ran} of {len(inputs)} inputs ran", out
        return status, f"{ran} inputs", out

    def explore(self, seconds):
        status, out = self.run(f"-max_total_time={seconds}", "-print_final_stats=1", self.grown,
                               self.corpus)
        runs = [line for line in out.splitlines() if "stat::number_of_executed_units" in line]
        return status, f"{runs[0].split()[-1]} runs" if runs else "no number of runs", out

    def merge(self):
        """Adds what reaches new code; use_counters=0: how often it does so is not worth a file."""
        status, out = self.run("-merge=1", "-use_counters=0", self.corpus, self.grown)
        return status, f"{len(list(self.corpus.iterdir()))} inputs", out


def main():
    build, corpus = (pathlib.Path(x).resolve() for x in sys.argv[1:3])
    programs = sorted(x for x in build.glob("tests/fuzz/fuzz-*") if os.access(x, os.X_OK))
    programs = [x for x in programs if not sys.argv[4:] or x.name[5:] in sys.argv[4:]]
    if not programs:
        print("1..0 # SKIP clang has no libFuzzer here (Debian: libclang-rt-dev)")
        return 0
    actions = [("merge", Target.merge)] if sys.argv[3] == "--merge" else [
        ("replay", Target.replay), ("explore", lambda t: t.explore(int(sys.argv[3])))]
    print(f"1..{len(programs) * len(actions)}")
    failed = number = 0
    for target in (Target(program, build, corpus) for program in programs):
        for verb, action in actions:
            status, said, out = action(target)
            number += 1
            failed += bool(status)
            print(f"{'not ok' if status else 'ok'} {number} - {target.name} {verb}", flush=True)
            print(f"# {said}", flush=True)
            for line in out.splitlines()[-60:] if status else []:
                print(f"#   {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
