"""A scenario file for policies that have none: a world that tells their rules apart, and what they mean.

The expectation is the oracle's, each line with the rule that decides, so that a person can read it, disagree,
and correct the policy or the line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.author.pairs import Pair, predictions, probes
from harness.model.builtin import CLUSTER_DOMAIN, DNS_POD
from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, SourceKind, TargetKind
from harness.model.topology import (
    METADATA_NAME,
    External,
    Listener,
    Pod,
    Protocol,
    Service,
    ServiceType,
    Topology,
)

WIDTH = 110
_VERDICT = {Answer.ALLOW: "allow", Answer.DENY: "deny", Answer.UNDEFINED: "observe"}
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a scenario file, as lines without their section's key.

    Attributes:
        expect: Lines below `expect:`, comments included.
        cells: How many cells these lines name.
    """

    namespaces: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    externals: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    cells: int = 0


@dataclass(slots=True)
class _Group:
    """Sources that have the same verdict by the same rules at one target."""

    verdict: str
    why: str
    sources: list[str] = field(default_factory=list)


def draft(topology: Topology, policies: Sequence[Policy], known: Topology) -> Draft:
    """What a scenario file needs beyond what it has.

    Args:
        topology: The world.
        policies: What is in force.
        known: What the file declares already; only cells that meet something new are drafted.
    """
    pods = _new_pods(topology, known)
    externals = [item for name, item in topology.externals.items() if name not in known.externals]
    fresh = {*(item.id for item in pods), *(f"external:{item.name}" for item in externals)}
    wanted = [
        probe
        for probe in probes(topology)
        if not known.pods or str(probe.source) in fresh or _target_name(probe) in fresh
    ]
    found = predictions(topology, policies, wanted)
    groups = _groups(found)
    lines = tuple(line for target, item in groups for line in _lines(target, item))
    return Draft(
        tuple(
            _entry(name, _map({"labels": _labels(item.labels)}))
            for name, item in topology.namespaces.items()
            if name not in (*known.namespaces, "default", "kube-system")
        ),
        tuple(map(_pod, pods)),
        tuple(
            _entry(item.id, _service(item))
            for item in topology.services.values()
            if item.id not in known.services
        ),
        tuple(map(_external, externals)),
        lines,
        sum(len(item.sources) for _, item in groups),
    )


def whole(name: str, source: str, policies: Sequence[str], made: Draft, namespace: str = "") -> str:
    """A new scenario file.

    Args:
        name: Of the scenario.
        namespace: For policies that name none; empty when all do.
        source: Where the policies come from, for the reader.
        policies: Lines below `policies:`.
        made: The rest.
    """
    lines = [
        f"# What the policies in {source} mean, by the oracle: read it, and correct what is not meant.",
        "# `netcheck init` adds what new policies speak of, and changes nothing that stands here.",
        f"scenario: {name}",
        *([f"defaults: {{namespace: {scalar(namespace)}}}"] if namespace else []),
        "",
    ]
    for key, section in _sections(made):
        if section:
            lines += [f"{key}:", *section, ""]
    lines += ["policies:", *policies, "", "expect:", *made.expect]
    return "\n".join(lines).rstrip() + "\n"


def world_lines(topology: Topology, known: Topology, ends: Collection[str]) -> list[str]:
    """The sections that declare those of `ends` (pods, `external:name`) which `known` lacks."""
    pods = [item for item in _new_pods(topology, known) if item.id in ends]
    here = {item.namespace for item in pods}
    externals = [
        item
        for name, item in topology.externals.items()
        if name not in known.externals and f"external:{name}" in ends
    ]
    made = Draft(
        tuple(
            _entry(name, _map({"labels": _labels(item.labels)}))
            for name, item in topology.namespaces.items()
            if name in here and name not in known.namespaces
        ),
        tuple(map(_pod, pods)),
        externals=tuple(map(_external, externals)),
    )
    return [text for key, section in _sections(made) if section for text in (f"{key}:", *section)]


def missing(topology: Topology, known: Topology, wanted: Sequence[Probe]) -> list[str]:
    """What `known` lacks of the ends of probes in `topology`: sections, and listeners of what it has."""
    ends = {end for probe in wanted for end in (_source(probe), _target_name(probe))}
    lines = world_lines(topology, known, ends)
    listeners = {name: item.listeners for name, item in known.pods.items()}
    listeners |= {f"external:{name}": item.listeners for name, item in known.externals.items()}
    for name, target in dict.fromkeys((_target_name(probe), probe.target) for probe in wanted):
        heard = [(item.port, item.protocol) for item in listeners.get(name, ())]
        if name in listeners and (target.port, target.protocol) not in heard:
            lines.append(f"# {name} has to listen on {target.port}/{target.protocol}")
    return lines


def cell_line(probe: Probe, verdict: str) -> str:
    """One cell as an item of `expect:`."""
    return f"  - {{from: {scalar(_source(probe))}, {_target(probe)}, verdict: {verdict}}}"


def _sections(made: Draft) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "namespaces", made.namespaces
    yield "pods", made.pods
    yield "services", made.services
    yield "externals", made.externals


# -- the world -----------------------------------------------------------------------------------------


def _new_pods(topology: Topology, known: Topology) -> list[Pod]:
    return [item for item in topology.pods.values() if item.id not in known.pods and item.id != DNS_POD]


def _pod(item: Pod) -> str:
    return _entry(
        item.id,
        _map(
            {
                "labels": _labels(item.labels),
                "serviceAccount": "" if item.service_account == "default" else item.service_account,
                "listen": [_listener(each) for each in item.listeners],
                "hostNetwork": item.host_network or "",
            }
        ),
    )


def _external(item: External) -> str:
    addresses = tuple(item.addresses.values())
    return _entry(
        item.name,
        _map(
            {
                "address": addresses[0] if len(addresses) == 1 else list(addresses),
                "listen": [_listener(each) for each in item.listeners],
            }
        ),
    )


def _entry(key: str, value: str) -> str:
    return f"  {scalar(key)}: {value}"


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != METADATA_NAME}


def _listener(item: Listener) -> str:
    port = str(item.port) if item.protocol is Protocol.TCP else f"{item.port}/{item.protocol}"
    return f"{item.name}={port}" if item.name else port


def _service(item: Service) -> str:
    return _map(
        {
            "labels": dict(item.labels),
            "selector": dict(item.selector),
            "ports": [
                f"{port.port}:{port.target}" + ("" if port.protocol is Protocol.TCP else f"/{port.protocol}")
                for port in item.ports
            ],
            "type": "" if item.type is ServiceType.CLUSTER_IP else item.type.value,
        }
    )


def _map(values: Mapping[str, object]) -> str:
    """A flow mapping without what is empty."""
    parts = [f"{scalar(key)}: {_flow(value)}" for key, value in values.items() if value]
    return "{" + ", ".join(parts) + "}"


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return _map(value) if all(value.values()) else _quoted_map(value)
    if isinstance(value, list):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    if value is True:
        return "true"
    return scalar(str(value))


def _quoted_map(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{scalar(key)}: {scalar(str(value))}" for key, value in values.items()) + "}"


def scalar(text: str) -> str:
    """A YAML scalar that reads as this text in block and flow, quoted where it has to be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if re.fullmatch(r"[1-9][0-9]*(/(UDP|TCP|SCTP))?", text) or re.fullmatch(
        r"[a-z0-9-]*[a-z][a-z0-9-]*=[0-9]+(/UDP)?", text
    ):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}" if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


# -- expectations --------------------------------------------------------------------------------------


def _target_name(probe: Probe) -> str:
    target = probe.target
    return target.name if target.kind is TargetKind.POD else f"{target.kind}:{target.name}"


def _groups(pairs: Iterable[Pair]) -> list[tuple[str, _Group]]:
    """By target, the sources with the same answer for the same reason together."""
    targets: dict[str, dict[tuple[str, str], _Group]] = {}
    for pair in pairs:
        prediction = pair.prediction
        why = ", ".join(str(origin) for origin in prediction.deciding) or prediction.reason
        if prediction.verdict is Answer.UNDEFINED:
            why = prediction.reason
        verdict = _VERDICT[prediction.verdict] if prediction.denial is None else prediction.word
        if not prediction.deciding and prediction.verdict is Answer.ALLOW:
            why = "no policy stands in the way"
        groups = targets.setdefault(_target(pair.probe), {})
        group = groups.setdefault((verdict, why), _Group(verdict, why))
        if not prediction.deciding and group.sources and prediction.verdict is Answer.ALLOW:
            # Where no policy has a say, one pod that gets through is proof enough that the target answers.
            continue
        group.sources.append(_source(pair.probe))
    return [(target, group) for target, groups in targets.items() for group in groups.values()]


def _source(probe: Probe) -> str:
    source = probe.source
    return source.name if source.kind is SourceKind.POD else f"{source.kind}:{source.name}"


def _target(probe: Probe) -> str:
    """`to: …`, or the question to the cluster's DNS."""
    target = probe.target
    if target.kind is TargetKind.SERVICE and target.name == DNS_POD:
        tcp = ", tcp: true" if target.protocol is Protocol.TCP else ""
        return f"dns: kubernetes.default.svc.{CLUSTER_DOMAIN}{tcp}"
    text = str(target).removesuffix("/TCP")
    return f"to: {scalar(text)}"


def _lines(target: str, group: _Group) -> Iterator[str]:
    comment = re.sub(r"\s+", " ", "".join(char if char.isprintable() else " " for char in group.why))
    yield f"  # {comment}"
    sources = [scalar(item) for item in group.sources]
    tail = f"{target}, verdict: {group.verdict}}}"
    if len(sources) == 1:
        yield f"  - {{from: {sources[0]}, {tail}"
        return
    one = f"  - {{from: [{', '.join(sources)}], {tail}"
    if len(one) <= WIDTH:
        yield one
        return
    yield "  - from:"
    row = ""
    rows: list[str] = []
    for item in sources:
        longer = f"{row}, {item}" if row else item
        if row and len(longer) > WIDTH - 10:
            rows.append(row)
            longer = item
        row = longer
    rows.append(row)
    yield f"      [{rows[0]}" + ("]" if len(rows) == 1 else ",")
    for number, text in enumerate(rows[1:], 2):
        yield f"       {text}" + ("]" if number == len(rows) else ",")
    for part in target.split(", "):
        yield f"    {part}"
    yield f"    verdict: {group.verdict}"
