#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon as docs/packaging/kubernetes.yaml runs it: with its namespaces, volumes, propagation of
mounts, read-only root, probes and memory limit; and as kubernetes-narrow.yaml does, with its
capabilities. The node is the mount namespace of the test. The image is made of this machine's /usr and
this build, or IMAGE is its root: `make check-container` builds that from docs/packaging/Containerfile."""
import os
import pathlib
import signal
import subprocess
import sys
import time

from harness import MNT_DETACH, PATIENCE, Skip, check, equal, eventually, is_mounted, main, mount, tool, umount

PACKAGING = pathlib.Path(__file__).resolve().parents[3] / "docs/packaging"
IMAGE = os.environ.get("IMAGE")
NODE, MS_SHARED = "/run/bpfrefs/mnt", 1 << 20
PROPAGATION = {"Bidirectional": "rshared", "HostToContainer": "rslave", None: "rprivate"}
# As a runtime does it: the volumes that are shared stay peers of the node's mounts.
RUN = """
{image}
mount -t proc proc proc
mount -t sysfs sys sys
mount --rbind /dev dev
{volumes}
mount -o remount,bind,ro .
pivot_root . mnt
umount -l mnt
"""
FROM_HERE = """
mount -t tmpfs image "$root"
cd "$root"
for name in bin sbin lib lib32 lib64 usr etc; do
	if [ -L /$name ]; then cp -P /$name $name; elif [ -d /$name ]; then mkdir $name; mount --rbind /$name $name; fi
done
mkdir -p proc sys dev run tmp mnt ".$build"
mount --bind "$build" ".$build"
export PATH="$programs:/usr/sbin:/usr/bin:/sbin:/bin"
"""
# As a runtime does it: a layer for what is written, here the places to mount on.
FROM_IMAGE = """
mount -t tmpfs layer "$root"
mkdir "$root/upper" "$root/work" "$root/merged"
mount -t overlay -o "lowerdir=$IMAGE,upperdir=$root/upper,workdir=$root/work" image "$root/merged"
cd "$root/merged"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset LD_LIBRARY_PATH
"""


def manifest(name="kubernetes"):
    try:
        import yaml  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip("python3-yaml is not installed") from error
    return yaml.safe_load((PACKAGING / f"{name}.yaml").read_text())["spec"]["template"]["spec"]


def volumes(pod):
    """The commands that mount the volumes of the one container."""
    host = {volume["name"]: volume.get("hostPath") for volume in pod["volumes"]}
    for volume in pod["containers"][0]["volumeMounts"]:
        target = "." + volume["mountPath"]
        if not host[volume["name"]]:
            yield f"mkdir -p {target}; mount -t tmpfs empty {target}"
            continue
        path = host[volume["name"]]["path"]
        if host[volume["name"]]["type"] == "DirectoryOrCreate":
            os.makedirs(path, exist_ok=True)
        yield f"mkdir -p {target}; mount --rbind {path} {target}"
        yield f"mount --make-{PROPAGATION[volume.get('mountPropagation')]} {target}"
        if volume.get("readOnly"):
            yield f"mount -o remount,bind,ro {target}"


def memory_cgroup(env, limit):
    """A cgroup with the limit, or None where this machine has none to give."""
    group = pathlib.Path(f"/sys/fs/cgroup/memory/bpfrefs-test-{os.getpid()}")
    file = "memory.limit_in_bytes"
    if not group.parent.is_dir():
        group, file = env.cgroup(), "memory.max"
        if not (group / file).exists():
            return None
    else:
        group.mkdir()
        env.cleanup(group.rmdir)
    (group / file).write_text(str(limit))
    return group


def privileges(container):
    """The command that leaves what the runtime gives a container of these capabilities."""
    context = container["securityContext"]
    if context.get("privileged"):
        return []
    equal(context["capabilities"]["drop"], ["ALL"])
    names = "".join(f",+{name.lower()}" for name in context["capabilities"]["add"])
    return [tool("setpriv"), f"--bounding-set=-all{names}", "--inh-caps=-all"]


class Container:
    def __init__(self, env, pod, group=None):
        self.spec = pod["containers"][0]
        root = env.tmp / "image"
        root.mkdir(exist_ok=True)
        build = pathlib.Path(env.bpfrefs).parents[1]
        script = "set -eu\n" + RUN.format(image=FROM_IMAGE if IMAGE else FROM_HERE, volumes="\n".join(volumes(pod))) + 'exec "$@"\n'
        if group:
            script = f"echo $$ >{group}/cgroup.procs\n" + script
        environ = dict(os.environ, root=str(root), build=str(build), programs=os.path.dirname(env.bpfrefs))
        environ.pop("G_DEBUG", None)
        self.log = env.tmp / "container.log"
        # hostPID: no pid namespace
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, "sh",
                 *privileges(self.spec), *self.spec["command"]], env=environ, stdout=log, stderr=log)
        env.cleanup(self.end)

    def probe(self, name):
        """Whether a probe succeeds, as the kubelet runs it: in the container, within its timeout."""
        probe = self.spec[name]
        command = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", "--wd=/",
                   "timeout", "--signal=KILL", str(probe["timeoutSeconds"]), *probe["exec"]["command"]]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)


def node(env):
    """A node: what it shares with containers is in mounts that are shared."""
    for place, kind in (("/sys/fs/bpf", "bpf"), ("/run", "tmpfs")):
        mount(kind, place, kind)
        env.cleanup(umount, place, MNT_DETACH)
        mount("none", place, None, MS_SHARED)


def clear():
    while is_mounted(NODE):
        umount(NODE, MNT_DETACH)


def megabytes(text):
    check(text.endswith("Mi"), text)
    return int(text[:-2]) << 20


def test_node_sees_the_mount(env):
    pod = manifest()
    equal((pod["hostPID"], pod["containers"][0]["securityContext"]["privileged"]), (True, True))
    node(env)
    env.cleanup(clear)
    group = memory_cgroup(env, megabytes(pod["containers"][0]["resources"]["limits"]["memory"]))
    container = Container(env, pod, group)
    status = pathlib.Path(NODE, ".bpf/status")

    def up():
        check(container.process.poll() is None, container.log.read_text())
        check("source: bpf" in status.read_text(), "no answer")
    eventually(up, 4 * PATIENCE)
    check(container.probe("livenessProbe") and container.probe("readinessProbe"), "probes of a good mount")
    helper = env.helper()
    array = helper.make("map", "array", name="of_the_node")
    helper.do("pin", array.var, "/sys/fs/bpf/array")
    time.sleep(1.1)  # max_age
    held = pathlib.Path(NODE, ".bpf", array.key, "holders").read_text()
    check(f" pid={helper.pid} comm=mkobj " in held, held)
    check(" path=/sys/fs/bpf/array " in held, held)
    check("bpfrefs_build_info" in pathlib.Path(NODE, ".bpf/metrics/bpfrefs.prom").read_text(), "metrics")
    readers = [subprocess.Popen(["cat", f"{NODE}/.bpf/json"], stdout=subprocess.DEVNULL) for _ in range(32)]
    equal([reader.wait(60) for reader in readers], [0] * 32, "readers within the memory limit")
    container.end()
    check(not is_mounted(NODE), "the node still has the mount of a container that has ended")


def test_narrow(env):
    """With its capabilities alone it reads all classes; the mount is its own."""
    pod = manifest("kubernetes-narrow")
    check("mountPropagation: Bidirectional" not in (PACKAGING / "kubernetes-narrow.yaml").read_text(), "propagation")
    node(env)
    container = Container(env, pod)
    eventually(lambda: check(container.probe("readinessProbe"), container.log.read_text()), 4 * PATIENCE)
    check(container.probe("livenessProbe"), "liveness")
    helper = env.helper()
    array = helper.make("map", "array", name="of_the_node")
    helper.do("pin", array.var, "/sys/fs/bpf/array")
    time.sleep(1.1)  # max_age
    check(not is_mounted(NODE), "the node sees the mount")
    tree = pathlib.Path(f"/proc/{container.process.pid}/root{NODE}/.bpf")
    status = (tree / "status").read_text()
    classes = [line for line in status.splitlines() if line.startswith("class ")]
    check(classes and all(line.endswith(" BPF walk: complete") for line in classes), status)
    given = {f"cap_{name.lower()}" for name in pod["containers"][0]["securityContext"]["capabilities"]["add"]}
    kept = set(status.split("\ncapabilities: ")[1].split("\n")[0].split(","))
    check(kept and kept <= given, f"{kept} of {given}")
    held = (tree / array.key / "holders").read_text()
    check(f" pid={helper.pid} comm=mkobj " in held and " path=/sys/fs/bpf/array " in held, held)
    container.end()


def test_dead_and_hanging(env):
    """The liveness probe fails, and the next container replaces what the dead one left on the node."""
    pod = manifest()
    node(env)
    env.cleanup(clear)
    container = Container(env, pod)
    eventually(lambda: check(container.probe("readinessProbe"), container.log.read_text()), 4 * PATIENCE)
    container.process.send_signal(signal.SIGSTOP)
    time.sleep(1.1)  # the attributes of the root are believed as long as max_age
    check(not container.probe("livenessProbe"), "a daemon that hangs is alive")
    container.process.send_signal(signal.SIGCONT)
    eventually(lambda: check(container.probe("livenessProbe"), "not alive again"))
    container.end(signal.SIGKILL)
    check(is_mounted(NODE), "nothing is left of a daemon that was killed")
    again = Container(env, pod)
    eventually(lambda: check(again.probe("readinessProbe"), again.log.read_text()), 4 * PATIENCE)
    pathlib.Path(NODE, ".bpf/objects").read_text()
    again.end()


if __name__ == "__main__":
    sys.exit(main(globals()))
