"""`make bench`: sweeps, builds, memory and start-up of the lab, against raw sockets in the same run.

Figures in seconds differ from machine to machine; the ratios to the floor should not.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.clusters.lab.cluster import LabCluster
from harness.clusters.lab.world import CONNECT_TIMEOUT
from harness.model.outcome import OutcomeKind
from harness.scenario import load

ROOT = Path(__file__).resolve().parents[1]

SCENARIO = """
scenario: bench-{pods}
namespaces: {{bench: {{}}}}
pods:
  bench/pod: {{labels: {{app: pod}}, replicas: {pods}, listen: [8080, 8081]}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {{name: only-8080, namespace: bench}}
    spec:
      podSelector: {{}}
      ingress: [{{from: [{{podSelector: {{}}}}], ports: [{{port: 8080}}]}}]
expect:
  - {{all: allow, ports: [8080]}}
  - {{all: drop, ports: [8081]}}
"""


def floor(count: int) -> float:
    """Seconds for `count` raw connects; the better of two runs."""
    runs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / "floor.py"), str(count)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        runs.append(float(json.loads(done.stdout)["seconds"]))
    return min(runs)


def resident(pids: list[int]) -> float:
    """Memory of processes in MB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def children(pid: int) -> list[int]:
    return [int(item) for item in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def measure(pods: int, folder: Path) -> dict[str, Any]:
    file = folder / f"bench-{pods}.yaml"
    file.write_text(SCENARIO.format(pods=pods))
    began = time.perf_counter()
    (scenario,) = load([file]).scenarios
    read = time.perf_counter() - began
    (step,) = scenario.steps
    probes = [cell.probe for cell in step.cells]
    gc.collect()
    cluster = LabCluster()
    began = time.perf_counter()
    world = cluster.open(scenario, "bench", print)
    build = time.perf_counter() - began
    began = time.perf_counter()
    control = world.sweep(probes, CONNECT_TIMEOUT)
    control_seconds = time.perf_counter() - began
    assert all(item.outcome.token for item in control)
    world.apply(step.policies)
    began = time.perf_counter()
    seen = world.sweep(probes, CONNECT_TIMEOUT)
    sweep = time.perf_counter() - began
    denied = sum(item.outcome.kind is OutcomeKind.TIMEOUT for item in seen)
    assert denied == len(probes) // 2, denied
    memory = resident([world.pid, *children(world.pid)])
    began = time.perf_counter()
    world.close()
    cluster.close()
    close = time.perf_counter() - began
    return {
        "pods": pods,
        "probes": len(probes),
        "denied": denied,
        "read": read,
        "build": build,
        "control": control_seconds,
        "sweep": sweep,
        "close": close,
        "lab_mb": memory,
        "master_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def command(*arguments: str) -> float:
    """Seconds of a whole netcheck process; the best of three."""
    runs = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).parent / "netcheck"), *arguments], capture_output=True, check=True
        )
        runs.append(time.perf_counter() - began)
    return min(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, nargs="*", default=[9, 100, 300])
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    figures: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, "sizes": []}
    print(f"connect timeout {CONNECT_TIMEOUT} s; a denied probe has two attempts within it\n")
    print(
        "pods   probes   build   control     sweep   probes/s   floor   floor+timeout   ratio   close"
        "   lab MB   master MB"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pods in options.pods:
            row = measure(pods, folder)
            row["floor"] = floor(row["probes"])
            row["ratio"] = row["sweep"] / (row["floor"] + CONNECT_TIMEOUT)
            figures["sizes"].append(row)
            print(
                f"{pods:4} {row['probes']:8} {row['build']:7.2f} {row['control']:9.2f} {row['sweep']:9.2f}"
                f" {row['probes'] / row['sweep']:10.0f} {row['floor']:7.2f}"
                f" {row['floor'] + CONNECT_TIMEOUT:15.2f} {row['ratio']:7.2f} {row['close']:7.2f}"
                f" {row['lab_mb']:8.0f} {row['master_mb']:11.0f}",
                flush=True,
            )
        small = folder / "whole.yaml"
        # All pairs and each pod to itself, which nothing can deny: 162 cells.
        selves = "".join(
            f'  - {{from: bench/pod-{n}, to: ["bench/pod-{n}:8080", "bench/pod-{n}:8081"], verdict: allow}}\n'
            for n in range(9)
        )
        small.write_text(SCENARIO.format(pods=9) + selves)
        figures["help"] = command("--help")
        figures["whole_9_pods"] = command("run", str(small), "-q")
    print(f"\nnetcheck --help                       {figures['help']:.2f} s")
    print(f"netcheck run, 9 pods, 162 cells       {figures['whole_9_pods']:.2f} s")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
