"""`netcheck image build` and `load`, with programs that only write down what they were called with."""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness import __version__
from harness.cli import cli, image
from harness.clusters.kube.images import has_agent
from probes.version import digest

ROOT = Path(__file__).parents[2]
PROGRAM = """\
#!{python}
import os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
folder = os.path.dirname(sys.argv[0])
with open(os.path.join(folder, "calls"), "a") as calls:
    calls.write(" ".join([name, *arguments]) + " BUILDKIT=" + os.environ.get("DOCKER_BUILDKIT", "") + "\\n")
if arguments[0] == "version":
    print('{{"Server": {{"Version": "28.0.0"}}}}' if name != "kind" else "kind v0.33.0 go1.26 linux/amd64")
elif arguments[0] == "buildx":
    sys.exit({buildx})
elif arguments[0] == "build":
    files = sorted(os.listdir(os.path.join(arguments[-1], "probes")))
    with open(os.path.join(folder, "context"), "w") as context:
        context.write(" ".join(files))
elif arguments[0] == "run":
    print("{answer}")
elif arguments[:2] == ["image", "inspect"]:
    if arguments[2] == "absent":
        sys.exit("Error: No such image: absent")
    print('[{{"Id": "sha256:1"}}]')
elif arguments[:2] == ["get", "nodes"]:
    print("x-control-plane x-worker" if arguments[-1] == "x" else "")
elif arguments[:2] == ["get", "clusters"]:
    print("x")
"""


class Machine:
    """A machine whose docker and kind are scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def have(self, *names: str, buildx: int = 0, answer: str = "") -> None:
        text = PROGRAM.format(python=sys.executable, buildx=buildx, answer=answer or digest())
        for name in names:
            program = self.folder / name
            program.write_text(text)
            program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def call(self, begin: str) -> str:
        (found,) = [item for item in self.calls if item.startswith(begin)]
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in [name for name in os.environ if name.startswith(("NETCHECK_", "DOCKER_", "KIND_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)


def netcheck(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["image", *arguments])


def test_it_is_built_from_the_installed_agent_and_tried(machine: Machine) -> None:
    machine.have("docker")
    done = netcheck("build", "--base", "registry:5000/python@sha256:ab")
    assert done.exit_code == 0, done.output
    assert f"built netcheck-probe:{__version__} with agent {digest()}" in done.stdout
    call = machine.call("docker build ")
    assert f"--tag netcheck-probe:{__version__}" in call
    assert "--build-arg BASE=registry:5000/python@sha256:ab" in call
    assert "--load" in call
    tried = machine.call("docker run ")
    assert tried.startswith("docker run --rm --network none --read-only --cap-drop ALL netcheck-probe")
    built = set((machine.folder / "context").read_text().split())
    assert built == {"Dockerfile"} | {item.name for item in (ROOT / "probes").glob("*.py")}


def test_docker_without_buildx_builds_as_it_used_to(machine: Machine) -> None:
    machine.have("docker", buildx=1)
    assert netcheck("build").exit_code == 0
    call = machine.call("docker build ")
    assert call.endswith("BUILDKIT=0")
    assert "--load" not in call


def test_podman_builds_too(machine: Machine) -> None:
    machine.have("podman")
    done = netcheck("build", "--builder", "podman", "--tag", "acme/probe:1")
    assert done.exit_code == 0, done.output
    assert "use it: --probe-image acme/probe:1 --agent image" in done.stdout
    assert "--load" not in machine.call("podman build")


def test_an_image_whose_agent_answers_wrongly_is_an_error(machine: Machine) -> None:
    machine.have("docker", answer="0badc0ffee00")
    done = netcheck("build")
    assert done.exit_code == 6
    assert f"answers '0badc0ffee00' instead of {digest()}" in done.stderr


def test_a_program_that_is_missing_is_said(machine: Machine) -> None:
    done = netcheck("build")
    assert done.exit_code == 6
    assert "error: docker is not installed" in done.stderr
    assert "https://docs.docker.com" in done.stderr


@pytest.mark.parametrize("spec", ["kind:x", "context:kind-x"])
def test_an_image_goes_onto_the_nodes(machine: Machine, spec: str) -> None:
    machine.have("docker", "kind")
    done = netcheck("load", "--cluster", spec)
    assert done.exit_code == 0, done.output
    assert f"netcheck-probe:{__version__} is on 2 nodes of kind cluster x" in done.stdout
    call = machine.call("kind load")
    assert call.startswith(f"kind load docker-image --name x netcheck-probe:{__version__}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--cluster", "lab"], 4, "cluster 'lab' is no kind cluster"),
        (["--cluster", "context:gke"], 4, "other clusters pull the image from a registry"),
        (["--cluster", "kind:y"], 4, "there is no kind cluster 'y'\n  help: kind get clusters: x"),
        (["--cluster", "kind:x", "--image", "absent"], 4, "docker has no image absent"),
    ],
)
def test_what_cannot_be_loaded(machine: Machine, arguments: list[str], code: int, words: str) -> None:
    machine.have("docker", "kind")
    done = netcheck("load", *arguments)
    assert (done.exit_code, words in done.stderr) == (code, True), done.output


def test_the_dockerfile_needs_no_shell_and_no_rights() -> None:
    text = (ROOT / "probes" / "Dockerfile").read_text()
    assert f"ARG BASE={image.DEFAULT_BASE}\n" in text
    assert not re.search(r"^RUN", text, re.MULTILINE)
    assert "USER 65532:65532" in text
    entry = re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    assert entry is not None
    assert ast.literal_eval(entry[1]) == ["python3", "-m", "probes.agent"]
    assert has_agent(image.DEFAULT_TAG)
