"""What all Kubernetes objects share: metadata, labels, label selectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.dialects import validate
from harness.dialects.fields import Field
from harness.dialects.selectors import LabelSelector, Operator, Requirement
from harness.model.topology import METADATA_NAME
from harness.source.diagnostics import did_you_mean
from harness.source.nodes import MappingNode

_METADATA = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)

_IDLE_ANNOTATIONS = {
    "projectcalico.org/policy-audit-mode": "to see what a policy would deny: Calico's StagedNetworkPolicy "
    "and its kin, or Cilium's policy audit mode",
}
"""Annotations that guides mention and that no CNI knows."""


def metadata(root: Field, field: Field | None) -> tuple[str, str]:
    """Name and namespace of an object, the latter empty when it names none.

    Args:
        root: The manifest, for the complaint that `metadata` is missing.
        field: Its `metadata`.
    """
    if field is None:
        root.error("missing-field", "`metadata` is missing", help="a policy needs `metadata: {name: …}`")
        return "", ""
    section = field.section(_METADATA)
    name = namespace = ""
    if "name" in section:
        name = section["name"].text() or ""
        if name or not section["name"].problems.errors:
            validate.object_name(section["name"], name)
    else:
        field.error("missing-field", "`name` is missing", help="netcheck and diffs need a fixed name")
    if "namespace" in section:
        namespace = section["namespace"].text() or ""
        if namespace:
            validate.namespace_name(section["namespace"], namespace)
    if "labels" in section:
        labels(section["labels"])
    if "annotations" in section:
        for key, item in section["annotations"].entries().items():
            item.text()
            if key in _IDLE_ANNOTATIONS:
                item.problems.warning(
                    "annotation-without-effect",
                    f"no CNI reads the annotation `{key}`: the policy is enforced like any other",
                    item.key or item.place,
                    help=_IDLE_ANNOTATIONS[key],
                )
    return name, namespace


def labels(field: Field) -> dict[str, str]:
    """Keys and values of a label mapping; `null` is the empty string, as for the API server."""
    found = {}
    for key, item in field.entries().items():
        good = validate.label_key(item, key)
        value = "" if item.null else item.text()
        if value is not None and validate.label_value(item, value) and good:
            found[key] = value
    return found


def selector(field: Field, *, of_namespaces: bool = False) -> LabelSelector:
    """A label selector.

    Args:
        field: Where it stands.
        of_namespaces: It selects namespaces, whose labels have traps of their own.
    """
    section = field.section(("matchLabels", "matchExpressions"), other="labels stand under `matchLabels:`")
    requirements = []
    if "matchLabels" in section:
        if of_namespaces and isinstance(section["matchLabels"].node, MappingNode):
            _namespace_name_label(section["matchLabels"].entries())
        requirements += [
            Requirement(key, Operator.IN, frozenset({value}))
            for key, value in labels(section["matchLabels"]).items()
        ]
    for item in section["matchExpressions"].items() if "matchExpressions" in section else ():
        found = requirement(item)
        if found:
            requirements.append(found)
    return LabelSelector(tuple(requirements))


def requirement(field: Field, valid: Callable[[Field, str], bool] = validate.label_key) -> Requirement | None:
    """An item of `matchExpressions`; None after an error.

    Args:
        field: Where it stands.
        valid: Checks its key, and reports what is wrong with it.
    """
    section = field.section(("key", "operator", "values"))
    key = operator = None
    if "key" in section:
        key = section["key"].text()
        if key is not None and not valid(section["key"], key):
            key = None
    else:
        field.error("missing-field", "`key` is missing")
    if "operator" in section:
        text = section["operator"].text()
        if text in tuple(Operator):
            operator = Operator(text)
        elif text is not None:
            section["operator"].error(
                "invalid-selector",
                f'"{text}" is not an operator',
                help=_near_operator(text) or ", ".join(Operator),
            )
    else:
        field.error("missing-field", "`operator` is missing", help=", ".join(Operator))
    if key is None or operator is None:
        return None
    items = section["values"].items() if "values" in section else ()
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST):
        if items:
            section["values"].error(
                "invalid-selector", f"{operator} takes no values", help="leave `values` out"
            )
        return Requirement(key, operator)
    if not items:
        field.error("invalid-selector", f"{operator} needs at least one value", help="write `values: [one]`")
    values = [(item, item.text()) for item in items]
    return Requirement(
        key,
        operator,
        frozenset(text for item, text in values if text is not None and validate.label_value(item, text)),
    )


def _near_operator(text: str) -> str:
    """Case and separators are the usual slips: `in`, `not_in`, `notin`."""
    folded = {item.lower(): item for item in Operator}
    same = folded.get("".join(character for character in text.lower() if character.isalpha()))
    return f'did you mean "{same}"?' if same else did_you_mean(text, Operator)


def _namespace_name_label(labels: Mapping[str, Field]) -> None:
    """`name` is no automatic label of namespaces (semantics.md 1.1, trap 1)."""
    field = labels.get("name")
    if field is not None:
        field.problems.warning(
            "namespace-name-label",
            f"{field.path}: Kubernetes sets no label `name` on namespaces, so this matches only those "
            "that were labelled so",
            field.key or field.place,
            help=f"the label that every namespace carries is `{METADATA_NAME}`",
        )
