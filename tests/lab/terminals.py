"""Programs on a terminal of their own."""

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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CLEARED = "\x1b[H\x1b[2J"


class Terminal:
    """`netcheck` on a terminal, 120 columns wide.

    Args:
        folder: Where it runs.
        args: Its command line.
        environ: More of its environment.
    """

    def __init__(self, folder: Path, *args: str, **environ: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 120))
        full = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for name in ("CI", "GITHUB_ACTIONS", "NO_COLOR", "COLUMNS"):
            full.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness", *args],
            cwd=folder,
            env={name: value for name, value in (full | environ).items() if value},
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
        """Everything up to and with the first match; what follows is for the next call."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self._text)
            if match:
                found, self._text = self._text[: match.end()], self._text[match.end() :]
                return found
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not come after {self._text!r}"
            self._text += os.read(self.master, 65536).decode()

    def rest(self, seconds: float = 60.0) -> str:
        """Everything until the program ends."""
        deadline = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            self._text += data.decode()
        self.process.wait(10)
        return self._text

    def type(self, keys: str) -> None:
        """As if typed."""
        os.write(self.master, keys.encode())

    def close(self) -> None:
        """End the program, if it has not."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)
