"""What an installed Cilium can do: its ConfigMap, what the API server serves, and whether Envoy is there."""

from __future__ import annotations

from collections.abc import Mapping

from harness.clusters.kube.api import Api
from harness.cni.agents import AgentError, Agents, RefusedError, first_node
from harness.cni.cilium.driver import SCRIPT, Cilium
from harness.cni.features import at_least, read, served


def found(api: Api, namespace: str, version: str) -> Cilium:
    """The driver of the Cilium whose daemon set stands in `namespace`."""
    data = read(api, f"/api/v1/namespaces/{namespace}/configmaps/cilium-config").get("data") or {}

    def on(key: str, default: str) -> bool:
        return _on(data, key, default)

    features = set(served(api, "cilium-policies"))
    if features and on("enable-l7-proxy", "true"):
        features |= {"l7-dns", "fqdn"}
        if _envoy(api, namespace, external=on("external-envoy-proxy", "false")):
            features.add("l7-http")
    if features:
        features |= switched_on(data)
    if "l7-http" in features:
        features |= behind_envoy(data)
    if at_least(version, 1, 20) and on("enable-k8s-cluster-network-policy", "false"):
        features |= served(api, "admin")
    agents = Agents(api, SCRIPT)
    try:
        # What the kernel lacks no plugin can give; one node speaks for all, as they are usually alike.
        if on("enable-sctp", "false") and _asked(agents, api, "sctp"):
            features.add("sctp")
    finally:
        agents.close()
    audit = on("policy-audit-mode", "false")
    never = data.get("enable-policy") == "never"
    # With `icmp` what a pod sends is refused at once, what it receives is still dropped (seen on 1.19).
    denies = "drop and reject" if data.get("policy-deny-response") == "icmp" else "drop"
    # The chart says so; an agent that is told nothing keeps no records.
    hubble = on("enable-hubble", "false")
    return Cilium(api, version, frozenset(features), denies, not (audit or never), hubble=hubble)


def switched_on(data: Mapping[str, object]) -> set[str]:
    """Features of policies that a stock Cilium lacks, and that its ConfigMap alone switches on."""
    found = set()
    if _on(data, "enable-node-selector-labels", "false"):
        found.add("node-selectors")
    # Without SPIRE nothing proves an identity, and what must be authenticated is dropped.
    if _on(data, "mesh-auth-enabled", "false") and _on(data, "mesh-auth-mutual-enabled", "false"):
        found.add("mutual-auth")
    return found


def behind_envoy(data: Mapping[str, object]) -> set[str]:
    """What rules may hand to Envoy beside HTTP rules, where there is one."""
    found = set()
    # The operator copies secrets to where agents may read them; without that only a wider role lets them.
    if _on(data, "enable-policy-secrets-sync", "false"):
        found.add("l7-secrets")
    if _on(data, "enable-envoy-config", "false"):
        found.add("envoy-listeners")
    return found


def _on(data: Mapping[str, object], key: str, default: str) -> bool:
    return str(data.get(key, default)).lower() == "true"


def _envoy(api: Api, namespace: str, *, external: bool) -> bool:
    """Whether the proxy that enforces HTTP rules is there: its daemon set, or the program in the agent."""
    if external:
        daemon = read(api, f"/apis/apps/v1/namespaces/{namespace}/daemonsets/cilium-envoy")
        return int(daemon.get("status", {}).get("numberReady", 0)) > 0
    agents = Agents(api, SCRIPT)
    try:
        return _asked(agents, api, "envoy")
    finally:
        agents.close()


def _asked(agents: Agents, api: Api, word: str) -> bool:
    """Whether an agent says yes; one that cannot be asked does not."""
    try:
        agents.ask(first_node(api), word)
    except (AgentError, RefusedError):
        return False
    return True
