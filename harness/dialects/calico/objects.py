"""What policies of Calico's refer to: tiers, and sets of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.dialects.calico.parse_objects import RESERVED
from harness.dialects.calico.selectors import Expression, SetLabels
from harness.dialects.calico.types import CalicoPolicy, CalicoTier, NetworkSet
from harness.model.policy import Policy
from harness.model.rules import Network, Tier
from harness.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a world.

    Attributes:
        tiers: By name, with whether each passes on what none of its rules decides.
    """

    tiers: Mapping[str, tuple[Tier, bool]]
    sets: tuple[NetworkSet, ...]
    topology: Topology

    @classmethod
    def of(cls, policies: Sequence[Policy], topology: Topology) -> Objects:
        """Those among some policies."""
        tiers = {name: (tier, action == "Pass") for name, (tier, action) in RESERVED.items()}
        sets = []
        for policy in policies:
            parsed = policy.parsed
            if isinstance(parsed, CalicoTier) and parsed.name not in RESERVED:
                tiers[parsed.name] = Tier(parsed.name, parsed.order, parsed.name), parsed.passes
            elif isinstance(parsed, NetworkSet):
                sets.append(parsed)
        return cls(tiers, tuple(sets), topology)

    def enforced(self, policy: Policy) -> CalicoPolicy | None:
        """What is enforced for pods: nothing staged, or about hosts, or in a tier that is not there."""
        parsed = policy.parsed
        if not isinstance(parsed, CalicoPolicy) or parsed.staged or parsed.hosts_only:
            return None
        return parsed if parsed.tier in self.tiers else None

    def networks(self, expression: Expression) -> list[Network]:
        """The addresses of all sets that a selector selects."""
        return [
            network
            for item in self.sets
            if expression.matches(SetLabels(dict(item.labels), item.namespace, self.topology))
            for network in item.nets
        ]
