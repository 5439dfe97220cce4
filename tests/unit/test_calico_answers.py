"""netcheck's validation of Calico's objects against what a real API server of Calico 3.28.4 said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.source.diagnostics import Severity
from tests.unit.kubernetes_worlds import read

ANSWERS = yaml.safe_load((Path(__file__).parent / "data" / "calico-answers.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: str(case["case"]))
def test_what_it_refuses_is_refused_and_what_it_takes_is_taken(case: dict[str, Any]) -> None:
    (found,), problems = read(yaml.safe_dump(case["document"]), "shop")
    errors = [str(item) for item in problems.found if item.severity is Severity.ERROR]
    assert (not errors) == case["accepted"], errors or case.get("said")
    assert (found is not None) == case["accepted"]
