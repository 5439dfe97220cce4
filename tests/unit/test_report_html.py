"""The HTML report: one file with everything in it, and text stays text; test_report_page.py has a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.model.result import Excerpt, RunResult
from harness.model.verdict import Status
from harness.report.html import to_html
from harness.source import Place
from tests.unit import report_samples as samples

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&amp;\x1b[31m\u2028"


class Page(HTMLParser):
    """Elements with their attributes, the text of scripts and styles, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag in ("script", "style"):
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            self.text += data

    @property
    def buttons(self) -> list[dict[str, str | None]]:
        return [
            attributes for tag, attributes in self.elements if "data-cell" in attributes and tag == "button"
        ]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    @property
    def policy(self) -> str:
        (meta,) = [item for _, item in self.elements if item.get("http-equiv") == "Content-Security-Policy"]
        return str(meta["content"])


def page(result: RunResult) -> Page:
    return Page(to_html(result))


@pytest.mark.parametrize(
    "name", ["passing", "failing", "broken", "steps", "wide", "hostile", "skipped", "unbuildable"]
)
def test_every_cell_has_its_field_and_its_details(name: str) -> None:
    scenario = getattr(samples, name)()
    found = page(samples.run(scenario))
    cells = found.data["cells"]
    assert len(found.buttons) == len(cells) == max(len(scenario.cells), len(scenario.scenario.cells))
    assert sorted(int(cell["data-cell"] or -1) for cell in found.buttons) == list(range(len(cells)))
    assert all(cell["aria-label"] for cell in found.buttons)


def test_two_cells_of_one_place_are_both_there() -> None:
    cell = samples.cell("n/a", "n/b", samples.X)
    twins = [samples.judged(cell), samples.judged(replace(cell, id=f"{cell.id} #2"))]
    assert len(page(samples.run(samples.finished("x", {"expect": twins}))).buttons) == 2


def test_a_nearly_empty_matrix_falls_apart() -> None:
    cells = [samples.judged(samples.cell(f"n/a{number}", f"n/b{number}", samples.A)) for number in range(300)]
    html = to_html(samples.run(samples.finished("diagonal", {"expect": cells})))
    assert 5 <= html.count("<table") <= 10
    assert html.count("<td>") < 20_000
    assert len(Page(html).buttons) == 300


def test_a_cell_tells_the_three_answers_and_how_to_run_it_again() -> None:
    cells = page(samples.run(samples.failing())).data["cells"]
    (failed,) = [item for item in cells if item["cell"] == "production/db->production/api:8080/TCP"]
    rows = dict(failed["rows"])
    assert rows["expected"] == "deny"
    assert rows["predicted"].startswith("allow, a rule allows it [NetworkPolicy production/api-policy")
    assert rows["observed"] == "allow"
    assert rows["finding"].startswith("the expectation looks wrong")
    assert {"outcome", "receipt", "control", "attempts", "time", "evidence"} <= rows.keys()
    assert failed["place"] == "scenarios/shop.yaml:22:5"
    assert failed["rerun"].startswith("netcheck run ")


def test_the_deciding_policy_is_quoted_once_and_marked_by_cell() -> None:
    place = Place("policies/api.yaml", 13, 1)
    excerpt = Excerpt(samples.RULE.policy, place, ((13, ("ingress:", "    - from: []", "      ports: []")),))
    data = page(replace(samples.run(samples.failing()), excerpts=(excerpt,))).data
    assert data["excerpts"] == [{"parts": [[13, ["ingress:", "    - from: []", "      ports: []"]]]}]
    assert [item["quotes"] for item in data["cells"] if "quotes" in item] == [
        [[0, "NetworkPolicy production/api-policy ingress[0] at policies/api.yaml:13", [14, 15]]]
    ]


def test_statuses_are_symbol_and_word_not_colour_alone() -> None:
    labels = [cell["aria-label"] or "" for cell in page(samples.run(samples.failing())).buttons]
    assert "production/db to production/api, 8080/TCP: allow instead of deny, failed" in labels
    assert "production/gateway to production/api, 8080/TCP: allow, passed" in labels
    unmeasured = page(samples.run(samples.unbuildable(), samples.skipped())).buttons
    assert [str(cell["aria-label"]).rpartition(": ")[2] for cell in unmeasured] == [
        "error",
        "error",
        "skipped",
    ]


def test_nothing_is_loaded_from_elsewhere() -> None:
    found = page(samples.run(samples.failing(), samples.hostile()))
    for tag, attributes in found.elements:
        assert "src" not in attributes, tag
        assert attributes.get("href") in (None, "data:,", "#results"), tag
        assert not {"style", "onclick"} & attributes.keys(), tag
    assert not re.search(r"https?://|url\(", to_html(samples.run(samples.passing())))


def test_only_the_script_of_the_page_may_run() -> None:
    found = page(samples.run(samples.failing()))

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert found.policy == (
        f"default-src 'none'; style-src 'sha256-{digest(found.styles[0])}'; "
        f"script-src 'sha256-{digest(found.scripts[1])}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_stays_text() -> None:
    cell = samples.cell("n/a", "n/b", samples.X)
    judged = samples.judged(cell, Status.FAILED, reason=NASTY, evidence=(NASTY,))
    scenario = samples.finished("x", {NASTY: [judged]}, file=f"{NASTY}.yaml")
    scenario = replace(
        scenario,
        error=NASTY,
        scenario=replace(scenario.scenario, name=NASTY, description=NASTY, tags=(NASTY,)),
    )
    excerpt = Excerpt(NASTY, Place(NASTY, 1, 1), ((1, (NASTY,)),))
    result = samples.run(scenario, revision=NASTY, excerpts=(excerpt,), left_behind=(NASTY,))
    result = replace(result, backend=replace(result.backend, spec=NASTY, versions={NASTY: NASTY}))
    tagged = samples.failing()
    tagged = replace(tagged, scenario=replace(tagged.scenario, tags=("x",)))
    clean = page(samples.run(tagged, samples.steps(), samples.unbuildable(), interrupted=True))
    dirty = page(result)
    assert {tag for tag, _ in dirty.elements} <= {tag for tag, _ in clean.elements}
    assert len(dirty.scripts) == 2
    assert all(not name.startswith("on") for _, attributes in dirty.elements for name in attributes)
    assert "{{ 7*7 }}" in dirty.text
    assert "\x1b" not in to_html(result)
    assert "alert(2)" in dirty.data["cells"][0]["head"]


def test_what_is_wrong_stands_first_and_is_open() -> None:
    found = page(samples.run(samples.passing(), samples.unbuildable(), samples.failing()))
    names = [item["data-name"] for _, item in found.elements if "data-name" in item]
    assert [str(name).split()[0] for name in names] == ["shop", "no-world", "api-policy"]
    opened = ["open" in attributes for tag, attributes in found.elements if tag == "details"]
    assert opened == [True, True, False]


def test_trouble_of_the_run_is_said() -> None:
    found = page(
        samples.run(samples.passing(), samples.unbuildable(), interrupted=True, left_behind=("ns x",))
    )
    assert "The run was interrupted: not everything was measured." in found.text
    assert "Left behind on the cluster: ns x" in found.text


def test_an_empty_run_has_a_page() -> None:
    assert "Nothing was measured" in page(samples.run()).text
