"""A turn of the canaries, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.clusters.kube.cni import Mark


@dataclass(frozen=True, slots=True)
class Turn:
    """The canaries were cut, or uncut.

    Attributes:
        number: Turns of a run are counted.
        began: When, on the monotonic clock.
        marks: The objects that came or went.
        trouble: Why there could be no turn after what was changed; empty when there was one.
        reach: The policies of the user's that stand and belong to no namespace, in words: they may have a
            part in what the canaries show. None where the scenario has none at any time.
        labels: Among the changes are labels, which only the canaries show.
        missed: An earlier turn that belongs to it was waited for in vain, so that it proves nothing.
    """

    number: int = 0
    began: float = 0.0
    marks: tuple[Mark, ...] = ()
    trouble: str = ""
    reach: tuple[str, ...] | None = None
    labels: bool = False
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a turn.

    Attributes:
        by: In words, how it is known that it is in force.
        trouble: Why that is not known; empty when it is.
        enforced: False where no canary policy has any effect.
    """

    by: str
    trouble: str = ""
    enforced: bool = True
