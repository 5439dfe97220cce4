"""Progress on stderr: a bar on a terminal, lines in CI, groups in GitHub Actions, nothing when quiet."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO

from harness.engine.events import (
    Event,
    Interrupted,
    PhaseStarted,
    RunStarted,
    ScenarioFinished,
    Waiting,
)
from harness.report.bar import STOPPING, BarProgress
from harness.report.printer import encodable
from harness.report.streams import silence
from harness.report.terminal import headline
from harness.report.text import count, duration, plain
from harness.source.render import printable

_PHASES = {
    "build": "building the world",
    "control": "control sweep without policies",
    "apply": "applying policies",
    "sweep": "probing",
    "evidence": "collecting evidence",
    "close": "taking the world down",
}


class Progress(Protocol):
    """A listener that tells how far the run is.

    Attributes:
        tells_passes: A scenario that passed has its line already; the report need not say it again.
    """

    tells_passes: bool

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

    tells_passes = False

    def __call__(self, event: Event) -> None:
        """Ignore the event."""

    def hidden(self) -> AbstractContextManager[object]:
        """There is nothing to hide."""
        return nullcontext()

    def close(self) -> None:
        """There is nothing to restore."""


class LineProgress:
    """Lines for logs: one per scenario when it is done.

    Args:
        stream: Usually stderr.
        groups: Collect the phases of each scenario in a `::group::` of GitHub Actions, written at its end.
        told: The results themselves go to the same place, so that a line here would say it twice.
        phases: A line for each phase of each scenario, too, as it begins.
    """

    def __init__(
        self, stream: TextIO, *, groups: bool = False, told: bool = False, phases: bool = False
    ) -> None:
        self.tells_passes = groups and told
        self._stream = stream
        self._groups = groups
        self._told = told
        self._phases = phases
        self._held: dict[str, list[str]] = {}
        self._planned = self._done = 0

    def __call__(self, event: Event) -> None:
        """Write what the event says, if it is worth a line."""
        match event:
            case RunStarted():
                self._planned = len(event.scenarios)
                cells = sum(len(item.cells) for item in event.scenarios)
                scenarios = count(self._planned, "scenario")
                self._write(f"{scenarios}, {count(cells, 'cell')} on {event.backend.spec}, run {event.run}")
            case PhaseStarted():
                if self._groups:
                    self._held.setdefault(event.scenario.name, []).append(_phase(event))
                elif self._phases:
                    self._write(f"{event.scenario.name}: {_phase(event)}")
            case Waiting(scenario, reason):
                self._write(f"{scenario.name}: waits for {reason}")
            case ScenarioFinished(result):
                self._done += 1
                name = result.scenario.name
                if self._groups:
                    self._group(plain([headline(result)]).strip(), self._held.pop(name, []))
                elif not self._told:
                    took = f"{result.status} after {duration(result.seconds)}"
                    self._write(f"{name}: {took} ({self._done} of {self._planned})")
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


def _phase(event: PhaseStarted) -> str:
    text = _PHASES.get(event.phase, event.phase)
    if event.cells:
        text += f", {count(event.cells, 'cell')}"
    return f"step {event.step}: {text}" if event.step else text


def progress(
    stream: TextIO, *, quiet: bool, environ: Mapping[str, str], told: bool = False, verbose: bool = False
) -> Progress:
    """The progress that suits the stream and the environment.

    Args:
        stream: Usually stderr.
        quiet: Nothing at all.
        environ: `GITHUB_ACTIONS` makes groups, `CI` lines even on a terminal.
        told: The results go to the same place.
        verbose: Lines tell each phase.
    """
    if quiet:
        return NoProgress()
    if environ.get("GITHUB_ACTIONS") == "true":
        return LineProgress(stream, groups=True, told=told)
    if stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb":
        return BarProgress(stream, environ)
    return LineProgress(stream, told=told, phases=verbose)
