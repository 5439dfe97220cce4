"""`make bench`: HTTP requests through the lab's proxy, per second, and connections that it serves at once.

Real packets: a client in a pod on one node, a server in a pod on another, the proxy on the server's node.
Client and server are as small as Python allows, and each runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socket
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from harness.clusters.lab import kernel, world
from harness.clusters.lab.cluster import LabCluster
from harness.clusters.lab.world import LabWorld
from harness.model.application import HttpRule, HttpRules
from harness.model.rules import (
    NETWORK_POLICY_TIER,
    Action,
    Direction,
    Match,
    Origin,
    PolicyBlock,
    Ports,
    Rule,
    Stage,
)
from harness.model.topology import Protocol
from harness.scenario import load

SCENARIO = """
scenario: bench-proxy
namespaces: {n: {}}
pods:
  n/web: {listen: [80], node: a}
  n/cli: {node: b}
expect: [{from: n/cli, to: "n/web:80", verdict: allow}]
"""
PORT = 81
GOOD = b"GET /public/a?x=1 HTTP/1.1\r\nHost: web\r\nAccept: */*\r\n\r\n"
BAD = GOOD.replace(b"/public", b"/secret")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def enter(keeper: int, number: int) -> None:
    """Enter a namespace of the lab."""
    kernel.setns(os.open(f"/proc/{keeper}/fd/{number}", os.O_RDONLY))


def serve(keeper: int, number: int, address: str, ready: Connection) -> None:
    """Answer every request; any packet ends with the end of a request here."""
    enter(keeper, number)
    listener = socket.create_server((address, PORT), backlog=4096)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    ready.send("ready")
    while True:
        for fileno, _ in epoll.poll():
            if fileno == listener.fileno():
                sock, _ = listener.accept()
                clients[sock.fileno()] = sock
                epoll.register(sock.fileno(), select.EPOLLIN)
                continue
            try:
                asked = clients[fileno].recv(4096)
                if asked:
                    clients[fileno].send(ANSWER)
            except ConnectionResetError:
                asked = b""
            if not asked:
                clients.pop(fileno).close()


class Client:
    """One connection and what has come of an answer."""

    def __init__(self, address: str) -> None:
        self.sock = socket.create_connection((address, PORT), timeout=10)
        self.answers = 0
        self._data = b""
        self.sock.send(GOOD)

    def read(self) -> bytes:
        """Status of an answer that is whole, after which the next request is sent; else nothing."""
        more = self.sock.recv(4096)
        if not more:
            raise ConnectionError(f"closed after {self.answers} answers and {self._data!r}")
        self._data += more
        if not self._data.endswith((b"\r\n\r\nok", b"denied\r\n")):
            return b""
        status, self._data = self._data[9:12], b""
        self.answers += 1
        self.sock.send(BAD if self.answers % 2 else GOOD)
        return status


def load_with(
    keeper: int, number: int, address: str, connections: int, seconds: float, result: Connection
) -> None:
    """Keep every connection busy with requests of which every other is denied."""
    enter(keeper, number)
    epoll = select.epoll()
    clients: dict[int, Client] = {}
    began = time.perf_counter()
    for _ in range(connections):
        client = Client(address)
        clients[client.sock.fileno()] = client
        epoll.register(client.sock.fileno(), select.EPOLLIN)
    opened = time.perf_counter() - began
    answers = {b"200": 0, b"403": 0, b"": 0}
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for fileno, _ in epoll.poll(1):
            answers[clients[fileno].read()] += 1
    spent = time.perf_counter() - began
    judged = answers[b"200"] + answers[b"403"]
    served = sum(client.answers > 1 for client in clients.values())
    result.send((opened, judged / spent, answers[b"403"] / judged, served))


def enforce(built: LabWorld) -> None:
    """An HTTP rule for the server, among others that do not match."""
    paths = [f"/other/{number}/.*" for number in range(9)] + ["/public/.*"]
    rules = HttpRules(tuple(HttpRule(path=path, method="GET|HEAD") for path in paths))
    ports = (Ports(Protocol.TCP, PORT, PORT),)
    origin = Origin("bench n/web", "ingress[0]")
    rule = Rule(Action.ALLOW, (Match(ports=ports),), origin, application=rules)
    block = PolicyBlock(frozenset({"n/web"}), (rule,), origin)
    world.compile_all = lambda policies, topology: (Stage(NETWORK_POLICY_TIER, Direction.INGRESS, (block,)),)
    built.apply(())


def main() -> int:
    """Measure with a few connections and with a thousand."""
    if os.geteuid():
        print("only root may enter the namespaces of a lab from outside", file=sys.stderr)
        return 1
    spawn = multiprocessing.get_context("spawn")
    cluster = LabCluster()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(SCENARIO)
        (scenario,) = load([file]).scenarios
        built = cluster.open(scenario, "bench", print)
    enforce(built)
    address = built._addressing.pod("n/web")[0]
    places = built.detach()
    keeper = built.pid
    mine, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(keeper, places["n/web"], address, theirs), daemon=True)
    server.start()
    mine.recv()
    try:
        print(f"{'connections':>12} {'opened in':>10} {'requests/s':>11} {'denied':>7} {'served':>7}")
        for connections in (1, 8, 100, 1000):
            arguments = (keeper, places["n/cli"], address, connections, 4.0, theirs)
            client = spawn.Process(target=load_with, args=arguments, daemon=True)
            client.start()
            if not mine.poll(60):
                print("the client gave up", file=sys.stderr)
                return 1
            opened, rate, denied, served = mine.recv()
            client.join()
            print(f"{connections:12} {opened:9.2f}s {rate:11.0f} {denied:7.0%} {served:7}")
    finally:
        server.terminate()
        os.kill(keeper, signal.SIGKILL)
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
