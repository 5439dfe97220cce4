"""Clusters that refuse pods, kill them, or lose a node: errors with the reason, never a denial."""

from __future__ import annotations

import contextlib
import gc
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.template import PodTemplate
from harness.clusters.kube.world import KubeWorld
from harness.model.verdict import Status
from tests.cluster.clusters import probe_image
from tests.cluster.test_broken_pods import FOUR, _cells, _measure

pytestmark = [
    pytest.mark.cluster,
    # The client's connection pools belong to threads and are closed when these are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "2"}}}
RANGE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "spec": {"limits": [{"type": "Container", "min": {"memory": "64Mi"}}]},
}
FILL = ["sh", "-c", "cat /dev/zero >> /dev/shm/full"]
"""Takes memory that no process owns: the kernel kills the largest, the agent, and gets none back."""

SLOW = FOUR.replace("expect:\n", "settings: {connectTimeout: 10s}\nexpect:\n")
"""Probes that are denied wait so long that an agent is killed under them for sure."""

READY = 180.0


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (QUOTA, ("was refused by ResourceQuota theirs", "exceeded quota", "raise the quota")),
        (RANGE, ("was refused by a LimitRange", "minimum memory usage", "--pod-template")),
    ],
    ids=["quota", "range"],
)
def test_what_a_tenant_may_not_have_is_one_error(
    manifest: Mapping[str, Any],
    words: tuple[str, ...],
    any_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    ns: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on clusters that put limits into every new namespace."""
    server = api(any_context)
    create = server.create

    def with_limits(made: Mapping[str, Any]) -> dict[str, Any]:
        found = create(made)
        if made["kind"] == "Namespace" and made["metadata"]["name"] == ns:
            create({**manifest, "metadata": {"name": "theirs", "namespace": ns}})
            _await(lambda: manifest is not QUOTA or _counted(server, ns), "the quota was never counted")
        return found

    monkeypatch.setattr(server, "create", with_limits)
    result = _measure(write(FOUR), server, any_context)
    (scenario,) = result.scenarios
    assert not scenario.steps
    for text in words:
        assert text in scenario.error, scenario.error


def _counted(api: Api, namespace: str) -> bool:
    found = api.get(f"/api/v1/namespaces/{namespace}/resourcequotas/theirs")
    return bool(found.get("status", {}).get("used"))


def _await(done: Callable[[], bool], complaint: str, seconds: float = READY) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.5)


def test_an_agent_that_runs_out_of_memory_is_an_error_that_says_so(
    any_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    """Killed once it may come again, and its probes are sent again; this one is killed whenever it comes."""
    server = api(any_context)
    limits = {"memory": "48Mi"}
    template = PodTemplate(resources={"requests": limits, "limits": limits})
    enough = threading.Event()

    def fill() -> None:
        while not enough.wait(0.3):
            # The container is not there, or on its way.
            with (
                contextlib.suppress(ApiError),
                contextlib.closing(server.exec(ns, "one", "netcheck", FILL)) as stream,
            ):
                while stream.is_open() and not enough.is_set():
                    stream.update(timeout=0.5)

    with ThreadPoolExecutor(1) as beside:
        try:
            options = PodOptions(image=probe_image(any_context), template=template)
            result = _measure(
                write(SLOW),
                server,
                any_context,
                tamper=lambda world: void(beside.submit(fill)),
                options=options,
            )
        finally:
            enough.set()
    gc.collect()  # connections of the streams that broke, while their warnings are expected
    cells = _cells(result)
    assert cells
    for name, cell in cells.items():
        if name.startswith(f"{ns}/one"):
            assert cell.status is Status.ERROR, (name, cell)
            # Of the container, or of the sending process alone, of which the API server knows nothing.
            assert "OOMKilled" in cell.reason or "for want of memory" in cell.reason, cell.reason
        else:
            assert cell.status in (Status.PASSED, Status.FAILED), (name, cell)


def void(_: object) -> None:
    """Nothing comes of it."""


# -- a node that is lost -----------------------------------------------------------------------------------


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.fixture
def worker(enforcing_context: str, api: Callable[[str], Api]) -> str:
    """A node without the control plane, which is a container of this machine; it and its pods are well."""
    if shutil.which("docker") is None:
        pytest.skip("a node can only be stopped where it is a container of this machine's docker")
    there = set(_docker("ps", "--format", "{{.Names}}").split())
    for node in api(enforcing_context).get("/api/v1/nodes")["items"]:
        name = str(node["metadata"]["name"])
        if name in there and "node-role.kubernetes.io/control-plane" not in node["metadata"]["labels"]:
            return name
    pytest.skip(f"{enforcing_context} has no worker that is a container of this machine's docker")


@contextmanager
def _lost(api: Api, node: str) -> Iterator[Callable[[], None]]:
    """Gives what stops a node; it goes on afterwards, and everything on it is well again."""
    try:
        yield lambda: void(_docker("pause", node))
    finally:
        if _docker("inspect", "--format", "{{.State.Paused}}", node) == "true":
            _docker("unpause", node)
        _await(lambda: _well(api), "the node did not come back")


def _well(api: Api) -> bool:
    things = [
        *api.get("/api/v1/nodes")["items"],
        *api.get("/api/v1/namespaces/kube-system/pods")["items"],
    ]
    return all(
        condition["status"] == "True"
        for thing in things
        for condition in thing["status"].get("conditions", ())
        if condition["type"] == "Ready"
    )


def test_a_node_that_is_lost_makes_errors_of_its_pods_cells(
    worker: str, enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    server = api(enforcing_context)
    mine: set[str] = set()

    def gone() -> bool:
        (node,) = server.get("/api/v1/nodes", fieldSelector=f"metadata.name={worker}")["items"]
        states = [item["status"] for item in node["status"]["conditions"] if item["type"] == "Ready"]
        return states != ["True"]

    with _lost(server, worker) as stop:

        def tamper(world: KubeWorld) -> None:
            for pod in server.get(f"/api/v1/namespaces/{ns}/pods")["items"]:
                if pod["spec"]["nodeName"] == worker:
                    mine.add(f"{ns}/{pod['metadata']['name']}")
            stop()
            _await(gone, "nobody noticed")

        cells = _cells(_measure(write(FOUR), server, enforcing_context, tamper=tamper))
    assert len(mine) == 2
    for name, cell in cells.items():
        source, target = name.split("->")
        if source in mine or target.rpartition(":")[0] in mine:
            assert cell.status is Status.ERROR, (name, cell)
            assert cell.verdict is None
            assert f"node {worker} is not ready" in cell.reason, cell.reason
        else:
            assert cell.status is Status.PASSED, (name, cell)
