"""The parts of a policy, by the names that traces use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.model.rules import Direction
from harness.source import Place


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """One part: a direction that the policy isolates (`ingress`), a rule, a peer, a port.

    Attributes:
        name: As in `ingress[0].from[1]`.
    """

    name: str
    place: Place


class _Placed(Protocol):
    @property
    def place(self) -> Place: ...


class _Rule(Protocol):
    @property
    def place(self) -> Place: ...
    @property
    def peers(self) -> Sequence[_Placed]: ...
    @property
    def ports(self) -> Sequence[_Placed]: ...


def of_rules(direction: Direction, rules: Sequence[_Rule], ports: str = "ports") -> Iterator[PolicyPart]:
    """The parts of rules that have peers and ports.

    Args:
        direction: Of the rules.
        rules: In the order of the file.
        ports: What the dialect calls the list of ports.
    """
    side = "from" if direction is Direction.INGRESS else "to"
    for number, rule in enumerate(rules):
        name = f"{direction}[{number}]"
        yield PolicyPart(name, rule.place)
        for index, peer in enumerate(rule.peers):
            yield PolicyPart(f"{name}.{side}[{index}]", peer.place)
        for index, port in enumerate(rule.ports):
            yield PolicyPart(f"{name}.{ports}[{index}]", port.place)
