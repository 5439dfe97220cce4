"""Verdict and expectation in, status out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model.result import Backend
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict

_KNOWN = re.compile(r"^(?P<name>[a-z0-9-]+)(?:(?P<op><=|>=|==|<|>)(?P<version>[0-9.]+))?$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A status with its reason; empty for a plain pass."""

    status: Status
    expected: Expected
    reason: str = ""


def decide(expectation: Expectation, verdict: Verdict, backend: Backend) -> Outcome:
    """Compare a verdict with what the author expects on this backend."""
    expected = expectation.on(backend.names)
    known = _known(expectation, backend)
    if known is not None:
        if known.verdict.accepts(verdict):
            return Outcome(Status.XFAILED, expected, f"known deviation of {known.backend}: {known.why}")
        if expected.accepts(verdict):
            return Outcome(
                Status.FAILED,
                expected,
                f"the known deviation of {known.backend} is gone ({known.why}): remove `known`",
            )
    if expected.accepts(verdict):
        return Outcome(Status.PASSED, expected)
    return Outcome(Status.FAILED, expected, f"expected {expected}, observed {verdict}")


def _known(expectation: Expectation, backend: Backend) -> Known | None:
    """The known deviation that applies here; never one for the lab, which has to be right."""
    if backend.names[0] == "lab":
        return None
    return next((item for item in expectation.known if matches(item.backend, backend)), None)


def matches(condition: str, backend: Backend) -> bool:
    """Whether `calico<3.33` describes a backend: its name, and its version where one is asked for."""
    found = _KNOWN.match(condition.replace(" ", ""))
    if found is None or found["name"] not in backend.names:
        return False
    if not found["op"]:
        return True
    version = backend.versions.get(found["name"])
    if version is None:
        return False
    ours, theirs = _numbers(version), _numbers(found["version"])
    width = max(len(ours), len(theirs))
    ours, theirs = ours + (0,) * (width - len(ours)), theirs + (0,) * (width - len(theirs))
    return {
        "<": ours < theirs,
        "<=": ours <= theirs,
        ">": ours > theirs,
        ">=": ours >= theirs,
        "==": ours == theirs,
    }[found["op"]]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(item) for item in re.findall(r"\d+", version.split("-")[0]))
