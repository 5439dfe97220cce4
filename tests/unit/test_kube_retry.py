"""Hiccups of an API server: which are waited out, and for how long."""

from __future__ import annotations

import json
import time

import pytest

from harness.clusters.kube.api import ApiError
from harness.clusters.kube.errors import event_of, no_stream, refusal
from harness.clusters.kube.retry import with_retries


class Server:
    """Answers with troubles, one after another, then with its word."""

    def __init__(self, *troubles: ApiError) -> None:
        self.troubles = list(troubles)
        self.calls: list[float] = []

    def __call__(self) -> str:
        self.calls.append(time.monotonic())
        if self.troubles:
            raise self.troubles.pop(0)
        return "yes"


def test_the_server_says_when_to_come_again() -> None:
    server = Server(refusal("GET", "/x", 429, b"{}", {"Retry-After": "1"}))
    assert with_retries(server, 30.0) == "yes"
    assert server.calls[1] - server.calls[0] >= 1.0


def test_it_is_not_waited_for_longer_than_there_is_time() -> None:
    server = Server(*[refusal("GET", "/x", 429, b"{}", {"Retry-After": "3600"})] * 3)
    began = time.monotonic()
    with pytest.raises(ApiError):
        with_retries(server, 5.0)
    assert time.monotonic() - began < 3.0
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert with_retries(Server(ApiError("a moment", status)), 30.0) == "yes"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_will_not_pass_is_said_at_once(status: int) -> None:
    server = Server(ApiError("no", status))
    with pytest.raises(ApiError):
        with_retries(server, 30.0)
    assert len(server.calls) == 1


def test_a_right_that_is_missing_is_named_with_the_command_that_checks_it() -> None:
    who = "system:serviceaccount:ci:bot"
    what = 'cannot create resource "pods/exec" in API group "" in the namespace "shop"'
    answer = {
        "kind": "Status",
        "message": f'pods "web" is forbidden: User "{who}" {what}',
        "reason": "Forbidden",
    }
    body = json.dumps(answer).encode()
    found = refusal("POST", "/api/v1/namespaces/shop/pods/web/exec", 403, body)
    assert found.advice.endswith("kubectl auth can-i create pods --subresource=exec --namespace=shop")
    text = "(0)\nReason: Handshake status 403 Forbidden -+-+- {} -+-+- b'" + body.decode() + "'"
    over_exec = no_stream("shop", "web", RuntimeError(text))
    assert over_exec.status == 403
    assert over_exec.advice == found.advice


def test_a_version_that_the_server_forgot_ends_the_watch() -> None:
    line = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}'
    with pytest.raises(ApiError, match="too old") as caught:
        event_of("/api/v1/pods", line)
    assert caught.value.status == 410
