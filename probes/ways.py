"""Addresses and routes of an external's own network namespace, by the few rtnetlink messages that it needs.

An external is a container beside the nodes: it gets its address on the loopback interface, and a route to
each pod by way of the pod's node, since pods' addresses mean nothing outside. What it sends there carries its
own address.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any, Sequence

_NEWADDR, _NEWROUTE = 20, 24
_REQUEST, _ACK, _CREATE, _REPLACE = 0x1, 0x4, 0x400, 0x100
_NLMSG_ERROR = 2
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NODAD = 0x2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_TABLE_MAIN, _STATIC, _UNIVERSE, _LINK, _UNICAST = 254, 4, 0, 253, 1


def _attribute(kind: int, data: bytes) -> bytes:
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _ask(kind: int, body: bytes, what: str) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        flags = _REQUEST | _ACK | _CREATE | _REPLACE
        sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = sock.recv(1 << 16)
    number = struct.unpack_from("=H", answer, 4)[0]
    code = -struct.unpack_from("=i", answer, 16)[0] if number == _NLMSG_ERROR else errno.EPROTO
    if code:
        raise OSError(code, f"{what}: {os.strerror(code)}")


def add_address(address: str) -> None:
    """Have an address of one's own, on the loopback interface.

    Raises:
        OSError: The kernel refuses.
    """
    family, data = _packed(address)
    head = struct.pack("=BBBBI", family, len(data) * 8, _NODAD, _UNIVERSE, socket.if_nametoindex("lo"))
    body = head + _attribute(_IFA_LOCAL, data) + _attribute(_IFA_ADDRESS, data)
    _ask(_NEWADDR, body, f"cannot have the address {address}")


def add_way(destination: str, gateway: str, source: str) -> None:
    """Reach an address by way of another one, or directly when both are the same, as `source`.

    Raises:
        OSError: The kernel refuses.
    """
    family, data = _packed(destination)
    direct = destination == gateway
    scope = _LINK if direct else _UNIVERSE
    head = struct.pack("=BBBBBBBBI", family, len(data) * 8, 0, 0, _TABLE_MAIN, _STATIC, scope, _UNICAST, 0)
    body = head + _attribute(_RTA_DST, data) + _attribute(_RTA_PREFSRC, _packed(source)[1])
    body += _attribute(_RTA_OIF, struct.pack("=I", _way_out()))
    if not direct:
        body += _attribute(_RTA_GATEWAY, _packed(gateway)[1])
    _ask(_NEWROUTE, body, f"cannot reach {destination} by {gateway}")


def _way_out() -> int:
    for index, name in socket.if_nameindex():
        if name.startswith("eth"):
            return index
    raise OSError(errno.ENODEV, "the container is on no network")


def add_ways(ways: Sequence[Sequence[Any]]) -> None:
    """All of `[destination, gateway, source]`.

    Raises:
        OSError: The kernel refuses one.
    """
    for destination, gateway, source in ways:
        add_way(destination, gateway, source)
