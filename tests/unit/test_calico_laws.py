"""Random policies of Calico's: the oracle against compiled stages, and against itself (semantics.md 9)."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dialects.calico.parse_objects import RESERVED
from harness.dialects.registry import compile_all, parse_manifest
from harness.model.personality import CALICO
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Action, Direction
from harness.model.topology import Family, Topology
from harness.oracle.matrix import Matrix
from harness.oracle.tiers import decide
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.lab.random_calico import Json, Words, objects
from tests.unit.interpreter import Interpreter, is_node, own_node
from tests.unit.kubernetes_worlds import every_connection, policies, worlds
from tests.unit.test_oracle_matrix import ASKED, one_by_one

# A busy machine is slow, not wrong.
laws = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = Words(
    namespaces=("m", "shop"),
    labels={"app": ("x", "y"), "tier": ("x", "y")},
    spaces={"app": ("x", "y"), "kubernetes.io/metadata.name": ("m",)},
    ports=(80, 81, "53:80", 91, "web", "dns"),
    accounts=("default",),
    services=("m/none",),
    nets=(
        ("203.0.113.0/24",),
        ("198.51.100.0/24", "10.0.0.0/8"),
        ("2001:db8::/32",),
        ("fd00::/8",),
        ("0.0.0.0/0",),
    ),
)


def parsed(manifest: Json) -> Policy:
    problems = Problems()
    (document,) = read_text(json.dumps(manifest), "random.yaml", problems)
    assert isinstance(document.root, MappingNode)
    found = parse_manifest(document.root, "m", problems)
    assert found is not None, (manifest, [str(item) for item in problems.found])
    return found


def drawn(dice: random.Random) -> list[Policy]:
    manifests = list(objects(dice, dice.randrange(1, 5), WORDS))
    for item in manifests:
        if item["metadata"].get("namespace") == "shop":
            item["metadata"]["namespace"] = "n"
    # An unquoted n is a truth value to YAML; in JSON it is a text.
    return [parsed(item) for item in manifests]


@given(st.randoms(use_true_random=False), worlds(), policies(), st.sampled_from(Family))
@laws
def test_compiled_stages_say_what_the_oracle_says(
    dice: random.Random, topology: Topology, kubernetes: list[Policy], family: Family
) -> None:
    found = [*drawn(dice), *kubernetes]
    stages = CALICO.settled(compile_all(found, topology))
    wrong = []
    for one in every_connection(topology, family):
        asked = replace(one, personality=CALICO)
        for direction in Direction:
            subject, peer = asked.subject(direction), asked.peer(direction)
            ruling = decide(found, topology, direction, asked)
            if ruling is None or ruling.answer is Answer.UNDEFINED or asked.to_itself:
                continue
            if is_node(subject, topology):
                continue
            if own_node(asked, topology) and direction is Direction.INGRESS and is_node(peer, topology):
                assert ruling.answer is Answer.ALLOW
                continue
            said = Interpreter(topology, asked, open_rules=True).decide(stages, direction)
            if (said is Action.ALLOW) is not (ruling.answer is Answer.ALLOW):
                wrong.append(
                    f"{direction} {asked.source} -> {asked.destination} {asked.port}/{asked.protocol}"
                )
    assert not wrong, ([json.dumps(item.manifest) for item in found], wrong)


@given(st.randoms(use_true_random=False), worlds(), policies(), st.sampled_from(Family))
@settings(laws, max_examples=25)
def test_every_cell_of_the_matrix_is_what_predict_says(
    dice: random.Random, topology: Topology, kubernetes: list[Policy], family: Family
) -> None:
    found = [*drawn(dice), *kubernetes]
    expected = one_by_one(topology, found, ASKED, family)
    matrix = Matrix(topology, found, ASKED, family)
    assert {key: matrix.answer(*key) for key in expected} == expected
    assert matrix.count() == Counter(expected.values())


@given(st.data(), st.randoms(use_true_random=False), worlds())
@laws
def test_order_of_files_is_irrelevant(data: st.DataObject, dice: random.Random, topology: Topology) -> None:
    found = drawn(dice)
    shuffled = data.draw(st.permutations(found))
    assert list(map(repr, _sorted(found, topology))) == list(map(repr, _sorted(shuffled, topology)))


def _sorted(found: list[Policy], topology: Topology) -> list[object]:
    stages = compile_all(found, topology)
    return [
        (stage.tier, stage.direction, [block.origin.policy for block in stage.blocks]) for stage in stages
    ]


def test_reserved_tiers_are_those_of_the_other_dialects() -> None:
    assert {tier.calico: name for name, (tier, _) in RESERVED.items()} == {name: name for name in RESERVED}
