"""What the API server accepts as a name, a label, a port, a CIDR (semantics.md 3.1 no. 16).

Each check reports at the field that it was given and answers whether the value is good.
"""

from __future__ import annotations

import ipaddress
import re

from harness.dialects.fields import Field
from harness.dialects.spiffe import by_account
from harness.model.rules import Network

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PREFIX = re.compile(r"[0-9]{1,4}")


def object_name(field: Field, name: str) -> bool:
    """A DNS-1123 subdomain: names of policies."""
    if len(name) <= 253 and _DNS_SUBDOMAIN.fullmatch(name):
        return True
    field.error(
        "invalid-name",
        f'"{_short(name)}" is not a valid name',
        help="lower case letters, digits, `-` and `.`; a letter or digit first and last; at most 253",
    )
    return False


def namespace_name(field: Field, name: str) -> bool:
    """A DNS-1123 label: names of namespaces."""
    if len(name) <= 63 and _DNS_LABEL.fullmatch(name):
        return True
    field.error(
        "invalid-name",
        f'"{_short(name)}" is not a valid namespace',
        help="lower case letters, digits and `-`; a letter or digit first and last; at most 63",
    )
    return False


def label_key(field: Field, key: str) -> bool:
    """A qualified name: an optional DNS subdomain, `/`, and a name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    good = len(name) <= 63 and _LABEL_NAME.fullmatch(name) is not None
    if slash:
        good = good and len(prefix) <= 253 and _DNS_SUBDOMAIN.fullmatch(prefix) is not None
    if not good:
        field.problems.error(
            "invalid-label",
            f'{field.path}: "{_short(key)}" is not a valid label key',
            field.key or field.place,
            help="a name of at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last; "
            "before it, if anything, a DNS name and `/`",
        )
    return good


def label_value(field: Field, value: str) -> bool:
    """A label value: empty, or at most 63 letters, digits, `-`, `_`, `.`."""
    if not value or (len(value) <= 63 and _LABEL_NAME.fullmatch(value)):
        return True
    instead = ""
    if value.startswith("spiffe://"):
        help = (
            "a SPIFFE ID cannot be a label value: `:` and `/` are not allowed there, and no policy sees "
            "identities; select the pods by an ordinary label, or by their service account, where the CNI's "
            "own policies can:"
        )
        instead = by_account(value, field.path)
    else:
        help = "at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last, or empty"
    field.error("invalid-label", f'"{_short(value)}" is not a valid label value', help=help, instead=instead)
    return False


def port_number(field: Field, number: int) -> bool:
    """1 to 65535."""
    if 1 <= number <= 65535:
        return True
    field.error("invalid-port", f"port {number} is out of range", help="ports are numbers from 1 to 65535")
    return False


def port_name(field: Field, name: str) -> bool:
    """IANA_SVC_NAME: names of container ports."""
    good = (
        1 <= len(name) <= 15
        and re.fullmatch(r"[-a-z0-9]+", name) is not None
        and re.search(r"[a-z]", name) is not None
        and "--" not in name
        and not name.startswith("-")
        and not name.endswith("-")
    )
    if good:
        return True
    if name.isdecimal():
        help = f"in quotes this is the name of a port, not its number: write {name} without quotes"
    else:
        help = (
            "at most 15 lower case letters, digits and `-`, at least one letter, "
            "no `-` first, last or twice in a row"
        )
    number = name if name.isascii() and name.isdecimal() and 1 <= int(name) <= 65535 else None
    field.error("invalid-port", f'"{_short(name)}" is not a valid port name', help=help, fix=number)
    return False


def cidr(
    field: Field, text: str, *, strict: bool = False, masked: bool = False, host_bits: bool = False
) -> Network | None:
    """An address and a prefix length; None after an error.

    Leading zeros and host bits are warnings: older API servers take them, newer ones refuse new objects.

    Args:
        field: Where it stands.
        text: What stands there.
        strict: Leading zeros are an error, as for the `isCIDR` of CRDs.
        masked: Host bits are an error too.
        host_bits: They are welcome, and mean nothing.
    """
    address_text, slash, prefix_text = text.partition("/")
    plain = ".".join(part.lstrip("0") or "0" for part in address_text.split("."))
    plain = plain if ":" not in address_text else address_text
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        field.error(
            "invalid-cidr",
            f'"{_short(text)}" is not an address range',
            help="write it as 192.0.2.0/24 or 2001:db8::/32",
        )
        return None
    if not slash:
        field.error(
            "invalid-cidr",
            f'"{_short(text)}" has no prefix length',
            help=f"for this single address write {address}/{address.max_prefixlen}",
        )
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped):
        field.error("invalid-cidr", f'"{_short(text)}" is an address with a zone or an IPv4-mapped one')
        return None
    if not _PREFIX.fullmatch(prefix_text) or int(prefix_text) > address.max_prefixlen:
        field.error(
            "invalid-cidr",
            f'"{_short(prefix_text)}" is not a prefix length',
            help=f"a number from 0 to {address.max_prefixlen}",
        )
        return None
    network = ipaddress.ip_network((address, int(prefix_text)), strict=False)
    zeros = plain != address_text or (len(prefix_text) > 1 and prefix_text.startswith("0"))
    if (zeros and strict) or (masked and network.network_address != address):
        field.error(
            "invalid-cidr",
            f'"{text}" {"has leading zeros" if zeros else "has host bits set"}',
            help=f"write {network}",
        )
        return None
    if zeros or (network.network_address != address and not host_bits):
        field.warning(
            "noncanonical-cidr",
            f'"{text}" {"has leading zeros" if zeros else "has host bits set"}; newer API servers refuse it',
            help=f"write {network}",
            fix=str(network) if not zeros and network.version == 4 else None,
        )
    return network


def strict_subset(field: Field, inner: Network, outer: Network) -> bool:
    """An `except` lies inside its `cidr` and is smaller."""
    inside = inner.version == outer.version and inner.network_address in outer
    if inside and inner.prefixlen > outer.prefixlen:
        return True
    problem = "is not smaller than" if inside else "lies outside of"
    field.error(
        "invalid-cidr",
        f"{inner} {problem} the block {outer}",
        help="each `except` must be a strict part of `cidr`",
    )
    return False


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
