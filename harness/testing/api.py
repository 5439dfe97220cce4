"""The fixture `netcheck`: worlds, policies and probes for tests that are written in Python.

    def test_only_the_client(netcheck: Netcheck) -> None:
        world = netcheck.lab(pods={"shop/web": {"listen": [8080]}, "shop/client": {}})
        world.apply("policies/deny-all.yaml")
        netcheck.expect(world.probe("client", "web:8080"), "deny")

The engine measures and judges: with a control before policies, receipts, and proof of a live listener. What
cannot be proven raises `UnprovenError` and never becomes a verdict.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engine.cluster import Cluster, ClusterError
from harness.engine.live import LiveWorld
from harness.engine.status import decide
from harness.model.result import Backend, CellResult, ScenarioResult
from harness.model.scenario import Scenario
from harness.model.verdict import Expectation, Expected, Status, Verdict
from harness.report.failures import full_id, headline, outcome_text, receipt_text
from harness.report.terminal import render_failure
from harness.report.text import plain
from harness.testing.writing import WritingError, read, world

__tracebackhide__ = True
"""Tracebacks end in the test's own lines."""

Document = Mapping[str, Any]
"""A part of the scenario language as Python values."""

Policies = str | Path | Mapping[str, Any]
"""A file, a glob or a folder with policies, seen from the test's own file; or a manifest."""


class VerdictError(AssertionError):
    """A verdict is not the expected one."""


class UnprovenError(Exception):
    """Nothing is proven about a probe or a world, so there is no verdict; the text says why."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of one probe.

    Attributes:
        id: The cell's id, such as `n/a->n/b:8080/TCP`.
        verdict: What the network did with it; compares with its word: `probed.verdict == "drop"`.
        outcome: What the prober saw.
        receipt: What the destination saw.
        served_by: Which pod or external answered; empty when none did.
        predicted: What the policies say on paper: a verdict's word, or `undefined`; empty where they say
            nothing.
        result: Everything that the engine knows.
        backend: Where it was measured.
    """

    id: str
    verdict: Verdict
    outcome: str
    receipt: str
    served_by: str
    predicted: str
    result: CellResult
    backend: Backend

    @property
    def allowed(self) -> bool:
        """Whether it came through."""
        return self.verdict is Verdict.ALLOW

    def __str__(self) -> str:
        return f"{self.id}: {self.verdict} ({self.outcome}; {self.receipt})"


def expect(probed: Probed, verdict: str) -> None:
    """Compare a probe's verdict with the expected one.

    Args:
        probed: What `World.probe` gave.
        verdict: A word of scenario files: `allow`, `deny`, `drop`, `reject`, …

    Raises:
        VerdictError: It is another one.
        ValueError: There is no such verdict.
    """
    known = [item.value for item in Expected if item is not Expected.ORACLE]
    if verdict not in known:
        raise ValueError(f"{verdict!r} is no verdict; verdicts are {', '.join(known)}")
    found = decide(Expectation(Expected(verdict)), probed.verdict, probed.backend)
    if found.status is Status.FAILED:
        texts = [f"{probed.id}: {found.reason}"]
        texts += [f"  outcome   {probed.outcome}", f"  receipt   {probed.receipt}"]
        if probed.predicted:
            texts.append(f"  predicted {probed.predicted}")
        raise VerdictError("\n".join(texts))


class World:
    """A world that stands until the test is over. `Netcheck.lab` makes it.

    Changes are checked at once and carried out before the next probe, in their order.
    """

    def __init__(
        self, document: Document, policies: Sequence[Policies], cluster: Cluster, folder: Path
    ) -> None:
        self._document = document
        self._cluster = cluster
        self._folder = folder
        self._steps: list[dict[str, Any]] = []
        self._done = 0
        self._live: LiveWorld | None = None
        if policies:
            self.apply(*policies)
        else:
            world(document, (), folder)

    # -- changes ---------------------------------------------------------------------------------------

    def apply(self, *policies: Policies) -> None:
        """Create or update policies.

        Args:
            policies: Files, globs, folders, or manifests.

        Raises:
            WritingError: One of them is wrong.
        """
        self._change({"apply": list(policies)})

    def delete(self, *policies: str) -> None:
        """Delete policies, each as `kind/namespace/name`, or `kind/name` for cluster-scoped ones.

        Raises:
            WritingError: There is no such policy.
        """
        self._change({"delete": list(policies)})

    def label(
        self,
        target: str,
        set: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
    ) -> None:
        """Change labels of a pod, or of a namespace, which is written as `namespace:NAME`.

        Raises:
            WritingError: There is nothing of that name, or a label is none.
        """
        kind, colon, name = target.partition(":")
        where = {"namespace": name} if colon and kind == "namespace" else {"pod": target}
        self._change({"label": [{**where, "set": dict(set or {}), "unset": list(unset)}]})

    def add(
        self,
        *,
        namespaces: Document | None = None,
        pods: Document | None = None,
        services: Document | None = None,
    ) -> None:
        """Add namespaces, pods, services.

        Raises:
            WritingError: One of them is wrong.
        """
        parts = {"namespaces": namespaces, "pods": pods, "services": services}
        self._change({"add": {key: value for key, value in parts.items() if value}})

    def remove(self, *pods: str) -> None:
        """Remove pods.

        Raises:
            WritingError: There is no such pod.
        """
        self._change({"remove": list(pods)})

    def restart(self, *pods: str) -> None:
        """Restart pods.

        Raises:
            WritingError: There is no such pod.
        """
        self._change({"restart": list(pods)})

    def _change(self, change: dict[str, Any]) -> None:
        step = {"name": f"change-{len(self._steps) + 1}", **change}
        world(self._document, [*self._steps, step], self._folder)
        self._steps.append(step)

    # -- probes ----------------------------------------------------------------------------------------

    def probe(
        self,
        source: str,
        target: str = "",
        *,
        http: Document | None = None,
        dns: str = "",
        **more: Any,
    ) -> Probed:
        """Send one probe.

        Args:
            source: As `from:` in a scenario file.
            target: As `to:`.
            http: Instead of a target: a request, with `url` and what else `http:` takes.
            dns: Instead of a target: a name to ask the cluster's resolver for.
            more: What else stands in the cell, such as `type="AAAA"` or `mtls=True`.

        Raises:
            UnprovenError: There is no verdict.
            WritingError: No probe, or several, can be made of the words.
        """
        ways = {"to": target, "http": http, "dns": dns}
        cell = {"from": source, **{key: value for key, value in ways.items() if value}, **more}
        found, scenario = self._measure([{**cell, "verdict": "observe"}])
        if len(found) != 1:
            ids = ", ".join(item.id for item in found)
            raise WritingError(f"one probe is asked for, and the words mean {len(found)}: {ids}")
        return self._probed(scenario, found[0])

    def expect(self, *entries: Document) -> tuple[Probed, ...]:
        """Probe cells side by side and compare them with what is expected of them.

        Args:
            entries: As under `expect:` in a scenario file: cells, matrices, `all`.

        Raises:
            VerdictError: A verdict is not the expected one; all that differ are told.
            UnprovenError: Of some cell there is no verdict, and no other differs.
            WritingError: An entry is wrong.
        """
        found, scenario = self._measure(list(entries))
        wrong = [item for item in found if item.status is Status.FAILED]
        if wrong:
            raise VerdictError(self._told(scenario, wrong))
        return tuple(self._probed(scenario, item) for item in found)

    def _measure(self, entries: list[Document]) -> tuple[tuple[CellResult, ...], Scenario]:
        from harness.oracle import resolve

        asked = {"name": "probe", "expect": entries}
        written = read({**self._document, "steps": [*self._steps, asked]}, self._folder)
        scenario = resolve(written, self._cluster.backend.of(written).personality)
        try:
            if self._live is None:
                self._live = LiveWorld(scenario, self._cluster, secrets.token_hex(4))
            result = self._live.measure(scenario, scenario.steps[self._done :])
        except ClusterError as trouble:
            raise UnprovenError("; ".join(filter(None, (str(trouble), trouble.advice)))) from trouble
        self._done = len(self._steps)
        return result.cells, scenario

    def _probed(self, scenario: Scenario, result: CellResult) -> Probed:
        if result.verdict is None or result.observation is None:
            raise UnprovenError(self._told(scenario, [result]))
        return _probed(result, self._cluster.backend)

    def _told(self, scenario: Scenario, results: Sequence[CellResult]) -> str:
        step, backend = scenario.steps[-1].name, self._cluster.backend
        texts = [_without_place(render_failure(scenario, step, item, backend)) for item in results]
        return _headed([f"{item.id}: {headline(item)}" for item in results], texts)

    def close(self) -> None:
        """Take the world down; the end of the test does it, too."""
        if self._live is not None:
            self._live.close()
            self._live = None


def _headed(heads: Sequence[str], texts: Sequence[str]) -> str:
    """A first line that stands for all in pytest's summary, then everything."""
    more = f" (and {len(heads) - 1} more)" if len(heads) > 1 else ""
    return "\n".join((f"{heads[0]}{more}", *texts)).rstrip()


def _without_place(lines: Sequence[Any]) -> str:
    """What there is to say of a cell; the document that it stands in is no file, and cannot be run again."""
    kept = [item for item in lines if not (item and item[0][0].strip() in ("place", "rerun"))]
    return plain(kept)


def _probed(result: CellResult, backend: Backend) -> Probed:
    assert result.verdict is not None
    assert result.observation is not None
    predicted = result.predicted.word if result.predicted is not None else ""
    seen = result.observation
    return Probed(
        id=result.id,
        verdict=result.verdict,
        outcome=outcome_text(seen),
        receipt=receipt_text(seen),
        served_by=seen.outcome.served_by,
        predicted=predicted,
        result=result,
        backend=backend,
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of the scenarios of a file.

    Attributes:
        results: One per scenario.
        backend: Where they were measured.
    """

    results: tuple[ScenarioResult, ...]
    backend: Backend

    @property
    def cells(self) -> Mapping[str, CellResult]:
        """All measured cells by `scenario::step::cell-id`."""
        return {
            full_id(result.scenario.name, step.name, cell.id): cell
            for result in self.results
            for step in result.steps
            for cell in step.cells
        }

    def check(self) -> None:
        """Nothing may differ from what the file expects.

        Raises:
            VerdictError: A verdict is not the expected one; all that differ are told.
            UnprovenError: Some cell has no verdict, and no other differs.
        """
        for status, kind in ((Status.FAILED, VerdictError), (Status.ERROR, UnprovenError)):
            heads, texts = [], []
            for result in self.results:
                for step in result.steps:
                    for cell in step.cells:
                        if cell.status is status:
                            heads.append(f"{cell.id}: {headline(cell)}")
                            texts.append(
                                plain(render_failure(result.scenario, step.name, cell, self.backend))
                            )
            if heads:
                raise kind(_headed(heads, texts))
        for result in self.results:
            if result.error or result.skipped:
                raise UnprovenError(f"{result.scenario.name}: {result.error or result.skipped}")


class Netcheck:
    """What the fixture `netcheck` gives to a test.

    Args:
        folder: Where paths are seen from: that of the test's file.
        lab: Opens the lab that worlds are built on.
        measure: Measures scenario files on the session's cluster.
    """

    expect = staticmethod(expect)

    def __init__(
        self,
        folder: Path,
        lab: Callable[[], Cluster],
        measure: Callable[[Path], Measured],
    ) -> None:
        self._folder = folder
        self._lab = lab
        self._measure = measure
        self._worlds: list[World] = []

    def lab(
        self,
        *,
        pods: Document | None = None,
        namespaces: Document | None = None,
        services: Document | None = None,
        externals: Document | None = None,
        world: str = "",
        policies: Policies | Sequence[Policies] = (),
        namespace: str = "",
        families: Sequence[str] = (),
        settings: Document | None = None,
    ) -> World:
        """A world on the lab of this machine, built with the first probe.

        Args:
            pods: By `namespace/name`; each as in a scenario file.
            namespaces: By name; when absent they follow from the pods.
            services: By `namespace/name`.
            externals: Addresses outside the cluster by name.
            world: A file with a shared world, to which all that is added.
            policies: What stands from the beginning.
            namespace: That of names without one.
            families: `ipv4`, `ipv6`, or both.
            settings: Times, such as `{"connectTimeout": "300ms"}`.

        Raises:
            WritingError: Something is wrong with it.
            UnprovenError: This machine cannot hold a lab.
        """
        parts: dict[str, Any] = {
            "world": world,
            "defaults": {"namespace": namespace} if namespace else None,
            "settings": settings,
            "families": list(families),
            "namespaces": namespaces,
            "pods": pods,
            "services": services,
            "externals": externals,
        }
        document = {"scenario": "lab", **{key: value for key, value in parts.items() if value}}
        given = [policies] if isinstance(policies, (str, Path, Mapping)) else list(policies)
        try:
            cluster = self._lab()
        except ClusterError as trouble:
            raise UnprovenError("; ".join(filter(None, (str(trouble), trouble.advice)))) from trouble
        found = World(document, given, cluster, self._folder)
        self._worlds.append(found)
        return found

    def scenario(self, path: str | Path) -> Measured:
        """Measure the scenarios of a file on the session's cluster, now.

        Args:
            path: Seen from the test's file.

        Raises:
            WritingError: The file has errors.
            UnprovenError: The cluster cannot be had.
        """
        return self._measure(self._folder / path)

    def close(self) -> None:
        """Take all worlds down; never raises."""
        while self._worlds:
            self._worlds.pop().close()


__all__ = ["Document", "Measured", "Netcheck", "Policies", "Probed", "UnprovenError", "VerdictError", "World"]
__all__ += ["WritingError", "expect"]
