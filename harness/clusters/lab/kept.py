"""Labs that were kept with `--keep`: where they are noted, how to look into them, how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kept:
    """One lab that is still standing.

    Attributes:
        places: Namespaces by name, as descriptors of the keeper's process.
    """

    pid: int
    scenario: str
    run: str
    places: Mapping[str, int]

    def enter(self, place: str) -> str:
        """The shell command that opens a shell in one of its namespaces."""
        user = "" if os.geteuid() == 0 else f"-t {self.pid} -U --preserve-credentials "
        return f"nsenter {user}--net=/proc/{self.pid}/fd/{self.places[place]} sh"


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"netcheck-{os.geteuid()}"


def _ours(folder: Path) -> bool:
    """Whether the notes can be this user's own: anybody may put a folder or a link there beforehand."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def remember(pid: int, scenario: str, run: str, places: Mapping[str, int]) -> None:
    """Note a lab that stays; only this user can read or change the note.

    Raises:
        OSError: It cannot be written where nobody else can plant one.
    """
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _ours(folder):
        raise PermissionError(f"{folder} belongs to somebody else")
    note = {"pid": pid, "born": _born(pid), "scenario": scenario, "run": run, "places": dict(places)}
    descriptor = os.open(folder / f"{pid}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(note, file)


def standing() -> list[Kept]:
    """All kept labs of this user that still stand; notes of others that ended are thrown away."""
    found = []
    folder = _folder()
    if not _ours(folder):
        return []
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(file.read_text())
            if _born(note["pid"]) == note["born"] and note["born"]:
                found.append(Kept(note["pid"], note["scenario"], note["run"], note["places"]))
                continue
        file.unlink(missing_ok=True)
    return found


def cleanup() -> list[str]:
    """End all kept labs of this user; returns one line for each."""
    lines = []
    for lab in standing():
        with contextlib.suppress(ProcessLookupError):
            os.kill(lab.pid, signal.SIGKILL)
        (_folder() / f"{lab.pid}.json").unlink(missing_ok=True)
        lines.append(f"lab of scenario {lab.scenario}, run {lab.run} (process {lab.pid})")
    return lines


def _born(pid: int) -> str:
    """Start time of a process, so that a later one with the same id is not taken for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""
