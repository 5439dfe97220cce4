"""Certificates that others issue, in the lab: this process asks for those of all pods.

A Workload API knows a process by its user, and so takes all pods of a lab for one workload, which may have
several identities.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from harness.clusters.authority import Authority, Pair
from harness.clusters.svids import Answer, Svids
from harness.model.topology import Pod
from probes.svid import SvidError, obtain

ENDPOINT = "SPIFFE_ENDPOINT_SOCKET"
"""The variable in which the SPIFFE standard says where the Workload API is."""

_SCHEME = "unix:"


def endpoint(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Path of the Workload API's socket, and why there is none; one of them is empty."""
    text = environ.get(ENDPOINT, "")
    if not text:
        return "", f"set {ENDPOINT} to the socket of a SPIRE agent: unix:///PATH"
    path = text.removeprefix(_SCHEME).removeprefix("//")
    if not text.startswith(_SCHEME) or not path.startswith("/"):
        return "", f"{ENDPOINT} is {text}; netcheck takes a Unix socket: unix:///PATH"
    return path, ""


class LabSvids(Svids):
    """Of one lab."""

    def __init__(self, authority: Authority, socket: str) -> None:
        super().__init__(authority)
        self._socket = socket
        self._known: dict[str, tuple[Pair, str]] = {}
        self._changed = False

    def renew(self, pods: Mapping[str, Pod]) -> bool:
        """Ask for all certificates anew; whether listeners have to be told."""
        self._changed = False
        missing = self.missing
        self.look(pods, self._ask)
        return self._changed or missing != self.missing

    def _ask(self, pods: Sequence[Pod]) -> dict[str, Answer]:
        return {pod.id: self._one(pod) for pod in pods}

    def _one(self, pod: Pod) -> Answer:
        assert pod.identity is not None
        assert pod.svid is not None
        source = {"identity": pod.identity}
        source |= {"socket": self._socket} if pod.svid.files is None else {"files": pod.svid.files}
        try:
            found = obtain(source)
        except SvidError as trouble:
            return "", str(trouble)
        pair = (found.certificate, found.key)
        if self._known.get(pod.identity) != (pair, found.bundle):
            self._known[pod.identity] = (pair, found.bundle)
            self._authority.adopt(pod.identity, pair)
            self._changed = True
        return found.bundle, ""
