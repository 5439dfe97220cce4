"""A Workload API on a Unix socket, by gRPC's own library, in a process of its own; and what it answers with.

Run as `fake_workload_api.py SOCKET FILE`: the file has the answer, or `!` and the reason why there is none.
"""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

METHOD = "/SpiffeWorkloadAPI/FetchX509SVID"


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message: a text or a message."""
    size, length = b"", len(content)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def der(*pems: str) -> bytes:
    """Certificates of PEM texts, one behind the other."""
    return b"".join(ssl.PEM_cert_to_DER_cert(text) for text in pems)


def key_der(pem: str) -> bytes:
    """A key in PKCS #8, as the Workload API sends it."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(pem.encode(), None)
    return key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())


def svid(identity: str, pair: tuple[str, str], *bundle: str, chain: tuple[str, ...] = ()) -> bytes:
    """One X509SVID of an answer; its hint is for the eyes of nobody here."""
    parts = (identity.encode(), der(pair[0], *chain), key_der(pair[1]), der(*bundle), b"internal")
    return b"".join(field(number, content) for number, content in enumerate(parts, 1))


def answer(*svids: bytes) -> bytes:
    """An X509SVIDResponse, with a federated bundle."""
    return b"".join(field(1, one) for one in svids) + field(3, field(1, b"spiffe://other") + field(2, b""))


class Served:
    """A Workload API that runs; `say` changes its answer."""

    def __init__(self, path: Path) -> None:
        self.socket = path / "agent.sock"
        self._file = path / "answer"

    def say(self, what: bytes) -> None:
        self._file.write_bytes(what)

    def refuse(self, why: str) -> None:
        self.say(b"!" + why.encode())


@contextlib.contextmanager
def serving(path: Path) -> Iterator[Served]:
    """A Workload API in a folder."""
    served = Served(path)
    served.refuse("no identity issued")
    command = [sys.executable, __file__, str(served.socket), str(path / "answer")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield served
        finally:
            process.kill()


def main(socket: str, file: str) -> None:
    import grpc

    class Handler(grpc.GenericRpcHandler):
        def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            if call.method != METHOD:
                return None

            def go(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
                # The real one refuses without this header, as it keeps out browsers and proxies.
                if ("workload.spiffe.io", "true") not in tuple(call.invocation_metadata):
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
                assert request == b""
                found = Path(file).read_bytes()
                if found.startswith(b"!"):
                    context.abort(grpc.StatusCode.PERMISSION_DENIED, found[1:].decode())
                yield found
                while context.is_active():  # it streams renewals until the client has had enough
                    time.sleep(0.02)

            return grpc.unary_stream_rpc_method_handler(go)

    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Handler()])
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
