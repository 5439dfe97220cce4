"""Calico's policies out of the words of `harness.dialects.meaning`.

The first rule that matches decides, and a policy of the default tier isolates whom it selects. So denials
that come before everything stand in policies with a lower order, and what does not isolate passes on at the
end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.dialects.calico.selectors import NAME, quoted
from harness.dialects.manifests import by_kind
from harness.dialects.meaning import (
    Addresses,
    Icmp,
    Meaning,
    NamedPort,
    Outside,
    Peer,
    Pods,
    Port,
    Ports,
    Said,
    Written,
    refuse,
)
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.rules import NETWORK_POLICY_TIER, Action, Direction
from harness.model.topology import METADATA_NAME, Family, Protocol
from harness.source import Place
from harness.source.diagnostics import Problems

_API = "projectcalico.org/v3"
_DENIES, _ALLOWS, _DEFAULTS, _OPENS = 900, 1000, 2000, 3000
"""Orders: NetworkPolicies have 1000; what is denied before them, what all else is, and what passes on."""

_ACTIONS = {Action.ALLOW: "Allow", Action.DENY: "Deny", Action.PASS: "Pass"}
_RESERVED = "projectcalico.org/"
_PREFIXES = ("pcns.", "pcsa.")


def write(meanings: Sequence[Meaning], problems: Problems) -> Iterator[Written]:
    """Policies of Calico's that say the same; what none can say is an error."""
    # Where some policy does not isolate, it is said of the others outright that they do.
    opens = any(_given(meaning) - meaning.isolates for meaning in meanings)
    for meaning in meanings:
        before = problems.errors
        found = list(_Writer(meaning, problems).policies(opens=opens))
        if problems.errors == before:
            yield from found


def _given(meaning: Meaning) -> set[Direction]:
    return {direction for direction in Direction if meaning.rules.get(direction)}


class _Writer:
    """Writes one meaning."""

    def __init__(self, meaning: Meaning, problems: Problems) -> None:
        self.meaning = meaning
        self.problems = problems

    def policies(self, *, opens: bool) -> Iterator[Written]:
        """What is denied, what is allowed, and what becomes of the rest.

        Args:
            opens: Whether some policy beside it does not isolate.
        """
        meaning = self.meaning
        if meaning.tier != NETWORK_POLICY_TIER:
            refuse(
                self.problems,
                meaning.place,
                f"{meaning.policy} stands in the tier {meaning.tier.name}, before or behind what it would be "
                "beside in Calico's default tier",
                "leave it as it is: Calico reads ClusterNetworkPolicies itself from 3.32 on",
            )
            return
        denies = self._rules(Action.DENY)
        allows = self._rules(Action.ALLOW)
        for rule in (rule for rules in meaning.rules.values() for rule in rules):
            if rule.action is Action.PASS:
                refuse(
                    self.problems,
                    rule.place,
                    f"{rule.name} passes on to another tier",
                    "narrow the rules behind it, so that it is not needed",
                )
        if denies:
            yield self._policy("deny", _DENIES, denies)
        isolating = {direction: allows.get(direction, []) for direction in meaning.isolates}
        allowing = {**allows, **isolating}
        if allowing:
            yield self._policy("", _ALLOWS, allowing)
        if meaning.isolates and opens:
            rest: list[dict[str, Any]] = [{"action": "Deny"}]
            yield self._policy("default", _DEFAULTS, dict.fromkeys(meaning.isolates, rest))
        free = _given(meaning) - meaning.isolates
        if free:
            rest = [{"action": "Pass"}]
            yield self._policy("open", _OPENS, dict.fromkeys(free, rest))

    def _policy(
        self, suffix: str, order: int, rules: Mapping[Direction, Sequence[dict[str, Any]]]
    ) -> Written:
        own = self.meaning.namespace
        name = "-".join(part for part in (self.meaning.name.replace(".", "-"), suffix) if part)
        subject = self.meaning.subject
        spec: dict[str, Any] = {
            "order": order,
            "selector": self._expression(subject.pods, self.meaning.place) or "all()",
        }
        if subject.accounts:
            spec["serviceAccountSelector"] = _one_of(NAME, sorted(subject.accounts))
        if own and subject.names != frozenset({own}):
            refuse(
                self.problems,
                self.meaning.place,
                "the policy selects its pods by labels of their namespace beside its name",
                "make a policy of the whole cluster of it",
            )
        if not own:
            spec["namespaceSelector"] = self._namespaces(subject.namespaces)
        spec["types"] = [item.value.capitalize() for item in Direction if item in rules]
        for direction in Direction:
            if rules.get(direction):
                spec[direction.value] = list(rules[direction])
        return Written(
            {
                "apiVersion": _API,
                "kind": "NetworkPolicy" if own else "GlobalNetworkPolicy",
                "metadata": {"name": name, **({"namespace": own} if own else {})},
                "spec": spec,
            },
            [self.meaning.policy],
            self._notes(name),
        )

    def _notes(self, name: str) -> list[str]:
        if name.startswith(self.meaning.name):
            return []
        return ["its name has no dots, since Calico's policies have none"]

    def _rules(self, action: Action) -> dict[Direction, list[dict[str, Any]]]:
        found: dict[Direction, list[dict[str, Any]]] = {}
        for direction in Direction:
            for said in self.meaning.rules.get(direction, ()):
                if said.action is action:
                    found.setdefault(direction, []).extend(self._rule(said, direction))
        return {direction: rules for direction, rules in found.items() if rules}

    def _rule(self, said: Said, direction: Direction) -> Iterator[dict[str, Any]]:
        """A rule for each peer and protocol, since everything in one holds at once."""
        side = "source" if direction is Direction.INGRESS else "destination"
        for peer in self._peers(said):
            for port in _ports(said.ports):
                if _never(peer, port):
                    continue
                destination = port.pop("destination", {})
                ends = {side: peer} if peer else {}
                if destination:
                    ends["destination"] = {**ends.get("destination", {}), **destination}
                yield {"action": _ACTIONS[said.action], **port, **ends}

    def _peers(self, said: Said) -> Iterator[dict[str, Any]]:
        if said.peers is None:
            yield {}
            return
        plain: list[Addresses] = []
        for peer in said.peers:
            what = peer.what
            if isinstance(what, Pods):
                yield self._pods(what, peer.place)
            elif isinstance(what, Addresses) and what.excepts:
                if what.network not in what.excepts:
                    yield {"nets": [str(what.network)], "notNets": [str(hole) for hole in what.excepts]}
            elif isinstance(what, Addresses):
                plain.append(what)
            else:
                self._elsewhere(peer, said)
        for same in by_kind(plain, lambda item: item.network.version):
            yield {"nets": [str(item.network) for item in same]}

    def _elsewhere(self, peer: Peer, said: Said) -> None:
        what, help = "nodes", "name the nodes' addresses, which Calico's nets match"
        if isinstance(peer.what, Outside):
            what, help = "whoever is outside of the cluster", "name the addresses that are meant"
        refuse(
            self.problems,
            peer.place,
            f"{said.name} names {what}, and Calico's rules know endpoints and addresses only",
            help,
        )

    def _pods(self, pods: Pods, place: Place) -> dict[str, Any]:
        """Pods as a peer; a selector alone keeps within the policy's own namespace."""
        found: dict[str, Any] = {}
        expression = self._expression(pods.pods, place)
        if not (self.meaning.namespace and pods.names == frozenset({self.meaning.namespace})):
            found["namespaceSelector"] = self._namespaces(pods.namespaces)
        elif not expression and not pods.accounts:
            expression = "all()"
        if expression:
            found["selector"] = expression
        if pods.accounts:
            found["serviceAccounts"] = {"names": sorted(pods.accounts)}
        return found

    def _namespaces(self, selector: LabelSelector) -> str:
        terms = (
            _term(NAME if item.key == METADATA_NAME else item.key, item) for item in selector.requirements
        )
        return " && ".join(terms) or "all()"

    def _expression(self, selector: LabelSelector, place: Place) -> str:
        for item in selector.requirements:
            if item.key.startswith((_RESERVED, *_PREFIXES)):
                refuse(
                    self.problems,
                    place,
                    f"the label `{item.key}` means something else to Calico",
                    "give the pods another label, and select them by it",
                )
        return " && ".join(_term(item.key, item) for item in selector.requirements)


def _term(key: str, item: Requirement) -> str:
    values = sorted(item.values)
    match item.operator:
        case Operator.EXISTS:
            return f"has({key})"
        case Operator.DOES_NOT_EXIST:
            return f"!has({key})"
        case Operator.IN:
            return _one_of(key, values)
        case _:
            if len(values) == 1:
                return f"{key} != {quoted(values[0])}"
            return f"{key} not in {{{', '.join(quoted(value) for value in values)}}}"


def _one_of(key: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{key} == {quoted(values[0])}"
    return f"{key} in {{{', '.join(quoted(value) for value in values)}}}"


def _ports(ports: Sequence[Port] | None) -> Iterator[dict[str, Any]]:
    """What a rule says of protocol and ports; one for each protocol."""
    if ports is None:
        yield {}
        return
    by_protocol: dict[Protocol, list[int | str]] = {}
    whole: dict[Protocol, None] = {}
    for port in ports:
        if isinstance(port, Icmp):
            version = 4 if port.family is Family.IPV4 else 6
            protocol = "ICMP" if version == 4 else "ICMPv6"
            yield {"ipVersion": version, "protocol": protocol, "icmp": {"type": port.type}}
        elif isinstance(port, NamedPort):
            for name in [port.protocol] if port.protocol else (Protocol.TCP, Protocol.UDP, Protocol.SCTP):
                by_protocol.setdefault(name, []).append(port.name)
        elif port.first is None:
            whole[port.protocol] = None
        else:
            by_protocol.setdefault(port.protocol, []).append(_number(port))
    for name in whole:
        yield {"protocol": str(name)}
    for name, numbers in by_protocol.items():
        if name not in whole:
            yield {"protocol": str(name), "destination": {"ports": list(dict.fromkeys(numbers))}}


def _never(peer: Mapping[str, Any], port: Mapping[str, Any]) -> bool:
    """Whether the addresses are of another family than the ICMP; Calico refuses such a rule."""
    nets = peer.get("nets", ())
    version = port.get("ipVersion")
    return version is not None and any((":" in net) is (version == 4) for net in nets)


def _number(port: Ports) -> int | str:
    assert port.first is not None
    last = port.last or port.first
    return port.first if last == port.first else f"{port.first}:{last}"
