"""Random policies: what packets show must be what the policies say on paper.

The lab compiles policies to nft, the oracle evaluates them; they share the parser and the selectors only.
Where the oracle is certain, the two must agree on every cell. `NETCHECK_RANDOM_WORLDS` says how many worlds
are tried (`FIRST:COUNT` begins with another seed); a disagreement is printed as the smallest scenario that
shows it.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clusters.lab.world import LabWorld
from harness.dialects.admin import Admin
from harness.dialects.registry import parse_manifest
from harness.engine.cluster import ClusterError
from harness.engine.judge import judge
from harness.model.builtin import with_builtins
from harness.model.outcome import Observation, OutcomeKind
from harness.model.personality import (
    CALICO,
    CIDR_MODES,
    CILIUM,
    GENERIC,
    Enforcement,
    Personality,
    cilium_with,
)
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import (
    DnsQuery,
    HttpRequest,
    Probe,
    Source,
    SourceKind,
    Target,
    TargetKind,
    TlsRequest,
)
from harness.model.rules import Action, Direction, Stage
from harness.model.scenario import Scenario
from harness.model.topology import METADATA_NAME, Family, Protocol, Topology
from harness.model.verdict import Verdict
from harness.oracle import predict, trace
from harness.scenario import load
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab.labs import scenario, world
from tests.lab.random_policies import POD_LABELS, Json, manifests, manifests_of_calico
from tests.lab.shrinking import as_scenario, shrink

pytestmark = pytest.mark.lab

TIMEOUT = 0.3
"""Seconds that denied probes wait; they wait together."""

PATIENT = 4.0
"""The same for a second look at what differs: on a busy machine packets come late."""

LABS, CHUNK = 4, 20
"""Labs that work side by side, and the worlds that they share out as one test."""

WORLD = """
scenario: random
families: [ipv4, ipv6]
namespaces:
  red: {labels: {team: red, tier: front}}
  blue: {labels: {team: blue}}
pods:
  red/one: {labels: {app: web, env: prod, behind: svc}, listen: [web=80, 81, dns=5300/UDP]}
  red/two: {labels: {app: cli, behind: svc}, listen: [80, web=81]}
  blue/three: {labels: {app: web}, listen: [80, web=82, dns=5300/UDP]}
  blue/four: {labels: {app: db, env: test}, listen: [80, 81], serviceAccount: api}
  blue/host: {labels: {app: web}, hostNetwork: true, node: b, listen: [web=9100, 9101]}
services:
  red/svc: {selector: {behind: svc}, ports: [8000:80]}
  red/single: {selector: {only: one}, ports: [8000:80]}
  red/direct: {selector: {behind: svc}, type: Headless, ports: [80]}
  red/port: {selector: {behind: svc}, type: NodePort, ports: ["8001:80:30080"]}
externals:
  out: {address: [203.0.113.10, "2001:db8::10"], names: [www.example.com, out.example.org], listen: [80, 443]}
expect:
  - {from: red/one, to: "red/two:80", verdict: observe}
"""


def text_of_world(number: int) -> str:
    """The first leaves it to the cluster where its pods run; the others say so, with two or three nodes."""
    if not number:
        return WORLD
    dice = random.Random(number)
    letters = ("a", "b", "c")[: 2 + number % 2]
    lines = WORLD.splitlines(keepends=True)
    return "".join(
        line.replace(", listen:", f", node: {dice.choice(letters)}, listen:")
        if line.startswith(("  red/", "  blue/")) and "labels:" in line and "node:" not in line
        else line
        for line in lines
    )


FIXED = {"red/one": {"behind": "svc", "only": "one"}, "red/two": {"behind": "svc"}}
"""Labels by which services select; they stay, so that every world has the same controls."""


NAMESPACE_LABELS = [{"team": "red"}, {"team": "blue"}, {"team": "red", "env": "prod"}, {}]


def seeds() -> range:
    """Sixty worlds, or as many as the environment asks for."""
    first, _, count = os.environ.get("NETCHECK_RANDOM_WORLDS", "60").rpartition(":")
    return range(int(first or 0), int(first or 0) + int(count))


def relabelled(topology: Topology, seed: int) -> Topology:
    """The same pods with other labels."""
    dice = random.Random(seed)
    pods = {
        pod.id: replace(pod, labels={**dice.choice(POD_LABELS), **FIXED.get(pod.id, {})})
        for pod in topology.pods.values()
        if pod.namespace != "kube-system"
    }
    namespaces = {
        name: replace(item, labels={METADATA_NAME: name, **dice.choice(NAMESPACE_LABELS)})
        for name, item in topology.namespaces.items()
        if name != "kube-system"
    }
    return replace(
        topology,
        pods={**topology.pods, **pods},
        namespaces={**topology.namespaces, **namespaces},
    )


def parsed(manifest: Json) -> Policy | None:
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), "random.yaml", problems)
    assert isinstance(document.root, MappingNode)
    return parse_manifest(document.root, "default", problems)


def all_probes(wanted: Scenario) -> list[Probe]:
    pods = [pod for pod in wanted.topology.pods.values() if pod.namespace != "kube-system"]
    probes = []
    for family in (Family.IPV4, Family.IPV6):
        for source in pods:
            start = Source(SourceKind.POD, source.id)
            probes += [
                Probe(start, Target(TargetKind.POD, target.id, item.port, item.protocol), family)
                for target in pods
                for item in target.listeners
            ]
            probes += [
                Probe(start, Target(kind, name, port, Protocol.TCP), family)
                for kind, name, port in (
                    (TargetKind.EXTERNAL, "out", 80),
                    (TargetKind.EXTERNAL, "out", 443),
                    (TargetKind.SERVICE, "red/svc", 8000),
                    (TargetKind.SERVICE, "red/single", 8000),
                    (TargetKind.SERVICE, "red/direct", 80),
                    (TargetKind.NODEPORT, "a", 30080),
                    (TargetKind.NODEPORT, "b", 30080),
                    (TargetKind.NODE, "b", 9100),
                )
            ]
        for outside in (
            Source(SourceKind.EXTERNAL, "out"),
            Source(SourceKind.NODE, "a"),
            Source(SourceKind.NODE, "b"),
        ):
            probes += [
                Probe(outside, Target(TargetKind.POD, target.id, port, Protocol.TCP), family)
                for target in pods
                for port in (target.listeners[0].port,)
            ]
    return probes


def echoes(wanted: Scenario) -> list[Probe]:
    """ICMP between all pods."""
    pods = [pod.id for pod in wanted.topology.pods.values() if pod.namespace != "kube-system"]
    return [
        Probe(Source(SourceKind.POD, source), Target(TargetKind.POD, target, 0, Protocol.ICMP), family)
        for family in (Family.IPV4, Family.IPV6)
        for source in pods
        for target in pods
    ]


REQUESTS = (
    HttpRequest("GET", "/a?q=1"),
    HttpRequest("POST", "/b", (("x-version", "2"),)),
    HttpRequest("GET", "/b"),
    HttpRequest("GET", "/b", after=(HttpRequest("GET", "/a"), HttpRequest("POST", "/c"))),
)


def requests(wanted: Scenario) -> list[Probe]:
    """HTTP between pods, to the ports that rules name, and from outside."""
    pods = [pod for pod in wanted.topology.pods.values() if pod.namespace != "kube-system"]
    sources = [Source(SourceKind.POD, pod.id) for pod in pods] + [Source(SourceKind.EXTERNAL, "out")]
    return [
        Probe(source, Target(TargetKind.POD, target.id, item.port, Protocol.TCP), Family.IPV4, request)
        for source in sources
        for target in pods
        for item in target.listeners
        if item.protocol is Protocol.TCP and (item.port == 80 or item.name == "web")
        for request in REQUESTS
    ]


def greetings(wanted: Scenario) -> list[Probe]:
    """TLS to the ports on which rules ask for server names."""
    pods = [pod for pod in wanted.topology.pods.values() if pod.namespace != "kube-system"]
    targets = [Target(TargetKind.EXTERNAL, "out", 443, Protocol.TCP)]
    targets += [
        Target(TargetKind.POD, pod.id, 81, Protocol.TCP) for pod in pods if pod.listens(81, Protocol.TCP)
    ]
    return [
        Probe(Source(SourceKind.POD, pod.id), target, Family.IPV4, TlsRequest(name))
        for pod in pods
        for target in targets
        for name in ("www.example.com", "a.b.example.com", None)
    ]


def lookups(wanted: Scenario) -> list[Probe]:
    """Questions to the cluster's DNS, and connections to what it answers."""
    sources = [
        Source(SourceKind.POD, pod.id)
        for pod in wanted.topology.pods.values()
        if pod.namespace != "kube-system" and not pod.host_network
    ]
    names = ("www.example.com", "out.example.org")
    asked = [
        Probe(source, Target(TargetKind.DNS, "", 53, protocol), request=DnsQuery(name, tcp=tcp))
        for source in sources
        for name in names
        for tcp, protocol in ((False, Protocol.UDP), (True, Protocol.TCP))
    ]
    dialled = [
        Probe(source, Target(TargetKind.HOST, name, port, Protocol.TCP))
        for source in sources
        for name in names
        for port in (80, 443)
    ]
    return asked + dialled


class Lab:
    """One built world in which policies and labels change."""

    def __init__(self, made: LabWorld, wanted: Scenario, personality: Personality = GENERIC) -> None:
        self.made = made
        self.personality = personality
        self.wanted = wanted
        self.probes = [
            *all_probes(wanted),
            *echoes(wanted),
            *requests(wanted),
            *greetings(wanted),
            *lookups(wanted),
        ]
        self.certain = 0

    def manifests(self, seed: int) -> list[Json]:
        """Random policies that somebody of this personality would enforce."""
        return (manifests_of_calico if self.personality is CALICO else manifests)(seed)

    def check(self, seed: int) -> str:
        """Compare one world; what differs, as a scenario, or an empty text."""
        found = self.manifests(seed)
        topology = relabelled(self.wanted.topology, seed)
        self.certain = 0
        wrong = self.disagreements(found, topology, self.probes)
        if wrong:
            # What arrives although it is denied needs no second look; what does not arrive may be late.
            leaks = [item for item in wrong if item[1] not in (Verdict.ALLOW, "observe")]
            wrong = leaks or self.disagreements(found, topology, [item[0] for item in wrong], PATIENT)
        if wrong:
            return f"seed {seed}: {explain(self, found, topology, wrong[0])}"
        least = len(self.probes) / 3 if self.personality is GENERIC else len(self.probes) / 2
        return "" if self.certain > least else f"seed {seed}: paper says too little"

    def disagreements(
        self, found: Sequence[Json], topology: Topology, probes: Sequence[Probe], timeout: float = TIMEOUT
    ) -> list[tuple[Probe, str, str]]:
        """Probes on which paper and packets differ: what paper says, and both in words."""
        policies = [policy for item in found if (policy := parsed(item)) is not None]
        if len(policies) < len(found):
            return []
        self.made.reshape(topology)
        self.made.apply(policies)
        try:
            seen = self._sweep(probes, timeout)
        finally:
            self.made.delete([policy.ref for policy in policies])
        wrong = []
        on_paper = with_builtins(topology)
        for probe, observation in zip(probes, seen, strict=True):
            difference = self._differ(probe, observation, policies, on_paper)
            if difference:
                wrong.append((probe, *difference))
        return wrong

    def _sweep(self, probes: Sequence[Probe], timeout: float) -> Sequence[Observation]:
        """What is seen; on a machine that is too busy for the short wait, after the long one."""
        try:
            return self.made.sweep(probes, timeout)
        except ClusterError as error:
            if timeout >= PATIENT or "stood still" not in str(error):
                raise
            return self.made.sweep(probes, PATIENT)

    def _accepted_by_a_proxy(self, probe: Probe, observation: Observation) -> bool:
        """What a proxy took and could not pass on, and which is no HTTP: an error, as docs/lab.md says."""
        tcp = probe.target.protocol is Protocol.TCP or isinstance(probe.request, DnsQuery)
        taken = observation.outcome.kind in (OutcomeKind.RESET, OutcomeKind.ERROR)
        return tcp and taken

    def _goes_to_a_proxy(self, probe: Probe, policies: Sequence[Policy], topology: Topology) -> bool:
        """Whether on paper a rule of the sender's side may look into what it sends."""
        return any(
            rule.matched is not False and (".rules." in part.name or ".serverNames[" in part.name)
            for side in trace(topology, policies, probe, self.personality)
            if side.direction is Direction.EGRESS
            for tier in side.tiers
            for policy in tier.policies
            for rule in policy.rules
            for part in rule.ports
        )

    def _differ(
        self, probe: Probe, observation: Observation, policies: Sequence[Policy], topology: Topology
    ) -> tuple[str, str] | None:
        prediction = predict(topology, policies, probe, self.personality)
        found = judge(probe, observation)
        lost = (
            found.verdict is None
            and self._accepted_by_a_proxy(probe, observation)
            and self._goes_to_a_proxy(probe, policies, topology)
        )
        by_luck = "different answers" in prediction.reason
        if by_luck and not observation.split:
            if lost:
                # The backends that let it in have receipts; the cell is an error because of the others.
                return None
            return "observe", f"paper: {prediction.reason}; packets: all answer {found.verdict}"
        if prediction.verdict is Answer.UNDEFINED:
            return None
        self.certain += 1
        # The lab never rejects, and denies that there is such a name only where paper says that it must.
        expected = set(prediction.possible) - {Verdict.REJECT}
        if Verdict.DNS_REFUSED in expected:
            expected.discard(Verdict.DNS_NXDOMAIN)
        if found.verdict in expected and not observation.split:
            return None
        # Only a denial may end so: what paper allows must arrive.
        if lost and Verdict.DROP in expected and not observation.receipts:
            return None
        rules = ", ".join(str(item) for item in prediction.deciding)
        word = str(*expected) if len(expected) == 1 else prediction.word
        return word, (
            f"paper {word} ({prediction.reason}; {rules}), "
            f"packets {found.verdict} {found.reason}{observation.split}"
        )


PERSONALITIES = {
    "cilium": CILIUM,
    "cilium-cidr": cilium_with(CIDR_MODES, Verdict.DNS_NXDOMAIN),
    "calico": CALICO,
}

MODES = {
    f"cilium-{mode}": cilium_with(CIDR_MODES, enforcement=mode)
    for mode in (Enforcement.ALWAYS, Enforcement.NEVER)
}
"""Readings in which one word decides most cells: a third of the worlds is enough for them."""


@contextmanager
def opened(folder: Path, personality: Personality = GENERIC) -> Iterator[list[Lab]]:
    """Labs whose worlds differ in nodes."""
    made = []
    for number in range(LABS):
        (folder / str(number)).mkdir()
        made.append(scenario(text_of_world(number), folder / str(number)))
    with ExitStack() as stack:
        yield [Lab(stack.enter_context(world(item, personality)), item, personality) for item in made]


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lab]]:
    with opened(tmp_path_factory.mktemp("random")) as found:
        yield found


@pytest.fixture(scope="module", params=PERSONALITIES)
def characters(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Lab]]:
    with opened(tmp_path_factory.mktemp("characters"), PERSONALITIES[request.param]) as found:
        yield found


@pytest.fixture(scope="module", params=MODES)
def modes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lab]]:
    with opened(tmp_path_factory.mktemp("modes"), MODES[request.param]) as found:
        yield found


def explain(lab: Lab, found: Sequence[Json], topology: Topology, wrong: tuple[Probe, str, str]) -> str:
    """The smallest scenario that shows that a probe is answered otherwise on paper."""
    probe, predicted, words = wrong

    def still(smaller: list[Json]) -> bool:
        return bool(lab.disagreements(smaller, topology, [probe]))

    smallest: Sequence[Json] = found
    if still(list(found)):
        smallest = shrink(found, still)
        again = lab.disagreements(smallest, topology, [probe], PATIENT)
        probe, predicted, words = again[0] if again else wrong
    return f"{probe.id} {probe.family}: {words}\n{as_scenario(smallest, topology, probe, predicted)}"


def compare(labs: list[Lab], first: int) -> None:
    mine = [seed for seed in range(first, first + CHUNK) if seed in seeds()]

    def some(number: int) -> list[str]:
        return [labs[number].check(seed) for seed in mine[number::LABS]]

    with ThreadPoolExecutor(LABS) as pool:
        found = [text for texts in pool.map(some, range(LABS)) for text in texts if text]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("first", seeds()[::CHUNK])
def test_packets_agree_with_paper(labs: list[Lab], first: int) -> None:
    compare(labs, first)


@pytest.mark.parametrize("first", seeds()[::CHUNK])
def test_packets_agree_with_paper_in_each_personality(characters: list[Lab], first: int) -> None:
    compare(characters, first)


@pytest.mark.parametrize("first", seeds()[:: CHUNK * 3])
def test_packets_agree_with_paper_in_each_mode(modes: list[Lab], first: int) -> None:
    compare(modes, first)


def test_another_personality_would_be_found_out(tmp_path: Path) -> None:
    """Paper that takes the lab for somebody else is contradicted by packets, whoever it is."""
    block: Json = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "all", "namespace": "red"},
        "spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
    }
    wanted = scenario(WORLD, tmp_path)
    for mine, other in ((CILIUM, CALICO), (CALICO, CILIUM), (CILIUM, PERSONALITIES["cilium-cidr"])):
        with world(wanted, mine) as made:
            lab = Lab(made, wanted, other)
            assert lab.disagreements([block], wanted.topology, lab.probes)
            lab.personality = mine
            assert not lab.disagreements([block], wanted.topology, lab.probes, PATIENT)


def test_without_policies_everything_passes(labs: list[Lab]) -> None:
    for lab in labs:
        assert lab.disagreements([], lab.wanted.topology, lab.probes, PATIENT) == []


def test_a_disagreement_shrinks_to_a_scenario(
    labs: list[Lab], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A lab that takes Deny for Pass is found out, and the scenario that shows it can be run."""
    compile_right = Admin.compile

    def compile_wrong(self: Admin, policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
        return tuple(
            replace(
                stage,
                blocks=tuple(
                    replace(
                        block,
                        rules=tuple(
                            replace(rule, action=Action.PASS) if rule.action is Action.DENY else rule
                            for rule in block.rules
                        ),
                    )
                    for block in stage.blocks
                ),
            )
            for stage in compile_right(self, policies, topology)
        )

    monkeypatch.setattr(Admin, "compile", compile_wrong)
    lab, topology = labs[0], labs[0].wanted.topology
    for seed in range(1, 30):
        found = manifests(seed)
        leaks = [item for item in lab.disagreements(found, topology, lab.probes) if item[1] == Verdict.DROP]
        if leaks:
            break
    text = explain(lab, found, topology, leaks[0])
    file = tmp_path / "found.yaml"
    file.write_text(text.split("\n", 1)[1])
    loaded = load([file])
    assert [str(item) for item in loaded.problems if item.severity == "error"] == []
    (policy,) = loaded.scenarios[0].steps[0].policies
    rules = [*policy.parsed.ingress, *policy.parsed.egress]
    assert [rule.action for rule in rules] == [Action.DENY]
