"""How long the proxy stood still."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.clusters.lab.proxy.pulse import BEAT, Pulse


class Clock:
    """Time that passes when a test says so, and the one beat that is to come."""

    def __init__(self) -> None:
        self.now = 100.0
        self.beat: Callable[[], None] | None = None

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        assert seconds == BEAT
        self.beat = act

    def wait(self, seconds: float) -> None:
        self.now += seconds
        assert self.beat is not None
        self.beat()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    made = Pulse(clock.later, lambda: clock.now)
    made.begin()
    return made


def test_beats_in_time_say_nothing(clock: Clock, pulse: Pulse) -> None:
    for _ in range(50):
        clock.wait(BEAT + 0.09)
    assert pulse.longest(0.0) == 0.0


def test_the_longest_stop_since_then(clock: Clock, pulse: Pulse) -> None:
    clock.wait(BEAT + 2.0)
    first = clock.now
    clock.wait(BEAT + 0.5)
    clock.wait(BEAT + 0.7)
    clock.wait(BEAT)
    assert pulse.longest(first - 1.0) == pytest.approx(2.0)
    assert pulse.longest(first) == pytest.approx(0.7)
    assert pulse.longest(clock.now) == 0.0


def test_a_stop_that_no_beat_has_ended(clock: Clock, pulse: Pulse) -> None:
    """The question may be the first thing that the proxy hears."""
    clock.now += BEAT + 0.8
    assert pulse.longest(clock.now - 0.1) == pytest.approx(0.8)
    assert clock.beat is not None
    clock.beat()
    clock.wait(BEAT)
    assert pulse.longest(clock.now) == 0.0


def test_a_pulse_begins_once(clock: Clock, pulse: Pulse) -> None:
    due, clock.beat = clock.beat, None
    pulse.begin()
    assert clock.beat is None
    clock.beat = due
    silent = Pulse(clock.later, lambda: clock.now)
    assert silent.longest(0.0) == 0.0
