"""What to do when nobody reads our output any more."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TextIO


def silence(stream: TextIO) -> None:
    """Send what is still to come on `stream` nowhere, so that not even the interpreter's last flush fails."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def shown_together(out: TextIO, err: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a reader sees both streams as one: a terminal, a log, the log of a GitHub job."""
    if environ.get("GITHUB_ACTIONS") == "true":
        # The runner reads two pipes into one log.
        try:
            return not stat.S_ISREG(os.fstat(out.fileno()).st_mode)
        except (OSError, ValueError):
            return False
    return same(out, err)


def same(one: TextIO, other: TextIO) -> bool:
    """Whether both streams end in the same file, pipe or terminal."""
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (OSError, ValueError):
        return False
