"""Neutral stages by hand for worlds whose rules have applications, and raw sockets inside their pods."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from harness.clusters.lab import kernel
from harness.clusters.lab import world as world_module
from harness.clusters.lab.world import LabWorld
from harness.model.application import Application, HttpRule, HttpRules
from harness.model.personality import Personality
from harness.model.probe import HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.rules import (
    NETWORK_POLICY_TIER,
    Action,
    Direction,
    Match,
    Origin,
    PolicyBlock,
    Ports,
    Rule,
    Stage,
)
from harness.model.scenario import Scenario
from harness.model.topology import Family, Protocol
from tests.lab.labs import children, world

TCP80 = (Ports(Protocol.TCP, 80, 80),)


def allow(*matches: Match, application: Application | None = None, name: str = "allow") -> Rule:
    return Rule(Action.ALLOW, matches, Origin("P n/p", name), application=application)


def get(path: str) -> HttpRules:
    return HttpRules((HttpRule(path=path, method="GET"),))


def stage(
    direction: Direction,
    subjects: Sequence[str],
    *rules: Rule,
    default: Action = Action.DENY,
    ordered: bool = True,
    strict: bool = False,
) -> Stage:
    block = PolicyBlock(frozenset(subjects), rules, Origin("P n/p", "spec"), strict=strict)
    return Stage(NETWORK_POLICY_TIER, direction, (block,), default, ordered)


def enforce(monkeypatch: pytest.MonkeyPatch, built: LabWorld, *stages: Stage) -> None:
    """Bring these stages into force in place of what the policies of the world say."""
    monkeypatch.setattr(world_module, "compile_all", lambda policies, topology: stages)
    built.apply(())


def request(
    source: str,
    pod: str,
    path: str,
    port: int = 80,
    method: str = "GET",
    family: Family = Family.IPV4,
    **rest: object,
) -> Probe:
    target = Target(TargetKind.POD, pod, port, Protocol.TCP)
    made = HttpRequest(method=method, path=path, **rest)  # type: ignore[arg-type]
    return Probe(Source(SourceKind.POD, source), target, family, made)


class Raw:
    """A world into whose pods this process opens sockets of its own; as root only, who may enter them."""

    def __init__(self, built: LabWorld) -> None:
        if os.geteuid():
            pytest.skip("only root may enter the namespaces of a lab from outside")
        self.world = built
        self._places = built._processes.detach()

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """Open sockets in a namespace of the lab."""
        home = kernel.current_namespace()
        fd = os.open(f"/proc/{self.world.pid}/fd/{self._places[place]}", os.O_RDONLY)
        try:
            kernel.setns(fd)
            yield
        finally:
            kernel.setns(home)
            os.close(fd)
            os.close(home)

    def dial(self, source: str, address: str, port: int = 80, patience: float = 3.0) -> socket.socket:
        """A connection from inside a pod."""
        with self.inside(source):
            return socket.create_connection((address, port), timeout=patience)

    def close(self) -> None:
        """End the keeper, which a detached lab does not do by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.world.pid, signal.SIGKILL)


@contextmanager
def raw(wanted: Scenario, personality: Personality | None = None) -> Iterator[Raw]:
    """A world with a way in."""
    with world(wanted, personality) as built:
        way = Raw(built)
        try:
            yield way
        finally:
            way.close()


def proxy_of(built: LabWorld) -> int:
    """Process id of the lab's proxy: the last but one that the keeper starts."""
    return sorted(children(built.pid))[-2]
