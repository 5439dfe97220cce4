"""The entries of `expect` → cells, in one state of the world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.model.probe import Probe, Request, Source, SourceKind, Target, TargetKind, TlsRequest
from harness.model.scenario import Cell
from harness.model.topology import Family, Protocol
from harness.model.verdict import Expectation
from harness.scenario import matrix, requests
from harness.scenario.expectations import expectation, possible
from harness.scenario.identities import fits, named, tls_request
from harness.scenario.located import Text
from harness.scenario.ports import protocol, report
from harness.scenario.resolve import From, Names
from harness.scenario.schema import (
    AllSpec,
    CellSpec,
    DnsSpec,
    HttpSpec,
    MatrixSpec,
    PlainCellSpec,
    PlainHttpSpec,
    RequestSpec,
    SequenceSpec,
)
from harness.scenario.targets import ICMP, PortWord, Targets, To
from harness.scenario.world import World
from harness.scenario.world_schema import Part
from harness.source import Place
from harness.source.diagnostics import Related
from harness.source.values import BadValueError

Entry = CellSpec | HttpSpec | SequenceSpec | DnsSpec | MatrixSpec | AllSpec
Pair = tuple[str, str]

MAX_CELLS = 200_000
"""Cells of one step; more are a mistake in a pattern."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One probe as an entry asks for it, before families and duplicates."""

    source: From
    to: To
    request: Request | None
    expected: Expectation
    place: Place


class _TooManyError(Exception):
    """A problem was reported that ends the expansion."""


class Cells:
    """Collects the cells of one step."""

    def __init__(self, world: World, families: Sequence[Family], suffix: str = "") -> None:
        self.world = world
        self.problems = world.problems
        self.names = Names(world)
        self.targets = Targets(self.names)
        self.families = tuple(families)
        self.suffix = suffix
        self.cells: dict[str, Cell] = {}
        self._pairs: set[Pair] = set()
        self._unheard: set[str] = set()

    def expect(self, entries: Iterable[Entry], place: Place) -> dict[str, Cell]:
        """Cells by id: what is named first, then what `all:` covers."""
        entries = list(entries)
        try:
            for entry in entries:
                if not isinstance(entry, AllSpec):
                    self._entry(entry, place)
            for entry in entries:
                if isinstance(entry, AllSpec):
                    self._all(entry, place)
        except _TooManyError:
            pass
        return self.cells

    def flows(
        self, entries: Iterable[PlainCellSpec | PlainHttpSpec], expected: Expectation, place: Place
    ) -> tuple[Cell, ...]:
        """Cells of a transition, all with the same expectation."""
        try:
            for entry in entries:
                if isinstance(entry, PlainCellSpec):
                    self._product(entry, entry.source, entry.to, expected, place)
                else:
                    self._request(entry, entry.source, entry.http, expected, place)
        except _TooManyError:
            pass
        return tuple(self.cells.values())

    def _entry(self, entry: CellSpec | HttpSpec | SequenceSpec | DnsSpec | MatrixSpec, place: Place) -> None:
        if isinstance(entry, MatrixSpec):
            self._matrix(entry, place)
            return
        if isinstance(entry, SequenceSpec):
            self._sequence(entry, place)
            return
        expected = expectation(entry.verdict, entry.known, entry.place_of("verdict", place), self.problems)
        if expected is None:
            self._sources(entry.source)
            for text in entry.to if isinstance(entry, CellSpec) else ():
                self.targets.read(text)
            return
        if isinstance(entry, CellSpec):
            before = self.problems.errors
            request = tls_request(entry, place, self.problems)
            if self.problems.errors == before:
                self._product(entry, entry.source, entry.to, expected, place, request)
        elif isinstance(entry, HttpSpec):
            self._request(entry, entry.source, entry.http, expected, place)
        else:
            questions = requests.dns(entry, self.problems)
            many = len(entry.dns) > 1
            for text, source in self._sources(entry.source):
                for name, asked in questions:
                    where = name.place if many else self._place(entry, place, text, len(entry.source) > 1)
                    self._add(_Wanted(source, asked.targets[0], asked.request, expected, where))

    def _sources(self, texts: Iterable[Text]) -> list[tuple[Text, From]]:
        """Every source once, with the text that named it first."""
        found = ((source, text) for text in _once(texts) for source in self.names.sources(text))
        first: dict[From, Text] = {}
        for source, text in found:
            first.setdefault(source, text)
        return [(text, source) for source, text in first.items()]

    @staticmethod
    def _place(entry: Part, place: Place, text: Text, several: bool) -> Place:
        return text.place if several else entry.place(place)

    def _product(
        self,
        entry: Part,
        sources: Sequence[Text],
        to: Sequence[Text],
        expected: Expectation,
        place: Place,
        request: TlsRequest | None = None,
    ) -> None:
        reached = [(text, item) for text in _once(to) for item in self.targets.read(text)]
        for text, source in self._sources(sources):
            for target_text, item in reached:
                named = target_text if len(to) > 1 else text
                where = self._place(entry, place, named, len(to) > 1 or len(sources) > 1)
                self._add(_Wanted(source, item, request, expected, where))

    def _sequence(self, entry: SequenceSpec, place: Place) -> None:
        """Requests on one connection: each is a cell that knows which went before."""
        wanted = [
            expectation(verdict, (), entry.place_of("verdict", place), self.problems)
            for verdict in entry.verdict
        ]
        asked = requests.sequence(entry, place, self.targets, self.problems)
        sources = self._sources(entry.source)
        if len(wanted) not in (1, len(entry.http)):
            self.problems.error(
                "sequence-verdicts",
                f"{len(entry.http)} requests, and {len(wanted)} verdicts",
                entry.place_of("verdict", place),
                help="write a verdict for each request, or one for all of them",
            )
            return
        if len(wanted) == 1:
            wanted *= len(entry.http)
        for spec, one, expected in zip(entry.http, asked or (), wanted, strict=False):
            if expected is None:
                continue
            for item in one.targets:
                for _, source in sources:
                    self._add(_Wanted(source, item, one.request, expected, spec.place(place)))

    def _request(
        self,
        entry: Part,
        sources: Sequence[Text],
        spec: RequestSpec,
        expected: Expectation,
        place: Place,
    ) -> None:
        asked = requests.http(spec, spec.place(place), self.targets, self.problems)
        found = self._sources(sources)
        for item in asked.targets if asked is not None else ():
            for text, source in found:
                where = self._place(entry, place, text, len(sources) > 1)
                self._add(_Wanted(source, item, asked.request if asked else None, expected, where))

    def _matrix(self, entry: MatrixSpec, place: Place) -> None:
        default = self._default_port(entry, place)
        letters = matrix.entries(entry.matrix, self.problems)
        sources: dict[int, list[From]] = {}
        columns: dict[int, list[To]] = {}
        for letter in letters:
            if id(letter.source) not in sources:
                sources[id(letter.source)] = self.names.sources(letter.source)
            if id(letter.column) not in columns:
                columns[id(letter.column)] = self.targets.read(letter.column, default)
            expected = (
                None
                if letter.expected is None
                else expectation(letter.expected, entry.known, letter.place, self.problems)
            )
            for source in sources[id(letter.source)]:
                for item in columns[id(letter.column)]:
                    if expected is None:
                        self._pairs.add((str(source.source), str(item.target)))
                    else:
                        self._add(_Wanted(source, item, None, expected, letter.place))

    def _default_port(self, entry: MatrixSpec, place: Place) -> PortWord | None:
        which: Protocol | None = None
        if entry.protocol is not None:
            try:
                which = protocol(entry.protocol, icmp=True)
            except BadValueError as error:
                report(self.problems, error, entry.protocol.place)
        if entry.port is None:
            return ICMP if which is Protocol.ICMP else None
        word = self.targets.port_word(entry.port, 0, len(entry.port))
        if word is None or which is None:
            return word
        if which is Protocol.ICMP or word.protocol not in (None, which):
            self.problems.error(
                "protocol-twice",
                f"`port: {entry.port}` and `protocol: {which}` do not go together",
                entry.place_of("protocol", place),
                help="remove one of them",
            )
            return word
        return PortWord(word.text, word.number, which, word.place)

    def _all(self, entry: AllSpec, place: Place) -> None:
        expected = expectation(entry.all, entry.known, entry.place_of("all", place), self.problems)
        words = [self.targets.port_word(text, 0, len(text)) for text in entry.ports]
        where = entry.place_of("all", place)
        before = len(self.cells)
        named = frozenset(self._pairs)
        for source in self._all_sources(entry):
            for to in self._all_targets(entry, [word for word in words if word is not None]):
                if (str(source.source), str(to.target)) not in named and expected is not None:
                    self._add(_Wanted(source, to, None, expected, where))
        complete = expected is not None and None not in words and not self.world.broken
        if len(self.cells) == before and complete and not self.problems.errors:
            self.problems.warning(
                "empty-all", "`all:` covers no pair", where, help="remove it, or check its ports and patterns"
            )

    def _all_sources(self, entry: AllSpec) -> Iterator[From]:
        texts = entry.source or [Text("*")]
        if not entry.source:
            for id in self.world.pods:
                yield From(_pod_source(id), one_of_many=True)
            return
        for _, source in self._sources(texts):
            yield From(source.source, one_of_many=True)

    def _all_targets(self, entry: AllSpec, words: list[PortWord]) -> list[To]:
        ids = list(self.world.pods)
        if entry.to:
            ids = [id for text in entry.to for id in self.names.pods(text, 0, len(text)).ids]
        found: list[To] = []
        for id in dict.fromkeys(ids):
            found += [
                To(Target(TargetKind.POD, id, item.port, item.protocol), one_of_many=True)
                for item in self.names.topology.pods[id].listeners
                if not entry.ports or any(word.matches(item) for word in words)
            ]
        return found

    def _add(self, wanted: _Wanted) -> None:
        source, target = wanted.source.source, wanted.to.target
        itself = (
            source.kind is SourceKind.POD and target.kind is TargetKind.POD and source.name == target.name
        )
        if itself and (wanted.source.one_of_many or wanted.to.one_of_many):
            return
        self._pairs.add((str(source), str(target)))
        families = self._families(wanted)
        for family in families:
            probe = Probe(source, target, family, wanted.request)
            if isinstance(wanted.request, TlsRequest):
                probe = replace(probe, request=named(wanted.request, probe))
                if not fits(probe, self.names.topology, wanted.place, self.problems):
                    return
            if not possible(wanted.expected, probe, wanted.place, self.problems):
                return
            self._keep(probe, wanted)
        if wanted.to.unheard and families and str(target) not in self._unheard:
            self._unheard.add(str(target))
            self.problems.warning(
                "nobody-listens",
                wanted.to.unheard.partition("; ")[0] + ", so the cell will be an error",
                wanted.place,
                help=wanted.to.unheard.partition("; ")[2],
            )

    def _keep(self, probe: Probe, wanted: _Wanted) -> None:
        id = probe.id
        if len(self.families) > 1:
            id += f" {probe.family}"
        id += self.suffix
        first = self.cells.get(id)
        if first is None:
            if len(self.cells) >= MAX_CELLS:
                self.problems.error(
                    "too-many-cells",
                    f"the step has more than {MAX_CELLS} cells",
                    wanted.place,
                    help="name fewer pairs, or split the scenario",
                )
                raise _TooManyError
            self.cells[id] = Cell(id, probe, wanted.expected, wanted.place)
        elif first.expectation != wanted.expected:
            self.problems.error(
                "conflicting-cells",
                f"{id} is expected to be {words(wanted.expected)} here, {words(first.expectation)} elsewhere",
                wanted.place,
                help="remove one of them",
                related=(Related(first.place, f"{words(first.expectation)} is expected here"),),
            )

    def _families(self, wanted: _Wanted) -> tuple[Family, ...]:
        """Families to probe in; an external is probed in those that it has an address of."""
        families: tuple[Family, ...] = self.families or (Family.IPV4,)
        for kind, name in (
            (wanted.source.source.kind.value, wanted.source.source.name),
            (wanted.to.target.kind.value, wanted.to.target.name),
        ):
            external = self.names.topology.externals.get(name) if kind == "external" else None
            if external is None or not self.families or name in self.world.broken:
                continue
            families = tuple(family for family in families if family in external.addresses)
            if len(families) == 0:
                self.problems.error(
                    "external-family",
                    f"external {name} has no {' or '.join(self.families)} address",
                    wanted.place,
                    help="give it one: address: [v4, v6]",
                )
        return families


def _once(texts: Iterable[Text]) -> Iterable[Text]:
    """Texts without repetitions, so that aliases cannot make a long product of the same words."""
    return dict.fromkeys(texts)


def _pod_source(id: str) -> Source:
    return Source(SourceKind.POD, id)


def words(expected: Expectation) -> str:
    """An expectation in a few words."""
    text = str(expected.default)
    if expected.backends:
        text += " (" + ", ".join(f"{name}: {value}" for name, value in expected.backends.items()) + ")"
    if expected.known:
        text += f" with {len(expected.known)} known"
    return text
