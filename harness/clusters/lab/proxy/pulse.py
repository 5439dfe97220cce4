"""How long the proxy stood still: whoever waited for it meanwhile may have given up, which is no denial."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

BEAT = 0.05
"""Seconds between two beats."""

_WORTH_TELLING = 0.1
_MOST = 1000

Later = Callable[[float, Callable[[], None]], None]


class Pulse:
    """Beats as long as the loop turns; a beat that comes late says how long it did not.

    Args:
        later: Calls a function in some seconds.
        clock: Seconds since the start of the machine, the same for all processes.
    """

    def __init__(self, later: Later, clock: Callable[[], float] = time.monotonic) -> None:
        self._later = later
        self._clock = clock
        self._due: float | None = None
        self._stops: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def begin(self) -> None:
        """Beat from now on; once is enough."""
        if self._due is None:
            self._next()

    def longest(self, since: float) -> float:
        """Seconds of the longest stop that was not over at `since`."""
        self._look()
        return max((seconds for end, seconds in self._stops if end > since), default=0.0)

    def _look(self) -> None:
        if self._due is not None and (late := self._clock() - self._due) > _WORTH_TELLING:
            self._stops.append((self._clock(), late))

    def _next(self) -> None:
        self._due = self._clock() + BEAT
        self._later(BEAT, self._beat)

    def _beat(self) -> None:
        self._look()
        self._next()
