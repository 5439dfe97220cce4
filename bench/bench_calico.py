"""`make bench`: 500 of Calico's policies in 10 tiers over 300 pods, compiled and loaded by the lab.

`compile` is from policies to neutral rules, `write` from those to nft's text for every node, `nft` until the
kernel has it; `apply` is all of it as a run sees it, and `cpu` its time on processors, nft's included, which
a busy machine lengthens less. `relabel` is the same once more after a label has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from harness.clusters.lab import enforce
from harness.clusters.lab.cluster import LabCluster
from harness.clusters.lab.link import Line
from harness.dialects.registry import compile_all, parse_manifest
from harness.model.policy import Policy
from harness.model.scenario import Scenario
from harness.model.topology import METADATA_NAME, Listener, Namespace, Pod, Protocol, Topology
from harness.source import Place
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

PODS, POLICIES, TIERS = 300, 500, 10
NAMESPACES, APPS, ZONES = 20, 5, 4
PORTS = (80, 443, 5432, 6379, 8080, 8443, 9090, 9100)
API = "projectcalico.org/v3"


def topology(pods: int) -> Topology:
    """Pods on three nodes, in 20 namespaces with five apps each; every pod has a label of its own."""
    namespaces = {
        f"team-{number}": Namespace(
            f"team-{number}", {METADATA_NAME: f"team-{number}", "zone": f"zone-{number % ZONES}"}
        )
        for number in range(NAMESPACES)
    }
    listeners = (Listener(8080, Protocol.TCP, "http"), Listener(9090, Protocol.TCP, "metrics"))
    found = {}
    for number in range(pods):
        namespace, turn = f"team-{number % NAMESPACES}", number // NAMESPACES
        labels = {"app": f"app-{turn % APPS}", "instance": str(number), "tier": f"tier-{turn % 2}"}
        pod = Pod(namespace, f"pod-{number}", labels, listeners=listeners, node="abc"[number % 3])
        found[pod.id] = pod
    return Topology(namespaces, found)


def tier(number: int) -> dict[str, Any]:
    """Tiers are for something: what nothing in them decides is the next one's."""
    name = "default" if number == TIERS - 1 else f"tier-{number}"
    spec: dict[str, Any] = {"order": 100 * number, "defaultAction": "Pass"}
    if name == "default":
        spec = {"order": 1_000_000}
    return {
        "apiVersion": API,
        "kind": "Tier",
        "metadata": {"name": name},
        "spec": spec,
    }


def policy(number: int, dice: random.Random) -> dict[str, Any]:
    """Every fifth is one of the whole cluster, the others are of some namespace."""
    home = f"tier-{number % TIERS}" if number % TIERS != TIERS - 1 else "default"
    last = home == "default"

    def app() -> str:
        return f"app == 'app-{dice.randrange(APPS)}'"

    def rule(side: str, action: str) -> dict[str, Any]:
        ports: list[Any] = [dice.choice(PORTS), "http"] if dice.random() < 0.3 else dice.sample(PORTS, 2)
        peer = {
            "selector": f"{app()} && tier in {{'tier-0', 'tier-1'}}",
            "namespaceSelector": f"zone == 'zone-{dice.randrange(ZONES)}'",
        }
        ends: dict[str, dict[str, Any]] = {side: peer}
        ends.setdefault("destination", {})["ports"] = ports
        return {"action": action, "protocol": "TCP", **ends}

    actions = ("Allow", "Deny", "Allow" if last else "Pass")
    spec: dict[str, Any] = {
        "tier": home,
        "order": number,
        "types": ["Ingress", "Egress"],
        "ingress": [rule("source", action) for action in actions],
        "egress": [
            rule("destination", dice.choice(actions)),
            {"action": "Allow", "destination": {"nets": [f"10.{number % 250}.0.0/16"]}},
        ],
    }
    name = f"{home}.p{number}"
    if number % 5 == 0:
        spec["selector"] = f"{app()} && !has(exempt)"
        spec["namespaceSelector"] = f"zone == 'zone-{dice.randrange(ZONES)}'"
        return {"apiVersion": API, "kind": "GlobalNetworkPolicy", "metadata": {"name": name}, "spec": spec}
    spec["selector"] = app()
    metadata = {"name": name, "namespace": f"team-{dice.randrange(NAMESPACES)}"}
    return {"apiVersion": API, "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def objects(count: int) -> list[Policy]:
    dice = random.Random(5)
    manifests = [tier(number) for number in range(TIERS)] + [policy(number, dice) for number in range(count)]
    found = []
    for manifest in manifests:
        problems = Problems()
        (document,) = read_text(json.dumps(manifest), "bench.yaml", problems)
        assert isinstance(document.root, MappingNode)
        parsed = parse_manifest(document.root, "default", problems)
        assert parsed is not None, problems.found
        assert problems.errors == 0, problems.found
        found.append(parsed)
    return found


def processors(pid: int) -> float:
    """Seconds on processors of a process, and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(item) for item in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def measure(pods: int, count: int) -> dict[str, Any]:
    began = time.perf_counter()
    policies = objects(count)
    read = time.perf_counter() - began
    world = topology(pods)
    began = time.perf_counter()
    stages = compile_all(policies, world)
    compiled = time.perf_counter() - began
    spent = {"write": 0.0, "nft": 0.0, "kb": 0.0}
    plain_node, plain_ask = enforce.compile_node, Line.ask

    def compile_node(*arguments: Any) -> enforce.Compiled:
        began = time.perf_counter()
        made = plain_node(*arguments)
        spent["write"] += time.perf_counter() - began
        spent["kb"] += len(made.script) / 1024
        return made

    def ask(line: Line, message: Any) -> Any:
        began = time.perf_counter()
        answer = plain_ask(line, message)
        if message["op"] == "nft":
            spent["nft"] += time.perf_counter() - began
        return answer

    cluster = LabCluster()
    built = cluster.open(Scenario("bench", Place("bench.yaml", 1, 1), world, ()), "bench", print)
    patches = (
        mock.patch.object(enforce, "compile_node", compile_node),
        mock.patch.object(Line, "ask", ask),
    )
    for patch in patches:
        patch.start()
    try:
        before = time.process_time() + processors(built.pid)
        began = time.perf_counter()
        built.apply(policies)
        apply = time.perf_counter() - began
        cpu = time.process_time() + processors(built.pid) - before
        first = dict(spent)
        pod = next(iter(world.pods.values()))
        changed = replace(pod, labels={**pod.labels, "exempt": "yes"})
        began = time.perf_counter()
        built.reshape(replace(world, pods={**world.pods, pod.id: changed}))
        relabel = time.perf_counter() - began
    finally:
        for patch in patches:
            patch.stop()
        built.close()
        cluster.close()
    rules = sum(len(block.rules) for stage in stages for block in stage.blocks)
    return {
        "pods": pods,
        "policies": count,
        "rules": rules,
        "read": read,
        "compile": compiled,
        **first,
        "apply": apply,
        "cpu": cpu,
        "relabel": relabel,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    found = []
    print("\nCalico's policies in 10 tiers, seconds")
    print("pods   policies   rules    read   compile   write     nft   apply     cpu   relabel      kB")
    for pods, count in ((100, 100), (PODS, POLICIES)):
        row = measure(pods, count)
        found.append(row)
        print(
            f"{row['pods']:4} {row['policies']:10} {row['rules']:7} {row['read']:7.2f} {row['compile']:9.2f}"
            f" {row['write']:7.2f} {row['nft']:7.2f} {row['apply']:7.2f} {row['cpu']:7.2f}"
            f" {row['relabel']:9.2f} {row['kb']:7.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"sizes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
