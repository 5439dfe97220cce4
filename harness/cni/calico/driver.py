"""Calico: it says nothing of when a change is in force; its counters say what denied a packet."""

from __future__ import annotations

import hashlib
import select
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import CutManifest, Kind, Mark, PodPlace, Question, Sent, Signal
from harness.cni import counters
from harness.cni.admin_cuts import ADMIN_CUTS
from harness.cni.agents import AgentError, Agents, RefusedError, Script
from harness.cni.calico import flows
from harness.cni.calico.cuts import BESIDE, CUTS, IDLE
from harness.cni.counters import Counters, Rule
from harness.cni.evidence import by_counters
from harness.cni.listening import listen
from harness.cni.plain import Plain
from harness.model.policy import Policy
from harness.source.render import printable

SCRIPT = Script(
    namespaces=("calico-system", "kube-system"),
    selector="k8s-app=calico-node",
    container="calico-node",
    words={
        # Either of them holds the rules, as the data plane is set up (calico-measured.md 4 and 6).
        "rules": "iptables-save -c -t filter 2>/dev/null; nft list table ip calico 2>/dev/null; true",
        "flows": 'timeout "$1" calico-node -flows=-1 2>/dev/null; true',
        "sctp": "grep -q ^SCTP /proc/net/protocols",
    },
)
WRITTEN_SECONDS = 20.0
"""How long Felix may take to write the rules of a policy; see `FLIP_SECONDS` for canaries."""

PROBE_SECONDS = 3.0
"""How long probes that are sent once more may take."""

_LOOK = 0.2
_ENDS = ("Drop if", "Reject if", "End of tier")
"""How the comments of rules begin that end a direction without any policy's rule."""


class Calico(Plain):
    """See `clusters.kube.cni.Cni`."""

    cuts: Mapping[Kind, CutManifest] = {**CUTS, **ADMIN_CUTS}
    beside: Mapping[Kind, CutManifest] = BESIDE
    idle: frozenset[Kind] = IDLE

    def __init__(
        self,
        api: Api,
        version: str,
        features: frozenset[str] = frozenset(),
        denies: str = "drop",
        *,
        flush: float = 0.0,
    ) -> None:
        super().__init__("calico", version, features, denies, enforces=True)
        self._agents = Agents(api, SCRIPT)
        self._tells = True
        self._flush = flush

    def settle(
        self,
        marks: Callable[[], Sequence[Mark]],
        pods: Mapping[str, PodPlace],
        policies: Sequence[Policy],
        gone: Sequence[Policy],
    ) -> Signal:
        """Wait until the rules of each node show the marks, where packets may not.

        Felix writes everything that it knows at once, so that whoever sees the rules of a mark sees those of
        what came before it. Canaries show more, and need no rights; so this is for policies without a
        namespace, which may hide them.
        """
        if not self._tells or all(policy.namespace for policy in policies):
            return Signal()
        nodes = sorted({place.node for place in pods.values()})
        deadline = time.monotonic() + WRITTEN_SECONDS
        try:
            while not all(self._written(node, marks()) for node in nodes):
                if time.monotonic() > deadline:
                    # Another data plane, such as eBPF, has no rules that could be read.
                    self._tells = False
                    return Signal()
                select.select([], [], [], _LOOK)
        except (AgentError, RefusedError):
            return Signal()
        return Signal(f"rules written on {len(nodes)} node{'s' if len(nodes) > 1 else ''}", sure=True)

    def _written(self, node: str, marks: Sequence[Mark]) -> bool:
        there = shown(counters.read(self._agents.ask(node, "rules")))
        # A set has no rules of its own.
        policies = [mark for mark in marks if mark.kind.endswith("Policy")]
        return all(((mark.namespace, mark.name) in there) is mark.present for mark in policies)

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """What the flow log says of the probe, and which policies' rules counted it, on both sides."""
        logged = self._logged(questions, send, deadline) if self._flush else [()] * len(questions)
        told = by_counters(self._agents, questions, send, deadline, counted)
        return [(*flows, *lines) for flows, lines in zip(logged, told, strict=True)]

    def _logged(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """Entries about the pods of each question; an entry comes two intervals after its packets at last."""
        wait = 2 * self._flush + PROBE_SECONDS
        if time.monotonic() + wait > deadline:
            seldom = f"Calico writes its flow log each {self._flush:g} s (flowLogsFlushInterval)"
            return [(f"{seldom}, too late to be read",)] * len(questions)
        nodes = sorted({node for question in questions for node in question.nodes})
        word = ("flows", f"{wait:.0f}")
        _, texts, trouble = listen(
            self._agents, nodes, word, lambda: send(range(len(questions))), seconds=wait
        )
        entries = {node: list(flows.read(text)) for node, text in texts.items()}
        found = []
        for question in questions:
            lines = [
                printable(f"Calico's flow log on {node}: {flow}")
                for node in question.nodes
                for flow in entries.get(node, ())
                if flow.source == question.source and flow.destination in question.destinations
            ]
            if trouble:
                lines.append(printable(f"Calico's flow log could not be read: {trouble}"))
            found.append(tuple(dict.fromkeys(lines)))
        return found

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


def shown(rules: Iterable[Rule]) -> set[tuple[str, str]]:
    """Namespace (empty where there is none) and name of the policies whose rules these are.

    Felix puts words and dots before a name: `knp.default.NAME` for a NetworkPolicy of Kubernetes, the tier
    for its own.
    """
    found = set()
    for rule in rules:
        for comment in rule.comments:
            for part in comment.split("; "):
                words = part.strip().split(" ")
                if len(words) == 3 and words[0].endswith("Policy") and words[2] in ("ingress", "egress"):
                    namespace, _, name = words[1].rpartition("/")
                    found.add((namespace, name.rpartition(".")[2]))
    return found


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
