"""Certificates on their way to agents: real agents as processes of this machine, spoken to over pipes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.certificates import guard
from harness.clusters.kube.bundle import Agent
from harness.clusters.kube.fleet import Fleet
from harness.model.topology import Listener
from tests.unit.loopback import V4, free_port

ROOT = Path(__file__).resolve().parents[2]
API, WEB, JOB = (f"spiffe://cluster.local/ns/n/sa/{name}" for name in ("api", "web", "job"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class LocalPipe:
    """An agent on this machine; see `streams.Pipe`."""

    def __init__(self, identity: str, log: list[str]) -> None:
        self.agent = Agent(inside=True)
        self.ending = ""
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "probes.agent", "probe", identity],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self._log.append(text)
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read(self, seconds: float) -> tuple[str, str]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        text = os.read(self.process.stdout.fileno(), 1 << 18).decode() if ready else ""
        return text, ""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


class Site:
    """Two pods of this machine's network: `n/api` listens, `n/web` sends."""

    def __init__(self) -> None:
        self.port, self.open_port = free_port("TCP"), free_port("TCP")
        self.log: list[str] = []
        self.pipes: list[LocalPipe] = []
        self.serving = {name: self.serve(name) for name in ("n/api", "n/web")}
        self.fleet = Fleet(None, "ab12", Agent(inside=True))  # type: ignore[arg-type]
        self.fleet.join({name: lambda name=name: self._dial(name) for name in self.serving})  # type: ignore[misc]

    def serve(self, name: str) -> subprocess.Popen[bytes]:
        ports = f'[[{self.port}, "TCP"], [{self.open_port}, "TCP"]]' if name == "n/api" else "[]"
        return subprocess.Popen(
            [sys.executable, "-m", "probes.agent", "serve", f"{self.port}-{name}", ports], env=ENVIRONMENT
        )

    def _dial(self, name: str) -> LocalPipe:
        self.pipes.append(LocalPipe(f"{self.port}-{name}", self.log))
        return self.pipes[-1]

    def certify(self) -> None:
        listeners = (Listener(self.port, allow=(WEB,)), Listener(self.open_port))
        self.fleet.certify({"n/api": guard(API, listeners, self.fleet.authority)})

    def probe(self, number: int, *specs: tuple[int, str, dict[str, Any]]) -> list[list[Any]]:
        plan = [
            [index, "n/web", kind, V4, port, options] for index, (port, kind, options) in enumerate(specs)
        ]
        results = self.fleet.sweep({"n/web": plan}, number, 3.0, 1)
        return [results[index] for index in sorted(results)]

    def end(self, name: str) -> None:
        self.serving[name].kill()
        self.serving[name].wait()

    def close(self) -> None:
        self.fleet.close()
        for pipe in self.pipes:
            pipe.close()
        for name in self.serving:
            self.end(name)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def mutual(certificate: str) -> dict[str, Any]:
    return {"certificate": certificate, "trust": ["cluster.local"], "servers": [API]}


def test_certificates_come_over_the_streams(site: Site) -> None:
    site.certify()
    web, job, tls, plain = site.probe(
        1,
        (site.port, "tls", mutual(WEB)),
        (site.port, "tls", mutual(JOB)),
        (site.open_port, "tls", {"sni": "a.b"}),
        (site.port, "tcp", {}),
    )
    assert [item[1] for item in (web, job, tls, plain)] == ["connected", "tls", "connected", "reset"]
    assert (job[2], job[3]) == ("access-denied", "server")
    arrived = site.fleet.receipts(["n/api"], 1)
    assert (arrived.counts, arrived.silent) == ({0: 1, 2: 1}, {})
    fates = [arrived.fates[item[11][0]] for item in (web, job, tls, plain)]
    assert fates == ["done", f"refused: {JOB} is not allowed", "done", "refused: wrong version number"]


def test_what_was_sent_is_not_sent_again(site: Site) -> None:
    for number in (1, 2):
        site.certify()
        site.probe(number, (site.port, "tls", mutual(WEB)))
    sent = [line for line in site.log if "PRIVATE KEY" in line]
    assert [line.split('"')[3] for line in sent] == ["certify", "keys"]


def test_a_stream_that_begins_anew_is_given_its_certificates_again(site: Site) -> None:
    site.certify()
    site.probe(1, (site.port, "tls", mutual(WEB)))
    broken = next(pipe for pipe in site.pipes if f"{site.port}-n/web" in pipe.process.args)  # type: ignore[operator]
    broken.process.kill()
    broken.process.wait()
    (seen,) = site.probe(2, (site.port, "tls", mutual(WEB)))
    assert (seen[1], seen[4]) == ("connected", True)
    assert [line.split('"')[3] for line in site.log if "PRIVATE KEY" in line] == ["certify", "keys", "keys"]


def test_a_container_that_starts_anew_is_certified_again(site: Site) -> None:
    site.certify()
    site.end("n/api")
    site.serving["n/api"] = site.serve("n/api")
    site.fleet.ask("n/api", lambda stream: stream.send({"op": "await", "seconds": 10.0}))
    arrived = site.fleet.receipts(["n/api"], 1)
    assert "restarted" in arrived.silent["n/api"]
    (before,) = site.probe(2, (site.open_port, "tls", {}))
    assert before[1] == "reset"
    site.certify()
    (after,) = site.probe(3, (site.port, "tls", mutual(WEB)))
    assert after[1] == "connected"


def test_one_that_cannot_be_reached_is_left_without(site: Site) -> None:
    site.fleet.certify({"n/nobody": {}})
    for pipe in site.pipes:
        pipe.process.kill()
        pipe.process.wait()
    site.end("n/api")
    site.certify()
    assert "n/api" in site.fleet.receipts(["n/api"], 1).silent


def test_a_certificate_that_is_none_is_said(site: Site) -> None:
    site.fleet.certify({"n/api": {"certificate": ["no", "pem"], "bundle": "", "ports": {}}})
    assert "its ports cannot have a certificate" in site.fleet.broken["n/api"]
