"""The JSON Schema of scenario documents."""

from __future__ import annotations

from typing import Any

from harness.scenario.schema import ScenarioSpec

ID = "https://netcheck.dev/schema/scenario.json"


def build() -> dict[str, Any]:
    """Draft 2020-12, from the same models that check the files."""
    schema = ScenarioSpec.model_json_schema(by_alias=True, mode="validation")
    _tidy(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "netcheck scenario",
    }


def _tidy(part: Any) -> None:
    """Take out what says nothing to an editor: null as the default of what may be absent."""
    if isinstance(part, dict):
        if part.get("default", 0) is None:
            del part["default"]
        for value in part.values():
            _tidy(value)
    elif isinstance(part, list):
        for value in part:
            _tidy(value)
