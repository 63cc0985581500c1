#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools that know nothing of bpfrefs, on the mount."""
import errno
import os
import shutil
import sys

from harness import check, equal, fails, is_mounted, main, must, names, run, tool

FROZEN = ("-o", "max_age=3600000")


def objects(env):
    """A directory app/ with a map that has BTF and one that has none, and an iterator."""
    helper = env.helper()
    (env.bpffs / "app").mkdir()
    plain = helper.make("map", "array", name="plain")
    helper.do("pin", plain.var, env.bpffs / "app" / "plain")
    must(env.mkobj, "object", env.object_file, "reuse", env.bpffs / "app" / "typed")
    must(env.mkobj, "object", env.object_file, "iter", env.bpffs / "app" / "maps")
    return helper, plain


# ------------------------------------------------------------ bpf tools ---


def test_bpftool_map_dump_pinned(env):
    bpftool = tool("bpftool")
    objects(env)
    daemon = env.daemon()
    for name in ("plain", "typed"):
        want = must(bpftool, "-n", "map", "dump", "pinned", env.bpffs / "app" / name)
        equal(must(bpftool, "-n", "map", "dump", "pinned", daemon.mnt / "app" / name), want)
    check("value" in want, want)


def test_bpftool_shows_by_pin(env):
    bpftool = tool("bpftool")
    _, plain = objects(env)
    daemon = env.daemon()
    out = must(bpftool, "-n", "map", "show", "pinned", daemon.mnt / "app" / "plain")
    check(out.startswith(f"{plain.id}: array"), out)


def test_bpftool_pins_through_source(env):
    bpftool = tool("bpftool")
    _, plain = objects(env)
    daemon = env.daemon()
    must(bpftool, "-n", "map", "pin", "id", plain.id, daemon.tree / "source" / "app" / "again")
    check((env.bpffs / "app" / "again").exists(), "no pin")
    check(" path=" + str(env.bpffs / "app" / "again") in daemon.read(f"{plain.key}/holders"),
          "not shown")


def test_bpftool_cannot_pin_onto_the_mirror(env):
    bpftool = tool("bpftool")
    _, plain = objects(env)
    daemon = env.daemon()
    status, _, err = run(bpftool, "-n", "map", "pin", "id", plain.id, daemon.mnt / "app" / "again")
    check(status != 0, "accepted")
    check(not is_mounted(daemon.mnt / "app"), "mounted over it: " + err)
    check(not (env.bpffs / "app" / "again").exists(), "pinned")


def test_libbpf_reuses_a_map_by_its_pin(env):
    objects(env)
    for number, mode in enumerate(("symlink", "file")):
        daemon = env.daemon("-o", f"pins={mode}")
        path = daemon.mnt / "app" / "typed"
        if mode == "file":
            path = daemon.tree / "source" / "app" / "typed"
        want = must(env.mkobj, "object", env.object_file, "reuse", env.bpffs / "app" / "typed")
        equal(must(env.mkobj, "object", env.object_file, "reuse", path), want, f"{number} {mode}")
        daemon.stop()


def test_libbpf_pins_by_a_path_through_source(env):
    objects(env)
    daemon = env.daemon()
    made = must(env.mkobj, "object", env.object_file, "reuse", daemon.tree / "source" / "fresh").strip()
    equal(os.readlink(daemon.mnt / ".fresh"), f".bpf/{made}")


def test_iterator_pin(env):
    objects(env)
    for mode in ("symlink", "file"):
        daemon = env.daemon("-o", f"pins={mode}")
        out = must(tool("cat"), daemon.mnt / "app" / "maps")
        equal(set(out.splitlines()), {"a map"}, mode)
        daemon.stop()


def test_map_with_btf_reads_as_in_source(env):
    objects(env)
    want = (env.bpffs / "app" / "typed").read_bytes()
    check(b"0: 0" in want, want)
    for mode in ("symlink", "file"):
        daemon = env.daemon("-o", f"pins={mode}")
        equal((daemon.mnt / "app" / "typed").read_bytes(), want, mode)
        equal(must(tool("cat"), daemon.mnt / "app" / "typed").encode(), want, mode)
        fails(errno.EIO, (daemon.mnt / "app" / "plain").read_bytes)
        daemon.stop()


# -------------------------------------------------------------- reading ---


def reading(env):
    """A frozen daemon, the path of a holders file and what is in it."""
    _, plain = objects(env)
    daemon = env.daemon(*FROZEN)
    path = daemon.tree / plain.key / "holders"
    text = path.read_text()
    check(text.count("\n") >= 2, text)
    return daemon, path, text


def test_cat_head_wc(env):
    _, path, text = reading(env)
    equal(must(tool("cat"), path), text, "cat")
    equal(must(tool("head"), "-n1", path), text.splitlines(True)[0], "head")
    equal(must(tool("head"), "-c10", path), text[:10], "head -c")
    equal(must(tool("tail"), "-n1", path), text.splitlines(True)[-1], "tail")
    equal(must(tool("wc"), "-l", path).split()[0], str(text.count("\n")), "wc -l")
    equal(must(tool("wc"), "-c", path).split()[0], str(len(text)), "wc -c")
    equal(must(tool("sort"), path), "".join(sorted(text.splitlines(True))), "sort")


def test_busybox(env):
    busybox = tool("busybox")
    _, path, text = reading(env)
    equal(must(busybox, "cat", path), text, "cat")
    must(busybox, "cp", path, env.tmp / "copy")
    equal((env.tmp / "copy").read_text(), text, "cp")
    equal(must(busybox, "wc", "-c", path).split()[0], str(len(text)), "wc")
    equal(must(busybox, "grep", "-c", ".", path), f"{text.count(chr(10))}\n", "grep")


def test_copies(env):
    _, path, text = reading(env)
    for command in ((tool("cp"), path, env.tmp / "cp"),
                    (tool("dd"), f"if={path}", f"of={env.tmp / 'dd'}", "bs=7"),
                    (tool("rsync"), path, env.tmp / "rsync"),
                    (tool("install"), path, env.tmp / "install")):
        must(*command)
        name = os.path.basename(command[0])
        equal((env.tmp / name).read_text(), text, name)
    shutil.copyfile(path, env.tmp / "python")
    equal((env.tmp / "python").read_text(), text, "shutil")
    must(tool("tar"), "-C", env.tmp, "-cf", env.tmp / "tar", "cp")


def test_filters(env):
    _, path, text = reading(env)
    first = [line.split()[0] for line in text.splitlines()]
    equal(must(tool("awk"), "{ print $1 }", path).split(), first, "awk")
    equal(must(tool("sed"), "s/ .*//", path).split(), first, "sed")
    equal(must(tool("cut"), "-d", " ", "-f1", path).split(), first, "cut")
    equal(must(tool("jq"), "-R", "-r", 'split(" ")[0]', path).split(), first, "jq")
    equal(must(tool("bash"), "-c", f"while read -r key rest; do echo $key; done <{path}").split(),
          first, "read")


def test_grep_and_find_end(env):
    daemon, path, _ = reading(env)
    key = "/".join(path.parts[-3:-1])
    # Processes come and go meanwhile, so some names may not exist any more when grep opens them.
    _, out, err = run(tool("grep"), "-rl", f"^{key} ", daemon.mnt)
    check(all(x.endswith(": No such file or directory") for x in err.splitlines()), err)
    hits = out.splitlines()
    for name in (path, daemon.tree / "holders", daemon.tree / "objects"):
        check(str(name) in hits, f"{name} not among {hits}")
    found = run(tool("find"), daemon.mnt, "-name", "holders")[1].splitlines()
    check(str(path) in found, "find")
    found = must(tool("find"), daemon.mnt / "app").splitlines()
    equal(sorted(found), sorted(str(daemon.mnt / x)
                                for x in ("app", "app/plain", "app/typed", "app/maps")))
    for command in ((tool("find"), "-L", daemon.tree / "map", "-maxdepth", "2"),
                    (tool("du"), "-s", daemon.mnt), (tool("ls"), "-laR", daemon.mnt)):
        _, _, err = run(*command)
        check(all(x.endswith(": No such file or directory") for x in err.splitlines()), err)


def test_diff_against_source(env):
    objects(env)
    os.symlink("app/plain", env.bpffs / "name")
    for mode in ("symlink", "file"):
        daemon = env.daemon("-o", f"pins={mode}")
        if mode == "file":
            # The pin that cannot be read (no BTF) gives EIO on both sides, as it must.
            os.unlink(env.bpffs / "app" / "plain")
            os.unlink(env.bpffs / "name")
        equal(must(tool("diff"), "-r", "-x", ".bpf", "-x", "*.debug", daemon.mnt, env.bpffs), "", mode)
        equal(must(tool("diff"), "-r", daemon.mnt / "app", env.bpffs / "app"), "", mode)
        daemon.stop()


def test_rm_and_cp_of_a_directory_see_just_the_mirror(env):
    objects(env)
    daemon = env.daemon()
    must(tool("cp"), "-a", daemon.mnt / "app", env.tmp / "app")
    equal(sorted(os.listdir(env.tmp / "app")), ["maps", "plain", "typed"])
    must(tool("rm"), "-r", daemon.mnt / "app")
    equal(names(env.bpffs), [])


# -------------------------------------------------------------- writing ---


def writes(env, *commands):
    """Each shell command line must set the mode that it names; {} stands for the control."""
    _, plain = objects(env)
    daemon = env.daemon()
    control = daemon.tree / plain.key / "keep"
    for command, mode in commands:
        must(*(str(word).replace("{}", str(control)) for word in command))
        equal(control.read_text(), mode + "\n", " ".join(map(str, command)))
    equal(daemon.read("errors"), "")


def test_shells_write(env):
    for_each = []
    for shell in ([tool("bash")], [tool("dash")], [tool("busybox"), "sh"]):
        for_each += [(shell + ["-c", "echo fd >{}"], "fd"),
                     (shell + ["-c", "echo off >>{}"], "off"),
                     (shell + ["-c", "printf %s pin >{}"], "pin"),
                     (shell + ["-c", "echo off 1<>{}"], "off")]
    writes(env, *for_each)


def test_tee_and_dd_write(env):
    sh = [tool("sh"), "-c"]
    (env.tmp / "word").write_text("fd\n")
    tool("tee")
    tool("dd")
    writes(env,
           (sh + ["echo fd | tee {} >/dev/null"], "fd"),
           (sh + ["echo off | tee -a {}"], "off"),
           (sh + ["echo pin | dd of={} status=none"], "pin"),
           (sh + ["echo off | dd of={} conv=notrunc status=none"], "off"),
           ([tool("cp"), env.tmp / "word", "{}"], "fd"),
           ([tool("python3"), "-c", "open('{}', 'w').write('off')"], "off"))


def test_a_refusal_reaches_the_shell(env):
    _, plain = objects(env)
    daemon = env.daemon()
    control = daemon.tree / plain.key / "keep"
    status, _, err = run(tool("bash"), "-c", f"echo auto >{control}")
    check(status != 0 and "not supported" in err, f"bash: {status} {err}")
    status, _, _ = run(tool("dash"), "-c", f"echo auto >{control}")
    check(status != 0, "dash")
    check("EOPNOTSUPP" in daemon.read("errors"), "not in errors")
    status, _, err = run(tool("sh"), "-c", f"echo auto | tee {control}")
    check("not supported" in err, f"tee: {err}")


if __name__ == "__main__":
    sys.exit(main(globals()))
