"""Where a prober takes its orders: the requests of PROTOCOL.md come in, results go out.

A lab's prober process and the agent of a pod sit behind the same desk; they differ in how lines reach them.
"""

from __future__ import annotations

import time
from typing import Any, Callable

from probes.client import Prober, Sweep
from probes.flows import Flow


class Desk:
    """Sweeps and flows by number.

    Args:
        prober: Sends the probes.
        send: Takes the answers, one message each.
        chunk: Results per message; small enough that the master reads while the next ones come in.
    """

    def __init__(self, prober: Prober, send: Callable[[dict[str, Any]], None], chunk: int) -> None:
        self._prober = prober
        self._send = send
        self._chunk = chunk
        self._nonce = ""
        self._sweeps: dict[int, Sweep] = {}
        self._flows: dict[int, Flow] = {}

    def command(self, message: dict[str, Any]) -> None:
        """Carry out one request; one that is not known is answered by `failed`."""
        name = message["op"]
        if name == "hello":
            self._nonce = message["nonce"]
        elif name == "keys":
            self._learn(message)
        elif name == "sweep":
            sweep = Sweep(self._nonce, message["id"], message["timeout"], message["attempts"])
            self._sweeps[sweep.number] = sweep
        elif name == "probes":
            sweep = self._sweeps[message["id"]]
            self._prober.submit(sweep.flights(message["probes"]))
            sweep.whole = bool(message["last"])
        elif name == "flow":
            flow = Flow(self._nonce, message["id"], message["interval"], message["timeout"])
            self._flows[flow.number] = flow
            flow.begin(self._prober, message["probes"], message["established"])
        elif name == "unflow":
            self._flows[message["id"]].stop(self._prober)
        else:
            self._send({"op": "failed", "why": f"unknown request {name!r}"})

    def _learn(self, message: dict[str, Any]) -> None:
        """Certificates of clients; they stay in this process."""
        try:
            from probes.tls import Keys
        except ImportError as trouble:
            self._send({"op": "failed", "why": f"this python cannot speak TLS: {trouble}"})
            return
        if self._prober.keys is None:
            self._prober.keys = Keys()
        self._prober.keys.learn(message)

    def report(self) -> None:
        """Send what there is to tell; after every turn of the prober."""
        for sweep in list(self._sweeps.values()):
            done = sweep.whole and sweep.left == 0
            if not done and len(sweep.results) < self._chunk:
                continue
            if done:
                del self._sweeps[sweep.number]
            self._send({"op": "results", "id": sweep.number, "results": sweep.take(), "done": done})
        for flow in list(self._flows.values()):
            if flow.alive and not flow.announced and flow.ready:
                flow.announced = True
                # On the same machine a moment tells more than a time span, which ages on its way.
                elapsed = time.monotonic() - flow.began
                self._send({"op": "flowing", "id": flow.number, "began": flow.began, "elapsed": elapsed})
            if flow.finished:
                del self._flows[flow.number]
                held = [[item.index, bool(item.before), item.after] for item in flow.held]
                self._send({"op": "flowed", "id": flow.number, "samples": flow.samples, "established": held})
