"""The JUnit report, read back with another library and with a plain XML parser."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

from harness.model.verdict import Expected, Status
from harness.report.junit import classname, to_junit
from tests.unit import report_samples as samples

ALL = samples.run(
    samples.passing(),
    samples.failing(),
    samples.broken(),
    samples.steps(),
    samples.hostile(),
    samples.skipped(),
    samples.unbuildable(),
)


def test_suites_and_counts() -> None:
    document = JUnitXml.fromstring(to_junit(ALL).encode())
    found = {suite.name: (suite.tests, suite.failures, suite.errors, suite.skipped) for suite in document}
    assert found == {
        "api-policy": (4, 0, 0, 0),
        "shop": (6, 4, 0, 0),
        "broken-pod": (9, 0, 8, 1),
        "relabel": (3, 1, 0, 0),
        "hostile": (1, 1, 0, 0),
        "sctp-only": (1, 0, 0, 1),
        "no-world": (2, 0, 2, 0),
    }


def test_a_failure_points_at_the_file_and_says_what_came() -> None:
    suite = next(iter(JUnitXml.fromstring(to_junit(samples.run(samples.failing())).encode())))
    case = list(suite)[1]
    (failure,) = case.result
    assert isinstance(failure, Failure)
    assert case.name == "expect::production/db->production/api:8080/TCP"
    assert case.classname == "scenarios.shop.shop"
    assert failure.message == "scenarios/shop.yaml:22: expected deny, observed allow"
    assert failure.type == "wrong-verdict"
    assert "scenarios/shop.yaml:22:5" in failure.text
    assert "-k 'shop::expect::production/db->production/api:8080/TCP'" in failure.text


def test_errors_and_known_deviations_are_no_failures() -> None:
    suite = next(iter(JUnitXml.fromstring(to_junit(samples.run(samples.broken())).encode())))
    kinds = [type(case.result[0]) for case in suite]
    assert kinds == [Error] * 8 + [Skipped]


def test_properties_say_what_was_tested() -> None:
    root = ET.fromstring(to_junit(samples.run(samples.passing())))
    found = {item.get("name"): item.get("value") for item in root.iter("property")}
    assert found == {
        "backend": "lab",
        "backend.names": "lab,generic",
        "kernel": "6.1.0",
        "nftables": "1.0.6",
        "netcheck": "0.1.0",
        "revision": "c4e1246",
        "run": "r1a2b3",
    }


def test_every_case_has_file_and_line_and_every_measured_one_a_time() -> None:
    root = ET.fromstring(to_junit(ALL))
    cases = list(root.iter("testcase"))
    assert all(case.get("file") and int(case.get("line") or 0) > 0 for case in cases)
    passed = [case for case in cases if not list(case)]
    assert passed
    assert all(float(case.get("time") or 0) > 0 for case in passed)


@pytest.mark.parametrize("error", ["", "interrupted before everything was measured"])
def test_cells_of_an_interrupted_run_are_errors(error: str) -> None:
    result = samples.run(samples.steps(), interrupted=True)
    scenario = result.scenarios[0]
    from dataclasses import replace

    cut = replace(result, scenarios=(replace(scenario, steps=scenario.steps[:1], error=error),))
    suite = next(iter(JUnitXml.fromstring(to_junit(cut).encode())))
    assert [type(case.result[0]) for case in list(suite)[1:]] == [Error, Error]
    why = error or "not measured: the engine gave no result for this cell"
    assert list(suite)[1].result[0].message == f"scenarios/shop.yaml:55: {why}"
    assert (suite.errors, suite.skipped) == (cut.count(Status.ERROR), cut.count(Status.SKIPPED))


def test_an_error_of_a_scenario_without_cells_is_one_case() -> None:
    result = samples.run(samples.finished("empty", {}, error="nft: operation not permitted"))
    (suite,) = JUnitXml.fromstring(to_junit(result).encode())
    assert [(case.name, type(case.result[0])) for case in suite] == [("scenario", Error)]


@given(st.text())
def test_any_text_makes_a_document_that_parsers_read(text: str) -> None:
    cell = samples.cell("n/a", "n/b", Expected.DENY, 3, file=text)
    result = samples.judged(cell, Status.FAILED, reason=text, evidence=(text,), notes=(text,))
    root = ET.fromstring(to_junit(samples.run(samples.finished("odd", {text: [result]}, text))))
    assert [item.tag for item in root.iter("failure")] == ["failure"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("scenarios/shop.yaml", "scenarios.shop.s"),
        ("./shop.yml", "shop.s"),
        ("/tmp/x/shop.yaml", "tmp.x.shop.s"),
        ("../shop.yaml", "shop.s"),
        ("<stdin>", "<stdin>.s"),
    ],
)
def test_class_names_are_stable(file: str, expected: str) -> None:
    assert classname(samples.scenario("s", {}, file)) == expected
