"""Single keys from a terminal, without waiting for Enter."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Keys:
    """What was typed since it was last asked; nothing where standard input is no terminal."""

    def __init__(self) -> None:
        self.there = sys.stdin is not None and sys.stdin.isatty()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keys come one by one inside, unseen; Ctrl-C stays what it is. Afterwards all is as before."""
        if not self.there:
            yield
            return
        import termios
        import tty

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number, termios.TCSANOW)
            yield
        finally:
            termios.tcsetattr(number, termios.TCSANOW, before)

    def typed(self) -> str:
        """The last key, a line break for Enter, empty for none; a terminal that is gone types `q`."""
        key = ""
        while self.there and select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), 64)
            if not data:
                self.there = False
                return "q"
            key = data[-1:].decode("ascii", "replace")
        return "\n" if key == "\r" else key
