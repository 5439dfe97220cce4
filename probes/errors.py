"""Who refused: errno and the kernel's error queue, read into outcomes."""

from __future__ import annotations

import errno
import socket
import struct

IP_RECVERR = 11
IPV6_RECVERR = 25
_ORIGINS = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_EXTENDED = struct.Struct("=IBBBBII")


def watch_errors(sock: socket.socket) -> None:
    """Have the kernel keep ICMP errors of `sock`, with the address of who sent them."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def mark_packets(sock: socket.socket, dscp: int, hops: int) -> None:
    """Have all packets of `sock`, those too that the kernel sends again, carry a DSCP and a hop limit.

    Args:
        sock: Not yet connected.
        dscp: 0 to 63; 0 leaves it as it is.
        hops: 1 to 255; 0 leaves it as it is.
    """
    if sock.family == socket.AF_INET6:
        level, field, limit = socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_UNICAST_HOPS
    else:
        level, field, limit = socket.IPPROTO_IP, socket.IP_TOS, socket.IP_TTL
    if dscp:
        sock.setsockopt(level, field, dscp << 2)
    if hops:
        sock.setsockopt(level, limit, hops)


def icmp_error(sock: socket.socket) -> tuple[int, str] | None:
    """The first ICMP error in the queue as (errno, `icmp TYPE/CODE from ADDRESS`), or None."""
    for _ in range(8):
        try:
            _, ancillary, _, _ = sock.recvmsg(256, 256, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            return None
        for level, kind, data in ancillary:
            if (level, kind) not in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)):
                continue
            code, origin, icmp_type, icmp_code, _, _, _ = _EXTENDED.unpack_from(data)
            if origin not in _ORIGINS:
                continue
            return code, f"icmp {icmp_type}/{icmp_code} from {_offender(data[_EXTENDED.size :])}"
    return None


def _offender(data: bytes) -> str:
    if len(data) >= 8 and struct.unpack_from("=H", data)[0] == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if len(data) >= 24 and struct.unpack_from("=H", data)[0] == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, data[8:24])
    return "unknown"


def classify(code: int, sock: socket.socket | None) -> tuple[str, str, str]:
    """An errno as (outcome kind, detail, by); reads the error queue of `sock` to say who refused."""
    queued = icmp_error(sock) if sock is not None else None
    return name_error(code, queued[1] if queued else "")


def name_error(code: int, by: str) -> tuple[str, str, str]:
    """An errno as (outcome kind, detail, by); `by` is who sent an ICMP error, empty when nobody did."""
    if code == errno.ECONNREFUSED:
        return "refused", "", by or "rst"
    if code in (errno.EPERM, errno.EACCES) and not by:
        return "refused", "", "local"
    if code in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return "reset", "", by or "rst"
    if code == errno.ETIMEDOUT:
        return "timeout", "", by
    if code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EACCES, errno.EPERM):
        return "unreachable", "", by or "local"
    return "error", f"{errno.errorcode.get(code, str(code))}", by
