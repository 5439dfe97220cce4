"""How the agent comes into a pod: as text that travels along, or in the image already."""

from __future__ import annotations

import base64
import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.engine.cluster import ClusterError
from probes.version import digest, sources

_LOADER = """
import sys, json, zlib, base64, importlib.abc, importlib.util
v = sys.version.split()[0]
if sys.version_info < (3, 9): sys.exit('the agent needs python3 from 3.9 on, this is ' + v)
class F(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(s, m): s.m = m
    def find_spec(s, n, p=None, t=None):
        return importlib.util.spec_from_loader(n, s, is_package=n == 'probes') if n in s.m else None
    def exec_module(s, m): exec(compile(s.m[m.__name__], m.__name__ + '.py', 'exec'), m.__dict__)
def start(packed, argv):
    sys.meta_path.insert(0, F(json.loads(zlib.decompress(base64.b64decode(packed)))))
    from probes.agent import main
    sys.exit(main(argv))
"""

_IN_IMAGE = ("python3", "-m", "probes.agent")
"""The agent of an image that has one, as the entry point of `probes/Dockerfile`."""


@functools.cache
def packed() -> str:
    """The modules of `probes`, compressed, as base64; they carry the digest that they had as files."""
    modules = {**sources(), "probes": f"DIGEST = {digest()!r}\n"}
    return base64.b64encode(zlib.compress(json.dumps(modules).encode(), 9)).decode()


def serve_command(identity: str, ports: list[list[int | str]], addresses: Sequence[str] = ()) -> list[str]:
    """The first process of a pod, or of an external that gets `addresses`.

    The agent travels in its arguments.
    """
    text = f"{_LOADER}\nstart(sys.argv[1], sys.argv[2:])"
    own = [json.dumps(list(addresses))] if addresses else []
    return ["python3", "-c", text, packed(), "serve", identity, json.dumps(ports), *own]


def probe_command(identity: str) -> list[str]:
    """The process of an exec stream; its agent is the first line of its input (arguments travel in a URL)."""
    read = "import os\nd = b''\nwhile not d.endswith(b'\\n'): d += os.read(0, 1)"
    text = f"{_LOADER}\n{read}\nstart(d, sys.argv[1:])"
    return ["python3", "-c", text, "probe", identity]


class AgentError(ClusterError):
    """The agent that answers is not the one that belongs to this netcheck."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of the pods.

    Attributes:
        inside: The image has it; otherwise its text is sent along, and any image with python3 will do.
        image: The pods' image, for messages.
    """

    inside: bool = False
    image: str = ""

    def serve(self, identity: str, ports: list[list[int | str]], addresses: Sequence[str] = ()) -> list[str]:
        """The first process of a pod, or of an external that gets `addresses`; ports as `[[80, "TCP"]]`."""
        if self.inside:
            own = [json.dumps(list(addresses))] if addresses else []
            return [*_IN_IMAGE, "serve", identity, json.dumps(ports), *own]
        return serve_command(identity, ports, addresses)

    def probe(self, identity: str) -> list[str]:
        """The process of an exec stream."""
        return [*_IN_IMAGE, "probe", identity] if self.inside else probe_command(identity)

    @property
    def preamble(self) -> str:
        """What an exec stream begins with, before the first message."""
        return "" if self.inside else f"{packed()}\n"

    def check(self, ready: Mapping[str, Any]) -> None:
        """Compare the first message of a stream with what belongs to this netcheck.

        Raises:
            AgentError: It is another agent, whose answers could mean something else.
        """
        found = ready.get("agent")
        if found == digest():
            return
        shown = f"agent {found}" if found else "an agent that says no version"
        raise AgentError(
            f"image {self.image or 'of the pods'} has {shown}; this netcheck needs agent {digest()}",
            "build and load it anew (netcheck image build, netcheck image load) where it comes from this "
            "netcheck's version, or send the agent along: --agent inject",
        )
