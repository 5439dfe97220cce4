"""Expected, predicted, observed: who stands against the other two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine.three_way import weigh
from harness.model.prediction import Answer, Finding, Predicted
from harness.model.result import Backend
from harness.model.verdict import Expectation, Expected, Status, Verdict
from harness.report.failures import details
from tests.unit import report_samples as samples

CLUSTER = Backend("kind", ("cilium", "kubernetes"))
PASSED, FAILED = Status.PASSED, Status.FAILED
E, C, GAP = Finding.EXPECTATION, Finding.CLUSTER, Finding.ORACLE

TABLE = [
    # expected, predicted, observed, status, finding
    (Expected.ALLOW, Answer.ALLOW, Verdict.ALLOW, PASSED, None),
    (Expected.DENY, Answer.DENY, Verdict.DROP, PASSED, None),
    (Expected.ALLOW, Answer.DENY, Verdict.DROP, FAILED, E),
    (Expected.DENY, Answer.ALLOW, Verdict.ALLOW, FAILED, E),
    (Expected.ALLOW, Answer.ALLOW, Verdict.DROP, FAILED, C),
    (Expected.DENY, Answer.DENY, Verdict.ALLOW, FAILED, C),
    (Expected.ALLOW, Answer.DENY, Verdict.ALLOW, PASSED, GAP),
    (Expected.DENY, Answer.ALLOW, Verdict.REJECT, PASSED, GAP),
    # Both deny, only not in the way that the author named: nothing follows.
    (Expected.REJECT, Answer.DENY, Verdict.DROP, FAILED, None),
    # Denied in another way than expected, although paper allows it: the network is at fault.
    (Expected.REJECT, Answer.ALLOW, Verdict.DROP, FAILED, C),
    (Expected.ALLOW, Answer.UNDEFINED, Verdict.DROP, FAILED, None),
    (Expected.DENY, Answer.UNDEFINED, Verdict.DROP, PASSED, None),
    (Expected.OBSERVE, Answer.DENY, Verdict.ALLOW, PASSED, None),
    (Expected.ALLOW, Answer.DENY, None, Status.ERROR, None),
    # A known deviation is known.
    (Expected.DENY, Answer.DENY, Verdict.ALLOW, Status.XFAILED, None),
    # As when the known deviation is gone, or the cell flaps: the verdict itself is as expected.
    (Expected.DENY, Answer.DENY, Verdict.DROP, FAILED, None),
]


@pytest.mark.parametrize(("expected", "predicted", "observed", "status", "finding"), TABLE)
def test_table(
    expected: Expected, predicted: Answer, observed: Verdict | None, status: Status, finding: Finding | None
) -> None:
    cell = samples.cell("n/a", "n/b", expected)
    result = samples.judged(cell, status, verdict=observed)
    found = weigh(result, Predicted(predicted, "why", (samples.RULE,)), CLUSTER)
    assert found.finding is finding
    assert bool(found.finding_text) is (finding is not None)
    assert found.status is status
    if finding is not None:
        assert str(samples.RULE) in found.finding_text


HTTP, DNS = Verdict.DENY_HTTP, Verdict.DNS_REFUSED


@pytest.mark.parametrize(
    ("expected", "denial", "observed", "status", "finding"),
    [
        (Expected.DENY_HTTP, HTTP, HTTP, PASSED, None),
        (Expected.DENY, HTTP, HTTP, PASSED, None),
        (Expected.DENY_HTTP, HTTP, Verdict.DROP, FAILED, C),
        (Expected.DROP, HTTP, HTTP, FAILED, E),
        (Expected.DENY_HTTP, None, Verdict.DROP, FAILED, E),
        (Expected.DENY_HTTP, None, HTTP, PASSED, GAP),
        (Expected.DNS_NXDOMAIN, DNS, Verdict.DNS_NXDOMAIN, PASSED, None),
        (Expected.ALLOW, DNS, DNS, FAILED, E),
        (Expected.DROP, None, Verdict.REJECT, FAILED, None),
    ],
)
def test_which_denial_it_is_counts(
    expected: Expected, denial: Verdict | None, observed: Verdict, status: Status, finding: Finding | None
) -> None:
    result = samples.judged(samples.cell("n/a", "n/b", expected), status, verdict=observed)
    found = weigh(result, Predicted(Answer.DENY, "why", (samples.RULE,), denial), CLUSTER)
    assert found.finding is finding


def test_what_is_declared_for_a_backend_is_no_gap() -> None:
    cell = samples.cell("n/a", "n/b", Expected.DENY)
    expectation = Expectation(Expected.DENY, {"cilium": Expected.ALLOW})
    result = samples.judged(replace(cell, expectation=expectation), PASSED, verdict=Verdict.ALLOW)
    result = replace(result, expected=Expected.ALLOW)
    assert weigh(result, Predicted(Answer.DENY), CLUSTER).finding is None


def test_the_lab_is_named_and_reasons_stand_in_for_rules() -> None:
    result = samples.judged(samples.cell("n/a", "n/b", Expected.ALLOW), FAILED, verdict=Verdict.DROP)
    found = weigh(result, Predicted(Answer.ALLOW, "no policy isolates n/b for ingress"), samples.LAB)
    assert found.finding_text == (
        "the lab deviates: by the policies it is allow, no policy isolates n/b for ingress"
    )
    shown = dict(details(samples.failing().scenario, "expect", found, samples.LAB))
    assert shown["predicted"] == "allow, no policy isolates n/b for ingress"
    assert shown["finding"] == found.finding_text
