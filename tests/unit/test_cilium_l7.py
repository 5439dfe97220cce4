"""What Cilium's rules make of requests: HTTP, DNS, TLS, names of hosts (semantics.md 1.2, 1.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cli.predict import agrees
from harness.model.personality import Personality, cilium_with
from harness.model.policy import Policy
from harness.model.prediction import Answer, Predicted
from harness.model.probe import (
    DnsQuery,
    HttpRequest,
    Probe,
    Request,
    Source,
    SourceKind,
    Target,
    TargetKind,
    TlsRequest,
)
from harness.model.rules import Direction
from harness.model.scenario import Cell
from harness.model.topology import Protocol, Service, ServicePort
from harness.model.verdict import Expectation, Expected, Verdict
from harness.oracle.matrix import Matrix
from harness.oracle.predict import Prediction, predict
from harness.oracle.resolve import resolve
from harness.oracle.trace import trace
from tests.unit.cilium_worlds import cnp, shop
from tests.unit.kubernetes_worlds import HERE, policy, probe, read
from tests.unit.worlds import scenario, step

WORLD = shop()
ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED

HTTP = """
endpointSelector: {matchLabels: {app: web}}
ingress:
  - fromEndpoints: [{matchLabels: {app: cli}}]
    toPorts:
      - ports: [{port: "80", protocol: TCP}]
        rules:
          http:
            - {method: GET, path: "/api/v1/public/.*"}
            - {method: POST, path: /api/v1/orders, headers: ["X-API-Version: 2"]}
"""


def ask(policies: list[Policy], question: str, request: Request | None) -> str:
    return predict(WORLD, policies, replace(probe(question), request=request)).word


def get(path: str, method: str = "GET", **headers: str) -> HttpRequest:
    return HttpRequest(method, path, tuple((key.replace("_", "-"), value) for key, value in headers.items()))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (get("/api/v1/public/a"), "allow"),
        (get("/api/v1/public/a?q=1"), "allow"),
        (get("/api/v1/public"), "deny-http"),
        (get("/api/v1/private"), "deny-http"),
        (get("/x/api/v1/public/a"), "deny-http"),
        (get("/api/v1/public/a", "POST"), "deny-http"),
        (get("/api/v1/public/a", "GETX"), "deny-http"),
        (get("/api/v1/orders", "POST", X_API_Version="2"), "allow"),
        (get("/api/v1/orders", "POST", x_api_version="2"), "allow"),
        (get("/api/v1/orders", "POST", X_API_Version="3"), "deny-http"),
        (get("/api/v1/orders", "POST"), "deny-http"),
        (get("/api/v1/orders?q=1", "POST", X_API_Version="2"), "deny-http"),
        (get("/api/v1/orders", "PUT", X_API_Version="2"), "deny-http"),
        (None, "undefined"),  # a token echo is no HTTP
        (TlsRequest("a.b"), "undefined"),
    ],
)
def test_requests_against_the_tutorials_rules(request_: Request | None, answer: str) -> None:
    assert ask([cnp(HTTP)], "shop/cli -> shop/web:80", request_) == answer


def test_who_is_not_meant_is_denied_below_http() -> None:
    assert ask([cnp(HTTP)], "shop/far -> shop/web:80", get("/api/v1/public/a")) == "deny"
    assert ask([cnp(HTTP)], "shop/cli -> shop/web:8080", get("/api/v1/public/a")) == "deny"


OTHER_PORT = 'toPorts: [{ports: [{port: "8080", protocol: TCP}]}]'
SAME_PORT = 'toPorts: [{ports: [{port: "80", protocol: TCP}]}]'


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        (f"{{fromEndpoints: [{{matchLabels: {{app: cli}}}}], {SAME_PORT}}}", "allow"),
        (f"{{fromEndpoints: [{{}}], {SAME_PORT}}}", "allow"),
        ("{fromEndpoints: [{}]}", "allow"),
        (f"{{fromEndpoints: [{{}}], {OTHER_PORT}}}", "deny-http"),
        (f"{{fromEndpoints: [{{matchLabels: {{app: far}}}}], {SAME_PORT}}}", "deny-http"),
        (f"{{fromEntities: [kube-apiserver], {SAME_PORT}}}", "deny-http"),
        (
            f"{{fromEndpoints: [{{matchLabels: {{io.cilium.k8s.policy.cluster: x}}}}], {SAME_PORT}}}",
            "undefined",
        ),
    ],
)
def test_a_rule_without_demands_opens_everything(rule: str, answer: str) -> None:
    beside = cnp(f"{{endpointSelector: {{matchLabels: {{app: web}}}}, ingress: [{rule}]}}", name="q")
    assert ask([cnp(HTTP), beside], "shop/cli -> shop/web:80", get("/no")) == answer
    assert ask([cnp(HTTP), beside], "shop/cli -> shop/web:80", get("/api/v1/public/a")) == "allow"


def test_network_policies_open_it_as_well_and_denials_close_it() -> None:
    kubernetes = policy("{podSelector: {}, ingress: [{}]}", namespace="shop")
    deny = cnp("{endpointSelector: {}, ingressDeny: [{fromEndpoints: [{}]}]}", name="deny")
    assert ask([cnp(HTTP), kubernetes], "shop/cli -> shop/web:80", get("/no")) == "allow"
    assert ask([cnp(HTTP), deny], "shop/cli -> shop/web:80", get("/no")) == "deny"


def test_default_deny_switched_off_does_not_relax_requests() -> None:
    relaxed = cnp(HTTP + "enableDefaultDeny: {ingress: false}\n")
    assert ask([relaxed], "shop/cli -> shop/web:80", get("/no")) == "deny-http"
    assert ask([relaxed], "shop/far -> shop/web:80", get("/no")) == "allow"


def http(rule: str, request: HttpRequest, question: str = "shop/cli -> shop/web:80") -> str:
    text = f"""
endpointSelector: {{matchLabels: {{app: web}}}}
ingress:
  - toPorts: [{{ports: [{{port: "80", protocol: TCP}}], rules: {{http: [{rule}]}}}}]
"""
    return ask([cnp(text)], question, request)


@pytest.mark.parametrize(
    ("rule", "request_", "answer"),
    [
        ("{}", get("/"), "allow"),
        ("{host: shop.example.com}", replace(get("/"), host="shop.example.com"), "allow"),
        ("{host: shop.example.com}", replace(get("/"), host="shop.example.com:80"), "deny-http"),
        ("{host: shop.example.com}", get("/"), "undefined"),  # an address that the cluster chooses
        ("{path: /a, host: shop.example.com}", get("/b"), "deny-http"),
        ("{headers: [X-A]}", get("/", X_A="1"), "allow"),
        ("{headers: [X-A]}", get("/"), "deny-http"),
        ("{headers: ['X-A 1']}", get("/", X_A="1"), "allow"),
        ("{headers: ['X-A: 1', 'X-B: 2']}", get("/", X_A="1"), "deny-http"),
        ("{headers: ['Host: a.b']}", replace(get("/"), host="a.b"), "allow"),
        ("{headers: ['Content-Length: 4']}", get("/"), "undefined"),
        ("{headerMatches: [{name: X-A, value: '1'}]}", get("/", X_A="2"), "deny-http"),
        ("{headerMatches: [{name: X-A, value: '1', mismatch: LOG}]}", get("/", X_A="2"), "allow"),
        ("{headerMatches: [{name: X-A}]}", get("/", X_A="2"), "allow"),
        ("{headerMatches: [{name: X-A, secret: {name: s}}]}", get("/", X_A="2"), "undefined"),
        ("{method: 'GET|HEAD'}", get("/", "HEAD"), "allow"),
    ],
)
def test_every_part_of_a_rule(rule: str, request_: HttpRequest, answer: str) -> None:
    assert http(rule, request_) == answer


DNS = """
endpointSelector: {matchLabels: {app: web}}
egress:
  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
    toPorts:
      - ports: [{port: "53", protocol: UDP}]
        rules: {dns: [{matchName: in.example.com}, {matchPattern: "*.svc.cluster.local"}]}
"""
ANY = DNS.replace("protocol: UDP", "protocol: ANY")
FQDN = (
    ANY
    + '  - toFQDNs: [{matchName: in.example.com}]\n    toPorts: [{ports: [{port: "443", protocol: TCP}]}]\n'
)


def lookup(
    policies: list[Policy],
    name: str,
    *,
    tcp: bool = False,
    search: bool = False,
    source: str = "shop/web",
    personality: Personality | None = None,
) -> str:
    target = Target(TargetKind.DNS, "", 53, Protocol.TCP if tcp else Protocol.UDP)
    asked = Probe(Source(SourceKind.POD, source), target, request=DnsQuery(name, tcp=tcp, search=search))
    return predict(WORLD, policies, asked, personality).word


def test_names_that_no_rule_takes_are_refused() -> None:
    assert lookup([cnp(DNS)], "in.example.com") == "allow"
    assert lookup([cnp(DNS)], "IN.example.com.") == "allow"
    assert lookup([cnp(DNS)], "example.com") == "dns-refused"
    assert lookup([cnp(DNS)], "a.svc.cluster.local") == "allow"
    assert lookup([cnp(DNS)], "a.b.svc.cluster.local") == "dns-refused"
    assert lookup([cnp(DNS)], "in.example.com", tcp=True) == "deny"
    assert lookup([cnp(ANY)], "in.example.com", tcp=True) == "allow"
    assert lookup([cnp(DNS)], "in.example.com", source="shop/cli") == "allow"


NXDOMAIN = cilium_with(denied_lookup=Verdict.DNS_NXDOMAIN)


def test_names_can_be_denied_as_if_there_were_none() -> None:
    def asked(name: str, *, tcp: bool = False, search: bool = False) -> str:
        return lookup([cnp(ANY)], name, tcp=tcp, search=search, personality=NXDOMAIN)

    assert asked("in.example.com") == "allow"
    assert asked("example.com") == asked("example.com", tcp=True) == "dns-nxdomain"
    assert asked("a.b.example.org", search=True) == "dns-nxdomain"
    assert lookup([cnp(DNS)], "in.example.com", tcp=True, personality=NXDOMAIN) == "deny"
    # Other requests are denied as ever.
    found = predict(
        WORLD, [cnp(HTTP)], replace(probe("shop/cli -> shop/web:80"), request=get("/x")), NXDOMAIN
    )
    assert found.word == "deny-http"


@pytest.mark.parametrize(("reading", "denial"), [(None, "dns-refused"), (NXDOMAIN, "dns-nxdomain")])
def test_the_trace_denies_names_in_the_same_words(reading: Personality | None, denial: str) -> None:
    target = Target(TargetKind.DNS, "", 53, Protocol.UDP)
    asked = Probe(Source(SourceKind.POD, "shop/web"), target, request=DnsQuery("example.com"))
    found = predict(WORLD, [cnp(DNS)], asked, reading)
    assert f": {denial}: " in found.trace[0]
    # Who is told nothing of the setting may meet either answer; who is told, only one.
    assert found.fits(Expected(denial))
    assert found.fits(Expected.DNS_NXDOMAIN)
    assert found.fits(Expected.DNS_REFUSED) is (reading is None)


def test_a_search_list_is_a_row_of_questions() -> None:
    everything = DNS.replace("matchName: in.example.com", "matchPattern: '**.cluster.local'")
    assert lookup([cnp(everything)], "example.org", search=True) == "undefined"
    assert lookup([cnp(DNS)], "a.b.example.org", search=True) == "dns-refused"
    star = DNS.replace("matchName: in.example.com", "matchPattern: '*'")
    assert lookup([cnp(star)], "a.b.example.org", search=True) == "allow"


def test_a_rule_without_ports_leaves_names_open() -> None:
    beside = cnp("{endpointSelector: {}, egress: [{toEntities: [all]}]}", name="q")
    assert lookup([cnp(DNS), beside], "example.com") == "undefined"
    assert lookup([cnp(DNS), beside], "in.example.com") == "allow"
    port = cnp('{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "53"}]}]}]}', name="r")
    assert lookup([cnp(DNS), port], "example.com") == "allow"


def host(name: str, port: int, policies: list[Policy]) -> str:
    asked = Probe(Source(SourceKind.POD, "shop/web"), Target(TargetKind.HOST, name, port, Protocol.TCP))
    return predict(WORLD, policies, asked).word


def test_a_name_is_reached_after_its_own_lookup() -> None:
    assert host("in.example.com", 443, [cnp(FQDN)]) == "allow"
    assert host("in.example.com", 80, [cnp(FQDN)]) == "deny"
    assert host("out.example.com", 443, [cnp(FQDN)]) == "dns-refused"
    assert host("in.example.com", 443, [cnp(DNS)]) == "deny"
    assert ask([cnp(FQDN)], "shop/web -> external:in:443", None) == "undefined"
    assert ask([cnp(FQDN)], "shop/web -> external:out:443", None) == "deny"


def test_what_no_proxy_sees_is_not_learned_by_this_lookup() -> None:
    plain = """
endpointSelector: {matchLabels: {app: web}}
egress:
  - toPorts: [{ports: [{port: "53"}]}]
  - toFQDNs: [{matchName: in.example.com}]
"""
    assert host("in.example.com", 443, [cnp(plain)]) == "undefined"


@pytest.mark.parametrize(
    ("action", "name", "answer"),
    [
        ("Accept", "in.example.com", "undefined"),  # it may know the address from another lookup
        ("Accept", "out.example.com", "deny"),  # no rule is about this one
        ("Pass", "in.example.com", "allow"),
        ("Deny", "in.example.com", "deny"),
    ],
)
def test_what_an_admin_policy_allows_no_proxy_sees(action: str, name: str, answer: str) -> None:
    text = f"""
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: first}}
spec:
  tier: Admin
  priority: 1
  subject: {{namespaces: {{}}}}
  egress:
    - action: {action}
      to: [{{namespaces: {{}}}}]
      protocols: [{{udp: {{destinationPort: {{number: 53}}}}}}]
"""
    (first,), _ = read(text)
    assert first is not None
    assert host(name, 443, [cnp(FQDN), first]) == answer
    asked = Probe(Source(SourceKind.POD, "shop/web"), Target(TargetKind.HOST, name, 443, Protocol.TCP))
    told = [str(side.answer) for side in trace(WORLD, [cnp(FQDN), first], asked)]
    assert min(told, key=["deny", "undefined", "allow"].index) == answer


SNI = """
endpointSelector: {matchLabels: {app: web}}
egress:
  - toEntities: [world]
    toPorts: [{ports: [{port: "443", protocol: TCP}], serverNames: ["*.example.com"]}]
"""


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (TlsRequest("in.example.com"), "allow"),
        (TlsRequest("IN.EXAMPLE.COM"), "allow"),
        (TlsRequest("example.com"), "tls-rejected"),
        (TlsRequest(), "tls-rejected"),
        (None, "undefined"),
        (get("/"), "undefined"),
    ],
)
def test_server_names(request_: Request | None, answer: str) -> None:
    assert ask([cnp(SNI)], "shop/web -> external:in:443", request_) == answer


# -- which of two denials comes first ------------------------------------------------------------------


def to_web(rules: str, peer: str = "{}", opened: str = "") -> Policy:
    """What `cli` may send to the pods of its namespace; `opened` is about its default."""
    text = f"""
endpointSelector: {{matchLabels: {{app: cli}}}}
egress:
  - toEndpoints: [{{matchLabels: {peer}}}]
    toPorts: [{{ports: [{{port: "80", protocol: TCP}}], {rules}}}]
"""
    return cnp(text + opened, name="out")


HTTP_A = "rules: {http: [{path: /a}]}"
CLOSED = cnp("{endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}", name="closed")
FAR_CLUSTER = "{io.cilium.k8s.policy.cluster: x}"
MAYBE = to_web(HTTP_A, FAR_CLUSTER, "enableDefaultDeny: {egress: false}")
"""Whether this rule is about `web` is open; if not, all requests pass."""


@pytest.mark.parametrize(
    ("policies", "request_", "answer"),
    [
        # The sender's proxy answers before it turns to the server.
        ([to_web(HTTP_A), CLOSED], get("/no"), "deny-http"),
        ([to_web('serverNames: ["a.b"]'), CLOSED], TlsRequest("c.d"), "tls-rejected"),
        ([to_web(HTTP_A), CLOSED], replace(get("/no"), after=(get("/a"),)), "deny-http"),
        # What it passes on meets the server's side.
        ([to_web(HTTP_A), CLOSED], get("/a"), "deny"),
        ([to_web('serverNames: ["a.b"]'), CLOSED], TlsRequest("a.b"), "deny"),
        ([to_web(HTTP_A), CLOSED], replace(get("/a"), after=(get("/no"),)), "deny"),
        ([to_web(HTTP_A), cnp(HTTP)], get("/a"), "deny-http"),
        # No proxy is asked about what the sender's side drops.
        ([cnp("{endpointSelector: {matchLabels: {app: cli}}, egress: [{}]}"), cnp(HTTP)], get("/no"), "deny"),
    ],
)
def test_the_senders_side_denies_first(policies: list[Policy], request_: Request, answer: str) -> None:
    assert ask(policies, "shop/cli -> shop/web:80", request_) == answer


def test_a_question_is_refused_before_the_resolver_is_asked() -> None:
    closed = policy("{podSelector: {}}", namespace="kube-system")
    assert lookup([cnp(DNS), closed], "example.com") == "dns-refused"
    assert lookup([cnp(DNS), closed], "in.example.com") == "deny"
    assert host("out.example.com", 443, [cnp(FQDN), closed]) == "dns-refused"


def test_where_it_is_open_what_denies_first_any_of_both_may_be_seen() -> None:
    asked = replace(probe("shop/cli -> shop/web:80"), request=get("/no"))
    found = predict(WORLD, [MAYBE, CLOSED], asked)
    assert (found.word, found.direction) == ("deny", Direction.INGRESS)
    assert found.possible == (Verdict.DENY_HTTP, Verdict.DROP, Verdict.REJECT)
    assert found.reason.startswith("isolated for ingress, and no rule matches; whether it is denied in anoth")
    # What the proxy passes in any case is dropped behind it.
    assert predict(WORLD, [MAYBE, CLOSED], replace(asked, request=get("/a"))).possible == DROPS
    # An egress that is dropped or let through, and a request that the server's side denies.
    perhaps = cnp(
        f"{{endpointSelector: {{matchLabels: {{app: cli}}}}, egress: [{{toEndpoints: [{{matchLabels:"
        f" {FAR_CLUSTER}}}]}}]}}",
        name="out",
    )
    found = predict(WORLD, [perhaps, cnp(HTTP)], asked)
    assert (found.word, found.possible) == ("deny", (*DROPS, Verdict.DENY_HTTP))
    # Both ends of an answer that is open deny, and nothing else does.
    shut = to_web(HTTP_A, FAR_CLUSTER)
    found = predict(WORLD, [shut], asked)
    assert (found.verdict, found.possible) == (UNDEFINED, ())
    assert found.denials == (*DROPS, Verdict.DENY_HTTP)
    assert predict(WORLD, [shut, CLOSED], asked).possible == (*DROPS, Verdict.DENY_HTTP)


DROPS = (Verdict.DROP, Verdict.REJECT)


def test_one_backend_that_may_be_denied_in_two_ways_is_no_answer_for_all() -> None:
    asked = replace(probe("shop/cli -> service:shop/svc:80"), request=get("/no"))
    world = replace(
        WORLD,
        services={"shop/svc": Service("shop", "svc", {"app": "web"}, (ServicePort(80, 80),))},
        pods={**WORLD.pods, "shop/twin": replace(WORLD.pods["shop/web"], name="twin")},
    )
    found = predict(world, [MAYBE, CLOSED], asked)
    assert (found.verdict, set(found.denials)) == (UNDEFINED, {*DROPS, Verdict.DENY_HTTP})


def test_a_trace_shows_what_was_looked_for() -> None:
    asked = replace(probe("shop/cli -> shop/web:80"), request=get("/no"))
    (side,) = [item for item in trace(WORLD, [cnp(HTTP)], asked) if item.direction is Direction.INGRESS]
    assert side.answer is DENY
    (rule,) = side.tiers[0].policies[0].rules
    assert rule.decides
    found = [(part.name, part.matched) for part in rule.ports]
    assert found == [
        ("toPorts[0].ports[0]", True),
        ("toPorts[0].rules.http[0]", False),
        ("toPorts[0].rules.http[1]", False),
    ]
    assert rule.ports[2].why == "wants method POST and path /api/v1/orders and header X-API-Version: 2"
    assert side.tiers[0].outcome == "deny"


def test_all_pairs_leave_open_what_a_proxy_decides() -> None:
    policies = [cnp(HTTP)]
    matrix = Matrix(WORLD, policies, [(Protocol.TCP, 80), (Protocol.TCP, 8080)])
    for source in WORLD.pods:
        for destination in WORLD.pods:
            for port in matrix.ports:
                asked = Probe(
                    Source(SourceKind.POD, source), Target(TargetKind.POD, destination, port[1], port[0])
                )
                assert matrix.answer(source, destination, port) is predict(WORLD, policies, asked).verdict
    assert matrix.answer("shop/cli", "shop/web", (Protocol.TCP, 80)) is UNDEFINED


def test_cells_that_leave_it_to_the_oracle_get_the_very_denial() -> None:
    asked = replace(probe("shop/cli -> shop/web:80"), request=get("/no"))
    cell = Cell("c", asked, Expectation(Expected.ORACLE), HERE)
    found = resolve(scenario(step(cell, policies=(cnp(HTTP),), topology=WORLD)))
    assert found.steps[0].cells[0].expectation.default is Expected.DENY_HTTP


def test_cells_that_leave_it_to_the_oracle_get_any_denial_where_it_is_open_which() -> None:
    asked = replace(probe("shop/cli -> shop/web:80"), request=get("/no"))
    cell = Cell("c", asked, Expectation(Expected.ORACLE), HERE)
    found = resolve(scenario(step(cell, policies=(MAYBE, CLOSED), topology=WORLD)))
    assert found.steps[0].cells[0].expectation.default is Expected.DENY


@pytest.mark.parametrize(
    ("predicted", "expected", "right"),
    [
        (Prediction(DENY, ""), "drop", True),
        (Prediction(DENY, ""), "reject", True),
        (Prediction(DENY, ""), "deny-http", False),
        (Prediction(DENY, "", denial=Verdict.DENY_HTTP), "deny", True),
        (Prediction(DENY, "", denial=Verdict.DENY_HTTP), "deny-http", True),
        (Prediction(DENY, "", denial=Verdict.DENY_HTTP), "drop", False),
        (Prediction(DENY, "", denial=Verdict.DENY_HTTP), "allow", False),
        (Prediction(DENY, "", denial=Verdict.DNS_REFUSED), "dns-nxdomain", True),
        (Prediction(DENY, "", denials=(Verdict.DROP, Verdict.DENY_HTTP)), "deny-http", True),
        (Prediction(DENY, "", denials=(Verdict.DROP, Verdict.DENY_HTTP)), "dns-refused", False),
        (Prediction(DENY, "", denials=(Verdict.DROP, Verdict.DENY_HTTP)), "allow", False),
        (Prediction(ALLOW, ""), "deny", False),
        (Prediction(UNDEFINED, ""), "drop", True),
        (Prediction(ALLOW, ""), "observe", True),
    ],
)
def test_expectations_fit_predictions(predicted: Prediction, expected: str, right: bool) -> None:
    assert agrees(predicted, expected) is right


def test_predictions_say_which_denial() -> None:
    http = Predicted(DENY, denial=Verdict.DENY_HTTP)
    assert http.agrees(Verdict.DENY_HTTP)
    assert not http.agrees(Verdict.DROP)
    plain = Predicted(DENY)
    assert plain.agrees(Verdict.DROP)
    assert plain.agrees(Verdict.REJECT)
    assert not plain.agrees(Verdict.DENY_HTTP)
    either = Predicted(DENY, denials=(Verdict.DROP, Verdict.DENY_HTTP))
    assert either.word == "deny"
    assert either.agrees(Verdict.DENY_HTTP)
    assert either.agrees(Verdict.DROP)
    assert not either.agrees(Verdict.ALLOW)
    dns = Predicted(DENY, denial=Verdict.DNS_REFUSED)
    assert dns.agrees(Verdict.DNS_NXDOMAIN)
    assert not dns.agrees(Verdict.ALLOW)
    assert Predicted(ALLOW).agrees(Verdict.ALLOW)
