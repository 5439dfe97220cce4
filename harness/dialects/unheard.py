"""Ports of rules on which none of the pods in question listens: advice that all dialects give alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.rules import Direction
from harness.model.topology import Pod, Protocol
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Severity

WHO = {
    Direction.INGRESS: "pods that the policy selects",
    Direction.EGRESS: "pods that the rule reaches",
}
"""The destinations of a rule, in words."""


def unheard(
    protocol: Protocol | None,
    port: int | str | None,
    end: int | None,
    pods: Sequence[Pod],
    who: str,
    place: Place,
) -> Iterator[Diagnostic]:
    """Say so where nobody listens.

    Args:
        protocol: None = any, as where a rule names a port of any protocol.
        port: A number, the first of a range, a name, or None for every port of the protocol.
        end: The last of a range; None = it is no range.
        pods: The destinations of the rule.
        who: They, in words.
        place: Of the port in its rule.
    """
    listeners = [item for pod in pods for item in pod.listeners if protocol in (None, item.protocol)]
    if not listeners and not any(pod.listeners for pod in pods):
        # Pods of which nothing is known say nothing.
        return
    kind = "" if protocol is None else f"{protocol} "
    if port is None:
        if not listeners:
            yield _warning(f"none of the {who} listens on {protocol}", place)
    elif isinstance(port, str):
        if not any(item.name == port for item in listeners):
            names = sorted({item.name for item in listeners if item.name})
            yield _warning(
                f'none of the {who} has a {kind}port with the name "{port}"',
                place,
                f"names there: {', '.join(names)}" if names else "give the container's port this name",
            )
    elif not any(port <= item.port <= (end or port) for item in listeners):
        text = f"{port}" if end in (None, port) else f"{port} to {end}"
        numbers = sorted({item.port for item in listeners})
        yield _warning(
            f"none of the {who} listens on {kind}{text}",
            place,
            f"they listen on {', '.join(map(str, numbers[:8]))}" if numbers else "",
        )


def _warning(message: str, place: Place, help: str = "") -> Diagnostic:
    return Diagnostic("port-without-listener", Severity.WARNING, message, place, help)
