"""What an installed Calico can do: its version, what the API server serves, and its FelixConfiguration."""

from __future__ import annotations

from harness.clusters.kube.api import Api
from harness.cni.agents import AgentError, Agents, RefusedError, first_node
from harness.cni.calico.driver import SCRIPT, Calico
from harness.cni.features import at_least, read, served

_FELIX = "/apis/crd.projectcalico.org/v1/felixconfigurations/default"


def found(api: Api, version: str) -> Calico:
    """The driver of a Calico of this version."""
    features = set(served(api, "calico-policies"))
    if features:
        features |= served(api, "tiers")
        if at_least(version, 3, 30):
            features |= served(api, "staged")
    # AdminNetworkPolicy came with 3.29 and went with 3.32, when ClusterNetworkPolicy came (semantics.md 3.2).
    if at_least(version, 3, 29):
        features |= served(api, "admin")
    agents = Agents(api, SCRIPT)
    try:
        agents.ask(first_node(api), "sctp")
        features.add("sctp")
    except (AgentError, RefusedError):
        pass
    finally:
        agents.close()
    felix = read(api, _FELIX).get("spec") or {}
    actions = {felix.get("iptablesFilterDenyAction"), felix.get("nftablesFilterDenyAction")}
    return Calico(api, version, frozenset(features), "reject" if "Reject" in actions else "drop")
