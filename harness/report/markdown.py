"""The run as Markdown, for a pull request or the summary of a job: what is wrong first, the rest folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.model.result import CellResult, Excerpt, RunResult, ScenarioResult, StepResult
from harness.model.verdict import Status
from harness.report.failures import Group, details, grouped, headline, more
from harness.report.markup import block, code, html_code
from harness.report.quotes import Quote, quotes
from harness.report.summary import IMPLIED_STEP, exceptions, tally, title, words, worst
from harness.report.terminal import step_matrix
from harness.report.text import count, duration, moment, plain

LIMIT: Final = 60_000
"""Characters; a comment on GitHub may have 65,536, and a job's summary 1 MiB."""
_COLUMNS: Final = 96
"""Of a matrix; GitHub shows about that many before it scrolls."""
_AROUND: Final = 3
_LISTED: Final = 5
_SIGNS: Final = {
    Status.FAILED: "❌",
    Status.ERROR: "⚠️",
    Status.XFAILED: "❕",
    Status.SKIPPED: "➖",
    Status.PASSED: "✅",
}


def to_markdown(result: RunResult) -> str:
    """The run as GitHub's Markdown, at most `LIMIT` characters."""
    head = "\n".join(_head(result)) + "\n"
    tail = "\n".join(_tail(result)) + "\n"
    room = LIMIT - len(head) - len(tail) - 200
    wrong = [item for item in result.scenarios if item.status in (Status.FAILED, Status.ERROR)]
    wrong.sort(key=lambda item: item.status is not Status.FAILED)
    body = ""
    for number, item in enumerate(wrong):
        # As much of it as there is room for: everything, or without the details, or not at all.
        for lines in (_scenario(item, result), _brief(item)):
            text = "\n".join(lines) + "\n"
            if len(body) + len(text) <= room:
                body += text
                break
        else:
            left = count(len(wrong) - number, "more scenario")
            body += f"\n{left} not as expected: there is no room for them here.\n"
            break
    return head + body + tail


def _head(result: RunResult) -> Iterator[str]:
    yield f"### {_SIGNS[worst(result)]} {title(result)}"
    yield ""
    counts = ", ".join(f"**{number} {words(status, number)}**" for status, number in tally(result))
    counts = counts or "no cell was measured"
    backend = result.backend
    versions = ", ".join(code(f"{name} {version}") for name, version in backend.versions.items() if version)
    where = f"{code(backend.spec)} ({versions})" if versions else code(backend.spec)
    yield f"{counts} in {duration(result.seconds)} on {where}"
    if backend.assumed:
        yield f"<br>assumed: {', '.join(code(item) for item in sorted(backend.assumed))}"
    if result.interrupted:
        yield "<br>**interrupted**: not everything was measured"
    if not result.enforced:
        yield "<br>**no policy is enforced here**: netcheck's own had no effect either"
    for text in result.left_behind:
        yield f"<br>left behind: {code(text)}"


def _scenario(item: ScenarioResult, result: RunResult) -> Iterator[str]:
    yield from _brief(item)
    for step in item.steps:
        if any(cell.status in (Status.FAILED, Status.ERROR) for cell in step.cells):
            yield from _step(item, step, result)


def _brief(item: ScenarioResult) -> Iterator[str]:
    total = len(item.cells) + len(item.unmeasured)
    wrong = ", ".join(f"{number} {words(status, number)}" for status, number in exceptions(item))
    yield ""
    yield f"#### {_SIGNS[item.status]} {code(item.scenario.name)}"
    yield ""
    reading = f" · as {code(item.personality)}" if item.personality else ""
    yield f"{wrong} of {count(total, 'cell')} · {code(item.scenario.place.short)}{reading}"
    if item.error:
        yield f"<br>{code(item.error)}"


def _step(item: ScenarioResult, step: StepResult, result: RunResult) -> Iterator[str]:
    yield ""
    if step.name != IMPLIED_STEP or len(item.steps) > 1:
        yield f"Step {code(step.name)}"
        yield ""
    yield from block(plain(step_matrix(step.cells, _COLUMNS)).splitlines())
    for group in grouped(step.name, step.cells):
        yield from _group(item, group, result)


def _group(item: ScenarioResult, group: Group, result: RunResult) -> Iterator[str]:
    first = group.cells[0]
    names = [html_code(cell.id) for cell in group.cells[:_LISTED]]
    if len(group.cells) > _LISTED:
        names.append(more(len(group.cells) - _LISTED))
    yield ""
    about = f"{_SIGNS[first.status]} {', '.join(names)}: {html_code(headline(first))}"
    yield f"<details><summary>{about}</summary>"
    yield ""
    yield "| | |"
    yield "|---|---|"
    rerun = ""
    for label, text in details(item.scenario, group.step, first, result.backend):
        if label == "rerun":
            rerun = text
        else:
            yield f"| {label} | {code(text)} |"
    yield ""
    for quote in _quotes(first, result.excerpts):
        yield from _quote(quote)
    yield from block([rerun], "sh")
    yield ""
    yield "</details>"


def _quotes(cell: CellResult, excerpts: Sequence[Excerpt]) -> list[Quote]:
    return quotes(cell, excerpts)[:2]


def _quote(quote: Quote) -> Iterator[str]:
    yield f"{code(quote.title)}:"
    yield ""
    lines: list[str] = []
    for part in quote.parts(_AROUND):
        lines += ["     ⋮"] if lines else []
        lines += [f"{'▶' if marked else ' '}{number:>4} │ {text}" for number, text, marked in part]
    yield from block(lines)
    yield ""


def _tail(result: RunResult) -> Iterator[str]:
    known = [
        (item.scenario.name, step.name, cell)
        for item in result.scenarios
        for step in item.steps
        for cell in step.cells
        if cell.status is Status.XFAILED
    ]
    fine = [item for item in result.scenarios if item.status in (Status.PASSED, Status.SKIPPED)]
    if known:
        yield from _folded(
            f"{count(len(known), 'cell')} known to deviate",
            ["Scenario", "Cell", "Why"],
            [[code(name), code(cell.id), code(headline(cell))] for name, _, cell in known],
        )
    if fine:
        passed = sum(item.status is Status.PASSED for item in fine)
        words = [f"{count(passed, 'scenario')} as expected"] if passed else []
        words += [f"{len(fine) - passed} skipped"] if passed < len(fine) else []
        yield from _folded(
            ", ".join(words),
            ["", "Scenario", "Cells", "Took"],
            [
                [
                    _SIGNS[item.status],
                    code(item.scenario.name),
                    code(item.skipped) if item.skipped else str(len(item.cells)),
                    duration(item.seconds) if item.seconds else "",
                ]
                for item in fine
            ],
        )
    words = [f"netcheck {result.version}", f"run {result.run}" if result.run else "", moment(result.started)]
    words.append(f"scenarios at {result.revision}" if result.revision else "")
    yield ""
    yield f"<sub>{' · '.join(code(word) for word in words if word)}</sub>"


def _folded(summary: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    left, shown = LIMIT // 3, 0
    for row in rows:
        text = f"| {' | '.join(row)} |"
        left -= len(text) + 1
        if left < 0:
            break
        shown += 1
        yield text
    yield ""
    if shown < len(rows):
        yield f"… and {len(rows) - shown} more"
        yield ""
    yield "</details>"
