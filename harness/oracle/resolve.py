"""Cells that leave their expectation to the oracle get its prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.model.personality import Personality, of_scenario
from harness.model.prediction import Answer
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Family
from harness.model.verdict import Expected
from harness.oracle.predict import predict

_EXPECTED = {
    Answer.ALLOW: Expected.ALLOW,
    Answer.DENY: Expected.DENY,
    Answer.UNDEFINED: Expected.OBSERVE,
}


def resolve(scenario: Scenario, personality: Personality | None = None) -> Scenario:
    """The scenario without `oracle` among its expectations; what paper cannot decide is observed.

    Args:
        scenario: As it was read.
        personality: How the network reads what specifications leave open; None = as the policies ask for.
    """
    asked = personality or of_scenario(scenario)
    return replace(scenario, steps=tuple(_step(step, asked) for step in scenario.steps))


def _step(step: Step, personality: Personality) -> Step:
    return _each(step, lambda cell: _cell(cell, step, personality))


def _each(step: Step, change: Callable[[Cell], Cell]) -> Step:
    cells = tuple(change(cell) for cell in step.cells)
    transition = step.transition
    if transition:
        transition = replace(
            transition,
            steady=tuple(change(cell) for cell in transition.steady),
            cut=tuple(change(cell) for cell in transition.cut),
        )
    return replace(step, cells=cells, transition=transition)


def _cell(cell: Cell, step: Step, personality: Personality) -> Cell:
    expectation = cell.expectation
    if Expected.ORACLE not in (expectation.default, *expectation.backends.values()):
        return cell
    found = predict(step.topology, step.policies, cell.probe, personality)
    predicted = _EXPECTED[found.verdict] if found.denial is None else Expected(found.denial)

    def filled(expected: Expected) -> Expected:
        return predicted if expected is Expected.ORACLE else expected

    backends = {name: filled(expected) for name, expected in expectation.backends.items()}
    return replace(
        cell,
        expectation=replace(
            expectation, default=filled(expectation.default), backends=backends, written=expectation
        ),
    )


def in_family(scenario: Scenario, family: Family) -> Scenario:
    """The scenario as it is probed where `family` is the primary one; unchanged when it names its families.

    What the oracle has filled in it fills in anew, since policies may name addresses.
    """
    if scenario.families or family is Family.IPV4:  # which cells have unless somebody says otherwise
        return scenario

    def moved(cell: Cell) -> Cell:
        probe = replace(cell.probe, family=family)
        return replace(cell, probe=probe, expectation=cell.expectation.written or cell.expectation)

    return resolve(replace(scenario, steps=tuple(_each(step, moved) for step in scenario.steps)))
