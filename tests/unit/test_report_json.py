"""The JSON report: nothing that it promises is lost on the way, whatever the values are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import (
    DnsQuery,
    HttpRequest,
    MutualTls,
    Probe,
    Source,
    SourceKind,
    Target,
    TargetKind,
    TlsRequest,
)
from harness.model.result import Backend, CellResult, Excerpt, RunResult, ScenarioResult, StepResult
from harness.model.scenario import Cell, Relabel, Scenario, Settings, Step, Transition
from harness.model.topology import Family, Protocol, Topology
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict
from harness.report.json import JsonReportError, from_json, portable, to_json, to_text
from harness.report.terminal import Style, render
from harness.source import Place
from tests.unit import report_samples as samples

text = st.text(max_size=6)
seconds = st.floats(0, 1e6)
texts = st.lists(text, max_size=2).map(tuple)
pairs = st.dictionaries(text, text, max_size=2)
number = st.integers(0, 70000)
places = st.builds(Place, text, number, number, number, number)
expected = st.sampled_from(Expected)
http = (
    text,
    text,
    st.lists(st.tuples(text, text), max_size=2).map(tuple),
    st.none() | text,
    st.none() | text,
)
requests = st.one_of(
    st.none(),
    st.builds(HttpRequest, *http, st.lists(st.builds(HttpRequest, *http), max_size=2).map(tuple)),
    st.builds(TlsRequest, st.none() | text, st.none() | st.builds(MutualTls, text, st.none() | text)),
    st.builds(DnsQuery, text, text, st.booleans(), st.booleans(), st.sampled_from(["NOERROR", "NXDOMAIN"])),
)
probes = st.builds(
    Probe,
    st.builds(Source, st.sampled_from(SourceKind), text),
    st.builds(Target, st.sampled_from(TargetKind), text, number, st.sampled_from(Protocol), st.none() | text),
    st.sampled_from(Family),
    requests,
)
expectations = st.builds(
    Expectation,
    expected,
    st.dictionaries(text, expected, max_size=2),
    st.lists(st.builds(Known, text, expected, text), max_size=2).map(tuple),
)
cells = st.builds(Cell, text, probes, expectations, places)
observations = st.builds(
    Observation,
    st.builds(Outcome, st.sampled_from(OutcomeKind), text, text, st.booleans(), text, text),
    number,
    st.none() | st.booleans(),
    number,
    seconds,
    texts,
    text,
    text,
    text,
    text,
    st.just(False),
    text,
    text,
    text,
)
results = st.builds(
    CellResult,
    text,
    cells,
    st.sampled_from(Status),
    expected,
    st.none() | st.sampled_from(Verdict),
    st.none() | observations,
    text,
    text,
    texts,
    texts,
)
few_cells = st.lists(cells, max_size=2).map(tuple)
policies = st.lists(
    st.builds(
        Policy, text, text, text, text, text, st.just({"kind": "NetworkPolicy"}), st.just(object()), places
    ),
    max_size=1,
).map(tuple)
steps = st.builds(
    Step,
    text,
    st.just(samples.passing().scenario.topology),
    policies,
    few_cells,
    policies,
    st.lists(st.builds(PolicyRef, text, text, text), max_size=1).map(tuple),
    st.lists(st.builds(Relabel, text, text, pairs, texts), max_size=1).map(tuple),
    texts,
    texts,
    texts,
    st.none() | st.builds(Transition, few_cells, few_cells, st.none() | text),
)
scenarios = st.builds(
    Scenario,
    text,
    places,
    st.just(Topology()),
    st.lists(steps, max_size=1).map(tuple),
    text,
    texts,
    texts,
    st.lists(st.sampled_from(Family), max_size=2).map(tuple),
    st.builds(Settings, st.none() | seconds, st.none() | seconds, st.none() | seconds),
)
runs = st.builds(
    RunResult,
    text,
    text,
    st.builds(Backend, text, texts, pairs, st.frozensets(text, max_size=2)),
    st.lists(
        st.builds(
            ScenarioResult,
            scenarios,
            st.lists(
                st.builds(
                    StepResult, text, st.lists(results, max_size=2).map(tuple), seconds, text, number, seconds
                ),
                max_size=1,
            ).map(tuple),
            text,
            text,
            seconds,
            seconds,
        ),
        max_size=2,
    ).map(tuple),
    seconds,
    st.booleans(),
    text,
    text,
    st.just(()),
    st.lists(
        st.builds(
            Excerpt,
            text,
            st.builds(Place, text, number, number),
            st.lists(st.tuples(number, texts), max_size=2).map(tuple),
        ),
        max_size=1,
    ).map(tuple),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(runs)
def test_round_trip(result: RunResult) -> None:
    assert from_json(json.loads(to_text(result))) == portable(result)


def test_every_other_report_can_be_made_from_it() -> None:
    from harness.report.junit import to_junit

    result = samples.run(samples.failing(), samples.broken(), samples.steps(), samples.unbuildable())
    again = from_json(json.loads(to_text(result)))
    assert render(again, Style()) == render(result, Style())
    assert to_junit(again) == to_junit(result)


def test_counts_are_those_of_the_result() -> None:
    result = samples.run(samples.failing(), samples.broken(), samples.skipped())
    counts = to_json(result)["counts"]
    assert counts == {"passed": 2, "failed": 4, "error": 8, "skipped": 1, "xfailed": 1}


def test_documented_fields_are_the_written_ones() -> None:
    from pathlib import Path

    document = to_json(samples.run(samples.steps()))
    guide = (Path(__file__).parents[2] / "docs" / "json-report.md").read_text(encoding="utf-8")
    names: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            names.update(value)
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    document["backend"]["versions"] = {}
    collect(document)
    assert len(names) > 60
    assert sorted(name for name in names if f"`{name}`" not in guide) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "netcheck.dev/run/v9"}, "schema is 'netcheck.dev/run/v9'"),
        ({"scenarios": None}, "cannot be read"),
        ({"backend": {}}, "lacks 'spec'"),
    ],
)
def test_something_else_is_refused_with_a_reason(change: dict[str, Any], message: str) -> None:
    document = to_json(samples.run(samples.passing())) | change
    with pytest.raises(JsonReportError, match=message):
        from_json(document)


def test_an_unknown_status_is_refused() -> None:
    document = to_json(samples.run(samples.passing()))
    document["scenarios"][0]["steps"][0]["cells"][0]["status"] = "unsure"
    with pytest.raises(JsonReportError, match="unsure"):
        from_json(document)


def test_portable_drops_worlds_and_manifests_only() -> None:
    result = samples.run(samples.failing())
    assert replace(portable(result), scenarios=()) == replace(result, scenarios=())
