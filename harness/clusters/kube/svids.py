"""Certificates that others issue to pods: the volumes that bring them, and whether a cluster has such."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.clusters.kube.api import Api, ApiError
from harness.dialects import validate
from harness.dialects.fields import Field
from harness.model.identity import WORKLOAD_API
from harness.model.topology import Pod

Json = dict[str, Any]

MOUNT = "/spiffe-workload-api"
"""Where the socket's directory stands in a pod."""

DRIVER = "csi.spiffe.io"
SOCKET = "spire-agent.sock"

_VOLUME = "netcheck-svid"
_SOCKET_NAME = re.compile(r"[A-Za-z0-9._-]+")
_DRIVERS = "/apis/storage.k8s.io/v1/csidrivers/{}"


@dataclass(frozen=True, slots=True)
class WorkloadApi:
    """What brings the Workload API's socket into a pod.

    Attributes:
        driver: A CSI driver.
        socket: Name of the socket in its volume.
    """

    driver: str = DRIVER
    socket: str = SOCKET


@dataclass(frozen=True, slots=True)
class SvidFiles:
    """What brings the files of a certificate into a pod.

    Attributes:
        driver: A CSI driver.
        attributes: What it is told with the volume.
    """

    driver: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def read_api(item: Field) -> WorkloadApi:
    """`spiffe:` of a pod template."""
    fields = item.section(("driver", "socket"))
    driver = _driver(fields["driver"]) if "driver" in fields else DRIVER
    socket = (fields["socket"].text() or SOCKET) if "socket" in fields else SOCKET
    if not _SOCKET_NAME.fullmatch(socket) or socket in (".", ".."):
        fields["socket"].error("pod-template", f"`{socket}` is no name of a socket", help=f"such as {SOCKET}")
    return WorkloadApi(driver, socket)


def read_files(item: Field) -> SvidFiles | None:
    """`svidFiles:` of a pod template."""
    fields = item.section(("driver", "attributes"))
    if "driver" not in fields:
        item.error("pod-template", "needs a `driver`", help="the CSI driver whose volumes have the files")
        return None
    given = fields["attributes"].entries() if "attributes" in fields else {}
    texts = {key: value.text() for key, value in given.items()}
    attributes = {key: text for key, text in texts.items() if text is not None}
    return SvidFiles(_driver(fields["driver"]), attributes)


def _driver(item: Field) -> str:
    text = item.text() or ""
    validate.object_name(item, text)
    return text


def source(pod: Pod, api: WorkloadApi) -> dict[str, str]:
    """Who issues a pod its certificate, as the agent wants it (probes/PROTOCOL.md)."""
    assert pod.svid is not None
    where = {"socket": f"{MOUNT}/{api.socket}"} if pod.svid.files is None else {"files": pod.svid.files}
    return {**where, "identity": str(pod.identity)}


def mounted(pod: Pod, api: WorkloadApi, files: SvidFiles | None) -> tuple[list[Json], list[Json]]:
    """Volumes of a pod and what of them its container sees; none where netcheck issues the certificate."""
    if pod.svid is None:
        return [], []
    csi: Json = {"driver": api.driver, "readOnly": True}
    path = MOUNT
    if pod.svid.files is not None:
        path = pod.svid.files
        if files is None:
            return [], []  # somebody assumes that they get there in another way
        csi["driver"] = files.driver
        if files.attributes:
            csi["volumeAttributes"] = dict(files.attributes)
    return (
        [{"name": _VOLUME, "csi": csi}],
        [{"name": _VOLUME, "mountPath": path, "readOnly": True}],
    )


def features(api: Api, spiffe: WorkloadApi, files: SvidFiles | None) -> dict[str, str]:
    """Features by which pods get certificates of others, each with what it lacks; empty = nothing."""
    without = "no volume has them: name the CSI driver under `svidFiles:` in the file of --pod-template"
    return {
        WORKLOAD_API: _why_no(api, spiffe.driver),
        "svid-files": without if files is None else _why_no(api, files.driver),
    }


def _why_no(api: Api, driver: str) -> str:
    """Why pods cannot have volumes of a CSI driver; empty when they can."""
    try:
        api.get(_DRIVERS.format(driver))
    except ApiError as trouble:
        if trouble.status == 404:
            return f"there is no CSI driver {driver}"
        if trouble.status == 403:
            return f"whether there is a CSI driver {driver} may not be read; --assume the feature if there is"
        raise
    return ""
