"""Names of pods, services, nodes and externals → what they stand for in one state of the world."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.model.builtin import DNS_POD
from harness.model.probe import Source, SourceKind
from harness.model.topology import External, Service
from harness.scenario.located import Text
from harness.scenario.world import World
from harness.source import Place
from harness.source.diagnostics import did_you_mean

_KINDS = ("service", "nodeport", "node", "external", "host")
_KIND = re.compile(rf"({'|'.join(_KINDS)}):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pods:
    """Ids of pods; `pattern` when the author wrote `*`, `several` when one name stood for many."""

    ids: tuple[str, ...]
    pattern: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class From:
    """A source; `one_of_many` when a pattern or a group named it (then it makes no pair with itself)."""

    source: Source
    one_of_many: bool = False


class Names:
    """Looks names up in one state of the world; what is not there is reported."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.problems = world.problems
        self.topology = world.topology()

    def sources(self, text: Text) -> list[From]:
        """What a `from:` stands for; empty when it was reported."""
        kind, name, offset = split_kind(text)
        if kind in ("node", "external"):
            place = text.span(offset, len(text))
            known = self.node(name, place) if kind == "node" else self.external(name, place)
            return [From(Source(SourceKind(kind), name))] if known else []
        if kind:
            self.problems.error(
                "bad-source",
                f"nothing is sent from a `{kind}:`",
                text.place,
                help="a source is namespace/pod, node:a or external:name",
            )
            return []
        if ":" in name:
            self.problems.error(
                "bad-source",
                f'"{text}" is no source',
                text.place,
                help="a source has no port: write namespace/pod, node:a or external:name",
            )
            return []
        pods = self.pods(text, 0, len(text))
        return [From(Source(SourceKind.POD, id), pods.pattern or pods.several) for id in pods.ids]

    def pods(self, text: Text, start: int, end: int) -> Pods:
        """Pods that `text[start:end]` names; none when it was reported."""
        name = text[start:end]
        place = text.span(start, end)
        world = self.world
        if "*" in name:
            return self._pattern(name, place)
        for id in self._candidates(name):
            if id in self.topology.pods:
                return Pods((id,))
            if id in world.groups:
                alive = tuple(one for one in world.groups[id] if one in world.pods)
                if alive:
                    return Pods(alive, several=True)
        if "/" not in name:
            here = [id for id in (*world.pods, *world.groups) if id.partition("/")[2] == name]
            if len(here) == 1:
                alive = tuple(one for one in world.groups.get(here[0], here) if one in world.pods)
                return Pods(alive, several=here[0] in world.groups)
            if here:
                self.problems.error(
                    "ambiguous-pod",
                    f'"{name}" is a pod of several namespaces',
                    place,
                    help=f"write {' or '.join(here)}",
                )
                return Pods(())
        self._unknown_pod(name, place)
        return Pods(())

    def _candidates(self, name: str) -> list[str]:
        if "/" in name:
            return [name]
        default = self.world.default_namespace
        return [] if default is None else [f"{default}/{name}"]

    def _pattern(self, name: str, place: Place) -> Pods:
        namespace, slash, rest = name.partition("/")
        own = [id for id in self.world.pods if id != DNS_POD]
        if name in ("*", "*/*"):
            ids = tuple(own)
        elif slash and rest == "*" and "*" not in namespace:
            if namespace not in self.world.known_namespaces():
                if namespace not in self.world.broken:
                    self.world.unknown_namespace(namespace, place)
                return Pods((), pattern=True)
            ids = tuple(id for id in own if id.startswith(namespace + "/"))
        else:
            self.problems.error(
                "bad-pattern", f'"{name}" is no pattern', place, help="patterns are `*` and `namespace/*`"
            )
            return Pods((), pattern=True)
        if not ids and not self.world.broken:
            self.problems.error(
                "empty-pattern", f'"{name}" matches no pod', place, help="declare pods there, or remove it"
            )
        return Pods(ids, pattern=True)

    def _unknown_pod(self, name: str, place: Place) -> None:
        world = self.world
        if name in world.broken or any(id.partition("/")[2] == name for id in world.broken):
            return
        namespace, slash, _ = name.partition("/")
        if slash and namespace in world.broken:
            return
        known = [*world.pods, *world.groups]
        help = did_you_mean(name, known)
        if not help and not slash:
            help = did_you_mean(name, [id.partition("/")[2] for id in known])
        if name in world.gone:
            help = f"step {world.gone[name]} removed it"
        elif name in world.services:
            help = f"that is a service: write service:{name} and its port"
        elif name in world.externals:
            help = f"that is an external: write external:{name}"
        elif not help and slash and namespace not in world.known_namespaces():
            near = did_you_mean(namespace, world.known_namespaces())
            help = f'there is no namespace "{namespace}"' + (f"; {near}" if near else "")
        self.problems.error(
            "unknown-pod",
            f'this scenario has no pod "{name}"',
            place,
            help=help or "declare it under `pods:`",
        )

    def service(self, name: str, place: Place) -> Service | None:
        """The service of that name; None when it was reported."""
        services = self.topology.services
        for id in [name] if "/" in name else self._candidates(name):
            if id in services:
                return services[id]
        if "/" not in name:
            here = [id for id in services if id.partition("/")[2] == name]
            if len(here) == 1:
                return services[here[0]]
        if name not in self.world.broken:
            self.problems.error(
                "unknown-service",
                f'this scenario has no service "{name}"',
                place,
                help=did_you_mean(name, services) or "declare it under `services:`",
            )
        return None

    def external(self, name: str, place: Place) -> External | None:
        """The external of that name; None when it was reported."""
        found = self.topology.externals.get(name)
        if found is None and name not in self.world.broken:
            self.problems.error(
                "unknown-external",
                f'this scenario has no external "{name}"',
                place,
                help=did_you_mean(name, self.topology.externals) or "declare it under `externals:`",
            )
        return found

    def node(self, name: str, place: Place) -> bool:
        """Whether there is such a node; reported when not."""
        if name in self.topology.nodes:
            return True
        self.problems.error(
            "unknown-node",
            f'this scenario has no node "{name}"',
            place,
            help=f"nodes are {', '.join(self.topology.nodes)}; a pod's `node:` makes more",
        )
        return False


def split_kind(text: str) -> tuple[str, str, int]:
    """Kind before the first colon (empty for pods), the rest, and where the rest begins."""
    found = _KIND.fullmatch(text)
    return (found[1], found[2], found.start(2)) if found else ("", str(text), 0)


def kind_hint(word: str) -> str:
    """A suggestion for a misspelt kind."""
    return did_you_mean(word, _KINDS)
