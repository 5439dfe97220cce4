"""Credentials that expire are read anew, for requests and exec streams alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.clusters.kube.api import Api, ApiError
from harness.clusters.kube.errors import no_stream

EXPIRED = no_stream(
    "n", "p", RuntimeError('Handshake status 401 Unauthorized -+-+- b\'{"message":"Unauthorized"}\'')
)


class Streams(Api):
    """Refuses streams until the credentials were read anew as often as it wants."""

    def __init__(self, wanted: int) -> None:
        self.renewals = 0
        self._wanted = wanted
        super().__init__(SimpleNamespace(host="https://x"), "c", self._again)  # type: ignore[arg-type]

    def _again(self) -> Any:
        self.renewals += 1
        return SimpleNamespace(host="https://x")

    def _exec(self, namespace: str, pod: str, container: str, command: list[str]) -> Any:
        if self.renewals < self._wanted:
            raise EXPIRED
        return "stream"


def test_a_stream_is_opened_with_new_credentials() -> None:
    api = Streams(1)
    assert api.exec("n", "p", "c", ["x"]) == "stream"
    assert api.renewals == 1


def test_credentials_that_stay_refused_are_said() -> None:
    api = Streams(2)
    with pytest.raises(ApiError, match="the credentials are refused or expired: Unauthorized"):
        api.exec("n", "p", "c", ["x"])
    assert api.renewals == 1
