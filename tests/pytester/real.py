"""pytest in a process of its own, with real labs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider"]

MIXED = """\
scenario: {name}
tags: [mixed]
settings: {{connectTimeout: 300ms}}
pods:
  shop/web: {{listen: [8080, 9090]}}
  shop/client: {{labels: {{role: client}}}}
  shop/other: {{}}
steps:
  - name: open
    expect: [{{from: client, to: "web:8080", verdict: allow}}]
  - name: closed
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {{name: web, namespace: shop}}
        spec:
          podSelector: {{}}
          ingress: [{{from: [{{podSelector: {{matchLabels: {{role: client}}}}}}], ports: [{{port: 8080}}]}}]
    expect:
      - {{from: client, to: "web:8080", verdict: allow}}
      - {{from: other, to: "web:8080", verdict: allow}}
      - {{from: other, to: "web:9090", verdict: deny}}
      - {{from: client, to: "web:7070", verdict: deny}}
"""
"""Three cells pass, one fails, one cannot be measured since nobody listens there."""


def environment() -> dict[str, str]:
    """Without what would change pytest's lines."""
    gone = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "PYTEST_ADDOPTS")
    kept = {key: value for key, value in os.environ.items() if key not in gone}
    kept = {key: value for key, value in kept.items() if not key.startswith(("PYTEST_XDIST", "NETCHECK_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "150"}


def run(folder: Path, *args: str, code: int) -> str:
    """What a run prints; it must end with `code`."""
    done = subprocess.run(
        [*COMMAND, *args],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=300,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr, (done.stdout, done.stderr)
    return done.stdout
