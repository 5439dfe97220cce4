"""Cilium: identities of relabelled pods, and the policy revision that each endpoint has realised."""

from __future__ import annotations

import json
import re
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.cni import CutManifest, Kind, LabelChange, Mark, PodPlace, Question, Sent, Signal
from harness.cni.agents import AgentError, Agents, RefusedError, Script
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
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
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
        "envoy": "command -v cilium-envoy-starter || command -v cilium-envoy",
        "sctp": "grep -q ^SCTP /proc/net/protocols",
        "ipcache": 'cilium-dbg bpf ipcache get "$1"',
        "identity": 'cilium-dbg identity get "$1" -o json',
    },
)
_NO_IDENTITY = re.compile(r"(?!app\.kubernetes\.io/)(?:[a-z0-9.-]*\.)?(?:kubernetes|k8s)\.io/.*")
"""Labels that are no part of identities unless Cilium is told so (its default label filter)."""


class Cilium:
    """See `clusters.kube.cni.Cni`."""

    name = "cilium"
    knows_labels = True
    cuts: Mapping[Kind, CutManifest] = CUTS

    def __init__(
        self,
        api: Api,
        version: str,
        features: frozenset[str] = frozenset(),
        denies: str = "drop",
        enforces: bool = True,
    ) -> None:
        self._api = api
        self._agents = Agents(api, SCRIPT)
        self.version = version
        self.features = features
        self.denies = denies
        self.enforces = enforces

    # -- identities ------------------------------------------------------------------------------------

    def relabelled(self, changes: Mapping[str, LabelChange], nodes: Sequence[str]) -> None:
        """Wait until each pod's endpoint has an identity with exactly its labels, and every agent knows it.

        The endpoint's object shows what the agent of its own node knows; the others learn it from there.

        Raises:
            ClusterError: One did not get it in time.
        """
        deadline = time.monotonic() + IDENTITY_SECONDS
        for pod, change in changes.items():
            wanted, unwanted = _identity_labels(change)
            if not wanted and not unwanted:
                continue
            while True:
                identity, labels = self._identity(pod)
                if wanted <= labels and not any(each.startswith(key) for each in labels for key in unwanted):
                    break
                if time.monotonic() > deadline:
                    raise ClusterError(f"Cilium gave pod {pod} no identity for its new labels in time")
                _pause()
            for node in nodes:
                self._await_known(node, identity, change.place, pod, deadline)

    def _await_known(self, node: str, identity: int, place: PodPlace, pod: str, deadline: float) -> None:
        """Wait until the agent of a node maps the pod's addresses to its identity."""
        while True:
            try:
                self._agents.ask(node, "identity", str(identity))
                if all(
                    f"identity={identity} " in self._agents.ask(node, "ipcache", address)
                    for address in place.addresses
                ):
                    return
            except RefusedError:
                pass  # not known yet
            except AgentError:
                return  # no right to ask: the endpoint's object has to do
            if time.monotonic() > deadline:
                raise ClusterError(f"the Cilium agent of {node} did not learn {pod}'s new identity in time")
            _pause()

    def _identity(self, pod: str) -> tuple[int, set[str]]:
        namespace, name = pod.split("/")
        try:
            found = self._api.get(_ENDPOINTS.format(namespace, name))
        except ApiError as trouble:
            if trouble.status != 404:
                raise
            return 0, set()
        identity = found.get("status", {}).get("identity", {})
        return int(identity.get("id", 0)), set(identity.get("labels", ()))

    # -- policies --------------------------------------------------------------------------------------

    def settle(
        self, marks: Sequence[Mark], pods: Mapping[str, PodPlace], policies: Sequence[Policy]
    ) -> Signal:
        """Wait until each agent has the marks and each endpoint has realised the revision that has them.

        An agent takes objects of one kind in the order in which the API server tells of them, so whoever
        has a kind's mark has what came before it.
        """
        by_node: dict[str, set[str]] = {}
        for pod, place in pods.items():
            by_node.setdefault(place.node, set()).add(pod)
        deadline = time.monotonic() + REALISE_SECONDS

        def one(node: str) -> str:
            return self._realised(node, marks, by_node[node], deadline)

        try:
            with ThreadPoolExecutor(min(16, len(by_node)) or 1) as pool:
                troubles = [trouble for trouble in pool.map(one, sorted(by_node)) if trouble]
        except (AgentError, RefusedError) as trouble:
            return Signal(f"Cilium's agents could not be asked ({trouble})", self._refused(policies))
        troubles += [text for text in (self._refused(policies),) if text]
        if troubles:
            return Signal(trouble="; ".join(troubles))
        count = len(by_node)
        return Signal(f"policy revision realised on {count} node{'s' if count > 1 else ''}", sure=True)

    def _refused(self, policies: Sequence[Policy]) -> str:
        """Which policy the API server took and Cilium did not, with Cilium's reason; empty when none."""
        for policy in policies:
            if policy.dialect == "cilium":
                path = self._api.resource(policy.api_version, policy.kind).path(policy.namespace, policy.name)
                reason = _invalid(self._api.get(path))
                if reason:
                    return f"Cilium refused {policy}: {reason}"
        return ""

    def _realised(self, node: str, marks: Sequence[Mark], pods: set[str], deadline: float) -> str:
        while True:
            revision, known = _policies(self._agents.ask(node, "policy"))
            missing = [mark for mark in marks if (_key(mark) in known) is not mark.present]
            if not missing:
                break
            if time.monotonic() > deadline:
                text = f"the Cilium agent of {node} does not know of the last {missing[0].kind} change"
                stuck = [
                    row for row in _endpoints(self._agents.ask(node, "endpoints")) if row.state != "ready"
                ]
                return text + (f"; its endpoint of {stuck[0].pod} is {stuck[0].state}" if stuck else "")
            _pause()
        while True:
            late = [
                row
                for row in _endpoints(self._agents.ask(node, "endpoints"))
                if row.pod in pods and (row.revision < revision or row.state != "ready")
            ]
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

    # -- evidence --------------------------------------------------------------------------------------

    def evidence(
        self,
        questions: Sequence[Question],
        send: Callable[[Sequence[int]], Mapping[int, Sent]],
        deadline: float,
    ) -> list[tuple[str, ...]]:
        """What Hubble recorded of the probe on the nodes of both sides, and how their endpoints stand."""
        sent = send(range(len(questions)))
        nodes = sorted({node for question in questions for node in question.nodes})
        flows: dict[str, list[Flow]] = {}
        rows: dict[str, dict[str, _Endpoint]] = {}
        try:
            for node in nodes:
                rows[node] = {row.pod: row for row in _endpoints(self._agents.ask(node, "endpoints"))}
        except (AgentError, RefusedError) as trouble:
            return [(f"Cilium's agents could not be asked: {printable(str(trouble))}",)] * len(questions)
        silent = self._recorded(flows, nodes, questions, sent, deadline)
        found = []
        for index, question in enumerate(questions):
            lines = [
                printable(f"Hubble on {node}: {flow.said} {flow.source} -> {flow.destination}")
                for node in question.nodes
                for flow in flows.get(node, ())
                if index in sent and flow.of(sent[index])
            ]
            lines = list(dict.fromkeys(lines)) or [silent or "Hubble has no verdict on the probe"]
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


@dataclass(frozen=True, slots=True)
class _Endpoint:
    pod: str
    revision: int
    state: str
    enforced: str = ""


def _identity_labels(change: LabelChange) -> tuple[set[str], set[str]]:
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


def _invalid(policy: Mapping[str, Any]) -> str:
    """Why a policy object is not valid, by its condition; empty when it is, or nothing is said yet."""
    for condition in (policy.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Valid" and condition.get("status") == "False":
            return str(condition.get("message") or "it is not valid")
    return ""


def _key(mark: Mark) -> tuple[str, str, str]:
    return mark.kind, mark.namespace, mark.name


def _policies(text: str) -> tuple[int, set[tuple[str, str, str]]]:
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


def _endpoints(text: str) -> Iterator[_Endpoint]:
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) == 4 and words[1].isdigit():
            yield _Endpoint(words[0], int(words[1]), words[2], words[3])


def _pause() -> None:
    select.select([], [], [], _LOOK)
