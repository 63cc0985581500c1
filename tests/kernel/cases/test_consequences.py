#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What follows from all references: roots, what a process's exit frees, at-risk, JSON, the graph."""
import json
import os
import re
import signal
import sys

from harness import (check, compare, equal, eventually, fields, main, run, tool)


def story(env, *options):
    """A pinned program jumps through an array that only a process keeps."""
    daemon, helper = env.daemon(*options), env.helper()
    array = helper.make("map", "prog_array", name="jmp", max=4)
    target = helper.make("prog", "socket_filter", name="target")
    entry = helper.make("prog", "socket_filter", name="entry", maps=array)
    helper.do("slot", array.var, 1, target.var)
    helper.do("pin", entry.var, env.bpffs / "entry")
    target.close()
    entry.close()
    return daemon, helper, array, target, entry


def end(helper):
    """Ends a helper as a crash would."""
    os.kill(helper.pid, signal.SIGKILL)
    helper.process.wait()


def test_roots(env):
    daemon, helper, array, target, entry = story(env)
    pin = (f"{entry.key} pin ref=1 user=0 path={env.bpffs}/entry dev=* ino=* uid=0"
           " gid=0 mode=600 mtime=* state=live")

    def look():
        for obj, want in ((target, [f"{array.held()} chain={array.key},{target.key}"]),
                          (array, [f"{array.held()} chain={array.key}",
                                   f"{pin} chain={entry.key},{array.key}"]),
                          (entry, [f"{pin} chain={entry.key}"])):
            lines, gaps = daemon.lines(f"{obj.key}/roots")
            compare(lines, want)
            check(not gaps, str(gaps))
    eventually(look)
    # a second descriptor is no root of its own
    helper.make("dup", array)
    compare(daemon.lines(f"{target.key}/roots")[0],
            [f"{array.held()} ways=2 chain={array.key},{target.key}"])


def test_retains_memory_of_links_and_btfs(env):
    """Nobody is charged for them, and fdinfo has no line of it: 0, and not unknown."""
    daemon, helper = env.daemon(), env.helper()
    btf, prog = helper.make("btf"), helper.make("prog", "raw_tracepoint")
    link = helper.make("link", "raw_tp", prog, "task_rename")
    for obj in (btf, link):
        with open(f"/proc/{helper.pid}/fdinfo/{obj.fd}", encoding="ascii") as text:
            check("memlock" not in text.read(), f"fdinfo of {obj.key} has a line of it")
    lines = daemon.lines(f"pid/{helper.pid}/retains")[0]
    compare(lines, [f"{prog.key} name= effect=freed memlock=*",
                    f"{link.key} name= effect=freed memlock=0",
                    f"{btf.key} name= effect=freed memlock=0"])
    check(fields(lines[0])["memlock"].isdigit(), lines[0])
    helper.end()
    for obj in (btf, link, prog):
        daemon.gone(obj)


def memlock_of(helper, obj):
    """What the kernel says through the helper's descriptor."""
    with open(f"/proc/{helper.pid}/fdinfo/{obj.fd}", encoding="ascii") as text:
        return next(x.split()[1] for x in text if x.startswith("memlock:"))


def test_retains(env):
    """What is predicted comes true: freed, cleared, and the memory that fdinfo shows."""
    daemon, helper, array, target, entry = story(env)
    large = helper.make("map", "array", name="large", max=100000)
    memlock, array_memlock = memlock_of(helper, large), memlock_of(helper, array)

    def look():
        lines, gaps = daemon.lines(f"pid/{helper.pid}/retains")
        compare(lines, [f"{array.key} name=jmp effect=cleared memlock=*",
                        f"{large.key} name=large effect=freed memlock={memlock}",
                        f"{target.key} name=target effect=freed memlock=*"])
        check(not gaps, str(gaps))
        for line in lines:
            check(fields(line)["memlock"].isdigit(), line)
    eventually(look)
    equal(daemon.row(large.key)["memlock"], memlock)
    # a pin and a slot hold them, and no descriptor
    for obj in (entry, target):
        check(daemon.row(obj.key)["memlock"].isdigit(), daemon.row(obj.key))
    equal(daemon.row(array.key)["memlock"], array_memlock)
    equal(daemon.row(array.key)["state"], "at-risk")
    compare([x for x in daemon.lines("at-risk")[0] if x.startswith(f"{array.key} ")],
            [f"{array.key} name=jmp type=prog_array refcnt=2 usercnt=1 unexplained=0 pins=0"
             " memlock=* state=at-risk because=*"])
    end(helper)
    daemon.gone(target)
    daemon.gone(large)

    def cleared():
        row = daemon.row(array.key)
        equal((row["usercnt"], row["memlock"], row["state"]), ("0", array_memlock, "cleared"))
        check(any(x.startswith(f"{array.key} ") for x in daemon.lines("at-risk")[0]), "at-risk")
    eventually(cleared)
    os.unlink(env.bpffs / "entry")
    daemon.gone(array)
    daemon.gone(entry)
    check(not any(x.startswith(f"{array.key} ") for x in daemon.lines("at-risk")[0]), "at-risk")


def test_retains_shared(env):
    """What two processes hold together is freed by the exit of neither alone."""
    daemon, helper = env.daemon(), env.helper()
    shared = helper.make("map", "array", name="shared")
    child = helper.do("fork")["child"]
    mine = helper.make("map", "array", name="mine")

    def look():
        compare(daemon.lines(f"pid/{helper.pid}/retains")[0],
                [f"{mine.key} name=mine effect=freed memlock=*"])
        compare(daemon.lines(f"pid/{child}/retains")[0], [])
    eventually(look)
    helper.do("reap", child)
    eventually(lambda: compare(daemon.lines(f"pid/{helper.pid}/retains")[0],
                               [f"{obj.key} name={name} effect=freed memlock=*"
                                for obj, name in ((shared, "shared"), (mine, "mine"))]))


def test_retains_namespace(env):
    """A pin in a mount namespace that only one process is in is removed with it; with two it stays."""
    daemon, helper = env.daemon(), env.helper()
    place = env.tmp / "private"
    place.mkdir()
    helper.do("newns")
    helper.do("mount", place)
    obj = helper.make("map", "array", name="far")
    helper.do("pin", obj.var, place / "x")
    obj.close()
    helper.make("map", "array", name="near")
    eventually(lambda: compare([x for x in daemon.lines(f"pid/{helper.pid}/retains")[0]
                                if "name=far" in x],
                               [f"{obj.key} name=far effect=freed memlock=*"]))
    child = helper.do("fork")["child"]

    def stays():
        for pid in (helper.pid, child):
            check("name=far" not in daemon.read(f"pid/{pid}/retains"), f"with pid {pid}")
    eventually(stays)
    helper.do("reap", child)
    end(helper)
    daemon.gone(obj)


def as_line(record):
    """A record of JSON as a line of holders has it."""
    def value(x):
        return "?" if x is None else re.sub(
            r"[^\x21-\x5b\x5d-\x7e]",
            lambda m: "".join(f"\\{b:03o}" for b in m[0].encode()), str(x))
    rest = "".join(f" {k}={value(v)}" for k, v in record.items() if k not in ("object", "class"))
    return f"{record['object']} {record['class']}{rest}"


def test_json(env):
    """The same records as in the text files, word for word, and the same account."""
    daemon, helper, array, target, entry = story(env)
    for obj in (array, target, entry):
        def look():
            # pylint: disable=cell-var-from-loop
            got = json.loads(daemon.read(f"{obj.key}/json"))
            for name in ("holders", "holding"):
                lines = daemon.lines(f"{obj.key}/{name}")[0]
                strip = [re.sub(r" file=\d+", "", x) for x in lines]
                shown = [re.sub(r" file=\d+", "", as_line(x)) for x in got[name]]
                equal(shown, strip, name)
            refs = daemon.pairs(f"{obj.key}/refs")
            for name in ("refcnt", "explained", "unexplained", "state", "because"):
                equal(str(got[name]), refs[name], name)
            equal(got["object"], obj.key)
            equal(got["gaps"], [])
            info = {k: str(v) for k, v in got["info"].items()}
            shown = daemon.pairs(f"{obj.key}/info")
            for name in ("kind", "id", "type", "name"):
                equal(info[name], shown[name], name)
            equal([x["chain"][-1] for x in got["roots"]], [obj.key] * len(got["roots"]))
            equal(len(got["roots"]), len(daemon.lines(f"{obj.key}/roots")[0]))
        eventually(look)

    def look_at_all():
        """Two reads: what others freed in between is in one of them only."""
        whole = json.loads(daemon.read("json"))
        keys = [x["object"] for x in whole["objects"]]
        equal(keys, [x.split(" ", 1)[0] for x in daemon.lines("objects")[0]], "all objects")
        check({array.key, target.key, entry.key} <= set(keys), "objects")
        return whole
    whole = eventually(look_at_all)
    slot = f"{target.key} map ref=1 user=0 id={array.id} name=jmp via=slot slot=1"
    check(slot in map(as_line, whole["holders"]), "the slot")
    check(any((x["pid"], x["comm"]) == (helper.pid, "mkobj") for x in whole["processes"]), "the process")


def test_jq(env):
    """jq reads it as the manual page says."""
    jq = tool("jq")
    daemon, _, array, _, _ = story(env)
    status, out, err = run(jq, "-r", '.objects[] | select(.state == "at-risk") | .object',
                           daemon.tree / "json")
    equal((status, err), (0, ""))
    check(array.key in out.split(), out)


def drawn(env, daemon, path):
    """A picture as text, which dot(1) takes; and its width and height, in pixels."""
    text = daemon.read(path)
    (env.tmp / "picture.dot").write_text(text)
    status, out, err = run(tool("dot"), "-Tsvg", env.tmp / "picture.dot")
    equal((status, err), (0, ""), out)
    size = re.search(r'<svg width="([0-9]+)pt" height="([0-9]+)pt"', out)
    return text, [int(x) * 96 / 72 for x in size.groups()]


def test_graph(env):
    """What leads to an object, and one step of what it holds; what a process holds."""
    daemon, helper, array, target, entry = story(env)
    other = helper.make("map", "hash", name="other")
    text, size = drawn(env, daemon, f"{array.key}/graph.dot")
    edges = [f'"pid/{helper.pid}" -> "{array.key}" [label="fd {array.fd}"]',
             f'"{array.key}" -> "{target.key}" [label="slot 1"]',
             f'"{entry.key}" -> "{array.key}" [label="used_maps"]']
    nodes = [f'"{array.key}" [label="{array.key}\\njmp\\nprog_array\\nat-risk" shape=cylinder',
             f'"pid/{helper.pid}" [label="pid {helper.pid}\\nmkobj" shape=ellipse']
    for part in edges + nodes + [f'tooltip="{env.bpffs}/entry"']:
        check(part in text, f"no {part} in {text}")
    check(other.key not in text and "btf/" not in text, text)
    check(size[0] < 1600 and size[1] < 400, f"{size}")
    text, _ = drawn(env, daemon, f"pid/{helper.pid}/graph.dot")
    for part in edges[:2] + nodes[1:] + [f'-> "{other.key}" [label="fd {other.fd}"]']:
        check(part in text, f"no {part} in {text}")
    check(f'"{entry.key}"' not in text, "it does not hold the program that is pinned")
    check("jmp\\nprog_array\\nat-risk\\n1 other reference\"" in text, text)


def test_whole_graph(env):
    """What the daemon has for itself is one node, and its hold on the kernel's BTF one arrow."""
    daemon, _, array, _, _ = story(env, "-o", "self=show")
    text, _ = drawn(env, daemon, "graph.dot")
    own = {x.split(" ", 1)[0] for x in daemon.lines(f"pid/{daemon.pid}/holding")[0]}
    nodes = [f'"{key}" [label=' for key in own if key.startswith("prog/")]
    check(nodes and '"own" [label="bpfrefs\'s own\\n' in text, "no node of its own")
    check(not any(node in text for node in nodes), "the daemon's own programs")
    check('-> "own"' in text and '"own" -> "btf/' in text, "its arrows")
    daemon.write(f"{array.key}/keep", "fd")
    text, _ = drawn(env, daemon, "graph.dot")
    check('"own" -> "btf/' in text and not any(node in text for node in nodes), "still one node")
    check(f'"{array.key}" [label="{array.key}\\n' in text, "what it keeps is none of its own")
    daemon.write(f"{array.key}/keep", "off")


def test_graph_of_many(env):
    """Six hundred objects: the picture of everything fits on a page and says what is folded, and
    that of one shows this one."""
    daemon, helpers = env.daemon(), [env.helper() for _ in range(6)]
    for helper in helpers:
        maps = [helper.make("map", "hash" if x % 2 else "array", name=f"m{x}") for x in range(95)]
        array = helper.make("map", "prog_array", name="jmp", max=4)
        progs = [helper.make("prog", "socket_filter", name=f"p{x}", maps=[array, maps[x]])
                 for x in range(3)]
        for index, prog in enumerate(progs):
            helper.do("slot", array.var, index, prog.var)
    text, size = drawn(env, daemon, "graph.dot")
    found = re.search(r'label="Folded to fit a page: ([0-9]+) nodes are drawn as ([0-9]+)', text)
    check(found and int(found[1]) >= 600 and int(found[2]) <= 60, text)
    check(size[0] < 2400 and size[1] < 2400, f"{size}")
    text, size = drawn(env, daemon, f"{maps[50].key}/graph.dot")
    check(f'"{maps[50].key}" [label="{maps[50].key}\\nm50\\narray"' in text, text)
    check("Folded" not in text and text.count("label=") == 3, text)
    text, size = drawn(env, daemon, f"{array.key}/graph.dot")
    for index, prog in enumerate(progs):
        check(f'"{array.key}" -> "{prog.key}" [label="slot {index}"]' in text, text)
    check(size[0] < 1600 and size[1] < 600, f"{size}")
    text, size = drawn(env, daemon, f"pid/{helper.pid}/graph.dot")
    check(re.search(r'label="4[0-9] maps\\nmap/[0-9]+ \u2026 map/[0-9]+\\nhash"', text), text)
    check(f'"{array.key}" [label="{array.key}\\njmp' in text, text)
    check(size[0] < 1600 and size[1] < 1000, f"{size}")


sys.exit(main(globals()))
