"""One exec stream per pod, open for the whole scenario: plans go in, results come out."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from harness.clusters.kube.api import Api
from harness.clusters.kube.bundle import packed, probe_command
from harness.clusters.kube.manifests import CONTAINER
from harness.engine.cluster import ClusterError

START_SECONDS = 20.0
"""How long an agent may take to say that it is ready."""


class StreamError(ClusterError):
    """The stream to a pod broke or says nothing."""


class Stream:
    """The agent of one pod. Used by one thread at a time."""

    def __init__(self, api: Api, namespace: str, pod: str, nonce: str) -> None:
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._nonce = nonce
        self._buffer = ""
        self._errors = ""
        self._socket: Any = None
        self.reconnected = False
        self._open()

    @property
    def name(self) -> str:
        """`namespace/pod`."""
        return f"{self._namespace}/{self._pod}"

    def _open(self) -> None:
        self._buffer = ""
        self._socket = self._api.exec(self._namespace, self._pod, CONTAINER, probe_command(self.name))
        self._write(packed() + "\n")
        ready = self.receive(START_SECONDS)
        if ready.get("op") != "ready":
            raise StreamError(f"the agent of {self.name} began with {ready!r}")
        self.send({"op": "hello", "nonce": self._nonce})

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
        try:
            self._socket.write_stdin(text)
        except Exception as trouble:
            raise self._broken(trouble) from trouble

    def receive(self, patience: float) -> dict[str, Any]:
        """Wait for the next line.

        Raises:
            StreamError: The stream is broken, silent for `patience` seconds, or reports a failure.
        """
        deadline = time.monotonic() + patience
        while "\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                silence = f"gave no answer for {patience:.0f} s{self._said()}"
                raise StreamError(f"the agent of {self.name} {silence}")
            try:
                self._socket.update(timeout=min(left, 5.0))
                self._buffer += self._socket.read_stdout(timeout=0) or ""
                self._errors = (self._errors + (self._socket.read_stderr(timeout=0) or ""))[-2000:]
                open_still = self._socket.is_open()
            except Exception as trouble:
                raise self._broken(trouble) from trouble
            if not open_still and "\n" not in self._buffer:
                raise StreamError(f"the exec stream to {self.name} ended{self._said()}")
        line, _, self._buffer = self._buffer.partition("\n")
        message: dict[str, Any] = json.loads(line)
        if message.get("op") == "failed":
            raise StreamError(f"{self.name}: {message['why']}")
        return message

    def _said(self) -> str:
        lines = self._errors.strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _broken(self, trouble: BaseException) -> StreamError:
        return StreamError(f"the exec stream to {self.name} broke: {trouble}{self._said()}")

    def close(self) -> None:
        """Close the stream; the agent in the pod ends with it."""
        # It is going away; nothing depends on a tidy farewell.
        with contextlib.suppress(Exception):
            self._socket.close()
