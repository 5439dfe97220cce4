"""Random policies of Cilium, as manifests; every kind of rule that says something of addresses and ports."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

API = "cilium.io/v2"
NAMESPACE = "io.kubernetes.pod.namespace"
LABELS = [
    {"app": "web"},
    {"k8s:app": "cli"},
    {"any:env": "prod"},
    {"app": "db", "env": "test"},
    {"io.cilium.k8s.policy.serviceaccount": "api"},
    {},
]
PLACES = [
    {NAMESPACE: "red"},
    {f"k8s:{NAMESPACE}": "blue"},
    {"io.cilium.k8s.namespace.labels.team": "red"},
    {"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": "blue"},
    {},
    {},
]
EXPRESSIONS = [
    {"key": "env", "operator": "Exists"},
    {"key": "k8s:env", "operator": "DoesNotExist"},
    {"key": "any:app", "operator": "In", "values": ["web", "db"]},
    {"key": "app", "operator": "NotIn", "values": ["web"]},
    {"key": "io.cilium.k8s.namespace.labels.team", "operator": "Exists"},
    {"key": NAMESPACE, "operator": "NotIn", "values": ["red"]},
]
NODES: list[Json] = [{}, {"matchLabels": {"kubernetes.io/os": "linux"}}]
RESERVED = [{"reserved:host": ""}, {"reserved:remote-node": ""}]
ENTITIES = [
    *("all", "world", "cluster", "host", "remote-node"),
    *("init", "ingress", "unmanaged", "health", "none", "cluster-mesh"),
]
CIDRS = ["203.0.113.0/24", "203.0.113.10/32", "198.51.100.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32"]
SETS = [
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28", "203.0.113.128/25"]},
    {"cidr": "2001:db8::/32", "except": ["2001:db8::/64"]},
    {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
    {"cidrGroupRef": "partners"},
    {"cidrGroupSelector": {"matchLabels": {"kind": "partner"}}},
    {"cidrGroupRef": "nobody"},
]
GROUPS = [["203.0.113.0/24", "2001:db8::/32"], ["198.51.100.0/24"], []]
SERVICES = [
    {"k8sService": {"serviceName": "svc", "namespace": "red"}},
    {"k8sService": {"serviceName": "single"}},
    {"k8sService": {"serviceName": "svc", "namespace": "blue"}},
    {"k8sServiceSelector": {"selector": {}, "namespace": "red"}},
]
PORTS = [
    {"port": "80", "protocol": "TCP"},
    {"port": "81", "protocol": "ANY"},
    {"port": "5300"},
    {"port": "web", "protocol": "TCP"},
    {"port": "dns", "protocol": "UDP"},
    {"port": "web"},
    {"port": "0", "protocol": "UDP"},
    {"port": "0"},
    {"port": "80", "endPort": 82, "protocol": "TCP"},
    {"port": "82", "endPort": 9100},
]
ICMPS = [
    {"fields": [{"type": "EchoRequest"}]},
    {"fields": [{"type": 8, "family": "IPv4"}, {"type": "EchoRequest", "family": "IPv6"}]},
    {"fields": [{"type": 3}]},
]
HTTP: list[list[Json]] = [
    [{"path": "/a.*"}],
    [{"method": "GET"}, {"path": "/b", "headers": ["X-Version: 2"]}],
    [{"method": "GET|HEAD", "path": "/[ab]"}],
    [{"headers": ["X-Version"]}],
    [{"headerMatches": [{"name": "X-Version", "value": "2"}, {"name": "X-Other", "mismatch": "LOG"}]}],
    [{}],
]
DNS: list[list[Json]] = [
    [{"matchName": "www.example.com"}],
    [{"matchPattern": "*.example.com"}],
    [{"matchPattern": "*"}],
    [{"matchPattern": "**.example.com"}, {"matchName": "out.example.org"}],
]
SERVERS = [["www.example.com"], ["*.example.com"], ["**.example.com", "example.org"], ["*"]]
DEFAULTS: list[Json] = [{}, {}, {}, {"ingress": False}, {"egress": False}, {"ingress": True, "egress": False}]


def cilium_policies(dice: random.Random, count: int) -> Iterator[Json]:
    """Policies of namespaces and of the cluster, and a group of addresses that they may refer to."""
    for number in range(count):
        cluster = dice.random() < 0.3
        kind = "CiliumClusterwideNetworkPolicy" if cluster else "CiliumNetworkPolicy"
        metadata: Json = {"name": f"c{number}"}
        if not cluster:
            metadata["namespace"] = dice.choice(["red", "blue"])
        make = _spec_of_nodes if cluster and dice.random() < 0.15 else _spec
        body: Json = {"spec": make(dice)}
        if dice.random() < 0.2:
            body = {"specs": [make(dice) for _ in range(dice.randrange(1, 3))]}
        yield {"apiVersion": API, "kind": kind, "metadata": metadata, **body}
    if dice.random() < 0.5:
        yield {
            "apiVersion": dice.choice([API, "cilium.io/v2alpha1"]),
            "kind": "CiliumCIDRGroup",
            "metadata": {"name": "partners", "labels": {"kind": "partner"}},
            "spec": {"externalCIDRs": dice.choice(GROUPS)},
        }


def _spec(dice: random.Random) -> Json:
    spec: Json = {"endpointSelector": _labels(dice, subject=True)}
    while len(spec) == 1:
        for direction in ("ingress", "egress"):
            if dice.random() < 0.55:
                spec[direction] = [_rule(dice, direction) for _ in range(dice.randrange(1, 3))]
            if dice.random() < 0.2:
                spec[f"{direction}Deny"] = [_rule(dice, direction, deny=True)]
    defaults = dice.choice(DEFAULTS)
    if defaults:
        spec["enableDefaultDeny"] = defaults
    return spec


def _spec_of_nodes(dice: random.Random) -> Json:
    """Rules for nodes, which cannot look into requests; what they mean for nodes, paper leaves open."""
    spec: Json = {"nodeSelector": dice.choice(NODES)}
    for section in dice.sample(["ingress", "egress", "ingressDeny", "egressDeny"], dice.randrange(1, 3)):
        spec[section] = [_rule(dice, section.removesuffix("Deny"), deny=True)]
    return spec


def _rule(dice: random.Random, direction: str, *, deny: bool = False) -> Json:
    if dice.random() < 0.08:
        return {}
    if direction == "egress" and not deny and dice.random() < 0.3:
        return _names(dice)
    rule: Json = {}
    side = "from" if direction == "ingress" else "to"
    if dice.random() < 0.85:
        kinds = ["Endpoints", "Endpoints", "Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes"]
        kinds += ["Services"] if side == "to" else []
        kinds += ["FQDNs", "FQDNs"] if side == "to" and not deny else []
        kind = dice.choice(kinds)
        makers: dict[str, Callable[[], Any]] = {
            "Endpoints": lambda: _labels(dice),
            "Entities": lambda: dice.choice(ENTITIES),
            "CIDR": lambda: dice.choice(CIDRS),
            "CIDRSet": lambda: dice.choice(SETS),
            "Nodes": dict,
            "Services": lambda: dice.choice(SERVICES),
            "FQDNs": lambda: dice.choice(dice.choice(DNS)),
        }
        empty = kind not in ("Services", "FQDNs") and dice.random() < 0.05
        rule[f"{side}{kind}"] = [] if empty else [makers[kind]() for _ in range(dice.randrange(1, 3))]
    ports = dice.random()
    if not deny and ports < 0.15:
        port = dice.choice([{"port": "80", "protocol": "TCP"}, {"port": "web", "protocol": "TCP"}])
        rule["toPorts"] = [{"ports": [port], "rules": {"http": dice.choice(HTTP)}}]
    elif not deny and ports < 0.2:
        port = dice.choice([{"port": "443", "protocol": "TCP"}, {"port": "81", "protocol": "TCP"}])
        rule["toPorts"] = [{"ports": [port], "serverNames": dice.choice(SERVERS)}]
    elif ports < 0.6 or not rule:
        rule["toPorts"] = [{"ports": [dice.choice(PORTS) for _ in range(dice.randrange(1, 3))]}]
    elif ports < 0.7:
        rule["icmps"] = [dice.choice(ICMPS)]
    if not deny and dice.random() < 0.08:
        rule["authentication"] = {"mode": dice.choice(["disabled", "required", "test-always-fail"])}
    return rule


def _names(dice: random.Random) -> Json:
    """Names may be asked for, some or all of them."""
    port = {"port": "53", "protocol": dice.choice(["UDP", "ANY"])}
    item: Json = {"ports": [port]}
    if dice.random() < 0.8:
        item["rules"] = {"dns": dice.choice(DNS)}
    kubedns = {"matchLabels": {f"k8s:{NAMESPACE}": "kube-system", "k8s-app": "kube-dns"}}
    rule: Json = {"toEndpoints": [kubedns], "toPorts": [item]}
    if dice.random() < 0.15:
        rule["authentication"] = {"mode": dice.choice(["disabled", "required", "test-always-fail"])}
    return rule


def _labels(dice: random.Random, *, subject: bool = False) -> Json:
    if not subject and dice.random() < 0.08:
        return {"matchLabels": dice.choice(RESERVED)}
    if dice.random() < 0.25:
        return {"matchExpressions": [dice.choice(EXPRESSIONS)]}
    chosen = dict(dice.choice(LABELS))
    if not subject:
        chosen |= dice.choice(PLACES)
    return {"matchLabels": chosen} if chosen else {}
