"""What a cluster must be able to do for an object of Calico's, in the words of `model.features`."""

from __future__ import annotations

from collections.abc import Iterator

from harness.dialects.calico.parse_objects import RESERVED
from harness.dialects.calico.types import (
    DEFAULT_TIER,
    CalicoPolicy,
    CalicoTier,
    HostEndpoint,
    StagedKubernetes,
)


def needs(parsed: object) -> Iterator[str]:
    """Features beyond that of the dialect."""
    if isinstance(parsed, CalicoPolicy):
        if parsed.tier != DEFAULT_TIER:
            yield "tiers"
        if parsed.staged:
            yield "staged"
    elif isinstance(parsed, CalicoTier) and parsed.name not in RESERVED:
        yield "tiers"
    elif isinstance(parsed, StagedKubernetes):
        yield "staged"
    elif isinstance(parsed, HostEndpoint):
        yield "host-endpoints"
