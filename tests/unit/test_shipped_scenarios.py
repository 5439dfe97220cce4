"""What holds for every shipped scenario without a single packet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.author.mutants import mutants_of, with_mutant
from harness.dialects.standing import depends_on
from harness.model.prediction import Answer
from harness.model.scenario import Cell, Scenario, Step
from harness.model.verdict import Expected, Verdict
from harness.oracle.predict import Prediction, predict
from harness.oracle.resolve import resolve
from harness.scenario import load
from harness.source.diagnostics import Severity
from tests.lab.survivors import EQUIVALENT

PROJECT = Path(__file__).resolve().parents[2]
ROOT = PROJECT / "scenarios"
LOADED = load([ROOT])
SCENARIOS = {scenario.name: resolve(scenario) for scenario in LOADED.scenarios}

ADVICE_THAT_IS_THE_LESSON = {
    ("calico/services.yaml", "service-without-namespace"),
    ("calico/types.yaml", "ignored-rules"),
    ("defaults/policy-types.yaml", "ignored-rules"),
    ("tutorial/namespace-label-trap.yaml", "namespace-name-label"),
    ("tutorial/policies/api-policy.yaml", "namespace-name-label"),
}
"""Warnings about shipped files: each of them shows the trap that it is warned of."""

TUTORIAL = {
    "api-policy.yaml": "54b1b7d9b53b16599ada20d4b6e28ee2f13cc2113aff7811e3307c5812721b2d",
    "default-deny.yaml": "13fb20687d0c616b6fd9bf4495d7a42d8a3540de2e2ccdb4cb057b5a8691de48",
    "cilium-dns.yaml": "6b9b867679f21b7aafb4ec63bba62b0d808a0ef8981f7d903e935d34e1bf262b",
    "cilium-http.yaml": "b89963fd3fb09247df41737f93b7b93b4f5b21d997faa81b14a3728473ffdcd5",
}
"""The tutorial's own policies, to the byte."""

DENIES = {expected for expected in Expected if not expected.accepts(Verdict.ALLOW)} - {Expected.ORACLE}


def _cells(scenario: Scenario) -> Iterator[tuple[Step, Cell]]:
    for step in scenario.steps:
        for cell in step.cells:
            yield step, cell


def _kinds(scenario: Scenario) -> set[str]:
    """`allow`, `deny`, `observe`, as far as cells of the scenario expect them."""
    defaults = {cell.expectation.default for _, cell in _cells(scenario)}
    return {"deny" if expected in DENIES else str(expected) for expected in defaults}


def test_there_are_scenarios_and_they_have_no_errors() -> None:
    assert [str(item) for item in LOADED.problems if item.severity is Severity.ERROR] == []
    assert len(SCENARIOS) == len(LOADED.scenarios) >= 45


def test_warnings_are_the_lesson_of_their_file() -> None:
    found = {
        (Path(item.place.file).resolve().relative_to(ROOT).as_posix(), item.id)
        for item in LOADED.problems
        if item.severity is Severity.WARNING
    }
    assert found == ADVICE_THAT_IS_THE_LESSON


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_it_can_be_read_as_documentation(name: str) -> None:
    scenario = SCENARIOS[name]
    assert len(scenario.description.split()) >= 12
    assert scenario.tags
    assert {"allow", "deny"} <= _kinds(scenario), "cells that connect and cells that do not"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_oracle_agrees_with_the_author(name: str) -> None:
    scenario = SCENARIOS[name]
    differing = []
    for step, cell in _cells(scenario):
        expected = cell.expectation.default
        if expected is Expected.OBSERVE:
            continue
        answer = predict(step.topology, step.policies, cell.probe)
        if answer.verdict is Answer.UNDEFINED and "open-point" in scenario.tags:
            continue
        if not answer.fits(expected):
            differing.append(
                f"{step.name}: {cell.id}: expected {expected}, predicted {answer.word}: {answer.reason}"
            )
    assert differing == []


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_cells_notice_every_mistake_on_paper(name: str) -> None:
    scenario = SCENARIOS[name]
    survivors = {item.id for item in mutants_of(scenario) if not _noticed(with_mutant(scenario, item))}
    known = {id for where, id in EQUIVALENT if where == name}
    assert survivors == known


def _opens(answer: Prediction) -> bool:
    """What is left open passes in the lab's own personality; but no name is known there before a lookup."""
    return answer.open_point != "domain-name"


def _noticed(mutated: Scenario) -> bool:
    """Whether a cell of the scenario would fail if the oracle were the network.

    What a proxy would make of a probe without a request, paper does not know at all: no cell fails of that.
    """
    for step, cell in _cells(mutated):
        expected = cell.expectation.default
        if expected is Expected.OBSERVE:
            continue
        answer = predict(step.topology, step.policies, cell.probe)
        if answer.verdict is Answer.UNDEFINED:
            proxied = answer.reason.endswith(depends_on("application"))
            noticed = not proxied and (expected is Expected.ALLOW) is not _opens(answer)
        else:
            noticed = not answer.fits(expected)
        if noticed:
            return True
    return False


@pytest.mark.parametrize("file", sorted(TUTORIAL))
def test_the_policies_of_the_tutorial_are_shipped_to_the_byte(file: str) -> None:
    (path,) = (*ROOT.glob(f"tutorial/policies/{file}"), *ROOT.glob(f"cilium/policies/{file}"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == TUTORIAL[file]


RECIPES = PROJECT / "docs" / "recipes.md"
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def test_recipes_link_every_scenario_and_nothing_else() -> None:
    linked = []
    for names, target in _LINK.findall(RECIPES.read_text()):
        path = (RECIPES.parent / target).resolve()
        assert path.is_file(), target
        linked += [(name.strip(), path) for name in names.split(",")]
    shipped = sorted((item.name, Path(item.place.file).resolve()) for item in LOADED.scenarios)
    assert sorted(linked) == shipped
