"""Cilium's own policies, `cilium.io/v2` (semantics.md 3.3)."""

from harness.dialects.cilium.dialect import Cilium

__all__ = ["Cilium"]
