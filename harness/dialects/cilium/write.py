"""Cilium's policies out of the words of `harness.dialects.meaning`.

Three things differ from what other dialects mean by the same words: an empty rule means nobody, a selector
that only excludes labels also means whoever has none (addresses outside, nodes), and rules name one kind of
peers each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.dialects.cilium.selectors import (
    API_SERVER,
    HOST,
    NAMESPACE,
    NAMESPACE_LABELS,
    REMOTE_NODE,
    SERVICE_ACCOUNT,
    WORLD,
)
from harness.dialects.isolation import as_isolation
from harness.dialects.manifests import by_kind, in_parts, requirements
from harness.dialects.meaning import (
    Addresses,
    Icmp,
    Meaning,
    NamedPort,
    NodePeer,
    Nodes,
    Peer,
    Pods,
    Port,
    Said,
    Written,
    refuse,
)
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction
from harness.model.topology import METADATA_NAME, Family
from harness.source import Place
from harness.source.diagnostics import Problems

_MOST_PORTS = 40
_RESERVED = (HOST, REMOTE_NODE, WORLD, API_SERVER)
_POSITIVE = (Operator.IN, Operator.EXISTS)
_DERIVED = "io.cilium.k8s."
_NODES = {Nodes.OWN: HOST, Nodes.OTHER: REMOTE_NODE}


def write(meanings: Sequence[Meaning], problems: Problems) -> Iterator[Written]:
    """Policies of Cilium's that say the same; what none can say is an error."""
    for meaning in map(as_isolation, meanings):
        before = problems.errors
        found = _policy(meaning, problems)
        if problems.errors == before:
            yield found


def _policy(meaning: Meaning, problems: Problems) -> Written:
    own = meaning.namespace
    subject = meaning.subject
    if own and subject.names == frozenset({own}):
        subject = Pods(LabelSelector(), subject.pods, subject.accounts)
    spec: dict[str, Any] = {
        "endpointSelector": _selector(subject, own, meaning.place, problems, subject=True)
    }
    opened = {}
    for direction in Direction:
        said = meaning.rules.get(direction, ())
        _in_order(meaning, said, problems)
        allows = [rule for item in said for rule in _rules(item, Action.ALLOW, direction, own, problems)]
        denies = [rule for item in said for rule in _rules(item, Action.DENY, direction, own, problems)]
        if direction in meaning.isolates:
            # An empty rule means nobody, and that denials are the default.
            spec[direction.value] = allows or [{}]
        elif allows:
            spec[direction.value] = allows
        if denies:
            spec[f"{direction.value}Deny"] = denies
        if direction not in meaning.isolates and (allows or denies):
            opened[direction.value] = False
    if opened:
        spec["enableDefaultDeny"] = opened
    if not meaning.isolates and not any(meaning.rules.values()):
        refuse(problems, meaning.place, f"{meaning.policy} says nothing of any connection", "leave it out")
    metadata = {"name": meaning.name, **({"namespace": own} if own else {})}
    kind = "CiliumNetworkPolicy" if own else "CiliumClusterwideNetworkPolicy"
    manifest = {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}
    return Written(manifest, [meaning.policy], _notes(meaning))


def _notes(meaning: Meaning) -> list[str]:
    if meaning.tier == NETWORK_POLICY_TIER:
        return []
    return [
        f"it stood in the tier {meaning.tier.name}; Cilium asks all of its policies together, and what one "
        "of them denies none allows"
    ]


def _in_order(meaning: Meaning, said: Sequence[Said], problems: Problems) -> None:
    """Cilium asks denials first, so that a rule that passes has no form."""
    for item in said:
        if item.action is Action.PASS:
            refuse(
                problems,
                item.place,
                f"{item.name} passes on to the next tier, and Cilium's policies either allow or deny",
                "narrow the rules behind it, so that it is not needed",
            )


def _rules(
    said: Said, action: Action, direction: Direction, own: str, problems: Problems
) -> Iterator[dict[str, Any]]:
    if said.action is not action:
        return
    side = "from" if direction is Direction.INGRESS else "to"
    ports = [port for port in said.ports or () if not isinstance(port, Icmp)]
    icmps = [port for port in said.ports or () if isinstance(port, Icmp)]
    wanted: list[dict[str, Any]] = []
    if said.ports is None:
        wanted.append({})
    if ports:
        wanted.append({"toPorts": [{"ports": list(part)} for part in in_parts(_ports(ports), _MOST_PORTS)]})
    if icmps:
        wanted.append({"icmps": [{"fields": list(part)} for part in in_parts(_icmps(icmps), _MOST_PORTS)]})
    for peers in _peers(said, side, own, problems):
        for one in wanted:
            yield {**peers, **one} or {f"{side}Entities": ["all"]}


def _peers(said: Said, side: str, own: str, problems: Problems) -> Iterator[dict[str, Any]]:
    """The peers of a rule, one kind of them in each."""
    if said.peers is None:
        yield {}
        return
    for same in by_kind(said.peers, _kind):
        kind = _kind(same[0])
        items: list[Any] = []
        for peer in same:
            if isinstance(peer.what, Pods):
                items.append(_selector(peer.what, own, peer.place, problems))
            elif isinstance(peer.what, Addresses):
                holes = [str(hole) for hole in peer.what.excepts]
                items.append({"cidr": str(peer.what.network), **({"except": holes} if holes else {})})
            else:
                items.append(_NODES[peer.what.which] if isinstance(peer.what, NodePeer) else WORLD)
        yield {f"{side}{kind}": items}


def _kind(peer: Peer) -> str:
    return {Pods: "Endpoints", Addresses: "CIDRSet"}.get(type(peer.what), "Entities")


def _selector(
    pods: Pods, own: str, place: Place, problems: Problems, *, subject: bool = False
) -> dict[str, Any]:
    """A selector of endpoints; Cilium adds the policy's own namespace where it says nothing of any."""
    found: list[tuple[str, Requirement]] = [
        (_key(item, place, problems), item) for item in pods.pods.requirements
    ]
    if pods.accounts:
        found.append((SERVICE_ACCOUNT, Requirement(SERVICE_ACCOUNT, Operator.IN, pods.accounts)))
    if not (own and (subject or pods.names == frozenset({own}))):
        found += [_of_namespace(item) for item in pods.namespaces.requirements]
        if not any(item.operator in _POSITIVE for item in pods.namespaces.requirements):
            # Without it whoever has no labels would be meant as well, and the own namespace be added.
            found.append((f"k8s:{NAMESPACE}", Requirement(NAMESPACE, Operator.EXISTS)))
    elif subject and pods.namespaces.requirements:
        refuse(
            problems,
            place,
            "the policy selects its pods by labels of their namespace beside its name",
            "make a policy of the whole cluster of it",
        )
    return requirements(found)


def _key(item: Requirement, place: Place, problems: Problems) -> str:
    if item.key == NAMESPACE or item.key.startswith(_DERIVED):
        refuse(
            problems,
            place,
            f"the label `{item.key}` means something else to Cilium",
            "give the pods another label, and select them by it",
        )
    return f"k8s:{item.key}" if item.key in _RESERVED else item.key


def _of_namespace(item: Requirement) -> tuple[str, Requirement]:
    if item.key == METADATA_NAME and item.operator is not Operator.DOES_NOT_EXIST:
        return f"k8s:{NAMESPACE}", item
    return f"k8s:{NAMESPACE_LABELS}{item.key}", item


def _ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for port in ports:
        if isinstance(port, NamedPort):
            protocol = str(port.protocol) if port.protocol else "ANY"
            found.append({"port": port.name, "protocol": protocol})
        elif not isinstance(port, Icmp):
            one: dict[str, Any] = {"port": str(port.first or 0)}
            if port.last is not None and port.last != port.first:
                one["endPort"] = port.last
            found.append({**one, "protocol": str(port.protocol)})
    return found


def _icmps(ports: Sequence[Icmp]) -> list[dict[str, Any]]:
    return [{"type": port.type, "family": "IPv4" if port.family is Family.IPV4 else "IPv6"} for port in ports]
