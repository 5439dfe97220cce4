"""What would change an answer, by `explain`: every claim is carried out on the manifests and looked at."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from harness.dialects.registry import parse_manifest
from harness.model.builtin import with_builtins
from harness.model.personality import asked_for
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Direction, Origin
from harness.model.topology import Topology
from harness.model.trace import SideTrace
from harness.oracle import trace
from harness.oracle.flips import Way, to_allow, to_deny
from harness.oracle.paths import Path, legs
from harness.oracle.predict import side
from harness.scenario import load
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab.random_policies import manifests
from tests.lab.test_against_oracle import WORLD, all_probes, echoes, relabelled
from tests.unit.cilium_worlds import cnp, shop
from tests.unit.kubernetes_worlds import probe as asked

Json = dict[str, Any]

_PEERS = {"ingress": "from", "egress": "to"}
_PORT_NAMES = {"destinationNamedPort", "namedPort"}
_OTHER = {"Accept": "Deny", "Allow": "Deny", "Deny": "Accept", "Pass": "Accept"}
_ANYWHERE: list[Json] = [{"namespaces": {}}]


def parsed(manifest: Json) -> Policy:
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), "random.yaml", problems)
    assert isinstance(document.root, MappingNode)
    policy = parse_manifest(document.root, "default", problems)
    assert policy is not None, [str(item) for item in problems.found]
    return policy


def carried_out(way: Way, found: Sequence[Json], subject: str, direction: Direction, peer: str) -> list[Json]:
    """The manifests with everything done that the way says."""
    changed = copy.deepcopy(list(found))
    by_name = {str(parsed(item)): item for item in changed}

    def rule_of(origin: Origin) -> tuple[list[Json], int]:
        head, _, rule = origin.rule.rpartition(".")
        where, number = rule.rstrip("]").split("[")
        policy = by_name[origin.policy]
        spec = policy["specs"][int(head[len("specs[") : -1])] if head else policy["spec"]
        return spec[where], int(number)

    if way.covers is not None:
        rules, number = rule_of(way.covers)
        wider = rules[number]
        cilium = by_name[way.covers.policy]["apiVersion"].startswith("cilium.io/")
        side = _PEERS[str(direction)]
        if cilium and "this peer" in way.text:
            for name in [name for name in wider if name.startswith(side) and name != "toPorts"]:
                wider.pop(name)
            wider[f"{side}Entities"] = ["all"]
        elif "echo requests" in way.text:
            kinds = [{"type": "EchoRequest", "family": family} for family in ("IPv4", "IPv6")]
            wider["icmps"] = [*wider["icmps"], {"fields": kinds}]
        elif cilium:
            # Without any port a rule that names no peers would match nothing.
            wider["toPorts"] = [{"ports": [{"port": "0"}]}]
            wider.pop("icmps", None)
        for name in ("ports", "protocols") if "this port" in way.text else (_PEERS[str(direction)],):
            wider.pop(name, None)
        if "action" in wider and "this peer" in way.text:
            if peer.startswith("external:"):
                # Names of ports go with pods only; another port of the rule is the one that matches.
                for name in {"ports", "protocols"} & wider.keys():
                    wider[name] = [port for port in wider[name] if not {*port} & _PORT_NAMES]
            networks = [{"networks": ["0.0.0.0/0", "::/0"]}] if direction is Direction.EGRESS else _ANYWHERE
            pods = (
                "destinationNamedPort" in json.dumps(wider)
                or peer in subject
                or direction is Direction.INGRESS
            )
            wider[_PEERS[str(direction)]] = _ANYWHERE if pods else networks
    if way.before is not None:
        rules, number = rule_of(way.before)
        action = _OTHER[rules[number]["action"]]
        if "alpha1" in by_name[way.before.policy]["apiVersion"] and action == "Accept":
            action = "Allow"
        rules.insert(number, {**rules[number], "action": action})
    for origin in way.without:
        rules, number = rule_of(origin)
        # A list without any rule may mean something else again, so the rule stays and is about nobody.
        nobody = {"matchLabels": {"app": "nobody"}}
        if by_name[origin.policy]["apiVersion"].startswith("cilium.io/"):
            rules[number] = {f"{_PEERS[str(direction)]}Endpoints": [nobody]}
            continue
        peer_of = {"pods": {"namespaceSelector": {}, "podSelector": nobody}}
        rules[number][_PEERS[str(direction)]] = [
            peer_of if "action" in rules[number] else {"podSelector": nobody}
        ]
    if way.isolates or way.allows:
        policy: Json = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "added", "namespace": subject.split("/")[0]},
            "spec": {"podSelector": {}, "policyTypes": [str(direction).capitalize()]},
        }
        if way.allows:
            policy["spec"][str(direction)] = [{}]
        changed.append(policy)
    return changed


def paths_of(probe: Any, topology: Topology, policies: Sequence[Policy]) -> list[Path]:
    return [path for leg in legs(probe, topology, asked_for(policies)) for path in leg.paths]


def check(
    way: Way, wanted: Answer, found: Sequence[Json], one: SideTrace, path: Path, world: Topology
) -> None:
    manifest = carried_out(way, found, one.subject, one.direction, one.peer)
    policies = [parsed(item) for item in manifest]
    answer = side(path, policies, world, one.direction).answer
    assert answer is wanted, (
        f"{way.text}: {answer} instead of {wanted}\n{json.dumps(found, indent=1)}\n{path}"
    )


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("flips") / "world.yaml"
    file.write_text(WORLD, encoding="utf-8")
    return load([file]).scenarios[0]


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_every_way_to_change_an_answer_changes_it(wide: Any, first: int) -> None:
    done: Counter[str] = Counter()
    for seed in range(first, first + 30):
        found = manifests(seed)
        world = with_builtins(relabelled(wide.topology, seed))
        policies = [parsed(item) for item in found]
        dice = random.Random(seed)
        for probe in dice.sample(all_probes(wide), 12) + dice.sample(echoes(wide), 6):
            sides = trace(world, policies, probe)
            pairs = zip(
                sides, (path for path in paths_of(probe, world, policies) for _ in Direction), strict=True
            )
            for one, path in pairs:
                ways = {Answer.DENY: to_allow, Answer.ALLOW: to_deny}.get(one.answer)
                for way in ways(one) if ways is not None else ():
                    wanted = Answer.ALLOW if one.answer is Answer.DENY else Answer.DENY
                    check(way, wanted, found, one, path, world)
                    done[f"{wanted} {bool(way.without)} {way.isolates} {way.allows} {bool(way.before)}"] += 1
                    done["ICMP"] += one.port == "ICMP"
    assert sum(done.values()) > 200
    assert len(done) >= 8, done
    assert done["ICMP"] > 50


ICMP_BESIDE_PORTS = """
endpointSelector: {matchLabels: {app: web}}
ingress:
  - fromEndpoints: [{matchLabels: {app: cli}}]
    RULE
"""


@pytest.mark.parametrize(
    ("rule", "advice"),
    [
        ("toPorts: [{ports: [{port: '80'}]}]", ""),  # no port is ICMP, and icmps cannot stand beside ports
        (
            "icmps: [{fields: [{type: 3}]}]",
            "CiliumNetworkPolicy shop/p ingress[0] at HERE also covers echo requests",
        ),
    ],
)
def test_icmp_is_no_port_that_a_rule_might_cover(rule: str, advice: str) -> None:
    policies = [cnp(ICMP_BESIDE_PORTS.replace("RULE", rule))]
    sides = trace(shop(), policies, asked("shop/cli -> shop/web/ICMP"))
    (way,) = [item for item in sides if item.direction is Direction.INGRESS]
    texts = [item.text for item in to_allow(way)]
    place = policies[0].parsed.specs[0].ingress[0].place
    wanted = [advice.replace("HERE", place.short)] if advice else []
    assert texts == [*wanted, texts[-1]]
    assert texts[-1].endswith("or of another policy, allows ICMP from shop/cli")
