"""What Calico's flow log says of a probe: `calico-node -flows`, from 3.30 on (calico-measured.md 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEAD = re.compile(r"^- .*?Reporter=(?P<reporter>\w+)\s+Action=(?P<action>\w+)(?P<rest>.*)$")
_ENDS = re.compile(r"Src=\{(?P<source>[^}]*)\}\s+Dst=\{(?P<destination>[^}]*)\}\s+Proto=\{(?P<port>[^ }]*)")
_POD = re.compile(r"^wep\(([^)]*)\)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class Flow:
    """One entry: what became of connections of a source to a port of a destination in an interval.

    Attributes:
        source: Id of the pod, or what Calico calls something else.
        port: Protocol and port, such as `tcp(8080)`.
        by: Policies in the order in which they were asked, with what each did; staged ones say so.
    """

    reporter: str
    action: str
    source: str = ""
    destination: str = ""
    port: str = ""
    by: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.action} at {self.reporter} {self.source} -> {self.destination} {self.port}"
        return ": ".join((text, ", ".join(self.by))) if self.by else text


def read(text: str) -> Iterator[Flow]:
    """The entries of a log; what is no entry is left out."""
    flow: Flow | None = None
    pending = ""
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            if flow is not None:
                yield flow
            flow, pending = Flow(head["reporter"], head["action"]), ""
        if flow is None:
            continue
        ends = _ENDS.search(line)
        stripped = line.strip()
        if ends:
            flow.source, flow.destination = _end(ends["source"]), _end(ends["destination"])
            flow.port = ends["port"]
        elif stripped in ("Enforced:", "Pending:"):
            pending = "staged " if stripped == "Pending:" else ""
        elif stripped.startswith("- kind:"):
            flow.by.append(pending + " ".join(stripped.removeprefix("- ").replace('"', "").split()))
    if flow is not None:
        yield flow


def _end(text: str) -> str:
    pod = _POD.match(text)
    return pod[1] if pod else text.split(" ")[0]


def seconds(duration: str) -> float:
    """Of a duration as Kubernetes writes it, such as `1m30s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))
