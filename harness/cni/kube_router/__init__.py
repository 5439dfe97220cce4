"""kube-router."""
