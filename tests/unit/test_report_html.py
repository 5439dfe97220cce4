"""The HTML report: one file with everything in it, and text stays text; its looks are for a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.model.result import RunResult
from harness.model.verdict import Status
from harness.report.html import to_html
from tests.unit import report_samples as samples

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&amp;\x1b[31m\u2028"


class Page(HTMLParser):
    """Elements with their attributes, the text of scripts, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def cells(self) -> list[dict[str, str | None]]:
        return [
            attributes for tag, attributes in self.elements if "data-cell" in attributes and tag == "button"
        ]


def page(result: RunResult) -> Page:
    return Page(to_html(result))


@pytest.mark.parametrize(
    "name", ["passing", "failing", "broken", "steps", "wide", "hostile", "skipped", "unbuildable"]
)
def test_every_cell_has_its_field_and_its_details(name: str) -> None:
    scenario = getattr(samples, name)()
    found = page(samples.run(scenario))
    data = json.loads(found.scripts[0])
    assert len(found.cells) == len(data) == max(len(scenario.cells), len(scenario.scenario.cells))
    assert sorted(int(cell["data-cell"] or -1) for cell in found.cells) == list(range(len(data)))
    assert all(cell["aria-label"] for cell in found.cells)


def test_a_cell_tells_the_three_answers_and_how_to_run_it_again() -> None:
    data = json.loads(page(samples.run(samples.failing())).scripts[0])
    (failed,) = [item for item in data if item["id"].endswith("production/db->production/api:8080/TCP")]
    rows = dict(failed["rows"])
    assert rows["expected"] == "deny"
    assert rows["predicted"].startswith("allow, a rule allows it [NetworkPolicy production/api-policy")
    assert rows["observed"] == "allow"
    assert rows["finding"].startswith("the expectation looks wrong")
    assert rows["rerun"].startswith("netcheck run ")


def test_statuses_are_symbol_and_word_not_colour_alone() -> None:
    found = page(samples.run(samples.failing()))
    labels = [cell["aria-label"] or "" for cell in found.cells]
    assert any("allow, failed" in label for label in labels)
    assert any("allow, passed" in label for label in labels)


def test_nothing_is_loaded_from_elsewhere() -> None:
    found = page(samples.run(samples.failing(), samples.hostile()))
    for tag, attributes in found.elements:
        assert "src" not in attributes, tag
        assert attributes.get("href") in (None, "data:,"), tag
    assert "http://" not in to_html(samples.run(samples.passing()))
    policy = [item for tag, item in found.elements if item.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policy[0]["content"])


def test_hostile_text_stays_text() -> None:
    cell = samples.cell("n/a", "n/b", samples.X)
    judged = samples.judged(cell, Status.FAILED, reason=NASTY, evidence=(NASTY,))
    scenario = samples.finished("x", {NASTY: [judged]}, file=f"{NASTY}.yaml")
    scenario = replace(
        scenario,
        error=NASTY,
        scenario=replace(scenario.scenario, name=NASTY, description=NASTY, tags=(NASTY,)),
    )
    result = samples.run(scenario, revision=NASTY)
    result = replace(result, backend=replace(result.backend, spec=NASTY, versions={NASTY: NASTY}))
    clean, dirty = page(samples.run(samples.failing(), samples.steps(), samples.unbuildable())), page(result)
    assert {tag for tag, _ in dirty.elements} <= {tag for tag, _ in clean.elements}
    assert len(dirty.scripts) == 2
    assert all(not name.startswith("on") for _, attributes in dirty.elements for name in attributes)
    assert "{{ 7*7 }}" in dirty.text
    assert "\x1b" not in to_html(result)
    assert "alert(2)" in json.loads(dirty.scripts[0])[0]["head"]


def test_failed_scenarios_are_open_and_passing_ones_are_not() -> None:
    found = page(samples.run(samples.passing(), samples.failing()))
    opened = ["open" in attributes for tag, attributes in found.elements if tag == "details"]
    assert opened == [False, True]


def test_an_interrupted_run_says_so() -> None:
    found = page(samples.run(samples.passing(), samples.unbuildable(), interrupted=True))
    assert "not everything was measured" in found.text


def test_an_empty_run_has_a_page() -> None:
    assert "Nothing was measured" in page(samples.run()).text
