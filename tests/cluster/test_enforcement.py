"""A network that enforces nothing: said once, every denial failed, and not waited for in every world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from junitparser import JUnitXml

from tests.cluster.clusters import Ran
from tests.cluster.test_runs import SHOP

pytestmark = pytest.mark.cluster

SAID = "no policy is enforced here"


def _many(count: int) -> str:
    """So many scenarios like SHOP, each with namespaces of its own."""
    return "\n---\n".join(SHOP.replace("$ns", f"$ns-{number}") for number in range(count))


def test_a_network_that_enforces_nothing_is_told_right(
    basic_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran], tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    file = write(_many(3))
    ran = netcheck("run", "-j1", file, "--report", f"junit:{junit}", context=basic_context, timeout=600)
    assert ran.code == 1, str(ran)
    assert ran.statuses() == ["passed", "failed", "failed"] * 3, str(ran)
    assert ran.out.count(f"{SAID}: netcheck's own") == 1, str(ran)
    assert ran.report["enforced"] is False
    for suite in JUnitXml.fromfile(str(junit)):
        assert {each.name: each.value for each in suite.properties()}["enforced"] == SAID
    waits = [step["in_force"] for scenario in ran.report["scenarios"] for step in scenario["steps"]]
    assert min(waits[:2]) >= 20.0, "the first two worlds must wait in full"
    assert waits[2] < 20.0, f"the third knows it from the others: {waits}"


def test_nothing_of_that_is_said_where_policies_are_enforced(
    enforcing_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(SHOP), context=enforcing_context)
    assert ran.code == 0, str(ran)
    assert SAID not in ran.out + ran.err
    assert ran.report["enforced"] is True


def test_eight_scenarios_side_by_side(
    basic_context: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", "-j8", write(_many(8)), context=basic_context, timeout=900)
    assert ran.code == 1, str(ran)
    assert ran.statuses() == ["passed", "failed", "failed"] * 8, str(ran)
    assert ran.report["left_behind"] == []
