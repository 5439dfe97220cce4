"""Every kind of rule appears in the random worlds that are compared with packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from harness.dialects.cilium.types import Entity
from tests.lab.random_policies import Json, manifests, manifests_of_calico
from tests.lab.test_against_oracle import parsed

SIDES, DIRECTIONS = ("source", "destination"), ("ingress", "egress")
DIALECTS = {
    "projectcalico.org": "calico",
    "crd.projectcalico.org": "calico",
    "networking.k8s.io": "plain",
    "policy.networking.k8s.io": "admin",
}


def words(value: Any) -> Iterator[str]:
    """Every key and every word in a manifest."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    else:
        yield str(value)


def test_every_kind_of_rule_of_ciliums_appears() -> None:
    found: Counter[str] = Counter()
    for seed in range(800):
        for manifest in manifests(seed):
            if manifest["apiVersion"].startswith("cilium.io/"):
                found.update(set(words(manifest)))
    wanted = {
        *("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup", "spec", "specs"),
        *("endpointSelector", "nodeSelector"),
        *("ingress", "ingressDeny", "egress", "egressDeny", "enableDefaultDeny", "icmps", "authentication"),
        *("fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "fromNodes"),
        *("toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toNodes", "toServices"),
        *("cidrGroupRef", "cidrGroupSelector", "except", "k8sService", "k8sServiceSelector", "endPort"),
        *(
            "required",
            "disabled",
            "test-always-fail",
            "http",
            "dns",
            "toFQDNs",
            "serverNames",
            "reserved:host",
        ),
        *("ANY", "TCP", "UDP", "web", "dns"),
        *(str(entity) for entity in Entity if entity is not Entity.KUBE_APISERVER),
    }
    assert {word: found[word] for word in wanted if found[word] < 5} == {}


def rules_of_calico(seed: int) -> Iterator[tuple[str, Json]]:
    """Every rule of every policy of Calico's, with its direction."""
    for manifest in manifests_of_calico(seed):
        if "projectcalico.org" in manifest["apiVersion"]:
            for direction in ("ingress", "egress"):
                for rule in manifest["spec"].get(direction, []):
                    yield direction, rule


def test_every_kind_of_object_of_calicos_appears() -> None:
    found: Counter[str] = Counter()
    for seed in range(500):
        for manifest in manifests_of_calico(seed):
            if "projectcalico.org" in manifest["apiVersion"]:
                found.update(set(words(manifest)))
    wanted = {
        *("projectcalico.org/v3", "crd.projectcalico.org/v1"),
        *("NetworkPolicy", "GlobalNetworkPolicy", "Tier", "NetworkSet", "GlobalNetworkSet"),
        *("StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"),
        *("Set", "Delete", "Learn", "Ignore"),
        *("tier", "order", "selector", "namespaceSelector", "serviceAccountSelector", "types"),
        *("doNotTrack", "preDNAT", "applyOnForward", "performanceHints", "defaultAction"),
        *("default", "before", "behind", "nowhere", "kube-admin", "kube-baseline"),
        *("Allow", "Deny", "Pass", "Log"),
        *("protocol", "notProtocol", "icmp", "notICMP", "type", "code", "ipVersion", "http", "metadata"),
        *("source", "destination", "ports", "notPorts", "nets", "notNets", "notSelector"),
        *("serviceAccounts", "names", "services", "global()", "all()"),
        *("TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "UDPLite", "6", "17", "47", "58"),
        *("80", "80:82", "web", "dns", "203.0.113.77/24", "203.0.113.10"),
    }
    assert {word: found[word] for word in wanted if found[word] < 5} == {}


def test_selectors_of_calicos_use_all_of_the_language() -> None:
    texts = [word for seed in range(500) for _, rule in rules_of_calico(seed) for word in words(rule)]
    for part in (
        *("==", "!=", " in {", " not in {", "notin {", " contains ", " starts with ", " ends with ", "has("),
        *("in {}", "&&", "||", "!(", "!has(", "!all()", "projectcalico.org/namespace", "pcns.", "pcsa."),
    ):
        assert sum(part in text for text in texts) >= 5, part
    plain = [text for text in texts if "&&" in text and "||" in text and "(" not in text]
    assert len(plain) >= 5, "only parentheses say what binds first"


def test_rules_of_calicos_limit_both_ends() -> None:
    found: Counter[str] = Counter()
    for seed in range(500):
        for direction, rule in rules_of_calico(seed):
            found.update(f"{direction} {side}.{name}" for side in SIDES for name in rule.get(side, {}))
            services = [rule.get(side, {}).get("services", {"namespace": ""}) for side in SIDES]
            found["service without a namespace"] += any("namespace" not in item for item in services)
            found[f"{direction} without ends"] += not (rule.get("source") or rule.get("destination"))
    said = ("selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets", "ports")
    wanted = {f"{direction} {side}.{name}" for direction in DIRECTIONS for side in SIDES for name in said}
    wanted |= {"ingress source.services", "egress destination.services", "service without a namespace"}
    wanted |= {
        f"{direction} {word}" for direction in DIRECTIONS for word in ("without ends", "source.notPorts")
    }
    assert {word: found[word] for word in wanted if found[word] < 5} == {}


def test_policies_of_calicos_meet_those_of_kubernetes() -> None:
    found: Counter[frozenset[str]] = Counter()
    orders: Counter[object] = Counter()
    for seed in range(400):
        world = manifests_of_calico(seed)
        found[frozenset(DIALECTS[manifest["apiVersion"].split("/")[0]] for manifest in world)] += 1
        in_default = [
            manifest["spec"].get("order")
            for manifest in world
            if "order" in manifest["spec"] and manifest["spec"].get("tier", "default") == "default"
        ]
        orders.update(order for order, times in Counter(in_default).items() if times > 1)
    for world in ("calico", "calico plain", "calico admin", "calico plain admin", "plain admin"):
        assert found[frozenset(world.split())] >= 20, world
    assert orders[5] >= 3, "policies of the same order hardly ever meet"


def test_policies_of_all_dialects_meet_in_one_world() -> None:
    found: Counter[frozenset[str]] = Counter()
    for seed in range(400):
        found[frozenset(manifest["apiVersion"].split("/")[0] for manifest in manifests(seed))] += 1
    mine, plain, admin = "cilium.io", "networking.k8s.io", "policy.networking.k8s.io"
    for world in ({mine}, {mine, plain}, {mine, admin}, {mine, plain, admin}):
        assert found[frozenset(world)] >= 20, world


def test_every_world_is_valid() -> None:
    """A world with a policy that is none would be compared with nothing."""
    for drawn in (manifests, manifests_of_calico):
        assert [seed for seed in range(400) if None in map(parsed, drawn(seed))] == [], drawn
