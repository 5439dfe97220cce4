"""An agent in a container: a program of this machine whose standard input and output are the agent's."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import subprocess
import time
from collections.abc import Sequence

from harness.clusters.kind.process import CommandError
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.streams import ended

WRITE_SECONDS = 30.0
"""How long an agent may leave unread what it was sent."""

_END_SECONDS = 5.0


class ProgramPipe:
    """See `clusters.kube.streams.Pipe`.

    Args:
        argv: The program; there is no shell.
        agent: How the agent came into the container.

    Raises:
        CommandError: It cannot be run.
    """

    def __init__(self, argv: Sequence[str], agent: Agent) -> None:
        self.agent = agent
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as trouble:
            raise CommandError(f"{argv[0]} cannot be run: {trouble.strerror}", program=argv[0]) from trouble
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._in, self._out, errors = (pipe.fileno() for pipe in pipes if pipe is not None)
        decoder = codecs.getincrementaldecoder("utf-8")
        self._outputs = {
            self._out: decoder("replace"),
            errors: decoder("replace"),
        }
        for fileno in (self._in, *self._outputs):
            os.set_blocking(fileno, False)

    def write(self, text: str) -> None:
        """See `Pipe`.

        Raises:
            OSError: The program has ended, or does not read.
        """
        data = text.encode()
        deadline = time.monotonic() + WRITE_SECONDS
        while data:
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("it does not read") from None
                select.select([], [self._in], [], left)

    def read(self, seconds: float) -> tuple[str, str]:
        """See `Pipe`."""
        said = {True: "", False: ""}
        if self._outputs:
            ready, _, _ = select.select(list(self._outputs), [], [], seconds)
            for fileno in ready:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(fileno, 1 << 18)
                    said[fileno == self._out] += self._outputs[fileno].decode(data)
                    if not data:
                        del self._outputs[fileno]
        return said[True], said[False]

    @property
    def alive(self) -> bool:
        """See `Pipe`."""
        return self._out in self._outputs

    @property
    def ending(self) -> str:
        """See `Pipe`."""
        return ended(self._process.poll())

    def close(self) -> None:
        """See `Pipe`: the agent sees the end of its input, and ends."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
