"""Programs of the machine as typed calls: time limits, outputs, versions, what is missing or too old."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.clusters.kind.commands import Docker, Helm, Kind, Version
from harness.clusters.kind.process import CommandError, InterruptedCommandError, execute, last_useful_line
from harness.engine.cluster import ClusterError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    return tmp_path


def test_both_outputs_are_kept_apart() -> None:
    done = execute(python("import sys; print('out'); print('err', file=sys.stderr)"), timeout=30)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_input_reaches_the_program_whole_even_when_it_answers_first() -> None:
    code = "import sys; print('x' * 200000, flush=True); print(len(sys.stdin.buffer.read()))"
    done = execute(python(code), timeout=30, input=b"y" * 500_000)
    assert done.stdout.split()[-1] == "500000"


def test_a_program_without_input_reads_nothing_of_ours() -> None:
    assert execute(python("import sys; print(repr(sys.stdin.read()))"), timeout=30).stdout == "''\n"


def test_output_goes_to_a_file_where_one_is_given(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        assert execute(python("print('there')"), timeout=30, stdout=file).stdout == ""
    assert (tmp_path / "out").read_text() == "there\n"


def test_lines_come_while_it_runs_and_nothing_in_them_moves_the_cursor() -> None:
    seen: list[str] = []
    first = threading.Event()

    def hear(line: str) -> None:
        seen.append(line)
        first.set()

    code = (
        "import sys, time; print('\\x1b[31mred\\x1b[0m \\x1b]0;t\\x07', flush=True); "
        "sys.stdin.read(); print('old\\rnew\\r'); print('rest', end='')"
    )
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stdin:
        thread = threading.Thread(
            target=execute, args=[python(code)], kwargs={"timeout": 30, "on_line": hear, "stdin": stdin}
        )
        thread.start()
        assert first.wait(20)
        assert seen == ["red \\x1b]0;t\\x07"]
        os.close(write)
        thread.join()
    assert seen[1:] == ["new", "rest"]


def test_a_program_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(tmp_path / 'alive')!r}).touch()"
    code = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); "
        "print('waiting for the node', file=sys.stderr, flush=True); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 1 s: waiting for the node") as found:
        execute(python(code), timeout=1)
    assert found.value.code is None
    assert time.monotonic() - begun < 30
    time.sleep(max(0.0, begun + 4.5 - time.monotonic()))
    assert not (tmp_path / "alive").exists()


def test_whoever_waits_can_stop_waiting() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(InterruptedCommandError):
        execute(python("import time; time.sleep(60)"), timeout=60, stop=stop)


def test_what_stays_in_the_background_holds_nobody_up() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])"
    begun = time.monotonic()
    execute(python(code), timeout=60)
    assert time.monotonic() - begun < 15


def test_the_end_of_a_program_is_told_with_its_reason() -> None:
    code = "import sys; print('ERROR: no space\\x1b[2J left\\ntrace', file=sys.stderr); sys.exit(7)"
    with pytest.raises(CommandError, match=r"failed: ERROR: no space left$") as found:
        execute(python(code), timeout=30)
    assert found.value.code == 7


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n\n", ""),
        ("one\ntwo\n", "two"),
        (
            "Creating\nERROR: failed to create cluster: no log line\n\nStack Trace:\nat x\n",
            "ERROR: failed to create cluster: no log line",
        ),
        ("docker: Error response from daemon: no such image.\nSee 'docker run --help'.", None),
    ],
)
def test_the_line_that_says_why(text: str, line: str | None) -> None:
    assert last_useful_line(text) == (text.splitlines()[0] if line is None else line)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("kind v0.33.0 go1.26.8 linux/amd64", Version(0, 33, 0)),
        ("kind v0.34.0-alpha+1a2b go1.26", Version(0, 34, 0)),
        ("v3.16.2+g13654a5", Version(3, 16, 2)),
        ("20.10.24+dfsg1", Version(20, 10, 24)),
        ("28.2", Version(28, 2, 0)),
        ("no version", None),
    ],
)
def test_versions(text: str, version: Version | None) -> None:
    assert Version.find(text) == version


def test_versions_are_ordered_by_number() -> None:
    assert Version(0, 9) < Version(0, 20) < Version(0, 20, 1) < Version(1, 0)


def test_a_missing_program_is_said_with_where_to_get_it(path: Path) -> None:
    for which in (Kind(), Docker(), Helm()):
        with pytest.raises(ClusterError, match=f"{which.name} is not installed") as found:
            _ = which.version
        assert "https://" in found.value.advice
    with pytest.raises(ClusterError, match="kind is not installed") as found:
        Kind().clusters()
    assert "https://kind" in found.value.advice


def test_a_program_that_is_too_old_is_said(path: Path) -> None:
    program(path, "kind", "echo kind v0.11.1 go1.16.4 linux/amd64")
    with pytest.raises(ClusterError, match=r"kind 0\.11\.1 is too old: netcheck needs 0\.20\.0 or newer"):
        _ = Kind().version


def test_a_program_that_is_something_else_is_said(path: Path) -> None:
    program(path, "helm", "echo what?")
    with pytest.raises(ClusterError, match="helm says no version"):
        _ = Helm().version


def test_a_daemon_that_does_not_run_is_not_a_missing_docker(path: Path) -> None:
    program(path, "docker", "echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1")
    with pytest.raises(ClusterError, match="does not answer: Cannot connect to the Docker daemon") as found:
        _ = Docker().version
    assert "systemctl start docker" in found.value.advice


def test_the_version_of_docker_is_the_servers(path: Path) -> None:
    program(path, "docker", """echo '{"Client": {"Version": "28.2.2"}, "Server": {"Version": "20.10.24"}}'""")
    assert Docker().version == Version(20, 10, 24)


def test_podman_has_no_server(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "podman")
    program(path, "podman", """echo '{"Client": {"Version": "4.9.3"}}'""")
    assert Docker().version == Version(4, 9, 3)
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "rocket")
    with pytest.raises(ClusterError, match="rocket"):
        Docker()


def test_arguments_are_no_shell_text(path: Path) -> None:
    program(path, "kind", """for argument; do printf '<%s>\\n' "$argument"; done""")
    assert Kind().nodes("a; rm -rf $HOME") == ["<get>", "<nodes>", "<--name>", "<a;", "rm", "-rf", "$HOME>"]


def test_making_a_cluster_names_its_own_kubeconfig(path: Path) -> None:
    program(path, "kind", 'echo "$@" >&2')
    lines: list[str] = []
    Kind().create("x", config=Path("/c"), kubeconfig=Path("/k"), image="node:1", on_line=lines.append)
    assert lines == [
        "create cluster --name x --config /c --kubeconfig /k --wait 0s --image node:1",
    ]


def test_an_image_that_is_not_there_has_no_id(path: Path) -> None:
    program(path, "docker", "echo 'Error: No such image: x' >&2; exit 1")
    assert Docker().image_id("x") == ""


def test_an_engine_that_cannot_be_asked_is_no_missing_image(path: Path) -> None:
    program(path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ClusterError, match="Cannot connect"):
        Docker().image_id("x")


def test_an_image_that_is_there_has_one(path: Path) -> None:
    program(path, "docker", """echo '[{"Id": "sha256:12"}]'""")
    assert Docker().image_id("x") == "sha256:12"


def test_answers_that_are_no_json_are_errors(path: Path) -> None:
    program(path, "docker", "echo hello")
    with pytest.raises(ClusterError, match="no JSON"):
        Docker().network("kind")
