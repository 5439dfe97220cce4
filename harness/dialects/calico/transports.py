"""Protocols of Calico's rules on paper: families, ICMP, and what is not meant."""

from __future__ import annotations

from harness.dialects.calico.types import ICMP, ICMP_V6, SCTP, TCP, UDP, CalicoRule, Icmp
from harness.dialects.connection import Connection
from harness.dialects.standing import Match
from harness.model.topology import Family, Protocol

NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.SCTP: SCTP}
_ECHO = {Family.IPV4: 8, Family.IPV6: 128}


def transports(rule: CalicoRule, connection: Connection) -> Match:
    """Whether a rule is about the protocol of a connection; what probes send of ICMP are echo requests."""
    family = connection.family
    icmp = ICMP if family is Family.IPV4 else ICMP_V6
    number = NUMBERS.get(connection.protocol, icmp)
    if rule.protocol is not None and rule.protocol.number != number:
        return False
    if rule.not_protocol is not None and rule.not_protocol.number == number:
        return False
    if rule.icmp is not None and not (number == icmp and _echo(rule.icmp, family)):
        return False
    if rule.not_icmp is not None and rule.not_icmp.type is not None:
        if number != icmp:
            return "not-icmp"
        return not _echo(rule.not_icmp, family)
    return True


def _echo(wanted: Icmp, family: Family) -> bool:
    return wanted.type in (None, _ECHO[family]) and wanted.code in (None, 0)
