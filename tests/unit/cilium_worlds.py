"""Cilium's policies from short texts, and a world for them; shared by the tests of the dialect."""

from __future__ import annotations

import textwrap

from harness.model.policy import Policy
from harness.model.topology import Topology
from harness.source.diagnostics import Diagnostic
from tests.unit.kubernetes_worlds import pod, read, world


def cnp(spec: str, name: str = "p", namespace: str = "shop") -> Policy:
    """A CiliumNetworkPolicy that must be valid; clusterwide without a namespace."""
    policy, problems = parsed(spec, name, namespace)
    assert policy is not None, [str(item) for item in problems]
    return policy


def parsed(
    spec: str, name: str = "p", namespace: str = "shop"
) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    """The same with everything that is said about it."""
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    place = f", namespace: {namespace}" if namespace else ""
    body = textwrap.dedent(spec).strip("\n")
    if not body.startswith("specs:"):
        body = "spec:\n" + textwrap.indent(body, "  ")
    text = f"apiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: {name}{place}}}\n{body}\n"
    (found,), problems = read(text, "shop")
    return found, tuple(problems.found)


def group(*networks: str, name: str = "partners", labels: str = "{}") -> Policy:
    """A CiliumCIDRGroup."""
    listed = ", ".join(f'"{item}"' for item in networks)
    text = (
        f"apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: {name}, labels: {labels}}}\n"
        f"spec: {{externalCIDRs: [{listed}]}}\n"
    )
    (found,), problems = read(text)
    assert found is not None, [str(item) for item in problems.found]
    return found


def shop() -> Topology:
    """Two namespaces, two nodes, two externals; `far` runs on another node than `web`."""
    return world(
        pod("shop/web", app="web", listen="http=80 8080 dns=53/UDP", node="a"),
        pod("shop/cli", app="cli", env="prod", node="a"),
        pod("shop/far", app="far", node="b"),
        pod("blue/cli", app="cli", node="b"),
        pod("blue/web", app="web", listen="http=80", node="b"),
        pod("shop/host", app="cli", host=True, listen="9100", node="a"),
        namespaces={"shop": {"team": "red"}, "blue": {"team": "blue"}},
        externals={"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1 2001:db8:1::1"},
    )
