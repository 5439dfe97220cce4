"""A run of ten thousand cells, for the page that must stay fluid with it."""

from __future__ import annotations

from dataclasses import replace

from harness.model.prediction import Answer, Predicted
from harness.model.result import Excerpt, RunResult, ScenarioResult
from harness.model.verdict import Status
from harness.source import Place
from tests.unit import report_samples as samples


def big_run(scenarios: int = 5, pods: int = 32, wide: int = 71) -> RunResult:
    """Scenarios of `pods`² cells (but for the diagonal) and one of `wide`²; a hundredth has failed."""
    made = [_square(f"team-{number}", pods) for number in range(scenarios)]
    result = samples.run(_square("everybody", wide), *made)
    lines = (
        "kind: NetworkPolicy",
        "spec:",
        "  ingress:",
        "    - from: [{podSelector: {}}]",
        "      ports: []",
    )
    policy = Excerpt("NetworkPolicy production/api-policy", Place("policies/api.yaml", 11, 1), ((11, lines),))
    return replace(result, excerpts=(policy,))


def _square(name: str, pods: int) -> ScenarioResult:
    names = [f"{name}-{number % 4}/service-{number}" for number in range(pods)]
    paper = Predicted(Answer.ALLOW, "a rule allows it", (samples.RULE,))
    cells = []
    for row, source in enumerate(names):
        for column, target in enumerate(names):
            if row == column:
                continue
            cell = samples.cell(source, target, samples.A if (row + column) % 3 else samples.X, row + 10)
            status = Status.FAILED if (row * 31 + column * 17) % 100 == 0 else Status.PASSED
            cells.append(samples.judged(cell, status, predicted=paper))
    found = samples.finished(name, {"expect": cells}, file=f"scenarios/{name}.yaml")
    return replace(found, scenario=replace(found.scenario, tags=(name, "all")))
