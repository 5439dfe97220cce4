"""Labels that pods get beside their scenario's: only such as nothing in the scenario can see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.clusters.kube.manifests import PodOptions
from harness.engine.cluster import ClusterError
from harness.model.scenario import Scenario


def for_scenario(options: PodOptions, scenario: Scenario, against_meshes: Mapping[str, str]) -> PodOptions:
    """How this scenario's pods are made.

    Args:
        options: How all pods of the run are made.
        scenario: Its policies, services and pods may use labels that would be added.
        against_meshes: Labels that keep sidecars out; one that the scenario uses is left away, and a sidecar
            that comes then is noticed.

    Raises:
        ClusterError: A label of the pod template is used by the scenario.
    """
    for key in options.template.labels:
        user = next(users(key, scenario), "")
        if user:
            raise ClusterError(
                f"the pod template sets the label {key}, which {user} of the scenario uses: "
                "it would change what is tested",
                "take the label out of the template, or make it an annotation",
            )
    harmless = {key: value for key, value in against_meshes.items() if not any(users(key, scenario))}
    return replace(options, labels={**harmless, **options.template.labels})


def users(key: str, scenario: Scenario) -> Iterator[str]:
    """What in a scenario mentions the key of a label; too many rather than too few.

    A policy that does not mention a key cannot depend on it: selectors name what they look at.
    """
    word = re.compile(rf"(?<![\w/-]){re.escape(key)}(?![\w/-])")
    for step in scenario.steps:
        for policy in (*step.policies, *step.apply):
            if _mentions(policy.manifest, word):
                yield str(policy)
        for change in step.label:
            if key in change.set or key in change.unset:
                yield f"step {step.name}"
    for topology in (scenario.topology, *(step.topology for step in scenario.steps)):
        yield from (f"pod {pod.id}" for pod in topology.pods.values() if key in pod.labels)
        yield from (f"service {item.id}" for item in topology.services.values() if key in item.selector)


def _mentions(value: Any, word: re.Pattern[str]) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(part, word) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return any(_mentions(item, word) for item in value)
    return isinstance(value, str) and word.search(value) is not None
