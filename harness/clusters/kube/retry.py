"""API hiccups: retried for a while, then an error; never a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.clusters.kube.errors import ApiError

RETRY_SECONDS = 60.0
"""How long an API server may be away before the scenario is an error; a restart takes half a minute."""

_Answer = TypeVar("_Answer")
_PASSING = frozenset({0, 429, 500, 502, 503, 504})


def passes(trouble: BaseException) -> bool:
    """Whether it may be better in a moment: no answer, too many requests, the server's own trouble."""
    return isinstance(trouble, ApiError) and trouble.status in _PASSING


def with_retries(call: Callable[[], _Answer], seconds: float = RETRY_SECONDS) -> _Answer:
    """Call until it works or `seconds` have passed.

    Raises:
        ApiError: The last trouble.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

    end = time.monotonic() + seconds
    usual = wait_random_exponential(multiplier=0.1, max=2.0)

    def wait(state: RetryCallState) -> float:
        trouble = state.outcome.exception() if state.outcome is not None else None
        asked = trouble.after if isinstance(trouble, ApiError) else 0.0
        return max(asked, usual(state))

    def stop(state: RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep > end

    for attempt in Retrying(retry=retry_if_exception(passes), stop=stop, wait=wait, reraise=True):
        with attempt:
            return call()
    raise AssertionError("tenacity ends with an answer or an exception")
