"""Trouble with an API server, in words of a user: what it refused, why it cannot be reached."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from harness.clusters.kube import admission
from harness.engine.cluster import ClusterError

TIMEOUT = 30.0
"""Seconds for one answer of the API server."""

CONNECT = 5.0
"""Seconds for one connection to it."""


class SpecError(ClusterError):
    """The cluster was named wrongly: no such file, no such context. A usage error, not a measurement."""


class ApiError(ClusterError):
    """The API server refused or could not be reached.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: The server's `reason`, such as `AlreadyExists`.
        after: Seconds that the server asks to wait before the next try; 0 when it does not say.
    """

    def __init__(
        self, message: str, status: int, reason: str = "", advice: str = "", after: float = 0.0
    ) -> None:
        super().__init__(message, advice)
        self.status = status
        self.reason = reason
        self.after = after


def first_line(trouble: BaseException | str) -> str:
    """The first line of a message, not too long."""
    return (str(trouble).splitlines() or [type(trouble).__name__])[0][:300]


def no_stream(namespace: str, pod: str, trouble: BaseException) -> ApiError:
    """Why a web socket was not opened; the client hides status and body in one text."""
    text = str(trouble)
    found = re.search(r"Handshake status (\d{3})", text)
    status = int(found.group(1)) if found else 0
    body = re.search(r"b'(\{.*\})'", text, re.DOTALL)
    if status in (401, 403):
        data = body.group(1).encode() if body else b""
        return refusal("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", status, data)
    why = f"HTTP {status}" if status else first_line(text)
    message = re.search(r'"message":"((?:[^"\\]|\\.)*)"', text)
    return ApiError(f"no exec stream to {namespace}/{pod}: {message.group(1) if message else why}", status)


def refusal(
    method: str,
    path: str,
    status: int,
    data: bytes,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> ApiError:
    """What a request was answered with instead of success; `body` is the object that was sent."""
    try:
        answer = json.loads(data)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    message = answer.get("message") or data.decode("utf-8", "replace")[:300] or f"HTTP {status}"
    reason = answer.get("reason", "")
    advice = ""
    refused = admission.refused(str(message))
    if refused is not None:
        who, advice = refused
        text = f"{_named(body)} was refused by {who}: {message}"
        return ApiError(text, status, reason, advice, _retry_after(headers))
    if status == 401:
        message, advice = f"the credentials are refused or expired: {message}", "log in again, as for kubectl"
    elif status == 403:
        advice = _right_missing(str(message))
    return ApiError(f"the cluster says: {message}", status, reason, advice, _retry_after(headers))


def _named(body: Mapping[str, Any] | None) -> str:
    metadata = (body or {}).get("metadata", {})
    name = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
    return f"{(body or {}).get('kind', 'the request')} {name}".rstrip()


_FORBIDDEN = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<what>[^"]+)"(?: in API group "(?P<group>[^"]*)")?'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


def _right_missing(message: str) -> str:
    """What to do about a verb that is forbidden; nothing for what an admission controller refused."""
    found = _FORBIDDEN.search(message)
    if found is None:
        return ""
    what, _, sub = found["what"].partition("/")
    what += f".{found['group']}" if found["group"] else ""
    words = ["kubectl auth can-i", found["verb"], what]
    words += [f"--subresource={sub}"] if sub else []
    words += [f"--namespace={found['namespace']}"] if found["namespace"] else []
    return f"the account needs this right (docs/clusters.md lists all); check: {' '.join(words)}"


def _retry_after(headers: Mapping[str, str] | None) -> float:
    text = str((headers or {}).get("Retry-After") or "")
    return float(text) if text.isdecimal() else 0.0


def event_of(path: str, line: bytes) -> dict[str, Any]:
    """One event of a watch.

    Raises:
        ApiError: The server ended the watch, such as by 410 when it has forgotten the version.
    """
    event: dict[str, Any] = json.loads(line)
    if event.get("type") == "ERROR":
        status = event.get("object", {})
        raise ApiError(
            f"the watch of {path} ended: {status.get('message', 'no reason given')}",
            int(status.get("code") or 0),
            str(status.get("reason", "")),
        )
    return event


def why_unreachable(trouble: BaseException) -> str:
    """The bottom of what urllib3 wraps, in words of a user."""
    from urllib3 import exceptions as http

    while True:
        if isinstance(trouble, http.MaxRetryError) and trouble.reason is not None:
            trouble = trouble.reason
        elif getattr(trouble, "status", None) == 0 and trouble.__context__ is not None:
            # The client's own exception, in place of what it met.
            trouble = trouble.__context__
        else:
            break
    match trouble:
        case http.NameResolutionError():
            return "its name cannot be resolved"
        case http.ReadTimeoutError():
            return f"it accepted the request and then kept silent for {TIMEOUT:.0f} s"
        case http.SSLError():
            return f"TLS: {first_line(trouble)}"
        case http.NewConnectionError():
            cause = trouble.__cause__ or trouble.__context__
            if isinstance(cause, OSError) and cause.strerror:
                return cause.strerror
        case http.ConnectTimeoutError():
            return f"no answer within {CONNECT:.0f} s"
    return first_line(trouble)
