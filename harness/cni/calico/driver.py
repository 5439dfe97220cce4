"""Calico: it says nothing of when a change is in force; its counters say what denied a packet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import CutManifest, Kind, Question, Sent
from harness.cni import counters
from harness.cni.agents import Agents, Script
from harness.cni.calico.cuts import CUTS
from harness.cni.counters import Counters, Rule
from harness.cni.evidence import by_counters
from harness.cni.plain import Plain

SCRIPT = Script(
    namespaces=("calico-system", "kube-system"),
    selector="k8s-app=calico-node",
    container="calico-node",
    words={
        # Either of them holds the rules, as the data plane is set up (calico-measured.md 4 and 6).
        "rules": "iptables-save -c -t filter 2>/dev/null; nft list table ip calico 2>/dev/null; true",
        "sctp": "grep -q ^SCTP /proc/net/protocols",
    },
)
_ENDS = ("Drop if", "Reject if", "End of tier")
"""How the comments of rules begin that end a direction without any policy's rule."""


class Calico(Plain):
    """See `clusters.kube.cni.Cni`."""

    cuts: Mapping[Kind, CutManifest] = CUTS

    def __init__(
        self, api: Api, version: str, features: frozenset[str] = frozenset(), denies: str = "drop"
    ) -> None:
        super().__init__("calico", version, features, denies, enforces=True)
        self._agents = Agents(api, SCRIPT)

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """Which policies' rules counted the probe, on the nodes of both sides."""
        return by_counters(self._agents, questions, send, deadline, counted)

    def close(self) -> None:
        """Close the streams to the plugin's pods."""
        self._agents.close()


def interface(pod: str) -> str:
    """The host's interface to a pod, as Calico's CNI plugin names it."""
    return "cali" + hashlib.sha1(pod.replace("/", ".").encode(), usedforsecurity=False).hexdigest()[:11]


def counted(question: Question, node: str, before: Counters, after: Counters) -> Iterator[str]:
    """Lines about one node: rules of the chains to and from the probe's pods that counted packets."""
    sides = []
    if question.source_place.node == node:
        sides.append((f"from {question.source}", f"cali-fw-{interface(question.source)}"))
    for pod, place in question.destinations.items():
        if place.node == node:
            sides.append((f"to {pod}", f"cali-tw-{interface(pod)}"))
    gained = dict(counters.moved(before, after))
    for words, chain in sides:
        # The nftables data plane puts `filter-` before the names.
        chains = counters.reachable(after, (chain, f"filter-{chain}"))
        for rule, packets in gained.items():
            meaning = _meaning(rule)
            if meaning and rule.chain in chains:
                plural = "s" if packets > 1 else ""
                yield f"Calico on {node}, {words}: {meaning} ({packets} packet{plural})"


def _meaning(rule: Rule) -> str:
    """What a rule's comment says of policies; empty for the machinery around them.

    3.28 writes `Policy NAMESPACE/NAME ingress`, later versions `NetworkPolicy NAMESPACE/NAME ingress`.
    """
    for part in (part.strip() for comment in rule.comments for part in comment.split("; ")):
        if part.startswith(_ENDS):
            return part
        words = part.split(" ")
        if len(words) == 3 and words[0].endswith("Policy") and words[2] in ("ingress", "egress"):
            return f"{part}, {rule.target}" if rule.target in ("DROP", "REJECT") else part
    return ""
