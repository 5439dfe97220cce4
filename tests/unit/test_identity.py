"""SPIFFE IDs: what the standard takes for one, and what it does not."""

from __future__ import annotations

import pytest

from harness.model.identity import by_account, complaint, elsewhere, trust_domain

ID = "spiffe://cluster.local/ns/production/sa/api-gateway"


@pytest.mark.parametrize("text", [ID, "spiffe://a/b", "spiffe://td.example.com_1/A.b-C_d"])
def test_good(text: str) -> None:
    assert complaint(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://cluster.local/ns/a", "does not begin with spiffe://"),
        ("spiffe://", "trust domain"),
        ("spiffe:///ns", "trust domain"),
        ("spiffe://Cluster.local/ns", "trust domain"),
        ("spiffe://td:8080/ns", "trust domain"),
        ("spiffe://td", "path of the workload is missing"),
        ("spiffe://td/", "empty or relative"),
        ("spiffe://td/a//b", "empty or relative"),
        ("spiffe://td/a/../b", "empty or relative"),
        ("spiffe://td/a/", "empty or relative"),
        ("spiffe://td/a?b", "other characters in its path"),
        ("spiffe://td/ä", "other characters in its path"),
        ("spiffe://td/" + "a" * 2048, "longer"),
    ],
)
def test_bad(text: str, why: str) -> None:
    assert why in complaint(text)


def test_parts() -> None:
    assert trust_domain(ID) == "cluster.local"
    assert by_account("production", "api-gateway") == ID
    assert elsewhere(ID, "other.example") == "spiffe://other.example/ns/production/sa/api-gateway"
