"""From `--cni` to what brings the plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.clusters.kind.cni import Installer
from harness.clusters.kube.api import SpecError
from harness.cni.antrea.install import AntreaInstaller
from harness.cni.calico.install import CalicoManifest, CalicoOperator
from harness.cni.cilium.install import CiliumInstaller
from harness.cni.installing import Inputs
from harness.cni.kindnet.install import KindnetInstaller
from harness.cni.kube_router.install import KubeRouterInstaller
from harness.cni.none.install import OtherInstaller
from harness.cni.table import Entry, table
from harness.source.diagnostics import did_you_mean

INSTALLERS: Mapping[str, Callable[[Entry, Inputs], Installer]] = {
    "cilium": CiliumInstaller,
    "calico": CalicoOperator,
    "calico-manifest": CalicoManifest,
    "kindnet": KindnetInstaller,
    "kube-router": KubeRouterInstaller,
    "antrea": AntreaInstaller,
}
"""One line per plugin; what it needs stands in its folder and in the table."""

OTHERS = ("none", "preinstalled")
DEFAULT = "kindnet"


def split(cni: str) -> tuple[str, str]:
    """Name and version of `NAME[@VERSION]`, or the path of a manifest and nothing.

    Raises:
        SpecError: It is neither.
    """
    name, at, version = cni.partition("@")
    known = (*INSTALLERS, *OTHERS)
    if name in known:
        if at and not version:
            raise SpecError(f"--cni {cni}: there is no version behind the @", "write it like cilium@1.19.8")
        return name, version
    if Path(cni).is_file():
        return cni, ""
    if "/" in cni or cni.endswith((".yaml", ".yml")):
        raise SpecError(f"--cni {cni}: there is no such manifest", "check the path")
    hint = did_you_mean(name, known)
    raise SpecError(
        f"--cni {cni}: netcheck knows no such network plugin",
        f"{hint} it knows {', '.join(known)}, or the path of a manifest".strip(),
    )


def installer(cni: str, inputs: Inputs) -> Installer:
    """What brings a plugin.

    Args:
        cni: As on the command line; empty = what kind brings itself.
        inputs: Where it comes from, without the version.

    Raises:
        SpecError: There is no such plugin, or it cannot come that way.
    """
    name, version = split(cni or DEFAULT)
    if name in INSTALLERS:
        return INSTALLERS[name](table()[name], replace(inputs, version=version))
    if name in OTHERS:
        return OtherInstaller(name, replace(inputs, version=version))
    if inputs.local:
        raise SpecError(f"--cni {cni} is a manifest already", "leave --cni-manifest and --cni-command out")
    return OtherInstaller("file", replace(inputs, manifests=(Path(name),)))
