"""The floor: as many raw non-blocking connects between two namespaces as a sweep has probes."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

from harness.clusters.lab import kernel
from harness.clusters.lab.netlink import Netlink
from probes.client import raise_open_files

_NO_LINGER = struct.pack("ii", 1, 0)


def main(count: int) -> None:
    raise_open_files()
    kernel.leave_host()
    here = kernel.current_namespace()
    Netlink().up(1)
    there = kernel.new_namespace()
    far = Netlink()
    far.up(1)
    kernel.setns(here)
    near = Netlink()
    near.veth("v", 5, "02:00:00:00:00:01", "v", 5, "02:00:00:00:00:02", there)
    for side, address, other in ((near, "10.0.0.1", "10.0.0.2"), (far, "10.0.0.2", "10.0.0.1")):
        side.up(5)
        side.address(5, address)
        side.route(f"{other}/32", 5)
    near.neighbour(5, "10.0.0.2", "02:00:00:00:00:02")
    far.neighbour(5, "10.0.0.1", "02:00:00:00:00:01")
    kernel.setns(there)
    server = socket.create_server(("10.0.0.2", 80), backlog=65535)
    child = os.fork()
    if child == 0:
        while True:
            server.accept()[0].close()
    kernel.setns(here)
    epoll = select.epoll()
    waiting: dict[int, socket.socket] = {}
    started = done = 0
    began = time.perf_counter()
    while done < count:
        for _ in range(min(128, count - started)):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.connect_ex(("10.0.0.2", 80))
            waiting[sock.fileno()] = sock
            epoll.register(sock.fileno(), select.EPOLLOUT)
            started += 1
        for fileno, _ in epoll.poll(1):
            sock = waiting.pop(fileno)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            sock.close()
            done += 1
    seconds = time.perf_counter() - began
    os.kill(child, 9)
    print(json.dumps({"count": count, "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
