"""The API server restarts in mid-run; only on clusters that nobody else uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from harness.engine.cluster import ClusterError
from tests.cluster.test_ends import PHASES, unchanged
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

OWN = "NETCHECK_TEST_OWN"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"


@pytest.fixture
def control_plane(kinds: dict[str, str]) -> tuple[str, str]:
    """Context and control-plane container of a kind cluster that this test may disturb."""
    for context in os.environ.get(OWN, "").split(","):
        if context in kinds and context.startswith("kind-") and shutil.which("docker"):
            return context, f"{context.removeprefix('kind-')}-control-plane"
    pytest.skip(f"no kind cluster is named that a test may disturb: {OWN}=kind-NAME")


def _kill_api_server(container: str) -> None:
    subprocess.run(["docker", "exec", container, "pkill", "-KILL", "kube-apiserver"], check=True, timeout=60)


def _take_away(container: str, seconds: float) -> None:
    """No API server for a while: the kubelet ends it with its manifest, and starts it with it again."""
    subprocess.run(["docker", "exec", container, "mv", MANIFEST, "/root/"], check=True, timeout=60)
    try:
        time.sleep(seconds)
    finally:
        back = f"/root/{Path(MANIFEST).name}"
        subprocess.run(["docker", "exec", container, "mv", back, MANIFEST], check=True, timeout=60)


def _await(api: Api) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            api.get("/api/v1/namespaces")
            return
        except ClusterError:
            time.sleep(1)
    raise AssertionError("the API server never came back")


@pytest.mark.parametrize("how", ["killed", "away"])
@pytest.mark.parametrize("phase", ["build", "apply", "close"])
def test_an_api_server_that_restarts(
    phase: str,
    how: str,
    control_plane: tuple[str, str],
    kinds: dict[str, str],
    api: Callable[[str], Api],
    write: Callable[..., Path],
    start: Callable[..., Any],
) -> None:
    """The run goes on, or its cells are errors; nothing wrong is said and nothing stays behind."""
    context, container = control_plane
    server = api(context)
    _await(server)
    with unchanged(server):
        with start("run", "-v", write(SHOP), context=context) as process:
            process.await_line(PHASES[phase])
            if how == "killed":
                _kill_api_server(container)
            else:
                _take_away(container, 20.0)
            ran = process.wait(600)
        _await(server)
    right = ["passed", *["passed" if kinds[context] != "basic" else "failed"] * 2]
    for status, expected in zip(ran.statuses(), right, strict=False):
        assert status in (expected, "error"), str(ran)
    assert ran.code in (0, 1, 6), str(ran)
    assert ran.report["left_behind"] == [], str(ran)
