"""One line on a terminal that tells how far a run is; gone when it is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from harness.engine.events import (
    CellJudged,
    Event,
    Interrupted,
    PhaseStarted,
    RunFinished,
    RunStarted,
    ScenarioFinished,
    ScenarioStarted,
    StepFinished,
    Waiting,
)
from harness.report.printer import columns_of, console, encodable, speaks_unicode
from harness.report.text import shorten, width
from harness.source.render import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STOPPING: Final = "stopping: worlds are being taken down and reports written; once more to leave at once"
_BRIEFLY: Final = {
    "build": "building",
    "control": "controls",
    "apply": "applying",
    "sweep": "probing",
    "evidence": "evidence",
    "close": "removing",
}
_BAR: Final = 16
_FIRST: Final = 2.0
"""Seconds before anything is said of speed and time left: earlier it would jump."""


class Pace:
    """How far a run is, how fast it goes, and what it is at.

    Args:
        clock: Seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self.scenarios = self.cells = 0
        self.done = self.judged = 0
        self._sent = 0
        self._by_scenario: dict[str, int] = {}
        self._sending: dict[str, int] = {}
        self._running: dict[str, str] = {}
        self.stopping = False

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case RunStarted():
                self._began = self._clock()
                self.scenarios = len(event.scenarios)
                self.cells = sum(len(item.cells) for item in event.scenarios)
            case ScenarioStarted(scenario):
                self._running[scenario.name] = _BRIEFLY["build"]
            case PhaseStarted(scenario):
                self._arrived(scenario.name)
                self._running[scenario.name] = _BRIEFLY.get(event.phase, event.phase)
                if event.phase in ("control", "sweep"):
                    self._sending[scenario.name] = event.cells
            case Waiting(scenario, reason):
                # For whom; why stands in logs.
                self._running[scenario.name] = f"waits for {printable(reason.partition(',')[0])}"
            case CellJudged(scenario):
                self._by_scenario[scenario.name] = self._by_scenario.get(scenario.name, 0) + 1
                self.judged += 1
            case StepFinished(scenario):
                self._arrived(scenario.name)
            case ScenarioFinished(result):
                name = result.scenario.name
                self._arrived(name)
                self._running.pop(name, None)
                self.done += 1
                # Cells of a scenario that was skipped or broke are done with, too.
                self.judged += max(0, len(result.scenario.cells) - self._by_scenario.pop(name, 0))
            case Interrupted():
                self.stopping = True
            case _:
                pass

    def _arrived(self, scenario: str) -> None:
        """What the scenario was sending has come back, or it would not have gone on."""
        self._sent += self._sending.pop(scenario, 0)

    def parts(self) -> Iterator[str]:
        """`12/90`, `152 probes/s`, `14 s left`; what cannot be said yet is left out."""
        yield f"{self.done}/{self.scenarios}"
        elapsed = self._clock() - self._began
        if elapsed < _FIRST:
            return
        speed = round(self._sent / elapsed)
        if speed:
            yield f"{speed} probes/s"
        left = self.cells - self.judged
        if self.judged > 0 and left > 0:
            yield f"{_roughly(elapsed / self.judged * left)} left"

    def at(self, room: int) -> str:
        """The scenario that has run longest, and its stage, in so many columns."""
        if not self._running:
            return ""
        name, phase = next(iter(self._running.items()))
        more = f" (+{len(self._running) - 1})" if len(self._running) > 1 else ""
        return f"{shorten(printable(name), max(6, room - len(phase) - 2 - len(more)))}: {phase}{more}"

    def text(self, columns: int) -> str:
        """All of it in so many columns; the least important goes first."""
        if self.stopping:
            return shorten(STOPPING, columns)
        parts = list(self.parts())
        while len(parts) > 1 and columns - width("  ".join(parts)) < 28:
            parts.pop(1)
        told = "  ".join(parts)
        return f"{told}  {self.at(columns - width(told) - 2)}".rstrip()


def _roughly(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min"


class BarProgress:
    """A bar of judged cells, with what `Pace` tells."""

    tells_passes = False

    def __init__(
        self, stream: TextIO, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
        from rich.text import Text

        pace = self.pace = Pace(clock)
        columns = columns_of(stream, environ)
        unicode = speaks_unicode(stream, environ)

        class Bar(ProgressColumn):
            def render(self, task: Task) -> Text:
                filled = round(_BAR * min(1.0, task.percentage / 100))
                signs = "━━" if unicode else "#-"
                bar = Text(signs[0] * filled, "green")
                return bar.append(signs[1] * (_BAR - filled), "bright_black")

        class Words(ProgressColumn):
            # Asked for at every redraw, so that the time left passes while a sweep waits.
            def render(self, task: Task) -> Text:
                return Text(encodable(pace.text(columns - _BAR - 5), stream), no_wrap=True)

        self._bar: Progress = Progress(
            SpinnerColumn("dots" if unicode else "line"),
            Bar(),
            Words(),
            console=console(stream, columns),
            transient=True,
        )
        self._task: TaskID | None = None

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        self.pace(event)
        if isinstance(event, RunStarted):
            self._task = self._bar.add_task("", total=self.pace.cells)
            self._bar.start()
        elif isinstance(event, RunFinished):
            self.close()
        if self._task is not None:
            self._bar.update(self._task, completed=self.pace.judged)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the bar, and draw it again afterwards."""
        running = self._bar.live.is_started
        self._bar.stop()
        try:
            yield
        finally:
            if running:
                self._bar.start()

    def close(self) -> None:
        """Erase the bar for good."""
        self._bar.stop()
