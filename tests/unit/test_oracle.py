# ruff: noqa: E501 - a policy is a line
from __future__ import annotations

import pytest

from harness.model.builtin import with_builtins
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import DnsQuery, HttpRequest, Probe, Target, TargetKind
from harness.model.rules import Direction
from harness.model.scenario import Cell, Scenario, Step, Transition
from harness.model.topology import Family, Service, ServicePort, ServiceType
from harness.model.verdict import Expectation, Expected
from harness.oracle import Prediction, predict, resolve
from tests.unit.kubernetes_worlds import HERE, TCP, UDP, pod, policy, probe, world

ALLOW, DENY, UNDEFINED = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED


def service(id: str, selector: dict[str, str], *ports: ServicePort, type: str = "ClusterIP") -> Service:
    namespace, name = id.split("/")
    return Service(namespace, name, selector, ports, ServiceType(type))


WORLD = with_builtins(
    world(
        pod("n/web", app="web", listen="http=8080", node="a"),
        pod("n/web2", app="web", track="new", listen="http=8080", node="b"),
        pod("n/cli", app="cli", listen="80", node="b"),
        pod("m/cli", app="cli"),
        externals={"shop": "203.0.113.10", "six": "2001:db8::6"},
        services=(
            service("n/web", {"app": "web"}, ServicePort(80, 8080), ServicePort(53, 53, UDP)),
            service("n/one", {"track": "new"}, ServicePort(80, "http")),
            service("n/gone", {"app": "gone"}, ServicePort(80, 8080)),
            service("n/direct", {"app": "web"}, ServicePort(8080, 9999), type="Headless"),
            service("n/open", {"track": "new"}, ServicePort(80, 8080, node_port=30080), type="NodePort"),
        ),
    )
)

DENY_IN = "podSelector: {}\npolicyTypes: [Ingress]"
DENY_OUT = "podSelector: {}\npolicyTypes: [Egress]"
WEB = "podSelector: {matchLabels: {app: web}}\n"
WEB_8080 = WEB + "ingress: [{ports: [{port: 8080}]}]"
WEB_80 = WEB + "ingress: [{ports: [{port: 80}]}]"
FROM_WEB = WEB + "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"
FROM_ALL_PODS = WEB + "ingress: [{from: [{namespaceSelector: {}}]}]"
NEW_DENIED = "podSelector: {matchLabels: {track: new}}"
TO_WEB = "podSelector: {matchLabels: {app: cli}}\npolicyTypes: [Egress]\negress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]"
TO_SHOP = "podSelector: {matchLabels: {app: cli}}\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"
DNS = "podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]"


def ask(text: str | Probe, *specs: str) -> Prediction:
    asked = probe(text) if isinstance(text, str) else text
    return predict(WORLD, [policy(spec, f"p{number}") for number, spec in enumerate(specs)], asked)


TABLE = [
    ("no policy", "n/cli -> n/web:8080", [], ALLOW),
    ("ingress of the destination", "n/cli -> n/web:8080", [DENY_IN], DENY),
    ("egress of the source", "n/cli -> n/web:8080", [DENY_OUT], DENY),
    ("egress allows, ingress does not", "n/cli -> n/web:8080", [TO_WEB, DENY_IN], DENY),
    ("both allow", "n/cli -> n/web:8080", [TO_WEB, WEB_8080], ALLOW),
    ("policies of another namespace", "m/cli -> n/web:8080", [DENY_OUT], ALLOW),
    ("itself", "n/web -> n/web:8080", [DENY_IN, DENY_OUT], ALLOW),
    ("own node", "node:a -> n/web:8080", [DENY_IN], ALLOW),
    ("other node", "node:b -> n/web:8080", [DENY_IN], DENY),
    ("node, pod anywhere", "node:a -> m/cli:80", ["podSelector: {}"], ALLOW),
    ("to the own node", "n/web -> node:a:10250", [DENY_OUT], ALLOW),
    ("to another node", "n/web -> node:b:10250", [DENY_OUT], DENY),
    ("from outside", "external:shop -> n/web:8080", [DENY_IN], DENY),
    ("to an external", "n/cli -> external:shop:443", [TO_SHOP], ALLOW),
    ("to an external, denied", "n/cli -> external:shop:443", [TO_WEB], DENY),
    ("icmp, free", "n/cli -> n/web/ICMP", [], ALLOW),
    ("icmp, isolated", "n/cli -> n/web/ICMP", [DENY_IN], UNDEFINED),
    # services: the pod's own port counts (semantics.md 3.1 no. 10)
    ("service, target port", "n/cli -> service:n/web:80", [WEB_8080], ALLOW),
    ("service, service port", "n/cli -> service:n/web:80", [WEB_80], DENY),
    ("service, backends differ", "n/cli -> service:n/web:80", [NEW_DENIED], UNDEFINED),
    ("service, named target", "n/cli -> service:n/one:80", [WEB_8080], ALLOW),
    ("service, egress to the backends", "n/cli -> service:n/web:80", [TO_WEB], ALLOW),
    ("service without backends", "n/cli -> service:n/gone:80", [], UNDEFINED),
    ("service without that port", "n/cli -> service:n/web:81", [], UNDEFINED),
    ("service from outside", "external:shop -> service:n/web:80", [], UNDEFINED),
    ("headless keeps the port dialled", "n/cli -> service:n/direct:8080", [WEB_8080], ALLOW),
    ("headless at a port that no service port names", "n/cli -> service:n/direct:80", [WEB_8080], DENY),
    ("headless of another protocol", "n/cli -> service:n/direct:8080/UDP", [], UNDEFINED),
    ("own service, free", "n/web2 -> service:n/one:80", [], ALLOW),
    ("own service, denied for others", "n/web2 -> service:n/one:80", [DENY_IN], UNDEFINED),
    ("own service, allowed", "n/web2 -> service:n/one:80", [WEB_8080], ALLOW),
    # node ports: the node may stand in for the source (semantics.md 4 no. 9)
    ("node port, free", "external:shop -> nodeport:a:30080", [], ALLOW),
    ("node port, all allowed", "external:shop -> nodeport:a:30080", [WEB_8080], ALLOW),
    ("node port, denied either way", "external:shop -> nodeport:a:30080", [DENY_IN], DENY),
    ("node port of the backend's own node", "external:shop -> nodeport:b:30080", [DENY_IN], UNDEFINED),
    ("node port, sender on another node", "n/web -> nodeport:b:30080", [FROM_WEB], UNDEFINED),
    ("node port, sender on the backend's node", "n/web2 -> nodeport:b:30080", [FROM_WEB], ALLOW),
    ("node port, sender on a node unknown", "m/cli -> nodeport:b:30080", [FROM_ALL_PODS], UNDEFINED),
    ("node port unknown", "external:shop -> nodeport:b:30081", [], UNDEFINED),
    # names: the lookup has to pass as well
    ("host", "n/cli -> host:shop.example.com:443", [], ALLOW),
    ("host, absolute", "n/cli -> host:Shop.Example.Com.:443", [], ALLOW),
    ("host, no DNS", "n/cli -> host:shop.example.com:443", [TO_SHOP], DENY),
    ("host, DNS only", "n/cli -> host:shop.example.com:443", [DNS], DENY),
    ("host, DNS and the address", "n/cli -> host:shop.example.com:443", [DNS, TO_SHOP], ALLOW),
    ("host, a service", "n/cli -> host:web.n.svc.cluster.local:80", [DNS, TO_WEB], ALLOW),
    ("host, a service, denied", "n/cli -> host:web.n.svc.cluster.local:80", [DNS], DENY),
    ("host, nobody's name", "n/cli -> host:example.net:443", [], UNDEFINED),
    ("no address of the family", "n/cli -> external:six:443", [], UNDEFINED),
    ("host, no address of the family", "n/cli -> host:six.example.com:443", [], UNDEFINED),
    ("no such pod", "n/cli -> n/nobody:80", [], UNDEFINED),
    ("no such external", "n/cli -> external:nobody:80", [], UNDEFINED),
    ("no such service", "n/cli -> service:n/nobody:80", [], UNDEFINED),
]


@pytest.mark.parametrize(
    ("text", "specs", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_predictions(text: str, specs: list[str], verdict: Answer) -> None:
    found = ask(text, *specs)
    assert found.verdict == verdict, found.trace
    assert found.reason


@pytest.mark.parametrize(
    ("query", "specs", "verdict"),
    [
        (DnsQuery("shop.example.com"), [], ALLOW),
        (DnsQuery("shop.example.com"), [DENY_OUT], DENY),
        (DnsQuery("shop.example.com"), [DNS], ALLOW),
        (DnsQuery("shop.example.com", tcp=True), [DNS], DENY),
    ],
)
def test_dns_queries_go_to_the_resolver(query: DnsQuery, specs: list[str], verdict: Answer) -> None:
    protocol = TCP if query.tcp else UDP
    source = probe("n/cli -> n/web:80").source
    asked = Probe(source, Target(TargetKind.DNS, "", 53, protocol), request=query)
    assert ask(asked, *specs).verdict is verdict


def test_the_resolver_has_an_ingress_side_too() -> None:
    closed = policy("podSelector: {}", namespace="kube-system")
    source = probe("n/cli -> n/web:80").source
    asked = Probe(source, Target(TargetKind.DNS, "", 53, UDP), request=DnsQuery("a.example"))
    found = predict(WORLD, [closed], asked)
    assert (found.verdict, found.direction) == (DENY, Direction.INGRESS)


def test_a_topology_without_the_resolver_gets_it() -> None:
    bare = world(pod("n/cli"))
    source = probe("n/cli -> n/cli:80").source
    asked = Probe(source, Target(TargetKind.DNS, "", 53, UDP), request=DnsQuery("a.example"))
    assert predict(bare, [], asked).verdict is ALLOW


def test_http_requests_are_decided_by_their_connection() -> None:
    plain = probe("n/cli -> n/web:8080")
    asked = Probe(plain.source, plain.target, request=HttpRequest("POST", "/api"))
    assert ask(asked, WEB_8080).verdict is ALLOW
    assert ask(asked, DENY_IN).verdict is DENY


def test_the_family_of_the_probe_counts() -> None:
    everything_v4 = WEB + "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"
    assert (
        predict(WORLD, [policy(everything_v4)], probe("n/web -> external:six:443", Family.IPV6)).verdict
        is DENY
    )


def test_a_deny_names_its_direction_and_the_policies_that_isolate() -> None:
    found = ask("n/cli -> n/web:8080", TO_WEB, DENY_IN)
    assert found.direction is Direction.INGRESS
    assert [item.policy for item in found.deciding] == ["NetworkPolicy n/p1"]


def test_an_allow_names_the_rules_of_both_directions() -> None:
    found = ask("n/cli -> n/web:8080", TO_WEB, WEB_8080)
    assert found.direction is None
    assert [f"{item.policy} {item.rule}" for item in found.deciding] == [
        "NetworkPolicy n/p0 egress[0]",
        "NetworkPolicy n/p1 ingress[0]",
    ]


def test_a_deny_outranks_what_is_undefined() -> None:
    open_out = WEB + "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"
    assert ask("n/web -> n/cli:80", open_out).verdict is UNDEFINED
    assert ask("n/web -> n/cli:80", open_out, DENY_IN).verdict is DENY


@pytest.mark.parametrize(
    ("text", "specs", "point"),
    [
        ("n/web2 -> service:n/one:80", [DENY_IN], "own-service"),
        ("external:shop -> nodeport:b:30080", [DENY_IN], "nodeport-source"),
        ("n/cli -> n/web/ICMP", [DENY_IN], "icmp"),
    ],
)
def test_open_points_are_named(text: str, specs: list[str], point: str) -> None:
    found = ask(text, *specs)
    assert found.open_point == point
    assert found.reason.startswith("undefined by the specification: ")


def test_the_trace_reads_as_sentences() -> None:
    found = ask("n/cli -> host:shop.example.com:443", DNS, TO_SHOP)
    assert found.trace == (
        "egress of n/cli to kube-system/kube-dns, port 53/UDP: allow: egress rule matches "
        "(NetworkPolicy n/p0 egress[0] at p.yaml:7)",
        "ingress of kube-system/kube-dns from n/cli, port 53/UDP: allow: "
        "no policy isolates kube-system/kube-dns for ingress",
        "egress of n/cli to external:shop, port 443/TCP: allow: egress rule matches "
        "(NetworkPolicy n/p1 egress[0] at p.yaml:7)",
        "ingress of external:shop from n/cli, port 443/TCP: allow: "
        "external:shop is no pod, policies have no say",
    )


def test_a_denied_lookup_says_that_it_was_the_lookup() -> None:
    found = ask("n/cli -> host:shop.example.com:443", TO_SHOP)
    assert found.reason == "DNS lookup: isolated for egress, and no rule matches"


def cell(text: str, expectation: Expectation) -> Cell:
    return Cell(text, probe(text), expectation, HERE)


def scenario(policies: tuple[Policy, ...], *cells: Cell, transition: Transition | None = None) -> Scenario:
    step = Step("expect", WORLD, policies, cells, transition=transition)
    return Scenario("s", HERE, WORLD, (step,))


@pytest.mark.parametrize(
    ("text", "specs", "expected"),
    [
        ("n/cli -> n/web:8080", [], Expected.ALLOW),
        ("n/cli -> n/web:8080", [DENY_IN], Expected.DENY),
        ("n/cli -> n/web/ICMP", [DENY_IN], Expected.OBSERVE),
    ],
)
def test_resolve_fills_in_predictions(text: str, specs: list[str], expected: Expected) -> None:
    asked = scenario(tuple(policy(spec) for spec in specs), cell(text, Expectation(Expected.ORACLE)))
    assert resolve(asked).cells[0].expectation == Expectation(expected)


def test_resolve_leaves_the_authors_word_alone() -> None:
    author = cell("n/cli -> n/web:8080", Expectation(Expected.DROP, {"cilium": Expected.ALLOW}))
    asked = scenario((), author)
    assert resolve(asked) == asked


def test_resolve_fills_in_per_backend_and_in_transitions() -> None:
    mixed = cell("n/cli -> n/web:8080", Expectation(Expected.REJECT, {"lab": Expected.ORACLE}))
    steady = cell("n/cli -> n/web:8080", Expectation(Expected.ORACLE))
    found = resolve(scenario((), mixed, transition=Transition(steady=(steady,))))
    assert found.cells[0].expectation == Expectation(Expected.REJECT, {"lab": Expected.ALLOW})
    transition = found.steps[0].transition
    assert transition is not None
    assert transition.steady[0].expectation.default is Expected.ALLOW


def test_each_step_is_predicted_in_its_own_world() -> None:
    asked = cell("n/cli -> n/web:8080", Expectation(Expected.ORACLE))
    steps = (Step("one", WORLD, (), (asked,)), Step("two", WORLD, (policy(DENY_IN),), (asked,)))
    found = resolve(Scenario("s", HERE, WORLD, steps))
    assert [item.expectation.default for item in found.cells] == [Expected.ALLOW, Expected.DENY]
