"""Manifests of Cilium's policies to typed objects (semantics.md 3.3).

Two readers have to be content: the API server, which goes by the CRD, and the agents, which refuse some of
what the server takes.
"""

from __future__ import annotations

from harness.dialects.cilium import parse_peers, parse_selectors
from harness.dialects.cilium.needs import needs
from harness.dialects.cilium.parse_ports import boolean, icmp_fields, port_rules
from harness.dialects.cilium.refusals import refuse
from harness.dialects.cilium.selectors import EndpointSelector
from harness.dialects.cilium.types import CiliumPolicy, CiliumRule, CiliumSpec
from harness.dialects.fields import Field
from harness.dialects.objects import metadata
from harness.model.application import DnsRules, HttpRules
from harness.model.policy import Policy
from harness.model.rules import Action, Direction
from harness.source.diagnostics import Problems, did_you_mean
from harness.source.nodes import MappingNode
from harness.source.values import manifest_value

API = "cilium.io/v2"
NAMESPACED, CLUSTERWIDE = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"

_SECTIONS = {
    "ingress": (Direction.INGRESS, Action.ALLOW),
    "ingressDeny": (Direction.INGRESS, Action.DENY),
    "egress": (Direction.EGRESS, Action.ALLOW),
    "egressDeny": (Direction.EGRESS, Action.DENY),
}
_SPEC = ("endpointSelector", "nodeSelector", *_SECTIONS, "enableDefaultDeny", "description", "labels", "log")
_MODES = ("disabled", "required", "test-always-fail")
_GONE = "Cilium 1.19 has removed it: name all of what is wanted in one selector"


def parse(document: MappingNode, namespace: str, problems: Problems) -> Policy | None:
    """Read one policy; None when it has errors."""
    before = problems.errors
    root = Field(document, "", problems)
    top = root.section(
        ("apiVersion", "kind", "metadata", "spec", "specs", "status"),
        dict.fromkeys(_SPEC, "it belongs under `spec:`")
        | {"podSelector": "write `endpointSelector:` under `spec:`"}
        | dict.fromkeys(("name", "namespace"), "it belongs under `metadata:`"),
    )
    name, named = metadata(root, top.get("metadata"))
    kind = top["kind"].text() or ""
    if kind == CLUSTERWIDE:
        if named:
            place = top["metadata"].entries()["namespace"]
            place.warning("ignored-field", f"{kind} belongs to no namespace", help="leave it out")
        own = ""
    else:
        own = named or namespace
    specs: list[CiliumSpec] = []
    if "spec" not in top and "specs" not in top:
        root.error("missing-field", "`spec` is missing", help="write `spec:`, or a list of them as `specs:`")
    if "spec" in top:
        specs += _spec(top["spec"], own, "")
    for number, item in enumerate(top["specs"].items() if "specs" in top else ()):
        specs += _spec(item, own, f"specs[{number}].")
    if problems.errors > before:
        return None
    return Policy(
        dialect="cilium",
        api_version=API,
        kind=kind,
        namespace=own,
        name=name,
        manifest=manifest_value(document),
        parsed=CiliumPolicy(own, tuple(specs), document.place),
        place=document.place,
        needs=tuple(dict.fromkeys(needs(specs))),
        document=document,
    )


def _spec(field: Field, namespace: str, prefix: str) -> tuple[CiliumSpec, ...]:
    spec = field.section(
        _SPEC,
        {
            "podSelector": "write `endpointSelector:`",
            "policyTypes": "the sections that are there say it; `enableDefaultDeny:` says otherwise",
            "authentication": "it belongs to a rule",
        },
    )
    subject, nodes = _selected(field, spec, namespace)
    rules: dict[str, tuple[CiliumRule, ...]] = {}
    for name, (direction, action) in _SECTIONS.items():
        items = spec[name].items() if name in spec else ()
        rules[name] = tuple(
            _rule(item, direction, action, namespace, subject, f"{prefix}{name}[{number}]")
            for number, item in enumerate(items)
        )
        if nodes is not None and action is Action.ALLOW:
            _of_nodes(spec.get(name), rules[name], direction)
    if not any(rules.values()):
        given = [name for name in _SECTIONS if name in spec]
        sections = ", ".join(_SECTIONS)
        if not given:
            field.error("missing-field", f"one of {sections} must stand here")
        else:
            refuse(
                spec[given[0]],
                f"there is no rule in any of {sections}",
                f"for a policy that denies everything write `{given[0].removesuffix('Deny')}: [{{}}]`",
            )
    isolates = _isolates(spec.get("enableDefaultDeny"), rules)
    return (
        CiliumSpec(
            subject,
            nodes,
            (*rules["ingress"], *rules["ingressDeny"]),
            (*rules["egress"], *rules["egressDeny"]),
            isolates,
            field.place,
        ),
    )


def _selected(
    field: Field, spec: dict[str, Field], namespace: str
) -> tuple[EndpointSelector | None, EndpointSelector | None]:
    """Endpoints or nodes; selectors that are `null` count as absent."""
    if "endpointSelector" in spec and "nodeSelector" in spec:
        spec["nodeSelector"].error(
            "invalid-selector",
            "endpointSelector and nodeSelector stand in one policy",
            help="make two policies of it",
        )
    elif "endpointSelector" not in spec and "nodeSelector" not in spec:
        field.error(
            "missing-field",
            "`endpointSelector` is missing",
            help="for every pod write `endpointSelector: {}`",
        )
    subject = (
        parse_selectors.subject(spec["endpointSelector"], namespace) if "endpointSelector" in spec else None
    )
    nodes = None
    if "nodeSelector" in spec:
        nodes = parse_selectors.plain(spec["nodeSelector"])
        if namespace:
            refuse(
                spec["nodeSelector"],
                "a policy of one namespace with a nodeSelector",
                f"make a {CLUSTERWIDE} of it",
            )
    return subject, nodes


def _of_nodes(field: Field | None, rules: tuple[CiliumRule, ...], direction: Direction) -> None:
    for rule in rules:
        kinds = {type(port.application) for port in rule.ports}
        if field is not None and (
            HttpRules in kinds or (DnsRules in kinds and direction is Direction.INGRESS)
        ):
            refuse(field, f"{rule.name} looks into what nodes send, which is possible for DNS in egress only")


def _isolates(field: Field | None, rules: dict[str, tuple[CiliumRule, ...]]) -> frozenset[Direction]:
    """Directions with rules, unless `enableDefaultDeny` takes them out; without rules it adds none."""
    given = field.section(tuple(Direction)) if field is not None else {}
    found = set()
    for direction in Direction:
        wanted = boolean(given[direction]) if direction in given else True
        if wanted and (rules[direction] or rules[f"{direction}Deny"]):
            found.add(direction)
        elif wanted and direction in given:
            given[direction].warning(
                "ignored-field",
                f"there is no {direction} rule, so nothing is denied by default",
                help=f"write `{direction}: [{{}}]` as well",
            )
    return frozenset(found)


def _rule(
    field: Field,
    direction: Direction,
    action: Action,
    namespace: str,
    subject: EndpointSelector | None,
    name: str,
) -> CiliumRule:
    deny = action is Action.DENY
    names = parse_peers.fields(direction, deny=deny)
    side = "from" if direction is Direction.INGRESS else "to"
    other = "to" if direction is Direction.INGRESS else "from"
    hints = {f"{side}Requires": _GONE}
    hints |= {
        f"{other}{kind}": f"{direction} rules say `{side}{kind}`: `{other}…` belongs to the other direction"
        for kind in ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups")
    }
    hints |= {side: f"write `{side}Endpoints:`", "ports": "write `toPorts: [{ports: […]}]`"}
    if deny:
        hints["toFQDNs"] = "names of hosts can only be allowed"
        hints["authentication"] = "it belongs to rules that allow"
    known = (*names, "toPorts", "icmps", *(() if deny else ("authentication",)))
    section = _without_gone(field, side).section(known, hints)
    found, peers = parse_peers.peers(section, names, namespace, subject)
    ports = port_rules(section["toPorts"], direction, deny=deny) if "toPorts" in section else ()
    icmps = icmp_fields(section["icmps"]) if "icmps" in section else ()
    if ports and section.get("icmps") is not None and section["icmps"].items():
        refuse(section["icmps"], "icmps beside toPorts", "make two rules of it")
    mode = _authentication(section["authentication"]) if "authentication" in section else ""
    return CiliumRule(name, action, found, peers, ports, icmps, mode, field.place)


def _without_gone(field: Field, side: str) -> Field:
    """The rule without an empty `fromRequires` or `toRequires`, which the CRD still lets stand."""
    name = f"{side}Requires"
    if not isinstance(field.node, MappingNode):
        return field
    entries = field.entries()
    if name not in entries or (not entries[name].null and entries[name].items()):
        return field
    kept = tuple(pair for pair in field.node.items if pair[0].text != name)
    return Field(MappingNode(kept, field.node.place), field.path, field.problems, field.key)


def _authentication(field: Field) -> str:
    section = field.section(("mode",))
    if "mode" not in section:
        field.error("missing-field", "`mode` is missing", help=", ".join(_MODES))
        return ""
    text = section["mode"].text()
    if text is not None and text not in _MODES:
        section["mode"].error(
            "invalid-rules",
            f'"{text}" is not a mode of authentication',
            help=did_you_mean(text, _MODES) or ", ".join(_MODES),
        )
    return text or ""
