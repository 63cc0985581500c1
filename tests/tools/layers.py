#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks who calls whom, by the symbols of the built objects: no circle of files within lib nor
within fs, and no call from one folder to another that docs/design.md does not list.

Usage: layers.py SOURCE BUILD, from meson. `layers.py SOURCE BUILD print` prints the calls between
folders as they are, in the form of docs/design.md.
"""
import collections
import pathlib
import re
import subprocess
import sys

import tap

TOP, BUILD = (pathlib.Path(x).resolve() for x in sys.argv[1:3])
PARTS = {"lib": BUILD / "lib" / "libcore.a.p", "fs": BUILD / "fs" / "libfscore.a.p"}


def source_of(built, part):
    """The source file of an object: meson names it by its path, with underscores for slashes."""
    name = built.name.removesuffix(".o")
    for path in (TOP / part).rglob("*.c"):
        if str(path.relative_to(TOP / part)).replace("/", "_") == name:
            return str(path.relative_to(TOP))
    return None


def symbols(built):
    defined, wanted = set(), set()
    for line in subprocess.run(["nm", str(built)], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        if kind in "TDBRVW":
            defined.add(name)
        elif kind == "U":
            wanted.add(name)
    return defined, wanted


def calls():
    """(caller, callee) -> the symbols, over all source files. The generated list of classes is
    left out: it names every class, and only the context reads it."""
    home, wanted = {}, {}
    for part, folder in PARTS.items():
        for built in sorted(folder.glob("*.o")):
            source = source_of(built, part)
            if source:
                defined, wanted[source] = symbols(built)
                home.update(dict.fromkeys(defined, source))
    found = collections.defaultdict(list)
    for caller, names in wanted.items():
        for name in sorted(names):
            callee = home.get(name)
            if callee and callee != caller:
                found[caller, callee].append(name)
    return found


def circles(edges):
    """Groups of files that call each other (Tarjan's strongly connected components)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def folder_of(name):
    return name.rsplit("/", 1)[0]


def between_folders(found):
    rooms = collections.defaultdict(set)
    for caller, callee in found:
        if folder_of(caller) != folder_of(callee):
            rooms[folder_of(caller)].add(folder_of(callee))
    return rooms


def picture():
    """The lines `FOLDER: FOLDERS that it may call` of the block named `calls` in docs/design.md."""
    text = (TOP / "docs" / "design.md").read_text()
    block = re.search(r"^```calls\n(.*?)^```", text, re.M | re.S)
    lines = block[1].splitlines() if block else []
    return {name.strip(): set(rest.split()) for name, rest in (x.split(":", 1) for x in lines)}


def check_circles(found):
    edges = collections.defaultdict(set)
    for caller, callee in found:
        edges[caller].add(callee)
    wrong = []
    for group in circles(edges):
        wrong.append("a circle: " + " ".join(group))
        wrong += [f"  {a} calls {b}: {' '.join(found[a, b][:4])}"
                  for a in group for b in group if (a, b) in found]
    return wrong


def check_picture(found):
    allowed, rooms = picture(), between_folders(found)
    wrong = [f"{a} calls {b}, which docs/design.md does not list: "
             + ", ".join(sorted(f"{x} {y} ({found[x, y][0]})" for x, y in found
                                if folder_of(x) == a and folder_of(y) == b)[:4])
             for a in sorted(rooms) for b in sorted(rooms[a] - allowed.get(a, set()))]
    wrong += [f"docs/design.md lists that {a} calls {b}, which it does not"
              for a in sorted(allowed) for b in sorted(allowed[a] - rooms.get(a, set()))]
    return wrong


def main():
    found = calls()
    if sys.argv[3:] == ["print"]:
        for name, others in sorted(between_folders(found).items()):
            print(f"{name}: {' '.join(sorted(others))}")
        return 0
    return tap.run([
        ("objects_are_found", lambda: [] if len(found) > 100 else ["too few calls found"]),
        ("no_circle_of_files", lambda: check_circles(found)),
        ("calls_between_folders", lambda: check_picture(found))])


if __name__ == "__main__":
    sys.exit(main())
