"""Verdict and expectation in, status out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.status import decide, matches
from harness.model.result import Backend
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict

LAB = Backend("lab", ("lab", "generic"))
LAB_AS_CALICO = Backend("lab?as=calico", ("lab", "calico"), {"calico": "3.30"})
CALICO = Backend("kind", ("calico",), {"calico": "v3.32.1"})
CILIUM = Backend("kind", ("cilium",), {"cilium": "1.20.0-rc.1"})
NO_VERSION = Backend("context:x", ("calico",))

E, V = Expected, Verdict
DENIALS = [item for item in Verdict if item is not Verdict.ALLOW]


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("expected", [item for item in Expected if item is not Expected.ORACLE])
def test_plain_expectation(expected: Expected, verdict: Verdict) -> None:
    fits = {
        Expected.OBSERVE: True,
        Expected.DENY: verdict in DENIALS,
    }.get(expected, expected.value == verdict.value)
    found = decide(Expectation(expected), verdict, LAB)
    assert found.status is (Status.PASSED if fits else Status.FAILED)
    assert found.expected is expected
    assert found.reason == ("" if fits else f"expected {expected}, observed {verdict}")


PER_BACKEND = Expectation(E.DENY, {"cilium": E.DROP, "calico": E.REJECT, "lab": E.ALLOW})


@pytest.mark.parametrize(
    ("backend", "verdict", "expected", "status"),
    [
        (CILIUM, V.DROP, E.DROP, Status.PASSED),
        (CILIUM, V.REJECT, E.DROP, Status.FAILED),
        (CALICO, V.REJECT, E.REJECT, Status.PASSED),
        (Backend("kind", ("kindnet",)), V.REJECT, E.DENY, Status.PASSED),
        # `lab` is more particular than its personality.
        (LAB_AS_CALICO, V.ALLOW, E.ALLOW, Status.PASSED),
        (LAB_AS_CALICO, V.REJECT, E.ALLOW, Status.FAILED),
    ],
)
def test_expectation_per_backend(
    backend: Backend, verdict: Verdict, expected: Expected, status: Status
) -> None:
    found = decide(PER_BACKEND, verdict, backend)
    assert (found.expected, found.status) == (expected, status)


def test_the_lab_takes_its_personality_when_it_is_not_named_itself() -> None:
    found = decide(Expectation(E.DENY, {"calico": E.REJECT}), V.DROP, LAB_AS_CALICO)
    assert (found.expected, found.status) == (E.REJECT, Status.FAILED)


BUG = Expectation(E.DENY, known=(Known("calico<3.33", E.ALLOW, "https://bugs.example/1"),))


@pytest.mark.parametrize(
    ("backend", "verdict", "status", "reason"),
    [
        (CALICO, V.ALLOW, Status.XFAILED, "known deviation of calico<3.33: https://bugs.example/1"),
        (
            CALICO,
            V.DROP,
            Status.FAILED,
            "the known deviation of calico<3.33 is gone (https://bugs.example/1): remove `known`",
        ),
        (CILIUM, V.ALLOW, Status.FAILED, "expected deny, observed allow"),
        (CILIUM, V.DROP, Status.PASSED, ""),
        (NO_VERSION, V.ALLOW, Status.FAILED, "expected deny, observed allow"),
        (NO_VERSION, V.DROP, Status.PASSED, ""),
        # The lab has to be right, whatever it goes by.
        (LAB_AS_CALICO, V.ALLOW, Status.FAILED, "expected deny, observed allow"),
        (LAB_AS_CALICO, V.DROP, Status.PASSED, ""),
    ],
)
def test_known_deviation(backend: Backend, verdict: Verdict, status: Status, reason: str) -> None:
    found = decide(BUG, verdict, backend)
    assert (found.status, found.reason, found.expected) == (status, reason, E.DENY)


def test_wrong_in_another_way_than_known_fails() -> None:
    expectation = Expectation(E.ALLOW, known=(Known("calico", E.REJECT, "why"),))
    assert decide(expectation, V.REJECT, CALICO).status is Status.XFAILED
    found = decide(expectation, V.DROP, CALICO)
    assert (found.status, found.reason) == (Status.FAILED, "expected allow, observed drop")


def test_any_of_several_known_deviations_will_do() -> None:
    expectation = Expectation(
        E.ALLOW, known=(Known("calico<4", E.REJECT, "one"), Known("calico", E.DROP, "two"))
    )
    assert decide(expectation, V.DROP, CALICO).reason == "known deviation of calico: two"
    assert decide(expectation, V.REJECT, CALICO).reason == "known deviation of calico<4: one"
    assert decide(expectation, V.ALLOW, CALICO).status is Status.FAILED


@given(st.sampled_from(Verdict), st.sampled_from(Expected), st.sampled_from((LAB, CALICO, CILIUM)))
def test_observe_never_fails(verdict: Verdict, deviation: Expected, backend: Backend) -> None:
    expectation = Expectation(E.OBSERVE, known=(Known("calico", deviation, "why"),))
    assert decide(expectation, verdict, backend).status is Status.PASSED


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ("calico", True),
        ("cilium", False),
        ("calico<3.33", True),
        ("calico < 3.33", True),
        ("calico<v3.33", True),
        ("calico<3.32.1", False),
        ("calico<=3.32.1", True),
        ("calico<=3.32", False),
        ("calico>3.32", True),
        ("calico>=3.32.1.0", True),
        ("calico>3.32.1", False),
        ("calico==3.32.1", True),
        ("calico=3.32.1", True),
        ("calico==3.32", False),
        ("calico<3.4", False),
        ("calico<10", True),
        ("calico<", False),
        ("calico<newest", False),
        ("calico>=3.32,<3.33", True),
        ("calico>=3.32, <3.33", True),
        ("calico>=3.31,<3.32.1", False),
        ("calico>=3.33,<3.34", False),
        ("calico<3.33,", False),
        ("", False),
    ],
)
def test_condition(condition: str, fits: bool) -> None:
    assert matches(condition, CALICO) is fits


@pytest.mark.parametrize("version", ["", "unknown", "latest"])
def test_an_unknown_version_lies_within_no_bound(version: str) -> None:
    backend = Backend("x", ("cilium",), {"cilium": version})
    assert matches("cilium", backend)
    assert not any(matches(f"cilium{bound}", backend) for bound in ("<2", ">=0", "==0", "<=9"))


def test_a_release_candidate_counts_as_its_release() -> None:
    assert matches("cilium==1.20.0", CILIUM)
    assert matches("cilium>=1.20", Backend("x", ("cilium",), {"cilium": "1.20.0+build7"}))
    assert matches("cilium==1.20", Backend("x", ("cilium",), {"cilium": "1.20.0+build7"}))


def test_a_name_with_hyphens() -> None:
    router = Backend("x", ("kube-router",), {"kube-router": "v2.11.1"})
    assert matches("kube-router>=2.11", router)
    assert not matches("kube", router)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4), st.lists(st.integers(0, 40), min_size=1, max_size=4)
)
def test_versions_compare_as_numbers(ours: list[int], theirs: list[int]) -> None:
    width = max(len(ours), len(theirs))
    one, other = (tuple(item + [0] * (width - len(item))) for item in (ours, theirs))
    backend = Backend("x", ("calico",), {"calico": ".".join(map(str, ours))})
    version = ".".join(map(str, theirs))
    assert matches(f"calico<{version}", backend) is (one < other)
    assert matches(f"calico>={version}", backend) is (one >= other)
    assert matches(f"calico=={version}", backend) is (one == other)
