#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for words of the early sources that mean something only to their authors, or that English
has a plainer word for. Each comes with what to write instead.

Usage: words.py SOURCE [PATH...] lists every such word below the paths (`make words`). With --tap it
checks the paths of DONE alone, one TAP case each, and that each exception is still needed.
"""
import collections
import fnmatch
import pathlib
import re
import sys

import tap

# The folders and files that have been rewritten, and stay so. Add yours when `make words` is silent.
DONE = [".ci", "Makefile", "CONTRIBUTING.md", "CHANGELOG.md", "README.md", "docs", "lib", "fs",
        "tests/unit", "tests/fuzz", "tests/tools", "tests/kernel", "tests/vm", "tests/bench"]
EVERYTHING = ["lib", "fs", "tests", "docs", ".ci", "Makefile", "meson.build", "README.md",
              "CONTRIBUTING.md", "CHANGELOG.md"]
# Have the words as data.
NOT_READ = ["tests/tools/words.py", "tests/tools/words-allowed.txt", "tests/fuzz/corpus/*", "*.svg"]

# A word (a regular expression; case does not matter, and "_" ends a word): what to write instead.
WORDS = {
    r"(tell|tells|told|telling)(?! apart)": "emit (a record), report, show, list",
    r"turn_[a-z]+|ops[-_]turn|(its|their|no|a|the|each|whose) turn": "dispatch",
    r"ahead": "prefetch, producer; before",
    r"let(s|ting)? go|(is|are|was|were|be|has|have|had) gone|what goes|goes (with|away)":
        "release, is freed, was removed",
    r"use\.[ch]|use_(begin|add|find|free|take|record)[a-z_]*": "socket_holders",
    r"walkers[-_][a-z]+|walkers\.[ch]": "bpf_loader, min_core_btf",
    r"struct place|place_[a-z]+|place\.[ch]|over\.[ch]": "mountpoint, overmount, location",
    r"fs/state\.c|events/state\.[ch]|(events|ops)[-_]look": "event diff, event poller",
    r"thorough(ly)?|hidden_[a-z]+|[a-z]+_hidden": "force_full_scan, non_fd",
    r"settl(e|es|ed|ing)|caught|hurry": "pending_clear, pending_keep, set_rt_priority",
    r"(hang|hangs|hung)[ _]on": "released with usercnt",
    r"(for|in) bad times|look(s|ing)? after": "reserving memory; starting automatic keeps",
    r"known\.[ch]|known_[a-z]+|[a-z]+_known": "cached; object_cache",
    r"learn(s|t|ed|ing)?": "probe, identify; read; kernel_ids",
    r"beside|derives_alone|\.apart": "worker thread, in parallel, userspace_only; next to",
    r"asked|who(ever)? asks?": "request, caller",
    r"carriers?": "nested files (descriptors inside files)",
    r"raw\.[ch]|raw_(link|prog|map|btf|perf|iter|text)|names\.[ch]": "uapi_info, uapi_enums",
    r"idle\.[ch]|idle_[a-z]+|view_rest": "trim, drop stale snapshot",
    r"put\.h|(?<!_)put_[a-z]+": "fmt",
    r"only_id|(\.|->)only": "filter_map, filter_id",
    r"kids?|spots?": "child_refs, cursor",
    r"doubtful|surplus|strangers?": "unexplained, unclassified",
    r"(a|the|each|every|one|last|next|first|second|another) looks?": "poll, sample, scan",
}
PATTERNS = [(re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", re.I), instead)
            for word, instead in WORDS.items()]


def exceptions(top):
    """(pattern of files, text) of each line "PATTERN: TEXT  # reason" of words-allowed.txt."""
    lines = (top / "tests/tools/words-allowed.txt").read_text().splitlines()
    lines = (line.split("  #")[0].strip() for line in lines if not line.startswith("#"))
    return [tuple(line.split(": ", 1)) for line in lines if line]


def files(top, path):
    found = [top / path] if (top / path).is_file() else sorted((top / path).rglob("*"))
    names = (str(p.relative_to(top)) for p in found if p.is_file() and p.suffix != ".pyc")
    return [n for n in names if not any(fnmatch.fnmatch(n, pattern) for pattern in NOT_READ)]


def check(top, path, allowed, used):
    """What is wrong below the path, a line each; adds the exceptions that were needed to used."""
    wrong = []
    for name in files(top, path):
        text = (top / name).read_text()
        for exception in allowed:
            if exception[1] in text and fnmatch.fnmatch(name, exception[0]):
                used.add(exception)
                text = text.replace(exception[1], " ")
        for pattern, instead in PATTERNS:
            for match in pattern.finditer(text):
                number = text.count("\n", 0, match.start()) + 1
                wrong.append(f"{name}:{number}: {match[0]!r}: {instead}")
    return wrong


def check_all(top, allowed):
    used = set()
    for path in EVERYTHING if allowed else []:
        check(top, path, allowed, used)
    cases = [(path, check(top, path, allowed, set()) if files(top, path) else ["no such path"])
             for path in DONE]
    cases.append(("exceptions are needed",
                  [": ".join(exception) for exception in allowed if exception not in used]))
    return tap.run([(name, lambda wrong=wrong: wrong) for name, wrong in cases])


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    if "--tap" in sys.argv:
        return check_all(top, exceptions(top))
    wrong = [line for path in sys.argv[2:] or EVERYTHING
             for line in check(top, path, exceptions(top), set())]
    for line in wrong:
        print(line)
    for word, count in collections.Counter(x.split(": ", 1)[1] for x in wrong).most_common(30):
        print(f"{count:6} {word}")
    print(f"{len(wrong)} words left")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
