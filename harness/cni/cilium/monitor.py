"""What `cilium-dbg monitor` prints of a probe, where Hubble is off (cilium-measured.md (b))."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from harness.clusters.kube.cni import Sent
from harness.cni.agents import AgentError, Agents, RefusedError
from harness.cni.cilium.flows import Flow

WATCH_SECONDS = 8
"""How long it is listened to; a denied probe takes two seconds at the most."""

COMMAND = f"timeout {WATCH_SECONDS} cilium-dbg monitor -t drop -t policy-verdict; test $? -eq 124"
LISTENING = "Press Ctrl-C to quit"
_START_SECONDS = 5.0

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
    """Send probes while the agents of some nodes print what they see.

    Args:
        agents: They know the word `monitor`.
        nodes: Host names.
        send: Sends the probes.

    Returns:
        The probes as they were sent, what was seen of them by node, and why nothing could be (or empty).
    """
    listening = {node: threading.Event() for node in nodes}
    texts: dict[str, str] = {}
    troubles: list[str] = []

    def listen(node: str) -> None:
        def heard(text: str) -> None:
            if LISTENING in text:
                listening[node].set()

        try:
            texts[node] = agents.ask(node, "monitor", heard=heard)
        except (AgentError, RefusedError) as trouble:
            troubles.append(f"cilium-dbg monitor on {node}: {trouble}")
        finally:
            listening[node].set()

    with ThreadPoolExecutor(len(nodes) or 1, thread_name_prefix="monitor") as pool:
        watching = [pool.submit(listen, node) for node in nodes]
        until = time.monotonic() + _START_SECONDS
        for event in listening.values():
            event.wait(max(0.0, until - time.monotonic()))
        sent = send()
    for future in watching:
        future.result()
    return sent, {node: list(read(text)) for node, text in texts.items()}, "; ".join(troubles)
