"""Markdown for pull requests: what is wrong first, within a comment's length, and text stays text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from syrupy.assertion import SnapshotAssertion

from harness.model.result import Excerpt, RunResult
from harness.model.verdict import Status
from harness.report.markdown import LIMIT, to_markdown
from harness.report.markup import block, code
from harness.source import Place
from tests.unit import report_samples as samples

NASTY = (
    "`` x ``` </code></details><script>alert(1)</script> | [a](http://b) @someone\r\n\n# Head\n<!-- \x1b[2J"
)
OURS = {"details", "summary", "code", "sub", "br"}


def tokens(text: str) -> Iterator[Token]:
    pending = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    while pending:
        token = pending.pop(0)
        yield token
        pending = [*(token.children or []), *pending]


class Tags(HTMLParser):
    """The HTML elements in a piece of Markdown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert attrs == []

    def handle_comment(self, data: str) -> None:
        self.found.add("comment")


def kinds(text: str) -> set[str]:
    found = set()
    for token in tokens(text):
        found.add(token.type)
        if token.type in ("html_block", "html_inline"):
            found |= {f"<{tag}>" for tag in Tags(token.content).found}
    return found


def everything() -> RunResult:
    return samples.run(
        samples.passing(),
        samples.failing(),
        samples.broken(),
        samples.steps(),
        samples.skipped(),
        samples.unbuildable(),
    )


def with_quote(result: RunResult) -> RunResult:
    lines = (
        "kind: NetworkPolicy",
        "spec:",
        "  ingress:",
        "    - from: [{podSelector: {}}]",
        "      ports: []",
    )
    place = Place("policies/api.yaml", 11, 1)
    excerpt = Excerpt("NetworkPolicy production/api-policy", place, ((11, lines),))
    return replace(result, excerpts=(excerpt,))


def test_the_document(snapshot: SnapshotAssertion) -> None:
    assert to_markdown(with_quote(everything())) == snapshot


def test_all_as_expected_is_a_few_lines(snapshot: SnapshotAssertion) -> None:
    assert to_markdown(samples.run(samples.passing(), samples.passing())) == snapshot


def test_failures_stand_before_errors_and_both_before_what_passed() -> None:
    text = to_markdown(samples.run(samples.passing(), samples.unbuildable(), samples.failing()))
    assert text.index("`shop`") < text.index("`no-world`") < text.index("`api-policy`")


def test_the_deciding_rule_is_quoted_and_marked() -> None:
    text = to_markdown(with_quote(samples.run(samples.failing())))
    assert "▶  14 │     - from: [{podSelector: {}}]" in text
    assert "   13 │   ingress:" in text


def test_hostile_text_stays_text() -> None:
    cell = samples.cell("n/a", "n/b", samples.X, file=f"{NASTY}.yaml")
    judged = samples.judged(replace(cell, id=NASTY), Status.FAILED, reason=NASTY, evidence=(NASTY,))
    known = samples.judged(replace(cell, id=f"{NASTY}2"), Status.XFAILED, reason=NASTY)
    scenario = samples.finished("x", {NASTY: [judged, known]}, error=NASTY, file=f"{NASTY}.yaml")
    other = samples.skipped()
    result = samples.run(
        replace(scenario, scenario=replace(scenario.scenario, name=NASTY)),
        replace(other, skipped=NASTY, scenario=replace(other.scenario, name=NASTY)),
        revision=NASTY,
        left_behind=(NASTY,),
    )
    backend = replace(result.backend, spec=NASTY, versions={NASTY: NASTY}, assumed=frozenset({NASTY}))
    text = to_markdown(replace(result, backend=backend))
    assert kinds(text) <= kinds(to_markdown(everything())) | {f"<{tag}>" for tag in OURS}
    # Every word of it stands in a code span, a block of code or a code element.
    for token in tokens(text):
        if token.type == "text":
            assert "alert" not in token.content
            assert "someone" not in token.content
    assert "\x1b" not in text


@given(st.text(alphabet=st.sampled_from("`|\\ab <>&\n\r\x1b"), max_size=12))
def test_code_is_one_cell_and_one_span(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {code(text)} | x |\n"
    found = [token for token in tokens(table) if token.type not in ("text", "inline")]
    spans = [token for token in found if token.type == "code_inline"]
    assert len(spans) == 1
    assert sum(token.type == "td_open" for token in found) == 2


@given(st.lists(st.text(alphabet=st.sampled_from("`~ab \n\x1b"), max_size=8), max_size=4))
def test_nothing_ends_a_block_of_code(lines: list[str]) -> None:
    found = [token.type for token in tokens("\n".join(block(lines)) + "\n")]
    assert found == ["fence"]


def test_it_fits_a_comment_and_says_what_is_left_out() -> None:
    cells = [
        samples.judged(
            samples.cell(f"n/pod-{number}", "n/b", samples.X, number), Status.FAILED, reason="x" * 50
        )
        for number in range(40)
    ]
    many = [samples.finished(f"scenario-{number}", {"expect": cells}) for number in range(400)]
    text = to_markdown(samples.run(*many))
    assert len(text) < LIMIT
    assert text.count("\n#### ") > 50
    left = 400 - text.count("\n#### ")
    assert f"\n{left} more scenarios not as expected: there is no room for them here.\n" in text
