"""One stream per source, open for the whole scenario: plans go in, results come out."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from harness.clusters.certificates import Wallet
from harness.clusters.kube.api import Api
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.manifests import CONTAINER
from harness.engine.cluster import ClusterError

START_SECONDS = 45.0
"""How long an agent may take to say that it is ready."""

LISTEN_SECONDS = 20.0
"""How long the listening process of its pod may take to answer it."""


class StreamError(ClusterError):
    """The stream to an agent broke or says nothing."""


class Pipe(Protocol):
    """The standard input and output of an agent, wherever it runs.

    Its methods may raise anything: to a stream that means that it broke.

    Attributes:
        agent: How the agent comes there, which says what a stream begins with.
    """

    agent: Agent

    def write(self, text: str) -> None:
        """Hand over text; returns when it is on its way."""
        ...

    def read(self, seconds: float) -> tuple[str, str]:
        """What came on standard output and standard error; waits for it no longer than `seconds`."""
        ...

    @property
    def alive(self) -> bool:
        """Whether more may come."""
        ...

    @property
    def ending(self) -> str:
        """How it ended, once it has; empty when that is not known."""
        ...

    def close(self) -> None:
        """End it; the agent ends with it."""
        ...


def ended(code: int | None) -> str:
    """How a program ended, by its exit code; empty when it ended well, or has not."""
    if not code:
        return ""
    # 128 + SIGKILL, or as Python has it; nobody but the kernel kills agents that nobody else knows of.
    killed = ", killed, as for want of memory" if code in (137, -9) else ""
    return f"exit code {code}{killed}"


class ExecPipe:
    """An agent in a pod, through the API server."""

    def __init__(self, api: Api, pod: str, identity: str, agent: Agent) -> None:
        self.agent = agent
        namespace, name = pod.split("/")
        self._socket: Any = api.exec(namespace, name, CONTAINER, agent.probe(identity))

    def write(self, text: str) -> None:
        """See `Pipe`."""
        self._socket.write_stdin(text)

    def read(self, seconds: float) -> tuple[str, str]:
        """See `Pipe`."""
        self._socket.update(timeout=seconds)
        return self._socket.read_stdout(timeout=0) or "", self._socket.read_stderr(timeout=0) or ""

    @property
    def alive(self) -> bool:
        """See `Pipe`."""
        return bool(self._socket.is_open())

    @property
    def ending(self) -> str:
        """See `Pipe`; a connection that broke tells nothing."""
        with contextlib.suppress(Exception):
            return ended(self._socket.returncode)
        return ""

    def close(self) -> None:
        """See `Pipe`; nothing depends on a tidy farewell."""
        with contextlib.suppress(Exception):
            self._socket.close()


class Stream:
    """One agent. Used by one thread at a time.

    Args:
        name: Whose agent it is, for messages.
        nonce: Of all tokens of the run.
        dial: Starts the agent; called again when the stream broke.

    Attributes:
        reconnected: It is the second stream to the agent's pod; there is no third.
        life: Which listening process the pod had when it was last asked; another one knows nothing of what
            arrived before it.
        lost: Datagrams that its sockets had no room for until then.
        wallet: Certificates that the agent has been given; None = none, since it began anew.
    """

    def __init__(self, name: str, nonce: str, dial: Callable[[], Pipe]) -> None:
        self.name = name
        self._nonce = nonce
        self._dial = dial
        self._buffer = ""
        self._errors = ""
        self._pipe: Pipe | None = None
        self.reconnected = False
        self.life = ""
        self.lost = 0
        self.wallet: Wallet | None = None
        self._open()

    def _open(self) -> None:
        self._buffer = ""
        self.wallet = None
        self._pipe = self._dial()
        self._write(self._pipe.agent.preamble)
        ready = self.receive(START_SECONDS)
        if ready.get("op") != "ready":
            raise StreamError(f"the agent of {self.name} began with {ready!r}")
        self._pipe.agent.check(ready)
        self.send({"op": "hello", "nonce": self._nonce, "stream": int(self.reconnected)})
        self.send({"op": "await", "seconds": LISTEN_SECONDS})
        listening = self.receive(LISTEN_SECONDS + START_SECONDS)
        if not self.life:
            self.life, self.lost = str(listening["life"]), int(listening["lost"])

    def reconnect(self) -> bool:
        """Open the stream once more; a second break is for good."""
        if self.reconnected:
            return False
        self.reconnected = True
        self.close()
        try:
            self._open()
        except ClusterError:
            return False
        return True

    def send(self, message: dict[str, Any]) -> None:
        """Write one line.

        Raises:
            StreamError: The stream is broken.
        """
        self._write(json.dumps(message, separators=(",", ":")) + "\n")

    def _write(self, text: str) -> None:
        assert self._pipe is not None
        try:
            self._pipe.write(text)
        except Exception as trouble:
            raise self._broken(trouble) from trouble

    def receive(self, patience: float) -> dict[str, Any]:
        """Wait for the next line.

        Raises:
            StreamError: The stream is broken, silent for `patience` seconds, or reports a failure.
        """
        assert self._pipe is not None
        deadline = time.monotonic() + patience
        while "\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                silence = f"gave no answer for {patience:.0f} s{self._said()}"
                raise StreamError(f"the agent of {self.name} {silence}")
            try:
                out, errors = self._pipe.read(min(left, 5.0))
                self._buffer += out
                self._errors = (self._errors + errors)[-2000:]
                open_still = self._pipe.alive
            except Exception as trouble:
                raise self._broken(trouble) from trouble
            if not open_still and "\n" not in self._buffer:
                how = self._said() or (f": {self._pipe.ending}" if self._pipe.ending else "")
                raise StreamError(f"the stream to {self.name} ended{how}")
        line, _, self._buffer = self._buffer.partition("\n")
        message: dict[str, Any] = json.loads(line)
        if message.get("op") == "failed":
            raise StreamError(f"{self.name}: {message['why']}")
        return message

    def _said(self) -> str:
        lines = self._errors.strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _broken(self, trouble: BaseException) -> StreamError:
        return StreamError(f"the stream to {self.name} broke: {trouble}{self._said()}")

    def close(self) -> None:
        """Close the stream; the agent ends with it."""
        if self._pipe is not None:
            self._pipe.close()
