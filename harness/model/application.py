"""What a rule demands of the application data of connections that it allows (semantics.md 1.2, 1.3).

A connection that has such demands goes through a proxy of the node. See `harness.model.rules` for how the
demands of several rules come together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.names import NamePattern


class Mismatch(StrEnum):
    """What is done about a header that does not match, instead of denying the request."""

    LOG = "LOG"
    ADD = "ADD"
    DELETE = "DELETE"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One header of a request.

    Attributes:
        name: Compared without regard to case.
        value: What it must be, exactly; None = the header must be there.
        mismatch: None = a request that does not match is not allowed by the rule. Otherwise the request
            passes: as it is (`LOG`), with a header of this value more (`ADD`), without the headers of this
            name whose value is another (`DELETE`), or with this value in place of what it had (`REPLACE`).
    """

    name: str
    value: str | None = None
    mismatch: Mismatch | None = None


@dataclass(frozen=True, slots=True)
class HttpRule:
    """Requests that are allowed; all parts must match, and None matches anything.

    Attributes:
        path: RE2 expression for the whole path, query included.
        method: RE2 expression for the whole method.
        host: RE2 expression for the whole `Host` (with the port, if it carries one).
        headers: All of them.
    """

    path: str | None = None
    method: str | None = None
    host: str | None = None
    headers: tuple[HeaderMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpRules:
    """A request passes when one of the rules allows it; without rules none does."""

    rules: tuple[HttpRule, ...]


@dataclass(frozen=True, slots=True)
class DnsRules:
    """A DNS question passes when its name matches one of the patterns; for answers see `Match.names`."""

    names: tuple[NamePattern, ...]


@dataclass(frozen=True, slots=True)
class ServerNames:
    """A connection passes when it begins with a TLS ClientHello whose server name matches one of these."""

    names: tuple[NamePattern, ...]


Application = HttpRules | DnsRules | ServerNames


class Authentication(StrEnum):
    """Whether the peers of a connection must prove who they are (semantics.md 1.5)."""

    REQUIRED = "required"
    ALWAYS_FAIL = "test-always-fail"
    DISABLED = "disabled"
