"""The run as one HTML file that needs nothing else: no network, no other file, no scripts from elsewhere.

The page is made by a template that escapes everything. What a cell has to say beyond its symbol stands in a
block of JSON, and the page's own script writes it as text when the cell is opened, so that ten thousand cells
stay light and no text of a scenario or a cluster is ever read as markup. The page allows the browser to run
exactly that script, by its digest.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from harness.model.result import RunResult, ScenarioResult, StepResult
from harness.model.verdict import Status
from harness.report import symbols
from harness.report.failures import NOT_ENFORCED, NOT_ENFORCED_WHY
from harness.report.html_cells import Cells
from harness.report.html_tables import tables
from harness.report.summary import IMPLIED_STEP, ORDER, exceptions, tally, title, words, worst
from harness.report.text import count, duration, moment
from harness.source.render import printable

if TYPE_CHECKING:
    from jinja2 import Template

SIGNS: Final = {
    Status.FAILED: "✕",
    Status.ERROR: "!",
    Status.XFAILED: "~",
    Status.SKIPPED: "–",
    Status.PASSED: "✓",
}


def to_html(result: RunResult) -> str:
    """The run as an HTML document."""
    from markupsafe import Markup

    cells = Cells(result)
    ranks = {status: number for number, status in enumerate(ORDER)}
    scenarios = sorted(result.scenarios, key=lambda item: ranks[item.status])
    shown = [_scenario(item, cells) for item in scenarios]
    style, script = _asset("report.css"), _asset("report.js")
    page = _template().render(
        title=title(result),
        worst=str(worst(result)),
        signs={str(status): sign for status, sign in SIGNS.items()},
        counts=[(str(status), words(status, number), number) for status, number in tally(result)],
        bar=list(_bar(result)),
        facts=list(_facts(result)),
        warnings=list(_warnings(result)),
        scenarios=shown,
        tags=sorted({tag for item in shown for tag in item["tags"]}),
        legend=list(_legend(cells)),
        # Files of this package, not of the run.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        data=_data(cells.document()),
    )
    return page + "\n"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


@functools.cache
def _asset(name: str) -> str:
    return (resources.files("harness.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _bar(result: RunResult) -> Iterator[tuple[str, float, float]]:
    """Status, begin and width, in percent, of the bar that shows how the cells are shared out."""
    found = tally(result)
    whole = sum(number for _, number in found)
    begin = 0.0
    for status, number in found:
        # One cell among ten thousand must not vanish.
        share = max(0.6, 100 * number / whole)
        yield str(status), round(begin, 3), round(share, 3)
        begin += share


def _facts(result: RunResult) -> Iterator[tuple[str, str]]:
    backend = result.backend
    yield "cluster", printable(backend.spec)
    for name, version in backend.versions.items():
        yield printable(name), printable(version)
    if backend.assumed:
        yield "assumed", printable(", ".join(sorted(backend.assumed)))
    yield "started", printable(moment(result.started))
    yield "took", duration(result.seconds)
    yield "netcheck", printable(result.version)
    if result.revision:
        yield "revision", printable(result.revision)
    if result.run:
        yield "run", printable(result.run)


def _warnings(result: RunResult) -> Iterator[str]:
    if result.interrupted:
        yield "The run was interrupted: not everything was measured."
    if not result.enforced:
        yield f"{NOT_ENFORCED}: {NOT_ENFORCED_WHY}".capitalize()
    for text in result.left_behind:
        yield f"Left behind on the cluster: {printable(text)}"


def _scenario(item: ScenarioResult, cells: Cells) -> dict[str, Any]:
    measured = {step.name: step for step in item.steps}
    several = len(item.scenario.steps) > 1 or any(step.name != IMPLIED_STEP for step in item.scenario.steps)
    steps = []
    for step in item.scenario.steps:
        found = measured.get(step.name)
        steps.append(
            {
                "name": printable(step.name) if several else "",
                "settled": _settled(found) if found else "",
                "tables": tables(item, step, found, cells),
            }
        )
    return {
        "name": printable(item.scenario.name),
        "status": str(item.status),
        "counts": [(str(status), f"{number} {words(status, number)}") for status, number in exceptions(item)],
        "place": printable(item.scenario.place.short),
        "reading": printable(f"as {item.personality}") if item.personality else "",
        "about": printable(" ".join(item.scenario.description.split())),
        "tags": [printable(tag) for tag in item.scenario.tags],
        "seconds": duration(item.seconds) if item.steps else "",
        "trouble": printable(item.error or item.skipped),
        "total": count(len(item.cells) + len(item.unmeasured), "cell"),
        "open": item.status in (Status.FAILED, Status.ERROR),
        "steps": steps,
    }


def _settled(step: StepResult) -> str:
    if not step.in_force_by:
        return ""
    text = f"In force after {duration(step.in_force)} ({printable(step.in_force_by)})"
    return f"{text}; {count(step.leaks, 'leak')} before that" if step.leaks else text


def _legend(cells: Cells) -> Iterator[tuple[str, str]]:
    for symbol, meaning in symbols.meanings(cells.legend):
        yield ("•[X]" if symbol == "[]" else symbols.shown(symbol)), meaning


def _data(document: Mapping[str, Any]) -> Any:
    """JSON that can stand inside of a script element: no `<` that could end it."""
    from markupsafe import Markup

    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    escapes: Mapping[int, str] = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
    return Markup(text.translate(escapes))  # noqa: S704 - JSON whose markup characters are escaped above
