"""The process of a lab in which all pods listen, the cluster's DNS included."""

from __future__ import annotations

import select
from typing import Any

from harness.clusters.lab.arrivals import Arrivals, Questions, overflows
from harness.clusters.lab.dns import Zone
from harness.clusters.lab.places import Places
from probes.client import raise_open_files
from probes.server import Server, listeners_from
from probes.wire import Channel


class ListenerProcess:
    """Reads what to listen on from the master and namespaces from the keeper; see probes/PROTOCOL.md."""

    def __init__(self, master: Channel, keeper: Channel) -> None:
        raise_open_files()
        self._places = Places()
        self._master = master
        self._keeper = keeper
        self._epoll = select.epoll()
        self._server = Server(self._epoll)
        self._server.receipts = self._arrivals = Arrivals()
        self._questions = Questions()
        self._zone = Zone()
        self._waiting = False
        for channel in (master, keeper):
            self._epoll.register(channel.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Serve until the master or the keeper goes away."""
        while not (self._master.closed or self._keeper.closed):
            control = False
            for fileno, events in self._epoll.poll(-1, 1024):
                if self._server.owns(fileno):
                    self._server.ready(fileno, events)
                else:
                    control = True
            if control:
                self._master.flush()
                # What the master asks for may need a namespace that the keeper sent before the master asked:
                # it has arrived once the request has, so the keeper is read after the master and heard first.
                requests = self._master.receive()
                for message in self._keeper.receive():
                    self._places.learn(message, self._keeper)
                for message in requests:
                    self._command(message)
            if self._master.backlog is not self._waiting:
                self._waiting = self._master.backlog
                self._epoll.modify(
                    self._master.fileno(), select.EPOLLIN | (select.EPOLLOUT if self._waiting else 0)
                )

    def _command(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "listen":
                self._master.send({"op": "listening", "failures": self._listen(message["listeners"])})
            case "close":
                for identity in message["identities"]:
                    self._server.close(identity)
                self._master.send({"op": "closed"})
            case "certify":
                for identity, guard in message["guards"].items():
                    self._server.certify(identity, guard)
                self._master.send({"op": "certified"})
            case "zone":
                self._zone = Zone.from_wire(message["zone"])
                self._master.send({"op": "zone"})
            case "receipts":
                self._catch_up()
                counts = self._arrivals.take(message["id"])
                self._master.send(
                    {
                        "op": "receipts",
                        "id": message["id"],
                        "counts": list(counts.items()),
                        "questions": self._questions.take(),
                        "fates": self._server.fates(),
                        "attempts": self._arrivals.attempts(message["id"]),
                    }
                )
            case "follow":
                self._arrivals.follow(message["id"])
                self._master.send({"op": "follow"})
            case "overflows":
                found = overflows(self._places, message["places"])
                self._master.send({"op": "overflows", "counts": found})
            case other:
                self._master.send({"op": "failed", "why": f"unknown request {other!r}"})

    def _catch_up(self) -> None:
        """Read everything that has arrived: what waits in a socket has a receipt too."""
        busy = True
        while busy:
            busy = False
            for fileno, events in self._epoll.poll(0, 1024):
                if self._server.owns(fileno):
                    busy = True
                    self._server.ready(fileno, events)

    def _listen(self, listeners: list[dict[str, Any]]) -> list[list[str]]:
        failures = []
        for item in listeners:
            answer = self._answer if item.get("dns") else None
            try:
                self._places.enter(item["place"])
                self._server.listen(item["identity"], item["addresses"], listeners_from(item), answer)
            except (KeyError, OSError) as trouble:
                why = trouble.strerror if isinstance(trouble, OSError) and trouble.strerror else str(trouble)
                failures.append([item["identity"], why])
        return failures

    def _answer(self, message: bytes, peer: str, tcp: bool) -> bytes | None:
        self._questions.note(message, peer, tcp)
        return self._zone.answer(message, peer, tcp)
