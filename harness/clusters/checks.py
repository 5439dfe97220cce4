"""What `netcheck doctor` looked at, whatever kind of cluster it is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        ok: None when it is only worth knowing.
        advice: What to do when it is not ok.
    """

    name: str
    ok: bool | None
    detail: str
    advice: str = ""
