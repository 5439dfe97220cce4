"""What is broken on purpose must come out as an error with its reason, never as a denial (or a pass)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.cli.exits import ExitCode, exit_code
from harness.clusters.lab.link import Processes
from harness.clusters.lab.world import LabWorld
from harness.engine.cluster import ClusterError
from harness.model.policy import Policy
from harness.model.result import RunResult
from harness.model.verdict import Status
from tests.lab.labs import TWO_PODS, cells, children, measure, scenario

pytestmark = pytest.mark.lab

DENIED = "shop/cli->shop/web:8081/TCP"


def _no_green_denial(result: RunResult) -> None:
    (found,) = result.scenarios
    for cell in found.cells:
        if (
            cell.id != "shop/cli->shop/web:8080/TCP"
            or not cell.observation
            or not cell.observation.outcome.token
        ):
            assert cell.status is Status.ERROR, cell
            assert cell.verdict is None
    assert exit_code(result, len(found.scenario.cells)) is ExitCode.INCONCLUSIVE


def _close_listener(world: LabWorld, pod: str) -> None:
    world._processes.listener.ask({"op": "close", "identities": [pod]})


def test_without_faults_it_passes(tmp_path: Path) -> None:
    result = measure(scenario(TWO_PODS, tmp_path))
    assert {cell.status for cell in result.scenarios[0].cells} == {Status.PASSED}


def test_a_listener_that_dies_before_the_control(tmp_path: Path) -> None:
    def kill(phase: str, world: LabWorld) -> None:
        if phase == "control":
            _close_listener(world, "shop/web")

    result = measure(scenario(TWO_PODS, tmp_path), on_phase=kill)
    _no_green_denial(result)
    assert "nobody listens" in cells(result)[DENIED].reason
    assert cells(result)[DENIED].reason.startswith("control:")


def test_a_listener_that_dies_after_the_control(tmp_path: Path) -> None:
    """The worst of all: the policy drops the packets, so the prober alone cannot tell."""

    def kill(phase: str, world: LabWorld) -> None:
        if phase == "sweep":
            _close_listener(world, "shop/web")

    result = measure(scenario(TWO_PODS, tmp_path), on_phase=kill)
    _no_green_denial(result)
    assert "nobody listens" in cells(result)[DENIED].reason


def test_a_listener_that_hangs(tmp_path: Path) -> None:
    def stop(phase: str, world: LabWorld) -> None:
        if phase == "sweep":
            os.kill(max(children(world.pid)), signal.SIGSTOP)
        if phase == "evidence":
            pytest.fail("nothing was measured, so nothing can have failed")

    # The listener's receipts cannot be had either: the whole scenario is an error.
    import harness.clusters.lab.link as link

    patience, link.Line.receive.__defaults__ = link.Line.receive.__defaults__, (3.0,)
    try:
        result = measure(scenario(TWO_PODS, tmp_path), on_phase=stop)
    finally:
        link.Line.receive.__defaults__ = patience
    assert result.scenarios[0].status is Status.ERROR
    assert "listener gave no answer" in result.scenarios[0].error
    assert exit_code(result, 3) is ExitCode.INCONCLUSIVE


BUSY = """
scenario: busy
externals:
  internet: {address: 203.0.113.10, listen: [443], names: [api.example.com]}
pods:
  shop/cli: {replicas: 400}
  shop/web: {listen: [8080, 8080/UDP]}
expect:
  - {from: shop/cli, dns: api.example.com, verdict: allow}
  - {from: shop/cli-0, dns: [api, kubernetes.default], search: true, verdict: observe}
  - {from: shop/cli-0, dns: api.example.com, tcp: true, verdict: allow}
  - {from: shop/cli-0, to: "host:api.example.com:443", verdict: allow}
  - {from: shop/cli, to: ["shop/web:8080", "shop/web:8080/UDP"], verdict: allow}
"""


@pytest.mark.parametrize("phase", ["control", "sweep"])
def test_a_busy_listener_makes_no_verdict(tmp_path: Path, phase: str) -> None:
    """It stands still for longer than any probe waits, and buffers overflow meanwhile: nothing is denied."""

    def hold(now: str, world: LabWorld) -> None:
        if now == phase:
            listener = max(children(world.pid))
            os.kill(listener, signal.SIGSTOP)
            timers.append(threading.Timer(1.2, os.kill, (listener, signal.SIGCONT)))
            timers[-1].start()

    timers: list[threading.Timer] = []
    try:
        result = measure(scenario(BUSY, tmp_path), on_phase=hold)
    finally:
        for timer in timers:
            timer.join()
    assert timers
    assert [
        f"{cell.id}: {cell.reason}" for cell in cells(result).values() if cell.status is not Status.PASSED
    ] == []


FLOWS = """
scenario: flows
pods:
  shop/cli: {labels: {app: cli}}
  shop/srv: {labels: {app: srv}, listen: [8080, 8080/UDP]}
  shop/other: {labels: {app: other}, listen: [8080, 8080/UDP]}
steps:
  - name: open
    expect: [{from: shop/cli, to: "shop/srv:8080", verdict: allow}]
  - name: close
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: iso, namespace: shop}
        spec: {podSelector: {matchLabels: {app: srv}}, policyTypes: [Ingress]}
    expect: [{from: shop/cli, to: "shop/srv:8080", verdict: deny}]
    transition:
      steady: [{from: shop/cli, to: "shop/other:8080"}, {from: shop/cli, to: "shop/other:8080/UDP"}]
      cut: [{from: shop/cli, to: "shop/srv:8080"}, {from: shop/cli, to: "shop/srv:8080/UDP"}]
      established: keep
"""


def test_a_busy_listener_breaks_no_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still while the change is made: what reached it in time has passed, held connections live."""
    apply = LabWorld.apply
    timers: list[threading.Timer] = []

    def hold(world: LabWorld, policies: Sequence[Policy]) -> None:
        listener = max(children(world.pid))
        os.kill(listener, signal.SIGSTOP)
        timers.append(threading.Timer(0.8, os.kill, (listener, signal.SIGCONT)))
        timers[-1].start()
        apply(world, policies)

    monkeypatch.setattr(LabWorld, "apply", hold)
    try:
        (result,) = measure(scenario(FLOWS, tmp_path)).scenarios
    finally:
        for timer in timers:
            timer.join()
    assert timers
    assert [f"{cell.id}: {cell.reason}" for cell in result.cells if cell.status is not Status.PASSED] == []
    assert len(result.cells) == 8
    assert [step.leaks for step in result.steps] == [0, 0]


NO_WAY = """
scenario: no-way
pods:
  shop/cli: {}
  shop/srv: {labels: {app: srv}, listen: [8080]}
services:
  shop/direct: {selector: {app: nobody}, type: Headless, ports: [8080]}
steps:
  - name: change
    label: [{pod: shop/cli, set: {a: b}}]
    expect: [{from: shop/cli, to: "shop/srv:8080", verdict: allow}]
    transition: {steady: [{from: shop/cli, to: "service:shop/direct:8080"}]}
"""


def test_a_flow_that_leads_nowhere(tmp_path: Path) -> None:
    result = measure(scenario(NO_WAY, tmp_path))
    assert "headless service shop/direct has no pods behind it" in result.scenarios[0].error
    assert exit_code(result, 2) is ExitCode.INCONCLUSIVE


def test_a_process_of_the_lab_that_ends_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "re2.py").write_text('raise ImportError("this re2 is broken")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lab = Processes()
    try:
        with pytest.raises(ClusterError, match=r"proxy process ended .*: ImportError: this re2 is broken$"):
            lab.proxy.receive()
    finally:
        lab.close()


@pytest.mark.parametrize("phase", ["control", "apply", "sweep"])
def test_processes_of_the_lab_that_are_killed(tmp_path: Path, phase: str) -> None:
    def kill(now: str, world: LabWorld) -> None:
        if now == phase:
            for pid in children(world.pid):
                os.kill(pid, signal.SIGKILL)

    result = measure(scenario(TWO_PODS, tmp_path), on_phase=kill)
    assert result.scenarios[0].status is Status.ERROR
    assert "process ended before its work was done" in result.scenarios[0].error
    assert not result.scenarios[0].cells
    assert exit_code(result, 3) is ExitCode.INCONCLUSIVE


DNS = """
scenario: names
externals:
  internet: {address: 203.0.113.10, listen: [443], names: [api.example.com]}
pods:
  shop/cli: {}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: no-egress, namespace: shop}
    spec: {podSelector: {}, policyTypes: [Egress]}
expect:
  - {from: shop/cli, dns: api.example.com, verdict: drop}
  - {from: shop/cli, to: "host:api.example.com:443", verdict: drop}
"""


@pytest.mark.parametrize("phase", ["control", "sweep"])
def test_a_dns_server_that_is_down(tmp_path: Path, phase: str) -> None:
    def kill(now: str, world: LabWorld) -> None:
        if now == phase:
            _close_listener(world, "kube-system/kube-dns")

    wanted = scenario(DNS, tmp_path)
    assert {cell.status for cell in measure(wanted).scenarios[0].cells} == {Status.PASSED}
    result = measure(wanted, on_phase=kill)
    assert [cell.status for cell in result.scenarios[0].cells] == [Status.ERROR] * 2
    assert all("nobody listens" in cell.reason for cell in result.scenarios[0].cells)


BY_NAME = """
scenario: by-name
pods:
  shop/web: {labels: {app: web}, listen: [8080]}
  shop/cli: {}
services:
  shop/web: {selector: {app: web}, ports: [80:8080]}
  shop/direct: {selector: {app: web}, type: Headless, ports: [8080]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: closed, namespace: shop}
    spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
expect:
  - {from: shop/cli, to: "host:web.shop.svc.cluster.local:80", verdict: deny}
  - {from: shop/cli, to: "host:direct.shop.svc.cluster.local:8080", verdict: deny}
  - {from: shop/cli, http: {url: "http://host:web.shop.svc.cluster.local:80/"}, verdict: deny}
"""


def test_a_dead_listener_behind_a_name(tmp_path: Path) -> None:
    def kill(now: str, world: LabWorld) -> None:
        if now == "sweep":
            _close_listener(world, "shop/web")

    wanted = scenario(BY_NAME, tmp_path)
    assert [cell.status for cell in measure(wanted).scenarios[0].cells] == [Status.PASSED] * 3
    result = measure(wanted, on_phase=kill)
    assert [cell.status for cell in result.scenarios[0].cells] == [Status.ERROR] * 3
    assert all("nobody listens" in cell.reason for cell in result.scenarios[0].cells)


UNBUILDABLE = """
scenario: two-on-one-port
pods:
  ops/one: {hostNetwork: true, listen: [9100]}
  ops/two: {hostNetwork: true, listen: [9100]}
  ops/three: {hostNetwork: true, listen: [9100]}
  ops/cli: {node: b}
expect:
  - {from: ops/cli, to: "ops/one:9100", verdict: deny}
"""


def test_a_pod_that_cannot_be_built(tmp_path: Path) -> None:
    result = measure(scenario(UNBUILDABLE, tmp_path))
    error = result.scenarios[0].error
    assert "ops/three cannot listen on 172.18.0.2 port 9100/TCP: Address already in use" in error
    assert exit_code(result, 1) is ExitCode.INCONCLUSIVE


def test_an_external_on_an_address_of_the_lab(tmp_path: Path) -> None:
    text = DNS.replace("203.0.113.10", "10.244.3.3")
    result = measure(scenario(text, tmp_path))
    assert (
        "external internet has the address 10.244.3.3, which belongs to the lab itself"
        in result.scenarios[0].error
    )


def test_a_machine_without_nft(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(TWO_PODS)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import harness.clusters.lab.link as link; link.nft_program = lambda: None\n"
            "import harness.clusters.lab.cluster\n"
            "from harness.cli import main; main()",
            "run",
            str(tmp_path),
            "--report",
            f"junit:{tmp_path}/junit.xml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.INCONCLUSIVE
    assert "the lab needs the program nft" in done.stderr
    assert "apt-get install nftables" in done.stderr
    assert "Traceback" not in done.stderr
    assert "<error" in (tmp_path / "junit.xml").read_text()


REJECT = """
add table inet tests
add chain inet tests forward { type filter hook forward priority -5; }
add rule inet tests forward tcp dport 8080 reject with tcp reset
add rule inet tests forward tcp dport 8081 reject with icmpx admin-prohibited
add rule inet tests forward udp dport 5353 reject with icmpx port-unreachable
"""


def test_who_refused_is_told_apart(tmp_path: Path) -> None:
    """A reject rule answers by RST or by ICMP; with a live listener behind it that is `reject`, no error."""
    targets = '["shop/web:8080", "shop/web:8081", "shop/web:5353/UDP"]'
    expect = f"expect: [{{from: shop/cli, to: {targets}, verdict: reject}}]"
    text = TWO_PODS.partition("policies:")[0] + expect

    def reject(phase: str, world: LabWorld) -> None:
        if phase == "sweep":
            scripts = [["node:a", REJECT], ["node:b", REJECT]]
            world._processes.keeper.ask({"op": "nft", "scripts": scripts})

    found = cells(measure(scenario(text, tmp_path), on_phase=reject))
    assert [f"{cell.id} {cell.reason}" for cell in found.values() if cell.status is not Status.PASSED] == []
    outcomes = {
        cell.id.rpartition(":")[2]: str(cell.observation.outcome)
        for cell in found.values()
        if cell.observation
    }
    assert outcomes == {
        "8080/TCP": "refused by rst",
        "8081/TCP": "unreachable by icmp 3/13 from 172.18.0.3",
        "5353/UDP": "refused by icmp 3/3 from 172.18.0.3",
    }
