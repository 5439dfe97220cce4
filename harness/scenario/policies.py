"""Policies of a scenario: files, folders, globs and inline manifests → the dialects' policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.dialects.calico.parse_objects import RESERVED
from harness.dialects.calico.types import CalicoPolicy
from harness.dialects.registry import parse_manifest
from harness.model.policy import Policy, PolicyRef
from harness.model.scenario import Step
from harness.scenario.located import Table, Text
from harness.scenario.paths import Folder
from harness.scenario.world import World
from harness.source import Place
from harness.source.diagnostics import Problems, Related, did_you_mean
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode, last_line
from harness.source.reader import Document, read_file
from harness.source.sources import Sources


@dataclass(slots=True)
class Library:
    """Files that were read, so that a policy file that many scenarios share is read once.

    Attributes:
        files: Every file that was read, in order.
        uses: What each user named, whether it exists or not; see `user`.
        user: Name of the scenario file that is being read.
    """

    sources: Sources
    files: dict[Path, None] = field(default_factory=dict)
    uses: dict[str, dict[Path, None]] = field(default_factory=dict)
    user: str = ""
    _read: dict[tuple[Path, str], tuple[list[Document], Problems]] = field(default_factory=dict)

    def named(self, path: Path | None) -> None:
        """Note that the user named a file or folder; None lies outside of the project."""
        if path is None:
            return
        self.uses.setdefault(self.user, {}).setdefault(path)

    def documents(self, path: Path, display: str, problems: Problems) -> list[Document]:
        """The documents of a file; what is wrong with it is reported to each who asks."""
        self.named(path)
        key = (path, display)
        if key not in self._read:
            found = Problems()
            self._read[key] = (read_file(path, found, display=display, sources=self.sources), found)
            self.files.setdefault(path)
        documents, found = self._read[key]
        problems.found += found.found
        return documents


class Reader:
    """Reads the policies of one scenario."""

    def __init__(self, folder: Folder, library: Library, problems: Problems, namespace: str | None) -> None:
        self.folder = folder
        self.library = library
        self.problems = problems
        self.namespace = namespace

    def read(self, entries: Iterable[Text | Table], world: World) -> list[Policy]:
        """All policies of a list, in order; two of the same name are an error."""
        found: dict[PolicyRef, Policy] = {}
        for entry in entries:
            for node in self._manifests(entry):
                policy = self._policy(node, world)
                if policy is None:
                    continue
                first = found.get(policy.ref)
                if first is not None:
                    self.problems.error(
                        "duplicate-policy",
                        f"{policy} stands here twice",
                        policy.place,
                        help="remove or rename one of them; a later step may update a policy",
                        related=(Related(first.place, "first written here"),),
                    )
                    continue
                found[policy.ref] = policy
        return list(found.values())

    def _policy(self, node: MappingNode, world: World) -> Policy | None:
        policy = parse_manifest(node, self.namespace or "default", self.problems)
        if policy is None:
            return None
        policy = replace(
            policy, lines=self.library.sources.lines(node.place.file, node.place.line, last_line(node))
        )
        if not policy.namespace:
            return policy
        metadata = node.get("metadata")
        named = metadata.get("namespace") if isinstance(metadata, MappingNode) else None
        if policy.namespace not in world.known_namespaces():
            if policy.namespace not in world.broken:
                world.unknown_namespace(policy.namespace, named.place if named is not None else node.place)
            return policy
        lonely = not any(pod.namespace == policy.namespace for pod in world.pods.values())
        if named is None and self.namespace is None and lonely and world.pods:
            self.problems.warning(
                "policy-in-default",
                f"{policy.kind} {policy.name} names no namespace, so it goes to `default`, which has no pods",
                node.place,
                help="add metadata.namespace, or set `defaults: {namespace: …}`",
            )
        return policy

    def _manifests(self, entry: Text | Table) -> Iterator[MappingNode]:
        if isinstance(entry, Table):
            yield from self._flat(entry.node, entry.node.place)
            return
        self.library.named(self.folder.start(entry))
        found = self.folder.files(entry)
        alone = len(found) == 1 and found[0][0] == self.folder.folder / entry
        for path, display in found:
            before = self.problems.errors
            documents = self.library.documents(path, display, self.problems)
            if not documents and self.problems.errors == before:
                self.problems.error(
                    "no-manifests",
                    f'"{display}" has no manifests',
                    entry.place,
                    help="remove it from the list, or write a policy into it",
                )
            for document in documents:
                root = document.root
                # In a folder of policies a scenario may lie beside them.
                if not alone and isinstance(root, MappingNode) and "scenario" in root:
                    continue
                yield from self._flat(root, document.place)

    def _flat(self, node: Node, place: Place) -> Iterator[MappingNode]:
        """The manifests of a `kind: List`, or the manifest itself."""
        if not isinstance(node, MappingNode):
            self.problems.error(
                "not-a-manifest", "a manifest is a mapping", node.place, help="write apiVersion, kind, …"
            )
            return
        kind = node.get("kind")
        items = node.get("items")
        if isinstance(kind, ScalarNode) and kind.text == "List" and isinstance(items, SequenceNode):
            for item in items.items:
                yield from self._flat(item, place)
            return
        yield node


def after(policies: Sequence[Policy], applied: Iterable[Policy]) -> list[Policy]:
    """Policies in force once `applied` are; one of the same name takes the old one's place."""
    found = {policy.ref: policy for policy in policies}
    found.update((policy.ref, policy) for policy in applied)
    return list(found.values())


def deleted(text: Text, policies: Sequence[Policy], problems: Problems) -> PolicyRef | None:
    """The policy that `kind/namespace/name` or `kind/name` names; None when it was reported."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        problems.error(
            "bad-policy-name",
            f'"{text}" names no policy',
            text.place,
            help="write kind/namespace/name, or kind/name for cluster-scoped kinds",
        )
        return None
    ref = PolicyRef(parts[0].lower(), parts[1] if len(parts) == 3 else "", parts[-1])
    known = [policy.ref for policy in policies]
    if ref in known:
        return ref
    names = [str(one) for one in known]
    if len(parts) == 2:
        same = [str(one) for one in known if (one.kind, one.name) == (ref.kind, ref.name)]
        near = f"write {' or '.join(same)}" if same else did_you_mean(str(ref), names)
    else:
        near = did_you_mean(str(ref), names)
    problems.error(
        "unknown-policy",
        f"{ref} is not in force here",
        text.place,
        help=near or (f"in force are {', '.join(names)}" if names else "no policy is in force here"),
    )
    return None


def check_tiers(steps: Iterable[Step], problems: Problems) -> None:
    """Calico's API server refuses a policy whose tier is not there."""
    said: set[Place] = set()
    for step in steps:
        tiers = {policy.name for policy in step.policies if policy.kind == "Tier"} | RESERVED.keys()
        for policy in step.policies:
            parsed = policy.parsed
            if not isinstance(parsed, CalicoPolicy) or parsed.tier in tiers or parsed.tier_place in said:
                continue
            said.add(parsed.tier_place)
            problems.error(
                "unknown-tier",
                f"{policy} stands in the tier {parsed.tier}, which is not there",
                parsed.tier_place,
                help=did_you_mean(parsed.tier, tiers) or f"add a Tier with the name {parsed.tier}",
            )


def check_dialects(policies: Iterable[Policy], problems: Problems) -> None:
    """A world with Cilium and Calico policies exists nowhere."""
    first: dict[str, Policy] = {}
    for policy in policies:
        if policy.dialect in ("cilium", "calico"):
            first.setdefault(policy.dialect, policy)
    if len(first) > 1:
        one, two = first.values()
        problems.error(
            "mixed-dialects",
            f"a {two.dialect} policy stands beside a {one.dialect} policy; no cluster enforces both",
            two.place,
            help="make two scenarios of it",
            related=(Related(one.place, f"the {one.dialect} policy"),),
        )
