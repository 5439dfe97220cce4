"""kube-router: it says nothing of when a change is in force; its counters say what rejected a packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.clusters.kube.api import Api
from harness.clusters.kube.cni import Question, Sent
from harness.cni import counters
from harness.cni.agents import Agents, Script
from harness.cni.counters import Counters
from harness.cni.evidence import by_counters
from harness.cni.plain import Plain

SCRIPT = Script(
    namespaces=("kube-system",),
    selector="k8s-app=kube-router",
    container="kube-router",
    words={"rules": "iptables-save -c -t filter 2>/dev/null"},
)


class KubeRouter(Plain):
    """See `clusters.kube.cni.Cni`."""

    def __init__(self, api: Api, version: str, features: frozenset[str] = frozenset()) -> None:
        super().__init__("kube-router", version, features, "reject", enforces=True)
        self._agents = Agents(api, SCRIPT)

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """Which rules about the probe's pods counted it, on the nodes of both sides."""
        return by_counters(self._agents, questions, send, deadline, counted)

    def close(self) -> None:
        """Close the streams to the plugin's pods."""
        self._agents.close()


def counted(question: Question, node: str, before: Counters, after: Counters) -> Iterator[str]:
    """Lines about one node: rules whose comments name one of the probe's pods."""
    pods = {question.source: question.source_place, **question.destinations}
    here = [pod.split("/") for pod, place in pods.items() if place.node == node]
    for rule, packets in counters.moved(before, after):
        comment = " ".join(rule.comments)
        if any(f"POD name:{name} namespace: {namespace}" in f"{comment} " for namespace, name in here):
            plural = "s" if packets > 1 else ""
            yield f"kube-router on {node}: {comment}, {rule.target} ({packets} packet{plural})"
