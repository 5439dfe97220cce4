"""YAML text → nodes with places."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from harness.source.reader import MAX_DEPTH, Document, read_file, read_text
from harness.source.values import manifest_value


def read(text: str) -> tuple[list[Document], Problems]:
    problems = Problems()
    return read_text(text, "a.yaml", problems), problems


def root(text: str) -> Node:
    documents, problems = read(text)
    assert problems.found == []
    assert len(documents) == 1
    return documents[0].root


def only_error(text: str) -> tuple[str, int, int]:
    _, problems = read(text)
    assert len(problems.found) == 1, problems.found
    found = problems.found[0]
    return found.id, found.place.line, found.place.column


def test_places_count_from_one_and_end_after_the_last_character():
    node = root("a: 1\nlist:\n  - 'x'\n  - {k: é}\n")
    assert isinstance(node, MappingNode)
    items = node.get("list")
    assert isinstance(items, SequenceNode)
    quoted, inner = items.items
    assert isinstance(quoted, ScalarNode)
    assert (quoted.place.line, quoted.place.column, quoted.place.end_column) == (3, 5, 8)
    assert not quoted.plain
    assert isinstance(inner, MappingNode)
    value = inner.get("k")
    assert value is not None
    assert (value.place.line, value.place.column, value.place.end_column) == (4, 9, 10)


def test_documents_are_numbered_and_empty_ones_left_out():
    documents, problems = read("a: 1\n---\n---\nb: 2\n--- # nothing\n")
    assert problems.found == []
    assert [document.number for document in documents] == [1, 3]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_nothing_is_no_document(text: str):
    assert read(text) == ([], Problems())


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    problems = Problems()
    (document,) = read_file(path, problems)
    assert document.place.column == 1
    assert manifest_value(document.root) == {"a": 1}


def test_block_indent_leads_back_to_the_columns_of_the_file():
    node = root("m: |\n\n    first\n      second\n")
    assert isinstance(node, MappingNode)
    value = node.get("m")
    assert isinstance(value, ScalarNode)
    assert value.block_indent == 4
    assert value.text == "\nfirst\n  second\n"


def test_explicit_indent_indicator():
    node = root("m: |2\n     x\n    y\n")
    assert isinstance(node, MappingNode)
    value = node.get("m")
    assert isinstance(value, ScalarNode)
    assert (value.block_indent, value.text) == (2, "   x\n  y\n")


def test_aliases_and_merges():
    node = root("base: &b {x: 1, w: 2}\nuse: {w: 3, <<: *b, z: *b}\nmany: {<<: [{p: 1}, {p: 2, q: 3}]}\n")
    assert manifest_value(node) == {
        "base": {"x": 1, "w": 2},
        "use": {"w": 3, "x": 1, "z": {"x": 1, "w": 2}},
        "many": {"p": 1, "q": 3},
    }


def test_a_quoted_merge_key_is_a_key():
    assert manifest_value(root('{"<<": 1}')) == {"<<": 1}


def test_anchors_end_with_their_document():
    assert only_error("a: &x 1\n---\nb: *x\n") == ("yaml-syntax", 3, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3", ("yaml-syntax", 2, 2)),
        ("a: b: c", ("yaml-syntax", 1, 5)),
        ("a: @x", ("yaml-syntax", 1, 4)),
        ("a: *nowhere", ("yaml-syntax", 1, 4)),
        ("a:\n\t- b", ("yaml-tab", 2, 1)),
        ("a: 1\nb: 2\na: 3", ("duplicate-key", 3, 1)),
        ("[a]: b", ("yaml-key", 1, 1)),
        ("{{a: b}: c}", ("yaml-key", 1, 2)),
        ("a: &x [1]\n*x : 2", ("yaml-key", 2, 1)),
        ("a: !secret b", ("yaml-tag", 1, 4)),
        ("a: !!binary aGk=", ("yaml-tag", 1, 4)),
        ("a: &x [*x]", ("yaml-recursive", 1, 8)),
        ("a: {<<: 5}", ("yaml-merge", 1, 5)),
        ("ok: 1\nbad: \x07", ("control-character", 2, 6)),
        ("bad: \x00", ("binary-file", 1, 6)),
        ("bad: \ud800", ("control-character", 1, 6)),
        ("[" * 900, ("yaml-too-deep", 1, MAX_DEPTH + 1)),
        ("{a: " * 300_000, ("yaml-too-deep", 1, MAX_DEPTH * 4 + 1)),
        ("- " * 300_000, ("yaml-too-deep", 1, MAX_DEPTH * 2 + 1)),
    ],
)
def test_errors_have_their_id_and_place(text: str, expected: tuple[str, int, int]):
    assert only_error(text) == expected


def test_depth_that_libyaml_itself_refuses_is_too_deep():
    id, line, column = only_error("[" * 300_000)
    # Which of the two limits is met first depends on the version of libyaml.
    assert (id, line) == ("yaml-too-deep", 1)
    assert column > MAX_DEPTH


def test_a_duplicate_key_points_at_the_first():
    _, problems = read("a: 1\nb: 2\na: 3")
    (related,) = problems.found[0].related
    assert (related.place.line, related.place.column) == (1, 1)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_an_alias_bomb_is_refused_at_once():
    begun = time.process_time()
    _, problems = read(bomb(30))
    assert [item.id for item in problems.found] == ["yaml-too-many-nodes"]
    assert time.process_time() - begun < 2


def test_aliases_cannot_nest_deeper_than_text():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]
    _, problems = read("\n".join(lines))
    assert [item.id for item in problems.found] == ["yaml-too-deep"]


def test_a_few_aliases_are_fine():
    _, problems = read(bomb(4))
    assert problems.found == []


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(50_000_000)
    begun = time.process_time()
    problems = Problems()
    assert read_file(path, problems) == []
    (found,) = problems.found
    assert found.id == "file-too-large"
    assert "50.0 MB" in found.message
    assert time.process_time() - begun < 5


def test_files_that_are_none(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, expected in (
        ("nothing.yaml", "file-not-found"),
        ("", "file-unreadable"),
        ("pipe", "file-unreadable"),
    ):
        problems = Problems()
        assert read_file(tmp_path / name, problems) == []
        assert [item.id for item in problems.found] == [expected]


@pytest.mark.parametrize(
    ("data", "expected", "line", "column"),
    [
        (b"a: 1\nb: \xff\n", "not-utf8", 2, 4),
        ("é: 1\nüb: ".encode() + b"\xe9", "not-utf8", 2, 5),
        (b"\x7fELF\x00\x00\xff\xfe", "binary-file", 1, 1),
        ("a: 1".encode("utf-16"), "binary-file", 1, 1),
        (b"a: \x00", "binary-file", 1, 4),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes, expected: str, line: int, column: int):
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    problems = Problems()
    assert read_file(path, problems) == []
    (found,) = problems.found
    assert (found.id, found.place.line, found.place.column) == (expected, line, column)


def test_150_kib_are_read():
    line = '- {from: production/gateway, to: "production/api:8080", verdict: allow, n: %d}\n'
    text = "".join(line % number for number in range(2000))
    assert len(text) > 150 * 1024
    documents, problems = read(text)
    assert problems.errors == 0
    assert isinstance(documents[0].root, SequenceNode)
    assert len(documents[0].root.items) == 2000
    assert documents[0].root.items[-1].place.line == 2000


@given(st.text(max_size=300))
def test_any_text_gives_documents_or_problems(text: str):
    documents, problems = read(text)
    for document in documents:
        manifest_value(document.root)
    lines = text.count("\n") + text.count("\r") + 2 + sum(text.count(c) for c in "\x85\u2028\u2029")
    assert all(1 <= item.place.line <= lines for item in problems.found)


@given(st.text(alphabet="ab:-[]{},&*!<>|'\"#%@ \t\n\r0?~", max_size=80))
def test_any_yaml_like_text_gives_documents_or_problems(text: str):
    documents, problems = read(text)
    for document in documents:
        manifest_value(document.root)
    assert all(item.message and item.place.file == "a.yaml" for item in problems.found)


@given(st.binary(max_size=200))
def test_any_bytes_give_documents_or_problems(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    problems = Problems()
    documents = read_file(path, problems)
    assert all(isinstance(document, Document) for document in documents)


scalars = st.one_of(st.booleans(), st.integers(-999, 999), st.text(alphabet="abc xyz", max_size=8), st.none())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(alphabet="kqw", min_size=1, max_size=4), inner)
    ),
    max_leaves=20,
)


@given(trees)
def test_what_json_says_is_read_back(tree: object):
    import json

    documents, problems = read(json.dumps(tree))
    assert problems.found == []
    assert manifest_value(documents[0].root) == tree


def test_what_is_missing_at_the_end_is_missing_inside_of_the_text():
    _, problems = read("a: 'b'\n&a ")
    assert [(item.id, item.place.line, item.place.column) for item in problems.found] == [
        ("yaml-syntax", 2, 4)
    ]
