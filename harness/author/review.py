"""What a reviewer would say of valid policies: each dialect's advice, and what the oracle can prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.author.order import same_place
from harness.author.redundant import redundant
from harness.dialects.cilium.groups import unknown
from harness.dialects.registry import DIALECTS, carried
from harness.model.builtin import DNS_POD, with_builtins
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Action, Direction
from harness.model.scenario import Scenario
from harness.model.topology import Protocol, Topology
from harness.oracle import predict
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class World:
    """Policies in force together, and the pods among which they are."""

    topology: Topology
    policies: tuple[Policy, ...]


def worlds(scenarios: Iterable[Scenario]) -> Iterator[World]:
    """The worlds of all steps."""
    for scenario in scenarios:
        for step in scenario.steps:
            if step.policies:
                yield World(with_builtins(step.topology), step.policies)


def review(found: Sequence[World], alone: Iterable[Policy] = ()) -> list[Diagnostic]:
    """Advice on policies.

    Args:
        found: Worlds; what is said of a policy must hold in all of them that have it.
        alone: Policies of which no world is known.

    Returns:
        Each diagnostic once.
    """
    present: Counter[Place] = Counter()
    said: Counter[tuple[Place, Diagnostic]] = Counter()
    everywhere: dict[Place, Policy] = {}
    proved: dict[tuple[Place, ...], dict[Place, list[Diagnostic]]] = {}
    for world in found:
        without_dns = _without_dns(world)
        unordered = same_place(world.policies, world.topology)
        groups = unknown(world.policies)
        together = tuple(policy.place for policy in world.policies)
        if together not in proved:
            proved[together] = _redundant(world.policies)
        for policy in world.policies:
            everywhere.setdefault(policy.place, policy)
            present[policy.place] += 1
            for item in {
                *DIALECTS[policy.dialect].advice(policy, world.topology),
                *without_dns.get(policy.place, ()),
                *unordered.get(policy.place, ()),
                *groups.get(policy.place, ()),
                *proved[together].get(policy.place, ()),
            }:
                said[policy.place, item] += 1
    lonely = [policy for policy in alone if policy.place not in everywhere]
    everywhere.update({policy.place: policy for policy in lonely})
    result = [item for (place, item), number in said.items() if number == present[place]]
    for policy in everywhere.values():
        result += DIALECTS[policy.dialect].advice(policy, None)
    result += [item for items in _redundant(lonely).values() for item in items]
    return list(dict.fromkeys(result))


def _redundant(policies: Sequence[Policy]) -> dict[Place, list[Diagnostic]]:
    found: dict[Place, list[Diagnostic]] = {}
    for policy, item in redundant(policies):
        found.setdefault(policy.place, []).append(item)
    return found


def _without_dns(world: World) -> dict[Place, list[Diagnostic]]:
    """Pods that may send somewhere but not ask the cluster's DNS: no name resolves (semantics.md 1.1)."""
    found: dict[Place, list[Diagnostic]] = {}
    chosen: dict[Place, frozenset[str]] = {}
    speaking: set[str] = set()
    if carried(world.policies):
        # Of a policy whose rules are not read nobody knows what it allows.
        return found
    for policy in world.policies:
        for stage in DIALECTS[policy.dialect].compile([policy], world.topology):
            if stage.direction is not Direction.EGRESS:
                continue
            for block in stage.blocks:
                chosen[policy.place] = chosen.get(policy.place, frozenset()) | block.subjects
                if any(rule.action is Action.ALLOW and rule.matches for rule in block.rules):
                    speaking |= block.subjects
    silent: dict[str, bool] = {}
    truncated: dict[str, bool] = {}
    for policy in world.policies:
        pods = sorted(chosen.get(policy.place, frozenset()) - {DNS_POD})
        for pod in pods:
            if pod not in silent:
                silent[pod] = pod in speaking and _may_ask(pod, world, Protocol.UDP) is Answer.DENY
                asks = not silent[pod] and _may_ask(pod, world, Protocol.UDP) is Answer.ALLOW
                truncated[pod] = asks and _may_ask(pod, world, Protocol.TCP) is Answer.DENY
        # Whoever may send nothing at all needs no names.
        mute = [pod for pod in pods if silent[pod]]
        short = [pod for pod in pods if truncated[pod]]
        if not mute:
            if short:
                found[policy.place] = [_udp_only(policy, short)]
            continue
        names = ", ".join(mute[:3]) + (" and others" if len(mute) > 3 else "")
        found[policy.place] = [
            Diagnostic(
                "egress-without-dns",
                Severity.WARNING,
                f"{policy} restricts egress, and no rule lets {names} ask the cluster's DNS: "
                "names will not resolve",
                policy.place,
                help="allow port 53, UDP and TCP, to pods with k8s-app: kube-dns in kube-system",
            )
        ]
    return found


def _udp_only(policy: Policy, pods: Sequence[str]) -> Diagnostic:
    names = ", ".join(pods[:3]) + (" and others" if len(pods) > 3 else "")
    return Diagnostic(
        "dns-without-tcp",
        Severity.INFO,
        f"{policy} restricts egress, and {names} may ask the cluster's DNS over UDP only: answers that are "
        "cut short cannot be asked for again over TCP",
        policy.place,
        help="allow port 53 for both protocols",
    )


def _may_ask(pod: str, world: World, protocol: Protocol) -> Answer:
    target = Target(TargetKind.SERVICE, DNS_POD, 53, protocol)
    return predict(world.topology, world.policies, Probe(Source(SourceKind.POD, pod), target)).verdict
