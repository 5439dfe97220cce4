"""Charts and manifests from their publishers: never silently, never without saying what vouches for them."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.engine.cluster import ClusterError

LIMIT = 64 << 20
"""Bytes that a chart or manifest may have."""

TIMEOUT = 60.0
"""Seconds without a byte before a download is given up."""


def fetch(url: str, sha256: str, *, trust: bool, say: Callable[[str], None]) -> bytes:
    """A file from the net, or from the cache of earlier downloads when its digest is known.

    Args:
        url: Its address.
        sha256: Its digest; empty when nobody knows it.
        trust: Take it without a digest.
        say: Told what is downloaded, and its digest.

    Raises:
        ClusterError: Nothing vouches for it, it cannot be had, or it is another one.
    """
    if not sha256 and not trust:
        raise ClusterError(
            f"nothing vouches for {url}: netcheck knows no digest of it",
            "name its digest with --cni-sha256, take it as it comes with --cni-trust-download, "
            "or bring your own file with --cni-chart or --cni-manifest",
        )
    cached = _cache() / sha256 if sha256 else None
    if cached is not None and cached.is_file():
        content = cached.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    say(f"downloading {url}")
    content = _get(url)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise ClusterError(
            f"{url} is not what it should be: its sha256 is {found}, not {sha256}",
            "the publisher changed it, or somebody else did: look before you trust it",
        )
    if not sha256:
        say(f"its sha256 is {found}; to take this file and no other: --cni-sha256 {found}")
    if cached is not None:
        _keep(cached, content)
    return content


def _get(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "netcheck"})  # noqa: S310  see the table
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            content: bytes = answer.read(LIMIT + 1)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as trouble:
        reason = getattr(trouble, "reason", None) or trouble
        raise ClusterError(
            f"{url} cannot be downloaded: {reason}",
            "without a way to it: bring the file with --cni-chart or --cni-manifest",
        ) from trouble
    if len(content) > LIMIT:
        raise ClusterError(f"{url} has more than {LIMIT >> 20} MiB; it is no chart or manifest")
    return content


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or ""
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "netcheck" / "cni"


def _keep(path: Path, content: bytes) -> None:
    """Into the cache; a cache that cannot be written is no reason to fail."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError:
        return
