"""`netcheck watch` on a terminal, with real packets: saves, keys, and an end that leaves nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import alive, children

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
SHOP = """\
scenario: shop
pods:
  ns/web: {labels: {app: web}, listen: [8080]}
  ns/cli: {labels: {app: cli}}
policies: [policies]
expect:
  - {from: ns/cli, to: "ns/web:8080", verdict: allow}
"""
OTHER = """\
scenario: other
pods:
  ns/web: {listen: [8080]}
  ns/cli: {}
expect:
  - {from: ns/cli, to: "ns/web:8080", verdict: allow}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: ns}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: cli}}}]
"""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CLEARED = "\x1b[H\x1b[2J"


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for name in ("CI", "GITHUB_ACTIONS", "NO_COLOR"):
            environ.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness", *args],
            cwd=folder,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Its own terminal, so that Ctrl-C there is a signal here.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._text = ""

    def until(self, pattern: str, seconds: float = 60.0) -> str:
        """Everything up to and with the first match, without colours; what follows is for the next call."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self._text)
            if match:
                found, self._text = self._text[: match.end()], self._text[match.end() :]
                return found
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not come after {self._text!r}"
            self._text += os.read(self.master, 65536).decode()

    def waits(self) -> str:
        """The screen when it waits again."""
        return ANSI.sub("", self.until(r"watching [^\n]*end\x1b\[0m\r?\n|watching [^\n]*end\r?\n"))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "netcheck.toml").touch()
    (tmp_path / "policies").mkdir()
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "other.yaml").write_text(OTHER)
    (tmp_path / "policies" / "web.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    found = Terminal(folder, "watch", ".")
    yield found
    found.process.kill()
    found.process.wait()
    os.close(found.master)


def ran(screen: str) -> list[tuple[str, str]]:
    return re.findall(r"^(PASS|FAIL|ERROR) +(\S+)", screen.replace("\r", "\n"), re.M)


def save(path: Path, text: str) -> None:
    """As editors do: written beside it, then renamed."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.rename(path)


def test_a_session(terminal: Terminal, folder: Path) -> None:
    assert ran(terminal.waits()) == [("PASS", "other"), ("PASS", "shop")]
    policy = folder / "policies" / "web.yaml"

    save(policy, POLICY.replace("app: cli", "app: nobody"))
    terminal.until(re.escape(CLEARED))
    screen = terminal.waits()
    assert ran(screen) == [("FAIL", "shop")]
    assert "the expectation looks wrong: NetworkPolicy ns/web at policies/web.yaml:1 decides" in screen
    assert "1 scenario not as expected · Enter all · f failed · q end" in screen

    terminal.type("f")
    assert ran(terminal.waits()) == [("FAIL", "shop")]
    terminal.type("\r")
    assert ran(terminal.waits()) == [("PASS", "other"), ("FAIL", "shop")]

    save(folder / "policies" / "second.yaml", POLICY.replace("name: web", "name: second"))
    assert ran(terminal.waits()) == [("PASS", "shop")]
    terminal.type("f")
    assert "nothing was other than expected" in terminal.waits()

    save(policy, POLICY + "  broken: [\n")
    screen = terminal.waits()
    assert "policies/web.yaml:9:1: error[yaml-syntax]" in screen
    save(policy, POLICY)
    assert ran(terminal.waits()) == [("PASS", "shop")]

    terminal.type("q")
    assert terminal.process.wait(30) == 0


@pytest.mark.parametrize("when", ["waiting", "running"])
def test_ctrl_c_leaves_nothing(terminal: Terminal, folder: Path, when: str) -> None:
    if when == "waiting":
        terminal.waits()
    else:
        terminal.until("0/2")
    before = children(terminal.process.pid)
    settings = termios.tcgetattr(terminal.master)
    terminal.type("\x03")
    assert terminal.process.wait(60) == 0
    deadline = time.monotonic() + 10
    while any(map(alive, before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in before if alive(pid)]
    # Echo and line mode are as they were before the keys were listened to.
    assert settings[3] is not None
    assert termios.tcgetattr(terminal.master)[3] & (termios.ECHO | termios.ICANON) == (
        termios.ECHO | termios.ICANON
    )
