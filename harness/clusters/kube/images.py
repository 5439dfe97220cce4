"""The pods' image: its name, and how long it may take until it runs."""

from __future__ import annotations

DEFAULT_IMAGE = "python:3.13-alpine"
"""The pods' image where none is named; the agent is sent along."""

OWN = "netcheck-probe"
"""What the probe image's repository is called, wherever it lies."""


START_SECONDS = 120.0
"""How long pods may take to run, their image pulled included, where nobody says otherwise."""


def has_agent(image: str) -> bool:
    """Whether a name is one of the probe image, such as `registry.example/net/netcheck-probe:0.1.0`."""
    repository = image.partition("@")[0]
    return repository.rpartition("/")[2].partition(":")[0] == OWN


def from_registry(image: str, registry: str) -> str:
    """The same image at another registry.

    Args:
        image: Such as `python:3.13-alpine` or `ghcr.io/acme/probe:1`.
        registry: Host, with a port or a path if need be; a registry that the image names gives way to it.
    """
    if not registry:
        return image
    first, slash, rest = image.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return f"{registry.rstrip('/')}/{rest if named else image}"
