"""Manifests of `policy.networking.k8s.io` to typed objects, as strictly as their CRDs (semantics.md 3.2)."""

from __future__ import annotations

from harness.dialects.admin import lint, ports
from harness.dialects.admin.peers import peer, pod_set
from harness.dialects.admin.types import AdminPolicy, AdminRule, AdminTier
from harness.dialects.admin.versions import FORMS, GROUP, Form
from harness.dialects.fields import Field
from harness.dialects.objects import metadata
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import MappingNode, ScalarNode
from harness.source.values import manifest_value

_SPEC = ("tier", "priority", "subject", "ingress", "egress")
_OTHER_ACTION = {"Accept": "Allow", "Allow": "Accept", "Drop": "Deny", "Reject": "Deny"}
_SIDES = {Direction.INGRESS: ("from", "to"), Direction.EGRESS: ("to", "from")}
_HIGHEST_PRIORITY = 1000
_LONGEST_NAME = 100


def parse(document: MappingNode, problems: Problems) -> Policy | None:
    """Read one manifest whose kind is among `FORMS`; None when it has errors."""
    before = problems.errors
    api_version, kind = (_word(document, key) for key in ("apiVersion", "kind"))
    form = FORMS[api_version, kind]
    root = Field(document, "", problems)
    top = root.section(
        ("apiVersion", "kind", "metadata", "spec", "status"),
        dict.fromkeys(_SPEC, "it belongs under `spec:`") | {"name": "it belongs under `metadata:`"},
    )
    name, namespace = metadata(root, top.get("metadata"))
    if namespace:
        place = top["metadata"].entries()["namespace"]
        place.warning("ignored-field", f"{kind} belongs to no namespace", help="leave it out")
    if form.name and name not in ("", form.name):
        place = top["metadata"].entries()["name"]
        place.error(
            "invalid-name",
            f"a cluster has one {kind}, and its name is `{form.name}`",
            help=f"write `name: {form.name}`",
        )
    spec = _spec(root, top.get("spec"), form)
    if problems.errors > before or spec is None:
        return None
    return Policy(
        dialect="admin",
        api_version=api_version,
        kind=kind,
        namespace="",
        name=name,
        manifest=manifest_value(document),
        parsed=spec,
        place=document.place,
        document=document,
    )


def _word(document: MappingNode, key: str) -> str:
    node = document.get(key)
    return node.text if isinstance(node, ScalarNode) else ""


def _spec(root: Field, field: Field | None, form: Form) -> AdminPolicy | None:
    if field is None:
        root.error("missing-field", "`spec` is missing", help="write `spec: {subject: …}`")
        return None
    known = [name for name in _SPEC if getattr(form, {"tier": "tiers"}.get(name, name), True)]
    spec = field.section(
        known,
        {
            "podSelector": "the selected pods stand in `subject:`",
            "policyTypes": "a policy concerns the directions that have rules",
            "tier": f"only ClusterNetworkPolicy ({GROUP}/v1alpha2) has tiers",
            "priority": "there is only one policy of this kind, so it has no priority",
        },
    )
    if "subject" in spec:
        subject = pod_set(spec["subject"], form, "subject")
    else:
        field.error("missing-field", "`subject` is missing", help="for all pods: `subject: {namespaces: {}}`")
        subject = None
    tier = _tier(field, spec, form)
    priority = _priority(field, spec) if form.priority else 0
    rules = {
        direction: _rules(spec.get(direction.value), direction, form)
        for direction in (Direction.INGRESS, Direction.EGRESS)
    }
    if not any(rules.values()):
        lint.without_rules(field)
    if subject is None or tier is None or priority is None:
        return None
    return AdminPolicy(tier, priority, subject, rules[Direction.INGRESS], rules[Direction.EGRESS], root.place)


def _tier(field: Field, spec: dict[str, Field], form: Form) -> AdminTier | None:
    if not form.tiers:
        return AdminTier.ADMIN if form.priority else AdminTier.BASELINE
    if "tier" not in spec:
        field.error("missing-field", "`tier` is missing", help="Admin (before NetworkPolicies) or Baseline")
        return None
    text = spec["tier"].text()
    if text in tuple(AdminTier):
        return AdminTier(text)
    if text is not None:
        near = did_you_mean(text.capitalize(), AdminTier)
        spec["tier"].error("invalid-tier", f'"{text}" is not a tier', help=near or "Admin or Baseline")
    return None


def _priority(field: Field, spec: dict[str, Field]) -> int | None:
    if "priority" not in spec:
        field.error("missing-field", "`priority` is missing", help="a number from 0 (first) to 1000")
        return None
    number = spec["priority"].integer()
    if number is None or 0 <= number <= _HIGHEST_PRIORITY:
        return number
    spec["priority"].error(
        "invalid-priority", f"priority {number} is out of range", help="a number from 0 (first) to 1000"
    )
    return None


def _rules(field: Field | None, direction: Direction, form: Form) -> tuple[AdminRule, ...]:
    if field is None:
        return ()
    items = field.items()
    at_most(field, len(items), form.most, "rules")
    return tuple(rule for item in items if (rule := _rule(item, direction, form)))


def at_most(field: Field, count: int, most: int, what: str) -> None:
    """Complain about a list that is longer than the CRD takes."""
    if count > most:
        field.error("too-many", f"{count} {what}, but at most {most} may stand here", help="split the list")


def _rule(field: Field, direction: Direction, form: Form) -> AdminRule | None:
    before = field.problems.errors
    own, other = _SIDES[direction]
    other_ports = "ports" if form.ports == "protocols" else "protocols"
    section = field.section(
        ("name", "action", own, form.ports),
        {
            other: f"{direction} rules say `{own}`: `{other}` belongs to the other direction",
            other_ports: f"this kind says `{form.ports}:`",
        },
    )
    name = (section["name"].text() or "") if "name" in section else ""
    if len(name) > _LONGEST_NAME:
        section["name"].error(
            "invalid-name", f"a rule's name has at most {_LONGEST_NAME} characters, this one {len(name)}"
        )
    action = _action(field, section.get("action"), form)
    peers = []
    if own in section:
        items = section[own].items()
        if not items:
            _empty(section[own], own)
        at_most(section[own], len(items), form.most, "peers")
        peers = [found for item in items if (found := peer(item, direction, form))]
    else:
        _empty(field, own)
    found_ports = ports.ports(section[form.ports], form) if form.ports in section else ()
    if action is None or field.problems.errors > before:
        return None
    rule = AdminRule(name, action, tuple(peers), found_ports, field.place)
    lint.names_of_ports(field, rule)
    lint.names_of_hosts(field, rule)
    return rule if field.problems.errors == before else None


def _empty(field: Field, own: str) -> None:
    field.error(
        "missing-field",
        f"`{own}` needs at least one peer",
        help=f"for all pods: `{own}: [{{namespaces: {{}}}}]`; unlike in NetworkPolicy an empty list is no "
        "peer at all",
    )


def _action(field: Field, value: Field | None, form: Form) -> Action | None:
    choice = ", ".join(form.actions)
    if value is None:
        field.error("missing-field", "`action` is missing", help=choice)
        return None
    text = value.text()
    if text is None:
        return None
    if text in form.actions:
        return form.actions[text]
    other = _OTHER_ACTION.get(text.capitalize(), "")
    near = (
        f'did you mean "{other}"?' if other in form.actions else did_you_mean(text.capitalize(), form.actions)
    )
    value.error("invalid-action", f'"{text}" is not an action of this kind', help=near or choice)
    return None
