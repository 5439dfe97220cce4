"""Small worlds, policies from YAML texts, and strategies for both; shared by the tests of policies."""

from __future__ import annotations

import ipaddress
import itertools
import textwrap
from collections.abc import Iterator

from hypothesis import strategies as st

from harness.dialects.connection import Connection, End
from harness.dialects.kubernetes.types import (
    BlockPeer,
    IpBlock,
    NetworkPolicy,
    PodPeer,
    PolicyPort,
    PolicyRule,
)
from harness.dialects.registry import parse_manifest
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.policy import Policy
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Direction
from harness.model.topology import (
    METADATA_NAME,
    External,
    Family,
    Listener,
    Namespace,
    Pod,
    Protocol,
    Service,
    Topology,
)
from harness.source import Place
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text

HERE = Place("test.yaml")
TCP, UDP, SCTP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP


def read(text: str, namespace: str = "n") -> tuple[list[Policy | None], Problems]:
    """Every document of a text, as policies; problems of YAML and of the manifests together."""
    problems = Problems()
    policies = []
    for document in read_text(textwrap.dedent(text), "p.yaml", problems):
        assert isinstance(document.root, MappingNode)
        policies.append(parse_manifest(document.root, namespace, problems))
    return policies, problems


def policy(spec: str, name: str = "p", namespace: str = "n") -> Policy:
    """A NetworkPolicy that must be valid, from the text of its spec."""
    return manifest(spec, name, namespace)[0]


def manifest(spec: str, name: str = "p", namespace: str = "n") -> tuple[Policy, Problems]:
    text = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f'metadata: {{name: "{name}", namespace: "{namespace}"}}\nspec:\n'
        + textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ")
    )
    found, problems = read(text)
    assert problems.errors == 0, [str(item) for item in problems.found]
    assert found[0] is not None
    return found[0], problems


def pod(id: str, *, node: str | None = None, host: bool = False, listen: str = "80", **labels: str) -> Pod:
    """A pod; `listen` as in `80 http=8080 53/UDP`."""
    namespace, name = id.split("/")
    listeners = []
    for word in listen.split():
        name_part, _, rest = word.rpartition("=")
        port, _, protocol = rest.partition("/")
        listeners.append(Listener(int(port), Protocol(protocol or "TCP"), name_part or None))
    return Pod(namespace, name, labels, listeners=tuple(listeners), node=node, host_network=host)


def world(
    *pods: Pod,
    namespaces: dict[str, dict[str, str]] | None = None,
    externals: dict[str, str] | None = None,
    services: tuple[Service, ...] = (),
) -> Topology:
    """A topology; namespaces that are not given have the automatic label only."""
    given = {item.namespace: {} for item in pods} | (namespaces or {})
    outside = {}
    for name, addresses in (externals or {}).items():
        by_family = {Family.IPV6 if ":" in address else Family.IPV4: address for address in addresses.split()}
        outside[name] = External(name, by_family, (Listener(443),), (f"{name}.example.com",))
    return Topology(
        {name: Namespace(name, {METADATA_NAME: name, **labels}) for name, labels in given.items()},
        {item.id: item for item in pods},
        {item.id: item for item in services},
        outside,
    )


def end(topology: Topology, text: str, family: Family = Family.IPV4) -> End:
    """`ns/pod`, `node:a` or `external:name`."""
    kind, _, name = text.rpartition(":")
    if not kind:
        return End(SourceKind.POD, name, node=topology.pods[name].node)
    if kind == "node":
        return End(SourceKind.NODE, name, node=name)
    return End(
        SourceKind.EXTERNAL, name, address=ipaddress.ip_address(topology.externals[name].addresses[family])
    )


def connection(topology: Topology, text: str, family: Family = Family.IPV4) -> Connection:
    """`n/a -> n/b 80`, `external:e -> n/b 53/UDP`, `n/a -> n/b ICMP`."""
    source, destination = text.split(" -> ")
    destination, _, port = destination.rpartition(" ")
    number, _, protocol = ("0", "", "ICMP") if port == "ICMP" else port.partition("/")
    return Connection(
        end(topology, source, family),
        end(topology, destination, family),
        Protocol(protocol or "TCP"),
        int(number),
        family,
    )


def probe(text: str, family: Family = Family.IPV4) -> Probe:
    """`n/a -> n/b:80`, `external:e -> service:n/s:80/UDP`, `node:a -> n/b/ICMP`."""
    left, right = text.split(" -> ")
    head, _, name = left.rpartition(":")
    source = Source(SourceKind(head) if head else SourceKind.POD, name)
    if right.endswith("/ICMP"):
        right, port, protocol = right.removesuffix("/ICMP"), "0", "ICMP"
    else:
        right, _, tail = right.rpartition(":")
        port, _, protocol = tail.partition("/")
    head, _, name = right.rpartition(":")
    target = Target(
        TargetKind(head) if head else TargetKind.POD, name, int(port), Protocol(protocol or "TCP")
    )
    return Probe(source, target, family)


# Strategies: few names and few values, so that policies and pods meet often.

KEYS, VALUES, PORT_NAMES = ("app", "tier"), ("x", "y"), ("web", "dns")
BLOCKS = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.1.0/24",
    "203.0.113.0/24",
    "203.0.113.10/32",
    "::/0",
    "fd00:1::/64",
)
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    takes_values = operator in (Operator.IN, Operator.NOT_IN)
    values = draw(st.frozensets(st.sampled_from(VALUES), min_size=1)) if takes_values else frozenset()
    return Requirement(draw(st.sampled_from(KEYS)), operator, values)


SELECTORS = st.builds(LabelSelector, st.lists(requirements(), max_size=2).map(tuple))


@st.composite
def ip_blocks(draw: st.DrawFn) -> IpBlock:
    network = ipaddress.ip_network(draw(st.sampled_from(BLOCKS)))
    inner = [
        item
        for item in map(ipaddress.ip_network, BLOCKS)
        if item.version == network.version and item != network and item.subnet_of(network)
    ]
    holes = draw(st.lists(st.sampled_from(inner), max_size=2, unique=True)) if inner else []
    return IpBlock(network, tuple(holes))


POD_PEERS = st.builds(PodPeer, SELECTORS, st.none() | SELECTORS, st.just(HERE))
PEERS = POD_PEERS | st.builds(BlockPeer, ip_blocks(), st.just(HERE))


@st.composite
def ports(draw: st.DrawFn) -> PolicyPort:
    port = draw(st.none() | st.sampled_from((53, 80, 81)) | st.sampled_from(PORT_NAMES))
    end = draw(st.none() | st.just(90)) if isinstance(port, int) else None
    return PolicyPort(draw(st.sampled_from((TCP, UDP, SCTP))), port, end, HERE)


RULES = st.builds(
    PolicyRule,
    st.lists(PEERS, max_size=2).map(tuple),
    st.lists(ports(), max_size=2).map(tuple),
    st.just(HERE),
)


def wrap(parsed: NetworkPolicy, name: str) -> Policy:
    return Policy(
        "kubernetes", "networking.k8s.io/v1", "NetworkPolicy", parsed.namespace, name, {}, parsed, HERE
    )


@st.composite
def policies(draw: st.DrawFn, *, min_size: int = 0, max_size: int = 3) -> list[Policy]:
    found = []
    for number in range(draw(st.integers(min_size, max_size))):
        parsed = NetworkPolicy(
            draw(st.sampled_from(("m", "n"))),
            draw(SELECTORS),
            draw(st.frozensets(st.sampled_from(Direction), min_size=1)),
            tuple(draw(st.lists(RULES, max_size=2))),
            tuple(draw(st.lists(RULES, max_size=2))),
            HERE,
        )
        found.append(wrap(parsed, f"p{number}"))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> Topology:
    """Two namespaces, four pods, the first of each namespace perhaps with its node's network."""
    pods = []
    for id in ("m/a", "m/b", "n/a", "n/b"):
        namespace, name = id.split("/")
        names = draw(st.permutations((None, *PORT_NAMES)))
        listeners = (Listener(80, TCP, names[0]), Listener(81, TCP, names[1]), Listener(53, UDP, names[2]))
        pods.append(
            Pod(
                namespace,
                name,
                draw(LABELS),
                listeners=listeners,
                node=draw(st.sampled_from((None, "a", "b"))),
                host_network=draw(st.booleans()) if name == "a" else False,
            )
        )
    namespaces = {name: draw(LABELS) for name in ("m", "n")}
    return world(
        *pods,
        namespaces=namespaces,
        externals={"in": "203.0.113.10 fd00:1::10", "out": "198.51.100.1 2001:db8::1"},
    )


ASKED = ((TCP, 53), (TCP, 80), (TCP, 81), (TCP, 91), (UDP, 53), (UDP, 80), (SCTP, 80), (ICMP, 0))


def every_connection(topology: Topology, family: Family) -> Iterator[Connection]:
    """Any end to any other, one of them a pod, over every protocol and the ports that policies name."""
    ends = [
        end(topology, text, family)
        for text in (*topology.pods, "node:a", "node:b", "external:in", "external:out")
    ]
    for source, destination in itertools.product(ends, ends):
        if SourceKind.POD in (source.kind, destination.kind):
            for protocol, port in ASKED:
                yield Connection(source, destination, protocol, port, family)


@st.composite
def connections(draw: st.DrawFn, topology: Topology) -> Connection:
    """One of them."""
    return draw(st.sampled_from(list(every_connection(topology, draw(st.sampled_from(Family))))))
