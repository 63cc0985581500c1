# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tools that are tests have in common: they run cases, and print TAP."""
import sys


class Failure(Exception):
    """What is wrong is its text."""


class Skip(Exception):
    """A case cannot run here; its text says why."""


def run(cases, in_turn=False):
    """Runs pairs of a name and a function, which may return lines that say what is wrong. Returns the
    exit status. @in_turn: each case needs those before it."""
    print(f"1..{len(cases)}", flush=True)
    failed = not cases
    for number, (name, function) in enumerate(cases, 1):
        skip = ""
        try:
            if failed and in_turn:
                raise Skip("the case before failed")
            wrong = function() or []
        except Failure as error:
            wrong = str(error).splitlines() or ["no reason"]
        except Skip as reason:
            wrong, skip = [], f" # SKIP {reason}"
        failed = failed or bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}{skip}")
        for line in wrong:
            print(f"#   {line}")
        sys.stdout.flush()
    return 1 if failed else 0


def run_functions(functions, in_turn=False):
    """The same; the cases have the functions' names."""
    return run([(function.__name__.strip("_"), function) for function in functions], in_turn)
