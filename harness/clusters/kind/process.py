"""One program of the machine: run without a shell, within a time, with what it says kept or passed on."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from harness.engine.cluster import ClusterError
from harness.source.render import printable

_TICK = 0.1
"""Seconds between two looks whether the program has ended or nobody wants it any more."""

_GRACE = 5.0
"""Seconds between asking a program to end and ending it."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TROUBLE = re.compile(r"\berror\b|\bfatal\b|\bfailed\b", re.IGNORECASE)


class Stop(Protocol):
    """Says that nobody waits for the result any more; a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program that ended well said.

    Attributes:
        stdout: Its standard output, as text.
        stderr: Its standard error, as text.
    """

    stdout: str
    stderr: str


class CommandError(ClusterError):
    """A program could not be run, ended badly, or took too long.

    Attributes:
        program: Its name.
        code: Its exit code; None when it had none (not found, ended by us); negative = a signal.
        stderr: What it wrote to standard error, untrusted.
    """

    def __init__(
        self, message: str, advice: str = "", *, program: str, code: int | None = None, stderr: str = ""
    ) -> None:
        super().__init__(message, advice)
        self.program = program
        self.code = code
        self.stderr = stderr


class InterruptedCommandError(CommandError):
    """Whoever wanted the result has stopped waiting for it."""


def execute(
    argv: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
    on_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    stop: Stop | None = None,
) -> Completed:
    """Run a program to its end; it gets a session of its own, so that a Ctrl-C is ours to handle.

    Args:
        argv: The program and its arguments; there is no shell.
        timeout: Seconds that it may take, then it is ended with all that it started.
        input: What it reads on standard input.
        stdin: A file that it reads instead.
        stdout: A file that it writes to instead; then `Completed.stdout` is empty.
        on_line: Called with each line of both outputs as it comes, safe for a terminal.
        env: Variables beside those of this process.
        stop: Ends the program when set.

    Raises:
        CommandError: It is not there, fails, or takes longer; the text says why, from its stderr.
        InterruptedCommandError: `stop` was set.
    """
    program = os.path.basename(argv[0])  # noqa: PTH119  a name, no path of this machine
    with contextlib.ExitStack() as held:
        if input is not None:
            # A file, not a pipe: a program that reads late or never cannot block us.
            stdin = held.enter_context(tempfile.TemporaryFile())
            stdin.write(input)
            stdin.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=stdout if stdout is not None else subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except FileNotFoundError as trouble:
            raise CommandError(f"{program} is not installed", program=program) from trouble
        except OSError as trouble:
            text = f"{program} cannot be run: {trouble.strerror or trouble}"
            raise CommandError(text, program=program) from trouble
        held.enter_context(process)
        try:
            kept, ending = _attend(process, timeout, on_line, stop)
        except BaseException:
            _end(process)
            raise
    out, err = (bytes(part).decode("utf-8", "replace") for part in kept)
    if ending == "stopped":
        raise InterruptedCommandError(f"{program} was interrupted", program=program, stderr=err)
    shown = printable(" ".join(argv[1:3]))
    if ending == "late":
        raise CommandError(
            f"{program} {shown} did not end within {timeout:.0f} s{_because(err, out)}",
            program=program,
            stderr=err,
        )
    if process.returncode != 0:
        raise CommandError(
            f"{program} {shown} failed{_because(err, out) or f': exit code {process.returncode}'}",
            program=program,
            code=process.returncode,
            stderr=err,
        )
    return Completed(out, err)


def last_useful_line(text: str) -> str:
    """The line that says most of why a program failed: the last that names an error, else the last at all."""
    lines = [stripped for line in text.splitlines() if (stripped := clean(line).strip())]
    named = [line for line in lines if _TROUBLE.search(line)]
    return (named or lines or [""])[-1][:400]


def clean(line: str) -> str:
    """A line of a program's output, without anything that a terminal obeys."""
    return printable(_ESCAPES.sub("", line.rstrip("\r").rpartition("\r")[2]))


def _because(stderr: str, stdout: str) -> str:
    why = last_useful_line(stderr) or last_useful_line(stdout)
    return f": {why}" if why else ""


def _attend(
    process: subprocess.Popen[bytes],
    timeout: float,
    on_line: Callable[[str], None] | None,
    stop: Stop | None,
) -> tuple[tuple[bytearray, bytearray], str]:
    """Read what the program says until it ends; how that came about is `ended`, `late` or `stopped`."""
    deadline = time.monotonic() + timeout
    kept = (bytearray(), bytearray())
    begun = [0, 0]
    with selectors.DefaultSelector() as selector:
        for index, pipe in enumerate((process.stdout, process.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, index)
        ending = ""
        while not ending:
            # What a program leaves running in the background may hold its outputs open: its own end counts.
            ended = process.poll() is not None
            read = False
            for key, _ in selector.select(0 if ended else _TICK) if selector.get_map() else ():
                piece = os.read(key.fd, 1 << 16)
                read = True
                if not piece:
                    selector.unregister(key.fileobj)
                    continue
                kept[key.data].extend(piece)
                begun[key.data] = _pass_on(kept[key.data], begun[key.data], on_line)
            if ended and not read:
                ending = "ended"
            elif not ended and not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_TICK)
            if not ended and stop is not None and stop.is_set():
                ending = "stopped"
            elif not ended and time.monotonic() > deadline:
                ending = "late"
    if ending != "ended":
        _end(process)
    for index, buffer in enumerate(kept):
        if on_line is not None and begun[index] < len(buffer):
            on_line(clean(bytes(buffer[begun[index] :]).decode("utf-8", "replace")))
    return kept, ending


def _pass_on(buffer: bytearray, begin: int, on_line: Callable[[str], None] | None) -> int:
    """Say every whole line from `begin` on; returns where the next begins."""
    while (end := buffer.find(b"\n", begin)) >= 0:
        if on_line is not None:
            on_line(clean(bytes(buffer[begin:end]).decode("utf-8", "replace")))
        begin = end + 1
    return begin


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
