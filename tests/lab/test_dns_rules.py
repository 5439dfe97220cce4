"""DNS rules and names in the lab, with real packets: refused questions, addresses only for who asked."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.clusters.lab.world import LabWorld
from harness.engine.judge import judge
from harness.model.application import DnsRules
from harness.model.builtin import DNS_POD
from harness.model.names import NamePattern, parse_pattern
from harness.model.personality import CILIUM, Personality, cilium_with
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Direction, Match, Ports, Rule, Stage
from harness.model.topology import Family, Protocol
from harness.model.verdict import Verdict
from probes import dns
from tests.lab.labs import cells, measure, scenario, world
from tests.lab.stages import Raw, allow, enforce, get, raw, stage

pytestmark = pytest.mark.lab

WORLD = """
scenario: dns
families: [ipv4, ipv6]
namespaces: {n: {}}
pods:
  n/a: {node: a, listen: [80]}
  n/b: {node: b, listen: [80]}
externals:
  good: {address: [203.0.113.7, "2001:db8::7"], listen: [80, 81], names: NAMES}
  bad: {address: [203.0.113.8, "2001:db8::8"], listen: [80], names: [bad.example.com]}
expect: [{from: n/a, to: "n/b:80", verdict: allow}]
"""
FRESH = [f"fresh{number}.example.com" for number in range(20)]
WORLD = WORLD.replace("NAMES", str(["good.example.com", "www.good.example.com", *FRESH]).replace("'", ""))
OUT = Direction.EGRESS
UDP53, TCP53 = Ports(Protocol.UDP, 53, 53), Ports(Protocol.TCP, 53, 53)


def names(*texts: str) -> tuple[NamePattern, ...]:
    return tuple(parse_pattern(text) for text in texts)


def resolver(*texts: str, ports: Sequence[Ports] = (UDP53, TCP53)) -> Rule:
    return allow(Match(pods=frozenset({DNS_POD}), ports=tuple(ports)), application=DnsRules(names(*texts)))


def told(*texts: str, port: int = 80) -> Rule:
    return allow(Match(names=names(*texts), ports=(Ports(Protocol.TCP, port, port),)))


def out(pod: str, *rules: Rule) -> Stage:
    return stage(OUT, [pod], *rules)


def question(
    pod: str, name: str, *, type: str = "A", tcp: bool = False, family: Family = Family.IPV4
) -> Probe:
    protocol = Protocol.TCP if tcp else Protocol.UDP
    target = Target(TargetKind.SERVICE, "kube-system/kube-dns", 53, protocol)
    return Probe(Source(SourceKind.POD, pod), target, family, DnsQuery(name, type=type, tcp=tcp))


def connect(pod: str, external: str, port: int = 80, family: Family = Family.IPV4, path: str = "") -> Probe:
    target = Target(TargetKind.EXTERNAL, external, port, Protocol.TCP)
    return Probe(Source(SourceKind.POD, pod), target, family, HttpRequest(path=path) if path else None)


def verdicts(built: LabWorld, *probes: Probe) -> list[Verdict | None]:
    return [judge(probe, item).verdict for probe, item in zip(probes, built.sweep(probes, 0.6), strict=True)]


NXDOMAIN = cilium_with(denied_lookup=Verdict.DNS_NXDOMAIN)
ALLOW, DROP, REFUSED = Verdict.ALLOW, Verdict.DROP, Verdict.DNS_REFUSED


@pytest.mark.parametrize("pod", ["n/a", "n/b"])
def test_questions(pod: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the node of the DNS pod and from another."""
    asked = [
        question(pod, "good.example.com"),
        question(pod, "GOOD.example.com"),
        question(pod, "www.good.example.com", type="AAAA"),
        question(pod, "a.www.good.example.com"),
        question(pod, "bad.example.com"),
    ]
    over_tcp = [question(pod, "good.example.com", tcp=True), question(pod, "bad.example.com", tcp=True)]
    patterns = ("good.example.com", "*.good.example.com")
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out(pod, resolver(*patterns)))
        assert verdicts(built, *asked, *over_tcp) == [ALLOW, ALLOW, ALLOW, REFUSED, REFUSED, ALLOW, REFUSED]
        enforce(monkeypatch, built, out(pod, resolver(*patterns, ports=[UDP53])))
        assert verdicts(built, *asked, *over_tcp) == [ALLOW, ALLOW, ALLOW, REFUSED, REFUSED, DROP, DROP]
        enforce(monkeypatch, built, out(pod, resolver("*")))
        assert verdicts(built, asked[0], asked[4], *over_tcp) == [ALLOW] * 4


@pytest.mark.parametrize("family", list(Family))
def test_names(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "A" if family is Family.IPV4 else "AAAA"
    good, bad = connect("n/b", "good", family=family), connect("n/b", "bad", family=family)
    ask_good, ask_bad = (
        question("n/b", "good.example.com", type=kind),
        question("n/b", "bad.example.com", type=kind),
    )
    rules = (resolver("*"), told("**.example.com", "x.com"))
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/b", *rules))
        assert verdicts(built, good, bad) == [DROP, DROP]
        assert verdicts(built, ask_good) == [ALLOW]
        assert verdicts(built, good, bad) == [ALLOW, DROP]
        assert verdicts(built, connect("n/b", "good", 81, family)) == [DROP]
        # What was learned outlives a change of other rules, and is new to no other pattern.
        enforce(monkeypatch, built, out("n/b", *rules, told("unused.example.com")))
        assert verdicts(built, good, bad) == [ALLOW, DROP]
        enforce(monkeypatch, built, out("n/b", resolver("*"), told("bad.example.com")))
        assert verdicts(built, good, bad) == [DROP, DROP]
        assert verdicts(built, ask_bad) == [ALLOW]
        assert verdicts(built, good, bad) == [DROP, ALLOW]
        enforce(monkeypatch, built, out("n/b", *rules))
        assert verdicts(built, good, bad) == [ALLOW, ALLOW]


def test_only_the_pod_that_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (resolver("*"), told("*.example.com"))
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/a", *rules), out("n/b", *rules))
        assert verdicts(built, question("n/a", "good.example.com", tcp=True)) == [ALLOW]
        assert verdicts(built, connect("n/a", "good"), connect("n/b", "good")) == [ALLOW, DROP]


def test_a_question_past_the_proxy_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = allow(Match(pods=frozenset({DNS_POD})))
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/a", free, told("*.example.com")))
        assert verdicts(built, question("n/a", "good.example.com")) == [ALLOW]
        assert verdicts(built, connect("n/a", "good")) == [DROP]


def test_pods_are_never_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headless = WORLD.replace(
        "externals:", "services:\n  n/web: {selector: {app: w}, type: Headless, ports: [80]}\nexternals:"
    )
    headless = headless.replace("n/b: {", "n/b: {labels: {app: w}, ")
    name = "web.n.svc.cluster.local"
    to_pod = Probe(
        Source(SourceKind.POD, "n/a"), Target(TargetKind.POD, "n/b", 80, Protocol.TCP), Family.IPV4
    )
    with world(scenario(headless, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/a", resolver("*"), told("*", name)))
        assert verdicts(built, question("n/a", name)) == [ALLOW]
        assert verdicts(built, to_pod) == [DROP]


def test_names_with_http_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = allow(
        Match(names=names("good.example.com"), ports=(Ports(Protocol.TCP, 80, 80),)),
        application=get("/public"),
    )
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/a", resolver("*"), rule))
        paths = [connect("n/a", "good", path="/public"), connect("n/a", "good", path="/x")]
        assert verdicts(built, *paths) == [DROP, DROP]
        assert verdicts(built, question("n/a", "good.example.com")) == [ALLOW]
        assert verdicts(built, *paths) == [ALLOW, Verdict.DENY_HTTP]


def _exchange(way: Raw, message: bytes, *, patience: float = 2.0) -> bytes:
    """Ask the cluster's DNS from n/b by UDP."""
    with way.inside("n/b"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(patience)
        sock.connect(("10.96.0.10", 53))
        sock.send(message)
        return sock.recv(4096)


def test_the_refusal_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(scenario(WORLD, tmp_path)) as way:
        enforce(monkeypatch, way.world, out("n/b", resolver("good.example.com")))
        message = dns.query(0xBEEF, "bad.example.com", 1)
        assert _exchange(way, message) == b"\xbe\xef\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00" + message[12:]
        edns = message[:10] + b"\x00\x01" + message[12:] + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
        assert _exchange(way, edns) == b"\xbe\xef\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00" + message[12:]
        # A name with a dot inside a label is another name.
        odd = message[:12] + b"\x0cgood.example\x03com\x00" + message[-4:]
        assert _exchange(way, odd)[3] & 0xF == 5
        for rubbish in (
            b"",
            b"x",
            message[:11],
            message[:20],
            struct.pack(">6H", 1, 0x8180, 1, 0, 0, 0) + message[12:],
        ):
            with pytest.raises(TimeoutError):
                _exchange(way, rubbish, patience=0.3)
        assert dns.parse(_exchange(way, dns.query(7, "good.example.com", 1))).addresses == ("203.0.113.7",)


NAMES = Path(__file__).resolve().parents[2] / "scenarios" / "cilium" / "dns-names.yaml"
BY_NAME = """  - {from: api, to: "host:a.b.good.example.com:443", verdict: dns-refused}
  - {from: api, dns: news.example.org, search: true, verdict: dns-refused}
"""


def test_denied_as_if_there_were_no_such_name(tmp_path: Path) -> None:
    """By UDP and TCP, where a connection begins with the lookup, and for a whole search list."""
    text = (NAMES.read_text() + BY_NAME).replace("dns-refused", "dns-nxdomain")
    result = measure(scenario(text, tmp_path), personality=NXDOMAIN)
    found = cells(result)
    assert {id: item.reason for id, item in found.items() if item.status != "passed"} == {}
    denied = [item for item in found.values() if item.verdict is Verdict.DNS_NXDOMAIN]
    assert len(denied) == text.count("dns-nxdomain")
    assert {item.predicted.word for item in denied if item.predicted} == {"dns-nxdomain"}
    # Without the setting, and in another cluster's words, the same cells are wrong.
    refused = measure(scenario(text, tmp_path), personality=CILIUM)
    assert sum(item.status == "failed" for item in cells(refused).values()) == len(denied)


def test_the_denial_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(scenario(WORLD, tmp_path), NXDOMAIN) as way:
        enforce(monkeypatch, way.world, out("n/b", resolver("good.example.com")))
        message = dns.query(0xBEEF, "bad.example.com", 1)
        assert _exchange(way, message) == b"\xbe\xef\x81\x03\x00\x01\x00\x00\x00\x00\x00\x00" + message[12:]
        with way.dial("n/b", "10.96.0.10", 53) as sock:
            sock.sendall(len(message).to_bytes(2, "big") + message)
            assert sock.recv(4096)[2:6] == b"\xbe\xef\x81\x03"


def test_an_address_is_in_force_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pairs of lookup and connection, without a pause in between."""
    with raw(scenario(WORLD, tmp_path)) as way:
        for turn, name in enumerate(FRESH):
            enforce(monkeypatch, way.world, out("n/b", resolver("*"), told(name)))
            if turn < 2:
                with pytest.raises(TimeoutError):
                    way.dial("n/b", "203.0.113.7", patience=0.2)
            assert dns.parse(_exchange(way, dns.query(turn, name, 1))).addresses == ("203.0.113.7",)
            with way.dial("n/b", "203.0.113.7", patience=0.5) as sock:
                assert sock.getpeername()[1] == 80


@pytest.mark.parametrize("first", [True, False])
def test_what_another_rule_allows_anyway_is_still_learned(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Cilium, where the proxy stays in the way and lets every name pass."""
    free = allow(Match(ports=(UDP53,)))
    asking = resolver("good.example.com")
    rules = [free, asking] if first else [asking, free]
    with world(scenario(WORLD, tmp_path)) as built:
        enforce(monkeypatch, built, out("n/a", *rules, told("good.example.com", "bad.example.com")))
        assert verdicts(built, connect("n/a", "good"), connect("n/a", "bad")) == [DROP, DROP]
        asked = [question("n/a", "good.example.com"), question("n/a", "bad.example.com")]
        over_tcp = [question("n/a", name, tcp=True) for name in ("good.example.com", "bad.example.com")]
        assert verdicts(built, *asked, *over_tcp) == [ALLOW, ALLOW, ALLOW, REFUSED]
        assert verdicts(built, connect("n/a", "good"), connect("n/a", "bad")) == [ALLOW, ALLOW]


ABSENT = """
scenario: absent
pods:
  shop/api: {labels: {app: api}}
  shop/free: {}
externals:
  site: {address: 203.0.113.10, listen: [443], names: [www.example.com]}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: names, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: api}}
      egress:
        - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts:
            - ports: [{port: "53", protocol: ANY}]
              rules: {dns: [{matchPattern: "*.example.com"}]}
expect:
  - {from: [shop/api, shop/free], dns: nobody.example.com, rcode: NXDOMAIN, verdict: allow}
  - {from: [shop/api, shop/free], dns: nobody.example.com, rcode: NXDOMAIN, tcp: true, verdict: allow}
  - {from: shop/free, dns: nobody.shop.svc.cluster.local, rcode: NXDOMAIN, verdict: allow}
  - {from: shop/api, dns: nobody.shop.svc.cluster.local, rcode: NXDOMAIN, verdict: DENIED}
"""


@pytest.mark.parametrize(("how", "verdict"), [(NXDOMAIN, "dns-nxdomain"), (CILIUM, "dns-refused")])
def test_a_name_that_does_not_exist_is_told_from_one_that_is_denied(
    tmp_path: Path, how: Personality, verdict: str
) -> None:
    found = cells(measure(scenario(ABSENT.replace("DENIED", verdict), tmp_path), personality=how))
    assert {id: item.reason for id, item in found.items() if item.status != "passed"} == {}
    assert all(item.predicted is not None and item.predicted.word != "undefined" for item in found.values())
    assert "shop/api->dns:nobody.example.com/A/NXDOMAIN" in found


def test_a_name_that_exists_is_no_missing_one(tmp_path: Path) -> None:
    text = ABSENT.replace("nobody.example.com", "www.example.com").replace("DENIED", "dns-refused")
    found = cells(measure(scenario(text, tmp_path), personality=CILIUM))
    item = found["shop/free->dns:www.example.com/A/NXDOMAIN"]
    assert item.status == "error"
    assert "the name exists" in item.reason


LOCKED = """
scenario: locked
pods:
  shop/api: {labels: {app: api}}
externals:
  good: {address: 203.0.113.7, listen: [443], names: [good.example.com]}
policies:
  - apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: locked, namespace: shop}
    spec:
      endpointSelector: {matchLabels: {app: api}}
      egress:
        - toEndpoints: [{matchLabels: {io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
          toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
          authentication: {mode: test-always-fail}
        - toFQDNs: [{matchName: good.example.com}]
          toPorts: [{ports: [{port: "443", protocol: TCP}]}]
expect:
  - {from: shop/api, dns: good.example.com, verdict: drop}
  - {from: shop/api, dns: good.example.com, tcp: true, verdict: drop}
  - {from: shop/api, to: "host:good.example.com:443", verdict: drop}
"""


def test_questions_of_who_cannot_prove_who_it_is_are_dropped(tmp_path: Path) -> None:
    result = measure(scenario(LOCKED, tmp_path), personality=CILIUM)
    assert result.scenarios[0].error == ""
    found = cells(result)
    assert len(found) == 3
    assert {id: (item.status, item.reason) for id, item in found.items() if item.status != "passed"} == {}
    assert all(item.predicted is not None and item.predicted.verdict == "deny" for item in found.values())
