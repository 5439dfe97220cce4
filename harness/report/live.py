"""The terminal report while a run goes on: every scenario as soon as it and those before it are done."""

from __future__ import annotations

from dataclasses import replace

from harness.engine.events import Event, RunFinished, RunStarted, ScenarioFinished
from harness.model.result import Backend, ScenarioResult
from harness.report.printer import Printer
from harness.report.progress import Progress
from harness.report.terminal import Style, names_width, render_scenario, render_summary


class LiveReport:
    """Listens to the engine and prints; scenarios come in the order of the plan, whatever finishes first."""

    def __init__(
        self, printer: Printer, progress: Progress, *, verbose: bool = False, quiet: bool = False
    ) -> None:
        self._printer = printer
        self._progress = progress
        self._style = Style(printer.columns, verbose, quiet)
        self._backend: Backend | None = None
        self._order: list[str] = []
        self._planned = 0
        self._finished: dict[str, ScenarioResult] = {}

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case RunStarted():
                self._backend = event.backend
                self._order = [item.name for item in event.scenarios]
                self._planned = len(event.scenarios)
                names = names_width(event.scenarios)
                self._style = replace(self._style, names=names)
            case ScenarioFinished(result):
                self._finished[result.scenario.name] = result
                while self._order and self._order[0] in self._finished:
                    self._show(self._finished.pop(self._order.pop(0)))
            case RunFinished(result):
                for name in self._order:
                    if name in self._finished:
                        self._show(self._finished.pop(name))
                with self._progress.hidden():
                    self._printer.print(render_summary(result, self._style, self._planned))
            case _:
                pass

    def _show(self, result: ScenarioResult) -> None:
        assert self._backend is not None, "the engine's first event is RunStarted"
        style = self._style
        if self._progress.tells_passes and not style.verbose:
            style = replace(style, quiet=True)
        lines = render_scenario(result, self._backend, style)
        if lines:
            with self._progress.hidden():
                self._printer.print(lines)
