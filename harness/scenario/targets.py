"""What `to:` says → targets, in one state of the world."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model.probe import Target, TargetKind
from harness.model.topology import External, Listener, Pod, Protocol
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.ports import protocol, report
from harness.scenario.resolve import Names, kind_hint, split_kind
from harness.source import Place
from harness.source.diagnostics import did_you_mean
from harness.source.values import BadValueError, port

_ICMP = "/ICMP"
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class To:
    """A target; `one_of_many` when a pattern or a group named it; `unheard` says why nobody listens."""

    target: Target
    one_of_many: bool = False
    unheard: str = ""


@dataclass(frozen=True, slots=True)
class PortWord:
    """A port as the author wrote it: a number or a name, with or without a protocol.

    Attributes:
        number: None when the port is named.
        protocol: None when the author left it open: TCP, or whatever the named port uses.
    """

    text: str
    number: int | None
    protocol: Protocol | None
    place: Place

    def matches(self, item: Listener) -> bool:
        """Whether a listener is meant."""
        if self.number is None:
            return item.name == self.text and self.protocol in (None, item.protocol)
        return (item.port, item.protocol) == (self.number, self.protocol or Protocol.TCP)


ICMP = PortWord("", 0, Protocol.ICMP, Place(""))


class Targets:
    """Reads `to:` texts; what is wrong is reported."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.problems = names.problems

    def read(self, text: Text, default: PortWord | None = None) -> list[To]:
        """What a text stands for; `default` is the port of a matrix. Empty when it was reported."""
        kind, rest, offset = split_kind(text)
        if rest.endswith(_ICMP):
            return self._icmp(text, kind, offset, len(text) - len(_ICMP))
        name, colon, _ = rest.partition(":")
        end = offset + len(name)
        if not colon:
            if default is None:
                self._no_port(text, kind)
                return []
            if default.protocol is Protocol.ICMP:
                return self._icmp(text, kind, offset, len(text))
            return self._known(kind, text, offset, end, default)
        word = self.port_word(text, end + 1, len(text))
        if word is None:
            return []
        return self._known(kind, text, offset, end, word)

    def port_word(self, text: Text, start: int, end: int) -> PortWord | None:
        """The port in `text[start:end]`; None when it was reported."""
        written = text[start:end]
        if ":" in written:
            near = kind_hint(text[: start - 1].rpartition(":")[2])
            self.problems.error("bad-target", f'"{text}" is no target', text.place, help=near or _FORMS)
            return None
        name, slash, word = written.partition("/")
        place = text.span(start, start + len(name))
        try:
            which = protocol(word, icmp=True) if slash else None
        except BadValueError as error:
            report(self.problems, error, text.span(start + len(name) + 1, end))
            return None
        if which is Protocol.ICMP:
            self.problems.error(
                "bad-port", "ICMP has no ports", text.span(start, end), help="write namespace/pod/ICMP"
            )
            return None
        if not _NUMBER.fullmatch(name):
            complaint = names.port_name(name)
            if complaint:
                self.problems.error(
                    "bad-port",
                    f'"{name}" is no port: as a name it {complaint}' if name else "the port is missing",
                    place,
                    help="write a number from 1 to 65535, or a port's name",
                )
                return None
            return PortWord(name, None, which, place)
        try:
            return PortWord(name, port(name), which, place)
        except BadValueError as error:
            report(self.problems, error, place)
            return None

    def _no_port(self, text: Text, kind: str) -> None:
        example = f"{text}:8080"
        if kind == "node" or kind == "external" or not kind:
            example += f", or {text}{_ICMP}"
        self.problems.error("missing-port", f'"{text}" has no port', text.place, help=f"write {example}")

    def _icmp(self, text: Text, kind: str, start: int, end: int) -> list[To]:
        name, place = text[start:end], text.span(start, end)
        if ":" in name:
            self.problems.error(
                "bad-port",
                "ICMP has no ports",
                text.span(text.index(":", start) + 1, len(text)),
                help=f"write {text[:start]}{name.partition(':')[0]}{_ICMP}",
            )
            return []
        if kind == "":
            pods = self.names.pods(text, start, end)
            many = pods.pattern or pods.several
            return [To(Target(TargetKind.POD, id, 0, Protocol.ICMP), many) for id in pods.ids]
        if kind == "node":
            found = self.names.node(name, place)
        elif kind == "external":
            found = self.names.external(name, place) is not None
        else:
            self.problems.error(
                "bad-target",
                f"ICMP cannot be sent to a `{kind}:`",
                text.place,
                help="name a pod, node or external",
            )
            return []
        return [To(Target(TargetKind(kind), name, 0, Protocol.ICMP))] if found else []

    def _known(self, kind: str, text: Text, start: int, end: int, word: PortWord) -> list[To]:
        name, place = text[start:end], text.span(start, end)
        if kind == "":
            return self._pods(text, start, end, word)
        if kind == "service":
            return self._service(name, place, word)
        if kind == "external":
            external = self.names.external(name, place)
            return [] if external is None else self._external(external, word)
        if kind == "host":
            complaint = names.host_name(name)
            if complaint:
                self.problems.error(
                    "bad-host", f'"{name}" {complaint}', place, help="write host:name:port, without http://"
                )
                return []
            return self._numbered(TargetKind.HOST, name.removesuffix(".").lower(), word)
        if not self.names.node(name, place):
            return []
        if kind == "nodeport":
            return self._node_port(name, word)
        return self._numbered(TargetKind.NODE, name, word)

    def _numbered(self, kind: TargetKind, name: str, word: PortWord) -> list[To]:
        if word.number is None:
            self.problems.error(
                "unknown-port",
                f'the port name "{word.text}" cannot be looked up on a `{kind}:`',
                word.place,
                help="write the port's number",
            )
            return []
        return [To(Target(kind, name, word.number, word.protocol or Protocol.TCP))]

    def _pods(self, text: Text, start: int, end: int, word: PortWord) -> list[To]:
        pods = self.names.pods(text, start, end)
        found: list[To] = []
        for id in pods.ids:
            pod = self.names.topology.pods[id]
            heard = [item for item in pod.listeners if word.matches(item)]
            name = word.text if word.number is None else None
            if heard:
                item = heard[0]
                target = Target(TargetKind.POD, id, item.port, item.protocol, name)
                found.append(To(target, pods.pattern or pods.several))
            elif word.number is None and not pods.pattern:
                self._unknown_port(f"pod {id}", word, [item.name for item in pod.listeners if item.name])
            elif word.number is not None and not pods.pattern:
                target = Target(TargetKind.POD, id, word.number, word.protocol or Protocol.TCP)
                found.append(To(target, pods.several, _unheard(f"pod {id}", pod, word)))
        if pods.pattern and pods.ids and not found and not self.names.world.broken:
            self.problems.error(
                "empty-pattern",
                f'no pod of "{text[start:end]}" listens on {_words(word)}',
                text.place,
                help="patterns cover only pods that listen; check the port",
            )
        return found

    def _unknown_port(self, owner: str, word: PortWord, known: list[str]) -> None:
        there = f"it has {', '.join(dict.fromkeys(known))}" if known else "it names no ports"
        self.problems.error(
            "unknown-port",
            f'{owner} has no port "{_words(word)}"',
            word.place,
            help=did_you_mean(word.text, known) or there,
        )

    def _external(self, external: External, word: PortWord) -> list[To]:
        owner = f"external {external.name}"
        heard = [item for item in external.listeners if word.matches(item)]
        name = word.text if word.number is None else None
        if heard:
            return [To(Target(TargetKind.EXTERNAL, external.name, heard[0].port, heard[0].protocol, name))]
        if word.number is None:
            self._unknown_port(owner, word, [item.name for item in external.listeners if item.name])
            return []
        target = Target(TargetKind.EXTERNAL, external.name, word.number, word.protocol or Protocol.TCP)
        return [To(target, unheard=_unheard(owner, external, word))]

    def _service(self, name: str, place: Place, word: PortWord) -> list[To]:
        service = self.names.service(name, place)
        if service is None:
            return []
        for item in service.ports:
            if word.matches(Listener(item.port, item.protocol, item.name)):
                named = word.text if word.number is None else None
                return [To(Target(TargetKind.SERVICE, service.id, item.port, item.protocol, named))]
        known = [item.name for item in service.ports if item.name]
        known += [f"{item.port}/{item.protocol}" for item in service.ports]
        if service.id not in self.names.world.broken:
            self._unknown_port(f"service {service.id}", word, known)
        return []

    def _node_port(self, node: str, word: PortWord) -> list[To]:
        which = word.protocol or Protocol.TCP
        open_ports = [
            (item.node_port, item.protocol)
            for service in self.names.topology.services.values()
            for item in service.ports
            if item.node_port is not None
        ]
        if word.number is not None and (word.number, which) in open_ports:
            return [To(Target(TargetKind.NODEPORT, node, word.number, which))]
        if not self.names.world.broken:
            known = ", ".join(f"{number}/{name}" for number, name in open_ports)
            self.problems.error(
                "unknown-port",
                f"no service has the node port {_words(word)}",
                word.place,
                help=f"node ports are {known}"
                if known
                else "give a service of type NodePort a third number: 80:8080:30080",
            )
        return []


_FORMS = (
    "targets are ns/pod:port, service:ns/name:port, nodeport:a:port, node:a:port, external:name:port "
    "and host:name:port"
)


def _words(word: PortWord) -> str:
    return word.text if word.protocol is None else f"{word.text}/{word.protocol}"


def _unheard(owner: str, thing: Pod | External, word: PortWord) -> str:
    offered = ", ".join(f"{item.port}/{item.protocol}" for item in thing.listeners)
    which = word.protocol or Protocol.TCP
    listens = f"it listens on {offered}" if offered else "it listens on nothing"
    return f"{owner} does not listen on {word.number}/{which}; {listens}"
