"""`-k` and `--tag`."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.exits import CliError
from harness.cli.select import compile_expression, count_cells, select
from harness.model.scenario import Scenario, Transition
from harness.model.verdict import Expected
from harness.report.failures import full_id
from tests.unit import report_samples as samples

ID = "shop::expect::n/client->n/web:8080/TCP GET /health (x)"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("client", True),
        ("CLIENT", True),
        ("get /health", True),
        ("client and web", True),
        ("client and not web", False),
        ("not client", False),
        ("not not client", True),
        ("db or web", True),
        ("db or not db and web", True),
        ("(db or web) and udp", False),
        ("not (db or udp)", True),
        ("8080/TCP", True),
        ("client->n/web", True),
        ("'(x)'", True),
        ('"and"', False),
        ("android", False),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    assert compile_expression(expression)(ID) is expected


@pytest.mark.parametrize(
    ("expression", "column"),
    [("and", 1), ("a and", 6), ("(a", 3), ("a)", 2), ("not", 4), ("a or or b", 6), (" ", 2)],
)
def test_what_is_not_understood_has_a_column(expression: str, column: int) -> None:
    with pytest.raises(CliError, match=re.escape(f"at column {column} of")):
        compile_expression(expression)


words = st.sampled_from(["client", "db", "udp", "web"])
expressions = st.recursive(
    words,
    lambda inner: st.one_of(
        inner.map(lambda a: f"not ({a})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) and ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) or ({pair[1]})"),
    ),
    max_leaves=8,
)


@given(expressions)
def test_expressions_mean_what_python_means(expression: str) -> None:
    python = re.sub(r"client|db|udp|web", lambda found: f"({found.group()!r} in id)", expression)
    assert compile_expression(expression)(ID) is eval(python, {"id": ID})


@given(st.text(max_size=12))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(CliError):
        assert isinstance(compile_expression(text)(ID), bool)


def plan() -> tuple[Scenario, ...]:
    return tuple(
        replace(make().scenario, tags=tags)
        for make, tags in ((samples.failing, ("l7", "slow")), (samples.steps, ("steps",)), (samples.wide, ()))
    )


def names(scenarios: tuple[Scenario, ...]) -> list[str]:
    return [item.name for item in scenarios]


def test_every_full_id_selects_exactly_its_cell() -> None:
    scenarios = plan()
    for scenario in scenarios:
        for step in scenario.steps:
            for cell in step.cells:
                (found,) = select(scenarios, full_id(scenario.name, step.name, cell.id), ())
                assert count_cells([found]) == 1
                assert found.steps[-1].name == step.name
                assert found.steps[-1].cells == (cell,)


def test_earlier_steps_stay_without_cells_and_later_ones_go() -> None:
    (found,) = select(plan(), "relabel::relabelled::", ())
    assert [(step.name, len(step.cells)) for step in found.steps] == [("closed", 0), ("relabelled", 1)]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), ["shop", "relabel", "wide-world"]),
        (("l7",), ["shop"]),
        (("l7", "steps"), ["shop", "relabel"]),
        (("!slow",), ["relabel", "wide-world"]),
        (("l7", "!slow"), []),
        (("nobody",), []),
    ],
)
def test_tags(tags: tuple[str, ...], expected: list[str]) -> None:
    assert names(select(plan(), "", tags)) == expected


def test_nothing_left_is_nothing() -> None:
    assert select(plan(), "nobody-has-this", ()) == ()


def test_cells_of_transitions_are_selected_and_an_established_result_by_its_cell() -> None:
    scenario = samples.steps().scenario
    steady = samples.cell("n/a", "n/b", Expected.ALLOW, suffix="~steady")
    cut = samples.cell("n/a", "n/c", Expected.ALLOW, suffix="~cut")
    step = replace(scenario.steps[1], transition=Transition((steady,), (cut,), "keep"))
    scenario = replace(scenario, steps=(scenario.steps[0], step, scenario.steps[2]))
    (found,) = select([scenario], "~steady", ())
    assert found.steps[-1].transition_cells() == (steady,)
    assert count_cells([found]) == 1
    established = cut.id.removesuffix("cut") + "established"
    (found,) = select([scenario], full_id("relabel", "relabelled", established), ())
    assert found.steps[-1].transition_cells() == (cut,)
    (found,) = select([scenario], "closed-again", ())
    assert found.steps[1].transition is None
