"""Policies of cluster administrators, `policy.networking.k8s.io` (semantics.md 3.2)."""

from harness.dialects.admin.dialect import Admin

__all__ = ["Admin"]
