"""Outcome, receipt and control in, verdict out: every row, and the law that a denial needs proof."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.judge import NAME_EXISTS, NO_ZONE, judge, judge_control
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.probe import DnsQuery, MutualTls, Probe, Source, SourceKind, Target, TargetKind, TlsRequest
from harness.model.topology import Protocol
from harness.model.verdict import Verdict
from tests.unit.kubernetes_worlds import probe
from tests.unit.worlds import dns_probe, http_probe

K = OutcomeKind
TCP = probe("n/a -> n/b:80")
ICMP = probe("n/a -> n/b/ICMP")
HTTP = http_probe("n/a -> n/b:80")
DNS = dns_probe("n/a", "x.example")
ABSENT = replace(DNS, request=DnsQuery("x.example", rcode="NXDOMAIN"))
HOST = Probe(Source(SourceKind.POD, "n/a"), Target(TargetKind.HOST, "x.example", 443, Protocol.TCP))


def seen(
    kind: OutcomeKind,
    detail: str = "",
    *,
    by: str = "",
    token: bool = False,
    served_by: str = "",
    receipts: int = 0,
    listening: bool | None = None,
    servers: tuple[str, ...] = (),
    handshake: str = "",
) -> Observation:
    return Observation(
        Outcome(kind, detail, by, token, served_by),
        receipts=receipts,
        listening=listening,
        expected_servers=servers,
        handshake=handshake,
    )


def honest(rcode: str) -> Observation:
    """An answer without records that names its zone."""
    return Observation(Outcome(K.DNS, rcode, token=True, lookup="SOA example"))


TLS = replace(TCP, request=TlsRequest("www.example.com"))
MTLS = replace(TCP, request=TlsRequest(mutual=MutualTls()))
REJECTED_TLS = Verdict.TLS_REJECTED
NOT_ALLOWED = "refused: spiffe://a/b is not allowed"

ALLOW, DROP, REJECT = Verdict.ALLOW, Verdict.DROP, Verdict.REJECT

TIMED_OUT = "proxy: connection timeout"
CLOSED_TO_IT = "proxy: remote connection failure, transport failure reason: delayed connect error: 111"
ROWS: list[tuple[Probe, Observation, Verdict | None, str]] = [
    # Answers.
    (TCP, seen(K.CONNECTED, token=True, receipts=1), ALLOW, ""),
    (TCP, seen(K.CONNECTED, token=True, receipts=3), ALLOW, ""),
    (
        TCP,
        seen(K.CONNECTED, token=True),
        None,
        "an answer came back, but the listener has no receipt of the probe",
    ),
    (
        TCP,
        seen(K.CONNECTED, receipts=1),
        None,
        "connected, but the answer did not carry the probe's token",
    ),
    (
        TCP,
        seen(K.CONNECTED, token=True, receipts=1, served_by="n/b", servers=("n/b",)),
        ALLOW,
        "",
    ),
    (
        TCP,
        seen(K.CONNECTED, token=True, receipts=1, served_by="n/c", servers=("n/b", "n/c")),
        ALLOW,
        "",
    ),
    (
        TCP,
        seen(K.CONNECTED, token=True, receipts=1, served_by="n/x", servers=("n/b", "n/c")),
        None,
        "n/x answered instead of n/b or n/c",
    ),
    (TCP, seen(K.CONNECTED, token=True, receipts=1, served_by="n/x"), ALLOW, ""),
    (TCP, seen(K.CONNECTED, token=True, receipts=1, servers=("n/b",)), ALLOW, ""),
    (ICMP, seen(K.CONNECTED, token=True), ALLOW, ""),
    # HTTP.
    (HTTP, seen(K.HTTP, "200", token=True, receipts=1), ALLOW, ""),
    (HTTP, seen(K.HTTP, "403", token=True, receipts=1), ALLOW, ""),
    (
        HTTP,
        seen(K.HTTP, "200", token=True),
        None,
        "an answer came back, but the listener has no receipt of the probe",
    ),
    (HTTP, seen(K.HTTP, "403"), Verdict.DENY_HTTP, ""),
    (HTTP, seen(K.HTTP, "403", listening=True), Verdict.DENY_HTTP, ""),
    (
        HTTP,
        seen(K.HTTP, "403", receipts=1),
        None,
        "HTTP 403 came from something else, yet the listener has a receipt of the request",
    ),
    (HTTP, seen(K.HTTP, "503"), None, "HTTP 503 came from something that is not the listener"),
    (HTTP, seen(K.HTTP, "503", by=TIMED_OUT, listening=True), DROP, ""),
    (HTTP, seen(K.HTTP, "503", by=CLOSED_TO_IT, listening=True), Verdict.REJECT, ""),
    (
        HTTP,
        seen(K.HTTP, "503", by=CLOSED_TO_IT, listening=False),
        None,
        f"nobody listens there (http:503 by {CLOSED_TO_IT}), so this is no denial",
    ),
    (
        HTTP,
        seen(K.HTTP, "503", by=TIMED_OUT),
        None,
        f"http:503 by {TIMED_OUT}, and nothing proves that the destination listens",
    ),
    (
        HTTP,
        seen(K.HTTP, "503", by=TIMED_OUT, receipts=1, listening=True),
        None,
        f"a proxy answered instead of the listener (http:503 by {TIMED_OUT})",
    ),
    (
        HTTP,
        seen(K.HTTP, "503", by="proxy: connection termination", listening=True),
        None,
        "a proxy answered instead of the listener (http:503 by proxy: connection termination)",
    ),
    (HTTP, seen(K.HTTP, "200"), None, "HTTP 200 came from something that is not the listener"),
    (
        HTTP,
        seen(K.HTTP, "200", token=True, receipts=1, served_by="n/x", servers=("n/b",)),
        None,
        "n/x answered instead of n/b",
    ),
    # DNS.
    (DNS, seen(K.DNS, "NOERROR", token=True), ALLOW, ""),
    (DNS, seen(K.DNS, "REFUSED", token=True), Verdict.DNS_REFUSED, ""),
    (DNS, seen(K.DNS, "NXDOMAIN", token=True), Verdict.DNS_NXDOMAIN, ""),
    (DNS, seen(K.DNS, "SERVFAIL", token=True), None, "the resolver answered SERVFAIL"),
    (DNS, seen(K.DNS, "9", token=True), None, "the resolver answered 9"),
    (DNS, seen(K.TIMEOUT, listening=True), DROP, ""),
    (DNS, seen(K.TIMEOUT), None, "timeout, and nothing proves that the destination listens"),
    (HOST, seen(K.DNS, "REFUSED", token=True), Verdict.DNS_REFUSED, ""),
    (HOST, seen(K.DNS, "NXDOMAIN", token=True), Verdict.DNS_NXDOMAIN, ""),
    (ABSENT, honest("NXDOMAIN"), Verdict.ALLOW, ""),
    (ABSENT, seen(K.DNS, "NXDOMAIN", token=True), Verdict.DNS_NXDOMAIN, ""),
    (ABSENT, seen(K.DNS, "REFUSED", token=True), Verdict.DNS_REFUSED, ""),
    (ABSENT, seen(K.DNS, "SERVFAIL", token=True), None, "the resolver answered SERVFAIL"),
    (
        ABSENT,
        seen(K.DNS, "NOERROR", token=True),
        None,
        NAME_EXISTS,
    ),
    (ABSENT, seen(K.TIMEOUT, listening=True), Verdict.DROP, ""),
    (HOST, seen(K.DNS, "NODATA", token=True), None, "the name has no address of the probe's family"),
    (HOST, seen(K.CONNECTED, token=True, receipts=1), ALLOW, ""),
    # TLS.
    (TLS, seen(K.CONNECTED, token=True, receipts=1, handshake="done"), ALLOW, ""),
    # The listener says itself that it refused, so it needs no other proof of being alive.
    (MTLS, seen(K.TLS, "access-denied", by="server", handshake=NOT_ALLOWED), REJECTED_TLS, ""),
    (MTLS, seen(K.TLS, "certificate-expired", by="server", handshake="refused: x"), REJECTED_TLS, ""),
    (MTLS, seen(K.RESET, by="rst", handshake=NOT_ALLOWED), REJECTED_TLS, ""),
    (TCP, seen(K.RESET, "closed without an answer", handshake="refused: no TLS"), REJECTED_TLS, ""),
    (HTTP, seen(K.RESET, "closed without an answer", handshake="refused: no TLS"), REJECTED_TLS, ""),
    (TCP, seen(K.TLS, "protocol-version", by="server", handshake="refused: no TLS"), REJECTED_TLS, ""),
    # It never saw the ClientHello, and is alive: something on the way has rejected it.
    (TLS, seen(K.RESET, by="rst", listening=True), REJECTED_TLS, ""),
    (
        TLS,
        seen(K.RESET, "closed during the handshake", listening=True),
        None,
        "the connection was closed during the handshake, with neither reset nor alert: "
        "a proxy that cannot reach the server ends it so, too",
    ),
    (TLS, seen(K.TLS, "unrecognized-name", by="server", listening=True), REJECTED_TLS, ""),
    (TLS, seen(K.RESET, by="rst"), None, "reset by rst, and nothing proves that the destination listens"),
    (
        TLS,
        seen(K.RESET, by="rst", listening=False),
        None,
        "nobody listens there (reset by rst), so this is no denial",
    ),
    (
        TLS,
        seen(K.TLS, "internal-error", by="server", listening=False),
        None,
        "nobody listens there (tls:internal-error by server), so this is no denial",
    ),
    # The listener had it in its hands: who broke it off, nobody knows.
    (
        TLS,
        seen(K.RESET, by="rst", listening=True, handshake="begun"),
        None,
        "reset by rst, yet the listener had seen the ClientHello (begun)",
    ),
    (
        TLS,
        seen(K.TLS, "internal-error", by="server", listening=True, handshake="done"),
        None,
        "tls:internal-error by server, yet the listener had seen the ClientHello (done)",
    ),
    (
        TLS,
        seen(K.RESET, by="rst", listening=True, receipts=1),
        None,
        "the handshake was refused, yet the listener has a receipt of the probe",
    ),
    # The client refuses whom it found there, who must be the listener.
    (MTLS, seen(K.TLS, "bad-certificate", by="client", handshake="done"), REJECTED_TLS, ""),
    (MTLS, seen(K.TLS, "unknown-ca", by="client", handshake="refused: alert"), REJECTED_TLS, ""),
    (
        MTLS,
        seen(K.TLS, "unknown-ca", by="client", listening=True),
        None,
        "the certificate was shown by something that is not the listener",
    ),
    (
        MTLS,
        seen(K.TLS, "bad-certificate", by="client", handshake="done", receipts=1),
        None,
        "the handshake was refused, yet the listener has a receipt of the probe",
    ),
    # Layers below: a denial there is a denial of TLS, too.
    (TLS, seen(K.TIMEOUT, listening=True), DROP, ""),
    (TLS, seen(K.REFUSED, by="icmp 3/13 from 10.0.0.1", listening=True), REJECT, ""),
    # Silence.
    (TCP, seen(K.TIMEOUT, listening=True), DROP, ""),
    (TCP, seen(K.TIMEOUT, listening=False), None, "nobody listens there (timeout), so this is no denial"),
    (TCP, seen(K.TIMEOUT), None, "timeout, and nothing proves that the destination listens"),
    (
        TCP,
        seen(K.TIMEOUT, listening=True, receipts=1),
        None,
        "the probe arrived at the listener, but no answer came back",
    ),
    # Refusals.
    (TCP, seen(K.REFUSED, by="rst", listening=True), REJECT, ""),
    (TCP, seen(K.REFUSED, by="icmp 3/3 from 10.0.0.1", listening=True), REJECT, ""),
    (
        TCP,
        seen(K.REFUSED, by="rst", listening=False),
        None,
        "nobody listens there (refused by rst), so this is no denial",
    ),
    (
        TCP,
        seen(K.REFUSED, by="rst"),
        None,
        "refused by rst, and nothing proves that the destination listens",
    ),
    (
        TCP,
        seen(K.REFUSED, by="rst", listening=True, receipts=1),
        None,
        "the probe was refused, yet the listener has a receipt of it",
    ),
    (TCP, seen(K.REFUSED, by="local", listening=True), None, "refused at the source itself (local)"),
    (TCP, seen(K.REFUSED, listening=True), None, "refused at the source itself (no route)"),
    (TCP, seen(K.UNREACHABLE, by="icmp 3/13 from 10.0.0.1", listening=True), REJECT, ""),
    (TCP, seen(K.UNREACHABLE, by="local", listening=True), None, "refused at the source itself (local)"),
    (
        TCP,
        seen(K.UNREACHABLE, by="icmp 3/1 from 10.0.0.1", listening=False),
        None,
        "nobody listens there (unreachable by icmp 3/1 from 10.0.0.1), so this is no denial",
    ),
    (
        TCP,
        seen(K.UNREACHABLE, by="icmp 3/1 from 10.0.0.1"),
        None,
        "unreachable by icmp 3/1 from 10.0.0.1, and nothing proves that the destination listens",
    ),
    # Accepted and broken off.
    (
        TCP,
        seen(K.RESET, by="rst", listening=True),
        None,
        "the connection was accepted and then reset (rst)",
    ),
    (TCP, seen(K.RESET), None, "the connection was accepted and then reset (no answer)"),
    # The prober's own trouble.
    (TCP, seen(K.ERROR, "EMFILE", listening=True), None, "EMFILE"),
    (TCP, seen(K.ERROR, listening=True), None, "the prober could not send it"),
]


@pytest.mark.parametrize(("probe", "observation", "verdict", "reason"), ROWS)
def test_row(probe: Probe, observation: Observation, verdict: Verdict | None, reason: str) -> None:
    found = judge(probe, observation)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_every_outcome_has_a_row() -> None:
    assert {row[1].outcome.kind for row in ROWS} == set(OutcomeKind)


OBSERVATIONS = st.builds(
    Observation,
    st.builds(
        Outcome,
        st.sampled_from(OutcomeKind),
        st.sampled_from(("", "200", "403", "503", "NOERROR", "REFUSED", "NXDOMAIN", "SERVFAIL", "EMFILE")),
        st.sampled_from(("", "rst", "local", "icmp 3/3 from 10.0.0.1", "client", "server", TIMED_OUT)),
        st.booleans(),
        st.sampled_from(("", "n/b", "n/c")),
    ),
    receipts=st.integers(0, 2),
    listening=st.sampled_from((None, False, True)),
    expected_servers=st.sampled_from(((), ("n/b",))),
    handshake=st.sampled_from(("", "begun", "done", NOT_ALLOWED)),
)
PROBES = st.sampled_from((TCP, ICMP, HTTP, DNS, HOST, TLS, MTLS))


@given(PROBES, OBSERVATIONS)
def test_no_denial_without_proof(probe: Probe, observation: Observation) -> None:
    outcome = observation.outcome
    found = judge(probe, observation)
    assert (found.verdict is None) == bool(found.reason)
    if found.verdict in (None, Verdict.ALLOW):
        return
    told = outcome.kind is K.DNS or (outcome.kind is K.HTTP and outcome.detail == "403")
    refused = found.verdict is REJECTED_TLS and observation.handshake.startswith("refused")
    mistaken = found.verdict is REJECTED_TLS and outcome.by == "client" and observation.handshake != ""
    assert told or refused or mistaken or observation.listening is True
    assert outcome.kind not in (K.ERROR, K.CONNECTED)
    assert outcome.kind is not K.RESET or found.verdict is REJECTED_TLS
    assert told or not observation.receipts


@given(PROBES, OBSERVATIONS)
def test_nothing_is_allowed_without_an_answer_that_proves_itself(
    probe: Probe, observation: Observation
) -> None:
    if judge(probe, observation).verdict is Verdict.ALLOW:
        outcome = observation.outcome
        assert outcome.kind is K.DNS or outcome.token
        assert outcome.kind is K.DNS or probe is ICMP or observation.receipts


@given(PROBES, st.sampled_from((None, False, True)), st.integers(0, 2), st.text(max_size=3))
def test_the_probers_own_trouble_is_never_a_verdict(
    probe: Probe, listening: bool | None, receipts: int, detail: str
) -> None:
    observation = seen(K.ERROR, detail, listening=listening, receipts=receipts)
    assert judge(probe, observation).verdict is None
    assert judge_control(probe, observation)


CONTROLS = [
    (TCP, seen(K.CONNECTED, token=True, receipts=1), ""),
    (TCP, seen(K.TIMEOUT, listening=True), "timeout although no policy stands in the way"),
    (
        TCP,
        seen(K.REFUSED, by="rst", listening=True),
        "refused by rst although no policy stands in the way",
    ),
    (
        TCP,
        seen(K.REFUSED, by="rst", listening=False),
        "nobody listens there (refused by rst), so this is no denial",
    ),
    (HTTP, seen(K.HTTP, "200", token=True, receipts=1), ""),
    (HTTP, seen(K.HTTP, "403"), "http:403 although no policy stands in the way"),
    (DNS, seen(K.DNS, "NOERROR", token=True), ""),
    (DNS, seen(K.DNS, "NXDOMAIN", token=True), ""),
    (ABSENT, honest("NXDOMAIN"), ""),
    (ABSENT, seen(K.DNS, "NXDOMAIN", token=True), NO_ZONE),
    (
        ABSENT,
        seen(K.DNS, "NOERROR", token=True),
        NAME_EXISTS,
    ),
    (ABSENT, seen(K.DNS, "REFUSED", token=True), "dns:REFUSED although no policy stands in the way"),
    (DNS, seen(K.DNS, "REFUSED", token=True), "dns:REFUSED although no policy stands in the way"),
    (DNS, seen(K.DNS, "SERVFAIL", token=True), "the resolver answered SERVFAIL"),
    (DNS, seen(K.TIMEOUT, listening=True), "timeout although no policy stands in the way"),
    (HOST, seen(K.DNS, "NXDOMAIN", token=True), "dns:NXDOMAIN although no policy stands in the way"),
    (HOST, seen(K.CONNECTED, token=True, receipts=1), ""),
    (
        MTLS,
        seen(K.TLS, "certificate-required", by="server", handshake="refused: none"),
        "tls:certificate-required by server although no policy stands in the way",
    ),
]


@pytest.mark.parametrize(("probe", "observation", "reason"), CONTROLS)
def test_control(probe: Probe, observation: Observation, reason: str) -> None:
    assert judge_control(probe, observation) == reason
