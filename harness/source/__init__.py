"""YAML with places: nodes that know where they stand, diagnostics and their renderer.

Knows nothing of scenarios or policies.
"""

from harness.source.place import Place

__all__ = ["Place"]
