"""What the cluster tests share: clusters by context, the command line as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.clusters.kube.api import Api, load_configuration
from harness.cni.detect import detect
from harness.engine.cluster import ClusterError

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-P", "-m", "harness"]
CONTEXTS = "NETCHECK_TEST_CONTEXTS"
ENFORCING = ("cilium", "calico")


def wanted() -> list[str]:
    """The contexts that the environment names."""
    return [item.strip() for item in os.environ.get(CONTEXTS, "").split(",") if item.strip()]


def api_of(context: str) -> Api:
    """The API server behind a context."""
    return Api(*load_configuration(None, context))


def reachable(context: str) -> bool:
    """Whether a context is there and its API server answers."""
    try:
        configuration, _ = load_configuration(None, context)
        # A run waits for a server that hiccups; whether there is one at all shows at once.
        server = urlsplit(configuration.host)
        with socket.create_connection((server.hostname or "", server.port or 443), timeout=5):
            pass
        api_of(context).get("/version")
    except (ClusterError, OSError):
        return False
    return True


def kind_of(context: str) -> str:
    """`cilium`, `calico`, …; `basic` where no known plugin enforces policies."""
    name = detect(api_of(context)).name
    return name if name in ENFORCING else "basic"


def probe_image(context: str) -> str:
    """An image with python3: the one that the environment names, else one that the nodes have."""
    named = os.environ.get("NETCHECK_PROBE_IMAGE", "")
    if named:
        return named
    for node in api_of(context).get("/api/v1/nodes")["items"]:
        for image in node["status"].get("images", ()):
            for name in image["names"]:
                if "python:3" in name and "@" not in name:
                    return str(name)
    return ""


@dataclass(frozen=True, slots=True)
class Ran:
    """How the command ended; `report` is the JSON report, empty when none was written."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """Cell results by `scenario/step/id`."""
        return {
            f"{scenario['name']}/{step['name']}/{cell['id']}": cell
            for scenario in self.report.get("scenarios", ())
            for step in scenario["steps"]
            for cell in step["cells"]
        }

    def statuses(self) -> list[str]:
        """Statuses of all cells, in order."""
        return [cell["status"] for cell in self.cells.values()]

    @property
    def errors(self) -> list[str]:
        """What each scenario says of itself where the whole of it was not measured."""
        return [item["error"] for item in self.report.get("scenarios", ()) if item["error"]]

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Process:
    """A command that runs; its output is collected, and tests may wait for a line of it."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], report: Path) -> None:
        self._report = report
        self._lines: list[str] = []
        self._news = threading.Condition()
        self.popen = subprocess.Popen(
            [*CLI, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._out: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.popen.stdout, self._out)),
            threading.Thread(target=self._read, args=(self.popen.stderr, self._lines)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    into.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def await_line(self, text: str, timeout: float = 120.0) -> None:
        """Wait until a line of the progress (stderr) contains `text`."""
        with self._news:
            self._news.wait_for(
                lambda: any(text in line for line in self._lines) or self.popen.poll() is not None, timeout
            )
            seen = any(text in line for line in self._lines)
        assert seen, f"{text!r} never came:\n{''.join(self._lines)}{''.join(self._out)}"

    def signal(self, number: int) -> None:
        """Send a signal to the command alone."""
        self.popen.send_signal(number)

    def wait(self, timeout: float) -> Ran:
        """Wait for its end; killed when it takes longer than `timeout` seconds."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait()
            code = -9
        self.join()
        text = self._report.read_text() if self._report.is_file() else ""
        ran = Ran(code, "".join(self._out), "".join(self._lines), json.loads(text) if text else {})
        assert code != -9 or timeout == 0, f"it did not end within {timeout:.0f} s: {ran}"
        return ran

    def join(self) -> None:
        """Wait until all output is read; the command has ended."""
        for reader in self._readers:
            reader.join()


@contextmanager
def started(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """The command as a process of its own, which does not outlive the block."""
    report = folder / "run.json"
    report.unlink(missing_ok=True)
    whole = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(environment or {})}
    for name in ("GITHUB_ACTIONS", "NETCHECK_CLUSTER"):
        whole.pop(name, None)
    if arguments and arguments[0] == "run":
        arguments = [*arguments, "--report", f"json:{report}"]
    process = Process(arguments, whole, report)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGKILL)
        process.popen.wait()
        process.join()


def main() -> int:
    """Print those of the contexts in the arguments that answer."""
    found = [context for context in sys.argv[1:] if reachable(context)]
    print(",".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
