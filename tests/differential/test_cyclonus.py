"""NetworkPolicies on paper against cyclonus, which reads the same specification in its own way.

cyclonus' matcher is built from the Go module proxy, with versions pinned by `matcher/go.sum`; without Go, or
without the modules, the comparison is skipped. `NETCHECK_DIFFERENTIAL_WORLDS` says how many worlds are
compared (`FIRST:COUNT` begins with another seed), with `CELLS` connections each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.dialects.connection import Ruling
from harness.model.builtin import with_builtins
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.rules import Direction
from harness.model.topology import Family, Protocol
from harness.oracle import predict
from harness.oracle.paths import legs
from harness.oracle.tiers import decide
from tests.differential.random_worlds import Asked, Json, RandomWorld, random_world
from tests.differential.readings import READINGS, Reading
from tests.unit.kubernetes_worlds import pod, world

pytestmark = pytest.mark.differential

SOURCE = Path(__file__).with_name("matcher")
UNKNOWN = "a world that does not tell everything, such as the nodes of its pods"
CELLS = 50
BATCH = 100
"""Worlds per process of the Go program."""

PATIENCE = 1200.0
"""Seconds for the modules and for the build, which compiles all of client-go the first time."""


class Answers(NamedTuple):
    """What one side says: of the source's egress, of the destination's ingress, of both together."""

    egress: Answer
    ingress: Answer
    both: Answer


def seeds() -> range:
    """Worlds for more than 10,000 cells that both answer, or as many as the environment asks for."""
    first, _, count = os.environ.get("NETCHECK_DIFFERENTIAL_WORLDS", "300").rpartition(":")
    return range(int(first or 0), int(first or 0) + int(count))


@pytest.fixture(scope="module")
def cyclonus(request: pytest.FixtureRequest) -> Path:
    """The built program, kept in pytest's cache for as long as its sources and Go stay the same."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("cyclonus is built with Go, and there is no `go` on PATH")
    # Neither another Go nor anything but the pinned modules; C compilers are not needed.
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [go, *words]
        return subprocess.run(
            command, cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )

    version = run("version").stdout
    contents = [path.read_bytes() for path in sorted(SOURCE.iterdir())]
    key = hashlib.sha256(b"\0".join([version.encode(), *contents])).hexdigest()[:16]
    config = request.config
    assert config.cache is not None
    program = config.cache.mkdir("cyclonus") / f"matcher-{key}"
    if not program.exists():
        modules = run("mod", "download")
        if modules.returncode:
            reason = modules.stderr.strip().splitlines() or ["go mod download failed"]
            pytest.skip(f"the Go modules of cyclonus cannot be had here: {reason[-1]}")
        unfinished = program.with_suffix(".new")
        built = run("build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(unfinished), ".")
        assert built.returncode == 0, built.stderr
        unfinished.rename(program)
    return program


def ask_cyclonus(program: Path, worlds: Sequence[RandomWorld]) -> list[list[Answers]]:
    """The answers of one process to the cells of many worlds."""
    text = json.dumps([item.document() for item in worlds])
    done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr

    def answer(allowed: bool) -> Answer:
        return Answer.ALLOW if allowed else Answer.DENY

    def answers(found: Json) -> Answers:
        return Answers(answer(found["egress"]), answer(found["ingress"]), answer(found["allowed"]))

    return [[answers(found) for found in cells] for cells in json.loads(done.stdout)]


def ask_oracle(world: RandomWorld, policies: Sequence[Policy], asked: Asked) -> tuple[Answers, set[str]]:
    """What netcheck says, and on which open points what it leaves open depends."""
    found = predict(world.topology, policies, asked.probe)
    ((path,),) = (leg.paths for leg in legs(asked.probe, world.topology))
    rulings = [
        decide(policies, world.topology, direction, path.connection)
        for direction in (Direction.EGRESS, Direction.INGRESS)
    ]
    egress, ingress = (ruling.answer if ruling else Answer.ALLOW for ruling in rulings)
    points = {ruling.open_point or UNKNOWN for ruling in rulings if ruling and _open(ruling)}
    return Answers(egress, ingress, found.verdict), points


def _open(ruling: Ruling) -> bool:
    return ruling.answer is Answer.UNDEFINED


def agree(ours: Iterable[Answer], theirs: Iterable[Answer]) -> bool:
    """Whether everything is the same that we do not leave open."""
    pairs = zip(ours, theirs, strict=True)
    return all(our is their for our, their in pairs if our is not Answer.UNDEFINED)


def explanation(world: RandomWorld, asked: Asked, theirs: Answers) -> tuple[Reading, ...]:
    """The fewest readings in which the oracle gives the same answers; none when nothing explains them."""
    for size in range(1, len(READINGS) + 1):
        for chosen in combinations(READINGS, size):
            question = world, asked
            for reading in chosen:
                question = reading.rewrite(*question)
            ours, points = ask_oracle(question[0], question[0].policies(), question[1])
            allowed = set().union(*(reading.may_open for reading in chosen))
            if agree(ours, theirs) and points <= allowed:
                return chosen
    return ()


def describe(world: RandomWorld, asked: Asked, ours: Answers, theirs: Answers) -> str:
    pods = [
        f"{pod.id} {dict(pod.labels)} node={pod.node} host={pod.host_network}"
        for pod in world.topology.pods.values()
        if pod.id in (asked.source, asked.target)
    ]
    said = "\n".join(
        f"{name}: egress {item.egress}, ingress {item.ingress}, both {item.both}"
        for name, item in (("netcheck", ours), ("cyclonus", theirs))
    )
    spaces = {name: dict(item.labels) for name, item in world.topology.namespaces.items()}
    policies = "\n".join(json.dumps(item) for item in world.manifests)
    return f"seed {world.seed}: {asked}\n{said}\n{pods}\n{spaces}\n{policies}"


def test_the_oracle_and_cyclonus_answer_alike(
    cyclonus: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    compared, left_open, explained, unexplained = 0, Counter[str](), Counter[str](), list[str]()
    for first in range(seeds().start, seeds().stop, BATCH):
        worlds = [random_world(seed, CELLS) for seed in range(first, min(first + BATCH, seeds().stop))]
        for one, answers in zip(worlds, ask_cyclonus(cyclonus, worlds), strict=True):
            policies = one.policies()
            for asked, theirs in zip(one.asked, answers, strict=True):
                ours, points = ask_oracle(one, policies, asked)
                left_open.update(points)
                compared += ours.both is not Answer.UNDEFINED
                if not agree(ours, theirs):
                    why = explanation(one, asked, theirs)
                    explained.update(reading.name for reading in why)
                    unexplained += [] if why else [describe(one, asked, ours, theirs)]
    found = f"{compared} cells compared; explained: {dict(explained)}; left open: {dict(left_open)}"
    record_testsuite_property("comparison with cyclonus", found)
    assert not unexplained, f"{found}; {len(unexplained)} differ, such as\n" + "\n\n".join(unexplained[:3])
    assert compared >= 0.75 * CELLS * len(seeds()), f"most cells should have an answer: {found}"


DENY_ALL: Json = {"podSelector": {}, "policyTypes": ["Ingress"]}


def from_pods(**selector: object) -> Json:
    return {"podSelector": {}, "ingress": [{"from": [{"podSelector": selector}]}]}


DIFFERENCES: dict[str, tuple[Json, str]] = {
    "itself": (DENY_ALL, "red/one"),
    "own node": (DENY_ALL, "node:a"),
    "NotIn of an absent key": (
        from_pods(matchExpressions=[{"key": "app", "operator": "NotIn", "values": ["y"]}]),
        "red/two",
    ),
    "empty value": (from_pods(matchLabels={"app": ""}), "red/two"),
}
"""What is always allowed or never: spec and source of one connection to `red/one:80`, for every reading."""


def small(spec: Json, source: str) -> RandomWorld:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "red"},
        "spec": spec,
    }
    topology = with_builtins(
        world(pod("red/one", node="a", listen="web=80", app="x"), pod("red/two", node="b"))
    )
    asked = Asked(source, "red/one", 80, Protocol.TCP, Family.IPV4)
    return RandomWorld(0, (manifest,), topology, (asked,))


@pytest.mark.parametrize("name", [reading.name for reading in READINGS])
def test_every_reading_explains_a_difference_that_there_is(cyclonus: Path, name: str) -> None:
    asked = small(*DIFFERENCES[name])
    (theirs,) = ask_cyclonus(cyclonus, [asked])
    ours, _ = ask_oracle(asked, asked.policies(), asked.asked[0])
    assert not agree(ours, theirs[0])
    assert [item.name for item in explanation(asked, asked.asked[0], theirs[0])] == [name]


@pytest.mark.parametrize(
    "wrong",
    [Answers(Answer.ALLOW, Answer.ALLOW, Answer.ALLOW), Answers(Answer.DENY, Answer.DENY, Answer.DENY)],
)
def test_what_is_simply_wrong_is_not_explained(wrong: Answers) -> None:
    asked = small(from_pods(matchLabels={"app": "x"}), "red/two")
    ours, _ = ask_oracle(asked, asked.policies(), asked.asked[0])
    assert ours == (Answer.ALLOW, Answer.DENY, Answer.DENY)
    assert explanation(asked, asked.asked[0], wrong) == ()
