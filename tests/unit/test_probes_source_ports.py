"""No source port is met again while a connection table may remember it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from probes.source_ports import OWNERS, REST, NoPortError, SourcePorts, begin_by_clock, share
from tests.unit.loopback import V4, Bench


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _take(ports: SourcePorts) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return ports.bind(sock)


def test_a_port_rests_before_it_is_taken_again(clock: Clock) -> None:
    ports = SourcePorts(42000, 20, begin=15, clock=clock)
    first = [_take(ports) for _ in range(20)]
    assert sorted(first) == list(range(42000, 42020))
    assert first[0] == 42015
    clock.now += REST - 1
    with pytest.raises(NoPortError, match="used within the last 185 s"):
        _take(ports)
    clock.now += 2
    assert [_take(ports) for _ in range(20)] == first


def test_ports_that_others_hold_are_passed_over(clock: Clock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 42101))
        ports = SourcePorts(42100, 3, clock=clock)
        assert [_take(ports) for _ in range(2)] == [42100, 42102]
        with pytest.raises(NoPortError):
            _take(ports)


def test_a_probe_without_a_port_is_an_error_never_a_silence() -> None:
    bench = Bench(ports=6)
    port = bench.listen("n/b", "UDP")
    seen = bench.sweep(*[["n/a", "udp", V4, port, {}]] * 8)
    assert [item.kind for item in sorted(seen, key=lambda item: item.index)] == ["connected"] * 6 + [
        "error"
    ] * 2
    assert all("source ports were used" in item.detail for item in seen if item.kind == "error")
    bench.close()


def _ranges() -> Iterator[tuple[int, int]]:
    for owner in range(OWNERS):
        for stream in (0, 1):
            yield share(owner, stream)


def test_agents_share_no_port_and_leave_node_ports_alone() -> None:
    taken: set[int] = set()
    for first, count in _ranges():
        mine = set(range(first, first + count))
        assert not mine & taken
        assert not mine & set(range(30000, 32768))
        assert max(mine) < 65536
        taken |= mine


def test_a_pod_begins_where_its_forerunner_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([5000.0, 5010.0])
    monkeypatch.setattr("time.time", lambda: next(moments))
    first, second = begin_by_clock(31000), begin_by_clock(31000)
    assert (second - first) % 31000 == pytest.approx(10 * 31000 / REST, abs=2)
