"""The agent of a pod: `serve` is its first process and listens; `probe` runs in an exec stream and sends.

Both need nothing but the standard library of any Python from 3.9 on. A prober asks the listening process of
own pod for receipts over an abstract socket, which lives in the network namespace and needs no file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from probes import ways, wire
from probes.client import Prober, raise_open_files
from probes.desk import Desk
from probes.server import Server
from probes.source_ports import OWNERS, begin_by_clock, share
from probes.svid import SvidError, obtain
from probes.version import digest

OLDEST = (3, 9)
"""The oldest Python that this runs on."""

CHUNK = 500
"""Results per line."""


def control_name(identity: str) -> str:
    """Abstract address of the listening process; hostNetwork pods of one node share a namespace."""
    return f"\0netcheck:{identity}"


def claim() -> tuple[int, socket.socket]:
    """Which of the pods in this network namespace this one is; the claim stands while the socket is open.

    Raises:
        OSError: There are too many.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for owner in range(OWNERS):
        with contextlib.suppress(OSError):
            sock.bind(f"\0netcheck-ports:{owner}")
            return owner, sock
    sock.close()
    raise OSError(errno.EADDRINUSE, f"more than {OWNERS} pods share this network namespace")


class Serve:
    """The listening process: opens the pod's ports and answers for receipts."""

    def __init__(self, identity: str, ports: list[tuple[int, str]]) -> None:
        self._epoll = select.epoll()
        self._server = Server(self._epoll)
        self._channels: dict[int, wire.Channel] = {}
        self._life = os.urandom(8).hex()
        self._identity = identity
        self._owner, self._claim = claim()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(control_name(identity))
        self._door.listen(16)
        self._door.setblocking(False)
        self._epoll.register(self._door.fileno(), select.EPOLLIN)
        for address in ("0.0.0.0", "::"):
            if address == "::" and not socket.has_ipv6:
                continue
            try:
                self._server.listen(identity, [address], ports)
            except OSError:
                # Without IPv6 in the pod there is nothing to listen on; IPv4 must work.
                if address == "0.0.0.0":
                    raise

    def run(self) -> None:
        """Serve until the pod ends."""
        while True:
            for fileno, events in self._epoll.poll(-1, 1024):
                if self._server.owns(fileno):
                    self._server.ready(fileno, events)
                elif fileno == self._door.fileno():
                    with contextlib.suppress(OSError):
                        sock, _ = self._door.accept()
                        channel = wire.Channel(sock)
                        self._channels[channel.fileno()] = channel
                        self._epoll.register(
                            channel.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
                        )
                else:
                    self._talk(fileno)

    def _talk(self, fileno: int) -> None:
        channel = self._channels[fileno]
        channel.flush()
        for message in channel.receive():
            if message["op"] == "certify":
                channel.send(self._certify(message["guard"]))
                continue
            counts = self._server.receipts.take(message["id"])
            channel.send(
                {
                    "op": "receipts",
                    "id": message["id"],
                    "counts": list(counts.items()),
                    "life": self._life,
                    "owner": self._owner,
                    "lost": self._server.lost(),
                    "fates": self._server.fates(),
                }
            )
        if channel.closed:
            self._epoll.unregister(fileno)
            del self._channels[fileno]
            channel.sock.close()

    def _certify(self, guard: dict[str, Any]) -> dict[str, Any]:
        """Take the certificate of the pod's ports; it stays in this process."""
        try:
            self._server.certify(self._identity, guard)
        except (ImportError, OSError, ValueError) as trouble:
            return {"op": "failed", "why": f"its ports cannot have a certificate: {trouble}"}
        return {"op": "certified", "life": self._life}


class Pipes:
    """JSON lines over standard input and output, with the manners of `wire.Channel`."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.closed = False
        self._sink = sink
        self._in = wire.Lines()
        os.set_blocking(source, False)

    def receive(self) -> list[dict[str, Any]]:
        """All lines that have arrived."""
        while True:
            try:
                data = os.read(self.source, 1 << 18)
            except BlockingIOError:
                break
            if not data:
                self.closed = True
                break
            self._in.feed(data)
        return self._in.take()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; waits while the other side reads."""
        data = wire.encode(message)
        while data:
            try:
                data = data[os.write(self._sink, data) :]
            except BlockingIOError:
                select.select([], [self._sink], [])


class Probe:
    """The sending process of an exec stream; see PROTOCOL.md."""

    def __init__(self, identity: str, pipes: Pipes) -> None:
        self._identity = identity
        self._pipes = pipes
        self._stream = 0
        self._prober = Prober(lambda source: None, raise_open_files())
        self._prober.add(pipes.source, self)
        self._desk = Desk(self._prober, pipes.send, CHUNK)

    def run(self) -> None:
        """Serve until the stream ends."""
        python = sys.version.split()[0]
        self._pipes.send({"op": "ready", "identity": self._identity, "agent": digest(), "python": python})
        while not self._pipes.closed:
            self._prober.turn()
            self._desk.report()

    def ready(self, prober: Prober, events: int) -> None:
        """Carry out what came in."""
        for message in self._pipes.receive():
            if message["op"] in ("receipts", "certify"):
                self._pipes.send(self._receipts(message))
            elif message["op"] == "await":
                self._pipes.send(self._await(float(message["seconds"])))
            elif message["op"] == "svid":
                self._pipes.send(_look_for(message["source"]))
            elif message["op"] == "ways":
                self._pipes.send(_learn(message["ways"]))
            else:
                if message["op"] == "hello":
                    self._stream = int(message.get("stream", 0))
                self._desk.command(message)

    def _await(self, seconds: float) -> dict[str, Any]:
        """Wait until the listening process answers, which it does once its ports are open."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self._receipts({"op": "receipts", "id": 0})
            if answer["op"] == "receipts":
                first, count = share(answer["owner"], self._stream)
                self._prober.use_ports(first, count, begin_by_clock(count))
                return {"op": "listening", "life": answer["life"], "lost": answer["lost"]}
            if time.monotonic() > deadline:
                return answer
            select.select([], [], [], 0.02)

    def _receipts(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(5.0)
                sock.connect(control_name(self._identity))
                sock.sendall(json.dumps(message).encode() + b"\n")
                with sock.makefile("rb") as lines:
                    answer: dict[str, Any] = json.loads(lines.readline())
        except (OSError, ValueError) as trouble:
            return {"op": "failed", "why": f"the listening process does not answer: {trouble}"}
        return answer


def _look_for(source: dict[str, Any]) -> dict[str, Any]:
    """Whether others issue this pod its certificate, and what it is verified with; the key stays here."""
    try:
        return {"op": "svid", "bundle": obtain(source).bundle, "why": ""}
    except SvidError as trouble:
        return {"op": "svid", "bundle": "", "why": str(trouble)}


def _learn(found: list[list[str]]) -> dict[str, Any]:
    try:
        ways.add_ways(found)
    except OSError as trouble:
        return {"op": "failed", "why": str(trouble.strerror or trouble)}
    return {"op": "ways"}


def main(arguments: list[str]) -> int:
    """`serve IDENTITY PORTS [ADDRESSES]`, `probe IDENTITY` or `digest`.

    PORTS is JSON, such as `[[8080, "TCP"]]`; so is ADDRESSES, a list of what an external is given first.
    """
    if sys.version_info < OLDEST:
        sys.exit(f"the agent needs python3 from 3.9 on, this is {sys.version.split()[0]}")
    if arguments == ["digest"]:
        sys.stdout.write(f"{digest()}\n")
        return 0
    role, identity, *rest = arguments
    if role == "serve":
        # As the first process of a pod it must see to its own end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        raise_open_files()
        try:
            for address in json.loads(rest[1]) if len(rest) > 1 else ():
                ways.add_address(address)
            serve = Serve(identity, [(int(port), str(protocol)) for port, protocol in json.loads(rest[0])])
        except OSError as trouble:
            # One line: it becomes the container's termination message, and so a user's.
            sys.stderr.write(f"{trouble.strerror or trouble}\n")
            return 1
        serve.run()
        return 0
    Probe(identity, Pipes(sys.stdin.fileno(), sys.stdout.fileno())).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
