#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that trace functions of the kernel, of its modules and of other programs, before they are
attached and after; and what holds a module's BTF."""
import os
import sys

from harness import ENOTSUPP, Skip, check, equal, eventually, main, stable

# The kernel has the first for tests of this.
FUNCTION, FUNCTION_OF_MODULE = "bpf_fentry_test1", ("veth", "veth_xmit")


def load(helper, *words, **options):
    try:
        return helper.make("prog", *words, **options)
    except OSError as error:
        raise Skip(f"such programs do not load here: {error}") from error


def attach(daemon, helper, prog):
    """Attaches it where it was loaded for: from then on it has one holder more, the link."""
    try:
        link = helper.make("link", "tracing", prog)
    except OSError as error:
        if error.errno == ENOTSUPP:
            raise Skip("trampolines cannot be attached here") from error
        raise
    by_link = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(prog, [prog.held(), by_link])
    daemon.expect(link, [link.held()])
    return link, by_link


def by_prog(btf, prog, via="attach_btf"):
    return f"{btf} prog ref=1 user=0 id={prog.id} name= via={via}"


def remainder(daemon, btf):
    return daemon.pairs(f"{btf}/refs")["unexplained"]


def of_vmlinux(daemon, prog, rest):
    """One line on the kernel's own types says that the program holds them, and the account there has
    no more left than before."""
    def look():
        lines = [x for x in daemon.lines("btf/1/holders")[0] if f" prog ref=1 user=0 id={prog.id} "
                 in x]
        equal(lines, [by_prog("btf/1", prog)])
        equal(remainder(daemon, "btf/1"), rest, "the remainder on the kernel's types")
    eventually(look)


def traced(env, *words, **options):
    """Loaded, attached, held by its link alone, gone."""
    daemon, helper = env.daemon(), env.helper()
    rest = stable(lambda: remainder(daemon, "btf/1"))
    prog = load(helper, *words, **options)
    daemon.expect(prog, [prog.held()])
    of_vmlinux(daemon, prog, rest)
    link, by_link = attach(daemon, helper, prog)
    of_vmlinux(daemon, prog, rest)
    prog.close()
    daemon.expect(prog, [by_link])
    equal(daemon.row(prog.key)["state"], "held")
    link.close()
    daemon.gone(prog)
    eventually(lambda: equal(remainder(daemon, "btf/1"), rest, "after the end"))


def test_fentry(env):
    traced(env, "tracing", attach="trace_fentry", target=FUNCTION)


def test_fexit(env):
    traced(env, "tracing", attach="trace_fexit", target=FUNCTION)


def test_fmod_ret(env):
    traced(env, "tracing", attach="modify_return", target="security_task_setnice")


def test_lsm(env):
    traced(env, "lsm", attach="lsm_mac", target="task_setnice")


def test_tracepoint_with_types(env):
    traced(env, "tracing", attach="trace_raw_tp", target="task_newtask")


def test_fentry_of_a_program(env):
    """Until it is attached the program holds the other, from then on the link does."""
    daemon, helper = env.daemon(), env.helper()
    btf = helper.make("xdp_btf")
    target = helper.make("prog", "xdp", btf=btf)
    for kind in ("trace_fentry", "trace_fexit"):
        prog = load(helper, "tracing", attach=kind, replaces=target)
        held = f"{target.key} prog ref=1 user=0 id={prog.id} name= via=target"
        daemon.expect(target, [target.held(), held])
        link, by_link = attach(daemon, helper, prog)
        held = f"{target.key} link ref=1 user=0 id={link.id} name= via=target"
        daemon.expect(target, [target.held(), held])
        prog.close()
        daemon.expect(prog, [by_link])
        link.close()
        daemon.gone(prog)
        daemon.expect(target, [target.held()])
    prog = load(helper, "tracing", attach="trace_fentry", replaces=target)
    target.close()
    daemon.expect(target, [f"{target.key} prog ref=1 user=0 id={prog.id} name= via=target"])
    prog.close()
    daemon.gone(target)


def test_kprobe_multi(env):
    """Such a link holds the program and no more."""
    daemon, helper = env.daemon(), env.helper()
    prog = load(helper, "kprobe", attach="trace_kprobe_multi")
    try:
        link = helper.make("link", "kprobe_multi", prog, FUNCTION)
    except OSError as error:
        raise Skip(f"no kprobe_multi links (CONFIG_FPROBE, 5.18): {error}") from error
    by_link = f"{prog.key} link ref=1 user=0 id={link.id} name= via=prog"
    daemon.expect(prog, [prog.held(), by_link])
    check("type: kprobe_multi" in daemon.read(f"{link.key}/info"), daemon.read(f"{link.key}/info"))
    prog.close()
    daemon.expect(prog, [by_link])
    link.close()
    daemon.gone(prog)


def module_btf(daemon, name):
    """The BTF of a loaded module."""
    for line in daemon.lines("objects")[0]:
        if line.startswith("btf/") and f" name={name} type=kernel " in line:
            return line.split(" ", 1)[0]
    raise Skip(f"no module {name} with types is loaded")


def test_modules_types(env):
    """A module's types are held by the kernel while it is loaded, and by each program that traces a
    function of it."""
    daemon, helper = env.daemon(), env.helper()
    module, function = FUNCTION_OF_MODULE
    btf = module_btf(daemon, module)
    by_kernel = f"{btf} kernel ref=1 user=0 why=module"
    daemon.expect(btf, [by_kernel])
    progs = [load(helper, "tracing", attach=kind, target=function, module=module)
             for kind in ("trace_fentry", "trace_fexit")]
    daemon.expect(btf, [by_kernel, *(by_prog(btf, prog) for prog in progs)])
    link, by_link = attach(daemon, helper, progs[0])
    daemon.expect(btf, [by_kernel, *(by_prog(btf, prog) for prog in progs)])
    check(f"{btf} prog " in daemon.read(f"{progs[0].key}/holding"), "holding")
    opened = helper.make("open", "btf", btf.split("/")[1])
    daemon.expect(btf, [by_kernel, opened.held(), *(by_prog(btf, prog) for prog in progs)])
    for obj in (opened, *progs):
        obj.close()
    daemon.gone(progs[1])
    daemon.expect(btf, [by_kernel, by_prog(btf, progs[0])])
    daemon.expect(progs[0], [by_link])
    link.close()
    daemon.gone(progs[0])
    daemon.expect(btf, [by_kernel])


def test_kfunc_of_a_module(env):
    """A program that calls a function of a module holds the module's types, once."""
    daemon, helper = env.daemon(), env.helper()
    btf = module_btf(daemon, "nf_conntrack")
    before = daemon.lines(f"{btf}/holders")[0]
    file = os.path.join(os.environ["OBJECT_FILES"], "objects-kfunc.bpf.o")
    try:
        helper.do("load", file, "call_module")
    except OSError as error:
        raise Skip(f"a kfunc of nf_conntrack cannot be called: {error}") from error
    prog = helper.make("take", "call_module")
    helper.do("unload")
    held = f"{btf} prog ref=1 user=0 id={prog.id} name=call_module via=kfunc_btf"
    daemon.expect(btf, [*before, held])
    equal(daemon.pairs(f"{prog.key}/refs")["unexplained"], "0")
    prog.close()
    daemon.gone(prog)
    daemon.expect(btf, before)


if __name__ == "__main__":
    sys.exit(main(globals(), shares_daemon=True))
