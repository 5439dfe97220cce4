"""From what stands behind `lab?` or `--as` to a personality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cli.exits import CliError

if TYPE_CHECKING:
    from harness.model.personality import Personality

_SETTINGS = {
    "cilium": {"cidr": "nodes,pods", "dns": "nxdomain", "enforcement": "always"},
    "calico": {"deny": "reject"},
}
"""Settings that only one plugin has, each with something to write."""


def parse_personality(query: str, where: str, advice: str) -> Personality:
    """What `as=NAME` asks for, with the plugin's settings behind it, such as `&cidr=nodes,pods`.

    Args:
        query: The text.
        where: What a complaint begins with.
        advice: What it ends with.

    Raises:
        CliError: It cannot be understood.
    """
    from harness.model.personality import CALICO, CILIUM, GENERIC, calico_with, cilium_with

    settings: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key != "as" and not any(key in known for known in _SETTINGS.values()):
            raise CliError(f"{where}: the lab has no setting {key!r}", advice)
        if key in settings:
            raise CliError(f"{where}: `{key}` stands there twice", advice)
        settings[key] = value
    personalities = {item.name: item for item in (GENERIC, CILIUM, CALICO)}
    name = settings.pop("as", GENERIC.name)
    if name not in personalities:
        raise CliError(f"{where}: unknown personality {name!r}", advice)
    for key in settings:
        for plugin, known in _SETTINGS.items():
            if key in known and plugin != name:
                raise CliError(
                    f"{where}: `{key}` is a setting of {plugin.capitalize()}'s",
                    f"write `as={plugin}&{key}={known[key]}`",
                )
    if not settings:
        return personalities[name]
    if name == CALICO.name:
        return calico_with(answers_denials=_deny(settings["deny"], where, advice))
    return cilium_with(**_read(settings, where, advice))


def _deny(value: str, where: str, advice: str) -> bool:
    """Whether Calico answers what it denies."""
    from harness.model.personality import DENIALS

    if value not in DENIALS:
        raise CliError(f"{where}: `deny` takes drop or reject, not {value!r}", advice)
    return DENIALS[value]


def _read(settings: dict[str, str], where: str, advice: str) -> dict[str, Any]:
    """Cilium's settings as `cilium_with` takes them."""
    from harness.model.personality import CIDR_MODES, DNS_DENIALS, Enforcement

    found: dict[str, Any] = {}
    if "cidr" in settings:
        found["cidr"] = settings["cidr"].split(",")
        wrong = next((item for item in found["cidr"] if item not in CIDR_MODES), None)
        if wrong is not None:
            raise CliError(f"{where}: `cidr` takes nodes and pods, not {wrong!r}", advice)
    if "dns" in settings:
        if settings["dns"] not in DNS_DENIALS:
            raise CliError(f"{where}: `dns` takes refused or nxdomain, not {settings['dns']!r}", advice)
        found["denied_lookup"] = DNS_DENIALS[settings["dns"]]
    if "enforcement" in settings:
        if settings["enforcement"] not in list(Enforcement):
            wrong = settings["enforcement"]
            raise CliError(f"{where}: `enforcement` takes default, always or never, not {wrong!r}", advice)
        found["enforcement"] = Enforcement(settings["enforcement"])
    return found
