"""`toPorts` and `icmps` of Cilium's rules."""

from __future__ import annotations

from harness.dialects.cilium import parse_l7
from harness.dialects.cilium.refusals import refuse
from harness.dialects.cilium.types import IcmpField, Port, PortRule
from harness.dialects.fields import Field
from harness.model.application import Application, DnsRules
from harness.model.rules import Direction
from harness.model.topology import Family, Protocol
from harness.source.diagnostics import did_you_mean
from harness.source.nodes import MappingNode, ScalarNode
from harness.source.values import manifest_value

_TRANSPORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
_PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "TCP": (Protocol.TCP,),
    "UDP": (Protocol.UDP,),
    "SCTP": (Protocol.SCTP,),
    "ANY": _TRANSPORTS,
}
_PORTLESS = ("VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH")
"""Protocols of extended rules, which no probe speaks."""

_MOST = 40
_PORT_RULE = ("ports", "terminatingTLS", "originatingTLS", "serverNames", "listener", "rules")
_FAMILIES = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}

_ICMP_NAMES = {
    Family.IPV4: {
        "EchoReply": 0,
        "DestinationUnreachable": 3,
        "Redirect": 5,
        "Echo": 8,
        "EchoRequest": 8,
        "RouterAdvertisement": 9,
        "RouterSelection": 10,
        "TimeExceeded": 11,
        "ParameterProblem": 12,
        "Timestamp": 13,
        "TimestampReply": 14,
        "Photuris": 40,
        "ExtendedEchoRequest": 42,
        "ExtendedEchoReply": 43,
    },
    Family.IPV6: {
        "DestinationUnreachable": 1,
        "PacketTooBig": 2,
        "TimeExceeded": 3,
        "ParameterProblem": 4,
        "EchoRequest": 128,
        "EchoReply": 129,
        "MulticastListenerQuery": 130,
        "MulticastListenerReport": 131,
        "MulticastListenerDone": 132,
        "RouterSolicitation": 133,
        "RouterAdvertisement": 134,
        "NeighborSolicitation": 135,
        "NeighborAdvertisement": 136,
        "RedirectMessage": 137,
        "RouterRenumbering": 138,
        "ICMPNodeInformationQuery": 139,
        "ICMPNodeInformationResponse": 140,
        "InverseNeighborDiscoverySolicitation": 141,
        "InverseNeighborDiscoveryAdvertisement": 142,
        "HomeAgentAddressDiscoveryRequest": 144,
        "HomeAgentAddressDiscoveryReply": 145,
        "MobilePrefixSolicitation": 146,
        "MobilePrefixAdvertisement": 147,
        "DuplicateAddressRequestCodeSuffix": 157,
        "DuplicateAddressConfirmationCodeSuffix": 158,
        "ExtendedEchoRequest": 160,
        "ExtendedEchoReply": 161,
    },
}


def port_rules(field: Field, direction: Direction, *, deny: bool) -> tuple[PortRule, ...]:
    """The items of `toPorts`.

    Args:
        field: Where they stand.
        direction: Of the rule.
        deny: Whether the rule denies; such rules know ports only.
    """
    return tuple(_port_rule(item, direction, deny=deny) for item in field.items())


def _port_rule(field: Field, direction: Direction, *, deny: bool) -> PortRule:
    hints = {"port": "ports are items of `ports:`", "protocol": "ports are items of `ports:`"}
    hints |= dict.fromkeys(("http", "dns"), "it belongs under `rules:`")
    if deny:
        hints |= dict.fromkeys(_PORT_RULE[1:], "a rule that denies knows ports only")
    section = field.section(("ports",) if deny else _PORT_RULE, hints)
    listed = section["ports"].items() if "ports" in section else ()
    if len(listed) > _MOST:
        _too_many(section["ports"], len(listed), "ports", api=not deny)
    ports = tuple(port for item in listed if (port := _port(item)) is not None)
    rules = parse_l7.rules(section["rules"]) if "rules" in section else parse_l7.Demands()
    names = parse_l7.server_names(section["serverNames"]) if "serverNames" in section else parse_l7.Demands()
    if rules.application is not None:
        _check_l7(section["rules"], rules.application, ports, direction)
    if names.application is not None and rules.application is not None and "terminatingTLS" not in section:
        refuse(
            section["serverNames"],
            "serverNames beside HTTP or DNS rules without terminatingTLS",
            "make two rules of it",
        )
    foreign = _foreign(section, direction, looked_into=rules.application is not None)
    demands = rules if rules.application is not None else names
    if rules.secret or (rules.application is not None and names.application is not None):
        foreign = foreign or "secret"
    return PortRule(ports, demands.application, demands.places, foreign, field.place)


def _foreign(section: dict[str, Field], direction: Direction, *, looked_into: bool) -> str:
    found = ""
    for name in ("terminatingTLS", "originatingTLS"):
        if name in section:
            inner = section[name].section(("secret", "trustedCA", "certificate", "privateKey"))
            _needs(section[name], inner, "secret")
            if "secret" in inner:
                _needs(inner["secret"], inner["secret"].section(("namespace", "name")), "name")
            found = name
    if "listener" in section:
        field = section["listener"]
        inner = field.section(("envoyConfig", "name", "priority"))
        _needs(field, inner, "envoyConfig")
        _needs(field, inner, "name")
        if direction is Direction.INGRESS:
            refuse(field, "a listener of Envoy's in an ingress rule")
        elif looked_into:
            refuse(field, "a listener of Envoy's beside HTTP or DNS rules")
        found = "listener"
    return found


def _needs(field: Field, inner: dict[str, Field], name: str) -> None:
    if name not in inner:
        field.error("missing-field", f"`{name}` is missing")


def _check_l7(field: Field, application: Application, ports: tuple[Port, ...], direction: Direction) -> None:
    """What agents ask of ports whose traffic is looked into."""
    dns = isinstance(application, DnsRules)
    if dns and direction is Direction.INGRESS:
        refuse(field, "DNS rules in an ingress rule", "they belong to the egress of the pods that ask")
    if dns and not ports:
        refuse(field, "DNS rules without a port", 'write `ports: [{port: "53", protocol: ANY}]`')
    for port in ports:
        if port.first == 0:
            what = "DNS" if dns else "HTTP"
            refuse(field, f"{what} rules on port 0, which means every port", "name the port")
        elif dns and isinstance(port.first, int) and (port.last or 0) > port.first:
            refuse(field, "DNS rules on a range of ports", "name the port")
        elif not dns and port.protocols != (Protocol.TCP,):
            refuse(
                field,
                "HTTP rules on a port whose protocol is not TCP",
                "write `protocol: TCP`: left out, it means any",
            )


def _port(field: Field) -> Port | None:
    section = field.section(
        ("port", "endPort", "protocol"), {"targetPort": "policies see the pod's own port: write `port:`"}
    )
    protocols = _protocol(section["protocol"]) if "protocol" in section else _TRANSPORTS
    if "port" not in section:
        if protocols == ():
            return Port((), 0, None, field.place)
        if protocols is not None:
            refuse(field, "`port` is missing", 'write `port: "8080"`, or `port: "0"` for every port')
        return None
    text = section["port"].text()
    first = _number_or_name(section["port"], text) if text is not None else None
    if first is None or protocols is None:
        return None
    if protocols == () and first != 0:
        refuse(section["port"], "a port beside a protocol that has none", "leave it out")
        return None
    last = section["endPort"].integer() if "endPort" in section else None
    if last is not None:
        if not 0 <= last <= 65535:
            section["endPort"].error(
                "invalid-port", f"port {last} is out of range", help="ports are numbers from 1 to 65535"
            )
        elif isinstance(first, str) or last < first:
            section["endPort"].warning(
                "ignored-field",
                "endPort has no effect: "
                + ("the port has a name" if isinstance(first, str) else f"it is smaller than port {first}"),
                help="correct it, or leave it out",
            )
            last = None
        elif first == 0:
            last = None
    return Port(protocols, first, last, field.place)


def _number_or_name(field: Field, text: str) -> int | str | None:
    """A number in quotes, or the name of a port; agents take other spellings of numbers, too."""
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    lower = text.lower()
    good = (
        1 <= len(text) <= 15
        and all(character.isascii() and (character.isalnum() or character == "-") for character in text)
        and any(character.isalpha() for character in text)
        and not text.startswith("-")
        and not text.endswith("-")
        and "--" not in text
    )
    if good:
        return lower
    field.error(
        "invalid-port",
        f'"{text[:80]}" is neither a port nor the name of one',
        help="a number from 0 to 65535 in quotes, or at most 15 letters, digits and single `-`",
    )
    return None


def _protocol(field: Field) -> tuple[Protocol, ...] | None:
    text = field.text()
    if text is None:
        return None
    if text in _PROTOCOLS:
        return _PROTOCOLS[text]
    if text in _PORTLESS:
        return ()
    known = (*_PROTOCOLS, *_PORTLESS)
    near = did_you_mean(text.upper(), known)
    field.error(
        "invalid-protocol",
        f'"{text}" is not a protocol of toPorts',
        help="ICMP has rules of its own: `icmps:`" if "ICMP" in text.upper() else near or ", ".join(known),
        fix=text.upper() if text.upper() in known else None,
    )
    return None


def icmp_fields(field: Field) -> tuple[IcmpField, ...]:
    """The fields of all items of `icmps`."""
    found: list[IcmpField] = []
    for item in field.items():
        section = item.section(("fields",), dict.fromkeys(("type", "family"), "it belongs under `fields:`"))
        fields = section["fields"].items() if "fields" in section else ()
        if len(fields) > _MOST:
            _too_many(section["fields"], len(fields), "fields", api=True)
        found += [one for inner in fields if (one := _icmp_field(inner)) is not None]
    return tuple(found)


def _icmp_field(field: Field) -> IcmpField | None:
    section = field.section(("family", "type"), {"code": "Cilium's rules know types only"})
    family: Family | None = Family.IPV4
    if "family" in section:
        text = section["family"].text()
        family = _FAMILIES.get(text or "")
        if text is not None and family is None:
            section["family"].error(
                "invalid-protocol", f'"{text}" is not a family of ICMP', help="IPv4 or IPv6"
            )
    if "type" not in section:
        field.error("missing-field", "`type` is missing", help="write `type: EchoRequest`")
        return None
    value = section["type"].integer_or_text()
    if value is None or family is None:
        return None
    known = _ICMP_NAMES[family]
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    number = known.get(value) if isinstance(value, str) else value
    if number is None or not 0 <= number <= 255:
        section["type"].error(
            "invalid-protocol",
            f"{value} is not a type of ICMP over {'IPv4' if family is Family.IPV4 else 'IPv6'}",
            help=did_you_mean(str(value), known) or "a number from 0 to 255, or a name such as EchoRequest",
        )
        return None
    return IcmpField(family, number, field.place)


def _too_many(field: Field, count: int, what: str, *, api: bool) -> None:
    text = f"{count} {what}, but at most {_MOST} may stand here"
    if api:
        field.error("too-many", text, help="split the rule")
    else:
        refuse(field, text, "split the rule")


def boolean(field: Field) -> bool | None:
    """A truth value; None after an error."""
    value = manifest_value(field.node) if isinstance(field.node, ScalarNode) else None
    if isinstance(value, bool):
        return value
    what = "a mapping" if isinstance(field.node, MappingNode) else "this"
    field.error("wrong-type", f"must be true or false, not {what}", help="write `true` or `false`")
    return None
