"""`netcheck audit` with packets: today everything passes, enforced exactly the named flows fail."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from harness.cli import cli
from tests.unit.test_audit import WORLD


def audit(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    (tmp_path / "shop.yaml").write_text(WORLD)
    done = CliRunner().invoke(cli, ["audit", str(tmp_path / "shop.yaml"), *words])
    return done.exit_code, done.stdout, done.stderr


def test_packets_pass_today_and_fail_when_it_is_enforced(tmp_path: Path) -> None:
    code, text, said = audit(tmp_path, "--json")
    assert code == 1, text + said
    document = json.loads(text)
    assert document["packets"]
    found = {item["id"]: (item["change"], item["observed"], item["error"]) for item in document["flows"]}
    assert found == {
        "shop/web->shop/api:8080/TCP": ("same", {"today": "allow", "enforced": "allow"}, None),
        "shop/batch->shop/api:8080/TCP": ("denied", {"today": "allow", "enforced": "drop"}, None),
    }


def test_a_flow_that_cannot_be_measured_leaves_it_open(tmp_path: Path) -> None:
    world = WORLD.replace("listen: [8080]", "listen: [9090]")
    (tmp_path / "shop.yaml").write_text(world)
    done = CliRunner().invoke(cli, ["audit", str(tmp_path / "shop.yaml")])
    assert done.exit_code == 6, done.output
    assert "ERROR shop/web->shop/api:8080/TCP: " in done.stdout
