"""Mutants that no cell can notice, because the network does the same with and without the mistake.

Not a list of gaps: a gap is closed by a cell. The tests fail when a listed mutant is noticed after all.
"""

from __future__ import annotations

_IPV4 = "0.0.0.0/0 is every peer over IPv4"
_IPV6 = "the rule has no block of IPv6, so over IPv6 it opens nothing, whatever its ports are"
_DNS_ONLY = "kube-system holds nothing but the DNS, which listens on port 53 alone"
_LOCKED = "the path has two locks: the other end's policy still denies it"
_OVERLAP = "the other range covers these ports as well"
_NOBODY = "the policy selects no pod, which is what the scenario shows"
_STACKED = "another policy of the scenario isolates the same pods in this direction"

_HIDDEN_TIER = "the NetworkPolicy denies to the one pod what the tier denies to all"
_OTHER_PEERS = "the two rules are about different peers, so their order does not count"
_HOST_NETWORK = "a pod with its node's network is never selected by labels, which the scenario shows"
_NOT_DENIED = "where the exception would be too wide, nothing is denied that it could open"
_OTHER_PODS = "the two policies select different pods, so their priorities do not meet"
_NOT_REACHED = "the rule is never reached, which is what the scenario shows"
_FINAL = "the Admin tier denies it, whatever the NetworkPolicy opens: what the scenario shows"

_TIERS = {
    "shop/default-deny policyTypes: not egress": _STACKED,
    "shop/allow-dns egress[0]: any port": _DNS_ONLY,
    "shop/allow-dns egress[0].to[0]: no podSelector": _DNS_ONLY,
    "shop/allow-dns egress[0].to[0]: two alternatives of it": _DNS_ONLY,
    "shop/frontend egress[0]: any port": _LOCKED,
    "shop/orders podSelector: selects everybody": _LOCKED,
    "shop/orders ingress[0]: any port": _LOCKED,
    "shop/orders egress[0]: any peer": "only postgres has a port of the name `sql`",
    "shop/orders egress[0]: any port": _LOCKED,
    "shop/orders egress[0].to[0]: no podSelector": _LOCKED,
    "shop/orders egress[0].to[0]: two alternatives of it": _LOCKED,
    "data/postgres podSelector: selects everybody": "only postgres has a port of the name `sql`",
    "data/postgres ingress[0]: any port": _LOCKED,
    "data/postgres ingress[0].from[0]: no podSelector": _LOCKED,
    "data/postgres ingress[0].from[0]: two alternatives of it": _LOCKED,
}

_SURVIVORS: dict[str, dict[str, str]] = {
    "admin-equal-priority": {"no-bad tier: Baseline": _HIDDEN_TIER},
    "admin-networks": {
        "outside egress[1]: one place higher": _OTHER_PEERS,
        "shop/own-pods-and-world egress[0].to[1]: removed": _FINAL,
        "shop/own-pods-and-world egress[0].to[1].ipBlock: 198.51.100.0/24 instead of 198.51.100.0/25": _FINAL,
    },
    "admin-nodes": {
        "no-nodes egress[0]: removed": _HOST_NETWORK,
        "no-nodes egress[0]: Deny instead of Accept": _HOST_NETWORK,
        "no-nodes egress[0].to[0].pods.podSelector: all": _HOST_NETWORK,
        "no-nodes egress[0].to[0].pods.podSelector: another app": _HOST_NETWORK,
    },
    "admin-priorities": {"b-exception subject.namespaces: all": _NOT_DENIED},
    "admin-rule-order": {
        "exception-first priority: 3": _OTHER_PODS,
        "exception-last priority: 0": _OTHER_PODS,
        "exception-last ingress[1]: removed": _NOT_REACHED,
        "exception-last ingress[1]: Deny instead of Accept": _NOT_REACHED,
        "exception-last ingress[1].from[0].pods.podSelector: all": _NOT_REACHED,
        "exception-last ingress[1].from[0].pods.podSelector: another tier": _NOT_REACHED,
    },
    "ipv4-block-over-ipv4": {"shop/everywhere-by-ipv4 egress[0]: any peer": _IPV4},
    "ipv4-block-over-ipv6": {
        "shop/everywhere-by-ipv4 egress[0]: removed": _IPV6,
        "shop/everywhere-by-ipv4 egress[0]: any port": _IPV6,
        "shop/everywhere-by-ipv4 egress[0].ports[0]: UDP instead of TCP": _IPV6,
        "shop/everywhere-by-ipv4 egress[0].ports[0]: 444 instead of 443": _IPV6,
    },
    "does-an-ipblock-match-pods": {"shop/all-addresses egress[0]: any peer": _IPV4},
    "both-sides-must-agree": {
        "shop/strict ingress[0].from[0].podSelector: role In without guest": _LOCKED,
    },
    "egress-with-dns": {
        "shop/payments-and-dns egress[1]: any port": _DNS_ONLY,
        "shop/payments-and-dns egress[1].to[0]: no podSelector": _DNS_ONLY,
    },
    "api-policy-with-dns": {
        "production/api-dns egress[0]: any port": _DNS_ONLY,
        "production/api-dns egress[0].to[0]: no podSelector": _DNS_ONLY,
        "production/api-dns egress[0].to[0]: two alternatives of it": _DNS_ONLY,
    },
    "shop-three-tiers": _TIERS,
    "shop-by-oracle": {
        **_TIERS,
        "shop/default-deny podSelector: selects nobody": _STACKED,
        "shop/default-deny policyTypes: not ingress": _STACKED,
        "data/default-deny policyTypes: not ingress": _STACKED,
    },
    "ports-ranges-overlap": {
        "shop/ranges egress[0].ports[0]: to 7007": _OVERLAP,
        "shop/ranges egress[0].ports[0]: to 7005": _OVERLAP,
        "shop/ranges egress[0].ports[1]: from 7003": _OVERLAP,
        "shop/ranges egress[0].ports[1]: from 7005": _OVERLAP,
    },
    "policy-for-nobody": {
        "policies/wrong-namespace podSelector: selects nobody": _NOBODY,
        "policies/wrong-namespace podSelector: selects everybody": _NOBODY,
        "policies/wrong-namespace policyTypes: not ingress": _NOBODY,
        "policies/wrong-namespace ingress: an empty rule added": _NOBODY,
        "shop/wrong-label podSelector: selects nobody": _NOBODY,
        "shop/wrong-label policyTypes: not ingress": _NOBODY,
        "shop/wrong-label ingress: an empty rule added": _NOBODY,
    },
}

EQUIVALENT: dict[tuple[str, str], str] = {
    (scenario, mutant): reason for scenario, rows in _SURVIVORS.items() for mutant, reason in rows.items()
}
"""`(scenario, mutant)` → why the mistake changes nothing."""
