"""Calico's policies on paper: whom a policy selects, and which of its rules match (semantics.md 3.4).

Shares the parser and the selectors with the compiler, and nothing else: each checks the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.calico import ends
from harness.dialects.calico.objects import Objects
from harness.dialects.calico.selectors import PodLabels
from harness.dialects.calico.transports import transports
from harness.dialects.calico.types import CalicoPolicy, CalicoRule
from harness.dialects.connection import Connection
from harness.dialects.standing import Match, Standing, depends_on
from harness.model.policy import Policy
from harness.model.probe import HttpRequest
from harness.model.rules import Action, Direction, Tier
from harness.model.topology import Pod, Topology
from harness.model.trace import Part
from harness.source import Place


def standing(
    policies: Sequence[Policy], topology: Topology, direction: Direction, pod: Pod
) -> Iterator[Standing]:
    """The policies that select a pod and govern the direction; never a hostNetwork pod."""
    if pod.host_network:
        return
    objects = Objects.of(policies, topology)
    labels = PodLabels(pod, topology)
    for policy in policies:
        spec = objects.enforced(policy)
        if spec is not None and direction in spec.directions and spec.subject.matches(labels):
            tier, passes = objects.tiers[spec.tier]
            yield _Standing(policy, spec, tier, direction, objects, passes=passes)


class _Standing(Standing):
    """One policy: its rules are asked in order, and its tier denies what none of them decides."""

    strict = True

    def __init__(
        self,
        policy: Policy,
        spec: CalicoPolicy,
        tier: Tier,
        direction: Direction,
        objects: Objects,
        *,
        passes: bool,
    ) -> None:
        super().__init__(policy, tier, spec.rules(direction), direction, objects.topology)
        self.order = spec.order
        self.tie = f"{policy.name}/{spec.namespace}"
        # Names had their tier before them, and those of namespaces their namespace before that.
        name = policy.name if "." in policy.name else f"{spec.tier}.{policy.name}"
        self.older_tie = f"{spec.namespace}/{name}" if spec.namespace else name
        self.isolates = not passes
        self._objects = objects

    def action(self, rule: CalicoRule) -> Action:
        """See `Standing.action`."""
        return rule.action

    def matches(self, rule: CalicoRule, connection: Connection) -> Match:
        """Everything that a rule says, at once."""
        if rule.family not in (None, connection.family):
            return False
        return ends.every(
            lambda: transports(rule, connection),
            lambda: self._who(rule, connection),
            lambda: self._ports(rule, connection),
        )

    def near(self, rule: CalicoRule, connection: Connection) -> bool:
        """See `Standing.near`."""
        return rule.family in (None, connection.family) and self._who(rule, connection) is not False

    def demands(self, rule: CalicoRule) -> bool:
        """See `Standing.demands`."""
        return rule.http is not None

    def passes(self, rule: CalicoRule, connection: Connection) -> Match:
        """Without application layer policy everything passes; with it, requests that the rule names."""
        if rule.http is None:
            return True
        request = connection.request
        if isinstance(request, HttpRequest) and all(_meant(rule, one) for one in (*request.after, request)):
            return True
        return "application-policy"

    def parts(self, rule: CalicoRule, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """See `Standing.parts`; what a rule says of its ends holds at once, so that it is one part."""
        peers: tuple[Part, ...] = ()
        said = [
            part
            for entity, end in (
                (rule.peer(self.direction), connection.peer(self.direction)),
                (rule.own(self.direction), connection.subject(self.direction)),
            )
            for part in ends.parts(entity, end, connection, self._objects)
        ]
        if said:
            side = "source" if self.direction is Direction.INGRESS else "destination"
            peers = (_summary(side, said, rule.peer(self.direction).place),)
        ports: tuple[Part, ...] = ()
        wanted = ends.in_words(rule)
        if wanted:
            match = ends.every(
                lambda: rule.family in (None, connection.family),
                lambda: transports(rule, connection),
                lambda: self._ports(rule, connection),
            )
            ports = (_part("protocol", match, f"wants {wanted}", ends.transport_place(rule)),)
        return peers, ports

    def _who(self, rule: CalicoRule, connection: Connection) -> Match:
        return ends.every(
            lambda: ends.means(rule.source, connection.source, connection, self._objects),
            lambda: ends.means(rule.destination, connection.destination, connection, self._objects),
        )

    def _ports(self, rule: CalicoRule, connection: Connection) -> Match:
        return ends.every(
            lambda: ends.arrives(rule.destination, connection, self.topology),
            lambda: ends.leaves(rule.source, connection, self.topology),
        )


def _meant(rule: CalicoRule, request: HttpRequest) -> bool:
    http = rule.http
    assert http is not None
    path = request.path.partition("?")[0]
    methods = not http.methods or request.method in http.methods
    return methods and (not http.paths or any(item.matches(path) for item in http.paths))


def _summary(name: str, said: Sequence[tuple[Match, str]], place: Place) -> Part:
    """The first thing that does not hold, or that is open; else the last that does."""
    match: Match = True
    why = said[-1][1]
    for found, text in said:
        if found is False:
            match, why = found, text
            break
        if isinstance(found, str) and match is True:
            match, why = found, text
    return _part(name, match, why, place)


def _part(name: str, match: Match, why: str, place: Place) -> Part:
    if isinstance(match, str):
        return Part(name, None, f"{why}; {depends_on(match)}", place)
    return Part(name, match, why, place)
