"""What was meant where somebody writes SPIFFE into policies: forms that servers take (semantics.md 1.5)."""

from __future__ import annotations

import re

from harness.source.nodes import MappingNode, Node, ScalarNode, SequenceNode

_BY_ACCOUNT = re.compile(r"spiffe://[^/]+/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)")
_TEMPLATE = "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}"
_PLAIN = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*")

_WORDS = ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
"""Words that YAML takes for something else than a text."""


def cluster_spiffe_id(document: MappingNode) -> str:
    """The ClusterSPIFFEID that a made-up kind must have meant, as YAML."""
    spec = document.get("spec")
    labels = _at(_at(spec, "selector"), "matchLabels")
    names = _at(spec, "dnsNames")
    lines = [
        "apiVersion: spire.spiffe.io/v1alpha1",
        "kind: ClusterSPIFFEID",
        "metadata:",
        f"  name: {_text(_at(document.get('metadata'), 'name')) or 'NAME'}",
        "spec:",
        f'  spiffeIDTemplate: "{_TEMPLATE}"',
    ]
    found = labels.items if isinstance(labels, MappingNode) else ()
    pairs = [(key.text, value.text) for key, value in found if isinstance(value, ScalarNode)]
    if pairs:
        lines += ["  podSelector:", "    matchLabels:"]
        lines += [f"      {_quoted(key)}: {_quoted(value)}" for key, value in pairs]
    listed = names.items if isinstance(names, SequenceNode) else ()
    hosts = [item.text for item in listed if isinstance(item, ScalarNode)]
    if hosts:
        lines += ["  dnsNameTemplates:", *(f"    - {_quoted(host)}" for host in hosts)]
    return "\n".join(lines)


def by_account(identity: str, path: str) -> str:
    """Peers of Cilium and Calico that select by service account, as YAML.

    Args:
        identity: The SPIFFE ID that stands where a label's value belongs.
        path: Where it stands in its policy.
    """
    found = _BY_ACCOUNT.fullmatch(identity)
    namespace, account = (found["namespace"], found["account"]) if found else ("NAMESPACE", "ACCOUNT")
    out = ".egress[" in path
    peers, end = ("toEndpoints", "destination") if out else ("fromEndpoints", "source")
    return "\n".join(
        [
            "# Cilium (cilium.io/v2, CiliumNetworkPolicy):",
            f"{peers}:",
            "  - matchLabels:",
            f"      k8s:io.kubernetes.pod.namespace: {namespace}",
            f"      k8s:io.cilium.k8s.policy.serviceaccount: {account}",
            "# Calico (projectcalico.org/v3, NetworkPolicy):",
            f"{end}:",
            f"  namespaceSelector: projectcalico.org/name == '{namespace}'",
            f"  serviceAccounts: {{names: [{account}]}}",
        ]
    )


def _at(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, MappingNode) else None


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, ScalarNode) else ""


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
