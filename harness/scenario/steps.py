"""Steps: changes to the world and its policies, and what is expected afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.model.builtin import DNS_POD
from harness.model.policy import Policy
from harness.model.probe import Source, SourceKind, Target, TargetKind
from harness.model.scenario import Cell, Relabel, Step, Transition
from harness.model.topology import METADATA_NAME, Family, Namespace
from harness.model.verdict import Expectation, Expected
from harness.scenario import names
from harness.scenario.cells import Cells
from harness.scenario.expectations import by_backend
from harness.scenario.located import Text
from harness.scenario.policies import Reader, after, deleted
from harness.scenario.resolve import Names
from harness.scenario.schema import AddSpec, LabelSpec, StepSpec
from harness.scenario.world import World
from harness.source import Place
from harness.source.diagnostics import Problems, Related, did_you_mean


@dataclass(slots=True)
class State:
    """What one step hands to the next.

    Attributes:
        cells: The last expectation of every cell so far, for `keep`.
        worlds: The world after each step.
    """

    world: World
    policies: list[Policy] = field(default_factory=list)
    cells: dict[str, Cell] = field(default_factory=dict)
    worlds: list[World] = field(default_factory=list)


class Steps:
    """Expands the steps of one scenario, one after the other."""

    def __init__(
        self, world: World, reader: Reader, families: Sequence[Family], problems: Problems, place: Place
    ) -> None:
        self.reader = reader
        self.families = families
        self.problems = problems
        self.place = place
        self.state = State(world, worlds=[world])

    def expand(self, spec: StepSpec) -> Step:
        """One step; broken parts of it are reported and left out."""
        place = spec.place(self.place)
        before = self.state.world
        world = before.copy()
        deletions = self._delete(spec.delete)
        labels = [change for item in spec.label for change in self._label(item, world, place)]
        added = self._add(spec.add, world)
        removed = self._remove(spec, world)
        restarted = self._pods(spec.restart, world, "restarted")
        # Read last: a policy may belong to a namespace that this step adds.
        applied = self.reader.read(spec.apply, world)
        policies = after(self.state.policies, applied)
        refs = [ref for text in deletions if (ref := deleted(text, policies, self.problems)) is not None]
        policies = [policy for policy in policies if policy.ref not in refs]
        collected = Cells(world, self.families).expect(spec.expect, place)
        cells = self._kept(world) | collected if spec.keep else collected
        step = Step(
            str(spec.name),
            world.topology(),
            tuple(policies),
            tuple(cells.values()),
            tuple(applied),
            tuple(refs),
            tuple(labels),
            tuple(added),
            tuple(removed),
            tuple(restarted),
            self._transition(spec, before, world),
        )
        self.state.world, self.state.policies = world, policies
        self.state.worlds.append(world)
        self.state.cells = self._kept(world) | collected
        return step

    def _delete(self, texts: list[Text]) -> list[Text]:
        seen: dict[str, Text] = {}
        for text in texts:
            if str(text) in seen:
                self.problems.error(
                    "named-twice",
                    f"{text} is deleted twice",
                    text.place,
                    help="remove one of them",
                    related=(Related(seen[str(text)].place, "first named here"),),
                )
                continue
            seen[str(text)] = text
        return list(seen.values())

    def _kept(self, world: World) -> dict[str, Cell]:
        """Cells of earlier steps whose pods are still there."""
        topology = world.topology()

        def stands(end: Source | Target) -> bool:
            return end.kind not in (SourceKind.POD, TargetKind.POD) or end.name in topology.pods

        return {
            id: cell
            for id, cell in self.state.cells.items()
            if stands(cell.probe.source) and stands(cell.probe.target)
        }

    def _label(self, spec: LabelSpec, world: World, place: Place) -> list[Relabel]:
        where = spec.place(place)
        if (spec.pod is None) == (spec.namespace is None):
            self.problems.error(
                "bad-label-change",
                "a change of labels names either a pod or a namespace",
                where,
                help="write pod: ns/name, or namespace: name",
            )
            return []
        changes = world.labels(spec.set, "label")
        if not changes and not spec.unset and not spec.set:
            self.problems.error(
                "bad-label-change", "no label is changed", where, help="add `set:` or `unset:`"
            )
        if spec.pod is not None:
            ids = self._pods([spec.pod], world, "relabelled")
            for id in ids:
                pod = world.pods[id]
                world.pods[id] = replace(pod, labels=self._labels(id, pod.labels, changes, spec))
            return [Relabel("pod", id, changes, tuple(map(str, spec.unset))) for id in ids]
        name = spec.namespace or Text("")
        if name not in world.known_namespaces():
            if name not in world.broken:
                world.unknown_namespace(name, name.place)
            return []
        if METADATA_NAME in changes or METADATA_NAME in spec.unset:
            self.problems.error(
                "metadata-name",
                f"the API server keeps `{METADATA_NAME}` as it is",
                where,
                help="change another label",
            )
            return []
        old = world.topology().namespaces[str(name)]
        world.namespaces[str(name)] = Namespace(
            str(name), self._labels(f"namespace {name}", old.labels, changes, spec)
        )
        return [Relabel("namespace", str(name), changes, tuple(map(str, spec.unset)))]

    def _labels(
        self, owner: str, old: Mapping[str, str], changes: dict[str, str], spec: LabelSpec
    ) -> dict[str, str]:
        for key in spec.unset:
            complaint = names.label_key(key)
            if complaint:
                self.problems.error(
                    "bad-label", f'the key "{key}" {complaint}', key.place, help="write a label's key"
                )
            elif key in changes:
                self.problems.error(
                    "bad-label-change", f'"{key}" is set and removed at once', key.place, help="choose one"
                )
            elif key not in old:
                self.problems.error(
                    "unknown-label",
                    f'{owner} has no label "{key}"',
                    key.place,
                    help=did_you_mean(key, old) or (f"it has {', '.join(old)}" if old else "it has none"),
                )
        kept = {key: value for key, value in old.items() if key not in spec.unset}
        return kept | changes

    def _add(self, spec: AddSpec | None, world: World) -> list[str]:
        if spec is None:
            return []
        return [
            *world.add_namespaces(spec.namespaces or {}),
            *world.add_pods(spec.pods),
            *world.add_services(spec.services),
        ]

    def _remove(self, spec: StepSpec, world: World) -> list[str]:
        ids = self._pods(spec.remove, world, "removed")
        for id in ids:
            del world.pods[id]
            world.gone[id] = str(spec.name)
        return ids

    def _pods(self, texts: Sequence[Text], world: World, verb: str) -> list[str]:
        """Ids of pods that a change names; the cluster's own are not changed."""
        lookup = Names(world)
        found: list[str] = []
        for text in texts:
            for id in lookup.pods(text, 0, len(text)).ids:
                if id == DNS_POD and id not in world.pods:
                    self.problems.error(
                        "builtin",
                        f"{id} belongs to the cluster and is not {verb}",
                        text.place,
                        help="name a pod of the scenario",
                    )
                elif id in found:
                    self.problems.error(
                        "named-twice", f"{id} is {verb} twice", text.place, help="remove one of them"
                    )
                else:
                    found.append(id)
        return found

    def _transition(self, spec: StepSpec, before: World, after_step: World) -> Transition | None:
        given = spec.transition
        if given is None:
            return None
        place = given.place(self.place)
        if given.established is not None and not given.cut:
            self.problems.error(
                "bad-transition",
                "`established` speaks of the `cut` flows, and there are none",
                given.place_of("established", place),
                help="add `cut:`, or remove it",
            )
        steady = Cells(before, self.families, "~steady").flows(
            given.steady, Expectation(Expected.ALLOW), place
        )
        cut = Cells(before, self.families, "~cut").flows(given.cut, Expectation(Expected.DENY), place)
        for cell in (*steady, *cut):
            for id in (cell.probe.source.name, cell.probe.target.name):
                if id in before.pods and id not in after_step.pods:
                    self.problems.error(
                        "bad-transition",
                        f"the step removes {id}, so the flow would end with it",
                        cell.place,
                        help="choose a flow between pods that stay",
                    )
        if not steady and not cut and not self.problems.errors:
            self.problems.error(
                "bad-transition", "the transition has no flows", place, help="add `steady:` or `cut:`"
            )
        at = given.place_of("established", place)
        what = "`established` of a transition"
        established, backends = by_backend(given.established, at, self.problems, what)
        return Transition(steady, cut, established, backends)
