"""How connections get to a proxy of their node and on to where they go, by marks of packets and connections.

A rule with an application marks the packet (`REMEMBERED`). Policies of pods that have such rules are read
before routing, because only there a packet can be handed to a socket of the node. The first packet that is
left with the mark marks its connection; the table here does the rest, and stays when the policies change, so
that connections outlive them:

- the client's packets go to the proxy's socket of that direction (`tproxy`);
- the proxy's own connection has the client's address. The server's answers are caught on their way to the
  client and handed to the proxy;
- a connection that the proxy of the egress side makes to a pod of the same node meets the ingress policy of
  that pod where it leaves. When that says proxy again, both ends of the connection are in the node, and its
  packets go round by the loopback interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.clusters.lab.addressing import FAMILIES
from harness.clusters.lab.clauses import IP
from harness.model.rules import Direction
from harness.model.topology import Family

TABLE = "netcheck_proxy"

LOCAL_MARK = 0x10000
"""Packets for a socket of the node, whatever their address (`Netlink.divert`)."""
LOCAL_TABLE = 100

REMEMBERED = 0x20000
"""Packets that a rule with an application matched, until their direction is decided."""
ASKED = 0x200000
"""Remembered packets that carry questions under DNS rules: they go to the proxy whatever else allows them."""
DECIDED = 0x40000
"""Packets whose policies were read before routing."""
CALLER_MARKS = {Direction.EGRESS: 0x80000, Direction.INGRESS: 0x100000}
"""Packets of the proxy's own connections, by the direction that it judges."""

PROXY_PORTS = {Direction.EGRESS: 15001, Direction.INGRESS: 15002}

_CONNECTIONS = {Direction.EGRESS: 0x1, Direction.INGRESS: 0x2}
"""Marks of clients' connections that have gone to the proxy."""
_CALL = 0x4
_ROUND = 0x8

_EARLY = -90
"""After services are translated (-100)."""

Chains = Mapping[Direction, Mapping[str, str]]


def has(mark: int) -> str:
    """A clause: the packet carries the mark."""
    return f"meta mark & {mark:#x} == {mark:#x} "


def lacks(mark: int) -> str:
    """A clause: the packet does not carry the mark."""
    return f"meta mark & {mark:#x} == 0 "


def add(mark: int) -> str:
    """A statement that marks the packet."""
    return f"meta mark set meta mark | {mark:#x} "


def remove(mark: int) -> str:
    """A statement that takes a mark away."""
    return f"meta mark set meta mark & {0xFFFFFFFF ^ mark:#x} "


def ruleset() -> str:
    """The table that steers connections, the same on every node."""
    lines = [f"table inet {TABLE} {{", "chain arrive {"]
    lines += [f"type filter hook prerouting priority {_EARLY + 1}; policy accept;"]
    # An ICMP error is part of the connection that it is about.
    lines += [f"{_connection(_CALL)}ct direction reply {add(LOCAL_MARK)}accept"]
    lines += ["meta l4proto != { tcp, udp } accept"]
    lines += [f"{_connection(_ROUND)}ct direction original {_to_proxy(Direction.INGRESS)}"]
    for direction, mark in _CONNECTIONS.items():
        lines += [f"{_connection(mark)}ct direction original {_to_proxy(direction)}"]
    # Without a proxy there is no socket; then nothing may get past it.
    for mark in (_ROUND, *_CONNECTIONS.values()):
        lines += [f"{_connection(mark)}ct direction original drop"]
    lines += ["}", "chain leave {", f"type route hook output priority {_EARLY + 1}; policy accept;"]
    for mark in CALLER_MARKS.values():
        lines += [f"{has(mark)}ct direction original ct mark set ct mark | {_CALL:#x}"]
    # Of a connection to the node itself the server answers from here.
    lines += [f"{_connection(_CALL)}ct direction reply {add(LOCAL_MARK)}"]
    lines += [f"{_connection(_ROUND)}meta l4proto {{ tcp, udp }} {add(LOCAL_MARK)}"]
    return "\n".join([*lines, "}", "}"]) + "\n"


def _connection(mark: int) -> str:
    return f"ct mark & {mark:#x} == {mark:#x} "


def _to_proxy(direction: Direction) -> str:
    return f"meta l4proto {{ tcp, udp }} tproxy to :{PROXY_PORTS[direction]} {add(LOCAL_MARK)}accept"


def policy_chains(
    chains: Chains,
    addresses: Mapping[str, Sequence[tuple[Family, str]]],
    proxied: Mapping[Direction, set[str]],
    policed: set[str],
    *,
    every_packet: bool = False,
) -> list[str]:
    """What the table of policies needs beside its own chains when some of their rules have applications.

    Args:
        chains: Per direction the chain of each interface.
        addresses: Of the pod behind each interface.
        proxied: Per direction the interfaces whose chains have rules with applications.
        policed: Interfaces of the pods whose policies also say what they may send to the node itself.
        every_packet: Whether connections that have gone to the proxy are cut when they are not allowed any
            more; whether they still go to it does not change.
    """
    known = ["ct state established,related accept"]
    lines = []
    if every_packet:
        lines += _again(chains, addresses)
        known = ["ct state related accept", "ct state established ct direction reply accept"]
    lines += ["chain decide {"]
    pairs = {
        family: [
            f'"{interface}" . {address}'
            for interface in sorted({*chains[Direction.EGRESS], *chains[Direction.INGRESS]})
            for kind, address in addresses[interface]
            if kind is family
        ]
        for family in FAMILIES
    }
    # A pod that reaches itself through its own service is looked at where it is forwarded.
    for family, found in pairs.items():
        if found:
            lines += [f"iifname . {IP[family]} daddr {{ {', '.join(found)} }} accept"]
    if chains[Direction.EGRESS]:
        jumps = ", ".join(f'"{item}" : jump {chain}' for item, chain in chains[Direction.EGRESS].items())
        lines += [f"iifname vmap {{ {jumps} }}", _hand_over(Direction.EGRESS)]
    lines += _by_address(chains[Direction.INGRESS], addresses)
    lines += [_hand_over(Direction.INGRESS), add(DECIDED), "}"]
    lines += ["chain arrive {", f"type filter hook prerouting priority {_EARLY}; policy accept;"]
    lines += known
    if every_packet:
        every = _CONNECTIONS[Direction.EGRESS] | _CONNECTIONS[Direction.INGRESS]
        lines += [f"ct state established ct mark & {every:#x} != 0 goto again", "ct state established accept"]
    lines += ["meta l4proto != { tcp, udp } accept", 'iifname "lo" accept']
    lines += _from(proxied[Direction.EGRESS] & policed)
    lines += ["fib daddr type local accept", *_from(proxied[Direction.EGRESS] - policed)]
    for family in FAMILIES:
        own = [
            address
            for item in sorted(proxied[Direction.INGRESS])
            for kind, address in addresses[item]
            if kind is family
        ]
        if own:
            lines += [f"{IP[family]} daddr {{ {', '.join(own)} }} goto decide"]
    lines += ["}", "chain leave {", f"type route hook output priority {_EARLY}; policy accept;"]
    lines += [f"{lacks(CALLER_MARKS[Direction.EGRESS])}accept", *known]
    if every_packet:
        lines += ["ct state established goto again"]
    lines += _by_address(chains[Direction.INGRESS], addresses)
    lines += [f"{has(REMEMBERED)}{remove(REMEMBERED)}ct mark set ct mark | {_ROUND:#x}", "}"]
    return lines


def _again(chains: Chains, addresses: Mapping[str, Sequence[tuple[Family, str]]]) -> list[str]:
    """The chain for later packets of connections that have gone to the proxy, or that it has made.

    What an egress rule with an application lets pass the ingress policy sees as the proxy's own connection.
    """
    lines = ["chain again {"]
    if chains[Direction.EGRESS]:
        jumps = ", ".join(f'"{item}" : jump {chain}' for item, chain in chains[Direction.EGRESS].items())
        lines += [f"iifname vmap {{ {jumps} }}", f"{has(REMEMBERED)}{remove(REMEMBERED)}accept"]
    return [*lines, *_by_address(chains[Direction.INGRESS], addresses), remove(REMEMBERED), "}"]


def _from(interfaces: set[str]) -> list[str]:
    names = ", ".join(f'"{item}"' for item in sorted(interfaces))
    return [f"iifname {{ {names} }} goto decide"] if names else []


def _hand_over(direction: Direction) -> str:
    mark = _CONNECTIONS[direction]
    return f"{has(REMEMBERED)}{remove(REMEMBERED)}ct mark set ct mark | {mark:#x} accept"


def _by_address(
    chains: Mapping[str, str], addresses: Mapping[str, Sequence[tuple[Family, str]]]
) -> list[str]:
    """Jumps to the ingress chain of the pod that a packet goes to."""
    lines = []
    for family in FAMILIES:
        jumps = [
            f"{address} : jump {chain}"
            for interface, chain in chains.items()
            for kind, address in addresses[interface]
            if kind is family
        ]
        if jumps:
            lines.append(f"{IP[family]} daddr vmap {{ {', '.join(jumps)} }}")
    return lines
