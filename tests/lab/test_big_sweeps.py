"""Sweeps that are larger than any buffer or window between the processes of a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.outcome import OutcomeKind
from tests.lab.labs import TWO_PODS, scenario, to_pod, world

pytestmark = pytest.mark.lab


def test_receipts_that_fill_the_channel(tmp_path: Path) -> None:
    count = 40_000
    with world(scenario(TWO_PODS, tmp_path)) as built:
        seen = built.sweep([to_pod("shop/cli", "shop/web", 8080)] * count, 0.5)
    assert {item.outcome.kind for item in seen} == {OutcomeKind.CONNECTED}
    assert {item.receipts for item in seen} == {1}
    assert len(seen) == count


def test_more_denied_probes_than_descriptors(tmp_path: Path) -> None:
    """They wait in turns; every one of them is measured."""
    wanted = scenario(TWO_PODS, tmp_path)
    count = 25_000
    with world(wanted) as built:
        built.apply(wanted.steps[0].policies)
        seen = built.sweep([to_pod("shop/cli", "shop/web", 8081)] * count, 0.3)
    assert {item.outcome.kind for item in seen} == {OutcomeKind.TIMEOUT}
    assert {(item.receipts, item.listening, item.attempts) for item in seen} == {(0, True, 2)}
