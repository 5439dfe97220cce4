"""All streams of a world, spoken to side by side."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from harness.clusters.kube.api import Api
from harness.clusters.kube.streams import ExecPipe, Pipe, Stream, StreamError
from harness.engine.cluster import ClusterError

WIDTH = 64
"""Streams that are spoken to at the same time."""

MARGIN = 20.0
"""Seconds beyond a probe's timeout before a silent agent counts as broken."""

LISTEN_SECONDS = 20.0

_Answer = TypeVar("_Answer")


class Fleet:
    """Streams by what a probe calls its source: `ns/pod`, `node:a`, `external:name`.

    One whose stream broke twice stays broken; its probes are errors.
    """

    def __init__(self, api: Api, nonce: str) -> None:
        self._api = api
        self._nonce = nonce
        self._streams: dict[str, Stream] = {}
        self._broken: dict[str, str] = {}
        self._numbers = itertools.count(1)
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
        self.join({places.get(pod, pod): functools.partial(ExecPipe, self._api, pod, pod) for pod in pods})

    def join(self, dials: Mapping[str, Callable[[], Pipe]]) -> None:
        """Open streams to agents anywhere, by source; as `connect`."""

        def one(source: str) -> Stream:
            stream = Stream(source, self._nonce, dials[source])
            stream.send({"op": "await", "seconds": LISTEN_SECONDS})
            stream.receive(LISTEN_SECONDS + MARGIN)
            return stream

        names = list(dials)
        for source, stream in zip(names, self._pool.map(one, names), strict=True):
            self._streams[source] = stream
            self._broken.pop(source, None)

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
                    [spec[0], "error", str(trouble), "", False, "", "", 0, 0.0, "", ""] for spec in plan[pod]
                ]

        pods = [pod for pod, specs in plan.items() if specs]
        return {result[0]: result for results in self._pool.map(one, pods) for result in results}

    def receipts(self, pods: Iterable[str], number: int) -> tuple[dict[int, int], set[str]]:
        """Arrivals of a sweep by index; and the pods whose receipts could not be had."""

        def one(pod: str) -> list[list[int]] | None:
            def talk(stream: Stream) -> list[list[int]]:
                stream.send({"op": "receipts", "id": number})
                while True:
                    answer = stream.receive(MARGIN)
                    if answer["op"] == "receipts":
                        counts: list[list[int]] = answer["counts"]
                        return counts

            try:
                return self._talk(pod, talk)
            except StreamError:
                return None

        names = list(pods)
        found: dict[int, int] = {}
        silent: set[str] = set()
        for pod, counts in zip(names, self._pool.map(one, names), strict=True):
            if counts is None:
                silent.add(pod)
                continue
            for index, count in counts:
                found[index] = found.get(index, 0) + count
        return found, silent

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
        except StreamError:
            if stream.reconnect():
                try:
                    return talk(stream)
                except StreamError as again:
                    trouble = again
            self._broken[pod] = str(trouble)
            raise trouble from None


__all__ = ["ClusterError", "Fleet"]
