"""`netcheck watch` on a terminal, with real packets: saves, keys, and an end that leaves nothing."""

from __future__ import annotations

import re
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import alive, children
from tests.lab.terminals import ANSI, CLEARED, Terminal

pytestmark = pytest.mark.lab

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


def waits(terminal: Terminal) -> str:
    """The screen when it waits again, without colours."""
    return ANSI.sub("", terminal.until(r"watching [^\n]*end(\x1b\[0m)?\r?\n"))


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
    found.close()


def ran(screen: str) -> list[tuple[str, str]]:
    return re.findall(r"^(PASS|FAIL|ERROR) +(\S+)", screen.replace("\r", "\n"), re.M)


def save(path: Path, text: str) -> None:
    """As editors do: written beside it, then renamed."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.rename(path)


def test_a_session(terminal: Terminal, folder: Path) -> None:
    assert ran(waits(terminal)) == [("PASS", "other"), ("PASS", "shop")]
    policy = folder / "policies" / "web.yaml"

    save(policy, POLICY.replace("app: cli", "app: nobody"))
    terminal.until(re.escape(CLEARED))
    screen = waits(terminal)
    assert ran(screen) == [("FAIL", "shop")]
    assert "the expectation looks wrong: NetworkPolicy ns/web at policies/web.yaml:1 decides" in screen
    assert "1 scenario not as expected · Enter all · f failed · q end" in screen

    terminal.type("f")
    assert ran(waits(terminal)) == [("FAIL", "shop")]
    terminal.type("\r")
    assert ran(waits(terminal)) == [("PASS", "other"), ("FAIL", "shop")]

    save(folder / "policies" / "second.yaml", POLICY.replace("name: web", "name: second"))
    assert ran(waits(terminal)) == [("PASS", "shop")]
    terminal.type("f")
    assert "nothing was other than expected" in waits(terminal)

    save(policy, POLICY + "  broken: [\n")
    screen = waits(terminal)
    assert "policies/web.yaml:9:1: error[yaml-syntax]" in screen
    save(policy, POLICY)
    assert ran(waits(terminal)) == [("PASS", "shop")]

    terminal.type("q")
    assert terminal.process.wait(30) == 0


@pytest.mark.parametrize("when", ["waiting", "running"])
def test_ctrl_c_leaves_nothing(terminal: Terminal, folder: Path, when: str) -> None:
    if when == "waiting":
        waits(terminal)
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
