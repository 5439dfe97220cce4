"""Would the cells of a scenario notice a broken policy? Every small mistake is made and looked at.

On paper the oracle answers for the network; observed, each mistake is enforced and probed. A mistake that no
cell notices is a gap, unless nothing could notice it: then with and without it every connection that the
policies can tell apart has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.author.draft import missing
from harness.author.guess import guess
from harness.author.mutants import Mutant, as_steps, mutants_of, with_mutant
from harness.author.pairs import probes
from harness.author.telling import TooManyClassesError, telling
from harness.dialects.registry import carried
from harness.engine.cluster import Cluster
from harness.engine.events import Event
from harness.engine.run import run
from harness.model.builtin import with_builtins
from harness.model.personality import Personality, of_scenario
from harness.model.prediction import Answer
from harness.model.probe import Probe
from harness.model.scenario import Scenario, Step
from harness.model.topology import Topology
from harness.model.verdict import Expected, Status
from harness.oracle import predict, resolve

PER_WORLD = 16
"""How many mistakes share one built world when they are observed."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """What became of one mistake.

    Attributes:
        cell: Id of the first cell that notices it; empty when none does.
        error: Why it could not be looked at; empty otherwise.
        equivalent: No connection that the policies can tell apart has another answer.
        witness: A probe that would notice it; empty where a cell does or nothing can.
        needs: What the world lacks for this probe, as lines of a scenario file.
        words: A connection that would notice it, where no probe was found.
    """

    scenario: Scenario
    mutant: Mutant
    cell: str = ""
    error: str = ""
    equivalent: bool = False
    witness: str = ""
    needs: tuple[str, ...] = ()
    words: str = ""


def on_paper(scenario: Scenario) -> Iterator[Noticed]:
    """Every mistake in the policies of a scenario, with the oracle in the place of the network."""
    scenario = resolve(scenario)
    if any(carried(step.policies) for step in scenario.steps):
        return
    personality = of_scenario(scenario)
    already = _does_not_hold(_first_wrong(scenario, personality))
    for mutant in mutants_of(scenario):
        if already:
            yield Noticed(scenario, mutant, error=already)
            continue
        cell = _first_wrong(with_mutant(scenario, mutant), personality)
        yield Noticed(scenario, mutant, cell) if cell else _survivor(scenario, mutant)


def observed(
    scenarios: Sequence[Scenario], cluster: Cluster, *, jobs: int, emit: Callable[[Event], None]
) -> list[Noticed]:
    """The same with real packets: each mistake is applied and every cell is probed.

    Args:
        scenarios: Those that the cluster lacks a feature for give nothing.
        cluster: Where the mistakes are enforced.
        jobs: How many worlds stand at the same time.
        emit: Receives the events of the runs.
    """
    plan: dict[str, tuple[Scenario, tuple[Mutant, ...]]] = {}
    changed: list[Scenario] = []
    for scenario in map(resolve, scenarios):
        if any(carried(step.policies) for step in scenario.steps):
            continue
        mutants = tuple(mutants_of(scenario))
        size = PER_WORLD if len(scenario.steps) == 1 else 1
        for start in range(0, len(mutants), size):
            some = mutants[start : start + size]
            made = as_steps(scenario, some) if size > 1 else with_mutant(scenario, some[0])
            name = f"{scenario.name}-mistakes-{start + 1}"
            plan[name] = (scenario, some)
            changed.append(replace(made, name=name))
    found: list[Noticed] = []
    for result in run(changed, cluster, emit, jobs=jobs).scenarios:
        scenario, some = plan[result.scenario.name]
        if result.skipped:
            continue
        sound = result.steps[:1] if len(scenario.steps) == 1 else result.steps[: some[0].step]
        wrong_before = (cell.id for step in sound for cell in step.cells if cell.status is Status.FAILED)
        already = _does_not_hold(next(wrong_before, "") or _first_wrong(scenario, of_scenario(scenario)))
        for number, mutant in enumerate(some, 1):
            steps = (
                result.steps[number : number + 1] if len(scenario.steps) == 1 else result.steps[mutant.step :]
            )
            cells = [cell for step in steps for cell in step.cells]
            wrong = next((cell.id for cell in cells if cell.status is Status.FAILED), "")
            unmeasured = next((cell.reason for cell in cells if cell.status is Status.ERROR), "")
            if already:
                found.append(Noticed(scenario, mutant, error=already))
            elif wrong:
                found.append(Noticed(scenario, mutant, wrong))
            elif result.error or unmeasured or not cells:
                found.append(Noticed(scenario, mutant, error=result.error or unmeasured or "not measured"))
            else:
                found.append(_survivor(scenario, mutant))
    return found


def _does_not_hold(cell: str) -> str:
    """Why mistakes cannot be looked at; empty when no cell is wrong without them."""
    return f"the scenario does not hold without any mistake: {cell} is not as expected" if cell else ""


def _first_wrong(scenario: Scenario, personality: Personality) -> str:
    """The first cell that would fail if the oracle were the network."""
    for step in scenario.steps:
        for cell in step.cells:
            expected = cell.expectation.on(("lab", personality.name))
            if expected is Expected.OBSERVE:
                continue
            answer = predict(step.topology, step.policies, cell.probe, personality)
            # What the specification leaves open passes, as on the least strict CNI.
            passes = answer.verdict is Answer.UNDEFINED and expected is Expected.ALLOW
            if not answer.fits(expected) and not passes:
                return cell.id
    return ""


def _survivor(scenario: Scenario, mutant: Mutant) -> Noticed:
    """A mistake that no cell notices: a gap with a probe that would, or one that nothing can notice."""
    mutated = with_mutant(scenario, mutant)
    pairs = [
        (step, broken)
        for step, broken in zip(scenario.steps, mutated.steps, strict=True)
        if step.policies != broken.policies
    ]
    for step, broken in pairs:
        for world in (step.topology, guess((*step.policies, *broken.policies), step.topology)):
            probe = _witness(step, broken, world, of_scenario(scenario))
            if probe is not None:
                needs = tuple(missing(world, step.topology, [probe]))
                return Noticed(scenario, mutant, witness=probe.id, needs=needs)
    # The worlds above are small; whether nothing at all can notice it is another question.
    for step, broken in pairs:
        try:
            words = telling(step.policies, broken.policies, with_builtins(step.topology).namespaces)
        except TooManyClassesError:
            words = "some connection, perhaps: the policies tell too much apart to look at all of it"
        if words:
            return Noticed(scenario, mutant, words=words)
    return Noticed(scenario, mutant, equivalent=True)


def _witness(step: Step, broken: Step, world: Topology, personality: Personality) -> Probe | None:
    for probe in probes(world):
        before = predict(world, step.policies, probe, personality).possible
        after = predict(world, broken.policies, probe, personality).possible
        if before and after and not {*before} & {*after}:
            return probe
    return None
