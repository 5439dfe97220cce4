"""The agent as text, for pods whose image knows nothing of netcheck."""

from __future__ import annotations

import base64
import functools
import json
import zlib
from importlib import resources

_LOADER = """
import sys, json, zlib, base64, types, importlib.abc, importlib.util
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


@functools.cache
def packed() -> str:
    """The modules of `probes`, compressed, as base64."""
    modules = {"probes": ""}
    for item in resources.files("probes").iterdir():
        if item.name.endswith(".py") and item.name != "__init__.py":
            modules[f"probes.{item.name[:-3]}"] = item.read_text()
    return base64.b64encode(zlib.compress(json.dumps(modules).encode(), 9)).decode()


def serve_command(identity: str, ports: list[list[int | str]]) -> list[str]:
    """The first process of a pod: the whole agent travels in its arguments."""
    text = f"{_LOADER}\nstart(sys.argv[1], sys.argv[2:])"
    return ["python3", "-c", text, packed(), "serve", identity, json.dumps(ports)]


def probe_command(identity: str) -> list[str]:
    """The process of an exec stream; its agent is the first line of its input (arguments travel in a URL)."""
    read = "import os\nd = b''\nwhile not d.endswith(b'\\n'): d += os.read(0, 1)"
    text = f"{_LOADER}\n{read}\nstart(d, sys.argv[1:])"
    return ["python3", "-c", text, "probe", identity]
