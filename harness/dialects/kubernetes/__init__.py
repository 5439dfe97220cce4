"""NetworkPolicy of `networking.k8s.io/v1`."""

from harness.dialects.kubernetes.dialect import Kubernetes

__all__ = ["Kubernetes"]
