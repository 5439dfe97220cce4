"""All streams of a world, spoken to side by side."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.clusters.authority import Authority
from harness.clusters.certificates import Source, Wallet
from harness.clusters.kube.api import Api
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.fates import fate
from harness.clusters.kube.streams import ExecPipe, Pipe, Stream, StreamError
from harness.clusters.svids import Answer
from harness.engine.cluster import ClusterError

WIDTH = 64
"""Streams that are spoken to at the same time."""

MARGIN = 20.0
"""Seconds beyond a probe's timeout before a silent agent counts as broken."""

RESTARTED = "its container restarted, and nobody knows what had arrived before"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Arrived:
    """The receipts of a sweep.

    Attributes:
        counts: Arrivals by index of the probe.
        silent: Why the receipts of a pod cannot be had, by pod.
        fates: What pods did with handshakes, by what is known of them at both ends (see `results.NOTE`).
        overflowed: Pods that threw datagrams away since they were last asked, because they were too busy.
    """

    counts: dict[int, int]
    silent: dict[str, str]
    overflowed: set[str]
    fates: dict[str, str] = field(default_factory=dict)


class Fleet:
    """Streams by what a probe calls its source: `ns/pod`, `node:a`, `external:name`.

    One whose stream broke twice stays broken; its probes are errors.

    Attributes:
        authority: Issues the certificates of the world.
        sources: Who else issues certificates, which only their pods can ask for; by source.
    """

    def __init__(self, api: Api, nonce: str, agent: Agent) -> None:
        self._api = api
        self._agent = agent
        self._nonce = nonce
        self._streams: dict[str, Stream] = {}
        self._pods: dict[str, str] = {}
        self._broken: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.authority = Authority()
        self.sources: dict[str, Source] = {}
        self._certified: dict[str, tuple[str, dict[str, Any]]] = {}
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="stream")

    def connect(self, pods: Iterable[str], places: Mapping[str, str] | None = None) -> None:
        """Open streams and wait until each pod's listening process answers.

        Args:
            pods: Their ids.
            places: What probes call the source that some of them stand for, such as `node:a`, by id.

        Raises:
            ClusterError: A stream could not be opened, or a listener does not answer.
        """
        places = places or {}
        found = {places.get(pod, pod): pod for pod in pods}
        self._pods.update(found)
        self.join(
            {
                source: functools.partial(ExecPipe, self._api, pod, pod, self._agent)
                for source, pod in found.items()
            }
        )

    def join(self, dials: Mapping[str, Callable[[], Pipe]]) -> None:
        """Open streams to agents anywhere, by source; as `connect`."""

        def one(source: str) -> Stream:
            return Stream(source, self._nonce, dials[source])

        names = list(dials)
        for source, stream in zip(names, self._pool.map(one, names), strict=True):
            self._streams[source] = stream
            self._broken.pop(source, None)

    @property
    def broken(self) -> Mapping[str, str]:
        """Why sources cannot be reached any more."""
        return self._broken

    def has(self, source: str) -> bool:
        """Whether there is a stream to it, broken or not."""
        return source in self._streams

    def disconnect(self, pods: Iterable[str]) -> None:
        """Close streams of pods that go away."""
        for pod in pods:
            stream = self._streams.pop(pod, None)
            if stream is not None:
                stream.close()

    def close(self) -> None:
        """Close all streams."""
        list(self._pool.map(lambda stream: stream.close(), self._streams.values()))
        self._streams.clear()
        self._pool.shutdown()

    def number(self) -> int:
        """A number that no sweep of this world has had."""
        return next(self._numbers)

    def sweep(
        self, plan: Mapping[str, list[list[Any]]], number: int, timeout: float, attempts: int
    ) -> dict[int, list[Any]]:
        """Send every pod its probes at once; results by index, errors for pods that cannot be reached."""

        def one(pod: str) -> list[list[Any]]:
            def talk(stream: Stream) -> list[list[Any]]:
                stream.wallet = stream.wallet or Wallet(self.authority)
                keys = stream.wallet.lacking(plan[pod], self.sources.get(pod))
                if keys is not None:
                    stream.send(keys)
                stream.send({"op": "sweep", "id": number, "timeout": timeout, "attempts": attempts})
                stream.send({"op": "probes", "id": number, "probes": plan[pod], "last": True})
                results: list[list[Any]] = []
                while True:
                    answer = stream.receive(timeout + MARGIN)
                    if answer.get("id") != number:
                        continue
                    results += answer["results"]
                    if answer["done"]:
                        return results

            try:
                return self._talk(pod, talk)
            except StreamError as trouble:
                return [
                    [spec[0], "error", str(trouble), "", False, "", "", 0, 0.0, "", "", []]
                    for spec in plan[pod]
                ]

        pods = [pod for pod, specs in plan.items() if specs]
        return {result[0]: result for results in self._pool.map(one, pods) for result in results}

    def receipts(self, pods: Iterable[str], number: int) -> Arrived:
        """What arrived of a sweep, as far as each pod can tell."""
        fates: dict[str, str] = {}

        def one(pod: str) -> tuple[list[list[int]], str, bool]:
            def talk(stream: Stream) -> tuple[list[list[int]], str, bool]:
                stream.send({"op": "receipts", "id": number})
                while True:
                    answer = stream.receive(MARGIN)
                    if answer["op"] != "receipts":
                        continue
                    restarted, lost = answer["life"] != stream.life, answer["lost"] != stream.lost
                    stream.life, stream.lost = answer["life"], answer["lost"]
                    fates.update(answer.get("fates", {}))
                    return answer["counts"], self._with_fate(pod, RESTARTED) if restarted else "", lost

            try:
                return self._talk(pod, talk)
            except StreamError as trouble:
                return [], str(trouble), False

        names = list(pods)
        found = Arrived({}, {}, set(), fates)
        for pod, (counts, why, lost) in zip(names, self._pool.map(one, names), strict=True):
            if why:
                found.silent[pod] = why
            if lost:
                found.overflowed.add(pod)
            for index, count in counts:
                found.counts[index] = found.counts.get(index, 0) + count
        return found

    def certify(self, guards: Mapping[str, dict[str, Any]]) -> None:
        """Give listening processes their certificates that have none, or were started anew since.

        Those of others are asked for again each time.

        One that cannot be reached has none: then its listener proves nothing, and its probes are errors.

        Args:
            guards: What they guard their ports with, by source.
        """

        def one(pod: str) -> None:
            def talk(stream: Stream) -> str:
                stream.send({"op": "certify", "guard": guards[pod]})
                while True:
                    answer = stream.receive(MARGIN)
                    if answer["op"] == "certified":
                        return str(answer["life"])

            with contextlib.suppress(StreamError):
                self._certified[pod] = (self._talk(pod, talk), guards[pod])

        lacking = [
            pod
            for pod in guards
            if pod in self._streams
            and (pod in self.sources or self._certified.get(pod) != (self._streams[pod].life, guards[pod]))
        ]
        list(self._pool.map(one, lacking))

    def svids(self, sources: Mapping[str, Source]) -> dict[str, Answer]:
        """Ask pods for the bundles of the certificates that others issue to them.

        Args:
            sources: Who issues them, by pod; they are known from now on.
        """
        self.sources = dict(sources)

        def one(pod: str) -> Answer:
            def talk(stream: Stream) -> Answer:
                stream.send({"op": "svid", "source": sources[pod]})
                while True:
                    answer = stream.receive(MARGIN)
                    if answer["op"] == "svid":
                        return answer["bundle"], answer["why"]

            try:
                return self._talk(pod, talk)
            except StreamError as trouble:
                return "", str(trouble)

        names = list(sources)
        return dict(zip(names, self._pool.map(one, names), strict=True))

    def ask(self, pod: str, talk: Callable[[Stream], _Answer]) -> _Answer:
        """Speak with one pod's agent.

        Raises:
            StreamError: It cannot be reached.
        """
        return self._talk(pod, talk)

    def _talk(self, pod: str, talk: Callable[[Stream], _Answer]) -> _Answer:
        """Speak with a pod; when its stream breaks, once more over a new one."""
        if pod in self._broken:
            raise StreamError(self._broken[pod])
        stream = self._streams.get(pod)
        if stream is None:
            raise StreamError(f"there is no stream to {pod}")
        try:
            return talk(stream)
        except StreamError as first:
            trouble = first
            if stream.reconnect():
                try:
                    return talk(stream)
                except StreamError as again:
                    trouble = again
            self._broken[pod] = self._with_fate(pod, str(trouble))
            raise StreamError(self._broken[pod]) from None

    def _with_fate(self, source: str, text: str) -> str:
        """A reason, with what the API server knows of the pod."""
        known = fate(self._api, self._pods[source]) if source in self._pods else ""
        return f"{text}; {known}" if known else text


__all__ = ["ClusterError", "Fleet"]
