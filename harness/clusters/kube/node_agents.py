"""Probes from and to a node: pods of the run's own that share the node's network."""

from __future__ import annotations

from collections.abc import Mapping

from harness.clusters.resolve import node_place
from harness.model.topology import Namespace, Pod

_ENFORCE = "pod-security.kubernetes.io/enforce"


class NodeAgents:
    """One pod for each node that probes leave from, or whose listeners have to be proven alive.

    They stand in a namespace of the run's own and listen on nothing: what listens on a node are the
    scenario's hostNetwork pods.

    Args:
        namespace: What it is called.
        letters: The nodes; none = no pods.
    """

    def __init__(self, namespace: str, letters: frozenset[str]) -> None:
        self._namespace = namespace
        self._letters = sorted(letters)

    @property
    def places(self) -> dict[str, str]:
        """What probes call the node that each pod stands for, by the pod's id."""
        return {f"{self._namespace}/node-{letter}": node_place(letter) for letter in self._letters}

    @property
    def namespaces(self) -> tuple[Namespace, ...]:
        """The namespace that they need, which admits pods with the host's network; none without pods.

        Admission plugins other than PodSecurity may refuse all the same.
        """
        return (Namespace(self._namespace, {_ENFORCE: "privileged"}),) if self._letters else ()

    def pods(self, nodes: Mapping[str, str]) -> dict[str, tuple[Pod, str]]:
        """The pods with the host name of the node of each, for nodes by letter."""
        found = {}
        for letter in self._letters:
            pod = Pod(self._namespace, f"node-{letter}", {"role": "node"}, node=letter, host_network=True)
            found[pod.id] = (pod, nodes[letter])
        return found
