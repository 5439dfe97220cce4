"""Questions to a plugin's own pods: one exec stream per node, kept open, answering a few fixed words.

What is asked for is a word of a fixed script, never a shell string made of something that was read somewhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.nodes import is_ready, runs_linux
from harness.engine.cluster import ClusterError

PATIENCE = 20.0
"""Seconds that an agent may take for one answer."""

_END = "==netcheck=="


class AgentError(ClusterError):
    """The plugin's pod on a node cannot be asked: no right to exec, no shell, no answer.

    Attributes:
        denied: There is no right to ask, so that asking again is of no use.
    """

    denied = False


@dataclass(frozen=True, slots=True)
class Script:
    """How the pods of a plugin are found and what can be asked there.

    Attributes:
        namespaces: Where to look, in this order.
        selector: Label selector of the pods.
        container: The container to ask in.
        words: Command line by word; `"$1"` and `"$2"` stand for the arguments.
    """

    namespaces: tuple[str, ...]
    selector: str
    container: str
    words: dict[str, str]

    def shell(self) -> list[str]:
        """The command: reads a word and its arguments, runs what belongs to it, marks the end."""
        cases = " ".join(f"{word}) {command} ;;" for word, command in self.words.items())
        loop = (
            f'while read -r word one two; do set -- "$one" "$two"; case "$word" in {cases} *) false ;; esac '
            f"2>&1; printf '\\n{_END} %d\\n' $?; done"
        )
        return ["sh", "-c", loop]


class Agents:
    """The plugin's pods of a cluster, by host name of their node."""

    def __init__(self, api: Api, script: Script) -> None:
        self._api = api
        self._script = script
        self._lock = threading.Lock()
        self._shells: dict[str, _Shell] = {}
        self._pods: dict[str, tuple[str, str]] | None = None

    def ask(
        self,
        node: str,
        word: str,
        *arguments: str,
        patience: float = PATIENCE,
        heard: Callable[[str], None] | None = None,
    ) -> str:
        """What the pod on a node answers.

        Args:
            node: Host name.
            word: What is asked, and with which arguments.
            arguments: What stands for `"$1"` and `"$2"`.
            patience: Seconds that the answer may take.
            heard: Told what has come so far, whenever there is more of it.

        Raises:
            AgentError: It cannot be asked.
        """
        with self._lock:
            shell = self._shells.get(node)
            if shell is None:
                shell = self._shells[node] = _Shell(self._api, self._script, lambda: self._pod(node))
        return shell.ask(" ".join((word, *arguments)), patience, heard)

    def _pod(self, node: str) -> tuple[str, str]:
        """Namespace and name of the plugin's pod on a node; pods may have been replaced, so look again."""
        hosts = {
            item["metadata"]["name"]: item["metadata"].get("labels", {}).get("kubernetes.io/hostname")
            for item in self._api.get("/api/v1/nodes")["items"]
        }
        for namespace in self._script.namespaces:
            path = f"/api/v1/namespaces/{namespace}/pods"
            for item in self._api.get(path, labelSelector=self._script.selector)["items"]:
                name = item["spec"].get("nodeName", "")
                if node in (name, hosts.get(name)) and item["status"].get("phase") == "Running":
                    return namespace, item["metadata"]["name"]
        raise AgentError(f"no pod {self._script.selector} runs on node {node}")

    def close(self) -> None:
        """Close all streams."""
        with self._lock:
            for shell in self._shells.values():
                shell.close()
            self._shells.clear()


def first_node(api: Api) -> str:
    """The name of some node that is ready to be asked.

    Raises:
        AgentError: There is none.
    """
    found = (item for item in api.get("/api/v1/nodes")["items"] if is_ready(item) and runs_linux(item))
    name = min((str(item["metadata"]["name"]) for item in found), default="")
    if not name:
        raise AgentError("the cluster has no node that is ready")
    return name


class _Shell:
    """One stream; asked by one thread at a time."""

    def __init__(self, api: Api, script: Script, find: Any) -> None:
        self._api = api
        self._script = script
        self._find = find
        self._lock = threading.Lock()
        self._socket: Any = None

    def ask(self, line: str, patience: float, heard: Callable[[str], None] | None) -> str:
        """Ask; when the stream is broken (an agent was restarted), once more over a new one."""
        with self._lock:
            fresh = self._socket is None
            try:
                return self._once(line, patience, heard)
            except AgentError:
                self._drop()
                if fresh:
                    raise
                return self._once(line, patience, heard)

    def _once(self, line: str, patience: float, heard: Callable[[str], None] | None) -> str:
        if self._socket is None:
            try:
                namespace, pod = self._find()
                self._socket = self._api.exec(namespace, pod, self._script.container, self._script.shell())
            except ApiError as trouble:
                failed = AgentError(str(trouble))
                failed.denied = trouble.status == 403
                raise failed from trouble
        deadline = time.monotonic() + patience
        text = ""
        try:
            self._socket.write_stdin(line + "\n")
            while f"\n{_END} " not in text or not text.endswith("\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AgentError(f"the plugin's pod gave no answer within {patience:.0f} s")
                self._socket.update(timeout=min(left, 5.0))
                more = self._socket.read_stdout(timeout=0) or ""
                text += more
                if more and heard is not None:
                    heard(text)
                if not self._socket.is_open() and f"\n{_END} " not in text:
                    said = (self._socket.read_stderr(timeout=0) or "").strip()
                    raise AgentError(f"the exec stream to the plugin's pod ended {said[-200:]}".rstrip())
        except AgentError:
            raise
        except Exception as trouble:
            raise AgentError(f"the exec stream to the plugin's pod broke: {trouble}") from trouble
        answer, _, code = text.rpartition(f"\n{_END} ")
        if code.strip() != "0":
            last = (answer.strip().splitlines() or [f"exit code {code.strip()}"])[-1]
            raise RefusedError(last[:300])
        return answer

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(Exception):
                self._socket.close()
        self._socket = None

    def close(self) -> None:
        """Close the stream; the shell in the pod ends with it."""
        self._drop()


class RefusedError(ClusterError):
    """The plugin's pod answered, but its command failed."""
