"""The questions by which a pod has learned the address that it connects to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.dialects.connection import Connection, End
from harness.model.builtin import DNS_POD
from harness.model.probe import DnsQuery, SourceKind
from harness.model.topology import Protocol, Topology


def questions(connection: Connection, topology: Topology) -> Iterator[Connection]:
    """Any of these may have been asked; none where the source knew the address, or there is no resolver."""
    name, service = connection.looked_up, topology.services.get(DNS_POD)
    if name is None or service is None:
        return
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            continue
        for pod, number in topology.backends(service, port):
            yield replace(
                connection,
                destination=End(SourceKind.POD, pod.id, node=pod.node),
                protocol=Protocol.UDP,
                port=number,
                request=DnsQuery(name),
                authority=None,
                looked_up=None,
            )
