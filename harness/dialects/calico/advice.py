"""What a reviewer would say of a valid object of Calico's: about it alone, and about it in a world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.dialects.calico.selectors import PodLabels
from harness.dialects.calico.types import TCP, UDP, CalicoPolicy, CalicoRule, Entity, Port
from harness.dialects.unheard import WHO, unheard
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.model.topology import Pod, Protocol, Topology
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Related, Severity

_PROTOCOLS = {TCP: Protocol.TCP, UDP: Protocol.UDP, 132: Protocol.SCTP}


def of_policy(policy: Policy) -> Iterator[Diagnostic]:
    """What can be said of the policy without any world."""
    spec = policy.parsed
    if not isinstance(spec, CalicoPolicy):
        return
    if spec.hosts_only:
        yield _info(
            "hosts-only",
            f"{policy} concerns host endpoints and no pod: doNotTrack and preDNAT mean nothing to pods",
            spec.place,
            "leave them out of a policy that is about pods",
        )
    elif spec.forwarded:
        yield _info(
            "hosts-only",
            "applyOnForward says something of host endpoints only; pods are policed all the same",
            spec.place,
            "leave it out where there are no host endpoints",
        )
    for direction in (Direction.INGRESS, Direction.EGRESS):
        rules = spec.rules(direction)
        yield from _behind(rules)
        for rule in rules:
            if rule.http is not None:
                yield _info(
                    "needs-setting",
                    "what the rule says of HTTP counts only where application layer policy is set up; "
                    "elsewhere every request passes",
                    rule.http.place,
                    "set Istio and Calico's Dikastes up, or deny what must not pass by ports",
                )


def _behind(rules: Sequence[CalicoRule]) -> Iterator[Diagnostic]:
    """Rules that none reaches, because one before them matches everything."""
    for number, rule in enumerate(rules[:-1]):
        if rule.action is not Action.LOG and _everything(rule):
            after = rules[number + 1]
            yield Diagnostic(
                "rules-never-reached",
                Severity.WARNING,
                f"{rule.name} matches everything, so nothing behind it is ever asked",
                after.place,
                help="move it to the end, or remove what stands behind it",
                related=(Related(rule.place, "matches everything"),),
            )
            return


def _everything(rule: CalicoRule) -> bool:
    said = (rule.protocol, rule.not_protocol, rule.icmp, rule.not_icmp, rule.http, rule.family)
    return rule.source.anybody and rule.destination.anybody and all(item is None for item in said)


def in_world(policy: Policy, topology: Topology) -> Iterator[Diagnostic]:
    """Selectors that mean nobody here, and open ports on which nobody listens."""
    spec = policy.parsed
    if not isinstance(spec, CalicoPolicy) or spec.hosts_only or spec.staged == "Delete":
        return
    pods = [pod for pod in topology.pods.values() if not pod.host_network]
    subjects = [pod for pod in pods if spec.subject.matches(PodLabels(pod, topology))]
    if not subjects:
        yield Diagnostic(
            "selects-no-pod",
            Severity.WARNING,
            f"{policy} selects no pod",
            spec.subject_place,
            "correct the selector, or the labels of the pods",
        )
    for direction in (Direction.INGRESS, Direction.EGRESS):
        for rule in spec.rules(direction) if direction in spec.directions else ():
            reached = subjects
            if direction is Direction.EGRESS:
                found = _members(rule.destination, pods, topology)
                reached = pods if found is None else found
                if rule.destination.services or rule.destination.nets:
                    continue
            yield from _unheard(rule, direction, reached)


def _members(entity: Entity, pods: Sequence[Pod], topology: Topology) -> list[Pod] | None:
    members = entity.members
    if members is None:
        return None
    return [pod for pod in pods if members.matches(PodLabels(pod, topology))]


def _unheard(rule: CalicoRule, direction: Direction, pods: Sequence[Pod]) -> Iterator[Diagnostic]:
    """Only of rules that allow: to deny a port on which nobody listens yet is no mistake."""
    protocol = _PROTOCOLS.get(rule.protocol.number) if rule.protocol is not None else None
    if rule.action is not Action.ALLOW or protocol is None or not pods:
        return
    for port in rule.destination.ports:
        first, last = _bounds(port)
        yield from unheard(protocol, first, last, pods, WHO[direction], port.place)


def _bounds(port: Port) -> tuple[int | str, int | None]:
    return (port.name, None) if port.name else (port.first, port.last)


def _info(id: str, message: str, place: Place, help: str) -> Diagnostic:
    return Diagnostic(id, Severity.INFO, message, place, help)
