"""What Calico's policies speak of; see `dialects.material`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.dialects.calico.selectors import (
    NAME,
    NAMESPACE,
    OF_NAMESPACE,
    SERVICE_ACCOUNT,
    And,
    Comparison,
    Expression,
    Has,
    Not,
    Operator,
    Or,
    terms,
)
from harness.dialects.calico.types import TCP, UDP, CalicoPolicy, CalicoRule, Entity, NetworkSet
from harness.dialects.material import (
    LABEL_SETS,
    SOME_VALUE,
    BlockWish,
    Material,
    NamespaceWish,
    PodWish,
    PortWish,
)
from harness.dialects.selectors import LabelSelector, Requirement
from harness.dialects.selectors import Operator as Wanted
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import METADATA_NAME, Protocol
from harness.source import Place

_DERIVED = ("projectcalico.org/", "pcns.", "pcsa.")
"""How labels begin that pods have from Calico."""

_PROTOCOLS = {TCP: Protocol.TCP, UDP: Protocol.UDP, 132: Protocol.SCTP}


def material(policies: Sequence[Policy]) -> Material:
    """Wishes for pods, namespaces and addresses; services are those that a scenario declares itself."""
    pods: list[PodWish] = []
    blocks: list[BlockWish] = []
    anywhere: list[PortWish] = []
    spoken: list[Expression] = []
    specs = [policy.parsed for policy in policies if isinstance(policy.parsed, CalicoPolicy)]
    for spec in specs:
        arriving = tuple(port for rule in spec.ingress for port in _ports(rule))
        pods += _pods(spec.subject, spec.namespace, spec.subject_place, arriving)
        spoken.append(spec.subject)
        for direction, rule, entity in spec.entities:
            egress = direction is Direction.EGRESS and entity is rule.destination
            listen = tuple(_ports(rule)) if egress else ()
            if egress and entity.anybody:
                anywhere += listen
            chosen = _expressions(entity)
            spoken += chosen
            for expression in chosen:
                pods += _pods(expression, spec.namespace, entity.place, listen)
            nets = (*entity.nets, *entity.not_nets)
            blocks += [BlockWish(net.network, (), net.place, listen) for net in nets]
    for policy in policies:
        if isinstance(policy.parsed, NetworkSet):
            blocks += [BlockWish(network, (), policy.place) for network in policy.parsed.nets]
    items = [item for expression in spoken for item in terms(expression)]
    return Material(
        tuple(pods),
        tuple(blocks),
        tuple(dict.fromkeys(anywhere)),
        tuple(dict.fromkeys(policy.namespace for policy in policies if policy.namespace)),
        tuple(dict.fromkeys(found for item in items if (found := _of_pods(item)) is not None)),
        tuple(dict.fromkeys(found for item in items if (found := _of_namespaces(item)) is not None)),
    )


def _expressions(entity: Entity) -> list[Expression]:
    found = [entity.members] if entity.members is not None else []
    return found + ([entity.not_selector.expression] if entity.not_selector is not None else [])


def requirement(term: Expression, key: str) -> LabelSelector | None:
    """A term about one label as a selector of that label: what tells values of the label apart."""
    if isinstance(term, Has):
        return LabelSelector((Requirement(key, Wanted.EXISTS),))
    if isinstance(term, Comparison) and term.values:
        return LabelSelector((Requirement(key, Wanted.IN, frozenset(term.values)),))
    return None


def _of_pods(term: Expression) -> LabelSelector | None:
    if not isinstance(term, Has | Comparison) or term.label.startswith(_DERIVED):
        return None
    return requirement(term, term.label)


def _of_namespaces(term: Expression) -> LabelSelector | None:
    if not isinstance(term, Has | Comparison):
        return None
    key = namespace_key(term.label)
    return requirement(term, key) if key else None


def namespace_key(label: str) -> str:
    """The label of namespaces for which a label of pods stands; empty where it stands for none."""
    if label in (NAMESPACE, OF_NAMESPACE + NAME):
        return METADATA_NAME
    return label.removeprefix(OF_NAMESPACE) if label.startswith(OF_NAMESPACE) else ""


def _pods(expression: Expression, own: str, place: Place, listen: tuple[PortWish, ...]) -> Iterator[PodWish]:
    for labels in examples(expression):
        plain = {key: value for key, value in labels.items() if not key.startswith(_DERIVED)}
        of_namespace = {key: value for label, value in labels.items() if (key := namespace_key(label))}
        name = of_namespace.pop(METADATA_NAME, "")
        if name == SOME_VALUE or (not name and not of_namespace):
            name = own
        yield PodWish(
            NamespaceWish(name, of_namespace), plain, place, listen, labels.get(SERVICE_ACCOUNT, "")
        )


def examples(expression: Expression) -> Sequence[Mapping[str, str]]:
    """Small sets of labels that an expression selects; none where nothing simple fits it."""
    found: list[dict[str, str]] = []
    for labels in _candidates(expression, wanted=True):
        if labels not in found and expression.matches(labels):
            found.append(labels)
    return found[:LABEL_SETS]


def _candidates(expression: Expression, *, wanted: bool) -> list[dict[str, str]]:
    match expression:
        case Not():
            return _candidates(expression.inner, wanted=not wanted)
        case And() | Or():
            some = [_candidates(term, wanted=wanted) for term in expression.terms]
            if isinstance(expression, Or) is wanted:
                return [labels for each in some for labels in each][:LABEL_SETS]
            joined: list[dict[str, str]] = [{}]
            for each in some:
                joined = [{**one, **other} for one in joined for other in each][:LABEL_SETS]
            return joined
        case Has():
            return [{expression.label: SOME_VALUE}] if wanted else [{}]
        case Comparison():
            positive = expression.operator not in (Operator.IS_NOT, Operator.NOT_IN)
            if positive is wanted:
                return [{expression.label: value} for value in expression.values]
            return [{}, {expression.label: SOME_VALUE}]
        case _:
            return [{}]


def _ports(rule: CalicoRule) -> Iterator[PortWish]:
    protocol = _PROTOCOLS.get(rule.protocol.number) if rule.protocol is not None else None
    if protocol is None:
        return
    if not rule.destination.ports:
        yield PortWish(protocol)
    for port in (*rule.destination.ports, *rule.destination.not_ports):
        if port.name:
            yield PortWish(protocol, name=port.name)
        else:
            yield PortWish(protocol, port.first, port.last if port.last != port.first else None)
