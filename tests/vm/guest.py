# SPDX-License-Identifier: GPL-2.0-or-later
"""Within a virtual machine: runs the programs of the plan one after the other, and prints their
output to a virtual serial line. vm.py reads it: lines that begin with @ are ours."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

PLAN = pathlib.Path("/bpfrefs/plan.json")
# In the kernel's log: what no test may cause.
ALARM = re.compile(r"\bBUG:|\bWARNING:|\bOops\b|general protection|Call [Tt]race|Internal error|"
                   r"refcount_t:")


def say(line):
    print(line, flush=True)


def run(name, command, env, limit):
    start = time.monotonic()
    say(f"@begin {name}")
    process = subprocess.Popen(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True)
    timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    for line in process.stdout:
        say(" " + line.rstrip("\n"))
    status = process.wait()
    timer.cancel()
    say(f"@end {name} {status} {time.monotonic() - start:.1f}")


def main():
    plan = json.loads(PLAN.read_text())
    say(f"@kernel {os.uname().release}")
    for program in plan["programs"]:
        run(program["name"], program["command"], {**plan["env"], **program["env"]}, plan["limit"])
    for line in subprocess.run(["dmesg"], capture_output=True, text=True, check=False,
                               errors="replace").stdout.splitlines():
        if ALARM.search(line):
            say(f"@alarm {line}")
    say("@done")


sys.exit(main())
