#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prometheus and node_exporter on a mount: `make check-prometheus`, which downloads Debian's packages
and sets PROMETHEUS to the directory in which they are unpacked."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

from harness import check, equal, eventually, main, must, tool

PACKAGING = pathlib.Path(__file__).resolve().parents[3] / "docs/packaging"
RULES = PACKAGING / "bpfrefs.rules.yml"
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
"""


def program(name):
    path = pathlib.Path(os.environ.get("PROMETHEUS", "/nonexistent")) / "usr/bin" / name
    return str(path) if path.exists() else tool(name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path, **query):
    """The answer of a server on this machine; AssertionError while there is none."""
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError) as error:
        raise AssertionError(f"{url}: {error}") from error


def start(env, *command):
    log = env.tmp / (pathlib.Path(command[0]).name + ".log")
    with open(log, "wb") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)

    def end():
        process.terminate()
        process.wait(20)
    env.cleanup(end)
    return log


def exporter(env, daemon):
    """node_exporter, with its textfile collector alone. Its port."""
    port = free_port()
    log = start(env, program("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile",
                f"--collector.textfile.directory={daemon.tree / 'metrics'}",
                f"--web.listen-address=127.0.0.1:{port}")
    eventually(lambda: check("bpfrefs_build_info" in get(port, "/metrics"), log.read_text()), 30)
    return port


def prometheus(env, target):
    """Prometheus, which scrapes @target. The rules wait for a second instead of for minutes: promtool
    judges how long (bpfrefs.rules.test.yml). Its port."""
    rules, config, port = env.tmp / "rules.yml", env.tmp / "prometheus.yml", free_port()
    rules.write_text(re.sub(r"(?m)^( +for:) \S+$", r"\1 1s", RULES.read_text()))
    config.write_text(CONFIG.format(rules=rules, port=target))
    log = start(env, program("prometheus"), f"--config.file={config}",
                f"--storage.tsdb.path={env.tmp / 'data'}", f"--web.listen-address=127.0.0.1:{port}")
    eventually(lambda: check("Ready" in get(port, "/-/ready"), log.read_text()), 60)
    return port


def firing(port):
    """The alerts that fire, by their names."""
    alerts = json.loads(get(port, "/api/v1/alerts"))["data"]["alerts"]
    return {x["labels"]["alertname"]: x for x in alerts if x["state"] == "firing"}


def expressions():
    """What the dashboard and the rules ask for."""
    found = re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', (PACKAGING / "bpfrefs.dashboard.json").read_text())
    return [json.loads(f'"{x}"').replace("$instance", ".*") for x in found]


def test_metrics(env):
    daemon = env.daemon()
    with open(daemon.tree / "metrics/bpfrefs.prom", "rb") as metrics:
        done = subprocess.run([program("promtool"), "check", "metrics"], stdin=metrics, check=False,
                              capture_output=True, text=True)
    equal((done.returncode, done.stdout + done.stderr), (0, ""))


def test_rules(_):
    must(program("promtool"), "check", "rules", RULES)
    must(program("promtool"), "test", "rules", PACKAGING / "bpfrefs.rules.test.yml")
    rules = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (PACKAGING / "bpfrefs.rules.test.yml").read_text()))
    equal(tested, rules, "the rules that promtool tests")


def test_rules_can_fail(env):
    """Another threshold is found by the tests of the rules."""
    for name in ("bpfrefs.rules.yml", "bpfrefs.rules.test.yml"):
        text = (PACKAGING / name).read_text()
        (env.tmp / name).write_text(text.replace('state="cleared"}) > 0', 'state="cleared"}) > 2'))
    try:
        must(program("promtool"), "test", "rules", env.tmp / "bpfrefs.rules.test.yml")
    except AssertionError:
        return
    raise AssertionError("promtool takes rules that never fire")


def test_alerts(env):
    """A program array is put at risk, and then cleared: the alerts fire, and name this in their words."""
    daemon = env.daemon()
    port = exporter(env, daemon)
    check("node_textfile_scrape_error 0" in get(port, "/metrics"), get(port, "/metrics"))
    server = prometheus(env, port)
    helper = env.helper()
    array = helper.make("map", "prog_array", name="jump")
    user = helper.make("prog", "socket_filter", maps=array)
    helper.do("pin", user.var, env.bpffs / "user")
    equal(daemon.row(array.key)["state"], "at-risk")
    alert = eventually(lambda: firing(server).get("BPFProgramArrayAtRisk") or check(False, "not at risk"), 60)
    equal(alert["labels"]["severity"], "warning")
    helper.end()
    alert = eventually(lambda: firing(server).get("BPFProgramArrayCleared") or check(False, "not cleared"), 60)
    equal(alert["labels"]["instance"], f"127.0.0.1:{port}")
    check("Look at .bpf/at-risk" in alert["annotations"]["description"], str(alert))
    check("BPFrefsNotMounted" not in firing(server), str(firing(server)))
    dashboard(server)
    daemon.stop()
    eventually(lambda: check("BPFrefsNotMounted" in firing(server), "no metrics"), 60)


def dashboard(server):
    """Each panel has an answer."""
    for expression in expressions():
        answer = json.loads(get(server, "/api/v1/query", query=expression))
        equal(answer["status"], "success", expression)
        check(answer["data"]["result"], f"nothing for {expression}")


if __name__ == "__main__":
    sys.exit(main(globals()))
