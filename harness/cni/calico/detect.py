"""What an installed Calico can do: its version, what the API server serves, and its FelixConfiguration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clusters.kube.api import Api
from harness.cni.agents import AgentError, Agents, RefusedError, first_node
from harness.cni.calico import flows
from harness.cni.calico.driver import SCRIPT, Calico
from harness.cni.features import at_least, read, served

_FLUSH = "5m0s"
"""FelixConfiguration's default."""

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
    denies = "reject" if "Reject" in actions else "drop"
    return Calico(api, version, frozenset(features), denies, flush=_flush(version, felix))


def _flush(version: str, felix: Mapping[str, Any]) -> float:
    """Seconds between entries of the flow log that a node keeps for a look; 0 when it keeps none."""
    if not at_least(version, 3, 30) or felix.get("flowLogsLocalReporter") != "Enabled":
        return 0.0
    return flows.seconds(str(felix.get("flowLogsFlushInterval", _FLUSH))) or flows.seconds(_FLUSH)
