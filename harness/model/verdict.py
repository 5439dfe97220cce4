"""Verdicts, expectations, statuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What the network did with a probe (design section 2)."""

    ALLOW = "allow"
    DROP = "drop"
    REJECT = "reject"
    DENY_HTTP = "deny-http"
    DNS_REFUSED = "dns-refused"
    DNS_NXDOMAIN = "dns-nxdomain"
    TLS_REJECTED = "tls-rejected"


class Expected(StrEnum):
    """What an author may expect.

    A verdict, `deny` (any verdict but allow), `observe` (never fails), or `oracle`, which the oracle replaces
    by its prediction before a run.
    """

    ALLOW = "allow"
    DROP = "drop"
    REJECT = "reject"
    DENY_HTTP = "deny-http"
    DNS_REFUSED = "dns-refused"
    DNS_NXDOMAIN = "dns-nxdomain"
    TLS_REJECTED = "tls-rejected"
    DENY = "deny"
    OBSERVE = "observe"
    ORACLE = "oracle"

    def accepts(self, verdict: Verdict) -> bool:
        """Whether `verdict` is what the author expects."""
        if self is Expected.OBSERVE:
            return True
        if self is Expected.DENY:
            return verdict is not Verdict.ALLOW
        return self.value == verdict.value


class Status(StrEnum):
    """What became of a cell; `error` = could not be measured, `failed` = measured and wrong."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"


@dataclass(frozen=True, slots=True)
class Known:
    """A known deviation: on `backend` the network gives `verdict`, and `why` says where that is tracked."""

    backend: str
    verdict: Expected
    why: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the author expects of a cell, per backend where they differ.

    Attributes:
        default: For every backend that `backends` does not name.
        backends: By CNI name or personality (`cilium`, `calico`, `lab`, …).
        known: Strict expected failures, never for the lab.
        written: What stood here before the oracle filled in its prediction; None where it had no part in it.
    """

    default: Expected
    backends: Mapping[str, Expected] = field(default_factory=dict)
    known: tuple[Known, ...] = ()
    written: Expectation | None = field(default=None, compare=False, repr=False)

    def on(self, names: tuple[str, ...]) -> Expected:
        """The expectation on a backend that goes by `names`, the most particular first."""
        for name in names:
            if name in self.backends:
                return self.backends[name]
        return self.default
