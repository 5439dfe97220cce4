"""What the user's cluster asks of pods: a file with tolerations, resources, annotations and the like.

Only what netcheck's proof does not rest on may be set; everything else is refused when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.clusters.kube import svids
from harness.clusters.kube.svids import SvidFiles, WorkloadApi
from harness.dialects import validate
from harness.dialects.fields import Field
from harness.source.diagnostics import Diagnostic, Problems
from harness.source.nodes import ScalarNode
from harness.source.reader import read_file
from harness.source.sources import Sources
from harness.source.values import manifest_value

Json = dict[str, Any]

BY_CLUSTER = "cluster"
"""As `runAsUser` or `runAsGroup`: leave it out, the cluster assigns it (OpenShift does)."""

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kKMGTPE]i?)?")
_OWN = "netcheck.dev/"


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """Additions to every pod, the canaries included.

    Attributes:
        labels: Must matter to no policy, service or pod of a scenario.
        annotations: Any.
        node_selector: Narrows the nodes that are used.
        tolerations: As Kubernetes writes them; nodes with such taints are used.
        spec: Fields of the pod's spec that are taken over as they are.
        security: Fields of the pod's security context; None = left to the cluster.
        resources: Requests and limits of the container.
        injected: Containers that the cluster may add to a pod without the run being an error.
        spiffe: What gives pods SPIFFE's Workload API.
        svid_files: What gives pods the files of a certificate; None = nothing does.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Json, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    security: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    injected: frozenset[str] = frozenset()
    spiffe: WorkloadApi = field(default_factory=WorkloadApi)
    svid_files: SvidFiles | None = None


def load(path: Path) -> tuple[PodTemplate, list[Diagnostic], Sources]:
    """Read a template; nothing is raised, and with errors among the diagnostics it is of no use."""
    problems, sources = Problems(), Sources()
    documents = read_file(path, problems, sources=sources)
    found = PodTemplate()
    if len(documents) > 1:
        problems.error(
            "pod-template",
            "the file has more than one document",
            documents[1].place,
            help="a pod template is one mapping",
        )
    elif documents:
        found = _Reader(problems).read(Field(documents[0].root, "", problems))
    return found, problems.sorted(), sources


_REFUSED = {
    "metadata": "write `labels:` and `annotations:` at the top",
    "spec": "write the fields at the top, without `spec:`",
    "image": "name the image with --probe-image",
    "imagePullPolicy": "say it with --image-pull-policy",
    "imagePullSecrets": "name them with --image-pull-secret",
    "hostNetwork": "write `hostNetwork: true` at the scenario's pod",
    "serviceAccountName": "write `serviceAccount:` at the scenario's pod",
    "nodeName": "write `node:` at the scenario's pod, or narrow the nodes by `nodeSelector`",
    **dict.fromkeys(
        ("containers", "initContainers", "command", "args", "ports", "volumes", "env"),
        "the pod's container is netcheck's own; `resources:` sets what it may use",
    ),
}
_REFUSED_SECURITY = {
    **dict.fromkeys(
        ("privileged", "capabilities", "allowPrivilegeEscalation", "runAsNonRoot", "readOnlyRootFilesystem"),
        "netcheck's pods always meet PodSecurity restricted",
    ),
    "sysctls": "netcheck sets the two safe ones that its ports need",
}


class _Reader:
    """From fields to a template."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def read(self, root: Field) -> PodTemplate:
        readers: dict[str, Callable[[Field], Any]] = {
            "labels": self._labels,
            "annotations": self._annotations,
            "nodeSelector": self._labels,
            "tolerations": self._tolerations,
            "resources": self._resources,
            "securityContext": self._security,
            "affinity": self._affinity,
            "dnsConfig": self._dns,
            "injected": lambda item: frozenset(self._texts(item)),
            "spiffe": lambda item: svids.read_api(item),
            "svidFiles": lambda item: svids.read_files(item),
            **dict.fromkeys(("priorityClassName", "runtimeClassName", "schedulerName"), self._name),
        }
        sections = root.section(readers, _REFUSED, f"a pod template has {', '.join(readers)}")
        read = {name: readers[name](item) for name, item in sections.items()}
        plain = ("affinity", "dnsConfig", "priorityClassName", "runtimeClassName", "schedulerName")
        return PodTemplate(
            labels=read.get("labels", {}),
            annotations=read.get("annotations", {}),
            node_selector=read.get("nodeSelector", {}),
            tolerations=read.get("tolerations", ()),
            spec={name: read[name] for name in plain if name in read},
            security=read.get("securityContext", {}),
            resources=read.get("resources", {}),
            injected=read.get("injected", frozenset()),
            spiffe=read.get("spiffe", WorkloadApi()),
            svid_files=read.get("svidFiles"),
        )

    def _labels(self, item: Field) -> dict[str, str]:
        found = {}
        for key, value in item.entries().items():
            text = value.text()
            if key.startswith(_OWN):
                value.error("pod-template", "labels of netcheck.dev are netcheck's own")
            elif text is not None and validate.label_key(value, key) and validate.label_value(value, text):
                found[key] = text
        return found

    def _annotations(self, item: Field) -> dict[str, str]:
        texts = {key: value.text() for key, value in item.entries().items()}
        return {key: text for key, text in texts.items() if text is not None}

    def _name(self, item: Field) -> str:
        text = item.text() or ""
        validate.object_name(item, text)
        return text

    def _texts(self, item: Field) -> list[str]:
        return [text for text in (each.text() for each in item.items()) if text is not None]

    def _tolerations(self, item: Field) -> tuple[Json, ...]:
        found = []
        for each in item.items():
            known = ("key", "operator", "value", "effect", "tolerationSeconds")
            fields = each.section(known)
            entry: Json = {name: part.text() for name, part in fields.items() if name != "tolerationSeconds"}
            if "tolerationSeconds" in fields:
                entry["tolerationSeconds"] = fields["tolerationSeconds"].integer()
            _one_of(fields, "operator", ("Exists", "Equal"))
            _one_of(fields, "effect", ("NoSchedule", "PreferNoSchedule", "NoExecute"))
            if "key" not in fields and entry.get("operator") != "Exists":
                each.error("pod-template", "needs a `key`, or `operator: Exists` to tolerate every taint")
            found.append(entry)
        return tuple(found)

    def _resources(self, item: Field) -> dict[str, dict[str, str]]:
        found = {}
        for kind, section in item.section(("requests", "limits")).items():
            amounts = {}
            for name, amount in section.entries().items():
                value = _number_as_written(amount) or amount.integer_or_text()
                if value is not None and not _QUANTITY.fullmatch(str(value)):
                    amount.error("pod-template", f"`{value}` is no amount", help="such as 100m, 0.5 or 64Mi")
                elif value is not None:
                    amounts[name] = str(value)
            found[kind] = amounts
        return found

    def _security(self, item: Field) -> Json:
        ids = ("runAsUser", "runAsGroup", "fsGroup")
        known = (*ids, "supplementalGroups", "seLinuxOptions", "seccompProfile", "appArmorProfile")
        found: Json = {}
        for name, part in item.section(known, _REFUSED_SECURITY).items():
            if name in ids:
                value = part.integer_or_text()
                if value == BY_CLUSTER and name != "fsGroup":
                    found[name] = None
                elif isinstance(value, int) and value > 0:
                    found[name] = value
                elif value is not None:
                    what = "a number above 0" if name == "fsGroup" else f"a number above 0, or `{BY_CLUSTER}`"
                    part.error("pod-template", f"must be {what}", help="netcheck's pods never run as root")
            elif name == "supplementalGroups":
                found[name] = [each.integer() for each in part.items()]
            elif name == "seLinuxOptions":
                options = part.section(("user", "role", "type", "level"))
                found[name] = {key: value.text() for key, value in options.items()}
            else:
                profile = part.section(("type", "localhostProfile"))
                _one_of(profile, "type", ("RuntimeDefault", "Localhost"))
                found[name] = {key: value.text() for key, value in profile.items()}
        return found

    def _affinity(self, item: Field) -> Json:
        other = "netcheck places pods on nodes itself; `nodeAffinity` narrows which nodes it takes"
        hints = dict.fromkeys(("podAffinity", "podAntiAffinity"), other)
        fields = item.section(("nodeAffinity",), hints)
        if "nodeAffinity" not in fields:
            return {}
        name = "requiredDuringSchedulingIgnoredDuringExecution"
        node = fields["nodeAffinity"].section((name,), other=f"netcheck takes `{name}` alone")
        terms = []
        if name in node:
            required = node[name].section(("nodeSelectorTerms",))
            if "nodeSelectorTerms" in required:
                terms = [self._term(each) for each in required["nodeSelectorTerms"].items()]
        return {"nodeAffinity": {name: {"nodeSelectorTerms": terms}}}

    def _term(self, item: Field) -> Json:
        found: Json = {}
        for name, listed in item.section(("matchExpressions",)).items():
            found[name] = []
            for each in listed.items():
                fields = each.section(("key", "operator", "values"))
                _one_of(fields, "operator", ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
                if not {"key", "operator"} <= set(fields):
                    each.error("pod-template", "needs `key` and `operator`")
                    continue
                entry: Json = {name: fields[name].text() for name in ("key", "operator")}
                if "values" in fields:
                    entry["values"] = self._texts(fields["values"])
                found[name].append(entry)
        return found

    def _dns(self, item: Field) -> Json:
        found: Json = {}
        for name, part in item.section(("nameservers", "searches", "options")).items():
            if name != "options":
                found[name] = self._texts(part)
                continue
            options = [each.section(("name", "value")) for each in part.items()]
            found[name] = [{key: value.text() for key, value in each.items()} for each in options]
        return found


def _one_of(fields: Mapping[str, Field], name: str, allowed: tuple[str, ...]) -> None:
    if name in fields:
        text = fields[name].text()
        if text is not None and text not in allowed:
            fields[name].error("pod-template", f"`{text}` must be one of {', '.join(allowed)}")


def _number_as_written(item: Field) -> str:
    """The text of a number with a point, such as 0.5; empty for anything else."""
    node = item.node
    return node.text if isinstance(node, ScalarNode) and isinstance(manifest_value(node), float) else ""
