"""What Cilium's rules ask of HTTP requests, DNS questions and TLS greetings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.dialects.cilium.refusals import REFUSED
from harness.dialects.fields import Field
from harness.dialects.regexes import fault
from harness.model.application import (
    Application,
    DnsRules,
    HeaderMatch,
    HttpRule,
    HttpRules,
    Mismatch,
    ServerNames,
)
from harness.model.names import BadNameError, NamePattern, parse_name, parse_pattern
from harness.source import Place

_EVERY = re.compile(r"\*+\.?")
"""Patterns that stand for every name."""

_GONE = dict.fromkeys(
    ("kafka", "l7proto", "l7"), "Cilium 1.20 has no such rules any more; http and dns are what is left"
)


@dataclass(frozen=True, slots=True)
class Demands:
    """What is looked for, with the place of each item.

    Attributes:
        secret: Whether a value stands in a Secret, which only the cluster knows.
    """

    application: Application | None = None
    places: tuple[Place, ...] = ()
    secret: bool = False


def rules(field: Field) -> Demands:
    """Either HTTP or DNS rules; empty lists look for nothing."""
    section = field.section(("http", "dns"), _GONE)
    if len(section) > 1:
        field.error("invalid-rules", "http and dns stand in one rule", help="make two rules of it")
    elif not section:
        field.error(
            "invalid-rules", "`http` or `dns` must stand here", help="leave `rules` out for any traffic"
        )
    if "http" in section:
        items = section["http"].items()
        secrets: list[Place] = []
        http = tuple(_http(item, secrets) for item in items)
        return Demands(HttpRules(http) if http else None, tuple(item.place for item in items), bool(secrets))
    names = [(item, dns_name(item)) for item in section["dns"].items()] if "dns" in section else []
    good = [(item.place, name) for item, name in names if name is not None]
    found = DnsRules(tuple(name for _, name in good))
    return Demands(found if found.names else None, tuple(place for place, _ in good))


def dns_name(field: Field) -> NamePattern | None:
    """An item of `rules.dns` or `toFQDNs`: one of `matchName` and `matchPattern`."""
    section = field.section(("matchName", "matchPattern"), {"name": "write `matchName:`"})
    if len(section) != 1:
        field.error(
            "invalid-domain",
            "one of `matchName` and `matchPattern` must stand here, and only one",
            help='write `matchName: example.com`, or `matchPattern: "*.example.com"`',
        )
        return None
    ((key, value),) = section.items()
    text = value.text()
    if text is None:
        return None
    if key == "matchPattern":
        return _pattern(value, text)
    try:
        return parse_name(text)
    except BadNameError as error:
        star = "a name with `*` is a pattern: write `matchPattern:`" if "*" in text else ""
        value.error("invalid-domain", f'"{text[:80]}" is not a name: {error}', help=star)
        return None


def _pattern(field: Field, text: str) -> NamePattern | None:
    try:
        return parse_pattern("*" if _EVERY.fullmatch(text) else text)
    except BadNameError as error:
        field.error("invalid-domain", f'"{text[:80]}" is not a pattern: {error}')
        return None


def server_names(field: Field) -> Demands:
    """The items of `serverNames`."""
    items = field.items()
    if not items:
        field.error("missing-field", "an empty list", help="leave it out where TLS is not to be looked into")
    texts = [(item, item.text()) for item in items]
    found = [(item.place, _pattern(item, text)) for item, text in texts if text is not None]
    good = [(place, name) for place, name in found if name is not None]
    names = tuple(name for _, name in good)
    return Demands(ServerNames(names) if names else None, tuple(place for place, _ in good))


def _http(field: Field, secrets: list[Place]) -> HttpRule:
    section = field.section(
        ("path", "method", "host", "headers", "headerMatches"),
        {"header": "write `headers:`", "methods": "write `method:`", "paths": "write `path:`"},
    )
    texts = {name: _regex(section[name]) for name in ("path", "method", "host") if name in section}
    headers = section["headers"].items() if "headers" in section else ()
    matches = section["headerMatches"].items() if "headerMatches" in section else ()
    found = [match for item in headers if (match := _header(item)) is not None]
    found += [match for item in matches if (match := _header_match(item, secrets)) is not None]
    return HttpRule(texts.get("path"), texts.get("method"), texts.get("host"), tuple(found))


def _regex(field: Field) -> str | None:
    """A regular expression; None where it says nothing."""
    text = field.text() or ""
    why = fault(text)
    if why:
        # Agents try out what stands for paths and methods; hosts are left to Envoy.
        then = "Envoy takes none of the rules" if field.path.endswith(".host") else REFUSED
        field.error("invalid-regex", f'"{text[:80]}" is no regular expression of RE2 ({why}): {then}')
    return text or None


def _header(field: Field) -> HeaderMatch | None:
    """A name and its exact value, split at the first space; without one the header has to be there."""
    text = field.text()
    if not text:
        return None
    name, space, value = text.partition(" ")
    if space:
        return HeaderMatch(name.removesuffix(":"), value)
    if ":" in text.removesuffix(":"):
        head, _, tail = text.partition(":")
        field.warning(
            "header-without-space",
            f'"{text}" asks for a header with this very name, which no request has: name and value are '
            "split at the first space",
            help=f'write "{head}: {tail}"',
            fix=f'"{head}: {tail}"' if re.fullmatch(r"[\w.-]+:[\w.-]+", text) else None,
        )
    return HeaderMatch(text)


def _header_match(field: Field, secrets: list[Place]) -> HeaderMatch | None:
    section = field.section(("mismatch", "name", "secret", "value"))
    name = section["name"].text() if "name" in section else None
    if not name:
        field.error("missing-field", "`name` is missing", help="write `name: X-API-Version`")
    mismatch = section["mismatch"].text() if "mismatch" in section else None
    if mismatch and mismatch not in tuple(Mismatch):
        section["mismatch"].error(
            "invalid-rules", f'"{mismatch}" is nothing that can be done', help=", ".join(Mismatch)
        )
        return None
    value = section["value"].text() if "value" in section else None
    if "secret" in section:
        secrets.append(section["secret"].place)
        if "name" not in section["secret"].section(("name", "namespace")):
            section["secret"].error("missing-field", "`name` is missing")
    return HeaderMatch(name, value or None, Mismatch(mismatch) if mismatch else None) if name else None
