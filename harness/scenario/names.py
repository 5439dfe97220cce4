"""Names and labels under Kubernetes' rules; each function gives a complaint or an empty text."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?")


def dns_label(text: str) -> str:
    """RFC 1123 label, as namespaces have it."""
    if len(text) > 63:
        return "has more than 63 characters"
    if not _LABEL.fullmatch(text):
        return "is no DNS-1123 label: lower case letters, digits and -, a letter or digit at both ends"
    return ""


def dns_subdomain(text: str) -> str:
    """RFC 1123 subdomain, as pods have it."""
    if len(text) > 253:
        return "has more than 253 characters"
    if not all(_LABEL.fullmatch(part) for part in text.split(".")):
        return "is no DNS-1123 name: lower case letters, digits, - and ., a letter or digit at both ends"
    return ""


def service_name(text: str) -> str:
    """RFC 1035 label, as services have it: it begins with a letter."""
    if len(text) > 63:
        return "has more than 63 characters"
    if not _SERVICE.fullmatch(text):
        return "is no DNS-1035 label: lower case letters, digits and -, a letter first"
    return ""


def port_name(text: str) -> str:
    """IANA service name (RFC 6335 section 5.1), as container ports have it."""
    if len(text) > 15:
        return "has more than 15 characters"
    if not _LABEL.fullmatch(text) or "--" in text:
        return "must have lower case letters, digits and single - only"
    if not any(character.isalpha() for character in text):
        return "needs at least one letter"
    return ""


def label_key(text: str) -> str:
    """Key of a label or annotation: `[prefix/]name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and (not prefix or dns_subdomain(prefix)):
        return f"has the prefix `{prefix}`, which is no DNS-1123 name"
    if not name or len(name) > 63:
        return "needs a name of 1 to 63 characters" + (" after the /" if slash else "")
    if not _QUALIFIED.fullmatch(name):
        return "must have letters, digits, -, _ and . only, a letter or digit at both ends"
    return ""


def label_value(text: str) -> str:
    """Value of a label."""
    if len(text) > 63:
        return "has more than 63 characters"
    if text and not _QUALIFIED.fullmatch(text):
        return "must have letters, digits, -, _ and . only, a letter or digit at both ends"
    return ""


def host_name(text: str) -> str:
    """A name that can be asked of a DNS server; underscores are allowed, as in SRV names."""
    bare = text.removesuffix(".")
    if len(bare) > 253:
        return "has more than 253 characters"
    if not bare or any(len(part) > 63 or not _HOST.fullmatch(part) for part in bare.split(".")):
        return "is no DNS name"
    return ""
