"""Clusters that speak the Kubernetes API."""
