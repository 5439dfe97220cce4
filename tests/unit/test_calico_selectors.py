"""Calico's selectors (semantics.md 3.4 and 9)."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dialects.calico import parse_selectors
from harness.dialects.calico.expressions import LONGEST, SelectorError, parse
from harness.dialects.calico.selectors import (
    PodLabels,
    SetLabels,
    of_accounts,
    of_namespaces,
    together,
)
from harness.dialects.fields import Field
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from tests.unit.kubernetes_worlds import pod, world

WEB = {"app": "web", "env": "prod", "a/b.c-d_e": "x"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("  \t ", True),
        ("all()", True),
        ("all( )", True),
        ("!all()", False),
        ("global()", True),
        ("app == 'web'", True),
        ('app == "web"', True),
        ("app=='web'", True),
        ("app == 'db'", False),
        ("role == ''", False),
        ("app != 'db'", True),
        ("role != 'db'", True),  # absent
        ("app in {'db', 'web'}", True),
        ("app in{'db','web',}", True),
        ("app in {}", False),
        ("role in {'db'}", False),
        ("app not in {'web'}", False),
        ("role not in {'web'}", True),
        ("app notin {'web'}", False),
        ("role not in {}", True),
        ("has(app)", True),
        ("has( app )", True),
        ("has(role)", False),
        ("!has(role)", True),
        ("app contains 'e'", True),
        ("app contains ''", True),
        ("role contains ''", False),
        ("app starts with 'we'", True),
        ("app startswith 'eb'", False),
        ("app ends with 'eb'", True),
        ("app ends \t with 'we'", False),
        ("a/b.c-d_e == 'x'", True),
        # ! before && before ||.
        ("app == 'db' && env == 'prod' || app == 'web'", True),
        ("app == 'web' || app == 'db' && env == 'test'", True),
        ("(app == 'web' || app == 'db') && env == 'test'", False),
        ("!app == 'web' || env == 'prod'", True),
        ("!(app == 'web' || env == 'prod')", False),
        ("!!app == 'web'", True),
        ("! ! ! has(app)", False),
        # Labels that are called like operators, and operators without blanks around them.
        ("in == 'x'", False),
        ("not in {'x'}", False),
        ("contains contains 'x'", False),
        ("all == 'x'", False),
        ('app in {"it\'s"}', False),
    ],
)
def test_selectors_match_labels(text: str, matches: bool) -> None:
    assert parse(text).matches(WEB) is matches


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("app = 'web'", 4, "stands alone"),
        ("app == web", 7, "a text in quotes"),
        ("app == 'web", 7, "is not closed"),
        ("app & env", 4, "stands alone"),
        ("app == 'a' | app == 'b'", 11, "stands alone"),
        ("app == 'a' and app == 'b'", 11, "too much"),
        ("app == 'a' app == 'b'", 11, "too much"),
        ("app", 3, "an operator is missing"),
        ("app is 'web'", 4, "is no operator"),
        ("app in 'web'", 7, "texts in braces"),
        ("app in {'web'", 13, "`}` is missing"),
        ("app in {web}", 8, "`}` is missing"),
        ("app in {'a' 'b'}", 12, "`}` is missing"),
        ("(app == 'a'", 11, "`)` is missing"),
        ("app == 'a')", 10, "too much"),
        ("()", 1, "an expression is missing"),
        ("&& app == 'a'", 0, "an expression is missing"),
        ("app == 'a' &&", 13, "an expression is missing"),
        ("!", 1, "an expression is missing"),
        ("'app' == 'web'", 0, "begins with a label"),
        ("has('app')", 4, "has() needs a label"),
        ("has(app", 7, "is not closed"),
        ("has(app env)", 8, "is not closed"),
        ("all(app)", 4, "is not closed"),
        ("app starts 'w'", 4, "is no operator"),
        ("app == 'a' ; b", 11, "cannot stand here"),
        ("app\n== 'a'", 3, "cannot stand here"),
        ("ä == 'a'", 0, "cannot stand here"),
        ("(" * 70 + "has(a)" + ")" * 70, 65, "nested too deeply"),
        ("a == '" + "x" * LONGEST + "'", LONGEST, "at most 1024"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, offset: int, message: str) -> None:
    with pytest.raises(SelectorError, match=re.escape(message)) as caught:
        parse(text)
    assert caught.value.offset == offset


def test_operators_of_other_languages_are_told_apart() -> None:
    with pytest.raises(SelectorError) as caught:
        parse("app == 'a' or app == 'b'")
    assert caught.value.help == "write `||`"


# -- properties --------------------------------------------------------------------------------------------

_KEYS = ("a", "b/c", "in")
_VALUES = ("", "x", "xy", "y x")
_LABELS = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), max_size=3)


def _naive(text: str, labels: dict[str, str]) -> bool:
    """A selector as Python: every word is put in place of another, and Python judges."""
    words = re.findall(r"'[^']*'|&&|\|\||==|!=|!|[(){},]|[\w./-]+", text)
    out: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        after = words[position + 1] if position + 1 < len(words) else ""
        if word in ("(", ")"):
            out.append(word)
        elif word in ("&&", "||", "!"):
            out.append({"&&": " and ", "||": " or ", "!": " not "}[word])
        elif word == "all" and after == "(":
            out.append("True")
            position += 2
        elif word == "has" and after == "(":
            out.append(str(words[position + 2] in labels))
            position += 3
        else:
            value, rest = labels.get(word), words[position + 1 :]
            negated = rest[0] == "not"
            rest = rest[1:] if negated else rest
            if rest[0] == "in":
                close = rest.index("}")
                among = value in [item.strip("'") for item in rest[2:close] if item != ","]
                out.append(str(among is not negated))
                position += close + 1 + negated
            elif rest[0] in ("starts", "ends"):
                found = value is not None and (
                    value.startswith(rest[2].strip("'"))
                    if rest[0] == "starts"
                    else value.endswith(rest[2].strip("'"))
                )
                out.append(str(found))
                position += 3
            else:
                wanted = rest[1].strip("'")
                found = {
                    "==": value == wanted,
                    "!=": value != wanted,
                    "contains": value is not None and wanted in value,
                }[rest[0]]
                out.append(str(found))
                position += 2
        position += 1
    return bool(eval("".join(out)))


def _comparisons() -> st.SearchStrategy[str]:
    key, value = st.sampled_from(_KEYS), st.sampled_from(_VALUES).map(lambda text: f"'{text}'")
    one = st.builds(
        "{} {} {}".format,
        key,
        st.sampled_from(["==", "!=", "contains", "starts with", "ends with"]),
        value,
    )
    some = st.builds(
        lambda label, operator, values: f"{label} {operator} {{{', '.join(values)}}}",
        key,
        st.sampled_from(["in", "not in"]),
        st.lists(value, max_size=3),
    )
    return st.one_of(one, some, key.map("has({})".format), st.just("all()"))


_TEXTS = st.recursive(
    _comparisons(),
    lambda inner: st.one_of(
        inner.map("!{}".format),
        inner.map("({})".format),
        inner.map("!({})".format),
        st.builds("{} {} {}".format, inner, st.sampled_from(["&&", "||"]), inner),
    ),
    max_leaves=6,
)


@given(_TEXTS, _LABELS)
def test_expressions_mean_what_a_naive_reading_makes_of_them(text: str, labels: dict[str, str]) -> None:
    # Python's `not` binds looser than comparisons and tighter than `and`, as `!` does.
    assert parse(text).matches(labels) is _naive(text, labels)


@given(_TEXTS, _LABELS)
def test_what_is_written_out_again_means_the_same(text: str, labels: dict[str, str]) -> None:
    expression = parse(text)
    assert parse(str(expression)).matches(labels) is expression.matches(labels)


_WORDS = ["app", "'web'", '"', "'", "==", "=", "!", "&&", "|", "(", ")", "{", "}", ",", "in", "not", "has("]
_NOISE = st.one_of(
    st.text(max_size=30), st.lists(st.sampled_from([*_WORDS, "all()", " ", "\t", "ä"])).map(" ".join)
)


@given(_NOISE)
def test_any_text_is_a_selector_or_an_error_with_a_place_in_it(text: str) -> None:
    found = None
    try:
        parse(text).matches({})
    except SelectorError as error:
        found = error
    assert found is None or (0 <= found.offset <= len(text) and str(found))


@given(_NOISE)
def test_diagnostics_stay_within_the_scalar(text: str) -> None:
    problems = Problems()
    quoted = "'" + re.sub("[^ -~]", "", text).replace("'", "''") + "'"
    (document,) = read_text(f"x: {quoted}\n", "p.yaml", problems)
    assert isinstance(document.root, MappingNode)
    node = document.root.get("x")
    assert node is not None
    parse_selectors.selector(Field(node, "x", problems))
    for item in problems.found:
        assert item.id == "invalid-selector"
        assert item.place.line == 1
        assert node.place.column <= item.place.column <= node.place.end_column


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("x: app = 'web'", 8),
        ("x: \"app = 'web'\"", 9),
        ("x: 'app = 1'", 9),
        ("x: 'app = ''web'''", 4),  # a doubled quote shifts what follows: the whole text is pointed at
        ('x: "app\\u0020= 1"', 4),
    ],
)
def test_the_caret_stands_inside_of_the_text(line: str, column: int) -> None:
    problems = Problems()
    (document,) = read_text(line + "\n", "p.yaml", problems)
    assert isinstance(document.root, MappingNode)
    node = document.root.get("x")
    assert node is not None
    assert parse_selectors.selector(Field(node, "x", problems)) is None
    (found,) = problems.found
    assert (found.id, found.place.line, found.place.column) == ("invalid-selector", 1, column)


# -- labels ------------------------------------------------------------------------------------------------

TOPOLOGY = world(pod("shop/web", app="web"), namespaces={"shop": {"team": "red"}})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("app == 'web'", True),
        ("projectcalico.org/namespace == 'shop'", True),
        ("projectcalico.org/serviceaccount == 'default'", True),
        ("projectcalico.org/orchestrator == 'k8s'", True),
        ("pcns.team == 'red'", True),
        ("pcns.kubernetes.io/metadata.name == 'shop'", True),
        ("pcns.projectcalico.org/name == 'shop'", True),
        ("pcsa.projectcalico.org/name == 'default'", True),
        ("has(pcns.other)", False),
        ("team == 'red'", False),
        ("global()", False),
    ],
)
def test_pods_have_the_labels_that_calico_gives_them(text: str, matches: bool) -> None:
    assert parse(text).matches(PodLabels(TOPOLOGY.pods["shop/web"], TOPOLOGY)) is matches


def test_sets_of_networks_inherit_from_their_namespace() -> None:
    local = SetLabels({"role": "db"}, "shop", TOPOLOGY)
    everywhere = SetLabels({"role": "db"}, "", TOPOLOGY)
    assert {"role", "pcns.team", "projectcalico.org/namespace"} <= set(local)
    assert set(everywhere) == {"role"}
    assert parse("role == 'db' && pcns.team == 'red'").matches(local)
    assert parse("global()").matches(everywhere)
    assert not parse("has(projectcalico.org/namespace)").matches(everywhere)


def test_mappings_of_labels_are_consistent() -> None:
    for labels in (PodLabels(TOPOLOGY.pods["shop/web"], TOPOLOGY), SetLabels({}, "shop", TOPOLOGY)):
        assert len(labels) == len(list(labels)) == len(dict(labels))


def test_selectors_of_namespaces_and_accounts_are_about_inherited_labels() -> None:
    labels = PodLabels(TOPOLOGY.pods["shop/web"], TOPOLOGY)
    for text, matches in (
        ("team == 'red'", True),
        ("all()", True),
        ("global()", False),
        ("!has(team) || team != 'red'", False),
        ("projectcalico.org/name == 'shop' && all()", True),
    ):
        assert of_namespaces(parse(text)).matches(labels) is matches
        # What belongs to no namespace is in none, not even in any of them.
        if text == "all()":
            assert not of_namespaces(parse(text)).matches({})
    assert of_accounts(parse("projectcalico.org/name == 'default'")).matches(labels)
    assert not of_accounts(parse("role == 'x'")).matches(labels)


def test_selectors_together() -> None:
    assert together(None, None) is None
    for one, other in itertools.product(("has(a)", "has(b)"), repeat=2):
        both = together(parse(one), None, parse(other))
        assert both is not None
        assert both.matches({"a": "", "b": ""})
        assert both.matches({"a": ""}) is (one == other == "has(a)")
