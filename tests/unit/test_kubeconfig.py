"""Which context of a kubeconfig is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.clusters.kube.errors import SpecError
from harness.clusters.kube.kubeconfig import load_configuration

TEXT = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: u}}]
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_context_that_is_named_needs_no_current_one(tmp_path: Path) -> None:
    # `kind delete cluster` takes the current context away with its cluster.
    configuration, name = load_configuration(write(tmp_path, TEXT), "two")
    assert name == "two"
    assert configuration.host == "https://127.0.0.1:1"


def test_the_current_context_is_taken_when_none_is_named(tmp_path: Path) -> None:
    _, name = load_configuration(write(tmp_path, f"{TEXT}current-context: one\n"), None)
    assert name == "one"


def test_no_current_context_is_said_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no current context") as caught:
        load_configuration(write(tmp_path, TEXT), None)
    assert caught.value.advice == "name one of: one, two"


@pytest.mark.parametrize("text", ["", "[]", "x", "contexts: 3", "contexts: [1]", "a: [", "\x00"])
def test_files_that_are_no_kubeconfig(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError):
        load_configuration(write(tmp_path, text), "one")


def test_default_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(SpecError):
        load_configuration(None, "one")
