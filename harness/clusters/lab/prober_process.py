"""A process of a lab that sends probes; a lab has as many as the machine has cores to spare."""

from __future__ import annotations

import select

from harness.clusters.lab.places import Places
from probes.client import Prober, raise_open_files
from probes.desk import Desk
from probes.source_ports import FIRST_PORT, PORTS
from probes.wire import Channel

CHUNK = 2000
"""Results per line; small enough that the master reads while the next ones come in."""


class ProberProcess:
    """Reads plans from the master and namespaces from the keeper; see probes/PROTOCOL.md."""

    def __init__(self, master: Channel, keeper: Channel, number: int, of: int) -> None:
        self._places = Places()
        self._master = master
        self._keeper = keeper
        self._waiting = False
        # Probers share the sources but never a source port, so that no two use the same connection entry.
        share = PORTS // of
        self._prober = Prober(self._places.enter, raise_open_files(), FIRST_PORT + number * share, share)
        self._desk = Desk(self._prober, master.send, CHUNK)
        self._prober.add(master.fileno(), self)
        self._prober.add(keeper.fileno(), self)

    def run(self) -> None:
        """Serve until the master or the keeper goes away."""
        while not (self._master.closed or self._keeper.closed):
            self._prober.turn()
            self._desk.report()
            if self._master.backlog is not self._waiting:
                self._waiting = self._master.backlog
                events = select.EPOLLIN | (select.EPOLLOUT if self._waiting else 0)
                self._prober.listen_for(self._master.fileno(), events)

    def ready(self, prober: Prober, events: int) -> None:
        """Hear the keeper first: what the master asks for may need a namespace that the keeper sent before.

        It has arrived once the master's request has; so the master is read before the keeper.
        """
        self._master.flush()
        requests = self._master.receive()
        for message in self._keeper.receive():
            self._places.learn(message, self._keeper)
            self._prober.forget_place()
        for message in requests:
            self._desk.command(message)
