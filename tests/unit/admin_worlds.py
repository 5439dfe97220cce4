"""Strategies for admin policies; the worlds are those of NetworkPolicies."""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st

from harness.dialects.admin.types import (
    AdminPolicy,
    AdminRule,
    AdminTier,
    NameSet,
    NetworkSet,
    NodeSet,
    PodSet,
    PortName,
    PortNumbers,
)
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.rules import Action
from tests.unit.kubernetes_worlds import BLOCKS, HERE, PORT_NAMES, SCTP, SELECTORS, TCP, UDP

POD_SETS = st.builds(PodSet, SELECTORS, SELECTORS, st.just(HERE))
EVERY_POD = PodSet(LabelSelector(), LabelSelector(), HERE)
OUTSIDE = (
    st.builds(
        NetworkSet,
        st.lists(st.sampled_from(BLOCKS).map(ipaddress.ip_network), min_size=1, max_size=2).map(tuple),
        st.just(HERE),
    )
    | st.just(NodeSet(LabelSelector(), HERE))
    | st.sampled_from((NameSet(("in.example.com",), HERE), NameSet(("*.example.com",), HERE)))
)
NUMBERS = st.builds(
    lambda protocol, span: PortNumbers(protocol, *span, HERE),
    st.sampled_from((TCP, UDP, SCTP)),
    st.sampled_from(((53, 53), (80, 80), (80, 90), (1, 65535))),
)
NAMES = st.builds(PortName, st.sampled_from(PORT_NAMES), st.just(HERE))
ACTIONS = st.sampled_from((Action.ALLOW, Action.DENY, Action.PASS))


@st.composite
def rules(draw: st.DrawFn, *, egress: bool) -> AdminRule:
    """A rule that the CRD takes: names of ports only beside pods, names of hosts only where it accepts."""
    peers = draw(st.lists(POD_SETS | OUTSIDE if egress else POD_SETS, min_size=1, max_size=2))
    ports = draw(st.lists(NUMBERS, max_size=2))
    if all(isinstance(peer, PodSet) for peer in peers) and draw(st.booleans()):
        ports.append(draw(NAMES))
    action = draw(ACTIONS)
    if any(isinstance(peer, NameSet) for peer in peers):
        action = Action.ALLOW
    return AdminRule("", action, tuple(peers), tuple(ports), HERE)


def wrap(parsed: AdminPolicy, name: str) -> Policy:
    version, kind = "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"
    return Policy("admin", version, kind, "", name, {}, parsed, HERE)


@st.composite
def admin_policies(
    draw: st.DrawFn, *, min_size: int = 0, max_size: int = 3, tiers: tuple[AdminTier, ...] = tuple(AdminTier)
) -> list[Policy]:
    found = []
    for number in range(draw(st.integers(min_size, max_size))):
        parsed = AdminPolicy(
            draw(st.sampled_from(tiers)),
            draw(st.integers(1, 4)),
            draw(POD_SETS),
            tuple(draw(st.lists(rules(egress=False), max_size=2))),
            tuple(draw(st.lists(rules(egress=True), max_size=2))),
            HERE,
        )
        found.append(wrap(parsed, f"a{number}"))
    return found
