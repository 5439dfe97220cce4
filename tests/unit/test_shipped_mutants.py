"""The mistakes that the mutation tests make, on manifests small enough to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.author.mutants import applied, mutants_of, name_of, with_mutant
from harness.dialects.kubernetes.mistakes import mistakes
from harness.scenario import load
from tests.lab.shipped import ROOT

Json = Mapping[str, Any]

LABELS = {"matchLabels": {"app": "web"}}
PORTS = [{"port": 80}]

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "deny all": (
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        [
            "podSelector: selects nobody",
            "policyTypes: not ingress",
            "policyTypes: not egress",
            "ingress: an empty rule added",
            "egress: an empty rule added",
        ],
    ),
    "an empty rule needs no second one": (
        {"podSelector": {}, "ingress": [{}]},
        ["podSelector: selects nobody", "policyTypes: not ingress", "ingress[0]: removed"],
    ),
    "a section that is not in policyTypes is left alone": (
        {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"ports": PORTS}]},
        ["podSelector: selects nobody", "policyTypes: not ingress", "ingress: an empty rule added"],
    ),
    "peer and port": (
        {"podSelector": LABELS, "ingress": [{"from": [{"podSelector": LABELS}], "ports": PORTS}]},
        [
            "podSelector: selects nobody",
            "podSelector: selects everybody",
            "policyTypes: not ingress",
            "ingress: an empty rule added",
            "ingress[0]: removed",
            "ingress[0]: any peer",
            "ingress[0]: any port",
            "ingress[0].from[0].podSelector: another app",
            "ingress[0].ports[0]: UDP instead of TCP",
            "ingress[0].ports[0]: 81 instead of 80",
        ],
    ),
    "hole in a block": (
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]}}]}],
        },
        [
            "podSelector: selects nobody",
            "policyTypes: not egress",
            "egress: an empty rule added",
            "egress[0]: removed",
            "egress[0]: any peer",
            "egress[0].to[0].ipBlock: no except 192.0.2.8/29",
            "egress[0].to[0].ipBlock: 192.0.2.0/23 instead of 192.0.2.0/24",
        ],
    ),
    "one peer and two": (
        {
            "podSelector": {},
            "ingress": [
                {"from": [{"namespaceSelector": {}, "podSelector": {}}]},
                {"from": [{"namespaceSelector": {}}, {"podSelector": {}}]},
            ],
        },
        [
            "podSelector: selects nobody",
            "policyTypes: not ingress",
            "ingress: an empty rule added",
            "ingress[0]: removed",
            "ingress[0]: any peer",
            "ingress[0].from[0]: no namespaceSelector",
            "ingress[0].from[0]: no podSelector",
            "ingress[0].from[0]: two alternatives of it",
            "ingress[1]: removed",
            "ingress[1]: any peer",
            "ingress[1].from[0]: removed",
            "ingress[1].from[0]: namespaceSelector becomes podSelector",
            "ingress[1].from[0]: one with the next",
            "ingress[1].from[1]: removed",
            "ingress[1].from[1]: podSelector becomes namespaceSelector",
        ],
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_mistakes_of_a_manifest(case: str) -> None:
    spec, expected = CASES[case]
    found = dict(mistakes({"metadata": {"name": "p"}, "spec": spec}))
    assert list(found) == expected
    assert all(manifest["spec"] != spec for manifest in found.values())


def test_without_its_only_direction_a_policy_isolates_the_other() -> None:
    found = dict(mistakes({"spec": {"podSelector": {}}}))
    assert found["policyTypes: not ingress"]["spec"]["policyTypes"] == ["Egress"]


def test_every_rule_and_direction_of_the_shipped_policies_is_broken_once() -> None:
    for scenario in load([ROOT]).scenarios:
        ids = {mutant.id for mutant in mutants_of(scenario)}
        for number, step in enumerate(scenario.steps):
            prefix = f"{step.name}: " if len(scenario.steps) > 1 else ""
            for policy in applied(scenario, number):
                name = f"{prefix}{name_of(policy)}"
                if policy.dialect in _UNBROKEN:
                    assert _UNBROKEN[policy.dialect](name, policy.manifest, ids) == []
                    continue
                types = policy.manifest["spec"].get("policyTypes") or ["Ingress"]
                if policy.dialect == "admin":
                    types = ["Ingress", "Egress"]
                for direction in (item.lower() for item in types):
                    assert policy.dialect == "admin" or f"{name} policyTypes: not {direction}" in ids
                    rules = policy.manifest["spec"].get(direction) or []
                    for index in range(len(rules)):
                        assert f"{name} {direction}[{index}]: removed" in ids


def _unbroken_of_cilium(name: str, manifest: Json, ids: set[str]) -> list[str]:
    """Mistakes in directions, rules and selectors of Cilium's that are not made."""
    items = {f"specs[{number}].": spec for number, spec in enumerate(manifest.get("specs") or [])}
    if manifest["kind"] != "CiliumCIDRGroup" and not items:
        items = {"": manifest["spec"]}
    wanted = []
    for place, spec in items.items():
        wanted.append(f"{place}endpointSelector: selects nobody")
        keys = [key for key in ("ingress", "ingressDeny", "egress", "egressDeny") if spec.get(key)]
        for direction in sorted({key.removesuffix("Deny") for key in keys}):
            other = not (spec.get("enableDefaultDeny") or {}).get(direction, True)
            wanted.append(f"{place}enableDefaultDeny.{direction}: {str(other).lower()}")
        if sum(len(spec[key]) for key in keys) > 1:
            wanted += [
                f"{place}{key}[{n}]: removed" for key in keys for n, rule in enumerate(spec[key]) if rule
            ]
        elif len(items) > 1:
            wanted.append(place.replace(".", ": removed"))
    return [item for item in wanted if f"{name} {item}" not in ids]


def _unbroken_of_calico(name: str, manifest: Json, ids: set[str]) -> list[str]:
    """The same of Calico's policies; nothing that is staged can be noticed, and Log decides nothing."""
    if manifest["kind"] not in ("NetworkPolicy", "GlobalNetworkPolicy"):
        return []
    spec = manifest["spec"]
    given = [key for key in ("ingress", "egress") if spec.get(key)]
    types = spec.get("types") or [key.capitalize() for key in given] or ["Ingress"]
    wanted = ["selector: selects nobody", *(f"types: not {item}" for item in types)]
    for key in given:
        rules = spec[key] if key.capitalize() in types else []
        wanted += [f"{key}[{n}]: removed" for n, rule in enumerate(rules) if rule["action"] != "Log"]
    return [item for item in wanted if f"{name} {item}" not in ids]


_UNBROKEN = {"cilium": _unbroken_of_cilium, "calico": _unbroken_of_calico}


def test_a_mutant_stands_until_the_policy_is_applied_anew() -> None:
    (scenario,) = (item for item in load([ROOT]).scenarios if item.name == "update-policy")
    first = next(mutant for mutant in mutants_of(scenario) if mutant.step == 0)
    changed = with_mutant(scenario, first)
    assert changed.steps[0].policies == (first.policy,)
    assert changed.steps[1].policies == scenario.steps[1].policies
