"""`netcheck watch`: which scenarios a saved file touches, and that a broken one does not end the watching."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli, clusters, keys, measuring
from harness.cli.watch import _Session
from harness.cli.watched import Ground, Known, changed, ground
from harness.scenario import load
from tests.unit.fake_cluster import DROPPED, FakeCluster

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: NAME, namespace: ns}
spec: {podSelector: {matchLabels: {app: web}}}
"""
WORLD = """\
pods:
  ns/web: {labels: {app: web}, listen: [8080]}
  ns/cli: {}
"""


def scenario(name: str, policies: str = "[]", more: str = WORLD, verdict: str = "allow") -> str:
    return (
        f"scenario: {name}\n{more}policies: {policies}\n"
        f'expect:\n  - {{from: ns/cli, to: "ns/web:8080", verdict: {verdict}}}\n'
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("netcheck.toml").touch()
    for name in ("policies", "more", "elsewhere", "scenarios"):
        Path(name).mkdir()
    Path("policies/one.yaml").write_text(POLICY.replace("NAME", "one"))
    Path("more/two.yaml").write_text(POLICY.replace("NAME", "two"))
    Path("elsewhere/world.yaml").write_text(WORLD)
    Path("scenarios/file.yaml").write_text(scenario("by-file", "[../policies/one.yaml]"))
    Path("scenarios/folder.yaml").write_text(scenario("by-folder", "[../policies]"))
    Path("scenarios/glob.yaml").write_text(scenario("by-glob", '["../m*/*.yaml"]'))
    Path("scenarios/world.yaml").write_text(scenario("by-world", "[]", "world: ../elsewhere/world.yaml\n"))
    Path("scenarios/pair.yaml").write_text(f"{scenario('first')}---\n{scenario('second')}")
    return tmp_path


def touched(known: Known, where: Ground, before: dict[Path, tuple[int, int, int]]) -> list[str]:
    paths = changed(before, where.files())
    return [item.name for item in known.touched(load([Path("scenarios")]), paths)]


def append(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(path.read_text() + text)


def rename(path: Path) -> None:
    """As editors save: a new file takes the old one's place, of the same size."""
    new = path.with_suffix(".new")
    new.write_text(path.read_text())
    status = path.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


@pytest.mark.parametrize(
    ("file", "act", "expected"),
    [
        ("policies/one.yaml", append("# x\n"), ["by-file", "by-folder"]),
        ("policies/one.yaml", rename, ["by-file", "by-folder"]),
        ("policies/one.yaml", Path.touch, ["by-file", "by-folder"]),
        ("policies/new.yaml", lambda path: path.write_text(POLICY.replace("NAME", "new")), ["by-folder"]),
        ("more/two.yaml", append("# x\n"), ["by-glob"]),
        ("more/new.yaml", lambda path: path.write_text(POLICY.replace("NAME", "new")), ["by-glob"]),
        ("elsewhere/world.yaml", append("  ns/third: {}\n"), ["by-world"]),
        ("elsewhere/other.yaml", lambda path: path.write_text("x: 1\n"), []),
        ("scenarios/file.yaml", Path.touch, ["by-file"]),
        ("scenarios/pair.yaml", Path.touch, ["first", "second"]),
        ("scenarios/pair.yaml", append("description: changed\n"), ["second"]),
        ("scenarios/new.yaml", lambda path: path.write_text(scenario("new")), ["new"]),
        ("scenarios/notes.yaml", lambda path: path.write_text("x: 1\n"), []),
        ("policies/readme.md", lambda path: path.write_text("x\n"), []),
    ],
)
def test_a_saved_file_touches(
    folder: Path, file: str, act: Callable[[Path], object], expected: list[str]
) -> None:
    known = Known()
    loaded = load([Path("scenarios")])
    assert len(known.touched(loaded, ())) == 6
    where = ground([Path("scenarios")], (use for uses in loaded.uses.values() for use in uses))
    before = where.files()
    assert touched(known, where, before) == []
    act(folder / file)
    assert touched(known, where, before) == expected


def test_a_file_that_comes_back_runs(folder: Path) -> None:
    known = Known()
    known.touched(load([Path("scenarios")]), ())
    policy = folder / "policies" / "one.yaml"
    text = policy.read_text()
    policy.unlink()
    loaded = load([Path("scenarios")])
    assert {item.name for item in known.touched(loaded, {policy})} == set()
    assert folder / "policies" in {
        folder / use for use in ground(["scenarios"], loaded.uses["scenarios/file.yaml"]).flat
    }  # type: ignore[list-item]
    policy.write_text(text)
    found = known.touched(load([Path("scenarios")]), {policy})
    assert [item.name for item in found] == ["by-file", "by-folder"]


def test_the_ground_is_no_larger_than_needed(folder: Path) -> None:
    (folder / "scenarios" / ".git").mkdir()
    (folder / "scenarios" / "sub").mkdir()
    where = ground(
        [Path("scenarios"), Path("scenarios/sub"), Path("policies/one.yaml")], [Path("gone/x.yaml")]
    )
    assert where.deep == {folder / "scenarios"}
    assert where.flat == {folder / "policies", folder}
    assert where.folders() == {
        folder,
        folder / "policies",
        folder / "scenarios",
        folder / "scenarios" / "sub",
    }


def test_paths_outside_of_the_project_are_not_watched(folder: Path) -> None:
    Path("scenarios/out.yaml").write_text(scenario("out", "[../../../../../etc]"))
    uses = load([Path("scenarios/out.yaml")]).uses["scenarios/out.yaml"]
    assert uses == (Path("scenarios/out.yaml"),)


# -- a session ---------------------------------------------------------------------------------------------


class Watching:
    """A session in a thread, and what it has said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *selection: str) -> None:
        self.out = io.StringIO()
        self.cluster = FakeCluster({})
        monkeypatch.setattr(sys, "stdout", self.out)
        monkeypatch.setattr(sys, "stderr", self.out)
        monkeypatch.setattr(clusters, "open_cluster", lambda spec, **how: self.cluster)
        self.stop = threading.Event()
        chosen = ("".join(selection), ())
        self.session = _Session([Path("scenarios")], measuring.Place(), chosen, 1, False, "never", self.stop)
        self._thread = threading.Thread(target=self._work)
        self._at = 0
        self._thread.start()

    def _work(self) -> None:
        try:
            self.session.go()
        finally:
            self.session.close()

    def next(self) -> str:
        """What is said until it waits again."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            text = self.out.getvalue()[self._at :]
            end = re.search(r"^watching .*\n", text, re.M)
            if end:
                self._at += end.end()
                return text[: end.end()]
            time.sleep(0.01)
        raise AssertionError(f"nothing more was said after {self.out.getvalue()!r}")

    def end(self) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.cluster.closed


@pytest.fixture
def begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watching]]:
    """Begins a session; in the test, for only there standard output is what it is in the end."""
    found: list[Watching] = []

    def begin(*selection: str) -> Watching:
        found.append(Watching(monkeypatch, *selection))
        return found[0]

    yield begin
    found[0].end()


def ran(text: str) -> list[str]:
    return re.findall(r"^(?:PASS|FAIL|ERROR) +(\S+)", text, re.M)


def test_everything_then_what_is_touched(begin: Callable[..., Watching], folder: Path) -> None:
    watching = begin()
    first = watching.next()
    assert ran(first) == ["by-file", "by-folder", "by-glob", "first", "second", "by-world"]
    assert first.endswith("watching 8 files\n")
    rename(folder / "policies" / "one.yaml")
    text = watching.next()
    assert text.startswith("policies/one.yaml\n")
    assert ran(text) == ["by-file", "by-folder"]
    (folder / "scenarios" / "deep").mkdir()
    time.sleep(0.5)
    (folder / "scenarios" / "deep" / "new.yaml").write_text(scenario("in-a-new-folder"))
    assert ran(watching.next()) == ["in-a-new-folder"]


def test_a_broken_file_is_shown_and_the_rest_goes_on(begin: Callable[..., Watching], folder: Path) -> None:
    watching = begin()
    watching.next()
    path = folder / "scenarios" / "file.yaml"
    text = path.read_text()
    path.write_text(text + "  bad: [\n")
    broken = watching.next()
    assert "scenarios/file.yaml:8:3: error[yaml-syntax]" in broken
    assert ran(broken) == []
    (folder / "more" / "two.yaml").touch()
    other = watching.next()
    assert "error[yaml-syntax]" in other
    assert ran(other) == ["by-glob"]
    path.write_text(text)
    assert ran(watching.next()) == ["by-file"]


def test_failures_are_counted_until_they_are_gone(begin: Callable[..., Watching], folder: Path) -> None:
    watching = begin()
    watching.next()
    path = folder / "scenarios" / "world.yaml"
    watching.cluster._answers = {"ns/cli->ns/web:8080/TCP": DROPPED}
    path.touch()
    assert watching.next().endswith("watching 8 files, 1 scenario not as expected\n")
    watching.cluster._answers = {}
    path.touch()
    assert watching.next().endswith("watching 8 files\n")


def test_only_what_is_selected(begin: Callable[..., Watching], folder: Path) -> None:
    watching = begin("by-file")
    assert ran(watching.next()) == ["by-file"]
    (folder / "policies" / "one.yaml").touch()
    assert ran(watching.next()) == ["by-file"]


def test_nonsense_ends_it(folder: Path) -> None:
    missing = CliRunner().invoke(cli, ["watch", "none.yaml"])
    assert missing.exit_code == 4
    assert "there is no such file" in missing.stderr
    expression = CliRunner().invoke(cli, ["watch", "scenarios", "-k", "a and"])
    assert expression.exit_code == 4
    assert "-k: expected a substring" in expression.stderr


# -- keys --------------------------------------------------------------------------------------------------


def test_keys_come_one_by_one_and_the_terminal_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with open(slave, "rb", buffering=0) as stdin, open(master, "wb", buffering=0) as terminal:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        before = termios.tcgetattr(slave)
        found = keys.Keys()
        with found.listening():
            assert found.typed() == ""
            terminal.write(b"f")
            assert _typed(found) == "f"
            terminal.write(b"\r")
            assert _typed(found) == "\n"
        assert termios.tcgetattr(slave) == before


def _typed(found: keys.Keys) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        key = found.typed()
        if key:
            return key
    return ""


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    found = keys.Keys()
    with found.listening():
        assert found.typed() == ""
