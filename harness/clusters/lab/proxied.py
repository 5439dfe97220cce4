"""The master's side of the proxy: it is opened when rules first need it, and its table changes with nft's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.clusters.lab import steering
from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.link import Processes
from harness.clusters.lab.proxy_table import has_applications, make_table
from harness.clusters.resolve import node_place
from harness.engine.cluster import ClusterError
from harness.model.personality import GENERIC, Personality
from harness.model.rules import Stage
from harness.model.topology import Topology

_SHARE = 0.75
"""The part of the time that a probe may take which the proxy may stand still; the rest is for the others."""


class Proxied:
    """What a world has to do with its proxy.

    Attributes:
        ruleset: The table of every node that steers connections to the proxy; empty until rules need one.
            It stays then, because connections outlive rules.
    """

    def __init__(self, processes: Processes, personality: Personality = GENERIC) -> None:
        self.ruleset = ""
        self._processes = processes
        self._personality = personality
        self._open: set[str] = set()

    def prepare(
        self, stages: Sequence[Stage], topology: Topology, addressing: Addressing
    ) -> Mapping[str, Sequence[Sequence[str]]]:
        """Give the proxy the rules that are about to come into force.

        Returns:
            Elements that the sets of names must have from the beginning, by set.

        Raises:
            ClusterError: It cannot use them, or is gone.
        """
        if not self.ruleset and not has_applications(stages):
            return {}
        self.ruleset = self.ruleset or steering.ruleset()
        places = [node_place(node) for node in addressing.nodes if node_place(node) not in self._open]
        if places:
            marks = (steering.LOCAL_MARK, steering.LOCAL_TABLE)
            operations = [["divert", place, *marks] for place in places]
            self._processes.keeper.ask({"op": "build", "operations": operations})
            self._processes.proxy.ask({"op": "open", "places": places})
            self._open.update(places)
        table = make_table(stages, topology, addressing, self._personality)
        answer = self._processes.proxy.ask(table)
        learned: Mapping[str, Sequence[Sequence[str]]] = answer["learned"]
        return learned

    def commit(self) -> None:
        """The rules are in force in nft; now they are in the proxy, too."""
        if self.ruleset:
            self._processes.proxy.ask({"op": "swap"})

    def check(self, since: float) -> float:
        """Make sure that the proxy is alive and has served what it was sent: else nothing measured counts.

        Args:
            since: When the measurement began, on the clock of `time.monotonic`.

        Returns:
            Seconds for which the proxy has stood still since then, at most.

        Raises:
            ClusterError: It is gone, or could not do its work.
        """
        if not self.ruleset:
            return 0.0
        answer = self._processes.proxy.ask({"op": "troubles", "since": since})
        if answer["troubles"]:
            raise ClusterError(f"the lab's proxy failed: {'; '.join(answer['troubles'])}")
        return float(answer["stood"])


def overdue(stood: float, timeout: float) -> bool:
    """Whether somebody who waited for the proxy may have given up because it stood still."""
    return stood > timeout * _SHARE


def stood_still(stood: float) -> ClusterError:
    """What to say of a measurement that the proxy has spoilt."""
    return ClusterError(
        f"the lab's proxy stood still for {stood:.1f} s while it was asked",
        "this machine is too busy: run fewer scenarios at a time (--jobs), or raise connectTimeout",
    )
