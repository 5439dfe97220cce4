"""What `cilium-dbg monitor` prints of a probe, where Hubble is off (cilium-measured.md (b))."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.clusters.kube.cni import Sent
from harness.cni.agents import Agents
from harness.cni.cilium.flows import Flow
from harness.cni.listening import listen

WATCH_SECONDS = 8
"""How long it is listened to; a denied probe takes two seconds at the most."""

COMMAND = f"timeout {WATCH_SECONDS} cilium-dbg monitor -t drop -t policy-verdict; test $? -eq 124"
LISTENING = "Press Ctrl-C to quit"

_DROP = re.compile(r"xx drop \((?P<why>[^)]*)\) .*?: (?P<source>\S+) -> (?P<destination>\S+)")
_VERDICT = re.compile(
    r"Policy verdict log: .*?, (?P<direction>ingress|egress), action (?P<action>\w+), .*?"
    r"match (?P<match>[\w-]+), (?P<source>\S+) -> (?P<destination>\S+)"
)


def read(text: str) -> Iterator[Flow]:
    """Drops and verdicts; other lines are left out."""
    for line in text.splitlines():
        drop, verdict = _DROP.search(line), _VERDICT.search(line)
        if drop:
            yield Flow(drop["source"], drop["destination"], f"drop, {drop['why']}")
        elif verdict:
            said = f"{verdict['direction']}, action {verdict['action']}, match {verdict['match']}"
            yield Flow(verdict["source"], verdict["destination"], said)


def watch(
    agents: Agents, nodes: Sequence[str], send: Callable[[], Mapping[int, Sent]]
) -> tuple[Mapping[int, Sent], dict[str, list[Flow]], str]:
    """Send probes while the agents of some nodes print what they see; see `listening.listen`."""
    sent, texts, trouble = listen(agents, nodes, ("monitor",), send, seconds=WATCH_SECONDS, ready=LISTENING)
    trouble = f"cilium-dbg monitor could not be asked: {trouble}" if trouble else ""
    return sent, {node: list(read(text)) for node, text in texts.items()}, trouble
