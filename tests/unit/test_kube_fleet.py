"""Streams that break are opened once more, then their pod's probes are errors; receipts must be whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.fleet import RESTARTED, Fleet
from harness.clusters.kube.streams import StreamError, ended
from probes.version import digest


class Pipe:
    """Leads to an agent that does as the test says: `answers` makes what comes back of each message."""

    def __init__(self, answers: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
        self._answers = answers
        self._out = json.dumps({"op": "ready", "agent": digest()}) + "\n"
        self._first = True
        self.agent = Agent()
        self.alive = True
        self.ending = ""
        self.heard: list[dict[str, Any]] = []

    def write(self, text: str) -> None:
        if self._first:
            self._first = False  # the agent itself, packed
            return
        message = json.loads(text)
        self.heard.append(message)
        if message["op"] == "hello":
            return
        if message["op"] == "await":
            answer = {"op": "listening", "life": "a", "lost": 0}
            self._out += json.dumps(answer) + "\n"
            return
        for answer in self._answers(message):
            self._out += json.dumps(answer) + "\n"

    def read(self, seconds: float) -> tuple[str, str]:
        out, self._out = self._out, ""
        if not out:
            self.alive = False
        return out, ""

    def close(self) -> None:
        self.alive = False


PLAN = {"n/a": [[0, "n/a", "tcp", "10.0.0.1", 80, {}]]}
RESULT = [0, "connected", "", "", True, "n/b", "", 1, 0.1, "", "", []]


def _well(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["op"] == "probes":
        return [{"op": "results", "id": message["id"], "results": [RESULT], "done": True}]
    if message["op"] == "receipts":
        return [{"op": "receipts", "id": message["id"], "counts": [[0, 1]], "life": "a", "lost": 0}]
    return []


def _silent(message: dict[str, Any]) -> list[dict[str, Any]]:
    return []


def _fleet(*agents: Pipe | Exception) -> Fleet:
    left = list(agents)

    def dial() -> Pipe:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    fleet = Fleet(None, "nonce", Agent())  # type: ignore[arg-type]
    fleet.join({"n/a": dial})
    return fleet


def test_a_stream_that_breaks_is_opened_once_more_with_ports_of_its_own() -> None:
    first, second = Pipe(_silent), Pipe(_well)
    fleet = _fleet(first, second)
    assert fleet.sweep(PLAN, 1, 1.0, 1) == {0: RESULT}
    assert [item["stream"] for item in (first.heard[0], second.heard[0])] == [0, 1]
    fleet.close()


@pytest.mark.parametrize("again", [Pipe(_silent), StreamError("the pod is gone")], ids=["silent", "refused"])
def test_a_stream_that_breaks_for_good_makes_errors(again: Pipe | Exception) -> None:
    fleet = _fleet(Pipe(_silent), again)
    for number in (1, 2):
        ((index, kind, detail, *_),) = fleet.sweep(PLAN, number, 1.0, 1).values()
        assert (index, kind) == (0, "error")
        assert "n/a" in detail
    arrived = fleet.receipts(["n/a"], 1)
    assert "n/a" in arrived.silent
    fleet.close()


def test_how_the_agent_ended_is_part_of_the_reason() -> None:
    first, second = Pipe(_silent), Pipe(_silent)
    second.ending = first.ending = ended(137)
    fleet = _fleet(first, second)
    ((_, _, detail, *_),) = fleet.sweep(PLAN, 1, 1.0, 1).values()
    assert detail == "the stream to n/a ended: exit code 137, killed, as for want of memory"
    assert [ended(code) for code in (None, 0, 1)] == ["", "", "exit code 1"]
    fleet.close()


def test_receipts_of_another_listening_process_count_for_nothing() -> None:
    lives = iter(["a", "b", "b"])

    def answers(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"op": "receipts", "id": message["id"], "counts": [], "life": next(lives), "lost": 0}]

    fleet = _fleet(Pipe(answers))
    assert fleet.receipts(["n/a"], 1).silent == {}
    assert fleet.receipts(["n/a"], 2).silent == {"n/a": RESTARTED}
    assert fleet.receipts(["n/a"], 3).silent == {}
    fleet.close()


def test_datagrams_that_found_no_room_are_told() -> None:
    lost = iter([0, 4, 4])

    def answers(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"op": "receipts", "id": message["id"], "counts": [], "life": "a", "lost": next(lost)}]

    fleet = _fleet(Pipe(answers))
    assert [fleet.receipts(["n/a"], number).overflowed for number in (1, 2, 3)] == [set(), {"n/a"}, set()]
    fleet.close()
