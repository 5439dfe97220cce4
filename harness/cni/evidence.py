"""Evidence by counters: listings of a node's rules before and after a probe is sent once more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.clusters.kube.cni import Question, Sent
from harness.cni import counters
from harness.cni.agents import AgentError, Agents, RefusedError
from harness.cni.counters import Counters
from harness.source.render import printable

Told = Callable[[Question, str, Counters, Counters], Iterable[str]]
"""What the listings of a node, before and after, say of a probe."""

NO_TIME = "the network plugin was not asked about this cell: no time was left"


def by_counters(
    agents: Agents,
    questions: Sequence[Question],
    send: Callable[[Sequence[int]], Mapping[int, Sent]],
    deadline: float,
    tell: Told,
) -> list[tuple[str, ...]]:
    """Ask for each question in turn, those that share no node at the same time.

    Args:
        agents: The plugin's pods; they know the word `rules`.
        questions: What is asked.
        send: Sends probes once more, by index.
        deadline: When to stop, as `time.monotonic()` counts.
        tell: Makes lines of two listings.
    """
    found: list[tuple[str, ...]] = [(NO_TIME,)] * len(questions)
    places = [frozenset(question.nodes) for question in questions]
    for group in counters.rounds(places, lambda: time.monotonic() < deadline):
        nodes = sorted({node for index in group for node in places[index]})
        try:
            before = {node: counters.read(agents.ask(node, "rules")) for node in nodes}
            send(group)
            after = {node: counters.read(agents.ask(node, "rules")) for node in nodes}
        except (AgentError, RefusedError) as trouble:
            return [(f"the network plugin could not be asked: {printable(str(trouble))}",)] * len(questions)
        for index in group:
            lines = [
                printable(line)
                for node in questions[index].nodes
                for line in tell(questions[index], node, before[node], after[node])
            ]
            found[index] = tuple(lines) or ("no rule of the network plugin counted the probe",)
    return found
