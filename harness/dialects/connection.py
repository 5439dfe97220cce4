"""One connection on paper, and what the policies of a dialect say about it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from harness.model.personality import GENERIC, Personality
from harness.model.prediction import Answer, possible
from harness.model.probe import Request, SourceKind
from harness.model.rules import Direction, Origin
from harness.model.topology import Family, Protocol
from harness.model.verdict import Verdict

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection.

    Attributes:
        name: `ns/pod`, a node's letter or an external's name.
        node: Letter of the node that it is or runs on; None when the files do not say.
        address: Known of externals only: pods and nodes get theirs from the cluster.
    """

    kind: SourceKind
    name: str
    node: str | None = None
    address: Address | None = None

    def __str__(self) -> str:
        return self.name if self.kind is SourceKind.POD else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as policies see it: after services are translated (semantics.md 3.1 no. 10).

    Attributes:
        port: Of the destination; 0 for ICMP.
        looped: Source and destination are one pod, but the way leads through a Service.
        request: What the connection carries; None = netcheck's own token.
        authority: Host and port as the source dialled them; None where the cluster chooses the address.
        looked_up: The name for which the source has just been told the address; None = it knew it.
        personality: How the network that carries it reads what specifications leave open.
    """

    source: End
    destination: End
    protocol: Protocol
    port: int
    family: Family = Family.IPV4
    looped: bool = False
    request: Request | None = None
    authority: str | None = None
    looked_up: str | None = None
    personality: Personality = GENERIC

    def subject(self, direction: Direction) -> End:
        """The end whose policies decide in `direction`."""
        return self.source if direction is Direction.EGRESS else self.destination

    def peer(self, direction: Direction) -> End:
        """The other end."""
        return self.destination if direction is Direction.EGRESS else self.source

    @property
    def to_itself(self) -> bool:
        """Whether a pod talks to itself directly, which no policy can block (semantics.md 3.1 no. 11)."""
        same = self.source.kind is SourceKind.POD and self.source == self.destination
        return same and not self.looped


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one dialect says about one direction of a connection.

    Attributes:
        reason: One sentence without a full stop.
        deciding: For `allow` the rules that match, for `deny` the policies that isolate the pod, for
            `undefined` the rules on which it depends.
        open_point: Key of `OPEN_POINTS` when the specification leaves the answer open.
        denial: How a request is denied that a proxy looks into, or a connection where the network answers
            denials; None = the connection is, in whichever way.
        denials: Of an answer that is open: all verdicts that may come of it, but allow.
    """

    answer: Answer
    reason: str
    deciding: tuple[Origin, ...] = ()
    open_point: str | None = None
    denial: Verdict | None = None
    denials: tuple[Verdict, ...] = ()

    @property
    def ways_to_deny(self) -> tuple[Verdict, ...]:
        """All verdicts that may come of it, but allow."""
        return possible(self.answer, self.denial) if self.answer is Answer.DENY else self.denials
