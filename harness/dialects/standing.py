"""How policies stand to a pod on paper: the form in which every dialect brings them before the oracle.

The dialect says which policies select the pod, in which tier and in which place there, and whether a rule
matches a connection. The oracle alone decides, over the policies of all dialects together
(`harness.oracle.tiers`); it never sees the neutral stages that the same policies compile to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from harness.dialects.connection import Connection
from harness.model.policy import Policy
from harness.model.rules import OPEN_POINTS, Action, Direction, Origin, Tier
from harness.model.topology import Topology
from harness.model.trace import Part

Match = bool | str
"""Whether something matches: yes, no, or what that depends on: a key of `OPEN_POINTS` or of `UNKNOWN`."""

UNKNOWN: Mapping[str, str] = MappingProxyType(
    {
        "address": "the cluster chooses the addresses of pods and nodes, and the rule names some addresses",
        "node-labels": "the rule selects nodes by labels, and scenarios do not say which labels nodes have",
        "placement": "the scenario does not say whether they share a node, and the rule tells that apart",
        "api-server": "the files do not say on which node the API server runs",
        "authentication": "only the cluster knows whether pods can authenticate, and which mode counts",
        "cluster-name": "the rule names a cluster, and scenarios do not say what theirs is called",
        "reserved-label": "which reserved label addresses outside carry depends on the cluster's families",
        "cloud-groups": "the rule names groups of a cloud, which only the cloud knows",
        "service-ports": "no service of the scenario is meant, and what Cilium makes of ports beside such "
        "names in a deny rule is not known",
        "named-port": "pods call different ports by the name",
        "host-firewall": "a policy selects nodes, which counts only where Cilium's host firewall is on",
        "application": "what the rule says of requests is no answer to a probe of this kind",
        "source-port": "the rule names ports from which connections come, and any may be taken",
        "application-policy": "requests are looked into only where Calico's application layer policy is set "
        "up; elsewhere all of them pass",
        "not-icmp": "what notICMP says of other protocols is not known: it needs `protocol: ICMP` beside it",
        "dns-any-port": "whether a rule without ports opens names that DNS rules do not, differs",
    }
)
"""What the files do not tell, although the specification is clear; whole sentences without full stop."""


def depends_on(match: str) -> str:
    """A sentence that says on what a match depends."""
    return UNKNOWN.get(match) or f"undefined by the specification: {OPEN_POINTS[match]}"


class Standing(ABC):
    """One policy that selects one pod in one direction.

    Attributes:
        rules: Those of the direction, as the dialect's parser made them; each has a `place`.
        tier: Where it is evaluated.
        order: Place in the tier, the lowest first.
        tie: Decides between equal `order`, where the specification says how; policies that are equal in both
            have no defined order.
        older_tie: How older releases decide; policies that they sort otherwise have no defined order either.
        ordered: Whether the first rule that matches decides; otherwise every rule that matches counts.
        isolates: Whether a connection is denied that no rule of the tier matches.
        doubt: The open point on which it depends whether the policy selects the pod at all.
        strict: Whether isolation also concerns ICMP and what the pod sends to its own node, on which
            NetworkPolicy is silent.
    """

    order: float = 0
    tie: str = ""
    older_tie: str = ""
    ordered: bool = True
    isolates: bool = False
    doubt: str | None = None
    strict: bool = False

    def __init__(
        self, policy: Policy, tier: Tier, rules: Sequence[Any], direction: Direction, topology: Topology
    ) -> None:
        self.policy = policy
        self.tier = tier
        self.rules = rules
        self.direction = direction
        self.topology = topology

    @property
    def origin(self) -> Origin:
        """The policy as a whole."""
        return Origin(str(self.policy), "", self.policy.place)

    def rule_origin(self, number: int) -> Origin:
        """One of its rules."""
        return Origin(str(self.policy), f"{self.direction}[{number}]", self.rules[number].place)

    @abstractmethod
    def action(self, rule: Any) -> Action:
        """What a rule does with a connection that it matches."""

    @abstractmethod
    def matches(self, rule: Any, connection: Connection) -> Match:
        """Whether a rule matches."""

    def demands(self, rule: Any) -> bool:
        """Whether a proxy looks into what a rule allows."""
        return False

    def passes(self, rule: Any, connection: Connection) -> Match:
        """Whether a rule that allows the connection lets its request pass, too."""
        return True

    def near(self, rule: Any, connection: Connection) -> bool:
        """Whether a rule may match with this peer on some port; False spares `matches` for every port."""
        return True

    def silent(self, connection: Connection) -> str | None:
        """The open point on which it depends whether `isolates` concerns this connection; None = it does."""
        return None

    @abstractmethod
    def parts(self, rule: Any, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Peers and ports of a rule, each with whether it matches and why; for traces only."""


class Muted(Standing):
    """A policy some of whose rules are taken not to match: what would be without them."""

    def __init__(self, inner: Standing, muted: frozenset[Origin]) -> None:
        super().__init__(inner.policy, inner.tier, inner.rules, inner.direction, inner.topology)
        self.order, self.tie, self.ordered = inner.order, inner.tie, inner.ordered
        self.older_tie = inner.older_tie
        self.isolates, self.doubt, self.strict = inner.isolates, inner.doubt, inner.strict
        self._inner = inner
        self._muted = {
            id(rule) for number, rule in enumerate(inner.rules) if inner.rule_origin(number) in muted
        }

    def rule_origin(self, number: int) -> Origin:
        """See `Standing.rule_origin`."""
        return self._inner.rule_origin(number)

    def action(self, rule: Any) -> Action:
        """See `Standing.action`."""
        return self._inner.action(rule)

    def matches(self, rule: Any, connection: Connection) -> Match:
        """See `Standing.matches`."""
        return id(rule) not in self._muted and self._inner.matches(rule, connection)

    def demands(self, rule: Any) -> bool:
        """See `Standing.demands`."""
        return self._inner.demands(rule)

    def passes(self, rule: Any, connection: Connection) -> Match:
        """See `Standing.passes`."""
        return self._inner.passes(rule, connection)

    def silent(self, connection: Connection) -> str | None:
        """See `Standing.silent`."""
        return self._inner.silent(connection)

    def parts(self, rule: Any, connection: Connection) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """See `Standing.parts`."""
        return self._inner.parts(rule, connection)
