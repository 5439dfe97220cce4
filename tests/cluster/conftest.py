"""Clusters that exist, named by NETCHECK_TEST_CONTEXTS; without it these tests are left out, and say so."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kube.api import Api
from tests.cluster import clusters
from tests.cluster.clusters import Process, Ran, started

_LEFT_OUT = pytest.StashKey[int]()
TIMEOUT = 300.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "context" in metafunc.fixturenames:
        metafunc.parametrize("context", clusters.wanted() or ["any"], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    if not mine or clusters.wanted():
        return
    items[:] = [item for item in items if here not in item.path.parents]
    config.hook.pytest_deselected(items=mine)
    config.stash[_LEFT_OUT] = len(mine)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"tests/cluster: {left_out} tests not run, no cluster is named: make test-cluster, "
            f"or {clusters.CONTEXTS}=CONTEXT[,...]"
        )


@pytest.fixture(scope="session")
def kinds() -> dict[str, str]:
    """What each named cluster runs, by context; one that does not answer fails the tests."""
    return {context: clusters.kind_of(context) for context in clusters.wanted()}


def _first(kinds: dict[str, str], kind: str) -> str:
    for context, found in kinds.items():
        if found == kind:
            return context
    pytest.skip(f"none of the clusters in {clusters.CONTEXTS} is one with {kind}")


@pytest.fixture(scope="session")
def basic_context(kinds: dict[str, str]) -> str:
    """A cluster whose network enforces nothing."""
    return _first(kinds, "basic")


@pytest.fixture(scope="session")
def any_context(kinds: dict[str, str]) -> str:
    """Any cluster, for what no network plugin has a part in; the quickest to start pods."""
    quickest = ("basic", "calico", "cilium")
    return min(kinds, key=lambda context: quickest.index(kinds[context]))


@pytest.fixture(scope="session")
def calico_context(kinds: dict[str, str]) -> str:
    """A cluster with Calico."""
    return _first(kinds, "calico")


@pytest.fixture(scope="session")
def cilium_context(kinds: dict[str, str]) -> str:
    """A cluster with Cilium."""
    return _first(kinds, "cilium")


@pytest.fixture(scope="session")
def enforcing_context(kinds: dict[str, str]) -> str:
    """A cluster that enforces policies, the quickest to start pods."""
    for context, kind in kinds.items():
        if kind == "calico":
            return context
    return _first(kinds, "cilium")


@pytest.fixture
def ns() -> Iterator[str]:
    """A name that no other test has; namespaces that begin with it are removed after the test."""
    name = f"nct-{secrets.token_hex(3)}"
    yield name
    for context in clusters.wanted():
        api = clusters.api_of(context)
        for item in api.get("/api/v1/namespaces")["items"]:
            if item["metadata"]["name"].startswith(name):
                api.delete(f"/api/v1/namespaces/{item['metadata']['name']}")


@pytest.fixture
def write(tmp_path: Path, ns: str) -> Callable[..., Path]:
    """Writes a file, by default a scenario; `$ns` in it is the test's own name, others as given."""

    def make(text: str, name: str = "case.yaml", **more: str) -> Path:
        file = tmp_path / name
        file.write_text(string.Template(text).substitute(ns=ns, **more))
        return file

    return make


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Starts the command and gives a context manager of the process; see `clusters.started`."""

    def begin(*arguments: str | Path, context: str = "", **environment: str) -> Any:
        texts = [str(item) for item in arguments]
        if context:
            texts += ["--cluster", f"context:{context}"]
            image = clusters.probe_image(context)
            if image:
                environment.setdefault("NETCHECK_PROBE_IMAGE", image)
        return started(texts, tmp_path, environment)

    return begin


@pytest.fixture
def netcheck(start: Callable[..., Any]) -> Callable[..., Ran]:
    """Runs the command to its end: `netcheck("run", file, context=…)`."""

    def call(*arguments: str | Path, context: str = "", timeout: float = TIMEOUT, **environment: str) -> Ran:
        process: Process
        with start(*arguments, context=context, **environment) as process:
            return process.wait(timeout)

    return call


@pytest.fixture
def api() -> Callable[[str], Api]:
    """The API server behind a context."""
    return clusters.api_of


@pytest.fixture
def nodeport() -> str:
    """A port of all nodes that hardly another test has."""
    return str(30000 + secrets.randbelow(2700))
