"""Paths as a code host knows them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def seen_from_workspace(file: str, environ: Mapping[str, str]) -> str:
    """A path from the top of the repository, in GitHub Actions (`GITHUB_WORKSPACE`); else as it is."""
    root = environ.get("GITHUB_WORKSPACE", "")
    if not root:
        return file
    path = Path(os.path.abspath(file))  # noqa: PTH100 - links stay what the repository calls them
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else file
