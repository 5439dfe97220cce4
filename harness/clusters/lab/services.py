"""Services as nft rules: ClusterIP and NodePort by DNAT on the node where the connection enters.

Addresses are translated before policies are evaluated, as in every CNI (semantics.md 3.1 no. 10). NodePort
connections and those of a pod to itself are masqueraded, as kube-proxy does.
"""

from __future__ import annotations

from harness.clusters.lab.addressing import FAMILIES, Addressing
from harness.clusters.resolve import HOPS, MARKS, pick
from harness.model.topology import Family, Protocol, Service, ServicePort, ServiceType, Topology

TABLE = "netcheck_services"
NODEPORT_MARK = "0x4000"

_IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_HOPS = {Family.IPV4: "ip ttl", Family.IPV6: "ip6 hoplimit"}


def ruleset(topology: Topology, addressing: Addressing, node: str) -> str:
    """The whole services table of one node."""
    dispatch: list[str] = []
    chains: list[str] = []
    refused: list[str] = []
    hairpins: list[str] = []
    for service in topology.services.values():
        if service.type is ServiceType.HEADLESS:
            continue
        for port in service.ports:
            for family in FAMILIES:
                _port(service, port, family, topology, addressing, dispatch, chains, refused)
    for pod in topology.pods.values():
        if addressing.homes[pod.id] == node and not pod.host_network:
            for family in FAMILIES:
                address = pick(addressing.pod(pod.id), family)
                if address:
                    hairpins.append(f"{_IP[family]} saddr {address} {_IP[family]} daddr {address} masquerade")
    body = [f"table inet {TABLE} {{", *chains]
    body += [
        "chain dispatch {",
        *dispatch,
        "}",
        "chain prerouting { type nat hook prerouting priority -100; jump dispatch; }",
        "chain output { type nat hook output priority -100; jump dispatch; }",
        "chain refused {",
        *refused,
        "}",
        "chain refuse_forwarded { type filter hook forward priority -20; jump refused; }",
        "chain refuse_local { type filter hook output priority -20; jump refused; }",
        "chain postrouting {",
        "type nat hook postrouting priority srcnat;",
        f"meta mark & {NODEPORT_MARK} == {NODEPORT_MARK} masquerade",
        *(hairpins if dispatch else ()),
        "}",
        "}",
    ]
    return "\n".join(body) + "\n"


def _port(
    service: Service,
    port: ServicePort,
    family: Family,
    topology: Topology,
    addressing: Addressing,
    dispatch: list[str],
    chains: list[str],
    refused: list[str],
) -> None:
    protocol = _nft_protocol(port.protocol)
    entries = []
    address = pick(addressing.service(service.id), family)
    if address:
        entries.append((address, port.port, False))
    if port.node_port:
        # Of every node: what a pod sends to another node's port is translated before its own policies see it.
        for name in addressing.nodes:
            at = pick(addressing.node(name), family)
            if at:
                entries.append((at, port.node_port, True))
    targets = []
    for pod, number in topology.backends(service, port):
        backend = pick(addressing.pod(pod.id), family)
        if backend:
            targets.append(f"[{backend}]:{number}" if ":" in backend else f"{backend}:{number}")
    if not targets:
        for address, number, _ in entries:
            refused.append(f"{_IP[family]} daddr {address} {protocol} dport {number} reject")
        return
    name = f"s{len(chains)}"
    backends = []
    for index, target in enumerate(targets):
        backends.append(f"{name}_{index}")
        chains.append(f"chain {name}_{index} {{ meta l4proto {protocol} dnat {_IP[family]} to {target}; }}")
    chains += _choice(name, backends, family)
    for address, number, from_outside in entries:
        mark = f"meta mark set meta mark | {NODEPORT_MARK} " if from_outside else ""
        dispatch.append(f"{_IP[family]} daddr {address} {protocol} dport {number} {mark}goto {name}")


def _choice(name: str, backends: list[str], family: Family) -> list[str]:
    """The chain that goes to one of several: the one that a packet is marked for, or each in turn."""
    if len(backends) == 1:
        return [f"chain {name} {{ goto {backends[0]}; }}"]
    chains, marked = [], []
    for value, sharing in enumerate(backends[:MARKS]):
        others = backends[MARKS + value :: MARKS]
        goal = sharing
        if others:
            goal = f"{name}_m{value}"
            hops = ", ".join(f"{HOPS + turn} : goto {chain}" for turn, chain in enumerate([sharing, *others]))
            chains.append(f"chain {goal} {{ {_HOPS[family]} vmap {{ {hops} }}; }}")
        marked.append(f"{value + 1} : goto {goal}")
    turns = ", ".join(f"{index} : goto {chain}" for index, chain in enumerate(backends))
    body = (
        f"{_IP[family]} dscp vmap {{ {', '.join(marked)} }};",
        f"numgen inc mod {len(backends)} vmap {{ {turns} }};",
    )
    return [*chains, f"chain {name} {{", *body, "}"]


def _nft_protocol(protocol: Protocol) -> str:
    return protocol.value.lower()
