"""Neutral rules with applications as the table that the proxy reads (`proxy.table`), by addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.clusters.lab.addressing import FAMILIES, POD_RANGES, Addressing
from harness.clusters.lab.clauses import name_set
from harness.model.application import Application, DnsRules, HttpRule, HttpRules, ServerNames
from harness.model.personality import GENERIC, Personality
from harness.model.rules import Action, Block, Direction, Match, Ports, Reach, Stage
from harness.model.topology import Family, Topology
from harness.model.verdict import Verdict

_LAST_PORT = 65535


def has_applications(stages: Sequence[Stage]) -> bool:
    """Whether any rule needs the proxy."""
    return any(
        rule.application is not None for stage in stages for block in stage.blocks for rule in block.rules
    )


def make_table(
    stages: Sequence[Stage], topology: Topology, addressing: Addressing, personality: Personality = GENERIC
) -> dict[str, Any]:
    """The `table` message (see probes/PROTOCOL.md)."""
    maker = _Maker(addressing)
    subjects: list[list[Any]] = []
    for direction in Direction:
        concerned = [stage for stage in stages if stage.direction is direction]
        for pod in topology.pods.values():
            if pod.host_network:
                continue
            lists = [found for stage in concerned if (found := maker.stage(stage, pod.id))]
            if lists:
                subjects += [[direction.value, address, lists] for address in addressing.pod(pod.id)]
    pods = [list(addressing.pod(pod.id)) for pod in topology.pods.values() if not pod.host_network]
    return {
        "op": "table",
        "entries": maker.entries,
        "subjects": subjects,
        "pods": pods,
        "sets": _name_sets(stages),
        "reject": "NXDOMAIN" if personality.denied_lookup is Verdict.DNS_NXDOMAIN else "REFUSED",
    }


def _name_sets(stages: Sequence[Stage]) -> list[list[Any]]:
    """The sets of names in nft, by family, with their patterns."""
    found = {
        name_set(Family.IPV4, match.names): [
            *(name_set(family, match.names) for family in (Family.IPV4, Family.IPV6)),
            [item.text for item in match.names],
        ]
        for stage in stages
        for block in stage.blocks
        for rule in block.rules
        for match in rule.matches
        if match.names
    }
    return list(found.values())


class _Maker:
    """Writes each match of each rule once, however many pods it is for."""

    def __init__(self, addressing: Addressing) -> None:
        self.entries: list[dict[str, Any]] = []
        self._addressing = addressing
        self._numbers: dict[tuple[int, Application | None], int] = {}
        self._nodes = [
            f"{address}/{128 if ':' in address else 32}"
            for node in addressing.nodes
            for address in addressing.node(node)
        ]

    def stage(self, stage: Stage, pod: str) -> list[int]:
        """Numbers of the entries of one stage that are about a pod; what frees matters to questions only."""
        rules = [
            rule
            for block in stage.blocks
            if pod in block.subjects
            for rule in block.rules
            if rule.action is Action.ALLOW
        ]
        asking = any(isinstance(rule.application, DnsRules) for rule in rules)
        return [
            self._number(match, rule.application)
            for rule in rules
            if asking or rule.application is not None
            for match in rule.matches
            if match.subjects is None or pod in match.subjects
        ]

    def _number(self, match: Match, application: Application | None) -> int:
        key = id(match), application
        if key not in self._numbers:
            self._numbers[key] = len(self.entries)
            self.entries.append(self._entry(match, application))
        return self._numbers[key]

    def _entry(self, match: Match, application: Application | None) -> dict[str, Any]:
        entry: dict[str, Any] = {"application": _application(application)}
        if match.pods is not None or match.nodes is not None:
            places = [self._addressing.pod(pod) for pod in sorted(match.pods or ())]
            places += [self._addressing.node(node) for node in sorted(match.nodes or ())]
            entry["addresses"] = [address for each in places for address in each]
        if match.blocks is not None:
            entry["blocks"] = [part for block in match.blocks for part in self._block(block)]
        if match.names is not None:
            entry["names"] = [item.text for item in match.names]
        if match.ports is not None:
            entry["ports"] = [_port(item) for item in match.ports]
        return entry

    def _block(self, block: Block) -> list[list[list[str]]]:
        """A block as `[networks that all hold the address, networks of which none does]`."""
        network, excepts = str(block.network), [str(item) for item in block.excepts]
        pods = [POD_RANGES[family] for family in FAMILIES]
        match block.reach:
            case Reach.PODS:
                return [[[network, item], excepts] for item in pods]
            case Reach.NODES:
                return [[[network, item], excepts] for item in self._nodes]
            case Reach.OUTSIDE | Reach.CIDR:
                return [[[network], [*excepts, *pods, *self._nodes]]]
        return [[[network], excepts]]


def _port(ports: Ports) -> list[Any]:
    if ports.first is None:
        return [ports.protocol.value.lower(), 0, _LAST_PORT]
    return [ports.protocol.value.lower(), ports.first, ports.first if ports.last is None else ports.last]


def _application(application: Application | None) -> list[Any]:
    match application:
        case None:
            return ["free", []]
        case HttpRules(rules):
            return ["http", [_http(rule) for rule in rules]]
        case DnsRules(names):
            return ["dns", [item.text for item in names]]
        case ServerNames(names):
            return ["server-names", [item.text for item in names]]


def _http(rule: HttpRule) -> list[Any]:
    headers = [[item.name, item.value, item.mismatch] for item in rule.headers]
    return [rule.path, rule.method, rule.host, headers]
