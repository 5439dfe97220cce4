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


def scope(nodeid: str) -> str:
    """What is to stay together: a scenario; for all other tests as `--dist loadscope` has it."""
    parts = nodeid.split("::")
    return "::".join(parts[:2]) if parts[0].endswith(YAML) and len(parts) > 2 else nodeid.rpartition("::")[0]


def scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of `--dist loadscope`, with scenarios as scopes instead of their steps."""
    from xdist.scheduler import LoadScopeScheduling

    class ScenarioScheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return ScenarioScheduling(config, log)


def collected(node: Any, documents: list[dict[str, Any]]) -> None:
    """Take what a worker left, once."""
    text = getattr(node, "workeroutput", {}).pop(OUTPUT, None)
    if text is not None:
        documents.append(json.loads(text))
