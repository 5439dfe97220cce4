"""The programs that make clusters, as typed calls: kind, docker (or podman, nerdctl) and helm."""

from __future__ import annotations

import functools
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.clusters.kind.process import CommandError, Completed, Stop, execute
from harness.engine.cluster import ClusterError

SHORT = 30.0
"""Seconds for a question to a program."""

LONG = 600.0
"""Seconds for making a cluster, building, saving or loading an image, installing a chart."""

PROVIDERS = ("docker", "podman", "nerdctl", "finch")
"""What kind can make nodes with; chosen by kind's own variable `KIND_EXPERIMENTAL_PROVIDER`."""

_NO_IMAGE = re.compile(r"no such image|no such object|image not known|not found", re.IGNORECASE)

Json = dict[str, Any]
Lines = Callable[[str], None]


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version of a program; what follows the third number is not compared."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def find(cls, text: str) -> Version | None:
        """The first version in a text, such as `kind v0.33.0 go1.26.8 linux/amd64`; None without any."""
        match = re.search(r"(?<![\w.])v?(\d+)\.(\d+)(?:\.(\d+))?", text)
        return cls(*(int(part or 0) for part in match.groups())) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class Program(ABC):
    """A program of this machine.

    Attributes:
        name: As it is called.
        oldest: The oldest version that will do.
        get: How to get it.
    """

    name: str
    oldest: Version
    get: str

    @functools.cached_property
    def version(self) -> Version:
        """Its version, asked once.

        Raises:
            CommandError: It is missing, says no version, or is too old; the advice says how to get it.
        """
        try:
            text = self._ask_version()
        except CommandError as trouble:
            if trouble.code is None and not trouble.advice:
                raise CommandError(str(trouble), self.get, program=self.name) from trouble
            raise
        found = Version.find(text)
        if found is None:
            raise CommandError(f"{self.name} says no version", self.get, program=self.name)
        if found < self.oldest:
            raise CommandError(
                f"{self.name} {found} is too old: netcheck needs {self.oldest} or newer",
                self.get,
                program=self.name,
            )
        return found

    @abstractmethod
    def _ask_version(self) -> str:
        """A text with the version in it."""

    def run(
        self,
        *arguments: str,
        timeout: float = SHORT,
        input: bytes | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        on_line: Lines | None = None,
        env: Mapping[str, str] | None = None,
        stop: Stop | None = None,
    ) -> Completed:
        """Run it with these arguments; see `process.execute`.

        Raises:
            CommandError: It is not there, fails, or takes longer than `timeout` seconds.
        """
        try:
            return execute(
                [self.name, *arguments],
                timeout=timeout,
                input=input,
                stdin=stdin,
                stdout=stdout,
                on_line=on_line,
                env=env,
                stop=stop,
            )
        except CommandError as trouble:
            if isinstance(trouble.__cause__, FileNotFoundError):
                raise CommandError(str(trouble), self.get, program=self.name) from trouble
            raise


class Kind(Program):
    """`kind`: clusters whose nodes are containers."""

    name = "kind"
    oldest = Version(0, 20)
    get = "kind 0.20 or newer is needed: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"

    def _ask_version(self) -> str:
        return self.run("version").stdout

    def clusters(self) -> list[str]:
        """Names of the clusters that there are."""
        return self.run("get", "clusters").stdout.split()

    def nodes(self, cluster: str) -> list[str]:
        """Names of a cluster's nodes, which are their containers' names too; empty = no such cluster."""
        return self.run("get", "nodes", "--name", cluster).stdout.split()

    def create(
        self,
        cluster: str,
        *,
        config: Path,
        kubeconfig: Path,
        image: str = "",
        timeout: float = LONG,
        on_line: Lines | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Make a cluster; nodes need not be ready, since they have no pod network yet.

        Args:
            cluster: Its name.
            config: kind's configuration file.
            kubeconfig: Where the credentials go; no other kubeconfig is touched.
            image: Node image; empty = the one that belongs to this version of kind.
            timeout: Seconds that it may take.
            on_line: Called with each line of progress.
            stop: Ends it; what was made by then is still there.
        """
        arguments = ["create", "cluster", "--name", cluster, "--config", str(config)]
        arguments += ["--kubeconfig", str(kubeconfig), "--wait", "0s"]
        if image:
            arguments += ["--image", image]
        self.run(*arguments, timeout=timeout, on_line=on_line, stop=stop)

    def delete(self, cluster: str, *, kubeconfig: Path) -> None:
        """Delete a cluster, and its entries in that kubeconfig; none of that name is as good."""
        self.run("delete", "cluster", "--name", cluster, "--kubeconfig", str(kubeconfig), timeout=120)

    def kubeconfig(self, cluster: str) -> str:
        """The cluster's kubeconfig, as text; it has the credentials of the cluster's administrator."""
        return self.run("get", "kubeconfig", "--name", cluster).stdout

    def load_images(
        self, cluster: str, images: Sequence[str], *, nodes: Sequence[str] = (), on_line: Lines | None = None
    ) -> None:
        """Put images of the container engine onto the nodes (all, or those named)."""
        arguments = ["load", "docker-image", "--name", cluster, *_nodes(nodes), *images]
        self.run(*arguments, timeout=LONG, on_line=on_line)

    def load_archive(
        self, cluster: str, archive: Path, *, nodes: Sequence[str] = (), on_line: Lines | None = None
    ) -> None:
        """Put the images of an archive (`docker save`) onto the nodes."""
        arguments = ["load", "image-archive", "--name", cluster, *_nodes(nodes), str(archive)]
        self.run(*arguments, timeout=LONG, on_line=on_line)


def _nodes(names: Sequence[str]) -> list[str]:
    return ["--nodes", ",".join(names)] if names else []


class Docker(Program):
    """`docker`, or what kind is told to use instead; containers, images and networks.

    Attributes:
        name: The program's name, from `KIND_EXPERIMENTAL_PROVIDER` where that is set.
    """

    oldest = Version(20, 10)
    get = (
        "Docker 20.10 or newer is needed: https://docs.docker.com/engine/install/ "
        "(podman or nerdctl: set KIND_EXPERIMENTAL_PROVIDER)"
    )

    def __init__(self, name: str = "") -> None:
        self.name = name or os.environ.get("KIND_EXPERIMENTAL_PROVIDER", "") or "docker"
        if self.name not in PROVIDERS:
            raise ClusterError(
                f"KIND_EXPERIMENTAL_PROVIDER is {self.name!r}", f"kind knows {', '.join(PROVIDERS)}"
            )
        if self.name != "docker":
            self.oldest = Version(1, 0)
            self.get = f"install {self.name}, or unset KIND_EXPERIMENTAL_PROVIDER to use docker"

    def _ask_version(self) -> str:
        """Version of the server, which does the work; of the client where there is none (podman)."""
        try:
            text = self.run("version", "--format", "{{json .}}").stdout
        except CommandError as trouble:
            if trouble.code is None:
                raise
            raise CommandError(
                f"{self.name} is installed, but does not answer: {str(trouble).partition(': ')[2]}",
                f"start it (systemctl start {self.name}), and make sure that you may use it",
                program=self.name,
                code=trouble.code,
                stderr=trouble.stderr,
            ) from trouble
        try:
            found = json.loads(text)
            return str((found.get("Server") or found["Client"])["Version"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return text

    # -- containers ------------------------------------------------------------------------------------

    def start(self, image: str, *options: str, command: Sequence[str] = (), timeout: float = 120) -> str:
        """Start a container in the background (`run --detach`); returns its id.

        Args:
            image: It must be there or be pullable.
            options: Options of `docker run`.
            command: What runs in it.
            timeout: Seconds, a pull included.
        """
        return self.run("run", "--detach", *options, image, *command, timeout=timeout).stdout.strip()

    def exec(
        self,
        container: str,
        *command: str,
        input: bytes | None = None,
        stdin: IO[bytes] | None = None,
        timeout: float = SHORT,
    ) -> Completed:
        """Run a command in a container, with an input or without."""
        interactive = ["--interactive"] if input is not None or stdin is not None else []
        arguments = ["exec", *interactive, container, *command]
        return self.run(*arguments, input=input, stdin=stdin, timeout=timeout)

    def containers(self, *filters: str) -> list[str]:
        """Names of containers, running or not, such as those with the filter `label=netcheck.dev/run=x`."""
        chosen = [part for item in filters for part in ("--filter", item)]
        return self.run("ps", "--all", *chosen, "--format", "{{.Names}}").stdout.split()

    def inspect(self, container: str) -> Json:
        """All that is known of a container.

        Raises:
            CommandError: There is none of that name.
        """
        return self._inspected("container", container)

    def remove(self, containers: Sequence[str]) -> None:
        """Remove containers, running or not, with their anonymous volumes."""
        if containers:
            self.run("rm", "--force", "--volumes", *containers, timeout=120)

    # -- images ----------------------------------------------------------------------------------------

    def image_id(self, image: str) -> str:
        """Id (digest of its configuration) of an image that is here; empty when it is not.

        Raises:
            CommandError: The engine cannot be asked.
        """
        try:
            return str(self._inspected("image", image).get("Id", ""))
        except CommandError as trouble:
            if trouble.code is None or not _NO_IMAGE.search(trouble.stderr):
                raise
            return ""

    def platform(self, image: str) -> str:
        """The platform of an image that is here, such as `linux/amd64`; empty when it has none."""
        found = self._inspected("image", image)
        system, machine = found.get("Os"), found.get("Architecture")
        return f"{system}/{machine}" if system and machine else ""

    def build(
        self,
        folder: Path,
        *,
        tag: str,
        file: Path | None = None,
        arguments: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        on_line: Lines | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Build an image from a folder; `arguments` are build arguments."""
        chosen = ["--file", str(file)] if file else []
        for key, value in (arguments or {}).items():
            chosen += ["--build-arg", f"{key}={value}"]
        self.run(
            "build", "--tag", tag, *chosen, *options, str(folder), timeout=LONG, on_line=on_line, env=env
        )

    def save(self, images: Sequence[str], archive: Path, *, platform: str = "") -> None:
        """Write images to an archive.

        Args:
            images: Names of images.
            archive: The file.
            platform: Such as `linux/amd64`: with Docker 29's image store an archive of all platforms cannot
                be loaded (kind#3795), so name the one that is there. Older ones do not know the option.
        """
        chosen = ["--platform", platform] if platform else []
        self.run("save", *chosen, "--output", str(archive), *images, timeout=LONG)

    # -- the rest --------------------------------------------------------------------------------------

    def network(self, name: str) -> Json:
        """All that is known of a network (kind's nodes are on `kind`, or `KIND_EXPERIMENTAL_DOCKER_NETWORK`).

        Raises:
            CommandError: There is none of that name.
        """
        return self._inspected("network", name)

    def info(self) -> Json:
        """What the engine says of itself: memory, cgroup version, root directory, image store."""
        return _parsed(self.name, self.run("info", "--format", "{{json .}}").stdout)

    def _inspected(self, kind: str, name: str) -> Json:
        return _parsed(self.name, self.run(kind, "inspect", name).stdout)


class Helm(Program):
    """`helm`: charts."""

    name = "helm"
    oldest = Version(3, 8)
    get = "helm 3.8 or newer is needed: https://helm.sh/docs/intro/install/"

    def _ask_version(self) -> str:
        return self.run("version", "--template", "{{.Version}}").stdout

    def install(
        self,
        release: str,
        chart: str,
        *,
        namespace: str,
        kubeconfig: Path,
        values: Path,
        timeout: float = LONG,
        on_line: Lines | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Install a chart, or make an earlier installation like it.

        Args:
            release: Name of the release.
            chart: A file or folder of this machine.
            namespace: Where to.
            kubeconfig: The cluster.
            values: File with the chart's values.
            timeout: Seconds that it may take.
            on_line: Called with each line of progress.
            stop: Ends it.
        """
        arguments = ["upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace"]
        arguments += ["--kubeconfig", str(kubeconfig), "--values", str(values)]
        self.run(*arguments, timeout=timeout, on_line=on_line, stop=stop)


def _parsed(program: str, text: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError as trouble:
        raise CommandError(f"{program} answers with no JSON: {trouble}", program=program) from trouble
    if isinstance(found, list):
        found = found[0] if found else {}
    if not isinstance(found, dict):
        raise CommandError(f"{program} answers with no object", program=program)
    return found
