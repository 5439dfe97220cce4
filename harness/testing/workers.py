"""pytest-xdist: a scenario stays on one worker, and what workers measured comes together again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.scenario.sniff import YAML

DIST = "netcheck_dist"
"""Where a worker is told how tests are shared."""

OUTPUT = "netcheck"
"""Where a worker leaves what it measured, as the JSON report has it."""

TOGETHER = frozenset({"loadscope", "loadfile", "loadgroup", "each"})
"""Ways of sharing tests that keep the cells of a scenario on one worker."""


class ScatteredWarning(pytest.PytestWarning):
    """The cells of one scenario are shared among workers, and each worker builds the scenario's world."""


SCATTERED = (
    "the cells of a scenario are scattered over several workers, and each of them builds its world; "
    "add --dist loadscope"
)


def scenario_of(nodeid: str) -> str:
    """File and scenario of a cell's node id; empty for other tests."""
    file, *names = nodeid.split("::")
    return f"{file}::{names[0]}" if file.endswith(YAML) and len(names) == 3 else ""


def scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of `--dist loadscope` or `loadgroup`, where a scenario is what stays together."""
    from xdist.scheduler import LoadGroupScheduling, LoadScopeScheduling

    kind = LoadScopeScheduling if config.option.dist == "loadscope" else LoadGroupScheduling

    class ScenarioScheduling(kind):  # type: ignore[misc, valid-type]
        def _split_scope(self, nodeid: str) -> str:
            return scenario_of(nodeid) or str(super()._split_scope(nodeid))

    return ScenarioScheduling(config, log)


def collected(node: Any, documents: list[dict[str, Any]]) -> None:
    """Take what a worker left, once."""
    text = getattr(node, "workeroutput", {}).pop(OUTPUT, None)
    if text is not None:
        documents.append(json.loads(text))
