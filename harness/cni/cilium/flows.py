"""What Hubble's records say of a probe: lines of `hubble observe -o json` (cilium-measured.md (c))."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube.cni import Sent


@dataclass(frozen=True, slots=True)
class Flow:
    """One record.

    Attributes:
        source: `address:port`; without a port where the protocol has none.
        said: What Cilium did with the packet, in words.
    """

    source: str
    destination: str
    said: str

    def of(self, sent: Sent) -> bool:
        """Whether the record is about a packet of a probe, or of the answer to it.

        A service's address is translated before policies see the packet, so the sender's address and port
        have to do.
        """
        return sent.local != "" and sent.local in (self.source, self.destination)


def read(text: str) -> Iterator[Flow]:
    """Verdicts on packets, requests and questions; other records, and what is no record, are left out."""
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            flow = json.loads(line).get("flow")
        except ValueError:
            continue
        if isinstance(flow, dict):
            said = _said(flow)
            if said:
                yield Flow(_end(flow, "source"), _end(flow, "destination"), said)


def _end(flow: Mapping[str, Any], side: str) -> str:
    address = str((flow.get("IP") or {}).get(side, ""))
    ports = next(iter((flow.get("l4") or {}).values()), None) or {}
    port = ports.get(f"{side}_port")
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _said(flow: Mapping[str, Any]) -> str:
    verdict = str(flow.get("verdict", ""))
    direction = str(flow.get("traffic_direction", "")).lower()
    kind = (flow.get("event_type") or {}).get("type")
    if flow.get("l7"):
        return f"{verdict} {_layer7(flow['l7'])} ({direction})" if verdict == "DROPPED" else ""
    if verdict == "DROPPED" or kind == 5:
        reason = flow.get("drop_reason_desc")
        by = _policies(flow, direction)
        return " ".join(part for part in (direction, verdict, str(reason) if reason else "", by) if part)
    return ""


def _layer7(record: Mapping[str, Any]) -> str:
    if "dns" in record:
        return f"DNS question {record['dns'].get('query', '')}"
    if "http" in record:
        http = record["http"]
        return f"HTTP {http.get('method', '')} {http.get('url', '')}, answered {http.get('code', '')}"
    return "layer 7"


def _policies(flow: Mapping[str, Any], direction: str) -> str:
    """The policies that Hubble holds responsible."""
    names = []
    for how in ("denied", "allowed"):
        for policy in flow.get(f"{direction}_{how}_by") or ():
            where = f"{policy['namespace']}/" if policy.get("namespace") else ""
            names.append(f"{how} by {policy.get('kind', '')} {where}{policy.get('name', '')}")
    return ", ".join(names)
