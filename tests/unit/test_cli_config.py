"""Options from files and the environment: who wins, what is refused, where a value came from."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from harness.cli import cli
from harness.cli.app import State
from harness.cli.config import KEYS, Origin, find, load, origins
from harness.cli.exits import CliError
from harness.cli.run import run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("NETCHECK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(ctx_env: dict[str, str] | None = None) -> dict[str, Origin]:
    """The options of `run` as the group sees them."""
    seen: dict[str, Origin] = {}

    @click.command("run")
    @click.pass_context
    def spy(ctx: click.Context) -> None:
        state = ctx.find_object(State)
        assert state is not None
        seen.update({item.option: item for item in origins(ctx, run, state.config)})

    real = cli.commands["doctor"]
    cli.commands["doctor"] = spy
    try:
        result = CliRunner().invoke(cli, ["doctor"], env=ctx_env)
    finally:
        cli.commands["doctor"] = real
    assert result.exit_code == 0, result.output
    return seen


def test_defaults() -> None:
    options = found()
    assert options["--cluster"] == Origin("--cluster", "lab", "default")
    assert {item.source for item in options.values()} == {"default"}


def test_environment_outranks_file_and_file_outranks_default(folder: Path) -> None:
    (folder / "netcheck.toml").write_text(
        'cluster = "lab?as=generic"\njobs = 3\nkeep = true\ntag = ["a", "b"]\n'
    )
    options = found({"NETCHECK_JOBS": "2", "NETCHECK_FAIL_FAST": "1"})
    file = str(folder / "netcheck.toml")
    assert options["--cluster"] == Origin("--cluster", "lab?as=generic", file)
    assert options["--jobs"] == Origin("--jobs", "2", "NETCHECK_JOBS")
    assert options["--fail-fast"] == Origin("--fail-fast", "yes", "NETCHECK_FAIL_FAST")
    assert options["--keep"] == Origin("--keep", "yes", file)
    assert options["--tag"] == Origin("--tag", "a, b", file)
    assert options["--verbose"] == Origin("--verbose", "no", "default")


def test_the_command_line_outranks_everything(folder: Path) -> None:
    (folder / "netcheck.toml").write_text('cluster = "moon"\n')
    result = CliRunner().invoke(cli, ["run", "--cluster", "sun"], env={"NETCHECK_CLUSTER": "mars"})
    assert "unknown cluster 'sun'" in result.stderr
    result = CliRunner().invoke(cli, ["run"], env={"NETCHECK_CLUSTER": "mars"})
    assert "unknown cluster 'mars'" in result.stderr
    assert "unknown cluster 'moon'" in CliRunner().invoke(cli, ["run"]).stderr


def test_quiet_on_the_command_line_outranks_verbose_in_the_file(folder: Path) -> None:
    (folder / "netcheck.toml").write_text("verbose = true\n")
    (folder / "scenarios").mkdir()
    assert CliRunner().invoke(cli, ["run", "-q"]).exit_code == 5


def test_the_nearest_file_counts(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.netcheck]\ncluster = "outer"\n')
    (folder / "a" / "pyproject.toml").write_text("[tool.ruff]\n")
    assert find(inner) == (folder / "pyproject.toml", True)
    (folder / "netcheck.toml").write_text('cluster = "own"\n')
    assert load(inner).values == {"cluster": "own"}


def test_paths_are_seen_from_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "netcheck.toml").write_text('paths = ["tests/net"]\n')
    (folder / "tests" / "net").mkdir(parents=True)
    (folder / "tests" / "net" / "x.yaml").write_text(
        "scenario: x\npods: {n/a: {listen: [80]}, n/b: {}}\n"
        'expect: [{from: n/b, to: "n/a:80", verdict: allow}]\n'
    )
    monkeypatch.chdir(folder / "tests")
    result = CliRunner().invoke(cli, ["list"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("x     1 cell  net/x.yaml:1")


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("clusters = 'x'\n", "netcheck.toml:1: unknown key 'clusters'", 'did you mean "cluster"?'),
        ("\n\n[run]\n", "netcheck.toml:3: unknown key 'run'", "known keys are paths, cluster,"),
        ("jobs = 0\n", "netcheck.toml:1: jobs is 0", 'write a number or "auto"'),
        ("jobs = true\n", "jobs is True", 'write a number or "auto"'),
        ("keep = 'yes'\n", "keep is 'yes'", "write true or false"),
        ("tag = 'x'\n", "tag is 'x'", "write a list of strings"),
        ("color = 'red'\n", "color is 'red'", '"auto", "always" or "never"'),
        ("cluster = 1\n", "cluster is 1", "write a string"),
        ("= 1\n", "no valid TOML", "correct the file"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_where(folder: Path, text: str, message: str, advice: str) -> None:
    (folder / "netcheck.toml").write_text(text)
    result = CliRunner().invoke(cli, ["list"])
    assert result.exit_code == 4
    assert message in result.stderr
    assert advice in result.stderr
    assert CliRunner().invoke(cli, ["list", "--help"]).exit_code == 0


def test_a_file_that_is_no_text_is_an_error(folder: Path) -> None:
    (folder / "netcheck.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CliError, match="cannot be read"):
        load(folder)


def test_every_key_is_an_option_and_documented() -> None:
    options = {item.opts[-1].removeprefix("--") for item in run.params}
    assert set(KEYS) <= options | {"paths"}
    # A file of a project neither leaves out cells, nor runs programs, nor vouches for downloads.
    assert options - set(KEYS) == {"-k", "cni-command", "cni-trust-download"}
    guide = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"`{key}`" in guide
        if key != "paths":
            assert f"`NETCHECK_{key.replace('-', '_').upper()}`" in guide


def test_doctor_shows_where_values_come_from(folder: Path, snapshot: SnapshotAssertion) -> None:
    from harness.cli.machine import origin_lines
    from harness.report.text import plain

    (folder / "netcheck.toml").write_text('cluster = "lab?as=generic"\n')
    text = plain(origin_lines(list(found({"NETCHECK_JOBS": "2"}).values()), str(folder / "netcheck.toml")))
    assert text.replace(str(folder), "FOLDER") == snapshot


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        (["--cluster", "context:prod"], 4),
        (["--cluster", "context:prod", "-j", "auto"], 4),
        (["--cluster", "kind:x", "-j", "7"], 7),
        ([], min(8, 3 * (os.cpu_count() or 1))),
        (["--cluster", "lab?as=generic"], min(8, 3 * (os.cpu_count() or 1))),
    ],
)
def test_as_many_scenarios_at_once_as_the_cluster_likes(arguments: list[str], jobs: int) -> None:
    context = run.make_context("run", arguments, obj=State())
    assert context.params["jobs"] == jobs
