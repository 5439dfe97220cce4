"""What Calico's API server accepts and refuses by tests/unit/data/calico-answers.yaml, asked of a real one.

Unit tests hold netcheck's own validation against that file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.clusters.kube.api import Api, ApiError
from tests.cluster import clusters

ANSWERS = Path(__file__).resolve().parents[1] / "unit" / "data" / "calico-answers.yaml"
V3 = "projectcalico.org/v3"


def ask(api: Api, document: dict[str, Any]) -> list[str] | None:
    """Create an object as kubectl does and remove it again; the refusal's reasons, None when it was taken."""
    path = api.resource(V3, document["kind"]).path(document["metadata"].get("namespace", ""))
    try:
        made = api._request("POST", path, {"fieldValidation": "Strict"}, document)
    except ApiError as refusal:
        return [str(refusal)]
    api.delete(f"{path}/{made['metadata']['name']}")
    return None


def test_the_real_one_says_the_same(calico_context: str, ns: str) -> None:
    api = clusters.api_of(calico_context)
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}})
    wrong = []
    for case in yaml.safe_load(ANSWERS.read_text(encoding="utf-8")):
        document = case["document"]
        if case.get("unavailable"):
            continue
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = ns
        elif document["metadata"]["name"] == "x":
            document["metadata"]["name"] = ns
        said = ask(api, document)
        if (said is None) != case["accepted"]:
            wrong.append((case["case"], said))
        elif said is not None:
            told = " ".join(said).replace(ns, "shop")
            wrong += [(case["case"], told) for text in case["said"] if _core(text) not in told]
    assert not wrong


def _core(text: str) -> str:
    """The reason behind the field and its value, which are told in other ways by other clients."""
    return text.rpartition(": ")[2].rstrip("…").strip()
