#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Follows the recipe "Adding a holder class" of docs/design.md literally, with a toy class in a copy of
the sources below BUILD: builds it, has it decode a record, and leaves out each step once, whereupon
the build or a test must fail. Before that, all classes of SOURCE itself are checked.

Usage: recipe.py SOURCE BUILD, from meson. Later runs build only what has changed.
"""
import os
import pathlib
import re
import subprocess
import sys

from tap import Failure, run_functions

TOP, BUILD = (pathlib.Path(x).resolve() for x in sys.argv[1:3])
COPY = BUILD / "recipe" / "source"
OUT = BUILD / "recipe" / "build"
WORK = BUILD / "recipe" / "work"
BUILT = []  # not empty if the whole recipe has led to a class

CLASS = '''/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Toys: something that takes a reference to each map. */
#include "holders/holders.h"
#include "kernel/bpf_source.h"

#define FIELDS(X) X(TOY_NAME, "name") X(TOY_VIA, "via")
HOLDER_FIELDS(FIELDS);

static void decode(struct scan *scan, const void *record)
{
	const struct walk_toy *toy = record;
	struct bpfrefs_key map = { BPFREFS_KIND_MAP, toy->rec.id };
	struct bpfrefs_ref *ref = scan_add(scan, map, 1, 0);

	if (!ref)
		return;
	ref_set_num(ref, TOY_NAME, toy->name);
	ref_set_via(ref, TOY_VIA, WALK_VIA_TOY);
}

static int walk(struct scan *scan)
{
	return dispatch_program(scan, "walk_toys", true);
}

static void removes(struct removal *removal, const struct bpfrefs_ref *ref)
{
	removal_words(removal, "toy", "remove", NULL);
	removal_field(removal, ref, TOY_NAME);
}

const struct holder_class holder_toy = {
	.pub = { HOLDER_PUB("toy"), 1u << BPFREFS_KIND_MAP },
	.id = CLASS_TOY,
	.no_hook = true,
	.removes = removes,
	.walk = walk,
	.decoders = { DECODER(walk_toy, decode) },
	.proc_gap = "procfs does not show toys",
};
'''
PROGRAM = '''// SPDX-License-Identifier: GPL-2.0
#include "walk.bpf.h"

SEC("iter/bpf_map")
int walk_toys(struct bpf_iter__bpf_map *ctx)
{
	struct walk_toy toy = {};

	if (!ctx->map)
		return 0;
	toy.name = 5;
	walk_emit(&toy.rec, WALK_TOY, sizeof(toy), BPF_CORE_READ(ctx->map, id));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
'''
# What a scan makes of one record: the class in the answer.
ANSWER = '''
#include <stdio.h>

#include "holders/class.h"
#include "kernel/bpf_source.h"
#include "snapshot/snapshot.h"

int main(void)
{
	struct bpfrefs_ctx ctx = { .force_full_scan = true };
	struct scan *scan = scan_new(&ctx, holder_classes);
	struct bpfrefs_key map = { BPFREFS_KIND_MAP, 12 };
	struct walk_state state = { 0 };
	struct walk_toy toy = { .rec = { WALK_TOY, sizeof(toy), map.id }, .name = 5 };
	struct bpfrefs_snapshot *snap;
	const struct bpfrefs_ref *ref;
	struct ref_range refs;

	scan_object_add(scan, map);
	dispatch_begin(scan, &state);
	dispatch_record(&toy.rec, scan);
	dispatch_end(scan);
	snap = scan_finish(scan);
	if (snapshot_freeze(snap, -1))
		return 1;
	refs = index_holders(snap, map);
	while ((ref = ref_range_next(&refs))) {
		printf("map/12 %s ref=%u name=%d via=%s\\n", bpfrefs_ref_class(ref)->name,
		       bpfrefs_ref_count(ref), (int)bpfrefs_ref_get(ref, "name").num,
		       bpfrefs_ref_get(ref, "via").str);
	}
	bpfrefs_snapshot_unref(snap);
	return 0;
}
'''
# tests/unit/test-class.c without the fixture, which would need all of fs.
FIXTURE = '''
#include <glib.h>
#define TEST(name)                                                     \\
	static void test_##name(void);                                 \\
	__attribute__((constructor(200))) static void add_##name(void) \\
	{                                                              \\
		g_test_add_func("/" #name, test_##name);               \\
	}                                                              \\
	static void test_##name(void)
__attribute__((constructor(101))) static void begin(void)
{
	static char *words[] = { "class", NULL };
	char **argv = words;
	int argc = 1;

	g_test_init(&argc, &argv, NULL);
}
int main(void)
{
	return g_test_run();
}
'''


def run(*command):
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "LD_PRELOAD")}
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise Failure((done.stdout + done.stderr)[-3000:])
    return done.stdout


# ---------------------------------------------------------------- the sources ---

def text(top, name):
    return (top / name).read_text()


def listed(top):
    return re.findall(r"'(\w+)'", re.search(r"^classes = \[(.*?)\]", text(top, "lib/meson.build"), re.M | re.S)[1])


def fields_of(top, words):
    """The names of the fields in a list of X(INDEX, "name"), with the lists that it contains."""
    found = []
    for other, name in re.findall(r'(\w+_FIELDS)\b|X\(\w+,\s*\\?\s*"(\w+)"\)', words):
        if name:
            found.append(name)
            continue
        for header in sorted((top / "lib").rglob("*.h")):
            define = re.search(rf"#define {other}\(X\)((?:.*\\\n)*.*\n)", header.read_text())
            if define:
                found += fields_of(top, define[1])
    return found


def documented(top, name):
    """A class is in bpfrefs(5), with its fields, in docs/kernel.md, and in a test of the kernel."""
    code = text(top, f"lib/holders/{name}.c")
    used = re.search(r"HOLDER_FIELDS\((\w+)\)", code)
    own = re.search(r"#define FIELDS\(X\)((?:.*\\\n)*.*\n)", code)
    fields = fields_of(top, own[1] if own else used[1] if used else "")
    if used and used[1] == "HELD_FIELDS" and name != "map":
        fields.remove("slot")
    shown = re.search(rf"^\*\*{name}\*\*: (.*)", text(top, "docs/bpfrefs.5.rst"), re.M)
    if not shown or re.findall(r"\w+", shown[1]) != fields:
        yield f"docs/bpfrefs.5.rst: {name}: {shown and shown[1]}, want {' '.join(fields)}"
    if not re.search(rf"^\| (\w+, )*{name}(, \w+)* \|", text(top, "docs/kernel.md"), re.M) and name != "keep":
        yield f"docs/kernel.md has no row for {name}"
    cases = "".join(x.read_text() for x in (top / "tests/kernel/cases").glob("*.py"))
    if not re.search(rf"[\"' ]{name}[\"' ]", cases):
        yield f"tests/kernel/cases: no case names {name}"


def whole(top):
    wrong = []
    names = listed(top)
    for path in sorted((top / "lib/holders").glob("*.c")):
        if path.stem.removesuffix("_proc") not in names:
            wrong.append(f"lib/holders/{path.name}: its class is not listed in lib/meson.build")
    for name in names:
        if (top / f"lib/holders/{name}.c").exists():
            wrong += documented(top, name)
        else:
            wrong.append(f"lib/holders/{name}.c is missing")
    programs = "".join(x.read_text() for x in (top / "lib/bpf").glob("*.bpf.[ch]"))
    wrong += [f"no BPF program writes {x}"
              for x in re.findall(r"X\((WALK_\w+), walk_\w+\)", text(top, "lib/bpf/records.h"))
              if not re.search(rf"\b{x}\b", programs)]
    if wrong:
        raise Failure("\n".join(wrong))


# ------------------------------------------------------------------ the steps ---

class Copy:
    """What the copy is to be: SOURCE, and what the steps write over it."""

    def __init__(self):
        self.files = {}

    def write(self, name, what):
        self.files[name] = what

    def insert(self, name, before, what):
        old = self.files.get(name) or text(TOP, name)
        if old.count(before) != 1:
            raise Failure(f"{name}: {before!r} is there {old.count(before)} times")
        self.files[name] = old.replace(before, what + before)

    def make(self):
        """Writes only what differs, so that only that is built again."""
        kept = set()
        for name in subprocess.run(["find", "lib", "fs", "tests", "docs", "-type", "f"], cwd=TOP, text=True,
                                   capture_output=True, check=True).stdout.split() + [
                                       x.name for x in TOP.iterdir() if x.is_file()] + list(self.files):
            if "__pycache__" in name or "/corpus/" in name:
                continue
            want = self.files[name].encode() if name in self.files else (TOP / name).read_bytes()
            target = COPY / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != want:
                target.write_bytes(want)
            kept.add(target)
        for path in COPY.rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()


STEPS = {
    "class": lambda copy: copy.write("lib/holders/toy.c", CLASS),
    "program": lambda copy: copy.write("lib/bpf/toy.bpf.c", PROGRAM),
    "word": lambda copy: copy.insert("lib/snapshot/ref.c", "\t[WALK_VIA_NONE]",
                                     '\t[WALK_VIA_TOY] = { "toy" },\n'),
    "list": lambda copy: copy.insert("lib/meson.build", "  'kernel',\n]", "  'toy',\n"),
    "case": lambda copy: copy.write("tests/kernel/cases/test_toy.py", 'WANT = "toy ref=1"\n'),
    "manual": lambda copy: copy.insert("docs/bpfrefs.5.rst", "**kernel**: why\n",
                                       "**toy**: name via\n    A toy.\n\n"),
    "kernel": lambda copy: copy.insert("docs/kernel.md", "| kernel |", "| toy | each toy | no | toys | c |\n"),
    "structure": lambda copy: copy.insert("lib/bpf/records.h", "struct walk_map {",
                                          "struct walk_toy {\n\tstruct walk_rec rec;\n\t__u64 name;\n};\n\n"),
    "record": lambda copy: copy.insert("lib/bpf/records.h", "\tX(WALK_MAP, walk_map)",
                                       "\tX(WALK_TOY, walk_toy) \\\n"),
    "via": lambda copy: copy.insert("lib/bpf/records.h", "\tWALK_VIA_COUNT,\n", "\tWALK_VIA_TOY,\n"),
}
# Without these the class itself cannot be compiled: nothing else is built then.
COMPILED = {"structure", "record", "via"}
# Members of the class that are left out, and what notices that.
MEMBERS = {"id": "\t.id = CLASS_TOY,\n", "no_hook": "\t.no_hook = true,\n",
           "removes": "\t.removes = removes,\n",
           "decoders": "\t.decoders = { DECODER(walk_toy, decode) },\n",
           "walk": "\t.walk = walk,\n\t.decoders = { DECODER(walk_toy, decode) },\n",
           "proc_gap": '\t.proc_gap = "procfs does not show toys",\n', "fields": "HOLDER_FIELDS(FIELDS);\n"}


def follow(without=None, code=CLASS):
    copy = Copy()
    for name, step in STEPS.items():
        if name != without:
            step(copy)
    if code != CLASS:
        copy.write("lib/holders/toy.c", code)
    copy.make()


def build(target="lib/libcore.a"):
    again = ["--reconfigure"] if (OUT / "build.ninja").exists() else []
    run("meson", "setup", *again, "-Dbpf=disabled", "-Dman=disabled", "-Dtests=false", "-Dbuildtype=plain",
        OUT, COPY)
    run("ninja", "-C", OUT, target)


def program(name, source):
    """Compiles and runs a program with the library of the copy."""
    WORK.mkdir(exist_ok=True)
    (WORK / f"{name}.c").write_text(source)
    (WORK / "fixture.h").write_text(FIXTURE)
    flags = run("pkg-config", "--cflags", "--libs", "glib-2.0", "mount", "libbpf").split()
    run("cc", "-D_GNU_SOURCE", "-include", OUT / "config.h", "-I", WORK, "-I", COPY / "lib", "-I", OUT / "lib",
        WORK / f"{name}.c", OUT / "lib/libcore.a", *flags, "-pthread", "-o", WORK / name)
    return run(WORK / name)


def check():
    whole(COPY)
    build()
    program("class", text(TOP, "tests/unit/test-class.c"))


def must_fail(what, how=check):
    if not BUILT:
        raise Failure("the whole recipe failed")
    try:
        how()
    except Failure as error:
        print(f"# without {what}: {str(error).strip().splitlines()[-1][:150]}")
        return
    raise Failure(f"without {what} nothing fails")


# ------------------------------------------------------------------ the cases ---

def classes_are_whole():
    whole(TOP)


def toy_is_built():
    follow()
    check()
    BUILT.append(True)


def toy_is_in_the_answer():
    said = program("answer", ANSWER)
    if said != "map/12 toy ref=1 name=5 via=toy\n":
        raise Failure(f"said {said!r}")


def compiles():
    build("lib/libcore.a.p/holders_toy.c.o")


def each_member_is_needed():
    for name, member in MEMBERS.items():
        follow(code=CLASS.replace(member, ""))
        must_fail(name, compiles if name == "fields" else check)


def each_step_is_needed():
    for name in STEPS:
        follow(without=name)
        must_fail(f"the step {name}", compiles if name in COMPILED else check)


def main():
    return run_functions([classes_are_whole, toy_is_built, toy_is_in_the_answer, each_member_is_needed,
                          each_step_is_needed])


if __name__ == "__main__":
    sys.exit(main())
