"""The processes of a lab hear two channels; what was said first on one counts first."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.clusters.lab import places
from harness.clusters.lab.listener_process import ListenerProcess
from harness.clusters.lab.prober_process import ProberProcess
from probes.wire import Channel


class _Late(Channel):
    """A channel on which everything arrives just as the process looks at it, and not a moment before."""

    def __init__(self, sock: socket.socket, arrive: list[Any]) -> None:
        super().__init__(sock)
        self._arrive = arrive

    def receive(self) -> list[dict[str, Any]]:
        while self._arrive:
            self._arrive.pop(0)()
        return super().receive()


@contextmanager
def _channels() -> Iterator[tuple[_Late, Channel, socket.socket, list[Any]]]:
    pairs = [socket.socketpair(), socket.socketpair()]
    arrive: list[Any] = []
    try:
        yield _Late(pairs[0][1], arrive), Channel(pairs[1][1]), pairs[0][0], arrive
    finally:
        for pair in pairs:
            for item in pair:
                item.close()


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(places.kernel, "setns", found.append)
    return found


def _keeper_tells(keeper: Channel, name: str) -> None:
    """As the keeper does: a namespace's name with its descriptor (any file will do)."""
    keeper.fds.append(os.open(os.devnull, os.O_RDONLY))
    keeper._in.feed(b'{"namespaces": ["' + name.encode() + b'"]}\n')


def test_a_listener_knows_the_namespace_that_came_before_the_request(entered: list[int]) -> None:
    """It came after the process had looked at the keeper and before it looked at the master."""
    with _channels() as (master, keeper, ours, arrive):
        arrive.append(lambda: _keeper_tells(keeper, "shop/web"))
        arrive.append(
            lambda: ours.sendall(
                b'{"op":"listen","listeners":[{"identity":"shop/web","place":"shop/web","addresses":[],'
                b'"ports":[]}]}\n'
            )
        )
        process = ListenerProcess(master, keeper)
        ours.sendall(b"\n")
        arrive.append(lambda: ours.shutdown(socket.SHUT_WR))
        process.run()
        assert ours.recv(4096) == b'{"op":"listening","failures":[]}\n'
        assert len(entered) == 1


def test_a_prober_knows_the_namespace_that_came_before_the_plan(entered: list[int]) -> None:
    with _channels() as (master, keeper, ours, arrive):
        arrive.append(lambda: _keeper_tells(keeper, "shop/cli"))
        arrive.append(
            lambda: ours.sendall(
                b'{"op":"hello","nonce":"n"}\n{"op":"sweep","id":1,"timeout":1,"attempts":1}\n'
                b'{"op":"probes","id":1,"last":true,"probes":[[0,"shop/cli","tcp","127.0.0.1",1,{}]]}\n'
            )
        )
        process = ProberProcess(master, keeper, 0, 1)
        process.ready(process._prober, 0)
        process._prober.turn(1.0)
        process._prober.turn(1.0)
        process._desk.report()
        answer = ours.recv(4096).decode()
        assert "no such source" not in answer
        assert '"refused"' in answer
        assert len(entered) == 1
