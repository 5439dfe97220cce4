"""A process of a lab that sends probes; a lab has as many as the machine has cores to spare."""

from __future__ import annotations

import select
from typing import Any

from harness.clusters.lab.places import Places
from probes.client import FIRST_PORT, PORTS, Prober, Sweep, raise_open_files
from probes.flows import Flow
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
        self._sweeps: dict[int, Sweep] = {}
        self._flows: dict[int, Flow] = {}
        self._nonce = ""
        self._prober.add(master.fileno(), self)
        self._prober.add(keeper.fileno(), self)

    def run(self) -> None:
        """Serve until the master or the keeper goes away."""
        while not (self._master.closed or self._keeper.closed):
            self._prober.turn()
            self._report()
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
            self._command(message)

    def _command(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "hello":
                self._nonce = message["nonce"]
            case "sweep":
                sweep = Sweep(self._nonce, message["id"], message["timeout"], message["attempts"])
                self._sweeps[sweep.number] = sweep
            case "probes":
                sweep = self._sweeps[message["id"]]
                self._prober.submit(sweep.flights(message["probes"]))
                sweep.whole = bool(message["last"])
            case "flow":
                flow = Flow(self._nonce, message["id"], message["interval"], message["timeout"])
                self._flows[flow.number] = flow
                flow.begin(self._prober, message["probes"], message["established"])
            case "unflow":
                self._flows[message["id"]].stop(self._prober)
            case other:
                self._master.send({"op": "failed", "why": f"unknown request {other!r}"})

    def _report(self) -> None:
        for sweep in list(self._sweeps.values()):
            done = sweep.whole and sweep.left == 0
            if not done and len(sweep.results) < CHUNK:
                continue
            if done:
                del self._sweeps[sweep.number]
            self._master.send({"op": "results", "id": sweep.number, "results": sweep.take(), "done": done})
        for flow in list(self._flows.values()):
            if flow.alive and not flow.announced and flow.ready:
                flow.announced = True
                # The master lives on the same machine: a moment tells it more than a time span that ages.
                self._master.send({"op": "flowing", "id": flow.number, "began": flow.began})
            if flow.finished:
                del self._flows[flow.number]
                held = [[item.index, bool(item.before), item.after] for item in flow.held]
                self._master.send(
                    {"op": "flowed", "id": flow.number, "samples": flow.samples, "established": held}
                )
