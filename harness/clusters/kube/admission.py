"""Who refused an object, and what to do: quotas, limits, PodSecurity, policies and webhooks."""

from __future__ import annotations

import re
from collections.abc import Callable

_TEMPLATE = "give the pods `resources:` with --pod-template"

_REFUSALS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str], str], ...] = (
    (
        re.compile(r"exceeded quota: ([\w.-]+)"),
        lambda found: f"ResourceQuota {found[1]}",
        f"raise the quota, run fewer scenarios at once (-j 1), or {_TEMPLATE}",
    ),
    (
        re.compile(r"failed quota: ([\w.-]+): must specify"),
        lambda found: f"ResourceQuota {found[1]}",
        _TEMPLATE,
    ),
    (
        re.compile(r"status unknown for quota: ([\w.-]+)"),
        lambda found: f"ResourceQuota {found[1]}, which the cluster has not counted yet,",
        "try again once `kubectl describe quota` shows what is used",
    ),
    (
        re.compile(r"(?:maximum|minimum) [\w./-]+ usage per|limit to request ratio per"),
        lambda found: "a LimitRange",
        _TEMPLATE,
    ),
    (
        re.compile(r"violates PodSecurity \"([^\"]+)\""),
        lambda found: f"PodSecurity {found[1]}",
        "label the namespace of the scenario with pod-security.kubernetes.io/enforce: privileged where "
        "`hostNetwork: true` is meant; without it netcheck's pods pass `restricted`",
    ),
    (
        re.compile(r"ValidatingAdmissionPolicy '([^']+)'(?: with binding '([^']+)')?"),
        lambda found: f"ValidatingAdmissionPolicy {found[1]}",
        "meet it with --pod-template, --image-registry or labels of the scenario's namespaces, or exempt "
        "objects with the label netcheck.dev/run",
    ),
    (
        re.compile(r"admission webhook \"([^\"]+)\" denied"),
        lambda found: f"the admission webhook {found[1]}",
        "meet its rules with --pod-template, --image-registry or labels of the scenario's namespaces, or "
        "exempt objects with the label netcheck.dev/run",
    ),
    (
        re.compile(r"failed calling webhook \"([^\"]+)\""),
        lambda found: f"the admission webhook {found[1]}, which does not answer,",
        "mend the webhook, or exempt objects with the label netcheck.dev/run",
    ),
    (
        re.compile(r"unable to validate against any security context constraint"),
        lambda found: "SecurityContextConstraints",
        "let the cluster choose the user: --pod-template with `securityContext: {runAsUser: cluster, "
        "runAsGroup: cluster}`",
    ),
    (
        re.compile(r"no PriorityClass with name (\S+) was found|RuntimeClass \"([^\"]+)\" not found"),
        lambda found: "the cluster",
        "correct the name in the pod template",
    ),
)


def refused(message: str) -> tuple[str, str] | None:
    """Who refused, and what to do; None when it was no admission.

    Args:
        message: What the API server said, untrusted.
    """
    for pattern, who, advice in _REFUSALS:
        found = pattern.search(message)
        if found:
            return who(found), advice
    return None
