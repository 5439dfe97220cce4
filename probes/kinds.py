"""From the kind that a plan names to the class that flies it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.flights import ConnectFlight, DatagramFlight, Flight, IcmpFlight, StreamFlight
from probes.http_flights import HttpFlight
from probes.lookups import DnsFlight, HostFlight

if TYPE_CHECKING:
    from probes.client import Sink

_KINDS: dict[str, type[Flight]] = {
    "tcp": StreamFlight,
    "sctp": StreamFlight,
    "connect": ConnectFlight,
    "http": HttpFlight,
    "udp": DatagramFlight,
    "icmp": IcmpFlight,
    "dns": DnsFlight,
    "host": HostFlight,
}


def make_flight(spec: list[Any], sink: Sink) -> Flight:
    """The flight for one plan entry.

    Raises:
        ValueError: The kind of the probe is not known.
    """
    if spec[2] == "tls":
        # Imported where TLS is asked for: most runs ask for none, and loading OpenSSL takes its time.
        from probes.tls_flights import TlsFlight

        return TlsFlight(spec, sink)
    kind = _KINDS.get(spec[2])
    if kind is None:
        raise ValueError(f"unknown kind of probe: {spec[2]!r}")
    return kind(spec, sink)
