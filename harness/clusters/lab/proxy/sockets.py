"""Sockets of a proxy that nobody sees: they have addresses that belong to others."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

_IP_TRANSPARENT = 19
_IP_RECVORIGDSTADDR = 20
_IPV6_TRANSPARENT = 75
_IPV6_RECVORIGDSTADDR = 74
_SO_MARK = 36

FIRST_PORT, PORTS = 1024, 8976
"""Source ports of the proxy's own connections. Clients take others (`probes.source_ports`, the kernel's from
32768 on), so that no connection of the proxy has the addresses and ports of one of its client's."""

_RESET = struct.pack("ii", 1, 0)

Address = tuple[str, int]


def _transparent(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    except OSError:
        sock.close()
        raise
    return sock


def family_of(address: str) -> socket.AddressFamily:
    """The socket family of an address in text form."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def acceptor(family: socket.AddressFamily, port: int) -> socket.socket:
    """A socket that accepts connections to anybody.

    Raises:
        OSError: The kernel refused.
    """
    sock = _transparent(family, socket.SOCK_STREAM)
    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    sock.listen(65535)
    return sock


def receiver(family: socket.AddressFamily, port: int) -> socket.socket:
    """A socket that gets datagrams to anybody, with the address that they were meant for.

    Raises:
        OSError: The kernel refused.
    """
    sock = _transparent(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVORIGDSTADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    return sock


def meant_for(found: list[tuple[int, int, bytes]]) -> Address | None:
    """The address in the ancillary data of a datagram."""
    for level, kind, data in found:
        if (level, kind) == (socket.IPPROTO_IP, _IP_RECVORIGDSTADDR):
            return socket.inet_ntop(socket.AF_INET, data[4:8]), int.from_bytes(data[2:4], "big")
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_RECVORIGDSTADDR):
            return socket.inet_ntop(socket.AF_INET6, data[8:24]), int.from_bytes(data[2:4], "big")
    return None


def speaker(address: Address) -> socket.socket:
    """A datagram socket that answers as `address`.

    Raises:
        OSError: The kernel refused.
    """
    sock = _transparent(family_of(address[0]), socket.SOCK_DGRAM)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


class Callers:
    """Makes sockets that call a server as somebody else.

    A client's ports are taken in turn, whichever node and direction they are for: a connection that is judged
    twice must not meet itself in the connection table of a node.
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def call(self, client: str, server: Address, kind: socket.SocketKind, mark: int) -> socket.socket:
        """A socket that is connected to `server`, or about to be, with the address of `client`.

        Args:
            client: Whose address it has.
            server: Whom it calls.
            kind: Stream or datagrams.
            mark: What nft knows its packets by.

        Raises:
            OSError: No port is free, or the kernel refused.
        """
        last: OSError | None = None
        for _ in range(32):
            sock = _transparent(family_of(client), kind)
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
                if kind == socket.SOCK_STREAM:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.bind((client, self._port(client)))
                code = sock.connect_ex(server)
                if code not in (0, errno.EINPROGRESS):
                    raise OSError(code, "connect")
            except OSError as trouble:
                sock.close()
                if trouble.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                    raise
                last = trouble
            else:
                return sock
        assert last is not None
        raise last

    def _port(self, client: str) -> int:
        turn = self._next.get(client, 0)
        self._next[client] = (turn + 1) % PORTS
        return FIRST_PORT + turn


def reset_on_close(sock: socket.socket) -> None:
    """Have `close` send a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
