"""Known deviations of plugins: the table, the scenarios and the docs say the same; reports name them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cni.deviations import DEVIATIONS, suspected
from harness.model.policy import Policy
from harness.model.result import Backend
from harness.model.scenario import Scenario, Step
from harness.model.verdict import Status, Verdict
from harness.report.failures import details
from harness.scenario import load
from harness.source import Place
from tests.unit.report_samples import judged
from tests.unit.test_shipped_scenarios import PROJECT, ROOT, SCENARIOS

_ROW = re.compile(
    r"^\| \[(?P<name>[\w-]+)\]\((?P<file>[^)]+)\) \| (?P<lab>\w+) \| (?P<other>[^|]+) \|(?P<why>.*)\|$"
)
_OTHER = re.compile(r"`(?P<backend>[^`]+)` (?P<verdict>[\w-]+)(?P<known> \(`known`\))?")


class Difference(NamedTuple):
    """One scenario, one plugin: what the lab gives and what the plugin does."""

    scenario: str
    file: str
    lab: str
    backend: str
    verdict: str
    known: bool


def declared(scenario: Scenario) -> Iterator[tuple[Difference, str, Step]]:
    """What a scenario's cells say of plugins, with the place where a bug is tracked."""
    file = Path(scenario.place.file).resolve().relative_to(ROOT).as_posix()
    for step in scenario.steps:
        transition = step.transition
        for backend, word in transition.backends.items() if transition else ():
            yield Difference(scenario.name, file, str(transition.established), backend, word, False), "", step
        for cell in step.cells:
            expectation = cell.expectation
            lab = str(expectation.default)
            for backend, verdict in expectation.backends.items():
                yield Difference(scenario.name, file, lab, backend, str(verdict), False), "", step
            for item in expectation.known:
                found = Difference(scenario.name, file, lab, item.backend, str(item.verdict), True)
                yield found, item.why, step


DECLARED = [item for scenario in SCENARIOS.values() for item in declared(scenario)]


def test_the_docs_list_exactly_what_the_scenarios_declare() -> None:
    listed, reasons = set(), {}
    for line in (PROJECT / "docs" / "clusters.md").read_text().splitlines():
        row = _ROW.match(line)
        if row:
            file = row["file"].removeprefix("../scenarios/")
            for other in _OTHER.finditer(row["other"]):
                found = Difference(
                    row["name"], file, row["lab"], other["backend"], other["verdict"], bool(other["known"])
                )
                listed.add(found)
                reasons[found] = row["why"]
    assert listed == {difference for difference, _, _ in DECLARED}
    for difference, why, _ in DECLARED:
        assert why in reasons[difference]


def test_the_table_has_exactly_what_the_scenarios_know() -> None:
    known = {(item.backend, item.verdict, why) for item, why, _ in DECLARED if item.known}
    assert {(item.backend, str(item.verdict), item.why) for item in DEVIATIONS} == known


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda item: item.why.rpartition("/")[2])
def test_the_policies_of_those_scenarios_are_the_ones_that_it_concerns(deviation: Any) -> None:
    steps = [step for _, why, step in DECLARED if why == deviation.why]
    assert steps
    for step in steps:
        assert any(deviation.concerns(policy.manifest["spec"]) for policy in step.policies)


# -- reports -----------------------------------------------------------------------------------------------

CILIUM = Backend("context:x", ("cilium", "kubernetes"), {"cilium": "1.19.1"})
FIXED = Backend("context:x", ("cilium", "kubernetes"), {"cilium": "1.20.0"})
LAB = Backend("lab", ("lab", "generic"))
NAMED = {"podSelector": {}, "egress": [{"ports": [{"port": "http"}]}]}


def policy(spec: dict[str, Any], api_version: str = "networking.k8s.io/v1") -> Policy:
    return Policy(
        "kubernetes", api_version, "NetworkPolicy", "n", "p", {"spec": spec}, None, Place("p.yaml", 1, 1)
    )


def test_a_failed_cell_may_have_met_a_known_deviation() -> None:
    (text,) = suspected(Verdict.DROP, [policy(NAMED)], CILIUM)
    assert text.startswith("cilium<1.20 lets nothing out by a port's name")
    assert text.endswith("/issues/30003")


@pytest.mark.parametrize(
    ("verdict", "item", "backend"),
    [
        (Verdict.ALLOW, policy(NAMED), CILIUM),
        (Verdict.DROP, policy(NAMED), FIXED),
        (Verdict.DROP, policy(NAMED), LAB),
        (Verdict.DROP, policy({"egress": [{"ports": [{"port": 80}]}]}), CILIUM),
        (Verdict.DROP, policy({"podSelector": {}}), CILIUM),
        (Verdict.DROP, policy(NAMED, "cilium.io/v2"), CILIUM),
    ],
)
def test_where_it_cannot_be_that_nothing_is_said(verdict: Verdict, item: Policy, backend: Backend) -> None:
    assert list(suspected(verdict, [item], backend)) == []


def test_reports_name_it_beside_the_cell() -> None:
    (scenario,) = load([ROOT / "egress" / "named-port.yaml"]).scenarios
    (step,) = scenario.steps
    result = judged(step.cells[0], Status.FAILED, verdict=Verdict.DROP)
    said = dict(details(scenario, step.name, result, CILIUM))
    assert "issues/30003; if that is it, declare it with `known`" in said["known"]
    passed = judged(step.cells[0], Status.PASSED, verdict=Verdict.DROP)
    assert "known" not in dict(details(scenario, step.name, passed, CILIUM))
