"""Kind clusters of netcheck's: made, used again, taken down, never left half-made, never somebody else's.

Making one takes a node image and a network plugin, which NETCHECK_TEST_KIND_ARGS names as options of
`cluster up`, such as `--nodes 1 --cni kindnet`. The probe image is NETCHECK_PROBE_IMAGE.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.clusters import Ran

ARGS = shlex.split(os.environ.get("NETCHECK_TEST_KIND_ARGS", ""))
MAKE = 900.0

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not ARGS, reason="no way to make kind clusters is named: NETCHECK_TEST_KIND_ARGS"),
]

OPEN = """
scenario: $ns-open
namespaces: {$ns: {}}
pods:
  $ns/web: {listen: [8080]}
  $ns/cli: {}
expect:
  - {from: $ns/cli, to: "$ns/web:8080", verdict: allow}
"""


def clusters() -> set[str]:
    done = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name that no cluster has; one of that name is removed after the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = f"nct-{secrets.token_hex(3)}"
    yield found
    subprocess.run(
        ["kind", "delete", "cluster", "--name", found, "--kubeconfig", tmp_path / "gone"],
        capture_output=True,
        check=True,
        timeout=120,
    )


def test_a_cluster_is_made_used_again_and_taken_down(
    name: str, tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    made = netcheck("cluster", "up", name, *ARGS, timeout=MAKE)
    assert made.code == 0, str(made)
    assert f"kind cluster {name} is up" in made.out
    kubeconfig = tmp_path / "state" / "netcheck" / "kind" / f"{name}.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    shown = netcheck("cluster", "status", name)
    assert shown.code == 0, str(shown)
    assert "made for   you" in shown.out

    ran = netcheck("run", write(OPEN), "--cluster", f"kind:{name}")
    assert ran.code == 0, str(ran)
    assert ran.statuses() == ["passed"]
    assert ran.report["backend"]["versions"]["kubernetes"], str(ran)
    if "none" in ARGS:
        assert "network plugin unknown" in ran.out
    assert name in clusters()

    again = netcheck("cluster", "up", name, *ARGS)
    assert again.code == 0, str(again)
    assert "was up already" in again.out
    other = netcheck("run", write(OPEN), "--cluster", f"kind:{name}", "--nodes", "9")
    assert other.code == 4, str(other)
    assert "the number of nodes is" in other.err
    assert netcheck("cleanup", "--cluster", f"kind:{name}").code == 0
    assert name in clusters()

    gone = netcheck("cluster", "down", name, timeout=MAKE)
    assert gone.code == 0, str(gone)
    assert name not in clusters()
    assert not kubeconfig.exists()
    assert netcheck("cluster", "status", name).code == 6


def test_a_cluster_made_for_a_run_ends_with_it(
    name: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    ran = netcheck("run", write(OPEN), "--cluster", f"kind:{name}", *ARGS, timeout=MAKE)
    assert ran.code == 0, str(ran)
    assert f"taking down kind cluster {name}" in ran.err
    assert name not in clusters()


def test_a_cluster_made_for_a_run_is_kept_if_asked_and_used_again(
    name: str, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    file = write(OPEN)
    ran = netcheck("run", file, "--cluster", f"kind:{name}", "--keep", *ARGS, timeout=MAKE)
    assert ran.code == 0, str(ran)
    assert name in clusters()
    # The world is gone, as its namespaces would be in the way of the next run.
    again = netcheck("run", file, "--cluster", f"kind:{name}")
    assert (again.code, again.statuses()) == (0, ["passed"]), str(again)
    assert name in clusters(), "a run takes down only what it made"
    assert netcheck("cleanup", "--cluster", "kind").code == 0
    assert name in clusters(), "kept on purpose"
    assert netcheck("cluster", "down", name, timeout=MAKE).code == 0
    assert name not in clusters()


def test_a_cluster_that_is_interrupted_leaves_nothing(name: str, start: Callable[..., Any]) -> None:
    with start("cluster", "up", name, *ARGS) as process:
        process.await_line("Preparing nodes")
        process.signal(signal.SIGINT)
        ran = process.wait(MAKE)
    assert ran.code == 2, str(ran)
    assert name not in clusters()


def test_what_a_killed_netcheck_left_is_cleaned_up(
    name: str, start: Callable[..., Any], netcheck: Callable[..., Ran]
) -> None:
    with start("cluster", "up", name, *ARGS) as process:
        process.await_line("Preparing nodes")
        process.signal(signal.SIGKILL)
        process.popen.wait()
    shown = netcheck("cluster", "status", name)
    assert shown.code == 6, str(shown)
    assert "half-made" in shown.out
    done = netcheck("cleanup", "--cluster", f"kind:{name}", timeout=MAKE)
    assert done.code == 0, str(done)
    assert name not in clusters()


def test_a_cluster_of_somebody_else_is_left_alone(
    name: str, tmp_path: Path, write: Callable[..., Path], netcheck: Callable[..., Ran]
) -> None:
    # Whose it is shows without a pod network, and not every node image has kind's own.
    config = tmp_path / "kind.yaml"
    config.write_text(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {disableDefaultCNI: true}\n"
    )
    command = ["kind", "create", "cluster", "--name", name, "--kubeconfig", str(tmp_path / "kubeconfig")]
    image = ["--image", ARGS[ARGS.index("--node-image") + 1]] if "--node-image" in ARGS else []
    subprocess.run([*command, "--config", str(config), *image], capture_output=True, check=True, timeout=MAKE)
    for arguments in (
        ("cluster", "up", name),
        ("cluster", "down", name),
        ("run", write(OPEN), "--cluster", f"kind:{name}"),
    ):
        ran = netcheck(*arguments)
        assert ran.code == 4, str(ran)
        assert "netcheck did not make" in ran.err
    assert netcheck("cleanup", "--cluster", f"kind:{name}").code == 0
    assert name in clusters()
