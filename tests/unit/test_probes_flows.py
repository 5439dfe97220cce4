"""Flows over the loopback interface: rounds, held connections, the last word after the change."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probes.flows import Flow
from tests.unit.loopback import V4, Bench, Script, free_port

INTERVAL = 0.001


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def start(bench: Bench, specs: list[list[Any]], held: list[list[Any]], timeout: float = 5.0) -> Flow:
    flow = Flow("ab12", 7, INTERVAL, timeout)
    indexed = [[index, *spec] for index, spec in enumerate([*specs, *held])]
    flow.begin(bench.prober, indexed[: len(specs)], indexed[len(specs) :])
    bench.until(lambda: flow.ready)
    return flow


def rounds(flow: Flow, more: int) -> Callable[[], bool]:
    """Whether so many more samples of the first probe have come in."""
    wanted = sum(item[0] == 0 for item in flow.samples) + more
    return lambda: sum(item[0] == 0 for item in flow.samples) >= wanted


def end(bench: Bench, flow: Flow) -> None:
    flow.stop(bench.prober)
    bench.until(lambda: flow.finished)


def echo(bench: Bench, kind: str, identity: str = "n/b") -> list[Any]:
    return ["n/a", kind, V4, bench.listen(identity, "UDP" if kind == "udp" else "TCP"), {}]


def test_every_probe_is_sent_again_and_again(bench: Bench) -> None:
    tcp, udp = echo(bench, "tcp"), echo(bench, "udp", "n/c")
    flow = start(bench, [tcp, udp], [], timeout=5.0)
    bench.until(rounds(flow, 5))
    end(bench, flow)
    for index, identity in ((0, "n/b"), (1, "n/c")):
        mine = [item for item in flow.samples if item[0] == index]
        assert len(mine) >= 6
        assert all(item[2:] == ["connected", "", "", True, identity] for item in mine)
        times = [item[1] for item in mine]
        assert times == sorted(times)
        assert times[0] >= 0
    # Every probe of every round had a token of its own.
    assert sum(bench.server.receipts.take(7).values()) == len(flow.samples)


def test_the_last_round_starts_after_the_end_was_asked_for(bench: Bench) -> None:
    flow = start(bench, [echo(bench, "tcp")], [], timeout=5.0)
    bench.until(rounds(flow, 2))
    bench.server.close("n/b")
    end(bench, flow)
    assert flow.samples[0][2] == "connected"
    assert flow.samples[-1][2:5] == ["refused", "", "rst"]
    assert not flow.alive


def test_a_probe_that_is_not_answered_does_not_hold_up_the_others(bench: Bench) -> None:
    _, silent = bench.raw(socket.SOCK_DGRAM)
    flow = start(bench, [echo(bench, "tcp"), ["n/a", "udp", V4, silent, {}]], [], timeout=0.2)
    end(bench, flow)
    first = next(item for item in flow.samples if item[0] == 1)
    assert first[2:] == ["timeout", "", "", False, ""]
    assert sum(item[0] == 0 for item in flow.samples) > 3
    # Every round has its end, however late.
    assert sum(item[0] == 1 for item in flow.samples) == sum(item[0] == 0 for item in flow.samples)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_held_connection_that_stays(bench: Bench, kind: str) -> None:
    flow = start(bench, [echo(bench, "tcp")], [echo(bench, kind, "n/c")])
    local = flow.held[0].local()
    bench.until(rounds(flow, 3))
    assert (flow.held[0].before, flow.held[0].after, flow.held[0].local()) == (True, None, local)
    end(bench, flow)
    assert (flow.held[0].before, flow.held[0].after) == (True, True)
    # Opened and asked again over the same connection, and nothing in between.
    assert bench.server.receipts.take(7)[1] == 2


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_held_connection_that_breaks(bench: Bench, kind: str) -> None:
    flow = start(bench, [echo(bench, "tcp")], [echo(bench, kind, "n/c")])
    bench.server.close("n/c")
    bench.until(rounds(flow, 3))
    end(bench, flow)
    assert (flow.held[0].before, flow.held[0].after) == (True, False)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_held_connection_that_nobody_took(bench: Bench, kind: str) -> None:
    spec = ["n/a", kind, V4, free_port("UDP" if kind == "udp" else "TCP"), {}]
    flow = start(bench, [echo(bench, "tcp")], [spec])
    end(bench, flow)
    assert (flow.held[0].before, flow.held[0].after) == (False, None)


def test_a_held_connection_that_falls_silent(bench: Bench) -> None:
    script = Script(bench, [b"nc1 ab12.7.1.11 n/c\n"])
    flow = start(bench, [echo(bench, "tcp")], [["n/a", "tcp", V4, script.port, {}]], timeout=0.2)
    assert flow.held[0].before is True
    end(bench, flow)
    assert flow.held[0].after is False
    first, second, _ = script.received.split(b"\n")
    assert first == b"nc1 ab12.7.1.11"
    assert second.startswith(b"nc1 ab12.7.1.")
    assert second != first


def test_a_source_that_is_not_there_is_told_in_the_samples() -> None:
    bench = Bench(names=())
    flow = start(bench, [["n/x", "tcp", V4, 1, {}]], [["n/x", "tcp", V4, 1, {}]])
    end(bench, flow)
    assert flow.samples[0][2:4] == ["error", "no such source: n/x ('n/x')"]
    assert (flow.held[0].before, flow.held[0].after) == (False, None)
    bench.close()
