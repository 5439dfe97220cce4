"""CiliumCIDRGroup: addresses that policies refer to."""

from __future__ import annotations

from collections.abc import Sequence

from harness.dialects import validate
from harness.dialects.cilium.types import CidrGroup, CiliumPolicy, GroupPeer
from harness.dialects.fields import Field
from harness.dialects.objects import labels, metadata
from harness.model.policy import Policy
from harness.model.rules import Direction
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Problems, Severity, did_you_mean
from harness.source.nodes import MappingNode
from harness.source.values import manifest_value

KIND = "CiliumCIDRGroup"


def unknown(policies: Sequence[Policy]) -> dict[Place, list[Diagnostic]]:
    """Policies that refer to groups of which there is none among them, by the place of the policy."""
    groups = [policy.parsed for policy in policies if isinstance(policy.parsed, CidrGroup)]
    found: dict[Place, list[Diagnostic]] = {}
    for policy in policies:
        if not isinstance(policy.parsed, CiliumPolicy):
            continue
        for spec in policy.parsed.specs:
            peers = (
                peer for direction in Direction for rule in spec.rules(direction) for peer in rule.peers or ()
            )
            for peer in peers:
                if isinstance(peer, GroupPeer) and not any(peer.means(group) for group in groups):
                    found.setdefault(policy.place, []).append(_unknown(peer, groups))
    return found


def _unknown(peer: GroupPeer, groups: Sequence[CidrGroup]) -> Diagnostic:
    names = sorted(group.name for group in groups)
    which = f"there is no {KIND} {peer.name}" if peer.selector is None else f"no {KIND} has these labels"
    near = did_you_mean(peer.name, names) if peer.selector is None else ""
    return Diagnostic(
        "unknown-cidr-group",
        Severity.WARNING,
        f"{which} among the policies, so the rule means no address by it",
        peer.place,
        near or "apply the group together with the policy, or correct the reference",
    )


def parse(document: MappingNode, problems: Problems) -> Policy | None:
    """Read one group; None when it has errors."""
    before = problems.errors
    root = Field(document, "", problems)
    top = root.section(
        ("apiVersion", "kind", "metadata", "spec"), {"externalCIDRs": "it belongs under `spec:`"}
    )
    name, named = metadata(root, top.get("metadata"))
    own: dict[str, str] = {}
    if "metadata" in top:
        inner = top["metadata"].entries()
        if named:
            inner["namespace"].warning(
                "ignored-field", f"{KIND} belongs to no namespace", help="leave it out"
            )
        if "labels" in inner and problems.errors == before:
            own = labels(inner["labels"])
    networks = []
    if "spec" not in top:
        root.error("missing-field", "`spec` is missing", help="write `spec: {externalCIDRs: […]}`")
    else:
        spec = top["spec"].section(("externalCIDRs",), {"cidrs": "write `externalCIDRs:`"})
        if "externalCIDRs" not in spec:
            top["spec"].error("missing-field", "`externalCIDRs` is missing", help="an empty list is `[]`")
        for item in spec["externalCIDRs"].items() if "externalCIDRs" in spec else ():
            text = item.text()
            network = validate.cidr(item, text, strict=True, host_bits=True) if text is not None else None
            if network is not None:
                networks.append(network)
    if problems.errors > before:
        return None
    api = top["apiVersion"].text() or ""
    parsed = CidrGroup(name, tuple(own.items()), tuple(networks), document.place)
    return Policy(
        dialect="cilium",
        api_version=api,
        kind=KIND,
        namespace="",
        name=name,
        manifest=manifest_value(document),
        parsed=parsed,
        place=document.place,
        document=document,
    )
