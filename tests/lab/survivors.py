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

_OPEN_PORTS = "ports beside a service that does not exist are open to everybody, whatever its name is"
_NO_SUCH = "there is no such thing in the world, which is what the scenario shows"
_OPENS_NOTHING_MORE = "it does not isolate, so what it opens was open: what the scenario shows"
_NOTHING_OPEN = "nothing is open that it could deny: what the scenario shows"
_DENIES_LEFT = "it opens everything but what it denies, so nothing is left that isolation closes"
_NAMES_NO_POD = "a name opens no pod, whichever it is: what the scenario shows"
_QUESTIONS = "pods ask nobody but the cluster's DNS, and what is no question gets through DNS rules nowhere"
_NEVER_LEARNED = "without a rule of DNS no name is learned: what the scenario shows"

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

_CILIUM = {
    "cilium-both-sides": {"shop/api ingress[0].fromEndpoints[0]: role In without guest": _LOCKED},
    "cilium-cidr-group": {
        "shop/lost egress[0].toCIDRSet[0]: another group": _NO_SUCH,
        "shop/lost egress[0]: authentication that always fails": _NO_SUCH,
    },
    "cilium-default-deny-off": {
        "shop/guest-may-leave endpointSelector: selects nobody": _OPENS_NOTHING_MORE,
        "shop/guest-may-leave endpointSelector: selects everybody": _OPENS_NOTHING_MORE,
        "shop/guest-may-leave egress[0]: any peer": _OPENS_NOTHING_MORE,
        "shop/guest-may-leave egress[0].toEndpoints[0]: everybody": _OPENS_NOTHING_MORE,
        "shop/guest-may-leave egress[0].toEndpoints[0]: another app": _OPENS_NOTHING_MORE,
    },
    "cilium-deny-egress": {
        "shop/api enableDefaultDeny.egress: false": _DENIES_LEFT,
        "shop/strict egressDeny[0]: any peer": _NOTHING_OPEN,
        "shop/strict egressDeny[0].toEndpoints[0]: everybody": _NOTHING_OPEN,
        "shop/strict egressDeny[0].toEndpoints[0]: another app": _NOTHING_OPEN,
    },
    "cilium-deny-over-allow": {
        "shop/guests-too enableDefaultDeny.ingress: false": _STACKED,
        "no-guests enableDefaultDeny.ingress: false": _STACKED,
    },
    "cilium-dns": {
        "shop/dns-egress egress[0]: any peer": _QUESTIONS,
        "shop/dns-egress egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
        "shop/dns-egress egress[0].toPorts[0]: no dns rules": "the rule lets every name be asked",
    },
    "cilium-dns-names": {
        "shop/names egress[0]: any peer": _QUESTIONS,
        "shop/names egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
    },
    "cilium-empty-rule": {"shop/everyone enableDefaultDeny.ingress: false": _STACKED},
    "cilium-entity-no-pod": {
        "shop/operator egress[0]: authentication that always fails": "no probe goes to the API server",
    },
    "cilium-entity-nodes": {
        "shop/host ingress[0]: authentication that always fails": "a pod's own node gets in always",
    },
    "cilium-fqdn": {
        "shop/payments-only egress[0]: any peer": _QUESTIONS,
        "shop/payments-only egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
    },
    "cilium-fqdn-is-no-pod": {
        "shop/by-name egress[0]: any peer": _QUESTIONS,
        "shop/by-name egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
        "shop/by-name egress[1]: removed": _NAMES_NO_POD,
        "shop/by-name egress[1].toFQDNs[0]: another name": _NAMES_NO_POD,
        "shop/by-name egress[1].toFQDNs[0]: any name": _NAMES_NO_POD,
        "shop/by-name egress[1]: authentication that always fails": _NAMES_NO_POD,
    },
    "cilium-fqdn-needs-lookup": {
        "nobody-asked: shop/with-dns-rule egress[0]: any peer": _QUESTIONS,
        "nobody-asked: shop/with-dns-rule egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
        "nobody-asked: shop/without-dns-rule egress[0].toEndpoints[0]: no label k8s-app": _DNS_ONLY,
        "nobody-asked: shop/without-dns-rule egress[0]: any port": _DNS_ONLY,
        "nobody-asked: shop/without-dns-rule egress[1]: removed": _NEVER_LEARNED,
        "nobody-asked: shop/without-dns-rule egress[1].toFQDNs[0]: another name": _NEVER_LEARNED,
        "nobody-asked: shop/without-dns-rule egress[1].toFQDNs[0]: any name": _NEVER_LEARNED,
        "nobody-asked: shop/without-dns-rule egress[1]: authentication that always fails": _NEVER_LEARNED,
    },
    "cilium-http-header-matches": {
        "shop/headers specs[1].ingress[0].toPorts[0].rules.http[0]: any headerMatches": (
            "the rule mends the header and lets the request through; only the server sees which value arrived"
        ),
    },
    "cilium-icmp": {
        "shop/types specs[2].ingress[0]: authentication that always fails": "no probe sends that type",
    },
    "cilium-label-prefixes": {
        "shop/container ingress[0].fromEndpoints[0]: another container:app": _NO_SUCH,
        "shop/container ingress[0]: authentication that always fails": _NO_SUCH,
    },
    "cilium-services-with-ports": {
        "shop/misspelt egress[0]: any peer": _OPEN_PORTS,
        "shop/misspelt egress[0].toServices[0]: another service": _OPEN_PORTS,
    },
    "cilium-to-services": {
        "shop/closed egress[0].toServices[0]: another service": _NO_SUCH,
        "shop/closed egress[0]: authentication that always fails": _NO_SUCH,
    },
    "cilium-to-services-by-label": {"shop/lost egress[0]: authentication that always fails": _NO_SUCH},
    "cilium-update": {"denied: shop/api enableDefaultDeny.ingress: false": _DENIES_LEFT},
    "cilium-with-networkpolicy": {"shop/from-mobile enableDefaultDeny.ingress: false": _STACKED},
}

_ECHO_ONLY = "cells send echo requests only, so other messages of ICMP pass or not unseen"
_PROFILE = "behind the last tier the profile allows what is handed on"
_NO_ACCOUNT_LABELS = "accounts of scenarios have no labels, so no pod is selected: what the scenario shows"
_NO_NAMESPACE = "without a namespace the rule matches nothing, whatever it says: what the scenario shows"
_BEFORE_IT = "a policy before it decides this, which is what the scenario shows"

_CALICO = {
    "calico-account-subject": {
        "shop/nobody selector: selects nobody": _NO_ACCOUNT_LABELS,
        "shop/nobody types: not Ingress": _NO_ACCOUNT_LABELS,
    },
    "calico-both-ends": {"shop/api ingress[0].source.selector: app without probe": _LOCKED},
    "calico-icmp": {
        "shop/ping ingress[0]: no icmp": _ECHO_ONLY,
        "shop/code ingress[0]: no icmp": _ECHO_ONLY,
        "shop/other ingress[0]: removed": _ECHO_ONLY,
        "shop/other ingress[0]: Deny instead of Allow": _ECHO_ONLY,
        "shop/not ingress[0]: removed": _ECHO_ONLY,
        "shop/not ingress[0]: Deny instead of Allow": _ECHO_ONLY,
        "shop/not-other ingress[0]: no notICMP": _ECHO_ONLY,
    },
    "calico-log": {"shop/logged ingress[1]: behind the next": "the next is a Log, which decides nothing"},
    "calico-order": {"shop/b-tie ingress[0].source.selector: app without guest": _BEFORE_IT},
    "calico-order-against-kubernetes": {
        "shop/behind order: none": "without an order it is behind the NetworkPolicy as well",
        "shop/behind ingress[0].destination.ports[0]: removed": _BEFORE_IT,
        "shop/behind ingress[0].destination.ports[0]: 8082 instead of 8081": _BEFORE_IT,
    },
    "calico-pass": {"shop/pass-web ingress[0]: Allow instead of Pass": _PROFILE},
    "calico-services": {
        "shop/lost egress[0]: removed": _NO_NAMESPACE,
        "shop/lost egress[0]: Deny instead of Allow": _NO_NAMESPACE,
        "shop/lost egress[0].destination.services: another service": _NO_NAMESPACE,
    },
    "calico-tier-order": {"shop/late.api ingress[0]: Allow instead of Pass": _PROFILE},
    "calico-tutorial-payment": {
        "suppliers nets[0]: 198.51.100.20/31 instead of 198.51.100.20/32": "no rule selects this set",
    },
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
    **_CILIUM,
    **_CALICO,
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
