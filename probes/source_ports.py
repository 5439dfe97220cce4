"""Source ports of datagram probes: each in turn, none again while a connection table may remember it."""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from typing import Callable, Deque

FIRST_PORT = 10000
PORTS = 54000
"""Range of the source ports of datagram probes."""

REST = 185.0
"""Seconds before a port is taken again. The kernel forgets a UDP flow that was answered 120 s after its last
packet (180 s before Linux 5.0, `nf_conntrack_udp_timeout_stream`), and a probe on a port that it still knows
is an established flow: it passes whatever the policies say now (semantics.md 3.1 no. 17)."""


class NoPortError(Exception):
    """Every port was used a moment ago. Taking one all the same could make a denial look like a pass."""


class SourcePorts:
    """The ports of one source, which nothing else in its network namespace shares.

    Args:
        first: The first port.
        count: How many there are.
        begin: Where in the range to begin, counted from `first`.
        clock: Seconds, for tests.
    """

    def __init__(
        self, first: int, count: int, begin: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first
        self._count = count
        self._next = begin % count
        self._clock = clock
        # Ports are taken in turn, so those that rest are always the last ones before the next.
        self._resting: Deque[float] = deque()

    def bind(self, sock: socket.socket) -> int:
        """Bind a datagram socket to the port that was not used for longest.

        Raises:
            NoPortError: None is free that has rested long enough.
            OSError: The socket cannot be bound at all.
        """
        now = self._clock()
        while self._resting and now - self._resting[0] > REST:
            self._resting.popleft()
        while len(self._resting) < self._count:
            port = self._first + self._next
            self._next = (self._next + 1) % self._count
            self._resting.append(now)
            try:
                sock.bind(("", port))
            except OSError as trouble:
                if trouble.errno != errno.EADDRINUSE:
                    raise
                continue
            return port
        raise NoPortError(
            f"all {self._count} source ports were used within the last {REST:.0f} s, and one used again "
            "would pass as an old flow; spread the UDP and DNS cells over more source pods or scenarios"
        )


def share(owner: int, stream: int) -> tuple[int, int]:
    """The ports of one agent: first and count. Node ports (30000 to 32767) are nobody's.

    Args:
        owner: Which of the pods in the same network namespace: 0, or more on a node's own network.
        stream: 0 for the pod's first exec stream, 1 for the one that follows when that broke. Which ports
            the first one used is not known then, so the second one has others.
    """
    if owner == 0:
        return (33000, 31000) if stream == 0 else (10000, 6000)
    first = 16000 + 2000 * (owner - 1)
    return (first, 1500) if stream == 0 else (first + 1500, 500)


OWNERS = 8
"""Pods that may share a network namespace."""


def begin_by_clock(count: int) -> int:
    """Where in a range of `count` ports to begin, by the time of day: once around in `REST` seconds.

    A pod may get the address that another had a minute ago; so it begins where that one hardly was.
    """
    return int(time.time() * count / REST) % count
