"""Where network plugins are known to depart from the specification.

Each was seen with packets and is tracked by the plugin's own project. The shipped scenarios declare them as
`known`, `docs/clusters.md` lists them, and reports name those that a failed cell may have met; a test
compares the three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from harness.engine.status import matches
from harness.model.policy import Policy
from harness.model.result import Backend
from harness.model.verdict import Expected, Verdict

_NETWORK_POLICY = "networking.k8s.io/v1"

Spec = Mapping[str, Any]


class _Concerns(Protocol):
    def __call__(self, spec: Spec, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Deviation:
    """One bug or choice of a plugin that changes verdicts.

    Attributes:
        backend: Plugin and versions, as in `known`.
        verdict: What the plugin gives, where the specification says otherwise.
        text: What it does.
        why: Where it is tracked.
        concerns: Whether a NetworkPolicy of this spec can meet it.
    """

    backend: str
    verdict: Expected
    text: str
    why: str
    concerns: _Concerns


def _named_egress_port(spec: Spec) -> bool:
    ports = (port for rule in spec.get("egress") or () for port in rule.get("ports") or ())
    return any(isinstance(port.get("port"), str) for port in ports)


def _ingress_block(spec: Spec) -> bool:
    return any("ipBlock" in peer for rule in spec.get("ingress") or () for peer in rule.get("from") or ())


def _section_left_out(spec: Spec) -> bool:
    types = spec.get("policyTypes") or ()
    left_out = {"Ingress", "Egress"}.difference(types) if types else ()
    return any(spec.get(section.lower()) for section in left_out)


DEVIATIONS = (
    Deviation(
        "cilium",
        Expected.DROP,
        "enforces every section that has rules, also one that `policyTypes` leaves out",
        "https://github.com/cilium/cilium/issues/48703",
        _section_left_out,
    ),
    Deviation(
        "cilium<1.20",
        Expected.DROP,
        "lets nothing out by a port's name to which pods of the cluster give different numbers",
        "https://github.com/cilium/cilium/issues/30003",
        _named_egress_port,
    ),
    Deviation(
        "cilium>=1.19,<1.19.5",
        Expected.ALLOW,
        "takes a peer that is only an `ipBlock` for every pod of the policy's namespace as well",
        "https://github.com/cilium/cilium/pull/46456",
        _ingress_block,
    ),
)
"""All that are known."""


def suspected(verdict: Verdict, policies: Iterable[Policy], backend: Backend) -> Iterator[str]:
    """What may be behind a verdict that nobody expected, one sentence each.

    Args:
        verdict: As observed.
        policies: All that stood.
        backend: Where.
    """
    if "lab" in backend.names[:1]:
        return
    specs = [item.manifest.get("spec") or {} for item in policies if item.api_version == _NETWORK_POLICY]
    for item in DEVIATIONS:
        fits = item.verdict.accepts(verdict) and matches(item.backend, backend)
        if fits and any(item.concerns(spec) for spec in specs):
            yield f"{item.backend} {item.text}: {item.why}"
