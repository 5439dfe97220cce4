"""Cilium: identities of relabelled pods, and the policy revision that each endpoint has realised."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.canary_policies import NETWORK_POLICY
from harness.clusters.kube.cni import CutManifest, Kind, LabelChange, Mark, PodPlace, Question, Sent, Signal
from harness.cni.admin_cuts import ADMIN_CUTS
from harness.cni.agents import AgentError, Agents, RefusedError, Script
from harness.cni.cilium import monitor
from harness.cni.cilium.answers import (
    Endpoint,
    Identity,
    endpoints,
    identity_labels,
    identity_of,
    invalid,
    mapped,
    numbers,
    taken_in,
)
from harness.cni.cilium.cuts import CUTS
from harness.cni.cilium.flows import Flow
from harness.cni.cilium.flows import read as read_flows
from harness.engine.cluster import ClusterError
from harness.model.policy import Policy
from harness.source.render import printable

IDENTITY_SECONDS = 90.0
"""How long a new identity may take; Cilium waits up to 30 s to batch label changes (semantics.md 3.3)."""

REALISE_SECONDS = 60.0
"""How long an agent may take to take in a policy and have it realised by its endpoints."""

RECORD_SECONDS = 3.0
"""How long Hubble's records of a packet may take."""

_LOOK = 0.2
_ENDPOINTS = "/apis/cilium.io/v2/namespaces/{}/ciliumendpoints/{}"
_ROWS = (
    '{range [*]}{.status.external-identifiers.k8s-namespace}/{.status.external-identifiers.k8s-pod-name}{" "}'
    '{.status.policy.realized.policy-revision}{" "}{.status.state}{" "}'
    '{.status.policy.realized.policy-enabled}{"\\n"}{end}'
)
SCRIPT = Script(
    namespaces=("kube-system", "cilium"),
    selector="k8s-app=cilium",
    container="cilium-agent",
    words={
        "policy": "cilium-dbg policy get -o json 2>/dev/null",
        "endpoints": f"cilium-dbg endpoint list -o jsonpath='{_ROWS}' 2>/dev/null",
        "flows": "hubble observe --since 1m --last 5000 -t drop -t policy-verdict -t l7 -o json 2>/dev/null",
        "monitor": monitor.COMMAND,
        "envoy": "command -v cilium-envoy-starter || command -v cilium-envoy",
        "sctp": "grep -q ^SCTP /proc/net/protocols",
        "ipcache": "cilium-dbg bpf ipcache list 2>/dev/null",
        "identities": "cilium-dbg identity list -o json 2>/dev/null",
    },
)


class Cilium:
    """See `clusters.kube.cni.Cni`."""

    name = "cilium"
    knows_labels = True
    cuts: Mapping[Kind, CutManifest] = {**CUTS, **ADMIN_CUTS}
    beside: Mapping[Kind, CutManifest] = {}
    idle: frozenset[Kind] = frozenset()

    def __init__(
        self,
        api: Api,
        version: str,
        features: frozenset[str] = frozenset(),
        denies: str = "drop",
        enforces: bool = True,
        *,
        hubble: bool = True,
    ) -> None:
        self._api = api
        self._agents = Agents(api, SCRIPT)
        self.version = version
        self.features = features
        self.denies = denies
        self.enforces = enforces
        self._hubble = hubble

    # -- identities ------------------------------------------------------------------------------------

    def relabelled(self, changes: Mapping[str, LabelChange], nodes: Sequence[str]) -> None:
        """Wait until each pod's endpoint has an identity with exactly its labels, and every agent knows it.

        The endpoint's object shows what the agent of its own node knows; the others learn it from there.

        Raises:
            ClusterError: One did not get it in time.
        """
        deadline = time.monotonic() + IDENTITY_SECONDS
        identities: dict[str, int] = {}
        for pod, change in changes.items():
            # A new pod's identity is made of its labels, or of those of them that Cilium is told to look at;
            # the labels of changes have to be seen.
            wanted, unwanted = (set[str](), set[str]()) if change.new else identity_labels(change)
            if not (wanted or unwanted or change.new):
                continue
            while True:
                found = self._identity(pod)
                if found.has(change.place.addresses, wanted, unwanted):
                    break
                if time.monotonic() > deadline:
                    raise ClusterError(f"Cilium gave pod {pod} no identity for its new labels in time")
                _pause()
            identities |= dict.fromkeys(change.place.addresses, found.number)
        for node in nodes:
            self._await_known(node, identities, deadline)

    def _await_known(self, node: str, identities: Mapping[str, int], deadline: float) -> None:
        """Wait until the agent of a node has the addresses mapped to identities that it knows."""
        trouble = ""
        while self.knows_labels:
            try:
                found = mapped(self._agents.ask(node, "ipcache"))
                known = numbers(self._agents.ask(node, "identities"))
                late = [
                    address
                    for address, number in identities.items()
                    if found.get(address) != number or number not in known
                ]
                if not late:
                    return
                trouble = f"the Cilium agent of {node} did not learn the identity of {late[0]} in time"
            except (AgentError, RefusedError) as failed:
                # It may be starting anew. Who cannot be asked at all leaves labels to the canaries.
                trouble = ""
                if isinstance(failed, AgentError) and failed.denied:
                    self.knows_labels = False
            if time.monotonic() > deadline:
                if trouble:
                    raise ClusterError(trouble)
                self.knows_labels = False
            _pause()

    def _identity(self, pod: str) -> Identity:
        namespace, name = pod.split("/")
        try:
            found = self._api.get(_ENDPOINTS.format(namespace, name))
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            found = {}
        return identity_of(found)

    # -- policies --------------------------------------------------------------------------------------

    def settle(
        self,
        marks: Callable[[], Sequence[Mark]],
        pods: Mapping[str, PodPlace],
        policies: Sequence[Policy],
        gone: Sequence[Policy],
    ) -> Signal:
        """Wait until each agent has the marks and each endpoint has realised the revision that has them.

        An agent takes objects of one kind in the order in which the API server tells of them, so whoever
        has a kind's mark has what came before it. Except what Cilium refuses: so each policy has to be there.
        """
        by_node: dict[str, set[str]] = {}
        for pod, place in pods.items():
            by_node.setdefault(place.node, set()).add(pod)
        deadline = time.monotonic() + REALISE_SECONDS

        def one(node: str) -> str:
            return self._realised(node, marks, by_node[node], policies, gone, deadline)

        try:
            with ThreadPoolExecutor(min(16, len(by_node)) or 1) as pool:
                troubles = [trouble for trouble in pool.map(one, sorted(by_node)) if trouble]
        except (AgentError, RefusedError) as trouble:
            return Signal(f"Cilium's agents could not be asked ({trouble})", self._refused(policies))
        troubles += [text for text in (self._refused(policies),) if text]
        if troubles:
            return Signal(trouble="; ".join(dict.fromkeys(troubles)))
        count = len(by_node)
        return Signal(f"policy revision realised on {count} node{'s' if count > 1 else ''}", sure=True)

    def _refused(self, policies: Sequence[Policy]) -> str:
        """Which policy the API server took and Cilium did not, with Cilium's reason; empty when none."""
        for policy in policies:
            if policy.dialect == "cilium":
                path = self._api.resource(policy.api_version, policy.kind).path(policy.namespace, policy.name)
                reason = invalid(self._api.get(path))
                if reason:
                    return f"Cilium refused {policy}: {reason}"
        return ""

    def _realised(
        self,
        node: str,
        marks: Callable[[], Sequence[Mark]],
        pods: set[str],
        policies: Sequence[Policy],
        gone: Sequence[Policy],
        deadline: float,
    ) -> str:
        """Why the agent of a node or one of its endpoints is behind; empty once they are not."""
        while True:
            revision, known = taken_in(self._agents.ask(node, "policy"))
            lacking = next((policy for policy in policies if _is_in(policy, known) is False), None)
            staying = next((policy for policy in gone if _is_in(policy, known)), None)
            turned = [mark for mark in marks() if (_key(mark) in known) is not mark.present]
            if not (lacking or staying or turned):
                break
            refused = self._refused(policies) if lacking else ""
            if refused:
                return refused
            if time.monotonic() > deadline:
                what = f"of {lacking}" if lacking else f"that {staying} is gone" if staying else ""
                return self._behind(node, what or f"of the last {turned[0].kind} change")
            _pause()
        while True:
            rows = {row.pod: row for row in endpoints(self._agents.ask(node, "endpoints"))}
            late = [rows.get(pod) or Endpoint(pod, 0, "unknown to the agent") for pod in sorted(pods)]
            late = [row for row in late if row.revision < revision or row.state != "ready"]
            if not late:
                return ""
            if time.monotonic() > deadline:
                row = late[0]
                more = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
                return (
                    f"the endpoint of {row.pod} on {node} has realised policy revision {row.revision} of "
                    f"{revision} after {REALISE_SECONDS:.0f} s, its state is {row.state}{more}"
                )
            _pause()

    def _behind(self, node: str, what: str) -> str:
        text = f"the Cilium agent of {node} does not know {what}"
        stuck = [row for row in endpoints(self._agents.ask(node, "endpoints")) if row.state != "ready"]
        return text + (f"; its endpoint of {stuck[0].pod} is {stuck[0].state}" if stuck else "")

    # -- evidence --------------------------------------------------------------------------------------

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """What Hubble recorded of the probe on the nodes of both sides, and how their endpoints stand.

        Where Hubble is off, the agents print what becomes of packets while the probe is sent.
        """
        nodes = sorted({node for question in questions for node in question.nodes})
        flows: dict[str, list[Flow]] = {}
        rows: dict[str, dict[str, Endpoint]] = {}
        try:
            for node in nodes:
                rows[node] = {row.pod: row for row in endpoints(self._agents.ask(node, "endpoints"))}
        except (AgentError, RefusedError) as trouble:
            return [(f"Cilium's agents could not be asked: {printable(str(trouble))}",)] * len(questions)
        whole = range(len(questions))
        if self._hubble:
            who, sent = "Hubble", send(whole)
            silent = self._recorded(flows, nodes, questions, sent, deadline)
        else:
            who = "cilium-dbg monitor"
            sent, flows, silent = monitor.watch(self._agents, nodes, lambda: send(whole))
        found = []
        for index, question in enumerate(questions):
            lines = [
                printable(f"{who} on {node}: {flow.said} {flow.source} -> {flow.destination}")
                for node in question.nodes
                for flow in flows.get(node, ())
                if index in sent and flow.of(sent[index])
            ]
            lines = list(dict.fromkeys(lines)) or [printable(silent) or f"{who} has no verdict on the probe"]
            pods = {question.source: question.source_place, **question.destinations}
            for pod, place in pods.items():
                row = rows[place.node].get(pod)
                if row is not None:
                    text = f"policies enforced: {row.enforced}, revision {row.revision}, {row.state}"
                    lines.append(printable(f"endpoint of {pod} on {place.node}: {text}"))
            found.append(tuple(lines))
        return found

    def _recorded(
        self,
        flows: dict[str, list[Flow]],
        nodes: Sequence[str],
        questions: Sequence[Question],
        sent: Mapping[int, Sent],
        deadline: float,
    ) -> str:
        """Read Hubble's records until each probe is in them; why they cannot be read, or empty."""
        deadline = min(deadline, time.monotonic() + RECORD_SECONDS)
        while True:
            try:
                for node in nodes:
                    flows[node] = list(read_flows(self._agents.ask(node, "flows")))
            except (AgentError, RefusedError) as trouble:
                return f"Hubble could not be asked: {printable(str(trouble))}"
            known = [flow for found in flows.values() for flow in found]
            if all(any(flow.of(one) for flow in known) for one in sent.values() if one.local):
                return ""
            if time.monotonic() > deadline:
                return ""
            _pause()

    def close(self) -> None:
        """Close the streams to the agents."""
        self._agents.close()


def _key(mark: Mark) -> tuple[str, str, str]:
    return mark.kind, mark.namespace, mark.name


def _is_in(policy: Policy, known: set[tuple[str, str, str]]) -> bool | None:
    """Whether an agent has a policy; None where the kind's rules do not name the object that they came of."""
    if (policy.api_version, policy.kind) not in (*CUTS, NETWORK_POLICY):
        return None
    return (policy.kind, policy.namespace, policy.name) in known


def _pause() -> None:
    select.select([], [], [], _LOOK)
