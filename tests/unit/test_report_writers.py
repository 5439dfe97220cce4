"""`--report`: understood, checked before the run, written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.report.writers import Report, ReportError, parse, prepare, write
from tests.unit import report_samples as samples


def test_formats_and_paths() -> None:
    assert parse(["junit:a/b.xml, json:c:d.json", "json:e"]) == (
        Report("junit", Path("a/b.xml")),
        Report("json", Path("c:d.json")),
        Report("json", Path("e")),
    )
    assert parse([]) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pdf:x", r"unknown report format 'pdf'; this version writes junit, json, html"),
        ("juint:x", r'did you mean "junit"\?'),
        ("junit", r"names no file; write junit:PATH"),
        ("junit:", r"names no file"),
        ("junit:x,json:x", r"same file 'x'"),
    ],
)
def test_nonsense_is_refused(value: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        parse([value])


def test_folders_are_made_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x.json"
    prepare([Report("json", path)])
    assert path.parent.is_dir()
    assert not path.exists()


def test_an_older_report_survives_the_check(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    prepare([Report("json", path)])
    assert path.read_text() == "old"


def test_an_unwritable_path_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot write the json report"):
        prepare([Report("json", tmp_path / "file" / "x.json")])


def test_both_formats_are_written_and_one_failure_does_not_stop_the_other(tmp_path: Path) -> None:
    result = samples.run(samples.failing())
    good = [Report("junit", tmp_path / "x.xml"), Report("json", tmp_path / "x.json")]
    with pytest.raises(ReportError, match="gone"):
        write([Report("json", tmp_path / "gone" / "x"), *good], result)
    assert (tmp_path / "x.xml").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "x.json").read_text())["schema"] == "netcheck.dev/run/v1"
