"""Addresses that the cluster gave to pods, services and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.topology import Family


def pick(addresses: tuple[str, ...], family: Family) -> str | None:
    """The address of one family, or None."""
    six = family is Family.IPV6
    return next((item for item in addresses if (":" in item) is six), None)


@dataclass(slots=True)
class Addresses:
    """By id; one address per family at most.

    Attributes:
        nodes: Node of the cluster by letter.
        node_addresses: Internal addresses by letter.
        dns: Cluster addresses of the DNS service.
    """

    pods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Mapping[str, str] = field(default_factory=dict)
    node_addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
