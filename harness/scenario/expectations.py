"""`verdict:` and `known:` → expectations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from harness.model.probe import DnsQuery, HttpRequest, Probe, TargetKind
from harness.model.topology import Protocol
from harness.model.verdict import Expectation, Expected, Known
from harness.scenario.located import Text
from harness.scenario.schema import KnownSpec
from harness.source import Place
from harness.source.diagnostics import Problems, did_you_mean

_Value = TypeVar("_Value")

BACKENDS = (
    "antrea",
    "calico",
    "canal",
    "cilium",
    "flannel",
    "generic",
    "kindnet",
    "kube-router",
    "lab",
    "ovn-kubernetes",
    "weave",
)
"""Names of CNIs and of the lab's personalities that suggestions are made from; others are accepted, too."""

_BACKEND = re.compile(
    r"(?P<name>[a-z0-9][-a-z0-9]*)\s*(?:{0}(?:\s*,\s*{0})*)?".format(
        r"(?:<=|>=|<|>|==|=)\s*v?[0-9]+(?:\.[0-9]+)*"
    )
)


def expectation(
    verdict: Expected | Mapping[Text, Expected], known: Iterable[KnownSpec], place: Place, problems: Problems
) -> Expectation | None:
    """What an entry expects; None when it was reported."""
    deviations = tuple(
        Known(str(item.backend), item.verdict, str(item.why))
        for item in known
        if _known_backend(item, problems)
    )
    default, backends = by_backend(verdict, place, problems)
    return None if default is None else Expectation(default, backends, deviations)


def by_backend(
    given: _Value | Mapping[Text, _Value] | None, place: Place, problems: Problems, what: str = "the verdict"
) -> tuple[_Value | None, dict[str, _Value]]:
    """What an entry says for every backend (None when it was reported as missing), and for those it names."""
    if not isinstance(given, Mapping):
        return given, {}
    default: _Value | None = None
    backends = {}
    for name, value in given.items():
        if name == "default":
            default = value
        elif _backend(name, name, problems):
            backends[str(name)] = value
    if default is None:
        problems.error(
            "missing-default",
            f"{what} has no `default`",
            place,
            help="add `default:` for the backends that are not named",
        )
    return default, backends


def _backend(name: str, text: Text, problems: Problems) -> bool:
    if name in BACKENDS:
        return True
    near = did_you_mean(name, BACKENDS)
    if near:
        problems.error("unknown-backend", f'"{name}" is no backend', text.part(name), help=near)
    return not near


def _known_backend(item: KnownSpec, problems: Problems) -> bool:
    found = _BACKEND.fullmatch(item.backend)
    if found is None:
        problems.error(
            "bad-backend",
            f'"{item.backend}" names no backend',
            item.backend.place,
            help="write a CNI's name, with versions if needed: calico<3.33, or cilium>=1.19,<1.19.5",
        )
        return False
    if found["name"] in ("lab", "generic"):
        problems.error(
            "known-lab",
            "the lab has no known deviations",
            item.backend.place,
            help="write what the lab should do as its verdict: {default: …, lab: …}",
        )
        return False
    return _backend(found["name"], item.backend, problems)


def possible(expected: Expectation, probe: Probe, place: Place, problems: Problems) -> bool:
    """Whether the probe can have these verdicts at all; reported when not."""
    is_http = isinstance(probe.request, HttpRequest)
    is_dns = isinstance(probe.request, DnsQuery) or probe.target.kind is TargetKind.HOST
    over_tcp = probe.target.protocol is Protocol.TCP and not isinstance(probe.request, DnsQuery)
    rules = {
        Expected.DENY_HTTP: (is_http, "only an HTTP request can be denied so; write the cell with `http:`"),
        Expected.DNS_REFUSED: (is_dns, "only a lookup can be refused so; write `dns:` or a `host:` target"),
        Expected.DNS_NXDOMAIN: (is_dns, "only a lookup can fail so; write `dns:` or a `host:` target"),
        Expected.TLS_REJECTED: (over_tcp, "only a TCP connection can be rejected so"),
    }
    given = (expected.default, *expected.backends.values(), *(item.verdict for item in expected.known))
    for verdict in given:
        holds, advice = rules.get(verdict, (True, ""))
        if not holds:
            problems.error("impossible-verdict", f"this cell cannot end with {verdict}", place, help=advice)
            return False
    return True
