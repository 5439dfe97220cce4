"""Calico: what an installed one can say of itself, and how one is installed."""
