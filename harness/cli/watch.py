"""`netcheck watch`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import measuring, options
from harness.cli.app import cli
from harness.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from harness.cli.clusters import Opening
    from harness.cli.keys import Keys
    from harness.cli.watched import Ground, Signature
    from harness.engine.cluster import Cluster
    from harness.engine.events import Event
    from harness.model.result import RunResult
    from harness.model.scenario import Scenario
    from harness.scenario import Loaded

_LOOK = 200
"""Milliseconds between two looks at the keyboard."""
_QUIET = 60
"""Milliseconds without a change after which an editor is taken to have finished saving."""
_NAMED = 3
"""Changed files that are named."""


@cli.command(short_help="Run again what a saved file touches.")
@options.paths_argument
@measuring.place_options
@options.selection_options
@measuring.jobs_option
@options.verbose_option("Show the matrices of passing scenarios and the notes of their cells too.")
@options.color_option
@click.pass_context
def watch(
    ctx: click.Context,
    paths: tuple[str, ...],
    place: measuring.Place,
    k: str,
    tag: tuple[str, ...],
    jobs: int,
    verbose: bool,
    color: str,
) -> int:
    """Run scenarios, then again whenever a file that they are made of is saved.

    Those are the scenario file, the policies that it names, also in folders and by globs, and its shared
    world. On a terminal Enter runs all of them, f those that were not as expected, q or Ctrl-C ends.

    Exit codes: 0 ended by the user, 4 usage.
    """
    from harness.cli.signals import stop_on_signal

    place.check(ctx)
    chosen = options.chosen_paths(ctx, paths)
    # What the cluster holds is let go before a signal may end the process again.
    with stop_on_signal() as stop:
        session = _Session(chosen, place, (k, tag), jobs, verbose, color, stop)
        try:
            session.go()
        except KeyboardInterrupt:
            # While the cluster was being opened.
            pass
        finally:
            session.close()
    return ExitCode.OK


ALL = "all"
FAILED = "failed"
_WISHES = {"\n": ALL, "a": ALL, "f": FAILED}


@dataclass(frozen=True, slots=True)
class Change:
    """Why to run again.

    Attributes:
        paths: Files that were saved, made or removed.
        wish: What the user asked for by a key; empty = run what the paths touch.
        files: All files as they were then.
    """

    paths: frozenset[Path] = frozenset()
    wish: str = ""
    files: Mapping[Path, Signature] = field(default_factory=dict)


class _Session:
    """One `netcheck watch`: what is known of the files, the cluster, and how scenarios went."""

    def __init__(
        self,
        paths: Sequence[Path],
        place: measuring.Place,
        selection: tuple[str, Sequence[str]],
        jobs: int,
        verbose: bool,
        color: str,
        stop: threading.Event,
    ) -> None:
        from harness.cli.keys import Keys
        from harness.cli.watched import Known

        self._paths = paths
        self._place = place
        self._selection = selection
        self._jobs = jobs
        self._verbose = verbose
        self._color = color
        self._stop = stop
        self._known = Known()
        self._wrong: set[str] = set()
        self._complained = False
        self._fresh = True
        self._opening: Opening | None = place.opening(keep=False, say=_silent)
        self._cluster: Cluster | None = None
        self._keys: Keys = Keys()

    def close(self) -> None:
        """Let the cluster go."""
        if self._cluster is not None:
            self._cluster.close()
        elif self._opening is not None:
            self._opening.abandon()

    def go(self) -> None:
        """Until the user ends it."""
        from harness.cli.watched import ground

        files = ground(self._paths, ()).files()
        change: Change | None = Change(wish=ALL)
        while change is not None:
            loaded = self._load()
            where = ground(self._paths, (use for uses in loaded.uses.values() for use in uses))
            # What was known before loading stays the measure: nothing that is saved meanwhile is missed.
            files = {path: files.get(path, sign) for path, sign in where.files().items()}
            self._act(loaded, change)
            change = None if self._stop.is_set() else self._wait(where, files)
            files = dict(change.files) if change else {}

    def _load(self) -> Loaded:
        from harness.scenario import load

        return load(self._paths)

    # -- running -----------------------------------------------------------------------------------------

    def _act(self, loaded: Loaded, change: Change) -> None:
        """Show what is wrong with the files, and run what is to be run."""
        from harness.source.diagnostics import Severity

        touched = {item.name for item in self._known.touched(loaded, change.paths)}
        self._wrong &= {item.name for item in loaded.scenarios}
        wanted = {ALL: None, FAILED: self._wrong, "": touched}[change.wish]
        todo = self._selected(loaded, wanted)
        broken = any(item.severity is Severity.ERROR for item in loaded.problems)
        if change.wish or todo or broken or self._complained:
            self._head(change)
            if broken:
                from harness.cli.reading import print_diagnostics, wants_color

                print_diagnostics(
                    loaded.problems, loaded.sources, sys.stderr, color=wants_color(self._color, sys.stderr)
                )
            if todo:
                self._run(todo)
            if not self._stop.is_set():
                self._foot(loaded, todo, change)
        self._complained = broken

    def _selected(self, loaded: Loaded, names: set[str] | None) -> list[Scenario]:
        """What `-k` and `--tag` leave of the scenarios with these names; None = of all."""
        from harness.cli.select import select

        return [
            item for item in select(loaded.scenarios, *self._selection) if names is None or item.name in names
        ]

    def _run(self, todo: Sequence[Scenario]) -> None:
        from harness.engine.cluster import ClusterError
        from harness.engine.run import run as engine
        from harness.report.live import LiveReport
        from harness.report.printer import printer
        from harness.report.progress import progress
        from harness.report.streams import shown_together

        try:
            ready = self._place.ready(todo)
            cluster = self._opened()
        except ClusterError as error:
            CliError(str(error), measuring.advice_of(error)).show()
            return
        except CliError as error:
            error.show()
            return
        told = shown_together(sys.stdout, sys.stderr, os.environ)
        bar = progress(sys.stderr, quiet=False, environ=os.environ, told=told)
        report = LiveReport(printer(sys.stdout, self._color), bar, verbose=self._verbose)

        def emit(event: Event) -> None:
            bar(event)
            report(event)

        try:
            self._remember(engine(ready, cluster, emit, jobs=self._jobs, stop=self._stop))
        finally:
            bar.close()

    def _opened(self) -> Cluster:
        """The cluster, opened once; after trouble it is tried again.

        Raises:
            ClusterError: It cannot be had.
        """
        if self._cluster is None:
            opening, self._opening = self._opening, None
            opening = opening or self._place.opening(keep=False, say=_silent)
            self._cluster = self._place.furnished(opening.wait())
        return self._cluster

    def _remember(self, result: RunResult) -> None:
        from harness.model.verdict import Status

        for item in result.scenarios:
            if item.status in (Status.FAILED, Status.ERROR):
                self._wrong.add(item.scenario.name)
            else:
                self._wrong.discard(item.scenario.name)

    # -- the screen --------------------------------------------------------------------------------------

    def _head(self, change: Change) -> None:
        if self._fresh:
            self._fresh = False
            return
        text = {ALL: "everything again", FAILED: "what was not as expected", "": _named(change.paths)}[
            change.wish
        ]
        if sys.stdout.isatty():
            click.echo("\x1b[H\x1b[2J", nl=False)
        self._say(text)

    def _foot(self, loaded: Loaded, todo: Sequence[Scenario], change: Change) -> None:
        from harness.report.text import count

        if not todo and change.wish == FAILED:
            self._say("nothing was other than expected")
        elif not todo and not loaded.problems:
            self._say("nothing is selected")
        text = f"watching {count(len(loaded.files), 'file')}"
        if self._wrong:
            text += f", {count(len(self._wrong), 'scenario')} not as expected"
        if self._keys.there:
            text += " · Enter all · f failed · q end"
        self._say(text)

    def _say(self, text: str) -> None:
        from harness.report.printer import printer
        from harness.report.text import EMPTY, line

        out = printer(sys.stdout, self._color)
        out.print([line((text, "dim"))] if out.columns >= 40 else [EMPTY])

    # -- waiting -----------------------------------------------------------------------------------------

    def _wait(self, where: Ground, before: Mapping[Path, Signature]) -> Change | None:
        """The next thing to do; None when the user ends it."""
        from harness.cli.watched import changed

        with self._keys.listening():
            while True:
                folders = where.folders()
                first = True
                for news in self._news(folders):
                    if self._stop.is_set():
                        return None
                    key = self._keys.typed()
                    if key in ("q", "Q"):
                        return None
                    if key in _WISHES:
                        return Change(wish=_WISHES[key], files=before)
                    if news or first:
                        first = False
                        now = where.files()
                        paths = changed(before, now)
                        if paths:
                            return Change(paths=frozenset(paths), files=now)
                        if where.folders() != folders:
                            break

    def _news(self, folders: set[Path]) -> Iterator[object]:
        """Something that is true whenever files may have changed, and something false now and then."""
        import watchfiles

        polling = False
        while True:
            try:
                yield from watchfiles.watch(
                    *sorted(folders),
                    watch_filter=None,
                    step=_QUIET,
                    rust_timeout=_LOOK,
                    yield_on_timeout=True,
                    recursive=False,
                    force_polling=polling or None,
                )
                return
            except OSError:
                # Too many folders for the kernel's limit, or one has gone: look at them now and then.
                if polling:
                    raise
                polling = True


def _silent(line: str) -> None:
    """Takes a line of progress that nobody wants."""


def _named(paths: Iterable[Path]) -> str:
    names = sorted(os.path.relpath(path) for path in paths)
    text = ", ".join(names[:_NAMED])
    return f"{text} and {len(names) - _NAMED} more" if len(names) > _NAMED else text
