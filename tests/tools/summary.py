#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts the single cases of the last `meson test` run: prints skips and failures with their
reasons, then one line "N passed, N failed, N skipped". Exit status 0 only if nothing failed; as
root in CI a skip that is not in tests/tools/skips.txt fails too."""
import fnmatch
import json
import os
import pathlib
import re
import sys

LINE = re.compile(r"^(not )?ok\b\s*\d*\s*(?:-\s*)?([^#]*)(?:#\s*(SKIP|TODO)\S*\s*(.*))?$", re.I)


def allowed_skips():
    text = (pathlib.Path(__file__).parent / "skips.txt").read_text()
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def cases(run):
    """The (name, verdict, reason) of each case of one program."""
    found = []
    for line in run.get("stdout", "").splitlines():
        match = LINE.match(line)
        if line.startswith("Bail out!"):
            found.append(("all", "failed", line))
        elif match:
            failed, name, directive, reason = match.groups()
            verdict = "failed" if failed else "passed"
            if directive and directive.upper() == "SKIP":
                verdict = "skipped"
            found.append((name.strip(), verdict, (reason or "").strip()))
        elif line.startswith("#") and found and found[-1][1] == "failed":
            found[-1] = (*found[-1][:2], f"{found[-1][2]}\n  {line}")
        elif re.match(r"^1\.\.0\s*# *SKIP", line, re.I):
            found.append(("all", "skipped", line.split("#", 1)[1].strip()[4:].strip()))
    # A crash, a timeout or a short plan is a failure even if each case that was reported passed.
    if run["result"] not in ("OK", "SKIP") and not any(v == "failed" for _, v, _ in found):
        found.append(("the program itself", "failed", f"{run['result']}, exit {run['returncode']}"))
    if not found:
        found.append(("all", "failed", "no cases reported"))
    return found


def main():
    log = pathlib.Path(sys.argv[1]) / "meson-logs" / "".join(sys.argv[2:3] or ["testlog.json"])
    try:
        runs = [json.loads(line) for line in log.read_text().splitlines()]
    except OSError as error:
        print(f"no test log: {error}", file=sys.stderr)
        return 1
    allowed = allowed_skips()
    strict = os.environ.get("CI") and os.geteuid() == 0
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for run in runs:
        program = run["name"].split(" / ")[-1].split(":")[-1]
        for name, verdict, reason in cases(run):
            label = f"{program}: {name}"
            if verdict == "skipped" and strict:
                if not any(fnmatch.fnmatch(label, pattern) for pattern in allowed):
                    verdict, reason = "failed", f"skipped, and not in tests/tools/skips.txt: {reason}"
            count[verdict] += 1
            if verdict != "passed":
                print(f"{verdict}: {label}" + (f": {reason}" if reason else ""))
    if not runs:
        print("no tests ran", file=sys.stderr)
        return 1
    print(", ".join(f"{number} {verdict}" for verdict, number in count.items()))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
