"""What netcheck keeps of its kind clusters on this machine: their kubeconfigs, and who uses them now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from harness.clusters.kind.process import InterruptedCommandError, Stop
from harness.engine.cluster import ClusterError

_LOOK = 0.2
"""Seconds between two looks at a lock that somebody else holds."""


def folder() -> Path:
    """`$XDG_STATE_HOME/netcheck/kind`, made if need be; only this user can read it.

    Raises:
        ClusterError: It cannot be made.
    """
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    found = root / "netcheck" / "kind"
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as trouble:
        raise ClusterError(
            f"{found}: {trouble.strerror}", "set XDG_STATE_HOME to a folder of yours"
        ) from trouble
    return found


def owner() -> str:
    """Who makes clusters from here: a random name that stays in the state folder.

    Locks work between netchecks that share the folder. One engine may serve others too (other users, or
    containers with the engine's socket), so a half-made cluster of theirs may be in the making.
    """
    path = folder() / "owner"
    if not path.exists():
        fresh = path.with_name(f"owner.{os.getpid()}.new")
        fresh.write_text(secrets.token_hex(8))
        # Whole from the first moment, and whoever comes second takes what is there.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    found = path.read_text().strip()
    if not found.isalnum():
        raise ClusterError(f"{path} is damaged", "remove it")
    return found


def kubeconfig(cluster: str) -> Path:
    """Where the kubeconfig of a cluster is; no other kubeconfig is ever written."""
    return folder() / f"{cluster}.kubeconfig"


def write_kubeconfig(cluster: str, text: str) -> Path:
    """Keep a cluster's kubeconfig; nobody else can read it."""
    path = kubeconfig(cluster)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
    return path


def forget(cluster: str) -> None:
    """The cluster is gone."""
    kubeconfig(cluster).unlink(missing_ok=True)


class Use:
    """A lock on a cluster's name: many may use it, one alone may make it or take it down.

    The kernel lets go of it when the process ends, however it ends.
    """

    def __init__(self, cluster: str) -> None:
        self._file: IO[bytes] | None = (folder() / f"{cluster}.lock").open("ab")

    def alone(self) -> bool:
        """Become the only one; False when others use it."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def shared(self) -> bool:
        """Become one of many; False when somebody is making it or taking it down."""
        return self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let go; once more does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lock(self, how: int) -> bool:
        assert self._file is not None, "a lock that was let go of is not taken again"
        try:
            fcntl.flock(self._file, how)
        except BlockingIOError:
            return False
        return True


def wait(attempt: Callable[[], bool], seconds: float, say: Callable[[], None], stop: Stop | None) -> bool:
    """Try for a lock until it is had or `seconds` have passed; `say` is called once when it takes a while.

    Raises:
        InterruptedCommandError: `stop` was set.
    """
    deadline = time.monotonic() + seconds
    said = False
    while not attempt():
        if stop is not None and stop.is_set():
            raise InterruptedCommandError("interrupted", program="netcheck")
        if time.monotonic() > deadline:
            return False
        if not said:
            say()
            said = True
        select.select([], [], [], _LOOK)
    return True


@contextlib.contextmanager
def alone(cluster: str) -> Iterator[bool]:
    """Hold the lock alone for a moment, if nobody else has it; says whether that is so."""
    use = Use(cluster)
    try:
        yield use.alone()
    finally:
        use.release()
