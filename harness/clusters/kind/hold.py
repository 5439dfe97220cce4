"""A kind cluster's end: what a run does with the cluster that it used."""

from __future__ import annotations

from dataclasses import dataclass

from harness.clusters.kind.cni import Say
from harness.clusters.kind.maker import Maker
from harness.clusters.kind.store import Use
from harness.engine.cluster import ClusterError


@dataclass(frozen=True, slots=True)
class Hold:
    """A run's hold on a kind cluster.

    Attributes:
        maker: Makes and removes clusters.
        name: The cluster's name.
        use: The lock that the run holds.
        made: The run made the cluster.
        keep: It shall stay.
        say: Takes a line of progress.
    """

    maker: Maker
    name: str
    use: Use
    made: bool
    keep: bool
    say: Say

    def end(self) -> None:
        """Let go of the cluster, and take it down where the run made it; never raises."""
        later = f"`netcheck cluster down {self.name}` takes it down"
        try:
            if self.made and self.keep:
                self.maker.keep(self.name)
                self.say(f"kept: kind cluster {self.name}; {later}")
            elif self.made and not self.use.alone():
                self.say(f"kind cluster {self.name} stays, for another run uses it; {later}")
            elif self.made:
                self.say(f"taking down kind cluster {self.name}")
                self.maker.take_down(self.name)
        except ClusterError as trouble:
            self.say(f"kind cluster {self.name} may be left over: {trouble}; {later}")
        finally:
            self.use.release()
