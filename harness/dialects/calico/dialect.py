"""The dialect's door."""

from __future__ import annotations

from harness.dialects.calico import parse as parser
from harness.dialects.calico.parse_objects import Reader
from harness.dialects.carried import Carried
from harness.model.policy import Policy
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode


class Calico(Carried):
    """Policies, sets of networks and tiers as Calico's API server takes them."""

    def __init__(self, networkpolicy: Reader) -> None:
        self._networkpolicy = networkpolicy
        kinds = {pair: pair[1] in parser.NAMESPACED for pair in parser.KINDS}
        super().__init__("calico", "Calico", kinds, ("spec",))

    def parse(self, document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
        """See `harness.dialects.base.Dialect.parse`."""
        return parser.parse(document, namespace, problems, self._networkpolicy)
