"""Verdict and expectation in, status out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model.result import Backend
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict

_NAME = re.compile(r"[a-z0-9-]+?(?=\s*(?:[<>=]|$))")
_BOUND = re.compile(r"\s*,?\s*(?P<op><=|>=|==|=|<|>)\s*v?(?P<version>[0-9.]+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A status with its reason; empty for a plain pass."""

    status: Status
    expected: Expected
    reason: str = ""


def decide(expectation: Expectation, verdict: Verdict, backend: Backend) -> Outcome:
    """Compare a verdict with what the author expects on this backend."""
    expected = expectation.on(backend.names)
    if expected is Expected.OBSERVE:
        return Outcome(Status.PASSED, expected)
    known = _known(expectation, backend)
    for item in known:
        if item.verdict.accepts(verdict):
            return Outcome(Status.XFAILED, expected, f"known deviation of {item.backend}: {item.why}")
    if not expected.accepts(verdict):
        return Outcome(Status.FAILED, expected, f"expected {expected}, observed {verdict}")
    if known:
        return Outcome(
            Status.FAILED,
            expected,
            f"the known deviation of {known[0].backend} is gone ({known[0].why}): remove `known`",
        )
    return Outcome(Status.PASSED, expected)


def _known(expectation: Expectation, backend: Backend) -> tuple[Known, ...]:
    """The known deviations that apply here; never one for the lab, which has to be right."""
    if backend.names[0] == "lab":
        return ()
    return tuple(item for item in expectation.known if matches(item.backend, backend))


def matches(condition: str, backend: Backend) -> bool:
    """Whether `calico<3.33` or `cilium>=1.19,<1.19.5` describes a backend: its name, and every bound."""
    text = condition.strip()
    name = _NAME.match(text)
    if name is None or name[0] not in backend.names:
        return False
    at = name.end()
    while at < len(text):
        bound = _BOUND.match(text, at)
        if bound is None or not _within(backend.versions.get(name[0]), bound["op"], bound["version"]):
            return False
        at = bound.end()
    return True


def _within(version: str | None, op: str, bound: str) -> bool:
    """Whether a version lies within one bound; an unknown one lies within none."""
    ours, theirs = _numbers(version or ""), _numbers(bound)
    if not ours:
        return False
    width = max(len(ours), len(theirs))
    ours, theirs = ours + (0,) * (width - len(ours)), theirs + (0,) * (width - len(theirs))
    return {
        "<": ours < theirs,
        "<=": ours <= theirs,
        ">": ours > theirs,
        ">=": ours >= theirs,
        "==": ours == theirs,
        "=": ours == theirs,
    }[op]


def _numbers(version: str) -> tuple[int, ...]:
    """`v1.20.1-rc.0+build` as (1, 20, 1)."""
    return tuple(int(item) for item in re.findall(r"\d+", re.split(r"[-+]", version)[0]))
