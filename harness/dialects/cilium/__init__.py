"""Cilium's own policies, `cilium.io/v2` (semantics.md 3.3)."""

from harness.dialects.carried import Carried

_API = "cilium.io/v2"


class Cilium(Carried):
    """CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy."""

    def __init__(self) -> None:
        kinds = {(_API, "CiliumNetworkPolicy"): True, (_API, "CiliumClusterwideNetworkPolicy"): False}
        super().__init__("cilium", "Cilium", kinds, ("spec", "specs"))


__all__ = ["Cilium"]
