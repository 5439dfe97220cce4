"""The network namespaces of a lab, by name, as each of its processes knows them."""

from __future__ import annotations

import os
from typing import Any

from harness.clusters.lab import kernel
from probes.wire import Channel


class Places:
    """Descriptors of namespaces by who lives there: `ns/pod`, `node:a`, `external:x`, `fabric`."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}
        self._aliases: dict[str, str] = {}

    def add(self, name: str, fd: int) -> None:
        """Learn a namespace."""
        self._fds[name] = fd

    def alias(self, name: str, of: str) -> None:
        """Let `name` live in the namespace of `of`, as hostNetwork pods do."""
        self._aliases[name] = of

    def remove(self, name: str) -> None:
        """Forget a name; its namespace ends when nobody else holds it."""
        self._aliases.pop(name, None)
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)

    def fd(self, name: str) -> int:
        """The descriptor behind a name.

        Raises:
            KeyError: Nobody of that name lives here.
        """
        return self._fds[self._aliases.get(name, name)]

    def numbers(self) -> dict[str, int]:
        """All names with their descriptors."""
        return dict(self._fds)

    def enter(self, name: str) -> None:
        """Enter a namespace.

        Raises:
            KeyError: Nobody of that name lives here.
        """
        kernel.setns(self.fd(name))

    def learn(self, message: dict[str, Any], channel: Channel) -> None:
        """Carry out one message of the keeper; new descriptors came with it through `channel`."""
        for name in message.get("namespaces", ()):
            self.add(name, channel.fds.pop(0))
        for name, of in message.get("aliases", ()):
            self.alias(name, of)
        for name in message.get("gone", ()):
            self.remove(name)
