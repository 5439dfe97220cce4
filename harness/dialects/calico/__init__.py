"""Calico's own policies, `projectcalico.org/v3` (semantics.md 3.4)."""

from harness.dialects.calico.dialect import Calico

__all__ = ["Calico"]
