"""Results of a prober as observations; the same for every cluster (see probes/PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.model.outcome import Observation, Outcome, OutcomeKind
from probes.flights import NO_ANSWER

KIND = 1
"""Where a result says what was seen."""

TOKEN = 4
"""Where a result says whether the answer carried the probe's token."""

SERVED_BY = 5
"""Where a result says which listener answered."""

LOOKUP = 6
"""Where the result of a `host` probe says what its name led to, the address last; empty without one."""

LOCAL, REMOTE = 9, 10
"""Where a result says from and to which address and port the probe went."""

NOTE = 11
"""Where a result says what the destination knows the probe's connection by: its ClientHello, or its token
when it was not answered. Behind it stands the SPIFFE ID that the server showed. Else it is empty."""

NO_FATES: Mapping[str, str] = MappingProxyType({})

_KINDS = {kind.value: kind for kind in OutcomeKind}


class Outcomes:
    """Makes outcomes of results; equal ones are one object, since a sweep has thousands of a few."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Outcome] = {}

    def of(self, result: list[Any]) -> Outcome:
        """The outcome of one result."""
        key = tuple(result[1:7])
        outcome = self._known.get(key)
        if outcome is None:
            _, kind, detail, by, token, served_by, lookup, *_ = result
            outcome = self._known[key] = Outcome(_KINDS[kind], detail, by, token, served_by, lookup)
        return outcome

    def observation(
        self,
        result: list[Any],
        receipts: int,
        listening: bool | None,
        servers: tuple[str, ...],
        fates: Mapping[str, str] = NO_FATES,
        identity: str = "",
    ) -> Observation:
        """One result with what the destination says of it.

        Args:
            result: As the prober has it.
            receipts: How often the destination saw the probe.
            listening: Whether it listens; None = not asked.
            servers: Ids that may answer.
            fates: What the destinations did with handshakes (see `NOTE`).
            identity: SPIFFE ID of the certificate that the client had to show; empty = none.
        """
        _, _, _, _, _, _, _, attempts, seconds, local, remote, note = result
        return Observation(
            self.of(result),
            receipts,
            listening,
            attempts,
            seconds,
            servers,
            "",
            local,
            remote,
            client_identity=identity,
            handshake=fates.get(note[0], "") if note else "",
            server_identity=note[1] if len(note) > 1 else "",
        )


def sample_outcome(kind: str, detail: str, by: str, token: bool, served_by: str) -> Outcome:
    """The outcome of one sample of a flow."""
    return Outcome(_KINDS[kind], detail, by, token, served_by)


def undecided(result: list[Any], receipts: int) -> bool:
    """Arrived, but the answer came too late: a busy machine, not a verdict."""
    _, kind, detail, _, token, *_ = result
    if token:
        return False
    return (kind == "timeout" and receipts > 0) or (kind == "error" and detail.startswith(NO_ANSWER))
