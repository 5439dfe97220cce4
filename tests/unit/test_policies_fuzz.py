"""Policies that nobody would write: whatever stands in a file, there is an answer and never an exception.

What is refused is refused with a diagnostic whose place is inside the text. `NETCHECK_FUZZ_EXAMPLES` says how
many examples of each kind are tried.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.author.bundle import read_bundle
from harness.cli import cli
from harness.dialects.registry import DIALECTS, kinds, parse_manifest
from harness.source.diagnostics import Problems
from harness.source.nodes import MappingNode
from harness.source.reader import read_text
from harness.source.render import render
from harness.source.sources import LINE_BREAK, Sources

EXAMPLES = int(os.environ.get("NETCHECK_FUZZ_EXAMPLES", "60"))
Path = tuple[str | int, ...]

GOOD = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop, labels: {team: a}, annotations: {note: b}}
spec:
  podSelector: {matchLabels: {app: web}, matchExpressions: [{key: env, operator: NotIn, values: [test]}]}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - {podSelector: {matchLabels: {app: cli}}, namespaceSelector: {matchLabels: {team: a}}}
        - ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}
      ports: [{port: 80}, {port: web, protocol: TCP}, {port: 8000, endPort: 8010, protocol: UDP}]
  egress:
    - to: [{namespaceSelector: {}}]
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
spec:
  tier: Admin
  priority: 5
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
  ingress:
    - name: first
      action: Accept
      from: [{namespaces: {matchLabels: {team: a}}}]
      protocols: [{tcp: {destinationPort: {number: 80}}}, {destinationNamedPort: web}]
  egress:
    - action: Deny
      to: [{networks: [203.0.113.0/24]}, {nodes: {}}]
      protocols: [{udp: {destinationPort: {range: {start: 1, end: 9}}}}]
    - {action: Accept, to: [{domainNames: [example.com]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: a}
spec:
  priority: 5
  subject: {namespaces: {matchExpressions: [{key: team, operator: Exists}]}}
  ingress: [{action: Pass, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]
  egress: [{action: Deny, to: [{networks: ["::/0"]}], ports: [{portRange: {start: 1, end: 9}}]}]
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress:
    - {action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {}}}], ports: [{namedPort: web}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec: {order: 5, selector: app == 'web', types: [Ingress], ingress: [{action: Allow, protocol: TCP}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  tier: default
  selector: has(app) && env not in {'a', 'b'}
  serviceAccountSelector: all()
  ingress:
    - action: Deny
      protocol: TCP
      source: {notSelector: a == 'b', nets: [203.0.113.0/24], notNets: [203.0.113.8/29], ports: ["1:99"]}
      destination: {ports: [80, "81:90", web], notPorts: [85]}
    - {action: Log, protocol: ICMP, icmp: {type: 8, code: 0}, notICMP: {type: 3}}
    - {action: Allow, ipVersion: 4, source: {namespaceSelector: global(), serviceAccounts: {names: [a]}}}
    - {action: Allow, http: {methods: [GET], paths: [{exact: /a}]}, metadata: {annotations: {a: b}}}
  egress:
    - {action: Pass, notProtocol: 17, destination: {services: {name: db, namespace: shop}}}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: p, namespace: shop}
spec: {stagedAction: Set, podSelector: {}, policyTypes: [Egress]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: t}
spec: {order: 5, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: s, labels: {a: b}}
spec: {nets: [203.0.113.1, "2001:db8::/32"]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {node: a, interfaceName: eth0, expectedIPs: [203.0.113.1]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, ports: [{name: web, containerPort: 80, protocol: TCP}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: web, nodePort: 30080}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
"""

MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all(GOOD))

WORDS = (
    *("", "~", "null", "a", "A", "web", "x" * 70, "x" * 300, "a b", "a/b/c", "[red]", "{{x}}", "%s"),
    *("\x1b[31m", "é\u202e\u2028", "yes", "on", "0x10", "1_000", "1e3", ".nan", "-.inf", "2024-01-01"),
    *("9" * 30, "9" * 5000, "0o17", "1:30", "=", "80", "0", "-1", "65536", "http", "*.example.com"),
    *("10.0.0.0/8", "10.0.0.1/8", "0.0.0.0/0", "::/0", "::ffff:1.2.3.4/100", "0.0.0.0/33", "1.2.3/8"),
    *("010.0.0.0/8", "fe80::1%eth0/64", "1.2.3.4/32", "255.255.255.255/32", "TCP", "ICMP", "tcp"),
    *("In", "Exists", "Ingress", "Egress", "Accept", "Pass"),
)
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.sampled_from((0, 1, -1, 80, 65535, 65536, 2**31, 2**63, 2**64, 10**40)),
    st.floats(),
    st.dates(),
    st.binary(max_size=4),
    st.text(max_size=8),
)


def _keys(node: object) -> set[str]:
    if isinstance(node, dict):
        return {str(key) for key in node}.union(*map(_keys, node.values()))
    return set[str]().union(*map(_keys, node)) if isinstance(node, list) else set()


KEYS = (
    st.sampled_from(sorted(_keys(MANIFESTS)))
    | st.sampled_from(WORDS)
    | st.integers()
    | st.none()
    | st.booleans()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TOKENS = (
    *("&a ", "*a", "<<: ", "<<: *a\n", "- ", "? ", ": ", "!!int ", "!!python/object:os.system ", "!x "),
    *("%YAML 9\n", "---\n", "...\n", "\t", "\r", "\x00", "\ufeff", "\u2028", "\udc80", "|\n", ">-9\n"),
    *("'", '"', "{", "}", "[", "]", "#", "@", "`", "[" * 150, "{a: " * 150, "- " * 150, "&a [*a, *a]"),
)


def paths(node: object, here: Path = ()) -> list[Path]:
    """The way to every value of a tree."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [here, *(path for key, value in entries for path in paths(value, (*here, key)))]


PATHS = [path for path in paths(MANIFESTS) if len(path) > 1]


def written(documents: list[object]) -> str:
    """YAML without aliases that nobody asked for."""
    plain = [copy.deepcopy(item) for item in documents]
    return yaml.safe_dump_all(plain, allow_unicode=True, sort_keys=False)


@st.composite
def replaced(draw: st.DrawFn) -> str:
    """One field of one manifest, with any tree in its place."""
    path = draw(st.sampled_from(PATHS))
    return written([_with(MANIFESTS, path, draw(TREES))[path[0]]])


def _with(tree: Any, path: Path, value: object) -> Any:
    changed = copy.deepcopy(tree)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Some manifests with a few changes of their keys, values and types, and of their text."""
    documents: Any = copy.deepcopy(draw(st.lists(st.sampled_from(MANIFESTS), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        if not documents:
            break
        *way, last = draw(st.sampled_from([path for path in paths(documents) if path]))
        node = documents
        for key in way:
            node = node[key]
        _mutate(draw, node, last)
    if not all(isinstance(item, dict) for item in documents) and draw(st.booleans()):
        documents = [{"apiVersion": "v1", "kind": "List", "items": documents}]
    text = written(documents)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        text = text[:start] + draw(st.sampled_from(TOKENS) | st.text(max_size=4)) + text[end:]
    return text


def _mutate(draw: st.DrawFn, node: Any, key: Any) -> None:
    value = node[key]
    how = draw(st.sampled_from(("replace", "remove", "rename", "wrap", "text", "repeat", "deep")))
    if how == "replace":
        node[key] = draw(TREES)
    elif how == "remove":
        del node[key]
    elif how == "rename" and isinstance(node, dict):
        node[draw(KEYS)] = node.pop(key)
    elif how == "wrap":
        node[key] = draw(st.sampled_from(([value], {"a": value}, [[value]], [value, None])))
    elif how == "text":
        node[key] = json.dumps(value, default=str)
    elif how == "repeat" and isinstance(value, list):
        node[key] = [copy.deepcopy(item) for item in value * draw(st.sampled_from((2, 3, 30)))]
    elif how == "deep":
        for _ in range(draw(st.sampled_from((3, 60, 120)))):
            value = [value]
        node[key] = value


def inside(text: str, problems: Problems) -> None:
    """Every problem has an id, words and a place in the text, and can be printed."""
    lines = LINE_BREAK.split(text)
    for item in problems.found:
        assert item.id
        assert item.message
        for place in (
            item.place,
            *(other.place for other in item.related),
            *([item.fix.place] if item.fix else []),
        ):
            assert 1 <= place.line <= len(lines), (str(item), place)
            assert 1 <= place.column <= len(lines[place.line - 1]) + 1, (str(item), place)
    shown = render(problems.sorted(), Sources({"p.yaml": text, "<stdin>": text}))
    assert all(part.isprintable() for part in shown.split("\n"))


def examine(text: str) -> None:
    """Give a text to everything that reads policies."""
    problems = Problems()
    for document in read_text(text, "p.yaml", problems):
        if isinstance(document.root, MappingNode):
            before = problems.errors
            policy = parse_manifest(document.root, "n", problems)
            assert (policy is None) is (problems.errors > before)
    inside(text, problems)
    inside(text, read_bundle([], stdin=text).problems)
    for command in ("lint", "predict"):
        result = CliRunner().invoke(cli, [command, "-"], input=text.encode("utf-8", "surrogatepass"))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (0, 4), result.output
        assert result.exit_code == 0 or "error" in result.output, result.output


fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)


def test_the_manifests_to_be_damaged_are_good_and_of_every_dialect() -> None:
    bundle = read_bundle([], stdin=GOOD)
    assert bundle.problems.found == []
    assert {policy.dialect for policy in bundle.policies} == set(DIALECTS)
    assert len(bundle.topology.pods) == 1
    assert {(item.api_version, item.kind) for item in bundle.policies} <= set(kinds())
    examine(GOOD)


@fuzzed
@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    examine(text)


@fuzzed
@given(replaced())
def test_any_tree_in_any_field_is_answered(text: str) -> None:
    examine(text)


@fuzzed
@given(mutated())
def test_any_damage_to_good_manifests_is_answered(text: str) -> None:
    examine(text)


@pytest.mark.parametrize("command", ["lint", "predict", "init"])
def test_standard_input_that_is_no_utf8_is_refused_with_its_place(command: str) -> None:
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    words = [sys.executable, "-m", "harness", command, "-"]
    done = subprocess.run(words, input=b"a: 1\nb: \xff\n", capture_output=True, env=strict, timeout=120)
    assert done.returncode == 4
    assert b"<stdin>:2:4: error[not-utf8]" in done.stderr
