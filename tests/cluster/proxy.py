"""A proxy in front of a real API server that has the troubles a test asks for; everything else is real."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]


@dataclass
class Fault:
    """Trouble with some requests.

    Attributes:
        path: A part of the path and query of the requests.
        method: Their method; empty = any.
        times: How many of them.
        status: Answer with this status; 0 = hang up without an answer.
        headers: Headers of that answer.
        line: With status 200: the body, then the end.
        after: Pass the request on, and hang up after so many bytes of the answer.
        skip: How many of them to leave alone first.
        when: Whether it is time.
    """

    path: str
    method: str = ""
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] | None = None
    line: Json | None = None
    after: int | None = None
    skip: int = 0
    when: Callable[[Mapping[str, str]], bool] = lambda headers: True
    met: int = 0

    def meets(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        if self.met >= self.times or self.path not in path or self.method not in ("", method):
            return False
        if not self.when(headers):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.met += 1
        return True


class Proxy:
    """Plain HTTP for the client, TLS with the user's certificate for the server; a connection per request."""

    def __init__(self, config: Mapping[str, Any], faults: list[Fault]) -> None:
        self.faults = faults
        self.seen: list[str] = []
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        place = urlsplit(cluster["server"])
        self._place = (str(place.hostname), place.port or 443)
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=ca)
        with tempfile.NamedTemporaryFile("w") as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]).decode() + "\n")
            file.flush()
            self._tls.load_cert_chain(file.name)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._threads.append(threading.Thread(target=self._listen))
        self._threads[0].start()

    def _listen(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,))
            with self._lock:
                self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with self._kept(sock), contextlib.suppress(OSError, ValueError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = sock.recv(1 << 16)
                if not piece:
                    return
                head += piece
            head, _, body = head.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {
                key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)
            }
            length = int(headers.get("content-length", "0"))
            while len(body) < length:
                body += sock.recv(1 << 16)
            with self._lock:
                self.seen.append(f"{method} {path}")
                fault = next((each for each in self.faults if each.meets(method, path, headers)), None)
            if fault is not None and fault.after is None:
                self._refuse(sock, fault)
                return
            self._pass_on(sock, first, headers, body, None if fault is None else fault.after)

    def _refuse(self, sock: socket.socket, fault: Fault) -> None:
        if not fault.status:
            return
        answer = fault.line or {"kind": "Status", "code": fault.status, "message": "made up by a test"}
        body = json.dumps(answer).encode() + b"\n"
        extra = "".join(f"{key}: {value}\r\n" for key, value in (fault.headers or {}).items())
        head = (
            f"HTTP/1.1 {fault.status} X\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        sock.sendall(head.encode() + body)

    def _pass_on(
        self, sock: socket.socket, first: str, headers: Mapping[str, str], body: bytes, limit: int | None
    ) -> None:
        raw = socket.create_connection(self._place)
        server = self._tls.wrap_socket(raw, server_hostname=self._place[0])
        with self._kept(server):
            sent = {key: value for key, value in headers.items() if key not in ("host", "authorization")}
            if "upgrade" not in sent:
                sent["connection"] = "close"
            lines = [first, f"Host: {self._place[0]}:{self._place[1]}"]
            lines += [f"{key}: {value}" for key, value in sent.items()]
            server.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            self._pump(sock, server, limit)

    def _pump(self, client: socket.socket, server: ssl.SSLSocket, limit: int | None) -> None:
        passed = 0
        while True:
            ready = [server] if server.pending() else select.select([client, server], [], [], 600)[0]
            for side, other in ((client, server), (server, client)):
                if side not in ready:
                    continue
                data = side.recv(1 << 16)
                if not data:
                    return
                if side is server and limit is not None:
                    data = data[: limit - passed]
                    passed += len(data)
                other.sendall(data)
                if limit is not None and passed >= limit:
                    return

    @contextlib.contextmanager
    def _kept(self, sock: socket.socket) -> Any:
        with self._lock:
            self._open.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def hang_up(self) -> None:
        """Cut every connection that is open now, exec streams too."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it with all its connections."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(30)
