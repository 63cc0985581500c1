#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the house that a program can check: licences, sizes, one structure for each name, who
may include whom, where the kernel's structures are, what the library shows, and that an installed
copy can be used from pkg-config alone.

Usage: house.py SOURCE BUILD, from meson.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import tap

TOP, BUILD = (pathlib.Path(x).resolve() for x in sys.argv[1:3])
FILE_LINES, FUNCTION_LINES = 500, 60
# Lists, not code: they may be as long as what they list.
LISTS = {"lib/bpfrefs.h", "lib/bpf/kernel.h", "lib/bpf/records.h"}

# Whose types stop where: a header (a pattern) and the files (patterns) that may include it.
BORDERS = [
    (r"<bpf/(?!bpf_)", r"lib/kernel/(bpf_loader|load_error|min_core_btf)\.c|lib/bpf/.*\.bpf\.c|fs/daemon/main\.c|tests/.*"),
    (r"<fuse", r"fs/(fuse|mirror)/.*\.[ch]|fs/daemon/(session|main)\.[ch]"),
    (r'"(snapshot|graph|uapi|kernel|bpf|procfs|holders|keep|text)/(?!fmt\.h)',
     r"lib/.*|tests/(unit|fuzz)/.*|tests/kernel/(helpers/programs|random/mappings)\.c"),
    (r"<libmount", r"lib/procfs/mounts\.c|fs/daemon/(session|mountpoint)\.c|fs/mirror/(overmount|source)\.c"),
]
LICENCES = [
    (r".*\.bpf\.[ch]|lib/bpf/kernel\.h", "GPL-2.0"),
    (r"lib/.*", "LGPL-2.1-or-later"),
    (r".*", "GPL-2.0-or-later"),
]
# The noun that the external functions of a file carry, where it is not in the file's name.
NOUNS = {
    "lib/graph/because.c": "states",  # of states.h, with states.c
    "lib/graph/graph.c": "mark",
    "lib/kernel/net_namespaces.c": "netdev",
    "lib/procfs/": "proc",
    "lib/snapshot/context.c": "ctx",
    "fs/render/": "show",
    "fs/tree/readdir.c": "node",
}
CONSUMER = """
#include <bpfrefs.h>
#include <stdio.h>

int main(void)
{
	struct bpfrefs_key key;

	if (bpfrefs_key_parse("map/12", &key) || key.kind != BPFREFS_KIND_MAP || key.id != 12)
		return 1;
	printf("%s\\n", bpfrefs_version());
	return 0;
}
"""


def sources():
    """Every file of ours, by its name from the top."""
    found = []
    for folder in ("lib", "fs", "tests"):
        found += (p for p in (TOP / folder).rglob("*") if p.is_file())
    return sorted(str(p.relative_to(TOP)) for p in found if "__pycache__" not in str(p))


def lines(name):
    return (TOP / name).read_text().splitlines()


def spdx():
    wrong = []
    for name in sources():
        if not re.search(r"\.([chs]|py|in|map)$|meson\.build$", name):
            continue
        want = next(licence for pattern, licence in LICENCES if re.fullmatch(pattern, name))
        first = lines(name)[1 if name.endswith(".py") and lines(name)[0].startswith("#!") else 0]
        said = re.search(r"SPDX-License-Identifier: (\S+)", first)
        if not said or said[1].removesuffix("-only") != want:
            wrong.append(f"{name}: {first!r}, want {want}")
    return wrong


def sizes():
    wrong = []
    for name in sources():
        if not re.search(r"\.[ch]$", name) or name in LISTS:
            continue
        text, start = lines(name), 0
        if len(text) > FILE_LINES and not name.startswith("tests/"):
            wrong.append(f"{name}: {len(text)} lines")
        for number, line in enumerate(text, 1):
            if line == "{":
                start = number
            if line == "}" and start:
                if number - start - 1 > FUNCTION_LINES:
                    wrong.append(f"{name}:{start}: a function of {number - start - 1} lines")
                start = 0
    return wrong


def tags():
    """Each tag of a structure or union is defined once in lib and fs. Not counted in lib/bpf are
    the kernel's own, which are fragments (__pai) or contexts (bpf_iter__NAME)."""
    wrong, found = [], {}
    for name in sources():
        if not re.match(r"(lib|fs)/.*\.[ch]$", name):
            continue
        text = (TOP / name).read_text()
        for match in re.finditer(r"^((?:static |const |typedef )*(?:struct|union) (\w+)) \{\n"
                                 r"(?:[^}].*\n|\n)*\}(.*)", text, re.M):
            tag = match[2]
            kernels = "__pai" in match[3] or "preserve_access_index" in match[3] or "__" in tag
            if not (name.startswith("lib/bpf/") and kernels):
                number = text.count("\n", 0, match.start()) + 1
                found.setdefault(tag, []).append(f"{name}:{number}")
    for tag, places in sorted(found.items()):
        if len(places) > 1:
            wrong.append(f"struct {tag} is defined in {', '.join(places)}")
    return wrong or ([] if found else ["no structures were found"])


def nouns(name):
    """The prefixes that an external function of the file may have: the leading words of the file's
    name, in the singular or the plural, and its noun in NOUNS. A holder's function may begin with
    "holder_"."""
    words, found = pathlib.Path(name).stem.split("_"), set()
    for count in range(1, len(words) + 1):
        head = "_".join(words[:count])
        found |= {head, head.removesuffix("s"), head + "s"}
    found |= {noun for where, noun in NOUNS.items() if name.startswith(where)}
    return found | ({"holder"} if name.startswith("lib/holders/") else set())


def externs():
    """Each external function of lib and fs begins with a noun of its file, or is the library's."""
    wrong, count = [], 0
    objects = {f"{part}/{folder}.p/{str(path.relative_to(TOP / part)).replace('/', '_')}.o":
               str(path.relative_to(TOP))
               for part, folder in (("lib", "libcore.a"), ("fs", "libfscore.a"))
               for path in (TOP / part).rglob("*.c")}
    for built, source in sorted(objects.items()):
        if not (BUILD / built).exists():
            continue
        for line in subprocess.run(["nm", "--defined-only", str(BUILD / built)], check=True,
                                   capture_output=True, text=True).stdout.splitlines():
            kind, symbol = line.split()[-2:]
            if kind != "T" or symbol.startswith("bpfrefs_"):
                continue
            count += 1
            if any(symbol == noun or symbol.startswith(noun + "_") for noun in nouns(source)):
                continue
            wrong.append(f"{source}: {symbol} carries none of {', '.join(sorted(nouns(source)))}")
    return wrong if count > 100 else wrong + ["no objects were found"]


def includes():
    wrong = []
    for name in sources():
        if not re.search(r"\.[ch]$", name):
            continue
        for number, line in enumerate(lines(name), 1):
            header = re.match(r"#\s*include\s+(\S+)", line)
            for pattern, allowed in BORDERS:
                if header and re.match(pattern, header[1]) and not re.fullmatch(allowed, name):
                    wrong.append(f"{name}:{number}: {line}")
    return wrong


def structures():
    """The kernel's structures are defined in kernel.h, and nowhere else."""
    wrong = []
    for name in sources():
        if not name.startswith("lib/bpf/") or name == "lib/bpf/kernel.h":
            continue
        for number, line in enumerate(lines(name), 1):
            if re.search(r"\b(__pai|preserve_access_index)\b", line):
                wrong.append(f"{name}:{number}: {line}")
    return wrong


def copies():
    """No program has a variable of a kernel structure's type: a copy would have the layout of our
    declaration, not that of the kernel (tests/kernel/helpers/programs-fields.c rests on this)."""
    tags = set(re.findall(r"^(?:struct|union) (\w+) \{", (TOP / "lib/bpf/kernel.h").read_text(), re.M))
    wrong = [] if len(tags) > 100 else ["too few structures were found"]
    for name in sources():
        for number, line in enumerate(lines(name) if re.match(r"lib/bpf/.*\.bpf\.", name) else [], 1):
            said = re.search(r"\b(?:struct|union) (\w+) \w+\s*[=;,[]", line)
            if said and said[1] in tags:
                wrong.append(f"{name}:{number}: {line}")
    return wrong


# What is otherwise on another machine: the order of bytes, its name, and numbers of system calls.
OF_ONE_MACHINE = re.compile(r"""["']little["']|["']big["']|pack\w*\(["'][<>]|uname\(\)\.machine|"""
                            r"""syscall\((?:ctypes\.\w+\()?\d|\bPAGE\w* = 4096""")


def machines():
    """Tests run on every machine: what differs is in machine.py."""
    return [f"{name}:{number}: {line}" for name in sources()
            if re.match(r"tests/.*\.(py|[ch])$", name) and name not in
            ("tests/kernel/cases/machine.py", "tests/vm/machines.py", "tests/tools/house.py",
             "tests/tools/cross.py")
            for number, line in enumerate(lines(name), 1) if OF_ONE_MACHINE.search(line)]


def class_names():
    listed = re.search(r"^classes = \[(.*?)\]", "\n".join(lines("lib/meson.build")), re.M | re.S)
    return re.findall(r"'(\w+)'", listed[1])


# Comparisons with words of the kernel that are also words of ours.
KERNEL_WORDS = {
    'lib/procfs/descriptors.c': {"btf"},  # /proc/PID/fd of an anonymous inode
    'lib/uapi/info.c': {"cgroup", "sockmap"},  # bpf_link_info.iter.target_name
}


def words():
    """Classes, `via` and types are enumerations: nothing compares their words."""
    types = subprocess.run(["cpp", "-P", "-"], input="#include <linux/bpf.h>\n", text=True,
                           capture_output=True, check=True).stdout
    ours = {x.lower() for x in re.findall(r"\bBPF_(?:MAP|PROG|LINK)_TYPE_([A-Z0-9_]+)", types)}
    ours |= set(class_names())
    vias = set(re.findall(r"\[WALK_VIA_\w+\] = \{ \"(\w+)\"", (TOP / "lib/snapshot/ref.c").read_text()))
    wrong = [] if len(ours) > 60 and len(vias) > 30 else ["too few words were found"]
    for name in set(sources()) - {"lib/snapshot/select.c"}:  # it compares a caller's words
        text = (TOP / name).read_text() if re.match(r"(lib|fs)/.*\.[ch]$", name) else ""
        for call in re.finditer(r"\b(g_str\w+|str\w*(?:cmp|str))\(((?:[^()]|\([^()]*\))*)\)", text):
            said = set(re.findall(r'"(\w+)"', call[2])) & (ours | vias)
            if said - KERNEL_WORDS.get(name, set()) or (
                    re.search(r"cmp|equal|has_|strstr", call[1]) and
                    re.search(r"class\w*(->|\.)(pub\.)?name|\bvia\b|(->|\.)type\b", call[2])):
                wrong.append(f"{name}:{text.count(chr(10), 0, call.start()) + 1}: {call[0]}")
    return wrong


def classes():
    """What belongs to a class is in its file: no file outside lib/holders names a class."""
    any_class = "|".join(class_names())
    pattern = re.compile(rf"\bholder_({any_class})\b|\bCLASS_({any_class.upper()})\b")
    return [f"{name}:{number}: {line}" for name in sources()
            if re.match(r"(lib|fs)/.*\.[ch]$", name) and not name.startswith("lib/holders/")
            for number, line in enumerate(lines(name), 1) if pattern.search(line)]


def symbols():
    out = subprocess.run(["nm", "-D", "--defined-only", str(BUILD / "lib" / "libbpfrefs.so")],
                         capture_output=True, text=True, check=True).stdout
    shown = {name.split("@")[0] for line in out.splitlines()
             if not (name := line.split()[-1]).startswith("BPFREFS_")}
    header = (TOP / "lib" / "bpfrefs.h").read_text()
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    declared = set(re.findall(r"\b(bpfrefs_[a-z_]+)\(", code))
    return ([f"shown, but not in bpfrefs.h: {x}" for x in sorted(shown - declared)] +
            [f"in bpfrefs.h, but not in libbpfrefs.sym: {x}" for x in sorted(declared - shown)] +
            [f"has no comment for its manual page: {x}" for x in sorted(declared - pages())])


# Functions that change the process, print, or end it.
PROCESS_WIDE = re.compile(
    r"abort|_?exit|_Exit|quick_exit|atexit|pthread_(atfork|sigmask|kill|exit)|__assert_fail|g_abort|g_assert\w*|"
    r"g_return_if_fail_warning|g_log|g_logv|g_warn_message|g_print(err)?|v?f?printf|__v?f?printf_chk|puts|"
    r"fputs|perror|psignal|stdout|stderr|syslog|libbpf_set_\w+|mallopt|malloc_trim|signal|sigaction|sigprocmask|"
    r"raise|kill|umask|chdir|fchdir|chroot|setrlimit|setenv|putenv|unsetenv|clearenv|setlocale|tzset|prctl|"
    r"personality|nice|setpriority|sched_setaffinity|sched_setscheduler|unshare|setns|set[er]?[ug]id|"
    r"setres[ug]id|setgroups|setfs[ug]id|capset|dup2|dup3|fork|vfork|exec\w+|posix_spawnp?|system|popen")


def process_wide():
    """The library imports no function that has an effect on the whole process."""
    out = subprocess.run(["nm", "-D", "--undefined-only", str(BUILD / "lib" / "libbpfrefs.so")],
                         capture_output=True, text=True, check=True).stdout
    imports = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    return ([] if "pthread_create" in imports else ["too few symbols"]) + \
        [f"libbpfrefs.so imports {x}" for x in sorted(imports) if PROCESS_WIDE.fullmatch(x)]


def grow():
    """A public structure begins with its size, so that a later version can add members at the end. It
    has no padding there, where a new member would be inside the size of an older version."""
    copied = {"bpfrefs_key", "bpfrefs_value"}  # passed by value: see the first comment of the header
    code = re.sub(r"/\*.*?\*/", "", (TOP / "lib" / "bpfrefs.h").read_text(), flags=re.S)
    found = re.findall(r"^struct (\w+) \{(.*?)^\};", code, re.M | re.S)
    wrong = [] if {name for name, _ in found} > copied and len(found) > 10 else ["too few structures"]
    asserts = ["#include <bpfrefs.h>"]
    for name, body in found:
        members = re.findall(r"(\w+)(?:\[\w*\])?;", body)
        if name not in copied and not re.match(r"\s*size_t size;", body):
            wrong.append(f"struct {name} does not begin with size_t size")
        if name not in copied:
            last = members[-1]
            asserts.append(f"_Static_assert(offsetof(struct {name}, {last}) + sizeof(((struct {name} *)0)->{last})"
                           f" == sizeof(struct {name}), \"struct {name} ends with padding\");")
    done = subprocess.run(["cc", "-fsyntax-only", "-x", "c", "-I", str(TOP / "lib"), "-"], text=True,
                          input="\n".join(asserts) + "\n", capture_output=True, check=False)
    return wrong + [x for x in done.stderr.splitlines() if "error: " in x]


def pages():
    """The functions that have a manual page."""
    out = subprocess.run([sys.executable, str(TOP / "docs" / "man3.py"),
                          str(TOP / "lib" / "bpfrefs.h"), "--list"],
                         capture_output=True, text=True, check=True).stdout
    return {line.removesuffix(".3") for line in out.splitlines()}


def threat_model():
    """Each row of a table of docs/threat-model.md that has tests names some, and they exist."""
    wrong, rows, inside = [], 0, False
    for number, line in enumerate(lines("docs/threat-model.md"), 1):
        if not line.startswith("| ") or line.endswith("| test |"):
            inside = line.endswith("| test |") or (inside and line.startswith("|-"))
            continue
        if not inside:
            continue
        rows += 1
        cases = re.findall(r"`([a-z-]+): ([a-z_0-9]+)`", line.rsplit("|", 2)[1])
        if not cases:
            wrong.append(f"docs/threat-model.md:{number}: no test")
        for program, case in cases:
            name = f"tests/kernel/cases/test_{program}.py"
            if not (TOP / name).exists() or f"def test_{case}(" not in (TOP / name).read_text():
                wrong.append(f"docs/threat-model.md:{number}: {program}: {case}: no such test")
    return wrong or ([] if rows else ["docs/threat-model.md: no table"])


def install():
    with tempfile.TemporaryDirectory() as place:
        env = dict(os.environ, DESTDIR=place)
        env.pop("LD_PRELOAD", None)
        done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild"], env=env,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr).splitlines()
        (config,) = pathlib.Path(place).rglob("bpfrefs.pc")
        (library,) = pathlib.Path(place).rglob("libbpfrefs.so")
        env = dict(os.environ, PKG_CONFIG_PATH=str(config.parent), PKG_CONFIG_SYSROOT_DIR=place,
                   LD_LIBRARY_PATH=str(library.parent))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "bpfrefs"], env=env,
                               capture_output=True, text=True, check=True).stdout.split()
        return consumers(pathlib.Path(place), flags, env)


def consumers(place, flags, env):
    wrong = []
    sanitize = [f"-fsanitize={x}" for x in os.environ.get("SANITIZE", "none").split("+")
                if x != "none"]
    for compiler, suffix in (("cc", "c"), ("c++", "cc")):
        if not shutil.which(compiler):
            continue
        source, program = place / f"consumer.{suffix}", place / f"consumer-{suffix}"
        source.write_text(CONSUMER)
        done = subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *sanitize, str(source),
                               *flags, "-o", str(program)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            wrong += done.stderr.splitlines()
            continue
        done = subprocess.run([str(program)], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            wrong.append(f"{compiler}: exit {done.returncode}: {done.stderr}")
    return wrong


def documents():
    """No line of text stands twice in a paragraph, and the tutorial's list of .bpf is the table's."""
    wrong = []
    for path in sorted((TOP / "docs").glob("*.[mr]*")) + [TOP / "README.md"]:
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            long = [x for x in paragraph.splitlines() if len(x) > 60 and not x.startswith("|")]
            wrong += [f"{path.name}: twice: {x}" for x in sorted(set(long)) if long.count(x) > 1]
    rows = re.findall(r"\{ \.in = DIR_ROOT,(.*?) \},?\n", (TOP / "fs/tree/tree.c").read_text(), re.S)
    listed = sorted(re.search(r'\.name = "([^"]+)"', x)[1] for x in rows if ".unlisted" not in x)
    shown = re.search(r"# ls \.\n(.*?)```", (TOP / "docs/tutorial.md").read_text(), re.S)
    if shown[1].split() != listed:
        wrong.append(f"docs/tutorial.md: ls .: {shown[1].split()}, and fs/tree/tree.c has {listed}")
    return wrong


def hosts():
    """Where packages come from is the machine's own affair: no archive's host is named."""
    return [f"{name}:{number}: {line}"
            for name in sources() + [".ci/install", ".ci/run", ".ci/packages", "Makefile"]
            for number, line in enumerate((TOP / name).read_text(errors="replace").splitlines(), 1)
            if re.search(r"https?://[a-z0-9.-]*debian\.org", line)]


def main():
    return tap.run_functions([
        spdx, sizes, tags, externs, includes, structures, copies, machines, words, classes, symbols,
        process_wide, grow, threat_model, install, documents, hosts])


if __name__ == "__main__":
    sys.exit(main())
