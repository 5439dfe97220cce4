"""Outcome, receipt and control in, verdict out: one pure table (design section 4.4).

Whatever does not fit a row is an error with its reason, never a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.outcome import CLOSED, REFUSED, Observation, Outcome, OutcomeKind
from harness.model.probe import DnsQuery, Probe, TlsRequest
from harness.model.topology import Protocol
from harness.model.verdict import Verdict

DENIED = "although no policy stands in the way"
"""How a control ends that was denied: no policy of the scenario, at least."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, or None with the reason why there is none."""

    verdict: Verdict | None
    reason: str = ""


NAME_EXISTS = "the name exists, and the cell expects NXDOMAIN of the resolver"
NO_ZONE = "the resolver's NXDOMAIN names no zone (SOA), so it could not be told from a policy's"

_DNS = {
    "NOERROR": Verdict.ALLOW,
    "REFUSED": Verdict.DNS_REFUSED,
    "NXDOMAIN": Verdict.DNS_NXDOMAIN,
}


def judge(probe: Probe, seen: Observation) -> Judgement:
    """The verdict on one observation of a probe whose control connected.

    Sources of the rows: semantics.md 1.7 (client-side signatures), design section 4.4.
    """
    outcome = seen.outcome
    match outcome.kind:
        case OutcomeKind.CONNECTED | OutcomeKind.HTTP if outcome.token:
            return _answered(probe, seen)
        case OutcomeKind.CONNECTED if seen.unwitnessed:
            return Judgement(Verdict.ALLOW)
        case OutcomeKind.CONNECTED:
            return Judgement(None, "connected, but the answer did not carry the probe's token")
        case OutcomeKind.HTTP if outcome.detail == "403" and seen.receipts:
            return Judgement(
                None, "HTTP 403 came from something else, yet the listener has a receipt of the request"
            )
        case OutcomeKind.HTTP if outcome.detail == "403":
            return Judgement(Verdict.DENY_HTTP)
        case OutcomeKind.HTTP if outcome.detail == "503" and outcome.by:
            return _unserved(seen)
        case OutcomeKind.HTTP:
            return Judgement(None, f"HTTP {outcome.detail} came from something that is not the listener")
        case OutcomeKind.DNS if isinstance(probe.request, DnsQuery) and probe.request.rcode != "NOERROR":
            return _without_name(outcome)
        case OutcomeKind.DNS:
            return _resolved(outcome.detail)
        case OutcomeKind.TLS:
            return _alerted(seen)
        case OutcomeKind.TIMEOUT:
            return _silent(seen)
        case OutcomeKind.REFUSED | OutcomeKind.UNREACHABLE:
            return _refused(seen)
        case OutcomeKind.RESET if isinstance(probe.request, TlsRequest) or seen.handshake:
            return _rejected(seen)
        case OutcomeKind.RESET:
            return Judgement(
                None, f"the connection was accepted and then reset ({outcome.by or 'no answer'})"
            )
        case OutcomeKind.ERROR:
            return Judgement(None, outcome.detail or "the prober could not send it")


def _answered(probe: Probe, seen: Observation) -> Judgement:
    served_by = seen.outcome.served_by
    if seen.expected_servers and served_by and served_by not in seen.expected_servers:
        return Judgement(None, f"{served_by} answered instead of {' or '.join(seen.expected_servers)}")
    if not seen.receipts and probe.target.protocol is not Protocol.ICMP:
        return Judgement(None, "an answer came back, but the listener has no receipt of the probe")
    return Judgement(Verdict.ALLOW)


def _resolved(rcode: str) -> Judgement:
    verdict = _DNS.get(rcode)
    if verdict is not None:
        return Judgement(verdict)
    if rcode == "NODATA":
        return Judgement(None, "the name has no address of the probe's family")
    return Judgement(None, f"the resolver answered {rcode}")


def _without_name(outcome: Outcome) -> Judgement:
    """An answer about a name that there is not: a resolver says which zone lacks it, a policy does not."""
    if outcome.detail == "NOERROR":
        return Judgement(None, NAME_EXISTS)
    if outcome.detail == "NXDOMAIN" and outcome.lookup:
        return Judgement(Verdict.ALLOW)
    return _resolved(outcome.detail)


def _silent(seen: Observation) -> Judgement:
    if seen.receipts:
        return Judgement(None, "the probe arrived at the listener, but no answer came back")
    return _denied(seen, Verdict.DROP)


def _refused(seen: Observation) -> Judgement:
    if seen.receipts:
        return Judgement(None, "the probe was refused, yet the listener has a receipt of it")
    if seen.listening and not seen.outcome.by.startswith(("rst", "icmp")):
        return Judgement(None, f"refused at the source itself ({seen.outcome.by or 'no route'})")
    return _denied(seen, Verdict.REJECT)


def _unserved(seen: Observation) -> Judgement:
    """A proxy let the request pass and could not reach the listener, which the other side's policy denies."""
    if not seen.receipts:
        if "connection timeout" in seen.outcome.by:
            return _denied(seen, Verdict.DROP)
        if "connection failure" in seen.outcome.by:
            return _denied(seen, Verdict.REJECT)
    return Judgement(None, f"a proxy answered instead of the listener ({seen.outcome})")


def _alerted(seen: Observation) -> Judgement:
    """An alert: the other side's, or this one's own because of whom it found there."""
    if seen.outcome.by == "client" and not seen.handshake:
        return Judgement(None, "the certificate was shown by something that is not the listener")
    if seen.outcome.by == "client" and not seen.receipts:
        return Judgement(Verdict.TLS_REJECTED)
    return _rejected(seen)


def _rejected(seen: Observation) -> Judgement:
    """A handshake that came to nothing: the listener's doing, as it says itself, or it never saw it.

    Where the listener took the handshake and the client was refused all the same, nobody knows by whom.
    """
    if seen.receipts:
        return Judgement(None, "the handshake was refused, yet the listener has a receipt of the probe")
    if seen.handshake.startswith(REFUSED):
        return Judgement(Verdict.TLS_REJECTED)
    if seen.handshake:
        return Judgement(
            None, f"{seen.outcome}, yet the listener had seen the ClientHello ({seen.handshake})"
        )
    if seen.outcome.kind is OutcomeKind.RESET and seen.outcome.detail.startswith(CLOSED):
        # So ends what a proxy let pass and the other side's policy dropped: a refused name is reset.
        reason = "neither reset nor alert: a proxy that cannot reach the server ends it so, too"
        return Judgement(None, f"the connection was {seen.outcome.detail}, with {reason}")
    return _denied(seen, Verdict.TLS_REJECTED)


def _denied(seen: Observation, verdict: Verdict) -> Judgement:
    """A denial counts only with a live listener behind it."""
    if seen.listening is None:
        return Judgement(None, f"{seen.outcome}, and nothing proves that the destination listens")
    if not seen.listening:
        return Judgement(None, f"nobody listens there ({seen.outcome}), so this is no denial")
    return Judgement(verdict)


def judge_control(probe: Probe, seen: Observation) -> str:
    """Why the control does not count; empty when the path works while no policy stands in the way.

    The control of a DNS cell is the resolver answering, be it that there is no such name. A resolver that
    refuses without any policy would make every later REFUSED look like one.
    """
    found = judge(probe, seen)
    if seen.split:
        return f"the pods behind the service answer differently: {seen.split}"
    if found.verdict is Verdict.ALLOW:
        return ""
    if isinstance(probe.request, DnsQuery) and found.verdict is Verdict.DNS_NXDOMAIN:
        return "" if probe.request.rcode == "NOERROR" else NO_ZONE
    if found.verdict is None:
        return found.reason
    return f"{seen.outcome} {DENIED}"


_BLOCKED = "blocked by policy"


def blocked(control: str, said: str) -> str:
    """A control that was denied, with what the cluster says of others' policies (`World.blockers`)."""
    if said.startswith(_BLOCKED):
        return f"{said} ({control.removesuffix(DENIED).rstrip()})"
    if said:
        return f"{control.removesuffix(DENIED)}although no policy of the scenario does that; {said}"
    return control


def control_error(control: str) -> str:
    """Why a cell whose control failed is an error (design section 4.2)."""
    return f"control {control}" if control.startswith(_BLOCKED) else f"control: {control}"
