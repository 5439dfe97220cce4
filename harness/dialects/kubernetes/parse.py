"""NetworkPolicy manifests to typed objects, as strictly as the API server reads them (semantics.md 3.1)."""

from __future__ import annotations

from harness.dialects import validate
from harness.dialects.fields import Field
from harness.dialects.kubernetes import lint
from harness.dialects.kubernetes.types import (
    BlockPeer,
    IpBlock,
    NetworkPolicy,
    Peer,
    PodPeer,
    PolicyPort,
    PolicyRule,
)
from harness.dialects.objects import metadata, selector
from harness.dialects.selectors import LabelSelector
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.model.topology import Protocol
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import MappingNode
from harness.source.values import manifest_value

_SPEC = ("podSelector", "policyTypes", "ingress", "egress")
_PEER = ("podSelector", "namespaceSelector", "ipBlock")
_PORT = ("protocol", "port", "endPort")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
_SIDES = {Direction.INGRESS: ("from", "to"), Direction.EGRESS: ("to", "from")}


def parse(document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
    """Read one NetworkPolicy; None when it has errors."""
    before = problems.errors
    root = Field(document, "", problems)
    top = root.section(
        ("apiVersion", "kind", "metadata", "spec", "status"),
        dict.fromkeys(_SPEC, "it belongs under `spec:`")
        | dict.fromkeys(("name", "namespace"), "it belongs under `metadata:`"),
    )
    if "status" in top:
        top["status"].warning(
            "ignored-field",
            "a NetworkPolicy has no status; newer API servers refuse the field",
            help="leave it out",
        )
    name, own_namespace = metadata(root, top.get("metadata"))
    spec = _spec(root, top.get("spec"), own_namespace or namespace)
    if problems.errors > before:
        return None
    return Policy(
        dialect="kubernetes",
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        namespace=own_namespace or namespace,
        name=name,
        manifest=manifest_value(document),
        parsed=spec,
        place=document.place,
        document=document,
    )


def _spec(root: Field, field: Field | None, namespace: str) -> NetworkPolicy:
    if field is None:
        root.warning(
            "missing-spec",
            "without `spec` the policy selects every pod of its namespace and denies all ingress",
            help="write the spec; for that very effect: `spec: {podSelector: {}, policyTypes: [Ingress]}`",
        )
        field = Field(MappingNode((), root.place), "spec", root.problems)
    spec = field.section(_SPEC, {"from": "rules stand in `ingress:`", "to": "rules stand in `egress:`"})
    subject = selector(spec["podSelector"]) if "podSelector" in spec else LabelSelector()
    ingress = _rules(spec.get("ingress"), Direction.INGRESS)
    egress = _rules(spec.get("egress"), Direction.EGRESS)
    before = root.problems.errors
    directions = _directions(spec.get("policyTypes"), bool(egress))
    if root.problems.errors == before:
        present = {Direction.INGRESS: bool(ingress), Direction.EGRESS: bool(egress)}
        lint.ignored_sections(spec, directions, present)
    return NetworkPolicy(namespace, subject, directions, ingress, egress, root.place)


def _directions(field: Field | None, has_egress: bool) -> frozenset[Direction]:
    """`policyTypes`, or its default: ingress always, egress if there is an egress rule (3.1 no. 2)."""
    items = field.items() if field else ()
    if field and len(items) > 2:
        field.error(
            "invalid-policy-type", "at most two policy types can be listed", help="Ingress, Egress or both"
        )
    found = set()
    for item in items:
        text = item.text()
        if text in _TYPES:
            found.add(_TYPES[text])
        elif text is not None:
            item.error(
                "invalid-policy-type",
                f'"{text}" is not a policy type',
                help=did_you_mean(text.capitalize(), _TYPES) or "Ingress or Egress",
                fix=text.capitalize() if text.capitalize() in _TYPES else None,
            )
    if items:
        return frozenset(found)
    return frozenset({Direction.INGRESS, Direction.EGRESS} if has_egress else {Direction.INGRESS})


def _rules(field: Field | None, direction: Direction) -> tuple[PolicyRule, ...]:
    rules = []
    own, other = _SIDES[direction]
    hint = f"{direction} rules say `{own}`: `{other}` belongs to the other direction"
    misplaced = dict.fromkeys(_PEER, f"peers are items of `{own}:`")
    for item in field.items() if field else ():
        section = item.section(
            (own, "ports"), {other: hint, **misplaced, "port": "ports are items of `ports:`"}
        )
        peers = tuple(_peer(peer) for peer in section[own].items()) if own in section else ()
        ports = tuple(_port(port) for port in section["ports"].items()) if "ports" in section else ()
        rules.append(
            PolicyRule(
                tuple(peer for peer in peers if peer), tuple(port for port in ports if port), item.place
            )
        )
    return tuple(rules)


def _peer(field: Field) -> Peer | None:
    peer = field.section(
        _PEER, {"cidr": "it belongs under `ipBlock:`", "matchLabels": "it belongs under `podSelector:`"}
    )
    if not peer:
        field.error(
            "invalid-peer",
            "a peer needs podSelector, namespaceSelector or ipBlock",
            help="for every pod of the namespace write `podSelector: {}`; for every peer leave the list out",
        )
        return None
    if "ipBlock" in peer:
        block = _block(peer["ipBlock"])
        if len(peer) > 1:
            field.error(
                "invalid-peer",
                "ipBlock cannot stand together with a selector",
                help="make two peers of it: begin each with `- `",
            )
            return None
        return BlockPeer(block, field.place) if block else None
    pods = selector(peer["podSelector"]) if "podSelector" in peer else LabelSelector()
    namespaces = None
    if "namespaceSelector" in peer:
        namespaces = selector(peer["namespaceSelector"], of_namespaces=True)
    return PodPeer(pods, namespaces, field.place)


def _block(field: Field) -> IpBlock | None:
    section = field.section(("cidr", "except"))
    if "cidr" not in section:
        field.error("missing-field", "`cidr` is missing", help="write `cidr: 192.0.2.0/24`")
        return None
    text = section["cidr"].text()
    network = validate.cidr(section["cidr"], text) if text is not None else None
    excepts = []
    for item in section["except"].items() if "except" in section else ():
        inner_text = item.text()
        inner = validate.cidr(item, inner_text) if inner_text is not None else None
        if network and inner and validate.strict_subset(item, inner, network):
            excepts.append(inner)
    return IpBlock(network, tuple(excepts)) if network else None


def _port(field: Field) -> PolicyPort | None:
    if not field.null and not isinstance(field.node, MappingNode):
        field.error("wrong-type", "must be a mapping", help="write `port: 8080`")
        return None
    section = field.section(_PORT, {"targetPort": "policies see the pod's own port: write `port:`"})
    protocol: Protocol | None = Protocol.TCP
    if "protocol" in section:
        text = section["protocol"].text()
        protocol = _PROTOCOLS.get(text or "")
        if text is not None and protocol is None:
            section["protocol"].error(
                "invalid-protocol",
                f'"{text}" is not a protocol of NetworkPolicy',
                help=did_you_mean(text.upper(), _PROTOCOLS) or "TCP, UDP or SCTP",
                fix=text.upper() if text.upper() in _PROTOCOLS else None,
            )
    port = section["port"].integer_or_text() if "port" in section else None
    good = protocol is not None and ("port" not in section or port is not None)
    if isinstance(port, int):
        good = validate.port_number(section["port"], port) and good
    elif isinstance(port, str):
        good = validate.port_name(section["port"], port) and good
    end = _end_port(section["endPort"], port) if "endPort" in section else None
    return PolicyPort(protocol, port, end, field.place) if good and protocol else None


def _end_port(field: Field, port: int | str | None) -> int | None:
    end = field.integer()
    if end is None:
        return None
    if not isinstance(port, int):
        field.error("invalid-port", "endPort needs a numeric `port` where the range begins")
    elif end < port:
        field.error("invalid-port", f"endPort {end} is smaller than port {port}")
    else:
        validate.port_number(field, end)
    return end
