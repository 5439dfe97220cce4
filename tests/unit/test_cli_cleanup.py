"""What `netcheck cleanup` says of a Kubernetes cluster (real ones: tests/cluster)."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.clusters.kube.leftovers import Cleaned

AWAY = "projectcalico.org/v3: the cluster says: service unavailable"


@pytest.mark.parametrize(
    ("done", "code", "last"),
    [
        (Cleaned(["namespace shop of run r1"], []), 0, "1 object removed"),
        (Cleaned([], []), 0, "nothing to remove"),
        (Cleaned([], [], [AWAY]), 6, "nothing found to remove, but not everything could be looked at"),
        (Cleaned(["namespace shop of run r1"], [], [AWAY]), 6, "1 object removed"),
    ],
)
def test_what_could_not_be_looked_at_is_said(
    done: Cleaned, code: int, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object, **__: Any) -> Cleaned:
        return done

    monkeypatch.setattr("harness.clusters.kube.leftovers.cleanup", found)
    monkeypatch.setattr("harness.cli.clusters.connect", lambda spec: object())
    monkeypatch.setattr("harness.cli.outside.clean_outside", lambda *_: [])
    ran = CliRunner().invoke(cli, ["cleanup", "--cluster", "context:x"])
    assert ran.stdout.splitlines()[-1] == last
    assert (f"warning: could not look at {AWAY}" in ran.stderr) is bool(done.unseen)
    assert ran.exit_code == code
