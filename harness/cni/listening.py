"""Probes that are sent while a plugin's pods print what they see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from harness.clusters.kube.cni import Sent
from harness.cni.agents import AgentError, Agents, RefusedError

START_SECONDS = 5.0
"""How long a command may take until it says that it listens."""

BLIND_START_SECONDS = 1.0
"""How long one that does not say so is given."""


def listen(
    agents: Agents,
    nodes: Sequence[str],
    question: Sequence[str],
    send: Callable[[], Mapping[int, Sent]],
    *,
    seconds: float,
    ready: str = "",
) -> tuple[Mapping[int, Sent], dict[str, str], str]:
    """Send probes while a command runs in the pods of some nodes.

    Args:
        agents: The plugin's pods.
        nodes: Host names.
        question: The word of the command, and its arguments.
        send: Sends the probes.
        seconds: How long the command runs.
        ready: What it prints once it listens; empty when it prints nothing.

    Returns:
        The probes as they were sent, what was printed by node, and why something could not be (or empty).
    """
    listening = {node: threading.Event() for node in nodes}
    texts: dict[str, str] = {}
    troubles: list[str] = []
    word, *arguments = question

    def on(node: str) -> None:
        def heard(text: str) -> None:
            if ready and ready in text:
                listening[node].set()

        try:
            texts[node] = agents.ask(node, word, *arguments, patience=seconds + 10.0, heard=heard)
        except (AgentError, RefusedError) as trouble:
            troubles.append(f"{node}: {trouble}")
        finally:
            listening[node].set()

    with ThreadPoolExecutor(len(nodes) or 1, thread_name_prefix="listening") as pool:
        for node in nodes:
            pool.submit(on, node)
        until = time.monotonic() + (START_SECONDS if ready else BLIND_START_SECONDS)
        for event in listening.values():
            event.wait(max(0.0, until - time.monotonic()))
        sent = send()
    return sent, texts, "; ".join(sorted(troubles))
