#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon to the kernel fail, one at a time, in the midst of each kind of request: it
answers with an error, or rightly, or says what it could not learn; a command has happened or it has
not; nothing leaks; and the next request finds everything as it was. Each place that calls are made from
is tried once (faulty.py)."""
import errno
import sys

from faulty import SEED, reads, try_changes, try_reads, world
from harness import check, main

ERRORS = (errno.ENOMEM, errno.EMFILE, errno.EPERM)


def read_faults(env, *options):
    faults, helper, obj = world(env, *options)
    tried, felt = try_reads(env, faults, reads(faults.daemon, obj, helper),
                            lambda faults, action: faults.faults(action, ERRORS))
    print(f"# seed {SEED}: {tried} calls failed, {felt} answers said so")
    check(felt, "no fault was ever felt")


def test_reads(env):
    read_faults(env)


def test_reads_by_procfs(env):
    read_faults(env, "--source=proc")


def change_faults(env, *options):
    faults, _, obj = world(env, *options)
    tried, refused = try_changes(env, faults, obj,
                                 lambda faults, action: faults.faults(action, ERRORS))
    print(f"# seed {SEED}: {tried} calls failed, {refused} requests were refused for it")
    check(refused, "no fault was ever felt")


def test_changes(env):
    change_faults(env)


def test_changes_by_procfs(env):
    change_faults(env, "--source=proc")


if __name__ == "__main__":
    sys.exit(main(globals()))
