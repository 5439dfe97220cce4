"""Calico's policies from short texts, and a world for them; shared by the tests of the dialect."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from harness.model.policy import Policy
from harness.model.topology import Service, ServicePort, Topology
from harness.source.diagnostics import Diagnostic
from tests.unit.kubernetes_worlds import pod, read, world


def calico(spec: str, name: str = "p", namespace: str = "shop", *, staged: bool = False) -> Policy:
    """A NetworkPolicy of Calico's that must be valid; a global one without a namespace."""
    policy, problems = parsed(spec, name, namespace, staged=staged)
    assert policy is not None, [str(item) for item in problems]
    return policy


def parsed(
    spec: str, name: str = "p", namespace: str = "shop", *, staged: bool = False
) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    """The same with everything that is said about it."""
    kind = f"{'Staged' if staged else ''}{'' if namespace else 'Global'}NetworkPolicy"
    return thing(kind, spec, name, namespace)


def thing(
    kind: str, spec: str, name: str = "p", namespace: str = "", labels: str = "{}"
) -> tuple[Policy | None, tuple[Diagnostic, ...]]:
    """Any object of Calico's."""
    place = f", namespace: {namespace}" if namespace else ""
    body = textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ")
    text = (
        f"apiVersion: projectcalico.org/v3\nkind: {kind}\n"
        f"metadata: {{name: {name}, labels: {labels}{place}}}\nspec:\n{body}\n"
    )
    (found,), problems = read(text, "shop")
    return found, tuple(problems.found)


def made(kind: str, spec: str, name: str = "p", namespace: str = "", labels: str = "{}") -> Policy:
    """Any object of Calico's that must be valid."""
    policy, problems = thing(kind, spec, name, namespace, labels)
    assert policy is not None, [str(item) for item in problems]
    return policy


def tier(name: str, order: float, action: str = "Deny") -> Policy:
    """A Tier."""
    return made("Tier", f"{{order: {order}, defaultAction: {action}}}", name)


def nets(*networks: str, name: str = "partners", namespace: str = "", labels: str = "{}") -> Policy:
    """A NetworkSet; a global one without a namespace."""
    listed = ", ".join(f'"{item}"' for item in networks)
    kind = "NetworkSet" if namespace else "GlobalNetworkSet"
    return made(kind, f"{{nets: [{listed}]}}", name, namespace, labels)


def shop() -> Topology:
    """Two namespaces, two nodes, two externals; `far` runs on another node than `web`."""
    return world(
        pod("shop/web", app="web", listen="http=80 8080 dns=53/UDP", node="a"),
        pod("shop/cli", app="cli", env="prod", node="a"),
        replace(pod("shop/far", app="far", node="b"), service_account="robot"),
        replace(pod("blue/cli", app="cli", node="b"), service_account="robot"),
        pod("blue/web", app="web", listen="http=81 80", node="b"),
        pod("shop/host", app="cli", host=True, listen="9100", node="a"),
        namespaces={"shop": {"team": "red"}, "blue": {"team": "blue"}},
        externals={"in": "203.0.113.10 2001:db8::10", "out": "198.51.100.1 2001:db8:1::1"},
        services=(Service("blue", "web", {"app": "web"}, (ServicePort(8000, "http"),)),),
    )
