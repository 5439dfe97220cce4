"""X.509-SVIDs that others issue: of SPIFFE's Workload API, or out of files that are kept fresh.

They are asked for again for every sweep, as they live about an hour. Keys stay in this process.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from probes.der import DerError, Leaf, from_pem, pem, sequences
from probes.grpc import SECONDS, GrpcError, first_message

METHOD = "/SpiffeWorkloadAPI/FetchX509SVID"
_HEADERS = [("workload.spiffe.io", "true")]

FILES = (("svid.pem", "svid_key.pem", "svid_bundle.pem"), ("tls.crt", "tls.key", "ca.crt"))
"""Names of certificate, key and bundle: those of spiffe-helper, and those of Kubernetes' TLS secrets."""


class SvidError(ValueError):
    """There is no SVID; the text says why."""


class Svid(NamedTuple):
    """A certificate with its key, and what those of its trust domain are verified with; all PEM."""

    identity: str
    certificate: str
    key: str
    bundle: str


def obtain(source: dict[str, Any]) -> Svid:
    """The SVID that a source has.

    Args:
        source: `{"socket": PATH}` or `{"files": DIRECTORY}`, and the SPIFFE ID that it must name: `identity`.

    Raises:
        SvidError: There is none, another one, or one that is not good now.
    """
    identity = str(source["identity"])
    if "socket" in source:
        where = f"the Workload API at {source['socket']}"
        found = _from_api(str(source["socket"]), where)
    else:
        where = str(source["files"])
        found = [_from_files(where)]
    wanted = [each for each in found if each.identity == identity]
    if not wanted:
        have = ", ".join(each.identity for each in found)
        raise SvidError(f"{where} has an SVID for {have}, and none for {identity}")
    return wanted[0]


def _from_api(path: str, where: str) -> list[Svid]:
    try:
        answer = first_message(path, METHOD, _HEADERS, b"", SECONDS)
    except GrpcError as trouble:
        raise SvidError(f"{where}: {trouble}") from None
    try:
        svids = [fields(item) for number, item in _parts(answer) if number == 1]
        found = [_made(sequences(svid[2]), svid[3], sequences(svid[4]), where) for svid in svids]
    except (KeyError, DerError) as trouble:
        why = "a field is missing" if isinstance(trouble, KeyError) else str(trouble)
        raise SvidError(f"{where} sent an SVID that cannot be read: {why}") from None
    if not found:
        raise SvidError(f"{where} issued no identity")
    return found


def _from_files(directory: str) -> Svid:
    for names in FILES:
        paths = [Path(directory) / name for name in names]
        if paths[0].exists():
            break
    else:
        looked = " nor ".join(names[0] for names in FILES)
        raise SvidError(f"{directory} has neither {looked}")
    blocks = []
    for path in paths:
        try:
            blocks.append(from_pem(path.read_text("latin-1")))
        except (OSError, DerError) as trouble:
            raise SvidError(f"{path}: {getattr(trouble, 'strerror', None) or trouble}") from None
    chain, keys, bundle = blocks
    keys = [(kind, data) for kind, data in keys if kind.endswith("PRIVATE KEY")]
    for path, blocks_of, what in ((paths[0], chain, "certificate"), (paths[1], keys, "private key")):
        if not blocks_of:
            raise SvidError(f"{path} has no {what}")
    try:
        found = _made([data for _, data in chain], b"", [data for _, data in bundle], directory)
    except DerError as trouble:
        raise SvidError(f"{paths[0]} cannot be read: {trouble}") from None
    return found._replace(key=pem(*keys[0]))


def _made(chain: list[bytes], key: bytes, bundle: list[bytes], where: str) -> Svid:
    """An SVID of DER.

    Raises:
        DerError: It is none.
        SvidError: It is not good now, or nothing comes with it that it can be verified with.
    """
    if not chain:
        raise DerError("there is no certificate in it")
    leaf = Leaf(chain[0])
    if len(leaf.uris) != 1:
        raise DerError(f"it names {len(leaf.uris)} URIs instead of one")
    now = time.time()
    if not leaf.first <= now <= leaf.last:
        when, word = (leaf.first, "is good only from") if now < leaf.first else (leaf.last, "expired at")
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))
        raise SvidError(f"the SVID for {leaf.uris[0]} of {where} {word} {stamp} UTC")
    if not bundle:
        raise SvidError(f"{where} has no bundle for {leaf.uris[0]}")
    return Svid(
        leaf.uris[0],
        "".join(pem("CERTIFICATE", each) for each in chain),
        pem("PRIVATE KEY", key),
        "".join(pem("CERTIFICATE", each) for each in bundle),
    )


def fields(message: bytes) -> dict[int, bytes]:
    """Fields of a protobuf message that are texts or messages, by number; of a repeated one the last."""
    return dict(_parts(message))


def _parts(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(message) or shift > 63:
                raise DerError("its protobuf is broken")
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            varint()
            continue
        length = {1: 8, 5: 4}.get(kind)
        if length is None:
            if kind != 2:
                raise DerError("its protobuf is broken")
            length = varint()
        if at + length > len(message):
            raise DerError("its protobuf is broken")
        content = message[at : at + length]
        at += length
        if kind == 2:
            yield key >> 3, content
