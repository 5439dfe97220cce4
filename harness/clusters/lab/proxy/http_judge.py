"""HTTP rules, compiled, and what they say of a request (semantics.md 1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from harness.clusters.lab.proxy.http_parse import Headers, Request
from harness.model.application import Mismatch


class BadRuleError(ValueError):
    """A rule with an expression that RE2 does not take."""


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression.encode(), options)
    except re2.error as trouble:
        said = trouble.args[0].decode("utf-8", "replace") if trouble.args else ""
        raise BadRuleError(f"RE2 does not take the expression {expression!r}: {said}") from trouble


@dataclass(frozen=True, slots=True)
class _Header:
    name: bytes
    value: bytes | None
    mismatch: Mismatch | None

    def holds(self, headers: Headers) -> bool:
        values = [value for name, value in headers if name == self.name]
        if not values:
            return False
        return self.value is None or b",".join(values) == self.value

    def mend(self, headers: Headers) -> Headers:
        """The headers after what is done about a mismatch."""
        value = self.value or b""
        match self.mismatch:
            case Mismatch.ADD:
                return [*headers, (self.name, value)]
            case Mismatch.DELETE:
                return [item for item in headers if item[0] != self.name or item[1] == value]
            case Mismatch.REPLACE:
                return [*(item for item in headers if item[0] != self.name), (self.name, value)]
        return headers


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule; a part that is None matches anything.

    Attributes:
        demands: Headers without which the request is not allowed.
        mends: Headers that are put right, and deny nothing.
    """

    path: Any
    method: Any
    host: Any
    demands: tuple[_Header, ...]
    mends: tuple[_Header, ...]

    @classmethod
    def from_wire(cls, rule: Sequence[Any]) -> CompiledRule:
        """Read `[path, method, host, [[name, value, mismatch]]]`.

        Raises:
            BadRuleError: RE2 does not take an expression.
        """
        path, method, host, headers = rule
        made = [
            _Header(
                name.lower().encode("latin-1", "replace"),
                None if value is None else value.encode(),
                None if mismatch is None else Mismatch(mismatch),
            )
            for name, value, mismatch in headers
        ]
        return cls(
            None if path is None else _compiled(path),
            None if method is None else _compiled(method),
            None if host is None else _compiled(host),
            tuple(item for item in made if item.mismatch is None),
            tuple(item for item in made if item.mismatch is not None),
        )

    def allows(self, request: Request) -> bool:
        """Whether every part matches as a whole."""
        return (
            (self.path is None or self.path.fullmatch(request.target) is not None)
            and (self.method is None or self.method.fullmatch(request.method) is not None)
            and (self.host is None or self.host.fullmatch(request.authority) is not None)
            and all(item.holds(request.headers) for item in self.demands)
        )


def judge(rules: Iterable[CompiledRule], request: Request) -> Headers | None:
    """The headers with which a request passes; None when no rule allows it."""
    for rule in rules:
        if rule.allows(request):
            headers = request.headers
            for item in rule.mends:
                if not item.holds(headers):
                    headers = item.mend(headers)
            return headers
    return None
