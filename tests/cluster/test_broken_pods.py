"""What happens to pods while they are probed: their cells are errors, never denials; others are judged."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clusters.kube import fleet
from harness.clusters.kube.api import Api
from harness.clusters.kube.cluster import KubeCluster
from harness.clusters.kube.images import START_SECONDS
from harness.clusters.kube.manifests import PodOptions
from harness.clusters.kube.world import KubeWorld
from harness.cni.detect import detect
from harness.engine.cluster import Waits
from harness.engine.events import Event, PhaseStarted
from harness.engine.run import run
from harness.model.result import CellResult, RunResult
from harness.model.scenario import Scenario
from harness.model.verdict import Status
from harness.scenario import load
from tests.cluster.clusters import probe_image

pytestmark = [
    pytest.mark.cluster,
    # The client's connection pools belong to threads and are closed when these are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FOUR = """
scenario: $ns-four
namespaces: {$ns: {}}
pods:
  $ns/web: {labels: {app: web}, listen: [8080, 8081, 5353/UDP], node: a}
  $ns/api: {labels: {app: api}, listen: [8080, 8081, 5353/UDP], node: b}
  $ns/one: {node: a}
  $ns/two: {node: b}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: only-8080, namespace: $ns}
    spec:
      podSelector: {matchExpressions: [{key: app, operator: Exists}]}
      ingress: [{ports: [{port: 8080}]}]
expect:
  - {from: [$ns/one, $ns/two], to: ["$ns/web:8080", "$ns/api:8080"], verdict: allow}
  - from: [$ns/one, $ns/two]
    to: ["$ns/web:8081", "$ns/web:5353/UDP", "$ns/api:8081", "$ns/api:5353/UDP"]
    verdict: drop
"""


def _scenario(file: Path) -> Scenario:
    loaded = load([file])
    assert [str(item) for item in loaded.problems if item.severity == "error"] == []
    (found,) = loaded.scenarios
    return found


def _measure(
    file: Path,
    api: Api,
    context: str,
    *,
    phase: str = "sweep",
    tamper: Callable[[KubeWorld], None] = lambda world: None,
    options: PodOptions | None = None,
) -> RunResult:
    """Run one scenario in this process; `tamper` gets its world when `phase` begins."""
    worlds: list[KubeWorld] = []

    class Watched(KubeCluster):
        def open(self, scenario: Scenario, run: str, waits: Waits) -> KubeWorld:
            worlds.append(super().open(scenario, run, waits))
            return worlds[-1]

    def emit(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == phase and worlds:
            tamper(worlds[-1])

    chosen = options or PodOptions(image=probe_image(context))
    cluster = Watched(f"context:{context}", api, detect, chosen)
    try:
        found = run([_scenario(file)], cluster, emit)
    finally:
        cluster.close()
    assert cluster.left_behind == ()
    return found


def _cells(result: RunResult) -> dict[str, CellResult]:
    return {cell.id: cell for cell in result.scenarios[0].cells}


def _python(api: Api, pod: str, code: str) -> None:
    """Run something in a pod, and wait for its end."""
    namespace, name = pod.split("/")
    stream = api.exec(namespace, name, "netcheck", ["python3", "-c", code])
    deadline = time.monotonic() + 60
    while stream.is_open() and time.monotonic() < deadline:
        stream.update(timeout=1)
    assert not stream.is_open(), "the command in the pod never ended"


STOP = """
import os, signal
for pid in filter(str.isdigit, os.listdir('/proc')):
    words = open(f'/proc/{pid}/cmdline').read().split(chr(0))
    if 'WHO' in words[:8] and int(pid) != os.getpid(): os.kill(int(pid), signal.SIGNAL)
"""


# The bracket keeps the shell that looks from finding itself.
STOP_SERVE = """
for place in /proc/[0-9]*; do
  tr '\\0' ' ' <$place/cmdline 2>/dev/null | grep -q ' [s]erve POD ' || continue
  kill -STOP ${place#/proc/} && echo stopped
done
"""


def _stop_first_process(api: Api, pod: str) -> None:
    """From its node: the kernel keeps a container's first process from signals of the container's own."""
    namespace, name = pod.split("/")
    node = api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")["spec"]["nodeName"]
    if shutil.which("docker") is None:
        pytest.skip(
            "a listening process can only be stopped where nodes are containers of this machine's docker"
        )
    command = ["docker", "exec", node, "sh", "-c", STOP_SERVE.replace("POD", pod)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "stopped", done


def _signal(role: str, name: str) -> str:
    return STOP.replace("WHO", role).replace("SIGNAL", name)


def test_a_source_that_is_deleted_is_an_error_and_others_are_judged(
    enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    server = api(enforcing_context)

    def tamper(world: KubeWorld) -> None:
        server.delete(f"/api/v1/namespaces/{ns}/pods/one", grace=0)

    found = _cells(_measure(write(FOUR), server, enforcing_context, tamper=tamper))
    for name, cell in found.items():
        wanted = Status.ERROR if name.startswith(f"{ns}/one") else Status.PASSED
        assert cell.status is wanted, (name, cell)


def test_a_destination_that_is_deleted_makes_no_denial(
    enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    server = api(enforcing_context)

    def tamper(world: KubeWorld) -> None:
        server.delete(f"/api/v1/namespaces/{ns}/pods/web", grace=0)

    found = _cells(_measure(write(FOUR), server, enforcing_context, tamper=tamper))
    for name, cell in found.items():
        wanted = Status.ERROR if f"->{ns}/web" in name else Status.PASSED
        assert cell.status is wanted, (name, cell)


def test_a_container_that_restarts_makes_no_denial(
    enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    """Its agent is gone and its listeners come again on the same address: what had arrived is not known."""
    server, path = api(enforcing_context), f"/api/v1/namespaces/{ns}/pods/web"

    def tamper(world: KubeWorld) -> None:
        _python(server, f"{ns}/web", "import os, signal; os.kill(1, signal.SIGTERM)")
        deadline = time.monotonic() + 90
        while True:
            (status,) = server.get(path)["status"]["containerStatuses"]
            if status["restartCount"] and "running" in status["state"]:
                return
            assert time.monotonic() < deadline, "the container never came back"
            time.sleep(0.5)

    result = _measure(write(FOUR), server, enforcing_context, tamper=tamper)
    for name, cell in _cells(result).items():
        assert cell.status in (Status.PASSED, Status.ERROR), (name, cell)
        if f"->{ns}/web" not in name:
            assert cell.status is Status.PASSED, (name, cell)


def test_receipts_of_a_restarted_container_count_for_nothing(
    enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path], ns: str
) -> None:
    server = api(enforcing_context)

    def tamper(world: KubeWorld) -> None:
        # As if another listening process had answered until now.
        world._fleet._streams[f"{ns}/web"].life = "before"

    wanted = _scenario(write(FOUR))
    seen: list[str] = []

    def look(world: KubeWorld) -> None:
        tamper(world)
        probes = [cell.probe for cell in wanted.cells]
        for probe, observation in zip(probes, world.sweep(probes, 2.0), strict=True):
            if f"{ns}/web" in str(probe.target):
                seen.append(str(observation.outcome))

    _measure(write(FOUR), server, enforcing_context, tamper=look)
    assert len(seen) == 6
    assert all(fleet.RESTARTED in text for text in seen), seen


@pytest.mark.parametrize("role", ["probe", "serve"])
def test_an_agent_that_hangs_is_an_error_within_the_margin(
    role: str,
    enforcing_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
    ns: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sending process is started anew once; a listening process that hangs proves nothing."""
    monkeypatch.setattr(fleet, "MARGIN", 8.0)
    server = api(enforcing_context)
    began = 0.0

    def tamper(world: KubeWorld) -> None:
        nonlocal began
        if role == "serve":
            _stop_first_process(server, f"{ns}/web")
        else:
            _python(server, f"{ns}/one", _signal(role, "SIGSTOP"))
        began = time.monotonic()

    found = _cells(_measure(write(FOUR), server, enforcing_context, tamper=tamper))
    assert time.monotonic() - began < 240
    for name, cell in found.items():
        if role == "serve" and f"->{ns}/web" in name:
            assert cell.status is Status.ERROR, (name, cell)
        else:
            assert cell.status is Status.PASSED, (name, cell)


def test_an_image_that_does_not_exist_is_said_soon(
    enforcing_context: str, api: Callable[[str], Api], write: Callable[..., Path]
) -> None:
    began = time.monotonic()
    options = PodOptions(image="registry.invalid/nothing:1")
    result = _measure(write(FOUR), api(enforcing_context), enforcing_context, options=options)
    error = result.scenarios[0].error
    assert "cannot run: " in error, error
    assert "registry.invalid/nothing:1" in error or "--probe-image" in error, error
    assert time.monotonic() - began < START_SECONDS


def test_a_pod_that_no_node_takes_is_said(
    enforcing_context: str,
    api: Callable[[str], Api],
    write: Callable[..., Path],
) -> None:
    text = write(FOUR)
    server = api(enforcing_context)

    class Nowhere(KubeCluster):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            self._nodes = [("no-such-node", ("192.0.2.1",))]

    options = PodOptions(image=probe_image(enforcing_context), start_seconds=20)
    cluster = Nowhere(f"context:{enforcing_context}", server, detect, options)
    try:
        result = run([_scenario(text)], cluster, lambda event: None)
    finally:
        cluster.close()
    error = result.scenarios[0].error
    assert "Unschedulable" in error, error
    assert cluster.left_behind == ()
