"""What Cilium's agents and objects answer, read."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube.cni import LabelChange

_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
_NO_IDENTITY = re.compile(r"(?!app\.kubernetes\.io/)(?:[a-z0-9.-]*\.)?(?:kubernetes|k8s)\.io/.*")
"""Labels that are no part of identities unless Cilium is told so (its default label filter)."""

_MAPPED = re.compile(r"^(\S+)/(?:32|128)\s+identity=(\d+)\s", re.MULTILINE)
_RESERVED = 256
"""Smaller identities are Cilium's own, such as the one of a pod whose labels are not known yet."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod as the agent of its node sees it, of a line of `cilium-dbg endpoint list`.

    Attributes:
        revision: The newest policy revision that it has realised; 0 before the first.
        enforced: The directions in which policies are enforced.
    """

    pod: str
    revision: int
    state: str
    enforced: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a pod, as its CiliumEndpoint says.

    Attributes:
        number: 0 before there is one; small while Cilium does not know the pod's labels.
        addresses: The pod's; a new pod may bear the name of one whose object is still there.
    """

    number: int
    labels: frozenset[str]
    addresses: frozenset[str]

    def has(self, addresses: Collection[str], wanted: set[str], unwanted: set[str]) -> bool:
        """Whether it is a pod's with these addresses, with these labels, and none that begins as unwanted."""
        old = any(label.startswith(key) for label in self.labels for key in unwanted)
        return (
            self.number >= _RESERVED
            and self.addresses.issuperset(addresses)
            and wanted <= self.labels
            and not old
        )


def identity_of(endpoint: Mapping[str, Any]) -> Identity:
    """Identity in a CiliumEndpoint."""
    status = endpoint.get("status") or {}
    identity = status.get("identity") or {}
    pairs = (status.get("networking") or {}).get("addressing") or ()
    addresses = frozenset(str(address) for pair in pairs for address in pair.values())
    return Identity(int(identity.get("id", 0)), frozenset(identity.get("labels") or ()), addresses)


def identity_labels(change: LabelChange) -> tuple[set[str], set[str]]:
    """Labels that the identity must have, and beginnings of labels that it must not have any more."""
    wanted, unwanted = set(), set()
    for prefix, before, after in (
        ("", change.before, change.after),
        (_NAMESPACE_LABEL, change.namespace_before, change.namespace_after),
    ):
        for key in {**before, **after}:
            if before.get(key) == after.get(key) or (not prefix and _NO_IDENTITY.fullmatch(key)):
                continue
            if key in after:
                wanted.add(f"k8s:{prefix}{key}={after[key]}")
            else:
                unwanted.add(f"k8s:{prefix}{key}=")
    return wanted, unwanted


def mapped(text: str) -> dict[str, int]:
    """Identity by address, of `cilium-dbg bpf ipcache list`."""
    return {address: int(number) for address, number in _MAPPED.findall(text)}


def numbers(text: str) -> set[int]:
    """The identities that an agent knows, of `cilium-dbg identity list -o json`."""
    return {int(item["id"]) for item in json.loads(text or "[]") or ()}


def invalid(policy: Mapping[str, Any]) -> str:
    """Why a policy object is not valid, by its condition; empty when it is, or nothing is said yet."""
    for condition in (policy.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Valid" and condition.get("status") == "False":
            return str(condition.get("message") or "it is not valid")
    return ""


def taken_in(text: str) -> tuple[int, set[tuple[str, str, str]]]:
    """Revision and (kind, namespace, name) of the objects behind all rules, of `cilium-dbg policy get`."""
    answer = json.loads(text)
    rules: list[Any] = json.loads(answer.get("policy") or "[]") or []
    known = set()
    for rule in rules:
        labels = {
            str(item.get("key", "")).rpartition(".policy.")[2]: str(item.get("value", ""))
            for item in rule.get("Labels") or rule.get("labels") or ()
        }
        known.add((labels.get("derived-from", ""), labels.get("namespace", ""), labels.get("name", "")))
    return int(answer["revision"]), known


def endpoints(text: str) -> Iterator[Endpoint]:
    """The lines of a list of endpoints; one that is being made has neither revision nor directions yet."""
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) == 4 and (words[1].isdigit() or not words[1]):
            yield Endpoint(words[0], int(words[1] or 0), words[2], words[3])
