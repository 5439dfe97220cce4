"""What was seen: outcomes at the source, receipts at the destination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

REFUSED = "refused"
"""What `Observation.handshake` begins with where the destination itself ended the handshake."""

CLOSED = "closed"
"""What the detail of a reset begins with that was none: the connection just ended, without an answer."""


class OutcomeKind(StrEnum):
    """What the prober saw (design section 2)."""

    CONNECTED = "connected"
    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HTTP = "http"
    DNS = "dns"
    TLS = "tls"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the prober saw of one probe.

    Attributes:
        detail: HTTP code, DNS rcode name, TLS alert or the reason of an error; else empty. An alert is named
            as RFC 8446 does, with hyphens: `certificate-expired`.
        by: Who refused or made it unreachable: `rst`, or `icmp TYPE/CODE from ADDRESS`; of an alert the side
            that sent it, `client` or `server`; `proxy: REASON` when a proxy could not reach the server; else
            empty.
        token: The answer carried the probe's own token, so the real server answered.
        served_by: Id of the pod or external that answered, as it says itself; empty when nobody did.
        lookup: For `host:` probes the DNS answer that came first, such as `NOERROR 203.0.113.10`.
    """

    kind: OutcomeKind
    detail: str = ""
    by: str = ""
    token: bool = False
    served_by: str = ""
    lookup: str = ""

    def __str__(self) -> str:
        text = f"{self.kind}:{self.detail}" if self.detail else str(self.kind)
        if self.by:
            text += f" by {self.by}"
        if self.lookup and self.kind is OutcomeKind.DNS:
            text += f" {self.lookup}"
        elif self.lookup:
            text = f"{self.lookup}, then {text}"
        return text


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a cluster measured for one probe.

    Attributes:
        receipts: How often the destination saw the probe's token.
        listening: Proof of a live listener, taken from inside the destination after the sweep;
            None when no proof was needed or possible.
        attempts: How many attempts the outcome rests on.
        seconds: From the first packet to the outcome.
        expected_servers: Ids that may legitimately answer (a service's backends); empty = not checked.
        open_point: Why the specification leaves this verdict open; empty when it does not.
        source_address: Address and port that the last attempt left from.
        destination: Address and port that it was sent to.
        unwitnessed: Nothing of netcheck's runs at the destination: no token, no receipts.
        client_identity: SPIFFE ID of the certificate that the client had to show; empty when it had none.
        server_identity: SPIFFE ID of the certificate that the server showed; empty when it showed none.
        handshake: What the destination did with the ClientHello of this probe, or with what came in its
            place: `begun`, `done` or `refused: WHY`; empty = it has seen none.
        split: How the pods behind a service differ in their answers; empty when they agree.
    """

    outcome: Outcome
    receipts: int = 0
    listening: bool | None = None
    attempts: int = 1
    seconds: float = 0.0
    expected_servers: tuple[str, ...] = ()
    open_point: str = ""
    source_address: str = ""
    destination: str = ""
    split: str = ""
    unwitnessed: bool = False
    handshake: str = ""
    client_identity: str = ""
    server_identity: str = ""
