#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""keep=auto under churn: short-lived loaders of program arrays, some of which hold themselves, on a
daemon that is left alone and on one that scans without a pause. CHURN_LOADERS says how many there
are (10000 in what bpfrefs(8) reports), CHURN_SEED which."""
import os
import random
import subprocess
import sys
import threading

from harness import check, equal, eventually, main

LOADERS = int(os.environ.get("CHURN_LOADERS", "300"))
SEED = int(os.environ.get("CHURN_SEED", "0")) or random.randrange(1, 1 << 32)
LEAST_KEPT = 0.5 # of instant exits: far below what is measured


def first_keep(env, daemon):
    """Makes the directory, and shows that the daemon is listening."""
    helper = env.helper()
    array = helper.make("map", "prog_array")
    helper.make("prog", "socket_filter", maps=array)
    eventually(lambda: equal(daemon.read(f"{array.key}/keep"), "auto\n"), 30)
    helper.end()


def run_loaders(env):
    """What became of them, as churn counts it."""
    done = subprocess.run([env.mkobj, "churn", env.bpffs, str(LOADERS), str(SEED)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stdout + done.stderr)
    *complaints, last = done.stdout.splitlines()
    said = {key: int(value) for key, value in (w.split("=") for w in last.split())}
    for bad in ("lost", "failed", "left"):
        equal(said[bad], 0, f"{bad}, seed {SEED}: {last}\n" + "\n".join(complaints[:10]))
    return said


def churn(env, daemon):
    first_keep(env, daemon)
    said = run_loaders(env)
    share = said["kept"] / said["instant"]
    print(f"# {LOADERS} loaders, seed {SEED}: of {said['lived']} that lived a millisecond after "
          f"attaching all are kept; of {said['instant']} that exited at once {said['kept']} "
          f"({share:.1%}); {said['unrooted']} had no root, and all "
          f"are released ({said['exist']} arrays exist all the same)")
    print(f"# from load to kept: median {said['median_us']} us, 99% {said['p99_us']} us, "
          f"max {said['max_us']} us, of {said['times']}")
    check(said["lived"] and said["times"] and said["unrooted"], f"nothing was tested: {said}")
    check(share > LEAST_KEPT, f"only {share:.1%} of instant exits are kept")
    equal(daemon.lines("errors")[0], [], "errors")


def check_descriptors(daemon):
    """A scan has some of its own while it runs."""
    eventually(lambda: equal(daemon.descriptors(), daemon.open_before, "descriptors"))


def test_alone(env):
    daemon = env.daemon("-o", "keep=auto")
    churn(env, daemon)
    check_descriptors(daemon)


def test_while_scans_run(env):
    """Neither a reader's scan nor the daemon's own may keep it from catching what is loaded."""
    daemon = env.daemon("-o", "keep=auto")
    stop = threading.Event()

    def scan():
        while not stop.is_set():
            daemon.read("holders")
    reader = threading.Thread(target=scan)
    reader.start()
    try:
        churn(env, daemon)
    finally:
        stop.set()
        reader.join()
    check_descriptors(daemon)


if __name__ == "__main__":
    sys.exit(main(globals()))
