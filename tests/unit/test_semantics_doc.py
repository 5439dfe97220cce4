"""Comments cite `docs/semantics.md` by section and number: both are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CITED = re.compile(r"semantics\.md,? (\d(?:\.\d)?)((?:,? (?:no\.|rows?) ?\d+(?: (?:and|to) \d+)*)?)")


def citations() -> Iterator[tuple[Path, str, list[int]]]:
    for room in ("harness", "probes", "tests"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path == Path(__file__):
                continue
            for found in _CITED.finditer(re.sub(r"\s*\n\s*#? ?", " ", path.read_text(encoding="utf-8"))):
                yield path, found[1], [int(number) for number in re.findall(r"\d+", found[2])]


def sections() -> dict[str, str]:
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    parts = re.split(r"^#{2,3} (\d(?:\.\d)?)\.? ", text, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    # Short sections stand in a list or in a sentence.
    named = re.findall(r"\*\*(\d\.\d) |\((\d\.\d)\)", text)
    return {**found, **{number: "" for pair in named for number in pair if number}}


def test_every_citation_leads_somewhere() -> None:
    known = sections()
    seen = 0
    for path, section, numbers in citations():
        assert section in known, f"{path}: semantics.md {section}"
        for number in numbers:
            row = rf"^(?:{number}\. |\|[ \d,]*\b{number}\b[ \d,]*\|)"
            assert re.search(row, known[section], re.MULTILINE), (
                f"{path}: semantics.md {section} no. {number}"
            )
        seen += 1
    assert seen > 60


def test_nothing_that_users_read_cites_it() -> None:
    texts = [
        *(ROOT / "tests" / "unit" / "__snapshots__").glob("*.ambr"),
        *(ROOT / "scenarios").rglob("*.yaml"),
    ]
    for path in texts:
        assert "semantics.md" not in path.read_text(encoding="utf-8"), path
