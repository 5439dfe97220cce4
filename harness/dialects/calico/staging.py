"""What Calico's staged policies would become (semantics.md 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.dialects.calico.types import CalicoPolicy, StagedKubernetes
from harness.dialects.staged import Staged
from harness.model.policy import Policy, PolicyRef

_PREFIX: Final = "Staged"
_COUNT: Final = ("Set", "Delete")


def staged(policy: Policy) -> Staged | None:
    """What a staged policy stands for; None for any other object."""
    parsed = policy.parsed
    if not isinstance(parsed, (CalicoPolicy, StagedKubernetes)) or not parsed.staged:
        return None
    kind = policy.kind.removeprefix(_PREFIX)
    counts = parsed.staged in _COUNT
    if isinstance(parsed, StagedKubernetes):
        target = PolicyRef("networkpolicy", policy.namespace, policy.name)
        made = replace(parsed.policy, document=policy.document, lines=policy.lines) if parsed.policy else None
        return Staged("kubernetes", target, made, counts)
    target = PolicyRef(kind.lower(), policy.namespace, policy.name)
    if parsed.staged == "Delete":
        return Staged(policy.dialect, target, None, counts)
    spec = {key: value for key, value in policy.manifest.get("spec", {}).items() if key != "stagedAction"}
    made = replace(
        policy,
        kind=kind,
        manifest={**policy.manifest, "kind": kind, "spec": spec},
        parsed=replace(parsed, staged=""),
        needs=tuple(item for item in policy.needs if item != "staged"),
    )
    return Staged(policy.dialect, target, made, counts)
