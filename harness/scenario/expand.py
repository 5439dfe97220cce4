"""A checked document → a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.model.features import FEATURES
from harness.model.scenario import Scenario, Settings, Step
from harness.model.topology import Family
from harness.scenario import names
from harness.scenario.located import Text
from harness.scenario.paths import Folder
from harness.scenario.policies import Library, Reader, check_dialects, check_tiers
from harness.scenario.schema import ScenarioSpec, StepSpec
from harness.scenario.services import check_services
from harness.scenario.steps import Steps
from harness.scenario.structure import Checked, validate
from harness.scenario.world import World
from harness.scenario.world_schema import WorldSpec
from harness.source.diagnostics import Problems, Related, did_you_mean
from harness.source.nodes import MappingNode

_WORD = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")


def scenario(
    root: MappingNode, file: Path, display: str, library: Library, problems: Problems
) -> Scenario | None:
    """The scenario of one document; None, with all problems reported, when it has errors.

    Args:
        root: The document.
        file: The file that it stands in, for relative paths.
        display: The file's name in places.
        library: Policy files that were read before.
        problems: Receives everything that is wrong, policies included.
    """
    before = problems.errors
    checked = validate(root, ScenarioSpec, problems)
    spec = checked.part
    if spec is None:
        return None
    expansion = _Expansion(spec, checked.broken, Folder(file, display, problems), library, problems)
    result = expansion.result()
    return result if problems.errors == before else None


class _Expansion:
    def __init__(
        self,
        spec: ScenarioSpec,
        broken: frozenset[str],
        folder: Folder,
        library: Library,
        problems: Problems,
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.library = library
        self.problems = problems
        self.place = spec.scenario.place
        self.default = spec.defaults.namespace if spec.defaults is not None else None
        self.world = World(
            problems,
            self.place,
            None if self.default is None else str(self.default),
            broken={
                name if "/" in name or self.default is None else f"{self.default}/{name}" for name in broken
            }
            | broken,
        )

    def result(self) -> Scenario | None:
        spec = self.spec
        complaint = names.dns_label(spec.scenario)
        if complaint:
            self.problems.error(
                "bad-name",
                f'the scenario name "{spec.scenario}" {complaint}',
                self.place,
                help="choose another name",
            )
        self._tags(spec.tags)
        self._features(spec.needs)
        families = self._families()
        if not self._build():
            return None
        topology = self.world.topology()
        reader = Reader(
            self.folder, self.library, self.problems, None if self.default is None else str(self.default)
        )
        steps = Steps(self.world, reader, families, self.problems, self.place)
        done = self._steps(steps)
        check_services(steps.state.worlds, self.problems)
        check_dialects((policy for step in done for policy in (*step.policies, *step.apply)), self.problems)
        check_tiers(done, self.problems)
        if not any(step.cells or step.transition for step in done) and not self.problems.errors:
            self.problems.error(
                "no-cells", "the scenario expects nothing", self.place, help="add entries to `expect:`"
            )
        return Scenario(
            str(spec.scenario),
            self.place,
            topology,
            tuple(done),
            "" if spec.description is None else spec.description.strip(),
            tuple(map(str, spec.tags)),
            tuple(map(str, spec.needs)),
            families,
            self._settings(),
        )

    def _steps(self, steps: Steps) -> list[Step]:
        spec = self.spec
        if not spec.steps:
            only = StepSpec.model_construct(
                name=Text("expect"), apply=spec.policies, expect=spec.expect, delete=[], label=[], remove=[]
            )
            return [steps.expand(only)]
        for key in ("policies", "expect"):
            if getattr(spec, key):
                self.problems.error(
                    "steps-and-expect",
                    f"`{key}:` stands beside `steps:`",
                    spec.place_of(key, self.place),
                    help="move it into a step: policies go under `apply:`",
                    related=(Related(spec.place_of("steps", self.place), "the steps"),),
                )
        done: list[Step] = []
        seen: dict[str, Text] = {}
        for one in spec.steps:
            complaint = names.dns_label(one.name)
            if complaint:
                self.problems.error(
                    "bad-name",
                    f'the step name "{one.name}" {complaint}',
                    one.name.place,
                    help="choose another name",
                )
            if one.name in seen:
                self.problems.error(
                    "duplicate-name",
                    f'the step "{one.name}" is declared twice',
                    one.name.place,
                    help="rename one of them",
                    related=(Related(seen[one.name].place, "first declared here"),),
                )
            seen.setdefault(one.name, one.name)
            done.append(steps.expand(one))
        return done

    def _build(self) -> bool:
        """The world before the first step: the shared file's, then the scenario's own.

        Returns:
            False when the shared world is missing: nearly every name would be called unknown.
        """
        spec = self.spec
        shared = self._shared()
        if spec.world is not None and shared is None:
            return False
        own = (spec, shared) if shared is None else (shared, spec)
        parts = [part for part in own if part is not None]
        self.world.declared = any(part.namespaces is not None for part in parts)
        if self.default is not None:
            complaint = names.dns_label(self.default)
            if complaint:
                self.problems.error(
                    "bad-name",
                    f'the namespace name "{self.default}" {complaint}',
                    self.default.place,
                    help="choose another name",
                )
        for part in parts:
            self.world.add_namespaces(part.namespaces or {})
        for part in parts:
            self.world.add_pods(part.pods)
        for part in parts:
            self.world.add_services(part.services)
        for part in parts:
            self.world.add_externals(part.externals)
        if self.default is not None and self.default not in self.world.known_namespaces():
            self.world.unknown_namespace(self.default, self.default.place)
        return True

    def _shared(self) -> WorldSpec | None:
        text = self.spec.world
        if text is None:
            return None
        self.library.named(self.folder.start(text))
        found = self.folder.file(text)
        if found is None:
            return None
        before = self.problems.errors
        documents = self.library.documents(*found, self.problems)
        if len(documents) != 1 or not isinstance(documents[0].root, MappingNode):
            if self.problems.errors == before:
                self.problems.error(
                    "bad-world",
                    f'"{text}" must have one document, a mapping',
                    text.place,
                    help="write namespaces, pods, services and externals into it",
                )
            return None
        checked: Checked[WorldSpec] = validate(documents[0].root, WorldSpec, self.problems)
        self.world.broken |= checked.broken
        return checked.part

    def _families(self) -> tuple[Family, ...]:
        given = self.spec.families
        if len(set(given)) != len(given):
            self.problems.error(
                "named-twice",
                "a family is named twice",
                self.spec.place_of("families", self.place),
                help="remove one of them",
            )
        return tuple(dict.fromkeys(given))

    def _tags(self, texts: Sequence[Text]) -> None:
        for text in texts:
            if not _WORD.fullmatch(text) or len(text) > 63:
                self.problems.error(
                    "bad-word",
                    f'"{text}" cannot be a tag',
                    text.place,
                    help="use letters, digits, - _ and .",
                )

    def _features(self, texts: Sequence[Text]) -> None:
        for text in texts:
            if text not in FEATURES:
                self.problems.error(
                    "unknown-feature",
                    f'no cluster has a feature "{text}"',
                    text.place,
                    help=did_you_mean(text, FEATURES) or f"features are {', '.join(FEATURES)}",
                )

    def _settings(self) -> Settings:
        given = self.spec.settings
        if given is None:
            return Settings()
        return Settings(given.connect_timeout, given.settle, given.deadline)
