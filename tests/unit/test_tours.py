"""A leg of a tour counts only when its own pod answered it, or when it was denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.clusters.resolve import Leg, Resolved
from harness.clusters.tours import tour

SPEC: list[Any] = ["n/a", "tcp", "10.96.0.1", 80, {}]
SERVICE = Resolved(SPEC, ("n/b", "n/c"), (), (Leg([*SPEC[:4], {"dscp": 1}], "n/b"), Leg(SPEC, "n/c")))


def seen(number: int, server: str) -> list[Any]:
    """An answer of a server, or none."""
    kind = "connected" if server else "timeout"
    return [number, kind, "", "", bool(server), server, "", 1, 0.1, "10.0.0.1:40000", "10.96.0.1:80"]


def met(
    *rounds: Mapping[int, str], first: str = "n/b", late: frozenset[int] = frozenset()
) -> tuple[list[Any], dict[int, int], dict[int, str], list[list[int]]]:
    """The result, the receipts, the splits and the numbers sent in each round."""
    results, receipts = {7: seen(7, first)}, {7: 1 if first else 0}
    sent: list[list[int]] = []

    def gather(
        specs: list[list[Any]], owners: Mapping[int, Resolved]
    ) -> tuple[dict[int, list[Any]], dict[int, int], set[int]]:
        answers = rounds[min(len(sent), len(rounds) - 1)]
        sent.append([spec[0] for spec in specs])
        assert set(owners) == set(sent[-1])
        return {number: seen(number, answers[number]) for number in sent[-1]}, {}, set(late) & set(sent[-1])

    splits = tour({7: SERVICE}, results, receipts, gather, 3)
    return results[7], receipts, splits, sent


def test_all_pods_answer() -> None:
    result, receipts, splits, sent = met({0: "n/b", 1: "n/c"})
    assert (result[1], receipts, splits, sent) == ("connected", {7: 1}, {}, [[0, 1]])


def test_one_pod_is_silent() -> None:
    result, _, splits, sent = met({0: "n/b", 1: ""})
    assert (result[1], splits) == ("connected", {7: "connected from 1 of 2, timeout from 1 of 2"})
    assert sent == [[0, 1]]


def test_an_answer_on_the_tour_takes_the_place_of_silence() -> None:
    result, _, splits, _ = met({0: "", 1: "n/c"}, first="")
    assert (result[:2], result[4], result[5]) == ([7, "connected"], True, "n/c")
    assert splits == {7: "timeout from 1 of 2, connected from 1 of 2"}


def test_a_leg_that_met_another_pod_is_sent_again() -> None:
    result, _, splits, sent = met({0: "n/b", 1: "n/b"}, {1: ""})
    assert sent == [[0, 1], [1]]
    assert (result[1], splits) == ("connected", {7: "connected from 1 of 2, timeout from 1 of 2"})


@pytest.mark.parametrize(
    ("answers", "late", "reason"),
    [
        (
            {0: "n/b", 1: "n/b"},
            frozenset(),
            "a connection meant for n/c behind the service was answered by n/b",
        ),
        ({0: "", 1: "n/c"}, frozenset({0}), "what was sent to n/b arrived, but its answer came too late"),
    ],
)
def test_what_stays_in_doubt_is_an_error(answers: dict[int, str], late: frozenset[int], reason: str) -> None:
    result, _, splits, sent = met(answers, late=late)
    assert (result[1], splits) == ("error", {})
    assert reason in result[2]
    assert [len(item) for item in sent] == [2, 1, 1]
