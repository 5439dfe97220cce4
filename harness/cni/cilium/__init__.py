"""Cilium: what an installed one can say of itself (`driver.py`), and how one is installed."""
