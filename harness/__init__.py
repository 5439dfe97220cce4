"""netcheck: active connectivity tests for Kubernetes network policies."""

__version__ = "0.1.0"
