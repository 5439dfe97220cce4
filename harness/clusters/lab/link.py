"""The master's side of a lab: starts its processes and talks to each over a socket of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.engine.cluster import ClusterError

PATIENCE = 60.0
"""Seconds without a word from a process of the lab that was asked something, before it counts as stuck."""

MOST_PROBERS = 2
"""Sending is bound by the kernel's work per packet, so a second process helps where there is a second core;
beyond that the one listener is the limit."""

_ROOT = Path(__file__).resolve().parents[3]


class Line:
    """One process, asked by JSON lines; one request at a time.

    Args:
        sock: To the process.
        name: What it is called in messages.
        last_words: Says what the lab's processes complained about last; asked once this one is gone.
    """

    def __init__(self, sock: socket.socket, name: str, last_words: Callable[[], str]) -> None:
        self._sock = sock
        self._name = name
        self._last_words = last_words
        self._buffer = bytearray()
        sock.setblocking(True)

    def close(self) -> None:
        """Hang up; the process ends."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send one request.

        Raises:
            ClusterError: The process is gone.
        """
        try:
            self._sock.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        except OSError as trouble:
            raise self._gone() from trouble

    def receive(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            ClusterError: The process is gone, silent for too long, or reports a failure.
        """
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                break
            searched = len(self._buffer)
            readable, _, _ = select.select([self._sock], [], [], patience)
            if not readable:
                raise ClusterError(f"the lab's {self._name} gave no answer for {patience:.0f} s")
            try:
                data = self._sock.recv(1 << 20)
            except OSError as trouble:
                raise self._gone() from trouble
            if not data:
                raise self._gone()
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message: dict[str, Any] = json.loads(line)
        if message["op"] == "failed":
            raise _failure(self._name, message)
        return message

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            ClusterError: As `send` and `receive`.
        """
        self.send(message)
        return self.receive()

    def _gone(self) -> ClusterError:
        said = self._last_words()
        ended = f"the lab's {self._name} process ended before its work was done"
        return ClusterError(f"{ended}: {said}" if said else ended)


def _failure(name: str, message: dict[str, Any]) -> ClusterError:
    if message.get("errno") in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL):
        return ClusterError(
            f"this machine does not let netcheck make network namespaces ({message['why']})",
            "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
            "user.max_user_namespaces>0, kernel.apparmor_restrict_unprivileged_userns=0), "
            "or run in a container with --privileged or --cap-add SYS_ADMIN --cap-add NET_ADMIN",
        )
    return ClusterError(f"the lab's {name}: {message['why']}")


class Processes:
    """Keeper, probers, proxy and listener of one lab.

    Attributes:
        mode: By which right the namespaces were made, in words.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise ClusterError(
                f"the lab needs Linux network namespaces, and this is {sys.platform}",
                "run netcheck in a Linux container or virtual machine: "
                'docker run --rm --privileged -v "$PWD:/work" -w /work python:3.13 make run',
            )
        if nft_program() is None:
            raise ClusterError(
                "the lab needs the program nft, and it is not on PATH",
                "install it: apt-get install nftables (Debian, Ubuntu), dnf install nftables (Fedora), "
                "apk add nftables (Alpine)",
            )
        probers = max(1, min(MOST_PROBERS, len(os.sched_getaffinity(0))))
        pairs = [socket.socketpair() for _ in range(probers + 3)]
        theirs = [pair[1] for pair in pairs]
        environment = {
            "PATH": _path(),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]),
            "LC_ALL": "C",
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "harness.clusters.lab.keeper",
                *(str(item.fileno()) for item in theirs),
            ],
            pass_fds=[item.fileno() for item in theirs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C is for the master, which takes the lab down in order.
            start_new_session=True,
        )
        for item in theirs:
            item.close()
        self._said = b""
        self.keeper = Line(pairs[0][0], "keeper", self._last_words)
        self.probers = tuple(Line(pair[0], "prober", self._last_words) for pair in pairs[1:-2])
        self.proxy = Line(pairs[-2][0], "proxy", self._last_words)
        self.listener = Line(pairs[-1][0], "listener", self._last_words)
        try:
            self.mode = str(self.keeper.receive()["mode"])
        except ClusterError as trouble:
            self.close()
            if not trouble.advice:
                raise ClusterError(f"the lab did not start: {trouble}") from trouble
            raise

    @property
    def pid(self) -> int:
        """Process id of the keeper."""
        return self._process.pid

    def detach(self) -> dict[str, int]:
        """Leave the lab standing when the master ends; returns namespaces as descriptors of the keeper."""
        places: dict[str, int] = self.keeper.ask({"op": "detach"})["places"]
        return places

    def abandon(self) -> None:
        """Let go of a detached lab without ending it."""
        assert self._process.stderr is not None
        self._process.stderr.close()
        # Not waited for on purpose: it outlives this process.
        self._process.returncode = 0

    def close(self) -> None:
        """End all processes and wait for the keeper; never raises."""
        for line in (self.keeper, *self.probers, self.proxy, self.listener):
            line.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _last_words(self) -> str:
        """The first complaint of any of the processes; what others say later follows from it.

        A process has said all that it has to say by the time that its sockets close.
        """
        stream = self._process.stderr
        assert stream is not None
        while not stream.closed and select.select([stream], [], [], 0)[0]:
            data = os.read(stream.fileno(), 4096)
            if not data:
                break
            self._said += data
        lines = self._said.decode("utf-8", "replace").splitlines()
        return next((item for item in lines if item[:1].strip() and not item.startswith("Traceback")), "")


def nft_program() -> str | None:
    """Where nft is, or None."""
    return shutil.which("nft", path=_path())


def _path() -> str:
    """PATH with the places where distributions keep nft, which users' shells often leave out."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
