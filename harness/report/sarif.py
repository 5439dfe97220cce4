"""Diagnostics as SARIF 2.1.0, which code hosts show beside the lines of a change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final

from harness.report.documented import documented
from harness.report.places import seen_from_workspace
from harness.source.diagnostics import Diagnostic, Severity
from harness.source.place import Place
from harness.source.render import printable

_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(diagnostics: Iterable[Diagnostic], version: str) -> str:
    """One SARIF run with a result per diagnostic.

    Args:
        diagnostics: In the order to write.
        version: Of netcheck.
    """
    found = list(diagnostics)
    rules = sorted({item.id for item in found})
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "netcheck",
                        "version": version,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(item, rules.index(item.id)) for item in found],
            }
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _rule(name: str) -> dict[str, Any]:
    """What the documentation says of an id, which code hosts show beside its results."""
    rule: dict[str, Any] = {"id": name}
    known = documented().get(name)
    if known is not None:
        rule["shortDescription"] = {"text": known.cause}
        rule["help"] = {"text": known.remedy}
        rule["defaultConfiguration"] = {"level": _LEVELS[known.severity]}
    return rule


def _result(item: Diagnostic, rule: int) -> dict[str, Any]:
    text = item.message if not item.help else f"{item.message}\nhelp: {item.help}"
    if item.instead:
        text += f"\n{item.instead}"
    result: dict[str, Any] = {
        "ruleId": item.id,
        "ruleIndex": rule,
        "level": _LEVELS[item.severity],
        "message": {"text": "\n".join(printable(line) for line in text.split("\n"))},
        "locations": [{"physicalLocation": _location(item.place)}],
    }
    if item.related:
        result["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _location(other.place),
                "message": {"text": printable(other.label)},
            }
            for number, other in enumerate(item.related, 1)
        ]
    if item.fix is not None:
        result["fixes"] = [
            {
                "artifactChanges": [
                    {
                        "artifactLocation": {"uri": _uri(item.fix.place.file)},
                        "replacements": [
                            {
                                "deletedRegion": _region(item.fix.place),
                                "insertedContent": {"text": item.fix.text},
                            }
                        ],
                    }
                ]
            }
        ]
    return result


def _location(place: Place) -> dict[str, Any]:
    return {"artifactLocation": {"uri": _uri(place.file)}, "region": _region(place)}


def _uri(file: str) -> str:
    from urllib.parse import quote

    path = PurePath(seen_from_workspace(file, os.environ))
    # As a URI an absolute path needs its scheme; a relative one is told from the top of the repository.
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _region(place: Place) -> dict[str, int]:
    region = {"startLine": place.line, "startColumn": place.column}
    if place.end_line:
        region |= {"endLine": place.end_line, "endColumn": place.end_column}
    return region
