"""Progress on stderr: a bar on a terminal, lines in CI, groups in GitHub Actions, nothing when quiet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol, TextIO

from harness.engine.events import (
    CellJudged,
    Event,
    Interrupted,
    PhaseStarted,
    RunFinished,
    RunStarted,
    ScenarioFinished,
    ScenarioStarted,
)
from harness.model.scenario import Scenario
from harness.report.printer import columns_of, console, encodable
from harness.report.streams import silence
from harness.report.text import count, duration, shorten
from harness.source.render import printable

if TYPE_CHECKING:
    from rich.progress import TaskID

STOPPING = "stopping: worlds are being taken down and reports written; once more to leave at once"

_PHASES = {
    "build": "building the world",
    "control": "control sweep without policies",
    "apply": "applying policies",
    "sweep": "probing",
    "evidence": "collecting evidence",
    "close": "taking the world down",
}

_BRIEFLY = {
    "build": "building",
    "control": "controls",
    "apply": "applying",
    "sweep": "probing",
    "evidence": "evidence",
    "close": "removing",
}


class Progress(Protocol):
    """A listener that tells how far the run is."""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        ...

    def hidden(self) -> AbstractContextManager[object]:
        """Nothing of the progress stands on the terminal inside, so that results can be printed."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class NoProgress:
    """`-q`."""

    def __call__(self, event: Event) -> None:
        """Ignore the event."""

    def hidden(self) -> AbstractContextManager[object]:
        """There is nothing to hide."""
        return nullcontext()

    def close(self) -> None:
        """There is nothing to restore."""


class LineProgress:
    """One line per phase, for logs.

    Args:
        stream: Usually stderr.
        groups: Collect the lines of each scenario in a `::group::` of GitHub Actions, written at its end.
    """

    def __init__(self, stream: TextIO, *, groups: bool = False) -> None:
        self._stream = stream
        self._groups = groups
        self._held: dict[str, list[str]] = {}

    def __call__(self, event: Event) -> None:
        """Write what the event says, if it is worth a line."""
        match event:
            case RunStarted():
                cells = sum(len(item.cells) for item in event.scenarios)
                scenarios = count(len(event.scenarios), "scenario")
                self._write(f"{scenarios}, {count(cells, 'cell')} on {event.backend.spec}, run {event.run}")
            case PhaseStarted():
                self._say(event.scenario, _phase(event))
            case ScenarioFinished(result):
                text = f"{result.status} after {duration(result.seconds)}"
                self._say(result.scenario, text)
                self._release(result.scenario, text)
            case Interrupted():
                self._write(STOPPING)
            case _:
                pass

    def hidden(self) -> AbstractContextManager[object]:
        """Lines stay."""
        return nullcontext()

    def close(self) -> None:
        """Write what is still held back."""
        for name, lines in self._held.items():
            self._group(name, lines)
        self._held.clear()

    def _say(self, scenario: Scenario, text: str) -> None:
        message = f"{scenario.name}: {text}"
        if self._groups:
            self._held.setdefault(scenario.name, []).append(message)
        else:
            self._write(message)

    def _release(self, scenario: Scenario, text: str) -> None:
        if self._groups:
            self._group(f"{scenario.name}: {text}", self._held.pop(scenario.name, []))

    def _group(self, title: str, lines: list[str]) -> None:
        # A line of our own must not be read as a workflow command, so every one of them is led by a word.
        self._write(f"::group::{printable(title)}", lead="")
        for text in lines:
            self._write(text)
        self._write("::endgroup::", lead="")

    def _write(self, text: str, lead: str = "netcheck: ") -> None:
        try:
            self._stream.write(encodable(f"{lead}{printable(text)}\n", self._stream))
            self._stream.flush()
        except BrokenPipeError:
            silence(self._stream)


class BarProgress:
    """A bar that counts judged cells and names what is going on; gone when the run is over."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._columns = columns_of(stream, environ)
        self._bar = Bar(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console(stream, self._columns),
            transient=True,
        )
        self._task: TaskID | None = None
        self._judged: dict[str, int] = {}
        self._running: dict[str, str] = {}
        self._stopping = False

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        match event:
            case RunStarted():
                total = sum(len(item.cells) for item in event.scenarios)
                self._task = self._bar.add_task("", total=total)
                self._bar.start()
            case ScenarioStarted(scenario):
                self._running[scenario.name] = _BRIEFLY["build"]
            case PhaseStarted():
                self._running[event.scenario.name] = _BRIEFLY.get(event.phase, event.phase)
            case CellJudged():
                self._judged[event.scenario.name] = self._judged.get(event.scenario.name, 0) + 1
                self._advance(1)
            case ScenarioFinished(result):
                self._running.pop(result.scenario.name, None)
                planned = len(result.scenario.cells)
                self._advance(max(0, planned - self._judged.pop(result.scenario.name, 0)))
            case Interrupted():
                self._stopping = True
            case RunFinished():
                self.close()
            case _:
                pass
        if self._task is not None:
            self._bar.update(self._task, description=self._description())

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

    def _advance(self, cells: int) -> None:
        if self._task is not None:
            self._bar.advance(self._task, cells)

    def _description(self) -> str:
        room = max(10, self._columns - 48)
        if self._stopping:
            return shorten(STOPPING, room)
        if not self._running:
            return ""
        name, phase = next(iter(self._running.items()))
        more = f" (+{len(self._running) - 1})" if len(self._running) > 1 else ""
        return f"{shorten(printable(name), room - len(phase) - 2 - len(more))}: {phase}{more}"


def _phase(event: PhaseStarted) -> str:
    text = _PHASES.get(event.phase, event.phase)
    if event.cells:
        text += f", {count(event.cells, 'cell')}"
    return f"step {event.step}: {text}" if event.step else text


def progress(stream: TextIO, *, quiet: bool, environ: Mapping[str, str]) -> Progress:
    """The progress that suits the stream and the environment.

    Args:
        stream: Usually stderr.
        quiet: Nothing at all.
        environ: `GITHUB_ACTIONS` makes groups, `CI` lines even on a terminal.
    """
    if quiet:
        return NoProgress()
    if environ.get("GITHUB_ACTIONS") == "true":
        return LineProgress(stream, groups=True)
    if stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb":
        return BarProgress(stream, environ)
    return LineProgress(stream)
