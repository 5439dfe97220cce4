"""All dialects, and the way from a manifest to the room that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from harness.dialects.admin import Admin
from harness.dialects.base import Dialect
from harness.dialects.calico import Calico
from harness.dialects.cilium import Cilium
from harness.dialects.kubernetes import Kubernetes
from harness.dialects.material import Material
from harness.dialects.spiffe import cluster_spiffe_id
from harness.dialects.staged import Staged
from harness.model.policy import Policy
from harness.model.rules import Stage, merged
from harness.model.topology import Topology
from harness.source.diagnostics import Fix, Problems, did_you_mean
from harness.source.nodes import MappingNode, ScalarNode

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (Cilium(), Calico(Kubernetes().parse), Admin(), Kubernetes())}
)
"""Every dialect by name, in the order in which they are looked through."""

_DECLARED_ELSEWHERE = {
    "Pod": "pods",
    "Deployment": "pods",
    "StatefulSet": "pods",
    "DaemonSet": "pods",
    "ReplicaSet": "pods",
    "Namespace": "namespaces",
    "Service": "services",
}
"""Kinds that people put beside a policy, and where a scenario declares what they stand for."""

_GONE = frozenset({("extensions/v1beta1", "NetworkPolicy")})
"""Former API versions whose fields are those of today's."""

_INSTEAD = {
    "SPIREIdentity": "SPIRE's own kind is ClusterSPIFFEID; it issues identities, which no NetworkPolicy "
    "sees: policies select pods by labels, or by service account with Calico or Cilium",
    "SpiffeID": "SPIRE's own kind is ClusterSPIFFEID; no NetworkPolicy sees what it issues",
}
"""Kinds that guides print and nobody serves, with what is meant (semantics.md 1.5)."""


def kinds() -> dict[tuple[str, str], Dialect]:
    """Every `(apiVersion, kind)` that this version reads, with its dialect."""
    return {pair: dialect for dialect in DIALECTS.values() for pair in sorted(dialect.kinds)}


def parse_manifest(document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
    """Read one manifest of whatever dialect its `apiVersion` and `kind` name.

    Args:
        document: The manifest with its places.
        namespace: Namespace for a manifest that names none.
        problems: Receives what the API server would refuse (errors) and what is worth a look (warnings).

    Returns:
        The policy, or None when it has errors.
    """
    before = problems.errors
    api_version = _type_word(document, "apiVersion", problems)
    kind = _type_word(document, "kind", problems)
    if api_version is None or kind is None or problems.errors > before:
        return None
    dialect = kinds().get((api_version.text, kind.text))
    if dialect is not None:
        return dialect.parse(document, namespace, problems)
    _refuse(document, api_version, kind, problems)
    return None


def concerns(document: MappingNode) -> bool:
    """Whether a manifest is a policy, or was meant to be one: what else stands beside policies is not read.

    The API groups of policies hold other kinds as well, such as Ingress; those say nothing of policies.
    """
    group, _, _ = _word(document, "apiVersion").partition("/")
    kind = _word(document, "kind")
    names = {name for _, name in kinds()}
    if kind in names or kind in _INSTEAD:
        return True
    if group not in {version.partition("/")[0] for version, _ in kinds()}:
        return False
    return not kind or "polic" in kind.lower() or bool(_near_kind(f"{group}/", kind))


def _word(document: MappingNode, key: str) -> str:
    found = document.get(key)
    return found.text if isinstance(found, ScalarNode) else ""


def compile_all(policies: Sequence[Policy], topology: Topology) -> tuple[Stage, ...]:
    """Neutral stages of all policies, tier by tier, for the pods and labels of `topology`."""
    stages: list[Stage] = []
    for name, dialect in DIALECTS.items():
        mine = [policy for policy in policies if policy.dialect == name]
        if mine:
            stages.extend(dialect.compile(mine, topology))
    return merged(stages)


def carried(policies: Sequence[Policy]) -> Policy | None:
    """The first object that only a cluster understands: paper is silent beside a host endpoint."""
    for policy in policies:
        if getattr(policy.parsed, "unread", False):
            return policy
    return None


def staged(policy: Policy) -> Staged | None:
    """What a policy stands for that is told of and not enforced; None for any other."""
    return DIALECTS[policy.dialect].staged(policy)


def of_nodes(policies: Sequence[Policy]) -> Policy | None:
    """The first policy that has a say about nodes, as Cilium's host firewall enforces it."""
    for policy in policies:
        if getattr(policy.parsed, "of_nodes", False):
            return policy
    return None


def material(policies: Sequence[Policy]) -> Material:
    """What the selectors, ports and blocks of all policies speak of, dialect by dialect."""
    found = [
        dialect.material([policy for policy in policies if policy.dialect == name])
        for name, dialect in DIALECTS.items()
    ]
    return Material(
        tuple(wish for item in found for wish in item.pods),
        tuple(wish for item in found for wish in item.blocks),
        tuple(dict.fromkeys(port for item in found for port in item.anywhere)),
        tuple(dict.fromkeys(name for item in found for name in item.namespaces)),
        tuple(dict.fromkeys(one for item in found for one in item.pod_selectors)),
        tuple(dict.fromkeys(one for item in found for one in item.namespace_selectors)),
    )


def _type_word(document: MappingNode, key: str, problems: Problems) -> ScalarNode | None:
    node = document.get(key)
    if isinstance(node, ScalarNode) and node.text:
        return node
    if node is not None:
        problems.error("manifest-type", f"`{key}` must be a word", node.place, help=_reads())
        return None
    near = next((name for name in document if name.lower() == key.lower()), "")
    problems.error(
        "manifest-type",
        f"the manifest has no `{key}`",
        document.place,
        help=f"write `{key}:` instead of `{near}:`" if near else _reads(),
    )
    return None


def _refuse(document: MappingNode, api_version: ScalarNode, kind: ScalarNode, problems: Problems) -> None:
    known = kinds()
    same_kind = [pair for pair in known if pair[1] == kind.text]
    if same_kind:
        group = api_version.text.split("/")[0]
        near = [pair for pair in same_kind if pair[0].split("/")[0] == group]
        # A NetworkPolicy is Kubernetes' own, unless its group says that it is Calico's.
        own = [pair for pair in same_kind if known[pair].name != "calico"]
        versions = " or ".join(version for version, _ in near or own or same_kind)
        gone = (api_version.text, kind.text) in _GONE
        why = "was removed from Kubernetes" if gone else "is not a kind that this version reads"
        problems.error(
            "unknown-api-version",
            f"{kind.text} of `{api_version.text}` {why}",
            api_version.place,
            help=f"write `apiVersion: {versions}`",
            fix=Fix(api_version.place, versions) if gone else None,
        )
        return
    if kind.text in _INSTEAD:
        problems.error(
            "unknown-kind",
            f"kind `{kind.text}` of `{api_version.text}` is served by nothing",
            kind.place,
            help=_INSTEAD[kind.text] + "; SPIRE's controller manager takes",
            instead=cluster_spiffe_id(document),
        )
        return
    hint = _near_kind(api_version.text, kind.text)
    if not hint and kind.text in _DECLARED_ELSEWHERE:
        hint = f"a scenario declares these under `{_DECLARED_ELSEWHERE[kind.text]}:`;"
    if not hint and kind.text.endswith("List"):
        hint = "write the items of a list as documents of their own, separated by `---`;"
    problems.error(
        "unknown-kind",
        f"kind `{kind.text}` of `{api_version.text}` is not a policy kind that this version reads",
        kind.place,
        help=hint if hint.endswith("?") else f"{hint} {_reads()}".strip(),
    )


_FIRST = (
    *("networking.k8s.io", "policy.networking.k8s.io", "cilium.io"),
    *("projectcalico.org", "crd.projectcalico.org"),
)
"""API groups in the order in which they are named."""


def _near_kind(api_version: str, kind: str) -> str:
    """Kinds of the same API group first: a plural or another case is the usual slip."""
    group = [name for version, name in kinds() if version.split("/")[0] == api_version.split("/")[0]]
    folded = {name.lower(): name for name in group}
    for form in (kind.lower(), kind.lower().removesuffix("ies") + "y", kind.lower().removesuffix("s")):
        if form in folded:
            return f'did you mean "{folded[form]}"?'
    return did_you_mean(kind, group)


def _reads() -> str:
    """Kinds by API group, NetworkPolicy's first; the version where there is but one.

    Calico's stand as a group: there are many, and whoever writes them knows their names.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    read = [pair for pair, dialect in kinds().items() if dialect.name != "calico"]
    for version, kind in sorted(read, key=lambda pair: _FIRST.index(pair[0].split("/")[0])):
        groups.setdefault(version.split("/")[0], []).append((version, kind))
    parts = []
    for group, pairs in groups.items():
        versions = {version for version, _ in pairs}
        names = dict.fromkeys(kind for _, kind in pairs)
        parts.append(f"{', '.join(names)} ({versions.pop() if len(versions) == 1 else group})")
    return f"this version reads {'; '.join(parts)}; and those of projectcalico.org/v3"
