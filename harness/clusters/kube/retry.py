"""API hiccups: retried for a while, then an error; never a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from harness.clusters.kube import api

RETRY_SECONDS = 20.0
"""How long an API server may be away before the scenario is an error."""

_Answer = TypeVar("_Answer")
_PASSING = frozenset({0, 429, 500, 502, 503, 504})


def passes(trouble: BaseException) -> bool:
    """Whether it may be better in a moment: no answer, too many requests, the server's own trouble."""
    return isinstance(trouble, api.ApiError) and trouble.status in _PASSING


def with_retries(call: Callable[[], _Answer], seconds: float = RETRY_SECONDS) -> _Answer:
    """Call until it works or `seconds` have passed.

    Raises:
        ApiError: The last trouble.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

    for attempt in Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity ends with an answer or an exception")
