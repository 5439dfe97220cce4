"""Ports of admin policies: `protocols` of ClusterNetworkPolicy, `ports` of v1alpha1 (semantics.md 3.2)."""

from __future__ import annotations

from harness.dialects import validate
from harness.dialects.admin.types import Port, PortName, PortNumbers
from harness.dialects.admin.versions import Form
from harness.dialects.fields import Field
from harness.model.topology import Protocol
from harness.source.diagnostics import did_you_mean

_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
_BY_PROTOCOL = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}
_EXAMPLE = "write `tcp: {destinationPort: {number: 8080}}`"


def ports(field: Field, form: Form) -> tuple[Port, ...]:
    """The items of `protocols` or `ports`; those with errors are left out."""
    items = field.items()
    if not items:
        field.error("missing-field", "an empty list", help="leave it out for every port and protocol")
    if len(items) > form.most:
        field.error(
            "too-many", f"{len(items)} items, but at most {form.most} may stand here", help="split the rule"
        )
    read = _protocol if form.ports == "protocols" else _port
    return tuple(port for item in items if (port := read(item)))


def _protocol(field: Field) -> Port | None:
    known = (*_BY_PROTOCOL, "destinationNamedPort")
    section = field.section(
        known,
        {
            "portNumber": f"this is the form of v1alpha1: {_EXAMPLE}",
            "portRange": f"this is the form of v1alpha1: {_EXAMPLE}",
            "namedPort": "write `destinationNamedPort:`",
            "port": _EXAMPLE,
            "protocol": _EXAMPLE,
        }
        | {name.upper(): f"write `{name}:`" for name in _BY_PROTOCOL},
    )
    if not _one(field, section, known):
        return None
    name, value = next(iter(section.items()))
    if name == "destinationNamedPort":
        return _name(value)
    inner = value.section(("destinationPort",), {"port": _EXAMPLE, "number": _EXAMPLE})
    if "destinationPort" not in inner:
        value.error("missing-field", "`destinationPort` is missing", help=_EXAMPLE)
        return None
    port = inner["destinationPort"].section(("number", "range"), {"port": "write `number:`"})
    if not _one(inner["destinationPort"], port, ("number", "range")):
        return None
    protocol = _BY_PROTOCOL[name]
    if "range" in port:
        return _range(port["range"], protocol, ("start", "end"))
    number = port["number"].integer()
    if number is None or not validate.port_number(port["number"], number):
        return None
    return PortNumbers(protocol, number, number, field.place)


def _port(field: Field) -> Port | None:
    known = ("portNumber", "namedPort", "portRange")
    section = field.section(
        known,
        {
            "port": "write `portNumber: {port: 8080}`",
            "protocol": "write `portNumber: {protocol: UDP, port: 53}`",
            "destinationNamedPort": "write `namedPort:`",
        }
        | dict.fromkeys(_BY_PROTOCOL, "this is the form of v1alpha2: write `portNumber: {port: 8080}`"),
    )
    if not _one(field, section, known):
        return None
    name, value = next(iter(section.items()))
    if name == "namedPort":
        return _name(value)
    if name == "portRange":
        inner = value.section(("protocol", "start", "end"))
        protocol = _transport(inner.get("protocol"))
        return _range(value, protocol, ("protocol", "start", "end")) if protocol else None
    inner = value.section(("protocol", "port"), {"number": "write `port:`"})
    protocol = _transport(inner.get("protocol"))
    if "port" not in inner:
        value.error("missing-field", "`port` is missing", help="write `portNumber: {port: 8080}`")
        return None
    number = inner["port"].integer()
    if number is None or not validate.port_number(inner["port"], number) or protocol is None:
        return None
    return PortNumbers(protocol, number, number, field.place)


def _one(field: Field, section: dict[str, Field], known: tuple[str, ...]) -> bool:
    if len(section) == 1:
        return True
    names = ", ".join(known[:-1]) + " or " + known[-1]
    if section:
        field.error("invalid-port", f"exactly one of {names} may stand here", help="make several items of it")
    else:
        field.error("invalid-port", f"one of {names} must stand here")
    return False


def _transport(field: Field | None) -> Protocol | None:
    """`protocol` of v1alpha1, whose default is TCP."""
    if field is None:
        return Protocol.TCP
    text = field.text()
    if text is not None and text not in _PROTOCOLS:
        near = did_you_mean(text.upper(), _PROTOCOLS)
        field.error(
            "invalid-protocol", f'"{text}" is not a protocol of ports', help=near or "TCP, UDP or SCTP"
        )
    return _PROTOCOLS.get(text or "")


def _name(field: Field) -> PortName | None:
    text = field.text()
    if text is None or not validate.port_name(field, text):
        return None
    return PortName(text, field.place)


def _range(field: Field, protocol: Protocol, known: tuple[str, ...]) -> PortNumbers | None:
    section = field.section(known)
    numbers = []
    for name in ("start", "end"):
        if name not in section:
            field.error("missing-field", f"`{name}` is missing", help="write `{start: 8000, end: 8999}`")
            continue
        number = section[name].integer()
        if number is not None and validate.port_number(section[name], number):
            numbers.append(number)
    if len(numbers) < 2:
        return None
    first, last = numbers
    if first >= last:
        field.error(
            "invalid-port",
            f"the range begins at {first} and ends at {last}",
            help="`start` must be smaller than `end`; a single port is no range",
        )
        return None
    return PortNumbers(protocol, first, last, field.place)
