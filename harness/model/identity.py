"""SPIFFE IDs: who a workload is, as its certificate says."""

from __future__ import annotations

import re

TRUST_DOMAIN = "cluster.local"
"""Trust domain of identities that follow from a pod's namespace and service account."""

FOREIGN_DOMAIN = "other-trust-domain.example"
"""Trust domain of certificates that are to be refused for coming from another one."""

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME = "spiffe://"
_LONGEST = 2048


def complaint(text: str) -> str:
    """Why `text` is no SPIFFE ID of a workload, as the end of a sentence; empty when it is one."""
    if not text.startswith(_SCHEME):
        return f"does not begin with {_SCHEME}"
    domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    if not _DOMAIN.fullmatch(domain):
        return "has a trust domain with other characters than a-z, 0-9, - _ and ."
    if not slash:
        return "names a whole trust domain: the path of the workload is missing"
    for segment in path.split("/"):
        if segment in ("", ".", ".."):
            return "has an empty or relative part in its path"
        if not _SEGMENT.fullmatch(segment):
            return "has other characters in its path than letters, digits, - _ and ."
    return f"is longer than {_LONGEST} characters" if len(text) > _LONGEST else ""


def trust_domain(identity: str) -> str:
    """The trust domain of a SPIFFE ID."""
    return identity.removeprefix(_SCHEME).partition("/")[0]


def by_account(namespace: str, account: str) -> str:
    """The ID that SPIRE and meshes give a pod by its service account unless told otherwise."""
    return f"{_SCHEME}{TRUST_DOMAIN}/ns/{namespace}/sa/{account}"


def elsewhere(identity: str, domain: str) -> str:
    """The same path in another trust domain."""
    return f"{_SCHEME}{domain}/{identity.removeprefix(_SCHEME).partition('/')[2]}"
