"""Personalities: what the specification leaves open, as Cilium and Calico read it (semantics.md 4)."""

from __future__ import annotations

import ipaddress
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.cli.clusters import LabSpec, parse_spec
from harness.cli.exits import CliError
from harness.engine.scenario_run import ScenarioRun
from harness.engine.status import decide
from harness.model.personality import (
    CALICO,
    CILIUM,
    GENERIC,
    Enforcement,
    Personality,
    asked_for,
    calico_with,
    cilium_with,
    of_scenario,
)
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.result import Backend
from harness.model.rules import Action, Block, Direction, Match, Origin, PolicyBlock, Reach, Rule, Stage, Tier
from harness.model.scenario import Scenario
from harness.model.topology import Protocol, Service, ServicePort, ServiceType, Topology
from harness.model.verdict import Expectation, Expected, Status, Verdict
from harness.oracle import predict, resolve, trace
from harness.oracle.flips import to_deny
from harness.oracle.matrix import Matrix
from harness.report.html import to_html
from harness.report.json import through
from harness.report.markdown import to_markdown
from harness.report.terminal import Style, render
from harness.report.text import plain
from tests.unit import report_samples as samples
from tests.unit.kubernetes_worlds import pod, policy, probe, read, world
from tests.unit.worlds import POLICY, ScriptedCluster, cell, scenario, step

ROOT = Path(__file__).resolve().parents[2]
ALLOW, DENY, OPEN = Answer.ALLOW, Answer.DENY, Answer.UNDEFINED
BOTH = cilium_with(("nodes", "pods"))
WORLD: Topology = world(
    pod("n/web", node="a", app="web", listen="http=80"),
    pod("n/cli", node="b", app="cli"),
    pod("n/host", node="b", host=True, listen="80 web=8080", app="host"),
    externals={"out": "203.0.113.10 2001:db8::10"},
    services=(
        Service("n", "own", {"app": "web"}, (ServicePort(80, 80),)),
        Service("n", "port", {"app": "web"}, (ServicePort(80, 80, node_port=30080),), ServiceType.NODE_PORT),
    ),
)


def blocks(block: str, *directions: str) -> Policy:
    """A policy whose one rule for each direction has one block."""
    words = {"Egress": "egress: [{to: [{ipBlock: %s}]}]", "Ingress": "ingress: [{from: [{ipBlock: %s}]}]"}
    chosen = directions or ("Egress",)
    rules = [words[item] % block for item in chosen]
    return policy("\n".join(["podSelector: {}", f"policyTypes: [{', '.join(chosen)}]", *rules]))


def admin(name: str, action: str) -> Policy:
    text = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
    text += f"metadata: {{name: {name}}}\nspec:\n  tier: Admin\n  priority: 7\n"
    text += (
        f"  subject: {{namespaces: {{}}}}\n  ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]\n"
    )
    (found,), problems = read(text)
    assert found is not None, [str(item) for item in problems.found]
    return found


EVERYTHING = blocks("{cidr: 0.0.0.0/0}", "Egress", "Ingress")
NAMED = policy(
    "podSelector: {}\npolicyTypes: [Egress]\n"
    "egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]"
)
BUT_PRIVATE = blocks("{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}")
BUT_METADATA = blocks("{cidr: 0.0.0.0/0, except: [169.254.0.0/16]}")
PRIVATE = blocks("{cidr: 10.0.0.0/8}")
OUTSIDE = blocks("{cidr: 203.0.113.0/24}")
FROM_OUTSIDE = blocks("{cidr: 203.0.113.0/24}", "Ingress")
CLOSED = policy("podSelector: {}\npolicyTypes: [Egress, Ingress]")
SILENT = policy("podSelector: {}\npolicyTypes: [Egress]")
PORTS = policy("podSelector: {}\ningress: [{ports: [{port: 80}]}]")
NO_PORTS = policy("podSelector: {}\ningress: [{from: [{podSelector: {}}]}]")
OF_HOST = policy("podSelector: {matchLabels: {app: host}}")
FROM_HOST = policy("podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {app: host}}}]}]")
TO_WEB = policy("podSelector: {}\negress: [{ports: [{port: web}]}]\npolicyTypes: [Egress]")
SAME_PLACE = [admin("a", "Deny"), admin("b", "Accept")]

# The number is that of the row in section 4; the answers are those of generic, Cilium, Cilium with
# policyCIDRMatchMode, and Calico.
ROWS = [
    (1, "all addresses, a pod", [EVERYTHING], "n/cli -> n/web:80", OPEN, DENY, ALLOW, ALLOW),
    (1, "all addresses, an external", [EVERYTHING], "n/cli -> external:out:443", *[ALLOW] * 4),
    (1, "all addresses, what a pod calls its port", [NAMED], "n/cli -> n/web:80", OPEN, DENY, ALLOW, ALLOW),
    (1, "all addresses, an external has no names", [NAMED], "n/cli -> external:out:443", *[DENY] * 4),
    (1, "all but private ones, a pod", [BUT_PRIVATE], "n/cli -> n/web:80", OPEN, DENY, OPEN, OPEN),
    (1, "all but the link's, a pod", [BUT_METADATA], "n/cli -> n/web:80", OPEN, DENY, ALLOW, ALLOW),
    (1, "private ones, a pod", [PRIVATE], "n/cli -> n/web:80", OPEN, DENY, OPEN, OPEN),
    (1, "addresses for documentation", [OUTSIDE], "n/cli -> n/web:80", *[DENY] * 4),
    (2, "all addresses, a node", [EVERYTHING], "node:b -> n/web:80", OPEN, DENY, ALLOW, ALLOW),
    (2, "all addresses, a pod with the node's", [EVERYTHING], "n/web -> n/host:80", OPEN, DENY, ALLOW, ALLOW),
    (3, "a policy for a pod with the node's network", [OF_HOST], "n/web -> n/host:80", OPEN, *[ALLOW] * 3),
    (4, "such a pod as a peer", [FROM_HOST], "n/host -> n/web:80", OPEN, *[DENY] * 3),
    (4, "a port that it calls so", [TO_WEB], "n/web -> n/host:8080", OPEN, *[DENY] * 3),
    (5, "another node", [CLOSED], "node:b -> n/web:80", *[DENY] * 4),
    (5, "another node, any peer", [PORTS], "node:b -> n/web:80", *[ALLOW] * 4),
    (6, "the own node", [CLOSED], "node:a -> n/web:80", *[ALLOW] * 4),
    (6, "to the own node", [SILENT], "n/cli -> node:b:80", ALLOW, *[DENY] * 3),
    (6, "to the own node, all addresses", [EVERYTHING], "n/cli -> node:b:80", ALLOW, DENY, ALLOW, ALLOW),
    (7, "itself", [CLOSED], "n/web -> n/web:80", *[ALLOW] * 4),
    (8, "itself, through its service", [CLOSED], "n/web -> service:n/own:80", OPEN, ALLOW, ALLOW, OPEN),
    (8, "itself, through a node", [CLOSED], "n/web -> nodeport:a:30080", OPEN, OPEN, OPEN, OPEN),
    (9, "an external through a node", [FROM_OUTSIDE], "external:out -> nodeport:b:30080", *[OPEN] * 4),
    (10, "ICMP, rules with ports", [PORTS], "n/cli -> n/web/ICMP", OPEN, *[DENY] * 3),
    (10, "ICMP, rules without", [NO_PORTS], "n/cli -> n/web/ICMP", OPEN, *[ALLOW] * 3),
    (11, "ICMP, all denied", [CLOSED], "n/cli -> n/web/ICMP", OPEN, *[DENY] * 3),
    (20, "equal priorities that differ", SAME_PLACE, "n/cli -> n/web:80", OPEN, OPEN, OPEN, DENY),
]


@pytest.mark.parametrize(
    ("policies", "asked", "answers"),
    [pytest.param(row[2], row[3], row[4:], id=f"{row[0]} {row[1]}") for row in ROWS],
)
def test_rows(policies: list[Policy], asked: str, answers: tuple[Answer, ...]) -> None:
    found = [
        predict(WORLD, policies, probe(asked), reading).verdict for reading in (GENERIC, CILIUM, BOTH, CALICO)
    ]
    assert found == list(answers)


@pytest.mark.parametrize("reading", [GENERIC, CILIUM, BOTH, CALICO], ids=lambda item: item.name)
def test_the_trace_tells_the_same_answer(reading: Personality) -> None:
    for _, _, policies, text, *_ in ROWS:
        asked = probe(text)
        sides = trace(WORLD, policies, asked, reading)
        answers = {item.answer for item in sides}
        worst = next((item for item in (DENY, OPEN) if item in answers), ALLOW)
        assert worst is predict(WORLD, policies, asked, reading).verdict, text


def test_half_a_match_mode_matches_half() -> None:
    to_pod, to_node = probe("n/cli -> n/web:80"), probe("n/web -> node:b:80")
    egress = blocks("{cidr: 0.0.0.0/0}")
    for mode, answers in (("pods", (ALLOW, DENY)), ("nodes", (DENY, ALLOW))):
        reading = cilium_with((mode,))
        assert tuple(predict(WORLD, [egress], item, reading).verdict for item in (to_pod, to_node)) == answers


# -- who asks for which ------------------------------------------------------------------------------------


def foreign(dialect: str) -> Scenario:
    return scenario(step(policies=[replace(POLICY, dialect=dialect)]))


@pytest.mark.parametrize(
    ("dialect", "reading"),
    [("kubernetes", GENERIC), ("admin", GENERIC), ("cilium", CILIUM), ("calico", CALICO)],
)
def test_policies_ask_by_their_dialect(dialect: str, reading: Personality) -> None:
    wanted = foreign(dialect)
    assert of_scenario(wanted) is reading
    assert asked_for(wanted.steps[0].policies) is reading
    later = scenario(step(policies=[POLICY]), step(apply=[replace(POLICY, dialect=dialect)]))
    assert of_scenario(later) is reading


def test_a_lab_adapts_unless_it_was_told() -> None:
    lab = Backend("lab", ("lab", "generic"), adapts=True)
    assert lab.of(foreign("kubernetes")) is lab
    assert lab.of(foreign("cilium")).names == ("lab", "cilium")
    assert lab.of(foreign("cilium")).personality is CILIUM
    told = Backend("lab?as=calico", ("lab", "calico"), personality=CALICO)
    assert told.of(foreign("kubernetes")) is told
    cluster = Backend("kind", ("cilium",))
    assert cluster.of(foreign("cilium")) is cluster


def test_verdicts_of_a_personality_are_those_of_its_key() -> None:
    expectation = Expectation(Expected.ALLOW, {"cilium": Expected.DENY})
    lab = Backend("lab", ("lab", "generic"), adapts=True)
    assert decide(expectation, Verdict.DROP, lab.of(foreign("cilium"))).status is Status.PASSED
    assert decide(expectation, Verdict.DROP, lab).status is Status.FAILED


def test_cells_that_the_oracle_fills_in_are_certain() -> None:
    wanted = scenario(step(cell("n/cli -> n/web:80", Expected.ORACLE), topology=WORLD, policies=[EVERYTHING]))
    for reading, expected in ((None, Expected.OBSERVE), (CILIUM, Expected.DENY), (CALICO, Expected.ALLOW)):
        (found,) = resolve(wanted, reading).cells
        assert found.expectation.default is expected


def test_all_pairs_at_once_are_read_as_the_policies_ask() -> None:
    port = (Protocol.TCP, 80)
    assert Matrix(WORLD, [EVERYTHING], [port]).answer("n/cli", "n/web", port) is OPEN


# -- neutral rules -----------------------------------------------------------------------------------------

HERE = Origin("NetworkPolicy n/p", "egress[0]")


ANYBODY = Match()


def stage(*points: str | None, match: Match = ANYBODY) -> Stage:
    rules = tuple(Rule(Action.ALLOW, (match,), HERE, point) for point in points)
    return Stage(Tier("t", 1), Direction.EGRESS, (PolicyBlock(frozenset({"n/a"}), rules, HERE),))


@pytest.mark.parametrize(
    ("reading", "points"),
    [
        (GENERIC, [None, "ipblock-pod", "ipblock-node", "icmp"]),
        (CILIUM, [None, None]),
        (BOTH, [None] * 4),
        (CALICO, [None] * 4),
    ],
    ids=["generic", "cilium", "cilium-cidr", "calico"],
)
def test_rules_on_open_points_are_settled(reading: Personality, points: list[str | None]) -> None:
    (found,) = reading.settled([stage(None, "ipblock-pod", "ipblock-node", "icmp")])
    (block,) = found.blocks
    assert [item.open_point for item in block.rules] == points
    assert block.isolates


@pytest.mark.parametrize(
    ("reading", "reaches"),
    [
        (GENERIC, [Reach.CIDR]),
        (CILIUM, [Reach.CIDR]),
        (cilium_with(("pods",)), [Reach.CIDR, Reach.PODS]),
        (BOTH, [Reach.CIDR, Reach.NODES, Reach.PODS]),
        (CALICO, [Reach.CIDR]),
    ],
)
def test_blocks_of_cilium_reach_as_far_as_it_is_told(reading: Personality, reaches: list[Reach]) -> None:
    network = ipaddress.ip_network("0.0.0.0/0")
    mine = Match(blocks=(Block(network, (), Reach.CIDR),))
    other = Match(blocks=(Block(network),))
    found = reading.settled([stage(None, match=mine), stage(None, match=other)])
    blocks = [item.blocks[0].rules[0].matches[0].blocks or () for item in found]
    assert [block.reach for block in blocks[0]] == reaches
    assert [block.reach for block in blocks[1]] == [Reach.OUTSIDE]


CIDR_TEXT = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: "n"}
spec: {endpointSelector: {}, egress: [{toCIDR: ["%s"]}]}
"""


@pytest.mark.parametrize(
    ("cidr", "answers"),
    [
        ("0.0.0.0/0", (DENY, ALLOW, DENY, ALLOW, ALLOW)),
        ("10.0.0.0/8", (DENY, OPEN, DENY, OPEN, DENY)),
        ("203.0.113.0/24", (DENY, DENY, DENY, DENY, ALLOW)),
        ("::/0", (DENY, DENY, DENY, DENY, DENY)),
    ],
)
def test_cidrs_of_cilium_mean_whom_it_is_told(cidr: str, answers: tuple[Answer, ...]) -> None:
    """A pod and a node, first without a match mode, then with both; and an external, in any case."""
    (found,), _ = read(CIDR_TEXT % cidr)
    assert found is not None
    asked = [
        (probe("n/cli -> n/web:80"), None),
        (probe("n/cli -> n/web:80"), BOTH),
        (probe("n/web -> n/host:80"), CILIUM),
        (probe("n/web -> n/host:80"), BOTH),
        (probe("n/cli -> external:out:443"), BOTH),
    ]
    told = tuple(predict(WORLD, [found], item, reading).verdict for item, reading in asked)
    assert told == answers


@pytest.mark.parametrize(
    ("port", "word"), [("8080", "reject"), ("53/UDP", "reject"), ("ICMP", "deny"), ("9/SCTP", "deny")]
)
def test_calico_may_answer_what_it_denies(port: str, word: str) -> None:
    """Clients of TCP and UDP are told; what others make of the answer is not known on paper."""
    told = calico_with(answers_denials=True)
    asked = probe(f"n/cli -> n/web{'/ICMP' if port == 'ICMP' else ':' + port}")
    found = predict(WORLD, [CLOSED], asked, told)
    assert found.word == word
    assert [f": {word}: " in line for line in found.trace] == [True, True]
    assert found.fits(Expected.REJECT)
    assert found.fits(Expected.DENY)
    assert found.fits(Expected.DROP) is (word == "deny")
    assert predict(WORLD, [CLOSED], asked, CALICO).word == "deny"
    assert predict(WORLD, [], asked, told).word == "allow"


# -- specs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "reading"),
    [
        ("lab", None),
        ("lab?as=generic", GENERIC),
        ("lab?as=cilium", CILIUM),
        ("lab?as=calico", CALICO),
        ("lab?as=cilium&cidr=pods,nodes", BOTH),
        ("lab?cidr=pods&as=cilium", cilium_with(("pods",))),
        ("lab?as=cilium&dns=refused", CILIUM),
        ("lab?as=cilium&dns=nxdomain", cilium_with(denied_lookup=Verdict.DNS_NXDOMAIN)),
        ("lab?as=cilium&enforcement=default", CILIUM),
        ("lab?as=cilium&enforcement=never", cilium_with(enforcement=Enforcement.NEVER)),
        ("lab?as=cilium&dns=nxdomain&cidr=pods", cilium_with(("pods",), Verdict.DNS_NXDOMAIN)),
        ("lab?as=calico&deny=drop", CALICO),
        ("lab?deny=reject&as=calico", calico_with(answers_denials=True)),
    ],
)
def test_specs(spec: str, reading: Personality | None) -> None:
    assert parse_spec(spec) == LabSpec(reading)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("lab?as=antrea", "unknown personality 'antrea'"),
        ("lab?as=", "unknown personality ''"),
        ("lab?speed=9", "the lab has no setting 'speed'"),
        ("lab?", "the lab has no setting ''"),
        ("lab?as=cilium&as=calico", "`as` stands there twice"),
        ("lab?as=calico&cidr=pods", "`cidr` is a setting of Cilium's"),
        ("lab?cidr=pods", "`cidr` is a setting of Cilium's"),
        ("lab?as=cilium&cidr=", "`cidr` takes nodes and pods, not ''"),
        ("lab?as=cilium&cidr=pods,all", "`cidr` takes nodes and pods, not 'all'"),
        ("lab?as=cilium&dns=nameError", "`dns` takes refused or nxdomain, not 'nameError'"),
        ("lab?as=cilium&dns=", "`dns` takes refused or nxdomain, not ''"),
        ("lab?as=cilium&dns=nxdomain&dns=refused", "`dns` stands there twice"),
        ("lab?as=cilium&enforcement=", "`enforcement` takes default, always or never, not ''"),
        ("lab?as=cilium&enforcement=on", "`enforcement` takes default, always or never, not 'on'"),
        ("lab?enforcement=always", "`enforcement` is a setting of Cilium's"),
        ("lab?as=calico&dns=nxdomain", "`dns` is a setting of Cilium's"),
        ("lab?as=calico&deny=reject&dns=nxdomain", "`dns` is a setting of Cilium's"),
        ("lab?as=cilium&deny=reject", "`deny` is a setting of Calico's"),
        ("lab?deny=reject", "`deny` is a setting of Calico's"),
        ("lab?as=calico&deny=", "`deny` takes drop or reject, not ''"),
        ("lab?as=calico&deny=Reject", "`deny` takes drop or reject, not 'Reject'"),
    ],
)
def test_specs_that_mean_nothing(spec: str, text: str) -> None:
    with pytest.raises(CliError, match=f"cluster '{spec.replace('?', '.')}'.*") as refused:
        parse_spec(spec)
    assert text in str(refused.value)


# -- reports -----------------------------------------------------------------------------------------------


def test_reports_name_the_personality_that_policies_chose() -> None:
    run = samples.run(replace(samples.failing(), personality="cilium"), samples.passing())
    assert [item.personality for item in through(run).scenarios] == ["cilium", ""]
    text = plain(render(run, Style(columns=100)))
    first, *_ = [line for line in text.splitlines() if line.startswith("FAIL")]
    assert "  as cilium  " in first
    assert text.count("as cilium") == 1
    assert to_markdown(run).count("· as `cilium`") == 1
    assert to_html(run).count("<span>as cilium</span>") == 1


def test_a_run_tells_which_personality_it_took() -> None:
    for dialect, names in (("cilium", "cilium"), ("kubernetes", "")):
        cluster = ScriptedCluster(features=frozenset({"cilium-policies"}))
        cluster.backend = replace(cluster.backend, adapts=True)
        wanted = scenario(
            step(cell("n/a -> n/b:80"), policies=[replace(policy("podSelector: {}"), dialect=dialect)])
        )
        result = ScenarioRun(wanted, cluster, lambda event: None, threading.Event(), "r").execute()
        assert result.personality == names


@pytest.mark.parametrize(
    ("reading", "far"),
    [(None, "undefined"), ("cilium", "deny"), ("cilium&cidr=pods", "allow"), ("calico", "allow")],
)
def test_paper_alone_takes_a_personality_too(reading: str | None, far: str) -> None:
    file = str(ROOT / "scenarios" / "ipblock" / "does-it-match-pods.yaml")
    words = ["--as", reading] if reading else []
    done = CliRunner().invoke(cli, ["predict", file, "--json", *words])
    (told,) = json.loads(done.output)["worlds"]
    found = {item["id"]: item["predicted"] for item in told["cells"]}
    assert found["shop/client->shop/far:8080/TCP"] == far
    asked = ["explain", file, "shop/client", "shop/far:8080", "--json", *words]
    (probed,) = json.loads(CliRunner().invoke(cli, asked).output)["probes"]
    assert probed["predicted"] == far


def test_a_personality_that_is_none() -> None:
    done = CliRunner().invoke(cli, ["predict", "scenarios", "--as", "antrea"])
    assert done.exit_code == 4
    assert "--as antrea: unknown personality 'antrea'" in done.output


@pytest.mark.parametrize(
    ("asked", "reachable"),
    [
        # Whether isolation can deny it: generic, Cilium, Calico.
        ("n/cli -> node:b:80", (False, True, True)),
        ("n/cli -> n/web/ICMP", (False, True, True)),
        ("n/cli -> n/web:80", (True, True, True)),
    ],
)
def test_advice_says_isolate_only_where_that_would_deny(asked: str, reachable: tuple[bool, ...]) -> None:
    for reading, possible in zip((GENERIC, CILIUM, CALICO), reachable, strict=True):
        egress, _ = trace(WORLD, [], probe(asked), reading)
        ways = [way for way in to_deny(egress) if way.isolates]
        assert bool(ways) is possible
        denied = predict(WORLD, [SILENT], probe(asked), reading).verdict is DENY
        assert denied is possible
