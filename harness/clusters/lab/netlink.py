"""The few rtnetlink messages that a lab is made of.

One socket per namespace and one message per call: thirty times quicker than a process per namespace, which is
what `ip` needs to configure the inside of a pod.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import socket
import struct

_REQUEST, _ACK, _EXCL, _CREATE, _REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
_NEWLINK, _GETLINK, _NEWADDR, _NEWROUTE, _NEWNEIGH, _NEWRULE = 16, 18, 20, 24, 28, 32
_NLMSG_ERROR = 2
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_OPERSTATE, _OPERATIONAL = 16, 6
_LINK_HEADER = 32
"""Bytes before the first attribute of a link: those of the message and of the link itself."""
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NODAD_NOPREFIXROUTE = 0x202
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_LINK, _UNICAST, _ONLINK = 254, 4, 253, 1, 4
_LOCAL, _SCOPE_HOST, _LOOPBACK = 2, 254, 1
_TO_TABLE, _FRA_PRIORITY, _FRA_FWMARK, _FRA_FWMASK = 1, 6, 10, 16
_NUD_PERMANENT, _NDA_DST, _NDA_LLADDR = 0x80, 1, 2


class NetlinkError(OSError):
    """The kernel refused a message."""


def _attribute(kind: int, data: bytes) -> bytes:
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _family(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


class Netlink:
    """A route socket in the namespace in which it is made; interfaces are named by their index."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sock.bind((0, 0))
        self._sequence = itertools.count(1)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _call(self, kind: int, flags: int, body: bytes, what: str) -> None:
        head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, next(self._sequence), 0)
        self._sock.send(head + body)
        answer = self._sock.recv(1 << 16)
        number = struct.unpack_from("=H", answer, 4)[0]
        code = -struct.unpack_from("=i", answer, 16)[0] if number == _NLMSG_ERROR else errno.EPROTO
        if code:
            raise NetlinkError(code, f"{what}: {os.strerror(code)}")

    def veth(
        self, name: str, index: int, mac: str, peer: str, peer_index: int, peer_mac: str, peer_namespace: int
    ) -> None:
        """Make a pair of interfaces, one here, the other in the namespace behind `peer_namespace`.

        Raises:
            NetlinkError: The kernel refused.
        """
        other = struct.pack("=BBHiII", 0, 0, 0, peer_index, 0, 0)
        other += _text(_IFLA_IFNAME, peer) + _attribute(_IFLA_ADDRESS, _mac(peer_mac))
        other += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
        data = _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, other))
        body = struct.pack("=BBHiII", 0, 0, 0, index, 0, 0)
        body += _text(_IFLA_IFNAME, name) + _attribute(_IFLA_ADDRESS, _mac(mac))
        body += _attribute(_IFLA_LINKINFO, _text(_IFLA_INFO_KIND, "veth") + data)
        self._call(_NEWLINK, _CREATE | _EXCL, body, f"interface {name}")

    def up(self, index: int) -> None:
        """Switch an interface on.

        Raises:
            NetlinkError: The kernel refused.
        """
        self._call(
            _NEWLINK, 0, struct.pack("=BBHiII", 0, 0, 0, index, _IFF_UP, _IFF_UP), f"interface {index} up"
        )

    def running(self, index: int) -> bool:
        """Whether an interface that was switched on sends packets by now.

        The kernel gets it ready in the background; until then it throws away, without a word, what is sent.

        Raises:
            NetlinkError: The kernel refused.
        """
        body = struct.pack("=BBHiII", 0, 0, 0, index, 0, 0)
        self._sock.send(
            struct.pack("=IHHII", 16 + len(body), _GETLINK, _REQUEST, next(self._sequence), 0) + body
        )
        answer = self._sock.recv(1 << 16)
        length, kind = struct.unpack_from("=IH", answer)
        if kind != _NEWLINK:
            code = -struct.unpack_from("=i", answer, 16)[0] if kind == _NLMSG_ERROR else errno.EPROTO
            raise NetlinkError(code, f"interface {index}: {os.strerror(code)}")
        at = _LINK_HEADER
        while at < length:
            size, attribute = struct.unpack_from("=HH", answer, at)
            if attribute == _IFLA_OPERSTATE:
                return answer[at + 4] == _OPERATIONAL
            at += max(4, size + -size % 4)
        return True

    def address(self, index: int, address: str) -> None:
        """Give an interface a host address, usable at once (no duplicate detection).

        Raises:
            NetlinkError: The kernel refused.
        """
        ip = ipaddress.ip_address(address)
        body = struct.pack("=BBBBI", _family(ip), ip.max_prefixlen, 0, 0, index)
        body += _attribute(_IFA_LOCAL, ip.packed) + _attribute(_IFA_ADDRESS, ip.packed)
        body += _attribute(_IFA_FLAGS, struct.pack("=I", _NODAD_NOPREFIXROUTE))
        self._call(_NEWADDR, _CREATE | _REPLACE, body, f"address {address}")

    def route(self, network: str, index: int, gateway: str = "") -> None:
        """Route `network` to an interface, directly or by a gateway that need not be on link.

        Raises:
            NetlinkError: The kernel refused.
        """
        net = ipaddress.ip_network(network)
        family = socket.AF_INET if net.version == 4 else socket.AF_INET6
        scope = 0 if gateway or net.version == 6 else _SCOPE_LINK
        flags = _ONLINK if gateway else 0
        body = struct.pack(
            "=BBBBBBBBI",
            family,
            net.prefixlen,
            0,
            0,
            _TABLE_MAIN,
            _PROTOCOL_STATIC,
            scope,
            _UNICAST,
            flags,
        )
        if net.prefixlen:
            body += _attribute(_RTA_DST, net.network_address.packed)
        body += _attribute(_RTA_OIF, struct.pack("=I", index))
        if gateway:
            body += _attribute(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed)
        self._call(_NEWROUTE, _CREATE | _REPLACE, body, f"route {network}")

    def neighbour(self, index: int, address: str, mac: str) -> None:
        """Say for good which station has `address`, so that no address resolution is ever sent.

        Raises:
            NetlinkError: The kernel refused.
        """
        ip = ipaddress.ip_address(address)
        body = struct.pack("=BBHiHBB", _family(ip), 0, 0, index, _NUD_PERMANENT, 0, 0)
        body += _attribute(_NDA_DST, ip.packed) + _attribute(_NDA_LLADDR, _mac(mac))
        self._call(_NEWNEIGH, _CREATE | _REPLACE, body, f"neighbour {address}")

    def divert(self, mark: int, table: int) -> None:
        """Hand packets that carry all bits of `mark` to this namespace's own sockets, wherever they go.

        Raises:
            NetlinkError: The kernel refused.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            head = (family, 0, 0, 0, table, _PROTOCOL_STATIC, _SCOPE_HOST, _LOCAL, 0)
            route = struct.pack("=BBBBBBBBI", *head) + _attribute(_RTA_OIF, struct.pack("=I", _LOOPBACK))
            self._call(_NEWROUTE, _CREATE | _REPLACE, route, f"local route in table {table}")
            rule = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, _TO_TABLE, 0)
            for kind, value in ((_FRA_PRIORITY, table), (_FRA_FWMARK, mark), (_FRA_FWMASK, mark)):
                rule += _attribute(kind, struct.pack("=I", value))
            self._call(_NEWRULE, _CREATE | _EXCL, rule, f"rule for mark {mark:#x}")
