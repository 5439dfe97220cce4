"""A proxy that hangs: what it should have answered is an error, never a denial."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.cli.exits import ExitCode, exit_code
from harness.clusters.lab.link import Line
from harness.clusters.lab.world import LabWorld
from harness.model.topology import Topology
from harness.model.verdict import Status
from tests.lab.labs import cells, measure, scenario, staying
from tests.lab.stages import proxy_of

pytestmark = pytest.mark.lab

PROXIED = """
scenario: proxied
needs: [l7-http, l7-dns, external-names]
externals:
  out: {address: 203.0.113.10, listen: [443], names: [good.example.com, bad.example.com]}
pods:
  shop/web: {labels: {app: web}, listen: [80, 81], node: a}
  shop/cli: {labels: {app: cli}, node: b}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: web, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress:
        - toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: "/public"}]}}]
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: cli, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: cli}}
      egress:
        - toEntities: [all]
          toPorts: [{ports: [{port: "1", endPort: 52}, {port: "54", endPort: 65535}]}]
        - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: good.example.com}]}}]
expect:
  - {from: shop/cli, http: [{url: "http://shop/web:80/public"}], verdict: allow}
  - {from: shop/cli, http: [{url: "http://shop/web:80/private"}], verdict: deny-http}
  - {from: shop/cli, dns: good.example.com, verdict: allow}
  - {from: shop/cli, dns: bad.example.com, verdict: dns-refused}
  - {from: shop/cli, dns: bad.example.com, tcp: true, verdict: dns-refused}
  - {from: shop/cli, to: "host:good.example.com:443", verdict: allow}
  - {from: shop/cli, to: "shop/web:81", verdict: drop}
"""


@contextmanager
def impatient(seconds: float) -> Iterator[None]:
    """Nobody waits a minute for an answer of the lab's processes."""
    patience, Line.receive.__defaults__ = Line.receive.__defaults__, (seconds,)
    try:
        yield
    finally:
        Line.receive.__defaults__ = patience


def test_a_proxy_that_hangs(tmp_path: Path) -> None:
    stopped: list[int] = []

    def stop(phase: str, built: LabWorld) -> None:
        if phase == "sweep":
            stopped.append(proxy_of(built))
            os.kill(stopped[0], signal.SIGSTOP)
        if phase == "evidence":
            pytest.fail("nothing was measured, so nothing can have failed")

    with impatient(3.0):
        result = measure(scenario(PROXIED, tmp_path), on_phase=stop)
    assert result.scenarios[0].error == "the lab's proxy gave no answer for 3 s"
    assert all(cell.verdict is None for cell in cells(result).values())
    assert exit_code(result, 7) is ExitCode.INCONCLUSIVE
    # Whoever is stopped hears of nothing, and must be gone all the same.
    assert staying(set(stopped)) == set()


def test_a_proxy_that_stands_still_for_a_while(tmp_path: Path) -> None:
    """For longer than any probe waits: what it was sent meanwhile is asked again."""

    def hold(phase: str, built: LabWorld) -> None:
        if phase == "sweep":
            proxy = proxy_of(built)
            os.kill(proxy, signal.SIGSTOP)
            timers.append(threading.Timer(0.8, os.kill, (proxy, signal.SIGCONT)))
            timers[-1].start()

    timers: list[threading.Timer] = []
    try:
        result = measure(scenario(PROXIED, tmp_path), on_phase=hold)
    finally:
        for timer in timers:
            timer.join()
    assert timers
    assert [f"{item.id}: {item.reason}" for item in cells(result).values() if item.status != "passed"] == []


def test_a_proxy_that_stands_still_again_and_again(tmp_path: Path) -> None:
    over = threading.Event()
    threads: list[threading.Thread] = []

    def halt(proxy: int) -> None:
        while not over.is_set():
            os.kill(proxy, signal.SIGSTOP)
            over.wait(0.7)
            os.kill(proxy, signal.SIGCONT)
            over.wait(0.15)

    def hold(phase: str, built: LabWorld) -> None:
        if phase == "sweep":
            threads.append(threading.Thread(target=halt, args=(proxy_of(built),)))
            threads[-1].start()
        elif phase in ("close", "evidence"):
            over.set()

    try:
        result = measure(scenario(PROXIED, tmp_path), on_phase=hold)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert threads
    assert "proxy stood still" in result.scenarios[0].error
    assert result.scenarios[0].status is Status.ERROR
    assert all(cell.verdict is None for cell in cells(result).values())


def test_a_proxy_that_stands_still_under_flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what it kept waiting nor what it only accepted says anything."""
    head, _, policies = PROXIED.partition("policies:")
    policies = policies.partition("expect:")[0].replace("\n", "\n    ")
    text = f"""{head}steps:
  - name: first
    apply:{policies}
    expect: [{{from: shop/cli, dns: good.example.com, verdict: allow}}]
  - name: second
    label: [{{pod: shop/cli, set: {{a: b}}}}]
    transition: {{steady: [{{from: shop/cli, to: "host:good.example.com:443"}}]}}
    expect: [{{from: shop/cli, dns: good.example.com, verdict: allow}}]
"""
    wanted = scenario(text, tmp_path)
    assert [item.reason for item in measure(wanted).scenarios[0].cells if item.status != "passed"] == []
    reshape = LabWorld.reshape
    timers: list[threading.Timer] = []

    def hold(built: LabWorld, topology: Topology) -> None:
        if built._proxied.ruleset:
            proxy = proxy_of(built)
            os.kill(proxy, signal.SIGSTOP)
            timers.append(threading.Timer(1.0, os.kill, (proxy, signal.SIGCONT)))
            timers[-1].start()
        reshape(built, topology)

    monkeypatch.setattr(LabWorld, "reshape", hold)
    try:
        result = measure(wanted)
    finally:
        for timer in timers:
            timer.join()
    assert timers
    assert "proxy stood still" in result.scenarios[0].error
