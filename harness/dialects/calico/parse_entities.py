"""Sources and destinations of Calico's rules (semantics.md 3.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.dialects import validate
from harness.dialects.calico import parse_selectors
from harness.dialects.calico.refusals import refuse
from harness.dialects.calico.selectors import (
    NAMESPACE,
    SERVICE_ACCOUNT,
    Comparison,
    Expression,
    Operator,
    Selector,
    of_accounts,
    of_namespaces,
    together,
)
from harness.dialects.calico.types import Accounts, Entity, Net, Port, ServiceRef
from harness.dialects.fields import Field
from harness.model.rules import Direction, Network
from harness.source import Place
from harness.source.diagnostics import Fix
from harness.source.nodes import MappingNode, ScalarNode, SequenceNode

_FIELDS = (
    *("selector", "namespaceSelector", "serviceAccounts", "services", "nets", "ports"),
    *("notSelector", "notNets", "notPorts"),
)
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


def nobody(place: Place) -> Entity:
    """What a rule without the field says of the end: nothing."""
    return Entity(place)


def entity(field: Field, side: str, direction: Direction, namespace: str, *, ports: bool) -> Entity:
    """One end of a rule.

    Args:
        field: Where it stands.
        side: `source` or `destination`.
        direction: Of the rule.
        namespace: Of the policy; empty for those of the whole cluster.
        ports: Whether the rule's protocol has ports.
    """
    section = _without_domains(field).section(
        _FIELDS,
        {
            "podSelector": "write `selector:` with an expression such as app == 'web'",
            "matchLabels": "write `selector:` with an expression such as app == 'web'",
            "serviceAccount": "write `serviceAccounts: {names: […]}`",
            "serviceAccountSelector": "write `serviceAccounts: {selector: …}`",
            "cidr": "write `nets: […]`",
            "ipBlock": "write `nets:` and `notNets:`",
            "port": "write `ports: […]`",
        },
    )

    def read(name: str, use: parse_selectors.Use | None = None) -> Selector | None:
        return parse_selectors.selector(section[name], use) if name in section else None

    selector = read("selector", parse_selectors.no_global)
    not_selector = read("notSelector")
    namespaces = read("namespaceSelector", parse_selectors.lone_global)
    accounts = _accounts(section["serviceAccounts"]) if "serviceAccounts" in section else None
    services = None
    if "services" in section:
        services = _services(section["services"], section, side, direction, namespace)
    listed = {name: _ports(section[name]) if name in section else () for name in ("ports", "notPorts")}
    for name, found in listed.items():
        if found and not ports:
            refuse(
                section[name],
                "rules that specify ports must set protocol to TCP or UDP or SCTP",
                "add `protocol: TCP` to the rule",
            )
    own = Comparison(NAMESPACE, Operator.IS, (namespace,)) if namespace else None
    return Entity(
        field.place,
        selector,
        namespaces,
        accounts,
        services,
        _nets(section.get("nets")),
        listed["ports"],
        not_selector,
        _nets(section.get("notNets")),
        listed["notPorts"],
        _members(selector, namespaces, accounts, own, limited=not_selector is not None),
    )


def _members(
    selector: Selector | None,
    namespaces: Selector | None,
    accounts: Accounts | None,
    own: Expression | None,
    *,
    limited: bool,
) -> Expression | None:
    """Any of the selectors, `notSelector` as well, keeps a policy's rule within its own namespace."""
    named = None
    if accounts is not None and accounts.names:
        named = Comparison(SERVICE_ACCOUNT, Operator.IN, accounts.names)
    labelled = None
    if accounts is not None and accounts.selector is not None:
        labelled = of_accounts(accounts.selector.expression)
    chosen = together(labelled, named, selector.expression if selector is not None else None)
    if namespaces is not None:
        return together(of_namespaces(namespaces.expression), chosen)
    return together(own, chosen) if chosen is not None or limited else None


def _without_domains(field: Field) -> Field:
    """The end without `domains`, of which is said what becomes of it."""
    if not isinstance(field.node, MappingNode) or "domains" not in field.node:
        return field
    domains = field.entries()["domains"]
    names = domains.node.items if isinstance(domains.node, SequenceNode) else ()
    hosts = [item.text for item in names if isinstance(item, ScalarNode)]
    field.problems.error(
        "not-in-open-source",
        f"{domains.path}: open source Calico has no `domains`, and refuses the field",
        domains.key or domains.place,
        help="only Calico Enterprise and Calico Cloud have it; give the addresses a label of their own and "
        "select that:",
        instead=_addresses_of(hosts),
    )
    kept = tuple(pair for pair in field.node.items if pair[0].text != "domains")
    return Field(MappingNode(kept, field.node.place), field.path, field.problems, field.key)


def _addresses_of(hosts: Sequence[str]) -> str:
    """A set of networks in place of names, and how a rule selects it."""
    words = hosts[0].lstrip("*.").split(".") if hosts and hosts[0] else []
    name = re.sub(r"[^a-z0-9-]", "", words[0].lower()).strip("-") if words else ""
    name = name or "outside"
    return "\n".join(
        (
            "selector: role == '" + name + "'",
            "namespaceSelector: global()",
            "---",
            "apiVersion: projectcalico.org/v3",
            "kind: GlobalNetworkSet",
            f"metadata: {{name: {name}, labels: {{role: {name}}}}}",
            f"spec: {{nets: [203.0.113.0/24]}}  # the addresses of {', '.join(hosts[:3]) or 'the names'}",
        )
    )


def _accounts(field: Field) -> Accounts | None:
    if isinstance(field.node, SequenceNode):
        _not_a_list(field, field.node)
        return None
    section = field.section(("names", "selector"), {"name": "write `names: [one]`"})
    names = []
    for item in section["names"].items() if "names" in section else ():
        text = item.text()
        if text is not None and validate.object_name(item, text):
            names.append(text)
    found = None
    if "selector" in section:
        found = parse_selectors.selector(section["selector"], parse_selectors.no_global)
    if not names and found is None:
        if field.problems.errors == 0:
            field.warning(
                "ignored-field", "neither names nor a selector: every account is meant", help="leave it out"
            )
        return None
    return Accounts(tuple(names), found, field.place)


def _not_a_list(field: Field, node: SequenceNode) -> None:
    """`serviceAccounts: [{name: x}]`, as a guide prints it."""
    names: list[ScalarNode] = []
    for item in node.items:
        named = item.get("name") if isinstance(item, MappingNode) else item
        if isinstance(named, ScalarNode):
            names.append(named)
    words = ", ".join(item.text for item in names) or "NAME"
    fix = None
    plain = len(names) == len(node.items) and all(re.fullmatch(r"[a-z0-9.-]+", item.text) for item in names)
    if plain and names:
        end = names[-1].place
        flow = node.place.end_line == node.place.line
        if flow:
            fix = Fix(node.place, f"{{names: [{words}]}}")
        elif len(names) == 1 and end.line == node.place.line and _indented(field, node):
            span = Place(node.place.file, node.place.line, node.place.column, end.end_line, end.end_column)
            fix = Fix(span, f"names: [{words}]")
    field.problems.error(
        "wrong-type",
        f"{field.path}: must be a mapping with `names` or `selector`, not a list",
        field.place,
        help=f"write `serviceAccounts: {{names: [{words}]}}`",
        fix=fix,
    )


def _indented(field: Field, node: SequenceNode) -> bool:
    """Whether a mapping can take the place of the list: its only item has one key, right of the field's."""
    (item,) = node.items
    alone = not isinstance(item, MappingNode) or len(item.items) == 1
    return alone and field.key is not None and node.place.column > field.key.column


def _services(
    field: Field, section: dict[str, Field], side: str, direction: Direction, namespace: str
) -> ServiceRef | None:
    inner = field.section(("name", "namespace"))
    name = inner["name"].text() if "name" in inner else ""
    if name == "":
        refuse(field, "must specify a service name", "write `services: {name: …}`")
    where = (inner["namespace"].text() or "") if "namespace" in inner else ""
    if not where and not namespace:
        refuse(field, "must specify a namespace", "write `services: {name: …, namespace: …}`")
    elif not where:
        # Seen on 3.28.4; its documentation says that the policy's own namespace is meant.
        field.warning(
            "service-without-namespace",
            "without a namespace Calico 3.28 finds no service, and the rule matches nothing",
            help=f"write `services: {{name: {name or '…'}, namespace: {namespace}}}`",
        )
    wanted = "source" if direction is Direction.INGRESS else "destination"
    if side != wanted:
        refuse(
            field,
            f"services are not allowed in the {side} of {direction} rules",
            f"they belong to `{wanted}:`",
        )
    for other in ("namespaceSelector", "selector", "notSelector", "serviceAccounts", "nets", "notNets"):
        if other in section:
            refuse(section[other], f"cannot specify {other} and services on the same rule", "make two rules")
    for other in ("ports", "notPorts") if side == "destination" else ():
        if other in section:
            refuse(
                section[other],
                f"cannot specify {other} with a service selector",
                "the ports are those of the service's pods",
            )
    return ServiceRef(where, name, field.place) if name else None


def _nets(field: Field | None) -> tuple[Net, ...]:
    found = []
    for item in field.items() if field is not None else ():
        text = item.text()
        network = validate.cidr(item, text, strict=True, masked=True) if text is not None else None
        if network is not None:
            found.append(Net(network, item.place))
    return tuple(found)


def set_net(field: Field) -> Network | None:
    """A range, or a single address, of a set; host bits mean nothing there."""
    text = field.text()
    if text is None:
        return None
    if "/" not in text and re.fullmatch(r"[0-9a-fA-F.:]+", text):
        text += "/128" if ":" in text else "/32"
    return validate.cidr(field, text, strict=True, host_bits=True)


def _ports(field: Field) -> tuple[Port, ...]:
    found = [port for item in field.items() if (port := _port(item)) is not None]
    return tuple(found)


def _port(field: Field) -> Port | None:
    value = field.integer_or_text()
    if value is None:
        return None
    if isinstance(value, str):
        span = _RANGE.fullmatch(value)
        if span is not None:
            return _range(field, int(span[1][:6]), int(span[2][:6]))
        if not value.isdecimal() or not value.isascii():
            return _named(field, value)
        value = int(value[:6])
    return Port(value, value, "", field.place) if validate.port_number(field, value) else None


def _range(field: Field, first: int, last: int) -> Port | None:
    if first > last:
        field.error("invalid-port", f"{first} is greater than {last}", help="write the lower number first")
        return None
    good = validate.port_number(field, first) and validate.port_number(field, last)
    return Port(first, last, "", field.place) if good else None


def _named(field: Field, name: str) -> Port | None:
    if re.fullmatch(r"[0-9]+-[0-9]+", name):
        field.error(
            "invalid-port",
            "a range is written with a colon",
            fix=f'"{name.replace("-", ":")}"',
            help=f'write "{name.replace("-", ":")}"',
        )
        return None
    if not _PORT_NAME.fullmatch(name):
        refuse(
            field,
            f"invalid name for named port ({name})",
            "write the name of a container port, or its number",
        )
        return None
    if not validate.port_name(field, name):
        return None
    return Port(0, 0, name, field.place)


__all__ = ["entity", "nobody", "set_net"]
