"""Addresses of externals."""

from __future__ import annotations

import ipaddress

from harness.model.topology import Family
from harness.source.values import BadValueError


def outside_address(text: str) -> tuple[Family, str]:
    """Family and canonical text of an address that can stand outside a cluster.

    Raises:
        BadValueError: For anything that is no unicast address with a scope beyond the link.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadValueError(
            "bad-address",
            f'"{text}" is no IP address',
            "write one address without a prefix length, such as 203.0.113.10 or 2001:db8::10",
        ) from None
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "multicast": address.is_multicast,
        "link-local": address.is_link_local,
        "reserved": address.version == 4 and address.is_reserved,
    }
    if isinstance(address, ipaddress.IPv6Address):
        kinds["mapped or scoped"] = address.ipv4_mapped is not None or address.scope_id is not None
    why = next((word for word, holds in kinds.items() if holds), "")
    if why:
        raise BadValueError(
            "bad-address",
            f"{text} is a {why} address and cannot stand outside a cluster",
            "take one of the documentation ranges, such as 203.0.113.0/24 or 2001:db8::/32",
        )
    return (Family.IPV4 if address.version == 4 else Family.IPV6), str(address)
