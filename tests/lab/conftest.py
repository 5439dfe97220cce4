"""Labs need root or user namespaces, and nft; without them their tests are skipped with what the lab says."""

from __future__ import annotations

import pytest

from harness.clusters.lab.link import Processes
from harness.engine.cluster import ClusterError


@pytest.fixture(scope="session", autouse=True)
def _machine() -> None:
    try:
        Processes().close()
    except ClusterError as trouble:
        pytest.skip(f"{trouble}; {trouble.advice}")
