"""Mutants that no cell can notice, because the policy says the same without them."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str], str] = {}
"""`(scenario, mutant)` → why the mistake changes nothing."""
