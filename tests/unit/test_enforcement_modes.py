"""Cilium's enforcement modes on paper: `always` isolates every pod, in `never` policies have no effect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.clusters.lab.modes import in_mode
from harness.model.personality import CILIUM, Enforcement, Personality, cilium_with
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import Direction
from harness.model.topology import Protocol
from harness.oracle import flips, predict, trace
from tests.unit.cilium_worlds import cnp, shop
from tests.unit.kubernetes_worlds import policy, probe, read
from tests.unit.test_personality import CLOSED, EVERYTHING, NO_PORTS, WORLD

ALLOW, DENY = Answer.ALLOW, Answer.DENY
DEFAULT, ALWAYS, NEVER = (cilium_with(enforcement=mode) for mode in Enforcement)
MODES = {"default": DEFAULT, "always": ALWAYS, "never": NEVER}


def clusterwide(tier: str) -> Policy:
    """Lets the pods of all namespaces in, and nothing out."""
    text = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
    text += f"metadata: {{name: all}}\nspec:\n  tier: {tier}\n  priority: 7\n"
    text += "  subject: {namespaces: {}}\n"
    text += "  ingress: [{action: Accept, from: [{namespaces: {}}]}]\n"
    (found,), problems = read(text)
    assert found is not None, [str(item) for item in problems.found]
    return found


def lax(port: int, direction: str = "ingress") -> Policy:
    """Allows one port, and isolates nobody."""
    rule = f'{{toPorts: [{{ports: [{{port: "{port}", protocol: TCP}}]}}]}}'
    spec = f"endpointSelector: {{}}\n{direction}: [{rule}]\nenableDefaultDeny: {{{direction}: false}}"
    return cnp(spec, f"lax-{direction}-{port}", '"n"')


OUT = policy("podSelector: {}\npolicyTypes: [Egress]\negress: [{}]", name="out")

# The answers are those of the modes default, always and never.
ROWS = [
    ("no policy", [], "n/cli -> n/web:80", ALLOW, DENY, ALLOW),
    ("no policy, to the outside", [], "n/cli -> external:out:443", ALLOW, DENY, ALLOW),
    ("no policy, from the outside", [], "external:out -> n/web:80", ALLOW, DENY, ALLOW),
    ("no policy, ICMP", [], "n/cli -> n/web/ICMP", ALLOW, DENY, ALLOW),
    ("the own node", [], "node:a -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("another node", [], "node:b -> n/web:80", ALLOW, DENY, ALLOW),
    ("to the own node", [], "n/cli -> node:b:80", ALLOW, DENY, ALLOW),
    ("a pod with its network, on the own node", [], "n/host -> n/cli:80", ALLOW, ALLOW, ALLOW),
    ("a pod with its network, on another node", [], "n/host -> n/web:80", ALLOW, DENY, ALLOW),
    ("a pod with its network is not isolated", [], "n/host -> external:out:443", ALLOW, ALLOW, ALLOW),
    ("a pod with its network is reached", [], "external:out -> n/host:80", ALLOW, ALLOW, ALLOW),
    ("itself", [], "n/web -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("itself, through its service", [], "n/web -> service:n/own:80", ALLOW, ALLOW, ALLOW),
    ("all closed", [CLOSED], "n/cli -> n/web:80", DENY, DENY, ALLOW),
    ("all closed, the own node", [CLOSED], "node:a -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("one direction allowed", [NO_PORTS], "n/cli -> n/web:80", ALLOW, DENY, ALLOW),
    ("the other direction allowed", [OUT], "n/cli -> n/web:80", ALLOW, DENY, ALLOW),
    ("both directions allowed", [NO_PORTS, OUT], "n/cli -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("a block is no pod in any mode", [EVERYTHING], "n/cli -> n/web:80", DENY, DENY, ALLOW),
    ("a block outside", [EVERYTHING], "n/cli -> external:out:443", ALLOW, ALLOW, ALLOW),
    ("a policy that isolates nobody", [lax(80), OUT], "n/cli -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("the same for another port", [lax(81), OUT], "n/cli -> n/web:80", ALLOW, DENY, ALLOW),
    ("the same on the way out", [lax(80), lax(80, "egress")], "n/cli -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("an admin's tier", [clusterwide("Admin"), OUT], "n/cli -> n/web:80", ALLOW, ALLOW, ALLOW),
    ("the tier behind", [clusterwide("Baseline"), OUT], "n/cli -> n/web:80", ALLOW, ALLOW, ALLOW),
    (
        "the tier behind, another peer",
        [clusterwide("Baseline")],
        "external:out -> n/web:80",
        ALLOW,
        DENY,
        ALLOW,
    ),
]


@pytest.mark.parametrize(
    ("policies", "asked", "answers"), [pytest.param(row[1], row[2], row[3:], id=row[0]) for row in ROWS]
)
def test_rows(policies: list[Policy], asked: str, answers: tuple[Answer, ...]) -> None:
    assert tuple(predict(WORLD, policies, probe(asked), mode).verdict for mode in MODES.values()) == answers


def test_the_default_mode_is_cilium_as_it_is() -> None:
    assert DEFAULT == CILIUM


@pytest.mark.parametrize("mode", MODES)
def test_the_trace_tells_the_same(mode: str) -> None:
    for what, policies, text, *_ in ROWS:
        sides = trace(WORLD, policies, probe(text), MODES[mode])
        answers = {item.answer for item in sides}
        expected = predict(WORLD, policies, probe(text), MODES[mode])
        assert (DENY if DENY in answers else ALLOW) is expected.verdict, what
        assert set(expected.reason.split("; ")) <= {item.reason for item in sides}, what
        for change in flips(sides):
            assert all(change.alternatives), what
            assert "of , or" not in " ".join(change.alternatives)


def test_the_mode_is_the_reason() -> None:
    asked = probe("n/cli -> n/web:80")
    alone = predict(WORLD, [], asked, ALWAYS)
    assert alone.reason == "no egress rule matches, and enforcement mode `always` isolates every pod"
    assert alone.deciding == ()
    assert alone.direction is Direction.EGRESS
    # Where a policy isolates, it is the policy.
    closed = predict(WORLD, [CLOSED], asked, ALWAYS)
    assert closed.reason == "isolated for egress, and no rule matches"
    assert [item.policy for item in closed.deciding] == ["NetworkPolicy n/p"]
    free = predict(WORLD, [CLOSED], asked, NEVER)
    assert free.reason == "in enforcement mode `never` no policy has any effect"
    egress, ingress = trace(WORLD, [CLOSED], asked, NEVER)
    assert {tier.outcome for side in (egress, ingress) for tier in side.tiers} == {"not asked"}
    assert egress.out_of_reach
    assert flips((egress, ingress)) == ()


def test_what_would_have_to_change() -> None:
    egress, ingress = trace(WORLD, [], probe("n/cli -> n/web:80"), ALWAYS)
    texts = [text for change in flips((egress, ingress)) for text in change.alternatives]
    assert texts == [
        "a policy that selects n/cli allows 80/TCP to n/web",
        "a policy that selects n/web allows 80/TCP from n/cli",
    ]
    # One that is allowed needs no policy that isolates: without the rule it is denied.
    allowed = trace(WORLD, [NO_PORTS, OUT], probe("n/cli -> n/web:80"), ALWAYS)
    (change,) = flips(allowed)
    assert not any("isolates" in text for text in change.alternatives)


HTTP = """
endpointSelector: {matchLabels: {app: web}}
ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /a}]}}]}]
"""
LEAVE = "{endpointSelector: {}, egress: [{toEntities: [all]}]}"


@pytest.mark.parametrize(
    ("mode", "policies", "words"),
    [
        (DEFAULT, [cnp(HTTP)], ("allow", "deny-http")),
        (ALWAYS, [cnp(HTTP)], ("deny", "deny")),
        (ALWAYS, [cnp(HTTP), cnp(LEAVE, "leave")], ("allow", "deny-http")),
        (NEVER, [cnp(HTTP)], ("allow", "allow")),
    ],
)
def test_requests(mode: Personality, policies: list[Policy], words: tuple[str, str]) -> None:
    asked = [
        replace(probe("shop/cli -> shop/web:80"), request=HttpRequest(path=path)) for path in ("/a", "/b")
    ]
    assert tuple(predict(shop(), policies, item, mode).word for item in asked) == words


def test_names_need_policies_on_both_sides() -> None:
    """The cluster's DNS is a pod like others."""
    target = Target(TargetKind.DNS, "", 53, Protocol.UDP)
    asked = Probe(Source(SourceKind.POD, "shop/cli"), target, request=DnsQuery("example.com"))
    leave = cnp(LEAVE, "leave")
    serve = cnp(
        "{endpointSelector: {matchLabels: {k8s-app: kube-dns}}, ingress: [{fromEntities: [all]}]}", "dns", ""
    )
    words = [predict(shop(), found, asked, ALWAYS).word for found in ([], [leave], [serve], [leave, serve])]
    assert words == ["deny", "deny", "deny", "allow"]
    assert (
        predict(shop(), [leave], asked, DEFAULT).word
        == predict(shop(), [leave], asked, NEVER).word
        == "allow"
    )


def test_neutral_rules() -> None:
    assert in_mode([], WORLD, DEFAULT) == ()
    egress, ingress = sorted(in_mode([], WORLD, ALWAYS), key=lambda item: item.direction)
    assert (egress.direction, ingress.direction) == (Direction.EGRESS, Direction.INGRESS)
    (block,) = egress.blocks
    assert block.subjects == {"n/web", "n/cli"}
    assert block.isolates
    assert block.strict
    assert in_mode([egress], WORLD, DEFAULT) == (egress,)
    assert in_mode([egress], WORLD, NEVER) == ()
    assert in_mode([egress], WORLD, ALWAYS)[0] is egress


SCENARIO = """
scenario: modes
pods: {shop/api: {labels: {app: api}, listen: [8080]}, shop/web: {}}
policies:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: api, namespace: shop}
    spec: {podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 9090}]}]}
expect:
  - {from: shop/web, to: "shop/api:8080", verdict: deny}
"""


@pytest.mark.parametrize(
    ("mode", "predicted", "told"),
    [
        (
            "always",
            "deny",
            "→ deny, no egress rule matches, and enforcement mode `always` isolates every pod",
        ),
        ("never", "allow", "in enforcement mode `never` no policy has any effect"),
        ("default", "deny", "no policy isolates shop/web for egress"),
    ],
)
def test_explained(mode: str, predicted: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "modes.yaml"
    file.write_text(SCENARIO)
    asked = ["--as", f"cilium&enforcement={mode}"]
    done = CliRunner().invoke(cli, ["explain", str(file), "shop/web", "shop/api:8080", *asked])
    assert told in done.output
    done = CliRunner().invoke(cli, ["predict", str(file), "--json", *asked])
    (found,) = json.loads(done.output)["worlds"]
    assert [item["predicted"] for item in found["cells"]] == [predicted]
