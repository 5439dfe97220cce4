"""Rules of Calico's policies (semantics.md 3.4); what its API server refuses is refused here."""

from __future__ import annotations

from harness.dialects.calico.parse_entities import entity, nobody
from harness.dialects.calico.refusals import refuse, word
from harness.dialects.calico.types import (
    ICMP,
    ICMP_V6,
    SCTP,
    TCP,
    UDP,
    CalicoRule,
    Entity,
    HttpMatch,
    HttpPath,
    Icmp,
    IpProtocol,
)
from harness.dialects.fields import Field
from harness.model.rules import Action, Direction

_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Log": Action.LOG, "Pass": Action.PASS}
_OTHER_ACTIONS = {
    "accept": "write Allow",
    "reject": "write Deny; whether denials are silent is a setting of Felix's",
    "drop": "write Deny",
    "next-tier": "write Pass",
}
_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP, "ICMP": ICMP, "ICMPv6": ICMP_V6, "UDPLite": 136}
_OVER_TCP = {"tls", "ssl", "https", "http"}
_PORTED = (TCP, UDP, SCTP)
_RULE = (
    *("action", "ipVersion", "protocol", "icmp", "notProtocol", "notICMP", "source", "destination", "http"),
    "metadata",
)
_SIDES = {Direction.INGRESS: ("source", "destination"), Direction.EGRESS: ("destination", "source")}


def rules(field: Field | None, direction: Direction, namespace: str) -> tuple[CalicoRule, ...]:
    """`ingress` or `egress`."""
    items = field.items() if field is not None else ()
    found = (_rule(item, direction, namespace, number) for number, item in enumerate(items))
    return tuple(rule for rule in found if rule is not None)


def _rule(field: Field, direction: Direction, namespace: str, number: int) -> CalicoRule | None:
    peer = _SIDES[direction][0]
    misplaced = f"it belongs under `{peer}:`"
    section = field.section(
        _RULE,
        dict.fromkeys(("selector", "namespaceSelector", "nets", "notNets", "serviceAccounts"), misplaced)
        | {
            "from": "write `source:`",
            "to": "write `destination:`",
            "ports": "write `destination: {ports: […]}`",
            "notIcmp": "write `notICMP:`",
            "ICMP": "write `icmp:`",
        },
    )
    action = None
    if "action" in section:
        action = word(section["action"], "invalid-action", "an action", _ACTIONS, _OTHER_ACTIONS)
    else:
        field.error("missing-field", "`action` is missing", help="Allow, Deny, Log or Pass")
    given = {name: _protocol(section[name]) for name in ("protocol", "notProtocol") if name in section}
    protocol, not_protocol = given.get("protocol"), given.get("notProtocol")
    # What is no protocol is told once; its ports are not told of as well.
    known = protocol is not None or "protocol" not in section
    ported = not known or (protocol is not None and protocol.number in _PORTED)
    ends = {
        side: entity(section[side], side, direction, namespace, ports=ported)
        if side in section
        else nobody(field.place)
        for side in ("source", "destination")
    }
    icmps = {name: _icmp(section[name]) for name in ("icmp", "notICMP") if name in section}
    is_icmp = protocol is not None and protocol.number in (ICMP, ICMP_V6)
    if "icmp" in icmps and known and not is_icmp:
        refuse(
            section["icmp"],
            "rules that specify ICMP fields must set protocol to ICMP",
            "add `protocol: ICMP` to the rule",
        )
    version = _version(section["ipVersion"]) if "ipVersion" in section else None
    http = _http(section, action, direction, protocol) if "http" in section else None
    if "metadata" in section:
        section["metadata"].section(("annotations",))
    rule = CalicoRule(
        f"{direction}[{number}]",
        _ACTIONS[action] if action is not None else Action.DENY,
        ends["source"],
        ends["destination"],
        field.place,
        version,
        protocol,
        not_protocol,
        icmps.get("icmp"),
        icmps.get("notICMP"),
        http,
    )
    _one_family(section, rule)
    return rule if action is not None else None


def _protocol(field: Field) -> IpProtocol | None:
    value = field.integer_or_text()
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:6])
    if isinstance(value, int):
        if 1 <= value <= 255:
            return IpProtocol(value, str(value), field.place)
        field.error("invalid-protocol", f"protocol number {value} is invalid", help="1 to 255")
        return None
    if value in _PROTOCOLS:
        return IpProtocol(_PROTOCOLS[value], value, field.place)
    same = next((name for name in _PROTOCOLS if name.lower() == value.lower()), None)
    help = f"write {same}" if same else f"{', '.join(_PROTOCOLS)}, or a number from 1 to 255"
    if value.lower() in _OVER_TCP:
        same = "TCP"
        help = f"write TCP: Calico does not look into connections, so {value[:20]} is TCP like any other"
    field.error(
        "invalid-protocol", f'"{value[:80]}" is no protocol: protocol name invalid', help=help, fix=same
    )
    return None


def _version(field: Field) -> int | None:
    value = field.integer()
    if value in (4, 6):
        return value
    if value is not None:
        refuse(field, f"{value} is no IP version", "write 4 or 6")
    return None


def _icmp(field: Field) -> Icmp | None:
    section = field.section(("type", "code"))
    highest = {"type": 254, "code": 255}
    found: dict[str, int] = {}
    for name, item in section.items():
        value = item.integer()
        if value is None:
            continue
        if 0 <= value <= highest[name]:
            found[name] = value
        else:
            refuse(item, f"{name} {value} is out of range", f"0 to {highest[name]}")
    if "code" in section and "type" not in section:
        refuse(section["code"], "ICMP code specified without an ICMP type", "add `type:`")
    return Icmp(found.get("type"), found.get("code"), field.place)


def _http(
    section: dict[str, Field], action: str | None, direction: Direction, protocol: IpProtocol | None
) -> HttpMatch:
    field = section["http"]
    inner = field.section(("methods", "paths"))
    if action not in (None, "Allow"):
        refuse(field, "HTTP is only valid for Allow rules", "deny the rest with a rule behind it")
    if direction is Direction.EGRESS:
        refuse(field, "HTTP is not allowed in egress rules", "write it where the servers are selected")
    if protocol is not None and protocol.number != TCP:
        refuse(field, "rules that specify HTTP fields must set protocol to TCP or empty", "write TCP")
    items = inner["methods"].items() if "methods" in inner else ()
    methods = [text for item in items if (text := item.text()) is not None]
    if len(set(methods)) < len(methods):
        refuse(inner["methods"], "a method stands twice", "remove one of them")
    paths = [
        path
        for item in (inner["paths"].items() if "paths" in inner else ())
        if (path := _path(item)) is not None
    ]
    return HttpMatch(tuple(methods), tuple(paths), field.place)


def _path(field: Field) -> HttpPath | None:
    section = field.section(("exact", "prefix"))
    values = {name: item.text() or "" for name, item in section.items()}
    given = [name for name, value in values.items() if value]
    if len(given) != 1:
        refuse(field, "either `exact` or `prefix` must be set, and not both")
        return None
    text = values[given[0]]
    if not text.startswith("/") or set(text) & set("? #"):
        refuse(section[given[0]], "a path must start with `/` and not contain `?`, ` ` or `#`")
        return None
    return HttpPath(values.get("exact", ""), values.get("prefix", ""))


def _one_family(section: dict[str, Field], rule: CalicoRule) -> None:
    """A rule is about IPv4 or IPv6 as soon as it says so, by its nets or otherwise."""
    seen = rule.version
    for side, end in (("source", rule.source), ("destination", rule.destination)):
        seen = _nets_of_one_family(section, side, end, rule, seen)
    for item in (rule.protocol, rule.not_protocol):
        wanted = {ICMP: 4, ICMP_V6: 6}.get(item.number) if item is not None else None
        if item is not None and wanted is not None and rule.version not in (None, wanted):
            refuse(
                section["ipVersion"], f"must set ipversion to '{wanted}' with protocol {item.text.lower()}"
            )


def _nets_of_one_family(
    section: dict[str, Field], side: str, end: Entity, rule: CalicoRule, seen: int | None
) -> int | None:
    fields = section[side].entries() if side in section else {}
    for name, nets in (("nets", end.nets), ("notNets", end.not_nets)):
        versions = {net.network.version for net in nets}
        if rule.version is not None and versions - {rule.version}:
            refuse(fields[name], "rule IP version doesn't match CIDR version", "make a rule for each")
        elif versions and len(versions | ({seen} if seen else set())) > 1:
            refuse(fields[name], "rule contains both IPv4 and IPv6 CIDRs", "make a rule for each")
        seen = seen or next(iter(versions), None)
    return seen


__all__ = ["rules"]
