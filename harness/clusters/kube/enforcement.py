"""Whether a cluster enforces policies at all: what its worlds have seen, so that not each waits in full."""

from __future__ import annotations

import threading

CHANGES = 2
"""Changes that must have been waited for in full without any effect: one alone may have met a bad moment."""

KNOWN_SECONDS = 4.0
"""How long a canary is watched all the same where nothing seems to be enforced."""


class Enforcement:
    """Of one cluster; used from any thread.

    Once any canary of any world has flipped, policies are enforced here, and a canary that does not flip is
    trouble. The opposite is never taken for granted: canaries are watched for a while in every world, and one
    that flips refutes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = False
        self._without = 0

    @property
    def seen(self) -> bool:
        """Whether a policy was seen to have an effect."""
        return self._seen

    def flipped(self) -> None:
        """A canary policy had an effect."""
        self._seen = True

    def nothing(self) -> None:
        """A world waited for its canaries, and none showed any effect."""
        with self._lock:
            self._without += 1

    def patience(self, full: float) -> float:
        """Seconds that a world shall wait for its first flip, `full` unless others have waited in vain."""
        with self._lock:
            return full if self._seen or self._without < CHANGES else min(full, KNOWN_SECONDS)
