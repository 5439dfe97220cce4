"""SPIFFE IDs: who a workload is, as its certificate says."""

from __future__ import annotations

import re
from dataclasses import dataclass

TRUST_DOMAIN = "cluster.local"
"""Trust domain of identities that follow from a pod's namespace and service account."""

FOREIGN_DOMAIN = "other-trust-domain.example"
"""Trust domain of certificates that are to be refused for coming from another one."""

WORKLOAD_API = "workload-api"
"""The feature, and the word in scenarios, for SPIFFE's Workload API."""

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME = "spiffe://"
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class SvidSource:
    """Who gives a pod its certificate where netcheck does not issue it.

    Attributes:
        files: Directory in which others keep it fresh; None = it is asked for at the Workload API.
    """

    files: str | None = None

    @property
    def feature(self) -> str:
        """What a cluster must have for it, in the words of `model.features`."""
        return WORKLOAD_API if self.files is None else "svid-files"

    def __str__(self) -> str:
        return WORKLOAD_API if self.files is None else f"files of {self.files}"


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


def in_namespace(identity: str, before: str, after: str) -> str:
    """The same ID after its pod's namespace was renamed; another one than a service account's stays."""
    head, found, rest = identity.partition(f"/ns/{before}/sa/")
    return f"{head}/ns/{after}/sa/{rest}" if found else identity


def elsewhere(identity: str, domain: str) -> str:
    """The same path in another trust domain."""
    return f"{_SCHEME}{domain}/{identity.removeprefix(_SCHEME).partition('/')[2]}"
