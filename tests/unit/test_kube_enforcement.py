"""That nothing is enforced is remembered by the cluster, carefully."""

from __future__ import annotations

from harness.clusters.kube.enforcement import KNOWN_SECONDS, Enforcement


def test_one_world_without_effect_proves_nothing_for_the_next() -> None:
    known = Enforcement()
    known.nothing()
    assert known.patience(20.0) == 20.0
    known.nothing()
    assert known.patience(20.0) == KNOWN_SECONDS


def test_an_effect_refutes_everything_said_before_and_after() -> None:
    known = Enforcement()
    known.nothing()
    known.nothing()
    known.flipped()
    assert known.seen
    assert known.patience(20.0) == 20.0
    known.nothing()
    known.nothing()
    assert known.patience(20.0) == 20.0
