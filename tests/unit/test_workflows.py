"""CI runs what `make` runs: every step of the workflows is a target here, and actions have versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cni.installers import INSTALLERS, split

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.M))
OF_THE_MACHINE = {"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"}
"""What prepares a runner and would be wrong in a target, since it changes the machine for good."""


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "clusters.yml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_step_is_a_target(path: Path) -> None:
    commands = [step["run"].strip() for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        if command in OF_THE_MACHINE:
            continue
        match = re.fullmatch(
            r"make ([a-z-]+)( [A-Z0-9]+=(\"[^\"]*\"|[^\s;&|`]+|\$\{\{ [a-z.]+ \}\}))*", command
        )
        assert match, command
        assert match.group(1) in TARGETS, command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_have_versions_and_no_rights_to_spare(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+(\.\d+)*", step["uses"]), step["uses"]
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_the_matrix_of_clusters() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "clusters.yml")["jobs"]
    strategy = jobs["cluster"]["strategy"]
    assert strategy["fail-fast"] is False
    assert strategy["matrix"]["cni"] == ["cilium", "calico", "kindnet"]
    assert all(split(cni)[0] in INSTALLERS for cni in strategy["matrix"]["cni"])
    assert jobs["compare"]["needs"] == "cluster"
    uploads = [step for step in jobs["cluster"]["steps"] if "upload-artifact" in step.get("uses", "")]
    assert [step["if"] for step in uploads] == ["always()"]


def test_the_targets_use_options_that_there_are() -> None:
    from harness.cli import cli

    recipe = MAKEFILE[MAKEFILE.index("\ncluster-run:") : MAKEFILE.index("\ntest:")]
    for line in recipe.replace("\\\n", " ").splitlines():
        match = re.search(r"netcheck (\w+) (.*)", line)
        if match:
            known = {text for item in cli.commands[match.group(1)].params for text in item.opts}
            assert set(re.findall(r"--[\w-]+", match.group(2))) <= known
    assert "netcheck run" in recipe
    assert "netcheck diff" in recipe
