"""Waits that follow a list and its watch."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.retry import passes
from harness.engine.cluster import ClusterError

END_SECONDS = 120.0
"""How long deleted objects may take to go."""

_WATCH_SECONDS = 30.0

PAUSE = 0.2
"""Seconds between a watch that broke and the next list."""

Json = dict[str, Any]


def follow(
    api: Api,
    path: str,
    deadline: float,
    look: Callable[[Json], None],
    done: Callable[[], bool],
    query: Mapping[str, str] | None = None,
) -> None:
    """Look at every object of a collection now and at each change, until it is enough or the time is over.

    Args:
        api: The API server.
        path: Of the collection.
        deadline: On the monotonic clock.
        look: Gets every object that is there or changes; not those that went.
        done: Whether it is enough.
        query: What else the requests carry, such as a label selector.
    """
    query = query or {}
    while not done() and time.monotonic() < deadline:
        listed = api.get(path, **query)
        for item in listed["items"]:
            look(item)
        if done():
            return
        version = listed["metadata"]["resourceVersion"]
        try:
            seconds = min(_WATCH_SECONDS, deadline - time.monotonic())
            for event in api.watch(path, version, seconds, **query):
                if event["type"] != "DELETED":
                    look(event["object"])
                if done():
                    return
        except ApiError as trouble:
            _go_on(trouble)


def _go_on(trouble: ApiError) -> None:
    """After a watch broke: list again, unless there is no use in it.

    Raises:
        ApiError: The watch is refused for good.
    """
    # 410: the server has forgotten the version, and a new list has a new one.
    if trouble.status != 410 and not passes(trouble):
        raise trouble
    # A watch that is refused at once must not become a storm of requests.
    select.select([], [], [], PAUSE)


def await_list(
    api: Api, path: str, deadline: float, good: Callable[[list[Json]], bool], query: Mapping[str, str]
) -> bool:
    """List a collection, and again after each change, until it is good; whether it was by `deadline`."""
    while True:
        listed = api.get(path, **query)
        if good(listed["items"]):
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            for _ in api.watch(
                path, listed["metadata"]["resourceVersion"], min(_WATCH_SECONDS, left), **query
            ):
                break
        except ApiError as trouble:
            _go_on(trouble)


def await_gone(api: Api, path: str, names: Iterable[str]) -> None:
    """Wait until objects of a collection are gone.

    Raises:
        ClusterError: They are still there after `END_SECONDS`.
    """
    left = set(names)
    deadline = time.monotonic() + END_SECONDS
    while left and time.monotonic() < deadline:
        listed = api.get(path)
        left &= {item["metadata"]["name"] for item in listed["items"]}
        if not left:
            return
        version = listed["metadata"]["resourceVersion"]
        try:
            for event in api.watch(path, version, min(10.0, deadline - time.monotonic())):
                if event["type"] == "DELETED":
                    left.discard(event["object"]["metadata"]["name"])
                if not left:
                    return
        except ApiError as trouble:
            _go_on(trouble)
    if left:
        raise ClusterError(f"{', '.join(sorted(left))} did not go within {END_SECONDS:.0f} s")
