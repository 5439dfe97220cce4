"""Runs side by side on one cluster: worlds beside each other, but alone where policies reach all of it.

Whoever has a policy without a namespace takes a Lease that only one can have, which keeps further worlds of
others out, and waits until theirs are closed. Who opens a world says so first and looks then; whoever wants
the cluster alone takes it first and looks then: one of the two sees the other. Who wants it has no worlds.
"""

from __future__ import annotations

import threading
import time

from harness.clusters.kube.api import Api
from harness.clusters.kube.leftovers import standing_wide
from harness.clusters.kube.presence import NONE, OPEN, WAITING, Neighbour, Presence
from harness.engine.cluster import ClusterError, Waits

PATIENCE = 900.0
"""Seconds that other runs may keep a world waiting."""

POLL = 0.5
YIELD = 3.0
"""Seconds that a run leaves to those who waited while it had the cluster alone."""


class Stay:
    """One world's time on the cluster.

    Attributes:
        alone: It has the cluster for itself.
        doubtful: Policies that stood before may be in force for a moment yet.
    """

    def __init__(self, tenancy: Tenancy, *, alone: bool, doubtful: bool) -> None:
        self._tenancy = tenancy
        self.alone = alone
        self.doubtful = doubtful

    def check(self) -> None:
        """What was just measured is this run's own doing.

        Raises:
            ClusterError: That cannot be said.
        """
        self._tenancy.check()

    def end(self, *, standing: str = "", doubt: bool = False) -> None:
        """The world is gone.

        Args:
            standing: Why policies of it that reach the whole cluster still stand; empty when none do.
            doubt: They are deleted, but not known to be out of force.

        Raises:
            ClusterError: The others cannot be told.
        """
        self._tenancy.ended(self, standing=standing, doubt=doubt)


class _Patience:
    """How long one world waits for others, and whom the user was told of.

    Args:
        seconds: At most.
        waits: Is told of each run that is waited for.
        stopped: The user has stopped waiting.
    """

    def __init__(self, seconds: float, waits: Waits, stopped: threading.Event) -> None:
        self._seconds = seconds
        self._waits = waits
        self._stopped = stopped
        self._end = time.monotonic() + seconds
        self._told: set[str] = set()

    def pause(self, other: Neighbour, why: str = "") -> None:
        """Wait for a moment.

        Raises:
            ClusterError: It was long enough.
        """
        if time.monotonic() > self._end:
            raise ClusterError(
                f"the cluster was not free within {self._seconds:.0f} s: run {other.run} is there{why}",
                "wait for it; if it was killed: netcheck cleanup",
            )
        if other.run not in self._told:
            self._told.add(other.run)
            self._waits(f"run {other.run}{why}")
        if self._stopped.wait(POLL):
            raise ClusterError("stopped while another run had the cluster")


class Tenancy:
    """One run's place on a cluster that it shares; used from any thread.

    Args:
        api: The API server.
        patience: Seconds to wait for other runs.
    """

    def __init__(self, api: Api, patience: float = PATIENCE) -> None:
        self._api = api
        self._patience = patience
        self._lock = threading.Lock()
        self._presence: Presence | None = None
        self._open = 0
        self._held = False
        self._standing = ""
        self._doubt = False
        self.stopped = threading.Event()

    def arrive(self, run: str) -> Presence:
        """Show that the run is there, before it makes anything.

        Raises:
            ApiError: That cannot be shown.
        """
        with self._lock:
            if self._presence is None:
                self._presence = Presence(self._api, run)
            return self._presence

    def enter(self, run: str, waits: Waits, *, alone: bool) -> Stay:
        """Wait until a world may be opened.

        Args:
            run: Id of the run.
            waits: Is told once for each run that is waited for.
            alone: Its policies may reach the whole cluster; no other world of this run is open then.

        Raises:
            ClusterError: Other runs do not let it, or the user has stopped waiting.
        """
        presence = self.arrive(run)
        if self._standing:
            raise ClusterError(f"policies of an earlier scenario reach the whole cluster: {self._standing}")
        patience = _Patience(self._patience, waits, self.stopped)
        try:
            self._let_others_in(presence)
            waited = (self._alone if alone else self._beside)(presence, patience)
        except BaseException:
            with self._lock:
                if not self._open:
                    presence.say(NONE)
            raise
        with self._lock:
            doubtful, self._doubt = self._doubt or waited, False
        return Stay(self, alone=alone, doubtful=doubtful)

    def _beside(self, presence: Presence, patience: _Patience) -> bool:
        """Open a world beside those of others; whether it had to wait."""
        waited = False
        while True:
            with self._lock:
                if not self._open:
                    presence.say(OPEN)
                holder = presence.look().alone
                if holder is None:
                    self._open += 1
                    return waited
                if not self._open:
                    presence.say(WAITING)
            waited = True
            while holder is not None:
                # Only a look meanwhile: who wants it alone must not find a world that is none.
                self._wait(presence, holder, patience)
                holder = presence.look().alone

    def _alone(self, presence: Presence, patience: _Patience) -> bool:
        """Have the cluster alone; whether it had to wait."""
        waited = False
        while not presence.take():
            if not waited:
                presence.say(WAITING)
            waited = True
            self._wait(presence, presence.look().alone, patience)
        try:
            if waited:
                presence.say(NONE)
            while others := [item for item in presence.look().runs if item.alive and item.state == OPEN]:
                waited = True
                patience.pause(others[0])
        except BaseException:
            presence.drop()
            raise
        self._held = True
        return waited

    def _wait(self, presence: Presence, holder: Neighbour | None, patience: _Patience) -> None:
        """Wait for a moment until a holder is gone; one that is over is taken away.

        Raises:
            ClusterError: There is no use in waiting.
        """
        if holder is None:
            return
        if holder.alive:
            patience.pause(holder, ", which has it alone: its policies reach all of it")
            return
        left = standing_wide(self._api, holder.run)
        if left:
            raise ClusterError(
                f"run {holder.run} is over and has left policies that reach the whole cluster: "
                f"{', '.join(left)}",
                f"netcheck cleanup --run {holder.run}",
            )
        presence.drop(holder)

    def _let_others_in(self, presence: Presence) -> None:
        """Whoever has had the cluster alone takes it again only after those who waited for it."""
        if not self._held:
            return
        self._held = False
        end = time.monotonic() + YIELD
        while any(item.alive and item.state == WAITING for item in presence.look().runs):
            if time.monotonic() > end or self.stopped.wait(POLL / 5):
                return

    def check(self) -> None:
        """See `Stay.check`."""
        if self._presence is not None:
            self._presence.check()

    def ended(self, stay: Stay, *, standing: str, doubt: bool) -> None:
        """See `Stay.end`."""
        presence = self._presence
        assert presence is not None, "a world is entered before it ends"
        with self._lock:
            self._doubt = self._doubt or doubt
            if not stay.alone:
                self._open -= 1
                if not self._open:
                    presence.say(NONE)
            elif standing:
                # Nobody may be judged beside them, this run's own scenarios neither.
                self._standing = standing
            else:
                presence.drop()

    def close(self) -> None:
        """The run is over.

        Raises:
            ApiError: Its Lease cannot be removed.
        """
        if self._presence is not None:
            self._presence.leave()
