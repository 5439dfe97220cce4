"""The reference of the format, and the JSON Schema, against the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.model.features import FEATURES
from harness.scenario import json_schema, load
from harness.scenario import schema as models
from harness.scenario import world_schema as world_models
from harness.source.render import render

ROOT = Path(__file__).parents[2]
FORMAT = (ROOT / "docs" / "scenario-format.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", FORMAT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=[text.split("\n")[0].split()[1] for text in EXAMPLES])
def test_every_example_is_a_scenario(tmp_path: Path, example: str):
    path = tmp_path / "s.yaml"
    path.write_text(example)
    loaded = load([path])
    assert loaded.problems == [], render(loaded.problems, loaded.sources)
    assert loaded.scenarios[0].cells


def test_every_key_is_in_the_reference():
    for model in (*vars(models).values(), *vars(world_models).values()):
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                assert re.search(rf"\b{field.alias or name}\b", FORMAT), f"{model.__name__}.{name}"


def parts(schema: Any) -> list[dict[str, Any]]:
    found = []
    if isinstance(schema, dict):
        found.append(schema)
        for value in schema.values():
            found += parts(value)
    elif isinstance(schema, list):
        for value in schema:
            found += parts(value)
    return found


def test_the_json_schema_is_closed_and_described():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("https://")
    json.dumps(schema)
    closed = [part for part in parts(schema) if part.get("type") == "object" and "properties" in part]
    assert len(closed) > 15
    for part in closed:
        assert part["additionalProperties"] is False
        assert part["title"]
        assert part["description"]
        for name, field in part["properties"].items():
            assert "description" in field, f"{part['title']}.{name}"
    references = {part["$ref"] for part in parts(schema) if "$ref" in part}
    assert references == {f"#/$defs/{name}" for name in schema["$defs"]}


def test_the_json_schema_names_every_key_of_the_examples():
    schema = json_schema()
    known = {name for part in parts(schema) for name in part.get("properties", {})}
    assert {"scenario", "serviceAccount", "hostNetwork", "from", "targetPort", "connectTimeout"} <= known


def test_importing_the_room_is_cheap():
    heavy = "('yaml', 'pydantic', 'ipaddress')"
    code = f"import sys, harness.scenario; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_every_feature_is_explained() -> None:
    for word, meaning in FEATURES.items():
        assert f"| `{word}` | {meaning[0].upper()}{meaning[1:]}. |" in FORMAT
