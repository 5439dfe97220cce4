"""CoreDNS's configuration with names of ours in it, and without: the original comes back byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

TTL = 1
"""Seconds that resolvers may remember the names."""

RELOAD = "reload 2s 1s"
"""How often CoreDNS looks for changes while names of ours are in: the way back is quick."""

_BEGIN = "# netcheck {} begin"
_END = "# netcheck {} end"
_ROOT = re.compile(
    r"^[ \t]*(?:[^\s#{}]+[ \t]+)*(?:dns://)?\.(?::53)?(?:[ \t]+[^\s#{}]+)*[ \t]*\{[ \t]*(?:#.*)?$", re.M
)
_LABEL = r"[a-z0-9_](?:[-a-z0-9_]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_PLAIN_RELOAD = re.compile(r"^(?P<indent>[ \t]*)reload(?P<rest>[^\n]*)$", re.M)
_BLOCK = re.compile(
    r"^[ \t]*# netcheck (?P<run>[0-9a-zA-Z-]+) begin\n.*?^[ \t]*# netcheck (?P=run) end\n", re.M | re.S
)
_KEPT = re.compile(r"^(?P<indent>[ \t]*)" + re.escape(RELOAD) + r" # netcheck keeps:(?P<line>[^\n]*)$", re.M)

Names = Mapping[str, Sequence[str]]


class CorefileError(ValueError):
    """The file has no place for names of ours."""


def runs(text: str) -> tuple[str, ...]:
    """Ids of the runs that have names in a Corefile."""
    return tuple(match["run"] for match in _BLOCK.finditer(text))


def names_in(text: str) -> dict[str, str]:
    """Names that runs have in a Corefile, with the run of each."""
    found = {}
    for block in _BLOCK.finditer(text):
        for name in re.findall(r"^[ \t]*template IN ANY (\S+) \{$", block[0], re.M):
            found[name] = block["run"]
    return found


def without(text: str, run: str = "") -> str:
    """The Corefile without the names of one run, or of all."""

    def keep(match: re.Match[str]) -> str:
        return match[0] if run and match["run"] != run else ""

    left = _BLOCK.sub(keep, text)
    if not runs(left):
        left = _KEPT.sub(lambda match: f"{match['indent']}{match['line']}", left)
    return left


def with_names(text: str, run: str, names: Names) -> str:
    """The Corefile in which names stand for addresses, for everything that it serves.

    Whatever else is asked, names below those included, is answered as without it.

    Raises:
        CorefileError: It has no server block for all names, or another run has one of the names.
    """
    text = without(text, run)
    taken = names_in(text)
    for name in names:
        plain = name.lower().rstrip(".")
        if not _NAME.fullmatch(plain):
            raise CorefileError(f"{name!r} is no name that can be put into it")
        if plain in taken:
            raise CorefileError(f"{plain} is in use by run {taken[plain]}")
    root = _ROOT.search(text)
    if root is None:
        raise CorefileError("it has no server block for all names (.:53)")
    lines = [_BEGIN.format(run)]
    for name, addresses in sorted(names.items()):
        lines += _templates(name.lower().rstrip("."), addresses)
    lines.append(_END.format(run))
    block = "".join(f"    {line}\n" for line in lines)
    changed = text[: root.end() + 1] + block + text[root.end() + 1 :]
    if _KEPT.search(changed):
        return changed

    def quick(match: re.Match[str]) -> str:
        return f"{match['indent']}{RELOAD} # netcheck keeps:{match[0][len(match['indent']) :]}"

    return _PLAIN_RELOAD.sub(quick, changed, count=1)


def _templates(name: str, addresses: Sequence[str]) -> list[str]:
    pattern = f'match "^{re.escape(name)}[.]$"'.replace("\\.", "[.]").replace("\\-", "-")
    lines = []
    for kind, colon in (("A", False), ("AAAA", True)):
        for address in addresses:
            if (":" in address) is colon:
                answer = f'answer "{{{{ .Name }}}} {TTL} IN {kind} {address}"'
                lines += [
                    f"template IN {kind} {name} {{",
                    f"    {pattern}",
                    f"    {answer}",
                    "    fallthrough",
                    "}",
                ]
    # Other types of a name that exists have no data; that is no NXDOMAIN.
    lines += [f"template IN ANY {name} {{", f"    {pattern}", "    rcode NOERROR", "    fallthrough", "}"]
    return lines
