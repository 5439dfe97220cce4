"""Which dialects take part when policies are converted: each tells its own, and writes what others told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.dialects.admin import tell as admin_tell
from harness.dialects.admin import write as admin_write
from harness.dialects.calico import tell as calico_tell
from harness.dialects.calico import write as calico_write
from harness.dialects.cilium import tell as cilium_tell
from harness.dialects.cilium import write as cilium_write
from harness.dialects.kubernetes import tell as kubernetes_tell
from harness.dialects.kubernetes import write as kubernetes_write
from harness.dialects.meaning import Meaning, Written
from harness.model.policy import Policy
from harness.source.diagnostics import Problems

Tell = Callable[[Sequence[Policy], Problems], Iterable[Meaning]]
Write = Callable[[Sequence[Meaning], Problems], Iterable[Written]]


@dataclass(frozen=True, slots=True)
class Room:
    """One dialect.

    Attributes:
        tell: What its policies say; what has no words is an error.
        write: Its objects that say what was told; what has no form in it is an error.
    """

    tell: Tell
    write: Write


ROOMS: Mapping[str, Room] = MappingProxyType(
    {
        "kubernetes": Room(kubernetes_tell.tell, kubernetes_write.write),
        "admin": Room(admin_tell.tell, admin_write.write),
        "calico": Room(calico_tell.tell, calico_write.write),
        "cilium": Room(cilium_tell.tell, cilium_write.write),
    }
)
"""By the names of dialects."""
