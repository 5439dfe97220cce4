"""What the installers of all plugins share: where a plugin comes from, and bringing it to the cluster."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.clusters.kind.cni import Say, Site, Workload
from harness.clusters.kind.commands import Helm
from harness.clusters.kind.process import execute
from harness.clusters.kind.shape import IpFamily, digest
from harness.clusters.kube.api import SpecError
from harness.cni import download, manifests
from harness.cni.table import Entry, How, is_digest, is_version, merged

COMMAND_SECONDS = 1800.0
"""How long a command of the user's may take: it may build the plugin first."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where a plugin comes from; at most one of chart, manifests and command.

    Attributes:
        version: As asked for; empty = the table's default.
        chart: A chart of this machine, packed or a folder.
        manifests: Manifests of this machine, in the order of applying.
        command: A command line, split as a shell would, run without one. `{name}` and `{kubeconfig}` in it
            stand for the cluster's name and kubeconfig, which it also has as NETCHECK_CLUSTER and KUBECONFIG.
        values: A file with more values of the chart, on top of netcheck's.
        sha256: Digests of what is downloaded, in the table's order.
        trust: Take downloads without a digest.
    """

    version: str = ""
    chart: Path | None = None
    manifests: tuple[Path, ...] = ()
    command: str = ""
    values: Path | None = None
    sha256: tuple[str, ...] = ()
    trust: bool = False

    def __post_init__(self) -> None:
        """Look whether it can be.

        Raises:
            SpecError: Options contradict each other, or name what is not there.
        """
        if sum(map(bool, (self.chart, self.manifests, self.command))) > 1:
            raise SpecError(
                "the network plugin was given in more than one way",
                "give one of --cni-chart, --cni-manifest and --cni-command",
            )
        if self.version and not is_version(self.version):
            raise SpecError(f"{self.version!r} is no version of a network plugin", "write it like 1.19.8")
        for path in (self.chart, self.values, *self.manifests):
            if path is not None and not path.exists():
                raise SpecError(f"{path}: there is no such file", "check the path")
        for text in self.sha256:
            if not is_digest(text):
                raise SpecError(
                    f"{text!r} is no sha256", "64 lower-case hexadecimal digits, as sha256sum prints"
                )
        if self.command:
            self.argv()

    @property
    def local(self) -> bool:
        """Whether the plugin comes from this machine."""
        return bool(self.chart or self.manifests or self.command)

    def argv(self) -> list[str]:
        """The command, split.

        Raises:
            SpecError: Its quotes do not match, or it is empty.
        """
        try:
            found = shlex.split(self.command)
        except ValueError as trouble:
            raise SpecError(f"--cni-command cannot be understood: {trouble}", "check its quotes") from trouble
        if not found:
            raise SpecError("--cni-command is empty", "name a program")
        return found

    def source(self) -> str:
        """For the cluster's shape: where the plugin comes from, with a digest of it; empty when not said."""
        if self.command:
            return f"command:{digest(self.command.encode())}"
        if self.manifests:
            return f"manifest:{digest(b''.join(path.read_bytes() for path in self.manifests))}"
        if self.chart:
            return f"chart:{digest(_content(self.chart))}"
        return ""


def _content(chart: Path) -> bytes:
    if chart.is_file():
        return chart.read_bytes()
    return b"".join(
        str(path.relative_to(chart)).encode() + path.read_bytes()
        for path in sorted(chart.rglob("*"))
        if path.is_file()
    )


class Installing:
    """Brings a plugin of the table; an `Installer`. Each plugin's own ways are in its folder.

    Args:
        entry: What the table says of it.
        inputs: Where it comes from.

    Raises:
        SpecError: The plugin cannot come that way.
    """

    own_network = False
    brings_network = True

    def __init__(self, entry: Entry, inputs: Inputs) -> None:
        self.entry = entry
        self.inputs = inputs
        self.name = entry.name
        # What comes from this machine has the version that its file has.
        self.version = inputs.version or ("" if inputs.local else entry.default)
        self.source = inputs.source() or "table"
        # A chart or manifest of the user's own has the names that it has, and what it brings is waited for.
        self.workloads: tuple[Workload, ...] = () if inputs.local else entry.workloads
        if inputs.chart and entry.how is not How.CHART:
            raise SpecError(
                f"{self.name} does not come as a chart here", "use --cni-manifest or --cni-command"
            )
        if inputs.values and not self.by_chart:
            raise SpecError("--cni-values are for charts", f"{self.name} comes as {entry.how.value} here")
        if inputs.sha256 and (inputs.local or len(inputs.sha256) != len(entry.files)):
            wanted = ", then of ".join(entry.addresses(self.version)) or "nothing"
            raise SpecError(
                f"--cni-sha256 was given {len(inputs.sha256)} times",
                "your own files need none" if inputs.local else f"one for each file: of {wanted}",
            )
        self._files: list[bytes] = []
        self.objects: list[Json] = []

    @property
    def by_chart(self) -> bool:
        """Whether helm brings it."""
        if self.inputs.local:
            return self.inputs.chart is not None
        return self.entry.how is How.CHART

    def prepare(self, ip_family: IpFamily, say: Say) -> None:
        """Fetch and check what is needed; see `Installer`."""
        if self.by_chart:
            _ = Helm().version
        if self.inputs.command:
            return
        if not self.inputs.local:
            known = self.inputs.sha256 or self.entry.sha256.get(self.version, ())
            for index, url in enumerate(self.entry.addresses(self.version)):
                vouched = known[index] if index < len(known) else ""
                self._files.append(download.fetch(url, vouched, trust=self.inputs.trust, say=say))
        if not self.by_chart:
            for content, where in self._manifests():
                self.objects += manifests.read(content, where)
            self.adjust(self.objects)

    def _manifests(self) -> list[tuple[bytes, str]]:
        if self.inputs.manifests:
            return [(path.read_bytes(), str(path)) for path in self.inputs.manifests]
        return list(zip(self._files, self.entry.addresses(self.version), strict=True))

    def adjust(self, objects: list[Json]) -> None:
        """Change what the plugin's manifest says, where a kind cluster needs it."""

    def own_values(self, site: Site) -> Mapping[str, Any]:
        """Values of the chart that depend on the cluster."""
        return {}

    def finish(self, site: Site) -> None:
        """What follows the manifests, such as the objects that an operator waits for."""

    def install(self, site: Site) -> None:
        """Bring it to the cluster; see `Installer`."""
        if self.inputs.command:
            run_command(self.inputs, site)
        elif self.by_chart:
            self._install_chart(site)
        else:
            of_table = self.entry.images_of(self.version) if self.version else ()
            site.load(tuple(dict.fromkeys((*manifests.images(self.objects), *of_table))))
            manifests.apply(site.api, self.objects, site.say, site.stop)
            self.finish(site)

    def _install_chart(self, site: Site) -> None:
        import yaml

        loaded = site.load(self.entry.images_of(self.version)) if self.version else ()
        values = merged(self.entry.values, self.own_values(site))
        if loaded or site.loaded:
            # Images that were loaded have no digest of a registry that a reference could name.
            values = merged(values, self.without_digests())
        if self.inputs.values:
            values = merged(values, _values(self.inputs.values))
        with tempfile.TemporaryDirectory(prefix="netcheck-") as folder:
            chart = self.inputs.chart or Path(folder) / "chart.tgz"
            if self._files:
                chart.write_bytes(self._files[0])
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            site.say(f"installing chart {self.entry.release}")
            Helm().install(
                self.entry.release,
                str(chart),
                namespace=self.entry.namespace,
                kubeconfig=site.kubeconfig,
                values=file,
                on_line=site.say,
                stop=site.stop,
            )

    def without_digests(self) -> Mapping[str, Any]:
        """Values that make the chart name its images by tag alone."""
        return {}


def run_command(inputs: Inputs, site: Site) -> None:
    """Let the user's command bring the plugin.

    Raises:
        CommandError: It fails or takes too long.
    """
    places = {"{name}": site.cluster, "{kubeconfig}": str(site.kubeconfig)}
    argv = []
    for part in inputs.argv():
        for place, value in places.items():
            part = part.replace(place, value)
        argv.append(part)
    site.say(f"running {argv[0]}")
    execute(
        argv,
        timeout=COMMAND_SECONDS,
        on_line=site.say,
        env={"KUBECONFIG": str(site.kubeconfig), "NETCHECK_CLUSTER": site.cluster},
        stop=site.stop,
    )


def _values(file: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as trouble:
        why = (str(trouble).splitlines() or [type(trouble).__name__])[0]
        raise SpecError(f"{file} cannot be read: {why}", "values of a chart are YAML") from trouble
    if not isinstance(found, dict):
        raise SpecError(f"{file} has no values", "values of a chart are a mapping")
    return found
