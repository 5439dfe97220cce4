"""`make bench`: 100 scenarios through pytest against the same through `netcheck run`, and collecting them.

The ratio is what counts: both run on the same machine, one after the other, the better of several each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = 100
MOST = 1.3
"""How many times the command line's time pytest may take."""
COLLECT = 1.0
"""Seconds that `pytest --collect-only` may take."""

TEXT = """\
scenario: bench-{number:03}
tags: [bench]
pods:
  shop/web: {{labels: {{app: web}}, listen: [8080, 9090]}}
  shop/client: {{labels: {{role: client}}}}
  shop/other: {{}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {{name: web, namespace: shop}}
    spec:
      podSelector: {{matchLabels: {{app: web}}}}
      ingress: [{{from: [{{podSelector: {{matchLabels: {{role: client}}}}}}], ports: [{{port: 8080}}]}}]
expect:
  - {{from: client, to: "web:8080", verdict: allow}}
  - {{from: other, to: ["web:8080", "web:9090"], verdict: deny}}
  - {{from: client, to: "web:9090", verdict: deny}}
"""

ALONE = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without what other plugins of the environment cost."""


def seconds(words: list[str], folder: Path) -> float:
    """How long a command takes that must succeed."""
    # Where bytecode is not kept, each run of pytest would rewrite the modules of the package anew.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("NETCHECK_") and key != "PYTHONDONTWRITEBYTECODE"
    }
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=folder,
        env={**environment, **ALONE},
        capture_output=True,
        text=True,
        check=False,
    )
    taken = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return taken


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    pytest = ["pytest", "-q", "-p", "no:cacheprovider", "-p", "netcheck"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scenarios").mkdir()
        for number in range(SCENARIOS):
            (folder / "scenarios" / f"bench{number:03}.yaml").write_text(TEXT.format(number=number))
        runs: dict[str, list[float]] = {"cli": [], "pytest": [], "collect": []}
        for _ in range(options.rounds):
            runs["cli"].append(seconds(["harness", "run", "-q", "scenarios"], folder))
            runs["pytest"].append(seconds([*pytest, "scenarios"], folder))
            runs["collect"].append(seconds([*pytest, "--collect-only", "scenarios"], folder))
    best = {name: min(times) for name, times in runs.items()}
    ratio = best["pytest"] / best["cli"]
    if options.json:
        print(json.dumps({**best, "ratio": ratio}))
    else:
        print(
            f"{SCENARIOS} scenarios: netcheck run {best['cli']:.1f} s, pytest {best['pytest']:.1f} s, "
            f"ratio {ratio:.2f} (at most {MOST}); pytest --collect-only {best['collect']:.2f} s "
            f"(at most {COLLECT:.0f} s on an idle machine)"
        )
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
