"""Personalities with real packets: each row of section 4 that the lab can show, as paper says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clusters.lab.world import LabWorld
from harness.engine.judge import judge
from harness.model.personality import CALICO, CILIUM, GENERIC, Personality
from harness.model.prediction import Answer
from harness.model.result import CellResult
from harness.model.verdict import Verdict
from tests.lab.labs import cells, measure, scenario, world
from tests.unit import worlds
from tests.unit.kubernetes_worlds import probe
from tests.unit.test_personality import BOTH, ROWS, WORLD

pytestmark = pytest.mark.lab

READINGS = {"generic": GENERIC, "cilium": CILIUM, "cilium-cidr": BOTH, "calico": CALICO}
VERDICTS = {Answer.ALLOW: Verdict.ALLOW, Answer.DENY: Verdict.DROP}


@pytest.fixture(scope="module", params=READINGS)
def character(request: pytest.FixtureRequest) -> Iterator[tuple[int, LabWorld]]:
    """A lab with a personality, and the place of its answers in the rows."""
    wanted = worlds.scenario(worlds.step(topology=WORLD), topology=WORLD)
    with world(wanted, READINGS[request.param]) as made:
        yield 4 + list(READINGS).index(request.param), made


def test_rows(character: tuple[int, LabWorld]) -> None:
    place, made = character
    wrong = []
    for row in ROWS:
        number, what, policies, text, answer = *row[:4], row[place]
        asked = probe(text)
        made.apply(policies)
        # Nobody listens on the way to a node, so only what a policy drops is silent there.
        (seen,) = made.sweep([asked], 1.0)
        made.delete([item.ref for item in policies])
        verdict = judge(asked, seen).verdict
        if answer in VERDICTS and verdict is not VERDICTS[answer]:
            wrong.append(f"{number} {what}: {verdict} instead of {answer} ({seen.outcome})")
        if answer in VERDICTS and seen.open_point:
            wrong.append(f"{number} {what}: certain on paper, and yet {seen.open_point}")
    assert wrong == []


def test_a_point_that_stays_open_is_named(character: tuple[int, LabWorld]) -> None:
    """Not only on paper: what passes although it may be denied says so."""
    place, made = character
    named = {}
    for row in ROWS:
        if row[0] in (1, 2, 8, 10, 11) and row[place] is Answer.UNDEFINED:
            made.apply(row[2])
            (seen,) = made.sweep([probe(row[3])], 1.0)
            made.delete([item.ref for item in row[2]])
            named[row[0], row[1]] = seen.open_point
    # Which addresses a narrow block means is no point of the specification.
    unsettled = {what for (number, what), point in named.items() if not point and number != 1}
    assert unsettled == set()


OPEN_CONNECTIONS = """
scenario: open-connections
settings: {connectTimeout: 500ms}
pods:
  n/api: {labels: {app: api}, listen: [8080, 8080/UDP], node: a}
  n/near: {labels: {app: cli}, node: a}
  n/far: {labels: {app: cli}, node: b}
services:
  n/api: {selector: {app: api}, ports: [80:8080], type: NodePort}
steps:
  - name: open
    expect: [{from: [n/near, n/far], to: ["n/api:8080", "n/api:8080/UDP"], verdict: allow}]
  - name: closed
    apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, namespace: "n"}
        spec: POLICY
    transition:
      cut:
        - {from: [n/near, n/far], to: ["n/api:8080", "n/api:8080/UDP", "service:n/api:80"]}
      established: {default: keep, cilium: cut}
    expect: [{from: [n/near, n/far], to: ["n/api:8080", "n/api:8080/UDP"], verdict: deny}]
"""
INGRESS = "{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}"
EGRESS = "{podSelector: {matchLabels: {app: cli}}, policyTypes: [Egress]}"


@pytest.mark.parametrize("policy", [INGRESS, EGRESS], ids=["ingress", "egress"])
@pytest.mark.parametrize("name", ["generic", "cilium", "calico"])
def test_connections_that_are_open(tmp_path: Path, name: str, policy: str) -> None:
    wanted = scenario(OPEN_CONNECTIONS.replace("POLICY", policy), tmp_path)
    result = measure(wanted, personality=READINGS[name])
    assert result.scenarios[0].error == ""
    found = {id: item for id, item in cells(result).items() if id.endswith("~established")}
    assert len(found) == 6
    assert {id: item.reason for id, item in cells(result).items() if item.status != "passed"} == {}
    assert {str(item.expected) for item in found.values()} == {"deny" if name == "cilium" else "allow"}


REPLIES = """
scenario: replies
settings: {connectTimeout: 500ms}
pods:
  n/api: {labels: {app: api}, listen: [8080, 8080/UDP], node: a}
  n/cli: {labels: {app: cli}, node: b}
externals:
  out: {address: 203.0.113.10, listen: [443]}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: "n"}
    spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress, Egress], ingress: [{}]}
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: cli, namespace: "n"}
    spec: {podSelector: {matchLabels: {app: cli}}, policyTypes: [Ingress, Egress], egress: [{}]}
expect:
  - {from: n/cli, to: ["n/api:8080", "n/api:8080/UDP", "n/api/ICMP", "external:out:443"], verdict: allow}
  - {from: "external:out", to: "n/api:8080", verdict: allow}
  - {from: n/api, to: "external:out:443", verdict: deny}
"""


@pytest.mark.parametrize("name", READINGS)
def test_answers_pass_although_their_way_is_closed(tmp_path: Path, name: str) -> None:
    result = measure(scenario(REPLIES, tmp_path), personality=READINGS[name])
    found: dict[str, CellResult] = cells(result)
    assert len(found) == 6
    assert {id: item.reason for id, item in found.items() if item.status != "passed"} == {}


def test_verdicts_by_backend_are_looked_up_by_personality(tmp_path: Path) -> None:
    text = REPLIES.replace("verdict: deny", "verdict: {default: deny, calico: allow, generic: deny}")
    plain: Personality | None
    for plain, failed in ((None, 0), (CALICO, 1), (CILIUM, 0)):
        result = measure(scenario(text, tmp_path), personality=plain)
        assert sum(item.status == "failed" for item in cells(result).values()) == failed
