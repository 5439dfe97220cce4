"""How a network plugin reads what specifications leave open (docs/semantics.md, section 4).

The lab takes a personality on, and the oracle answers for it. What a personality does not settle stays open:
it is known of no plugin, or depends on how a cluster is set up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from harness.model.policy import Policy
from harness.model.rules import Block, Reach, Rule, Stage
from harness.model.scenario import Scenario
from harness.model.verdict import Verdict


class Enforcement(StrEnum):
    """Cilium's `enable-policy`: whom it isolates.

    `default` are the pods that some policy isolates, `always` all pods in both directions, `never` none: then
    no policy has any effect.
    """

    DEFAULT = "default"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Personality:
    """One reading.

    Attributes:
        name: Goes into `verdict:` maps and reports.
        cidr: Cilium's `policyCIDRMatchMode`: which of `pods` and `nodes` blocks of addresses match.
        matches: Open points on which rules rest (keys of `OPEN_POINTS`), with whether such rules match.
        isolates_icmp: Whether isolation concerns ICMP; None where that is open.
        polices_own_node: Whether what a pod sends to its own node must be allowed like everything else.
        frees_own_node: Whether no policy can keep a pod from being reached by its own node, either.
        frees_own_service: Whether no policy can keep a pod from itself through its own Service.
        cuts_connections: Whether each packet is judged, and not only the first one of a connection.
        sorts_by_name: Whether names decide between admin policies of the same priority.
        denied_lookup: How a DNS proxy denies a question; Cilium's `tofqdns-dns-reject-response-code`.
        enforcement: Whom it isolates.
        answers_denials: Whether who is denied is told so; Calico's `iptablesFilterDenyAction: Reject`.
    """

    name: str
    cidr: frozenset[str] = frozenset()
    matches: Mapping[str, bool] = field(default_factory=dict, compare=False)
    isolates_icmp: bool | None = None
    polices_own_node: bool = False
    frees_own_node: bool = False
    frees_own_service: bool = False
    cuts_connections: bool = False
    sorts_by_name: bool = False
    denied_lookup: Verdict = Verdict.DNS_REFUSED
    enforcement: Enforcement = Enforcement.DEFAULT
    answers_denials: bool = False

    def reads(self, point: str) -> bool | str:
        """Whether a rule that rests on an open point matches; the point itself where that stays open."""
        return self.matches.get(point, point)

    def settled(self, stages: Iterable[Stage]) -> tuple[Stage, ...]:
        """Neutral rules in this reading: what matches is a rule like others, what does not is none."""
        return tuple(
            replace(
                stage,
                blocks=tuple(replace(block, rules=tuple(self._rules(block.rules))) for block in stage.blocks),
            )
            for stage in stages
        )

    def _rules(self, rules: Iterable[Rule]) -> Iterator[Rule]:
        for rule in rules:
            found = self.reads(rule.open_point) if rule.open_point else rule.open_point
            if found is True:
                yield replace(rule, open_point=None)
            elif found is not False:
                yield self._reaching(rule)

    def _reaching(self, rule: Rule) -> Rule:
        """A rule of Cilium's whose blocks reach as far as Cilium was told."""
        if not self.cidr:
            return rule
        return replace(
            rule,
            matches=tuple(
                one if one.blocks is None else replace(one, blocks=tuple(self._blocks(one.blocks)))
                for one in rule.matches
            ),
        )

    def _blocks(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            yield block
            if block.reach is Reach.CIDR:
                yield from (replace(block, reach=Reach(mode)) for mode in sorted(self.cidr))


GENERIC = Personality("generic")
"""Nothing but the specification: packets pass as the least strict plugin would let them."""


def _matches(*, blocks: bool) -> Mapping[str, bool]:
    """What both plugins agree on, and whether blocks of addresses match pods and nodes."""
    points = {"ipblock-pod": blocks, "ipblock-node": blocks, "host-network": False, "icmp": True}
    return MappingProxyType(points)


CILIUM = Personality(
    "cilium",
    matches=MappingProxyType(
        {"ipblock-pod": False, "ipblock-node": False, "host-network": False, "icmp": True}
    ),
    isolates_icmp=True,
    polices_own_node=True,
    frees_own_service=True,
    cuts_connections=True,
)
"""Identities: no block of addresses stands for a pod or a node, and each packet is judged."""

CALICO = Personality(
    "calico",
    matches=MappingProxyType(
        {"ipblock-pod": True, "ipblock-node": True, "host-network": False, "icmp": True}
    ),
    isolates_icmp=True,
    polices_own_node=True,
    frees_own_node=True,
    sorts_by_name=True,
)
"""Addresses: a block stands for whoever has one, and connection tracking carries what was allowed once."""

CIDR_MODES = ("nodes", "pods")
"""What `policyCIDRMatchMode` may name."""

_BY_DIALECT = {"cilium": CILIUM, "calico": CALICO}


DNS_DENIALS: Mapping[str, Verdict] = MappingProxyType(
    {"refused": Verdict.DNS_REFUSED, "nxdomain": Verdict.DNS_NXDOMAIN}
)
"""How Cilium's DNS proxy can be told to deny, by the words of a cluster spec."""


def cilium_with(
    cidr: Iterable[str] = (),
    denied_lookup: Verdict = Verdict.DNS_REFUSED,
    enforcement: Enforcement = Enforcement.DEFAULT,
) -> Personality:
    """Cilium with settings: `policyCIDRMatchMode`, the response code of its DNS proxy, `enable-policy`."""
    modes = frozenset(cidr)
    points = {"ipblock-pod": "pods" in modes, "ipblock-node": "nodes" in modes}
    return replace(
        CILIUM,
        cidr=modes,
        matches=MappingProxyType({**CILIUM.matches, **points}),
        denied_lookup=denied_lookup,
        enforcement=enforcement,
    )


DENIALS: Mapping[str, bool] = MappingProxyType({"drop": False, "reject": True})
"""How Calico can be told to deny, by the words of a cluster spec, with whether who is denied is told so."""


def calico_with(*, answers_denials: bool = False) -> Personality:
    """Calico with a setting: how Felix denies."""
    return replace(CALICO, answers_denials=answers_denials)


def asked_for(policies: Iterable[Policy]) -> Personality:
    """The personality for which policies ask by their dialects."""
    found = (_BY_DIALECT[item.dialect] for item in policies if item.dialect in _BY_DIALECT)
    return next(found, GENERIC)


def of_scenario(scenario: Scenario) -> Personality:
    """The personality for which a scenario's policies ask, whichever step applies them."""
    return asked_for(policy for step in scenario.steps for policy in (*step.policies, *step.apply))
