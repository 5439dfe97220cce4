"""The HTML report in a real browser: it opens, filters and expands, by mouse and by keyboard, calmly."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from harness.model.result import Excerpt, RunResult
from harness.model.verdict import Status
from harness.report.html import to_html
from harness.source import Place
from tests.unit import report_samples as samples
from tests.unit.big_run import big_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
SWITCHES = [
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Chromium refuses to sandbox what runs as root.
    *(["--no-sandbox"] if os.getuid() == 0 else []),
]
# The machine may do much else at the same time.
expect.set_options(timeout=30_000)
NASTY = "</script><img src=http://198.51.100.1/x onerror=alert(1)>{{ 7*7 }}<b>bold</b>\x1b[31m\u202e"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=f"needs a browser: {', '.join(NAMES)} (`make browser`)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=SWITCHES)
        yield browser
        browser.close()


class Tab:
    """A page with everything that it asked for and complained about."""

    def __init__(self, context: BrowserContext, folder: Path) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.said: list[str] = []
        self.requests: list[str] = []
        self._folder = folder
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, result: RunResult, fragment: str = "") -> Page:
        file = self._folder / "run.html"
        file.write_text(to_html(result), encoding="utf-8")
        self.page.goto(f"{file.as_uri()}{fragment}")
        return self.page


@pytest.fixture
def tab(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tab]:
    how: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **how})
    tab = Tab(context, tmp_path)
    yield tab
    assert tab.said == []
    # The browser itself may ask for the page and for its empty icon.
    assert {url.partition(":")[0] for url in tab.requests} <= {"file", "data"}
    assert {url for url in tab.requests if url.startswith("file")} == {(tmp_path / "run.html").as_uri()}
    context.close()


def quoted(result: RunResult) -> RunResult:
    lines = ("kind: NetworkPolicy", "spec:  # of the API", "  ingress:", "    - from: []", "      ports: []")
    return replace(
        result, excerpts=(Excerpt(samples.RULE.policy, Place("policies/api.yaml", 11, 1), ((11, lines),)),)
    )


def everything() -> RunResult:
    failing = samples.failing()
    tagged = replace(failing, scenario=replace(failing.scenario, tags=("ingress", "shop tags")))
    return quoted(
        samples.run(
            samples.passing(),
            samples.broken(),
            tagged,
            samples.steps(),
            samples.skipped(),
            samples.unbuildable(),
        )
    )


def cell(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label)


def names(page: Page) -> list[str]:
    return page.locator(".scenario:visible h2").all_text_contents()


WRONG = "production/db to production/api, 8080/TCP: allow instead of deny"


def test_the_run_at_a_look(tab: Tab) -> None:
    page = tab.open(everything())
    expect(page).to_have_title("netcheck: 5 cells not as expected")
    expect(page.get_by_role("heading", level=1)).to_contain_text("5 cells not as expected")
    assert [" ".join(text.split()) for text in page.locator(".chip").all_inner_texts()] == [
        "✕ 5 failed",
        "! 10 errors",
        "~ 1 known to deviate",
        "– 1 skipped",
        "✓ 8 passed",
    ]
    facts = page.locator(".facts").inner_text()
    assert "kernel\n6.1.0" in facts
    assert "started\n2026-03-01 12:00:00 UTC" in facts
    assert names(page) == ["shop", "relabel", "broken-pod", "no-world", "sctp-only", "api-policy"]
    expect(cell(page, WRONG)).to_have_text("•[X]")


def test_a_click_opens_everything_about_a_cell(tab: Tab) -> None:
    page = tab.open(everything())
    cell(page, WRONG).click()
    dialog = page.get_by_role("dialog", name="production/db->production/api:8080/TCP")
    expect(dialog).to_be_visible()
    expect(dialog.locator(".where")).to_have_text("shop › expect")
    assert dialog.locator(".answers").inner_text().split() == [
        *("expected", "deny"),
        *("predicted", "allow"),
        *("observed", "allow"),
    ]
    # The one that stands against the other two.
    assert dialog.locator(".answers .odd").inner_text().split() == ["expected", "deny"]
    rows = dict(
        zip(
            dialog.locator(".rows dt").all_inner_texts(),
            dialog.locator(".rows dd").all_inner_texts(),
            strict=True,
        )
    )
    assert rows == {
        "on paper": "allow, a rule allows it "
        "[NetworkPolicy production/api-policy ingress[0] at policies/api.yaml:14]",
        "outcome": "connected, answered by production/api",
        "receipt": "arrived",
        "control": "connected without policies",
        "attempts": "1",
        "time": "2 ms",
        "place": "scenarios/shop.yaml:22:5",
    }
    expect(dialog.locator(".finding")).to_contain_text("the expectation looks wrong")
    expect(dialog.locator("pre.code").first).to_have_text("nft counter of that rule: 1 packet")
    assert dialog.locator(".quote li.marked").all_inner_texts() == ["14    - from: []", "15      ports: []"]
    assert dialog.locator(".quote .key").all_inner_texts() == ["kind", "spec", "ingress", "from", "ports"]
    expect(dialog.locator(".command pre")).to_have_text(
        "netcheck run scenarios/shop.yaml -k 'shop::expect::production/db->production/api:8080/TCP'"
    )
    page.mouse.click(100, 300)
    expect(dialog).to_be_hidden()


def test_cells_without_a_result_say_why(tab: Tab) -> None:
    page = tab.open(everything())
    cell(page, "n/a to n/b, 8080/TCP: error").click()
    expect(page.get_by_role("dialog")).to_contain_text("nft: operation not permitted")


def test_filter_by_status(tab: Tab) -> None:
    page = tab.open(everything())
    failed = page.get_by_role("button", name="5 failed")
    expect(failed).to_have_attribute("aria-pressed", "false")
    failed.click()
    expect(failed).to_have_attribute("aria-pressed", "true")
    assert names(page) == ["shop", "relabel"]
    expect(page.get_by_role("status")).to_have_text("5 of 25 cells, 2 of 6 scenarios")
    assert page.locator("button[data-cell]:not(.faded)").count() == 5
    page.get_by_role("button", name="10 errors").click()
    assert names(page) == ["shop", "relabel", "broken-pod", "no-world"]
    failed.click()
    assert names(page) == ["broken-pod", "no-world"]


def test_filter_by_tag(tab: Tab) -> None:
    page = tab.open(everything())
    page.get_by_label("Show only scenarios with this tag").select_option("shop tags")
    assert names(page) == ["shop"]


def test_filter_by_text(tab: Tab) -> None:
    page = tab.open(everything())
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("DB relabel")
    assert names(page) == []
    search.fill(" gateway  5432 ")
    assert names(page) == ["shop"]
    expect(page.get_by_role("status")).to_have_text("1 of 25 cells, 1 of 6 scenarios")
    search.fill("BROKEN-pod client")
    assert names(page) == ["broken-pod"]
    expect(page.get_by_role("status")).to_have_text("7 of 25 cells, 1 of 6 scenarios")
    search.fill("no such thing")
    expect(page.get_by_text("Nothing is left.")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    assert len(names(page)) == 6
    expect(page.get_by_role("status")).to_have_text("")


def test_all_at_once_open_and_closed(tab: Tab) -> None:
    page = tab.open(everything())
    page.get_by_role("button", name="Expand all").click()
    assert page.locator("details:not([open])").count() == 0
    page.get_by_role("button", name="Collapse all").click()
    assert page.locator("details[open]").count() == 0


def test_the_keyboard_alone(tab: Tab) -> None:
    page = tab.open(quoted(samples.run(samples.failing(), samples.passing())))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Expand all")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("summary").first).to_be_focused()
    page.keyboard.press("Tab")
    # One stop for the whole matrix, at what is wrong.
    expect(cell(page, "production/gateway to production/db, 5432/TCP: drop")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(cell(page, "production/gateway to production/api, 8080/TCP: allow")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(cell(page, "production/gateway to production/api, 8080/TCP: allow")).to_be_focused()
    page.keyboard.press("End")
    expect(cell(page, "production/gateway to nobody.example.com/A, DNS")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cell(page, "production/gateway to nobody.example.com/A, DNS")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_accessible_name("production/db->production/api:8080/TCP")
    page.keyboard.press("ArrowRight")
    expect(dialog).to_have_accessible_name("ingress-nginx/ctl->production/db:5432/TCP")
    page.keyboard.press("ArrowLeft")
    expect(dialog).to_have_accessible_name("production/db->production/api:8080/TCP")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cell(page, WRONG)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("summary").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("details").nth(1)).to_have_attribute("open", "")


def test_walking_stays_within_the_filter(tab: Tab) -> None:
    page = tab.open(everything())
    page.get_by_role("button", name="5 failed").click()
    cell(page, "production/gateway to production/db, 5432/TCP: drop").click()
    dialog = page.get_by_role("dialog")
    before, after = dialog.get_by_label("Previous cell"), dialog.get_by_label("Next cell")
    expect(before).to_be_disabled()
    for _ in range(4):
        after.click()
    expect(after).to_be_disabled()
    expect(dialog.locator(".where")).to_have_text("relabel › relabelled")


def test_a_link_to_a_cell(tab: Tab) -> None:
    page = tab.open(
        everything(), "#api-policy%3A%3Aexpect%3A%3Aproduction%2Fdb-%3Eproduction%2Fapi%3A8081%2FTCP"
    )
    expect(page.get_by_role("dialog")).to_have_accessible_name("production/db->production/api:8081/TCP")
    page.get_by_label("Close", exact=True).click()
    expect(cell(page, "production/db to production/api, 8081/TCP")).to_be_focused()
    assert page.url.endswith("run.html")


def test_a_link_to_nothing_is_only_the_page(tab: Tab) -> None:
    page = tab.open(everything(), "#%E0%A4%A")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_hostile_text_stays_text(tab: Tab) -> None:
    odd = samples.cell("n/a", "n/b", samples.X, file=f"{NASTY}.yaml")
    judged = samples.judged(
        replace(odd, id=NASTY),
        Status.FAILED,
        reason=NASTY,
        evidence=(NASTY,),
        notes=(NASTY,),
        predicted=replace(samples.failing().cells[1].predicted, reason=NASTY),  # type: ignore[type-var]
    )
    scenario = samples.finished("x", {NASTY: [judged]}, error=NASTY, file=f"{NASTY}.yaml")
    plan = replace(scenario.scenario, name=NASTY, description=NASTY, tags=(NASTY,))
    lines = ("kind: x", NASTY, f"{NASTY}: {NASTY}", f"# {NASTY}", "- from: []")
    excerpt = Excerpt(samples.RULE.policy, Place("policies/api.yaml", 10, 1), ((10, lines),))
    result = samples.run(replace(scenario, scenario=plan), revision=NASTY, excerpts=(excerpt,))
    result = replace(result, backend=replace(result.backend, spec=NASTY, versions={NASTY: NASTY}))
    page = tab.open(result)
    shown = NASTY.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    expect(page.locator("h2").first).to_have_text(shown)
    page.locator("td button.failed").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h2")).to_have_text(shown)
    assert dialog.locator(".quote li").nth(1).inner_text() == f"11{shown}"
    assert dialog.locator(".quote li").nth(2).inner_text() == f"12{shown}: {shown}"
    expect(dialog.locator(".command pre")).to_contain_text(shown)
    assert page.locator("img, b:not(.chip b)").count() == 0
    page.get_by_label("Close", exact=True).click()
    page.get_by_role("searchbox").fill(NASTY)
    page.get_by_label("Show only scenarios with this tag").select_option(shown)


def test_what_came_in_all_the_same_would_not_run(tab: Tab) -> None:
    """The second wall: should markup of a stranger ever get into the page, its policy stops it."""
    page = tab.open(everything())
    page.evaluate("""() => {
      document.body.insertAdjacentHTML("beforeend", "<img src=http://198.51.100.1/x onerror='title=1'>");
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken over'";
      document.body.append(script);
    }""")
    page.wait_for_function("() => document.images[0].complete")
    expect(page).to_have_title("netcheck: 5 cells not as expected")
    assert {word for text in tab.said for word in ("script-src", "img-src") if word in text} == {
        "script-src",
        "img-src",
    }
    tab.said.clear()
    tab.requests = [url for url in tab.requests if "198.51.100.1" not in url]


SCREENS = [
    {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    for width, height in ((1440, 900), (390, 844))
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(
    "tab", SCREENS, indirect=True, ids=lambda how: f"{how['viewport']['width']}-{how['color_scheme']}"
)
def test_no_barrier_that_axe_knows(tab: Tab) -> None:
    page = tab.open(quoted(samples.run(*everything().scenarios, samples.wide(), interrupted=True)))
    page.get_by_role("button", name="Expand all").click()
    closed = Axe().run(page)
    assert closed.violations_count == 0, closed.generate_report()
    cell(page, WRONG).click()
    opened = Axe().run(page)
    assert opened.violations_count == 0, opened.generate_report()


@pytest.mark.parametrize("tab", SCREENS[::2], indirect=True, ids=["desktop", "phone"])
def test_wide_matrices_scroll_by_themselves_and_names_stay(tab: Tab) -> None:
    page = tab.open(big_run(scenarios=1, pods=20, wide=60))
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
    scroll = page.locator(".scroll").first
    scroll.scroll_into_view_if_needed()
    scroll.evaluate("box => { box.scrollTo(900, 700); }")
    around, row = scroll.bounding_box(), scroll.locator("tbody th").nth(30).bounding_box()
    column = scroll.locator("thead tr").last.locator("th").nth(31).bounding_box()
    assert around
    assert row
    assert column
    assert row["x"] == pytest.approx(around["x"], abs=1)
    assert around["y"] <= column["y"] < around["y"] + 40
    band = scroll.locator("thead th span").first.bounding_box()
    corner = scroll.locator("th.corner").bounding_box()
    assert band
    assert corner
    assert band["x"] == pytest.approx(corner["x"] + corner["width"], abs=2)
    # What the keyboard reaches is not hidden behind the names.
    first = cell(page, "everybody-3/service-59 to everybody-0/service-0,")
    scroll.evaluate("box => { box.scrollTo(0, 1e6); }")
    first.focus()
    page.keyboard.press("End")
    page.keyboard.press("Control+Home")
    box = page.locator(":focus").bounding_box()
    names = scroll.locator("thead th.corner").bounding_box()
    around = scroll.bounding_box()
    assert box
    assert names
    assert around
    assert box["x"] >= names["x"] + names["width"] - 1
    assert box["x"] + box["width"] <= around["x"] + around["width"] + 1
    assert box["y"] >= names["y"] + names["height"] - 1


def test_ten_thousand_cells_stay_fluid(tab: Tab) -> None:
    """Bounds for a machine that does much else; it takes a tenth of them on a quiet one."""
    began = time.monotonic()
    page = tab.open(big_run())
    expect(page.get_by_role("button", name="9843 passed")).to_be_visible()
    assert time.monotonic() - began < 60
    measure = """async () => {
      const began = performance.now();
      ACT;
      await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
      return performance.now() - began;
    }"""
    for act in (
        "document.querySelector('.chip.failed').click()",
        "document.querySelector('.chip.failed').click()",
        "text.value = 'service-7'; text.dispatchEvent(new Event('input'))",
        "document.querySelector('td button.failed').click()",
    ):
        took = page.evaluate(measure.replace("ACT", act))
        assert took < 5000, act
    expect(page.get_by_role("dialog")).to_be_visible()
