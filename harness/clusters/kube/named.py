"""Externals that exist: real addresses that the user names. Nothing of netcheck's runs there.

What can be judged without a receipt is little: that a TCP connection or an echo request was answered, or that
it was not although the control was and a pod that no policy selects is answered still. The rest is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.clusters.kube.outside import Externals, NoExternals
from harness.engine.cluster import ClusterError, UnsupportedError
from harness.model.scenario import Scenario
from harness.model.topology import External

LOOKUP_SECONDS = 10.0


class Named:
    """See `clusters.kube.outside.Outside`.

    Args:
        addresses: By the external's name; scenarios have been told of them before.
    """

    features = frozenset({"external", "external-names"})
    advice = ""

    def __init__(self, addresses: Mapping[str, tuple[str, ...]]) -> None:
        self._addresses = addresses

    def prepare(self, scenarios: Sequence[Scenario], run: str) -> None:
        """They are there already."""

    def open(self, world: str, run: str, externals: Mapping[str, External]) -> Externals:
        """Check that each has an address here.

        Raises:
            UnsupportedError: One has none.
            ClusterError: The scenario has another address for it.
        """
        for external in externals.values():
            known = self._addresses.get(external.name)
            if known is None:
                raise UnsupportedError(
                    f"external {external.name} has no address on this cluster: "
                    f"name one with --external {external.name}=ADDRESS"
                )
            if not set(external.addresses.values()) <= set(known):
                raise ClusterError(f"external {external.name} is not at {', '.join(known)} in the scenario")
        return _Named(
            {name: tuple(each.addresses.values()) for each in externals.values() for name in each.names}
        )

    def close(self) -> None:
        """There is nothing to take away."""


class _Named(NoExternals):
    patience = LOOKUP_SECONDS
    advice = "leave the name out of the scenario, or have the cluster's DNS know it"

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.names = names
