"""Calico's own policies, `projectcalico.org/v3` (semantics.md 3.4)."""

from harness.dialects.carried import Carried

_API = "projectcalico.org/v3"
_NAMESPACED = ("NetworkPolicy", "NetworkSet", "StagedNetworkPolicy", "StagedKubernetesNetworkPolicy")
_GLOBAL = ("GlobalNetworkPolicy", "GlobalNetworkSet", "StagedGlobalNetworkPolicy", "Tier")


class Calico(Carried):
    """Policies, network sets and tiers as the API server of Calico serves them."""

    def __init__(self) -> None:
        kinds = {(_API, kind): True for kind in _NAMESPACED} | {(_API, kind): False for kind in _GLOBAL}
        super().__init__("calico", "Calico", kinds, ("spec",))


__all__ = ["Calico"]
