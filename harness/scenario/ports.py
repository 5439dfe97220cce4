"""The small languages of ports: what pods listen on, what services offer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from harness.model.topology import Listener, Protocol, ServicePort, ServiceType
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.world_schema import ListenSpec, ServicePortSpec
from harness.source import Place
from harness.source.diagnostics import Problems, Related, did_you_mean
from harness.source.values import BadValueError, port

NODE_PORTS = (30000, 32767)
"""The API server's default range of node ports."""

LISTENED = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)

_T = TypeVar("_T")
_SERVICE_PORT = re.compile(
    r"(?:(?P<name>[^=]*)=)?(?P<port>[^/:]*)(?::(?P<target>[^/:]*))?(?::(?P<node>[^/:]*))?(?:/(?P<protocol>.*))?",
    re.DOTALL,
)
_PORT = re.compile(r"(?:(?P<name>[^=]*)=)?(?P<port>[^/]*)(?:/(?P<protocol>.*))?", re.DOTALL)


def report(problems: Problems, error: BadValueError, place: Place) -> None:
    """A refused scalar as a problem at its place."""
    problems.error(error.id, str(error), place, help=error.help)


def protocol(text: str, *, icmp: bool = False) -> Protocol:
    """A protocol by its exact name."""
    known = [*LISTENED, Protocol.ICMP] if icmp else list(LISTENED)
    if text in known:
        return Protocol(text)
    if text == "ICMP":
        raise BadValueError(
            "bad-protocol", "nobody listens on ICMP", "every pod answers it without a listener"
        )
    advice = f'did you mean "{text.upper()}"?' if text.upper() in known else f"write {', '.join(known)}"
    raise BadValueError("bad-protocol", f'"{text}" is no protocol', advice)


def listeners(
    specs: Iterable[Text | ListenSpec], place: Place, problems: Problems, owner: str
) -> tuple[Listener, ...]:
    """The listeners that `specs` describe; broken and double ones are reported and left out."""
    found: list[Listener] = []
    first: dict[tuple[int, Protocol] | str, Place] = {}
    for spec in specs:
        try:
            item, where = _listener(spec, place)
        except _PlacedError as error:
            report(problems, error.error, error.place)
            continue
        twin, what = first.get((item.port, item.protocol)), f"port {item.port}/{item.protocol}"
        if twin is None and item.name is not None:
            twin, what = first.get(item.name), f'the port name "{item.name}"'
        if twin is not None:
            problems.error(
                "duplicate-listener",
                f"{owner} has {what} twice",
                where,
                help="remove one of them",
                related=(Related(twin, "first written here"),),
            )
            continue
        found.append(item)
        first[item.port, item.protocol] = where
        if item.name is not None:
            first[item.name] = where
    return tuple(found)


class _PlacedError(Exception):
    def __init__(self, error: BadValueError, place: Place) -> None:
        super().__init__(str(error))
        self.error = error
        self.place = place


def _listener(spec: Text | ListenSpec, place: Place) -> tuple[Listener, Place]:
    if isinstance(spec, Text):
        found = _PORT.fullmatch(spec)
        if found is None:
            raise _PlacedError(BadValueError("bad-port", f'"{spec}" is no port'), spec.place)
        number = _at(spec, found, "port", port)
        which = _at(spec, found, "protocol", protocol) if found["protocol"] is not None else Protocol.TCP
        name = _at(spec, found, "name", _port_name) if found["name"] is not None else None
        return Listener(number, which, name), spec.place
    where = spec.place(place)
    number = _of(spec.port, port)
    which = Protocol.TCP if spec.protocol is None else _of(spec.protocol, protocol)
    return Listener(number, which, None if spec.name is None else _of(spec.name, _port_name)), where


def _port_name(text: str) -> str:
    complaint = names.port_name(text)
    if complaint:
        raise BadValueError(
            "bad-port-name", f'the port name "{text}" {complaint}', "choose a short name such as `http`"
        )
    return str(text)


def _at(spec: Text, found: re.Match[str], group: str, read: Callable[[str], _T]) -> _T:
    try:
        return read(found[group])
    except BadValueError as error:
        raise _PlacedError(error, spec.span(*found.span(group))) from None


def _of(text: Text, read: Callable[[str], _T]) -> _T:
    try:
        return read(text)
    except BadValueError as error:
        raise _PlacedError(error, text.place) from None


def service_ports(
    specs: Iterable[Text | ServicePortSpec], type: ServiceType, place: Place, problems: Problems
) -> tuple[tuple[ServicePort, Place], ...]:
    """The ports that `specs` describe, each with its place; broken and double ones are left out."""
    found: list[tuple[ServicePort, Place]] = []
    for spec in specs:
        try:
            item, where = _service_port(spec, place)
        except _PlacedError as error:
            report(problems, error.error, error.place)
            continue
        if item.node_port is not None and type is not ServiceType.NODE_PORT:
            problems.error(
                "node-port-type",
                f"a service of type {type} has no node port",
                where,
                help="add `type: NodePort`, or remove the third number",
            )
        twin = next((old for old in found if _same_port(old[0], item)), None)
        if twin is not None:
            problems.error(
                "duplicate-service-port",
                f"the service has {_twin_words(twin[0], item)} twice",
                where,
                help="remove one of them",
                related=(Related(twin[1], "first written here"),),
            )
            continue
        found.append((item, where))
    return tuple(found)


def _same_port(one: ServicePort, two: ServicePort) -> bool:
    return (one.port, one.protocol) == (two.port, two.protocol) or (
        one.name is not None and one.name == two.name
    )


def _twin_words(one: ServicePort, two: ServicePort) -> str:
    if (one.port, one.protocol) == (two.port, two.protocol):
        return f"port {two.port}/{two.protocol}"
    return f'the port name "{two.name}"'


def _service_port(spec: Text | ServicePortSpec, place: Place) -> tuple[ServicePort, Place]:
    if isinstance(spec, Text):
        found = _SERVICE_PORT.fullmatch(spec)
        if found is None:
            advice = "write port:target, such as 80:8080, with /UDP at the end if needed"
            raise _PlacedError(
                BadValueError("bad-port", f'"{spec}" is no port of a service', advice), spec.place
            )
        number = _at(spec, found, "port", port)
        return (
            ServicePort(
                number,
                number if found["target"] is None else _at(spec, found, "target", _target),
                Protocol.TCP if found["protocol"] is None else _at(spec, found, "protocol", protocol),
                None if found["name"] is None else _at(spec, found, "name", _service_port_name),
                None if found["node"] is None else _at(spec, found, "node", _node_port),
            ),
            spec.place,
        )
    number = _of(spec.port, port)
    return (
        ServicePort(
            number,
            number if spec.target_port is None else _of(spec.target_port, _target),
            Protocol.TCP if spec.protocol is None else _of(spec.protocol, protocol),
            None if spec.name is None else _of(spec.name, _service_port_name),
            None if spec.node_port is None else _of(spec.node_port, _node_port),
        ),
        spec.place(place),
    )


def _target(text: str) -> int | str:
    if any(character.isalpha() for character in text):
        return _port_name(text)
    return port(text)


def _service_port_name(text: str) -> str:
    complaint = names.dns_label(text)
    if complaint:
        raise BadValueError("bad-port-name", f'the port name "{text}" {complaint}')
    return str(text)


def _node_port(text: str) -> int:
    number = port(text)
    if not NODE_PORTS[0] <= number <= NODE_PORTS[1]:
        raise BadValueError(
            "bad-port",
            f"{number} is no node port",
            f"Kubernetes takes node ports from {NODE_PORTS[0]} to {NODE_PORTS[1]}",
        )
    return number


def service_type(text: Text | None, problems: Problems) -> ServiceType:
    """The type by its exact name; ClusterIP when absent."""
    if text is None:
        return ServiceType.CLUSTER_IP
    try:
        return ServiceType(text)
    except ValueError:
        problems.error(
            "bad-service-type",
            f'"{text}" is no service type of the scenario language',
            text.place,
            help=did_you_mean(text, ServiceType) or f"write {', '.join(ServiceType)}",
        )
        return ServiceType.CLUSTER_IP
