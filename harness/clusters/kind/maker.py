"""Making, finding and removing kind clusters; only those that netcheck made are ever changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.clusters.kind import store
from harness.clusters.kind.cni import Installer, Say, Site
from harness.clusters.kind.commands import Docker, Kind
from harness.clusters.kind.config import cluster_config, ip_family
from harness.clusters.kind.images import load_present
from harness.clusters.kind.process import CommandError, Stop
from harness.clusters.kind.ready import await_ready
from harness.clusters.kind.shape import Shape, Wanted
from harness.clusters.kind.standing import NOTE, Standing, note, owners
from harness.clusters.kube.api import Api, ApiError, SpecError, load_configuration
from harness.engine.cluster import ClusterError

WAIT_SECONDS = 1800.0
"""How long to wait while another netcheck makes the cluster or takes it down."""


DELETE_ATTEMPTS = 4
"""How often the deletion of a cluster is tried."""


class Maker:
    """Makes, finds and removes clusters with the programs of this machine.

    Args:
        kind: The program kind.
        docker: The container engine.
        say: Takes lines of progress.
        stop: Set when nobody waits any more.
    """

    def __init__(
        self,
        kind: Kind | None = None,
        docker: Docker | None = None,
        say: Say = lambda line: None,
        stop: Stop | None = None,
    ) -> None:
        self.kind = kind or Kind()
        self.docker = docker or Docker()
        self._say = say
        self._stop = stop

    # -- finding ---------------------------------------------------------------------------------------

    def find(self, name: str) -> Standing | None:
        """The cluster of that name; None when there is none.

        Raises:
            CommandError: kind or the container engine cannot be asked.
        """
        _ = self.docker.version, self.kind.version
        nodes = tuple(self.kind.nodes(name))
        if not nodes:
            return None
        containers = [self.docker.inspect(node) for node in nodes]
        makers = owners(containers)
        ours, mine = bool(makers), makers == {store.owner()}
        running = all(each.get("State", {}).get("Running") for each in containers)
        found = Standing(name, nodes, ours, mine, running, finished=store.kubeconfig(name).exists())
        if not ours or not running:
            return found
        try:
            found_note = self.api(name).get(NOTE)
        except ApiError as trouble:
            return replace(found, answers=trouble.status == 404)
        except CommandError:
            return found  # it has no kubeconfig yet
        data = found_note.get("data") or {}
        return replace(found, shape=Shape.read(data), for_run=data.get("made-for") == "run", answers=True)

    def all_ours(self) -> list[Standing]:
        """All clusters that netcheck made, half-made ones included."""
        _ = self.docker.version, self.kind.version
        found = (self.find(name) for name in self.kind.clusters())
        return [item for item in found if item is not None and item.ours]

    def api(self, name: str) -> Api:
        """The API server of a cluster, with credentials fresh from its control plane.

        Raises:
            CommandError: It has none yet.
        """
        with tempfile.NamedTemporaryFile("w", prefix="netcheck-", suffix=".kubeconfig") as file:
            file.write(self.kind.kubeconfig(name))
            file.flush()
            return Api(*load_configuration(file.name, f"kind-{name}"))

    # -- making ----------------------------------------------------------------------------------------

    def obtain(
        self,
        name: str,
        wanted: Wanted,
        installer: Callable[[], Installer],
        archives: Sequence[Path] = (),
        *,
        for_run: bool,
    ) -> tuple[store.Use, bool]:
        """A cluster of that name and shape: the one that stands, or a new one.

        Args:
            name: The cluster's name.
            wanted: What was asked for.
            installer: Gives what brings the network plugin, when a cluster has to be made.
            archives: Archives of images for the nodes.
            for_run: It is made for one run, which takes it down afterwards.

        Returns:
            The hold on the cluster, for as long as it is used, and whether it was made now.

        Raises:
            SpecError: There is one of another shape, or one that netcheck did not make.
            ClusterError: It cannot be made; nothing of it is left then.
        """
        use = store.Use(name)
        state = {"alone": False}

        def attempt() -> bool:
            """Whether the cluster can be used, or can be made by us alone."""
            if not use.shared():
                return False
            if self._reusable(name, wanted):
                return True
            # Whoever is refused here has no hold at all, so of two that try one succeeds.
            state["alone"] = use.alone()
            return state["alone"]

        try:
            store.wait(
                attempt, WAIT_SECONDS, lambda: self._say(f"waiting for kind cluster {name}"), self._stop
            )
            if state["alone"] and not self._reusable(name, wanted):
                self._make(name, wanted, installer(), archives, for_run=for_run)
                use.shared()
                return use, True
            use.shared()
            store.write_kubeconfig(name, self.kind.kubeconfig(name))
            return use, False
        except BaseException:
            use.release()
            raise

    def _reusable(self, name: str, wanted: Wanted) -> bool:
        """Whether a cluster of that name stands and has that shape; False when one has to be made.

        Raises:
            SpecError: It is somebody else's, or of another shape.
            ClusterError: It is ours and does not answer.
        """
        found = self.find(name)
        if found is not None and found.ours and not found.mine and (found.half_made or found.for_run):
            raise ClusterError(
                f"kind cluster {name} belongs to a run of another user, container or machine",
                f"choose another name: kind:NAME; or, if that run is over: netcheck cluster down {name}",
            )
        if found is None or found.half_made:
            return False
        if not found.ours:
            raise SpecError(
                f"kind cluster {name} exists, and netcheck did not make it",
                f"it is left alone: use it as context:kind-{name}, or choose another name: kind:NAME",
            )
        if found.shape is None:
            raise ClusterError(
                f"kind cluster {name} does not answer",
                f"remove it and begin anew: netcheck cluster down {name}",
            )
        differences = list(found.shape.differences(wanted))
        if differences:
            raise SpecError(
                f"kind cluster {name} is of another shape: {'; '.join(differences)}",
                f"choose another name: kind:NAME; or take it down: netcheck cluster down {name}",
            )
        return True

    def _make(
        self, name: str, wanted: Wanted, installer: Installer, archives: Sequence[Path], *, for_run: bool
    ) -> None:
        for archive in archives:
            if not archive.is_file():
                raise SpecError(
                    f"{archive}: there is no such image archive", "docker save IMAGE… --output FILE"
                )
        config = cluster_config(wanted, own_network=installer.own_network, owner=store.owner())
        family = ip_family(config["networking"], wanted.config)
        installer.prepare(family, self._say)
        if self._take_down_ours(name):
            self._say(f"removed what was left of kind cluster {name}, which was never finished")
        store.forget(name)
        self._say(
            f"making kind cluster {name}: {len(config['nodes'])} nodes, network plugin {installer.name}"
        )
        try:
            with tempfile.TemporaryDirectory(prefix="netcheck-") as folder:
                self._create(name, wanted, config, Path(folder))
            text = self.kind.kubeconfig(name)
            with tempfile.NamedTemporaryFile("w", prefix="netcheck-", suffix=".kubeconfig") as file:
                file.write(text)
                file.flush()
                self._furnish(name, Path(file.name), config, wanted, installer, archives, for_run=for_run)
            store.write_kubeconfig(name, text)
        except BaseException:
            self._say(f"removing kind cluster {name}: it could not be made to the end")
            try:
                self._take_down_ours(name)
            except ClusterError as trouble:
                self._say(f"it may be left over: {trouble}; `netcheck cluster down {name}` removes it")
            raise

    def _create(self, name: str, wanted: Wanted, config: dict[str, Any], folder: Path) -> None:
        import yaml

        file = folder / "kind.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        try:
            self.kind.create(
                name,
                config=file,
                kubeconfig=folder / "kubeconfig",
                image=wanted.image,
                on_line=self._say_step,
                stop=self._stop,
            )
        except CommandError as trouble:
            if trouble.advice or trouble.code is None:
                raise
            raise CommandError(
                str(trouble),
                "`netcheck doctor` looks for the usual reasons; a node image can be named: --node-image",
                program="kind",
                code=trouble.code,
                stderr=trouble.stderr,
            ) from trouble

    def _say_step(self, line: str) -> None:
        """Pass on what kind has done; the rest of what it says is for whoever called it by hand."""
        if line.lstrip().startswith(("\u2713", "ERROR")):
            self._say(line)

    def _furnish(
        self,
        name: str,
        kubeconfig: Path,
        config: dict[str, Any],
        wanted: Wanted,
        installer: Installer,
        archives: Sequence[Path],
        *,
        for_run: bool,
    ) -> None:
        """Images, network plugin, readiness, and at last the note that says it is whole."""
        networking = config["networking"]
        api = Api(*load_configuration(str(kubeconfig), f"kind-{name}"))
        for archive in archives:
            self._say(f"loading images of {archive}")
            self.kind.load_archive(name, archive)
        family = ip_family(networking, wanted.config)
        installer.install(
            Site(
                cluster=name,
                kubeconfig=kubeconfig,
                api=api,
                ip_family=family,
                pod_subnets=tuple(str(networking["podSubnet"]).split(",")),
                service_subnets=tuple(str(networking["serviceSubnet"]).split(",")),
                load=lambda images: load_present(self.kind, self.docker, name, images, self._say),
                loaded=bool(archives),
                say=self._say,
                stop=self._stop,
            )
        )
        if installer.brings_network:
            self._say("waiting until nodes and network plugin are ready")
            await_ready(api, installer.workloads, stop=self._stop)
        version = str(api.get("/version").get("gitVersion", "")).removeprefix("v")
        shape = Shape(
            cni=installer.name,
            cni_version=installer.version,
            cni_source=installer.source,
            nodes=len(config["nodes"]),
            kubernetes=version,
            node_image=wanted.node_image,
            ip_family=family.value,
            config=wanted.config_digest(),
        )
        api.create(note(shape, for_run=for_run))

    # -- keeping and removing --------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """The cluster outlives its run: cleanup leaves it alone from now on."""
        self.api(name).patch(NOTE, {"data": {"made-for": "user"}})

    def remove(self, name: str) -> bool:
        """Take a cluster down; False when there is none of that name.

        Raises:
            SpecError: netcheck did not make it.
            ClusterError: It is in use, or cannot be removed.
        """
        found = self.find(name)
        if found is None:
            store.forget(name)
            return False
        if not found.ours:
            raise SpecError(
                f"netcheck did not make kind cluster {name}, and leaves it alone",
                f"to remove it all the same: kind delete cluster --name {name}",
            )
        with store.alone(name) as alone:
            if not alone:
                raise ClusterError(f"a run uses kind cluster {name}", "wait for its end, or end it")
            self.take_down(name)
        return True

    def remove_leftovers(self, only: str = "") -> list[str]:
        """Remove what killed netchecks left: half-made clusters, and those made for a run that is over."""
        lines = []
        for found in self.all_ours():
            if only not in ("", found.name):
                continue
            with store.alone(found.name) as alone:
                # Looked at again under the lock: it may have been finished meanwhile.
                again = self.find(found.name) if alone else None
                if again is not None and again.mine and (again.half_made or again.for_run):
                    self.take_down(found.name)
                    lines.append(f"kind cluster {found.name}")
        return lines

    def _take_down_ours(self, name: str) -> bool:
        """Remove a cluster unless somebody else has made one of that name meanwhile; was there one?"""
        found = self.find(name)
        if found is None or not found.mine:
            return False
        self.take_down(name)
        return True

    def take_down(self, name: str) -> None:
        """Remove a cluster that is known to be ours, by whoever holds it alone."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

        # A busy engine gives up on containers that do not end within its ten seconds, and succeeds later.
        attempts = Retrying(
            retry=retry_if_exception_type(CommandError),
            stop=stop_after_attempt(DELETE_ATTEMPTS),
            wait=wait_fixed(2),
            reraise=True,
        )
        with tempfile.TemporaryDirectory(prefix="netcheck-") as folder:
            attempts(self.kind.delete, name, kubeconfig=Path(folder) / "kubeconfig")
        store.forget(name)
