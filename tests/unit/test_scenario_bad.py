"""What is wrong with scenario files, and what people read about it."""

# ruff: noqa: E501 - a table of mistakes reads best with one line per row

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.scenario import Loaded, find_files, load
from harness.source.diagnostics import Diagnostic, Severity
from harness.source.render import render

ROOT = Path(__file__).parents[2]

PODS = """\
scenario: s
pods:
  a/srv: {labels: {app: srv}, listen: [80, https=443]}
  a/cli: {labels: {app: cli}}
  b/cli: {}
services:
  a/svc: {selector: {app: srv}, ports: [web=80]}
externals:
  net: {address: 203.0.113.10, listen: [443]}
"""
GOOD = "expect: [{from: a/cli, to: 'a/srv:80', verdict: allow}]\n"
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {podSelector: {}}\n"
INLINE = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {podSelector: {}}}"


def cell(to: str = "a/srv:80", source: str = "a/cli", verdict: str = "allow", more: str = "") -> str:
    return f"expect: [{{from: '{source}', to: '{to}', verdict: {verdict}{more}}}]\n"


def http(url: str = "http://a/srv:80/", more: str = "") -> str:
    return f"expect: [{{from: a/cli, verdict: allow, http: {{url: '{url}'{more}}}}}]\n"


def step(text: str, name: str = "one") -> str:
    return f"steps:\n  - name: {name}\n    expect: [{{from: a/cli, to: 'a/srv:80', verdict: allow}}]\n    {text}\n"


ID = "spiffe://cluster.local/ns/a/sa/x"
MTLS = PODS.replace(
    "443]}\n  a/cli: {",
    f"443], identity: true, mtls: {{443: {{allow: '{ID}'}}}}}}\n  a/cli: {{identity: true, ",
)


def sequence(*urls: str, verdict: str = "[allow, deny]") -> str:
    return f"expect: [{{from: a/cli, http: [{', '.join(f'{{url: {url}}}' for url in urls)}], verdict: {verdict}}}]\n"


# id of the diagnostic, the file, the text under its carets
MISTAKES: list[tuple[str, str, str]] = [
    ("ambiguous-pod", PODS + cell(source="cli"), "cli"),
    ("bad-address", PODS.replace("203.0.113.10", "fe80::1") + GOOD, "fe80::1"),
    ("bad-address", PODS.replace("203.0.113.10", "224.0.0.1") + GOOD, "224.0.0.1"),
    ("bad-backend", PODS + cell(more=", known: {backend: '<3', verdict: drop, why: x}"), "'<3'"),
    ("bad-boolean", PODS.replace("b/cli: {}", "b/cli: {hostNetwork: yes}") + GOOD, "yes"),
    ("bad-duration", PODS + GOOD + "settings: {settle: 1.}\n", "1."),
    ("bad-header", PODS + http(more=", headers: {'a b': c}"), "'a b'"),
    ("bad-header", PODS + http(more=", headers: {Host: c}"), "Host"),
    ("bad-header", PODS + http(more=", headers: {a: é}"), "é"),
    ("bad-host", PODS + cell("host:a..b:80"), "a..b"),
    ("bad-host", PODS + "expect: [{from: a/cli, dns: 'a b', verdict: deny}]\n", "'a b'"),
    ("bad-host", PODS + cell(more=", tls: {sni: 10.0.0.1}"), "10.0.0.1"),
    ("bad-host", MTLS + cell("a/srv:443", more=", mtls: {sni: 'a b'}"), "'a b'"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: api}") + GOOD, "api"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: 'spiffe://x'}") + GOOD, "'spiffe://x'"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: workloadapi}") + GOOD, "workloadapi"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: {from: spire}}") + GOOD, "spire"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: {id: api}}") + GOOD, "api"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: {files: run}}") + GOOD, "run"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: {files: /a/../b}}") + GOOD, "/a/../b"),
    ("bad-identity", PODS.replace("b/cli: {}", "b/cli: {identity: {files: /a, from: workload-api}}") + GOOD, "workload-api"),
    ("bad-identity", MTLS.replace(f"'{ID}'", "[]") + GOOD, "[]"),
    ("bad-identity", MTLS.replace(f"'{ID}'", "'https://x'") + GOOD, "'https://x'"),
    ("bad-identity", MTLS + cell("a/srv:443", more=", mtls: {as: expierd}"), "expierd"),
    ("bad-identity", MTLS + cell("a/srv:443", more=", mtls: {as: 'spiffe://A/b'}"), "'spiffe://A/b'"),
    ("bad-identity", MTLS + cell("a/srv:443", more=", mtls: {server: x}"), "x"),
    ("bad-mtls-port", MTLS.replace("{443: {", "{444: {") + GOOD, "444"),
    ("bad-mtls-port", MTLS.replace("https=443]", "443/UDP]").replace("{443: {", "{443: {") + GOOD, "443"),
    ("no-identity", MTLS.replace("443], identity: true", "443]") + GOOD, "443"),
    ("no-identity", MTLS + cell("a/srv:443", "b/cli", more=", mtls: true"), "{from: 'b/cli', to: 'a/srv:443', verdict: allow, mtls: true}"),
    ("no-identity", MTLS + cell("a/srv:443", "node:a", more=", mtls: {as: expired}"), "{from: 'node:a', to: 'a/srv:443', verdict: allow, mtls: {as: expired}}"),
    ("no-identity", MTLS + cell("external:net:443", more=", mtls: true"), "{from: 'a/cli', to: 'external:net:443', verdict: allow, mtls: true}"),
    ("bad-target", PODS + cell("a/srv/ICMP", more=", tls: true"), "{from: 'a/cli', to: 'a/srv/ICMP', verdict: allow, tls: true}"),
    ("tls-twice", MTLS + cell("a/srv:443", more=", tls: {sni: a.b}, mtls: true"), "{sni: a.b}"),
    ("empty-sequence", PODS + sequence(verdict="allow"), "[]"),
    ("sequence-target", PODS + sequence("'http://a/srv:80/'", "'http://a/srv:443/'"), "'http://a/srv:443/'"),
    ("sequence-verdicts", PODS + sequence("'http://a/srv:80/'", "/b", "/c"), "[allow, deny]"),
    ("bad-url", PODS + sequence("a/srv:80", "/b"), "a/srv:80"),
    ("bad-url", PODS + sequence("'http://a/srv:80/'", "'/b c'"), "'/b c'"),
    ("unknown-pod", PODS + sequence("'http://a/srvr:80/'", "/b"), "a/srvr"),
    ("bad-label", PODS.replace("app: cli", "-x: cli") + GOOD, "-x"),
    ("bad-label", PODS.replace("{selector:", "{labels: {a: 'b c'}, selector:") + GOOD, "'b c'"),
    ("bad-label", PODS.replace("app: cli", "app: 'spiffe://x'") + GOOD, "'spiffe://x'"),
    ("bad-label-change", PODS + step("label: {set: {a: b}}"), "{set: {a: b}}"),
    ("bad-method", PODS + http(more=", method: get"), "get"),
    ("bad-name", PODS.replace("scenario: s", "scenario: S_1") + GOOD, "S_1"),
    ("bad-name", PODS.replace("b/cli", "b/Cli") + GOOD, "Cli"),
    ("bad-name", PODS.replace("b/cli", "B/cli") + GOOD, "B"),
    ("bad-name", PODS.replace("a/svc", "a/1svc") + GOOD, "1svc"),
    ("bad-name", PODS + step("", name="Two"), "Two"),
    ("bad-node", PODS.replace("b/cli: {}", "b/cli: {node: worker}") + GOOD, "worker"),
    ("bad-number", PODS.replace("b/cli: {}", "b/cli: {replicas: 1001}") + GOOD, "1001"),
    ("bad-path", PODS + GOOD + 'policies: ["a\\0b"]\n', '"a\\0b"'),
    ("bad-path", PODS + GOOD + "policies: ['*/../../x']\n", "'*/../../x'"),
    ("bad-pattern", PODS + cell("a/s*:80"), "a/s*"),
    ("bad-policy-name", PODS + step("delete: p"), "p"),
    ("bad-port", PODS + cell("a/srv:0"), "0"),
    ("bad-port", PODS + cell("a/srv:65536"), "65536"),
    ("bad-port", PODS + cell("a/srv:80/ICMP"), "80/ICMP"),
    ("bad-port", PODS.replace("[80,", "[80, 53:53,") + GOOD, "53:53"),
    ("bad-port", PODS.replace("web=80]", "1:2:3:4]") + GOOD, "1:2:3:4"),
    ("bad-port", PODS.replace("web=80]}", "80:80:8080], type: NodePort}") + GOOD, "8080"),
    ("bad-port-name", PODS.replace("https=443", "a-very-long-name=443") + GOOD, "a-very-long-name"),
    ("bad-port-name", PODS.replace("https=443", "{port: 443, name: '1'}") + GOOD, "'1'"),
    ("bad-protocol", PODS.replace("[80,", "[80, 80/udp,") + GOOD, "udp"),
    ("bad-protocol", PODS.replace("[80,", "[80, 1/ICMP,") + GOOD, "ICMP"),
    ("bad-rcode", PODS + "expect: [{from: a/cli, dns: x, rcode: REFUSED, verdict: deny}]\n", "REFUSED"),
    ("bad-rcode", PODS + "expect: [{from: a/cli, dns: x, rcode: nxdomain, verdict: deny}]\n", "nxdomain"),
    ("bad-record-type", PODS + "expect: [{from: a/cli, dns: x, type: aaaa, verdict: deny}]\n", "aaaa"),
    ("bad-service-type", PODS.replace("web=80]}", "web=80], type: LoadBalancer}") + GOOD, "LoadBalancer"),
    ("bad-source", PODS + cell(source="service:a/svc"), "'service:a/svc'"),
    ("bad-source", PODS + cell(source="a/cli:80"), "'a/cli:80'"),
    ("bad-target", PODS + cell("svc:a/svc:80"), "'svc:a/svc:80'"),
    ("bad-target", PODS + cell("service:a/svc/ICMP"), "'service:a/svc/ICMP'"),
    ("bad-transition", PODS + step("transition: {established: cut}"), "cut"),
    ("bad-transition", PODS + step("transition: {}"), "{}"),
    ("bad-transition", PODS + step("remove: b/cli\n    transition: {steady: [{from: b/cli, to: 'a/srv:80'}]}"), "{from: b/cli, to: 'a/srv:80'}"),
    ("bad-url", PODS + http("https://a/srv:443/"), "'https://a/srv:443/'"),
    ("bad-url", PODS + http("http://a/srv:80/a b"), "'http://a/srv:80/a b'"),
    ("bad-url", PODS + http("http://a/srv/ICMP"), "a/srv/ICMP"),
    ("bad-word", PODS + GOOD + "tags: ['a b']\n", "'a b'"),
    ("unknown-feature", PODS + GOOD + "needs: [externel]\n", "externel"),
    ("bad-world", PODS + GOOD + "world: empty.yaml\n", "empty.yaml"),
    ("binary-file", PODS + GOOD + "policies: binary.yaml\n", ""),
    ("builtin", PODS + step("remove: kube-system/kube-dns"), "kube-system/kube-dns"),
    ("builtin", PODS.replace("b/cli", "kube-system/kube-dns") + GOOD, "kube-system/kube-dns"),
    ("conflicting-cells", PODS + "expect:\n- {from: a/cli, to: 'a/srv:80', verdict: allow}\n- {from: a/cli, to: 'a/srv:80', verdict: deny}\n", "{from: a/cli, to: 'a/srv:80', verdict: deny}"),
    ("control-character", PODS + GOOD + "# \x1b\n", "\\x1b"),
    ("duplicate-address", PODS + "  two: {address: 203.0.113.10}\n" + GOOD, "203.0.113.10"),
    ("duplicate-address", PODS.replace("address: 203.0.113.10", "address: [203.0.113.10, 203.0.113.11]") + GOOD, "203.0.113.11"),
    ("duplicate-key", PODS.replace("b/cli", "a/cli") + GOOD, "a/cli"),
    ("duplicate-listener", PODS.replace("[80,", "[80, 80,") + GOOD, "80"),
    ("duplicate-listener", PODS.replace("[80,", "[80, https=444,") + GOOD, "https=443"),
    ("duplicate-name", "defaults: {namespace: a}\n" + PODS.replace("b/cli", "cli") + GOOD, "cli"),
    ("duplicate-name", PODS.replace("b/cli: {}", "a/x-0: {}\n  a/x: {replicas: 1}") + GOOD, "a/x"),
    ("duplicate-name", PODS + step("", "x") + step("", "x").removeprefix("steps:\n"), "x"),
    ("duplicate-policy", PODS + GOOD + f"policies: [{INLINE}, {INLINE}]\n", ""),
    ("duplicate-scenario", PODS + GOOD + "---\n" + PODS + GOOD, "s"),
    ("duplicate-service-port", PODS.replace("web=80]", "web=80, web=443]") + GOOD, "web=443"),
    ("empty-all", PODS + "expect:\n- {from: a/cli, to: 'a/srv:80', verdict: allow}\n- {all: drop, ports: 81}\n", "drop"),
    ("empty-matrix", PODS + "expect: [{port: 80, matrix: 'a/srv'}]\n", "'a/srv'"),
    ("empty-pattern", PODS + cell("*:81"), "'*:81'"),
    ("empty-pattern", PODS + cell(source="default/*"), "default/*"),
    ("empty-selector", PODS.replace("{app: srv}, ports", "{}, ports") + GOOD, "{}"),
    ("external-family", "families: ipv6\n" + PODS + cell("external:net:443"), "{from: 'a/cli', to: 'external:net:443', verdict: allow}"),
    ("file-not-found", PODS + GOOD + "policies: no.yaml\n", "no.yaml"),
    ("file-too-large", PODS + GOOD + "policies: large.yaml\n", ""),
    ("file-unreadable", PODS + GOOD + "world: folder\n", ""),
    ("host-port-taken", PODS.replace("b/cli: {}", "b/x: {hostNetwork: true, node: a, listen: 1}\n  b/y: {hostNetwork: true, node: a, listen: 1}") + GOOD, "b/y"),
    ("impossible-verdict", PODS + cell(verdict="deny-http"), "{from: 'a/cli', to: 'a/srv:80', verdict: deny-http}"),
    ("impossible-verdict", PODS + cell("a/srv/ICMP", verdict="tls-rejected"), "{from: 'a/cli', to: 'a/srv/ICMP', verdict: tls-rejected}"),
    ("known-lab", PODS + cell(more=", known: {backend: lab, verdict: drop, why: x}"), "lab"),
    ("metadata-name", PODS + "namespaces: {a: {labels: {kubernetes.io/metadata.name: x}}, b: }\n" + GOOD, "kubernetes.io/metadata.name"),
    ("metadata-name", PODS + step("label: {namespace: a, unset: kubernetes.io/metadata.name}"), "{namespace: a, unset: kubernetes.io/metadata.name}"),
    ("missing-default", PODS + cell(verdict="{cilium: drop}"), "{cilium: drop}"),
    ("missing-key", PODS + "expect: [{from: a/cli, to: 'a/srv:80'}]\n", "{from: a/cli, to: 'a/srv:80'}"),
    ("missing-key", PODS.replace("selector: {app: srv}, ", "") + GOOD, "{ports: [web=80]}"),
    ("missing-port", PODS + cell("a/srv"), "'a/srv'"),
    ("missing-port", PODS + http("http://a/srv"), "a/srv"),
    ("named-twice", PODS + GOOD + "families: [ipv4, ipv4]\n", "[ipv4, ipv4]"),
    ("named-twice", PODS + step("restart: [a/srv, srv]"), "srv"),
    ("named-twice", PODS + step("delete: [networkpolicy/a/p, networkpolicy/a/p]").replace("- name", f"- apply: {INLINE}\n    name"), "networkpolicy/a/p"),
    ("no-cells", PODS, "s"),
    ("no-files", PODS + GOOD + "policies: 'x/*.yaml'\n", "'x/*.yaml'"),
    ("no-files", PODS + GOOD + "policies: folder\n", "folder"),
    ("no-manifests", PODS + GOOD + "policies: empty.yaml\n", "empty.yaml"),
    ("no-namespace", PODS.replace("b/cli", "cli") + GOOD, "cli"),
    ("nobody-listens", PODS + cell("a/srv:81"), "{from: 'a/cli', to: 'a/srv:81', verdict: allow}"),
    ("node-port-taken", PODS.replace("[web=80]}", "[80:80:30080], type: NodePort}\n  a/two: {selector: {app: srv}, ports: [80:80:30080], type: NodePort}") + GOOD, "80:80:30080"),
    ("node-port-type", PODS.replace("web=80]", "80:80:30080]") + GOOD, "80:80:30080"),
    ("not-a-manifest", PODS + GOOD + "policies: list.yaml\n", "[a]"),
    ("not-a-scenario", PODS + GOOD + "---\n" + POLICY, "a"),
    ("not-a-scenario", "", ""),
    ("not-utf8", PODS + GOOD + "policies: latin.yaml\n", ""),
    ("path-escape", PODS + GOOD + "policies: ../../x.yaml\n", "../../x.yaml"),
    ("path-escape", PODS + GOOD + "policies: /etc/passwd\n", "/etc/passwd"),
    ("path-escape", PODS + GOOD + "policies: '/etc/*.conf'\n", "'/etc/*.conf'"),
    ("path-escape", PODS + GOOD + "policies: '../../**/*.yaml'\n", "'../../**/*.yaml'"),
    ("path-escape", PODS + GOOD + "policies: link.yaml\n", "link.yaml"),
    ("path-escape", PODS + GOOD + "policies: linked\n", "linked"),
    ("path-escape", PODS + GOOD + "world: ../w.yaml\n", "../w.yaml"),
    ("policy-in-default", PODS + GOOD + f"policies: {INLINE.replace(', namespace: a', '')}\n", INLINE.replace(", namespace: a", "")),
    ("protocol-twice", PODS + "expect: [{port: 80/UDP, protocol: TCP, matrix: 'a/srv\n\n    a/cli .'}]\n", "TCP"),
    ("ragged-matrix", PODS + "expect:\n- port: 80\n  matrix: |\n    from\\to a/srv\n    b/cli . D\n", "D"),
    ("service-target-port", PODS.replace("web=80", "80:8080") + GOOD, "80:8080"),
    ("service-target-port", PODS.replace("web=80", "80:http") + GOOD, "80:http"),
    ("service-without-pods", PODS.replace("{app: srv}, ports", "{app: nobody}, ports") + GOOD, "a/svc"),
    ("steps-and-expect", PODS + GOOD + step(""), "[{from: a/cli, to: 'a/srv:80', verdict: allow}]"),
    ("unknown-api-version", PODS + GOOD + f"policies: {INLINE.replace('/v1', '/v9')}\n", "networking.k8s.io/v9"),
    ("unknown-backend", PODS + cell(verdict="{default: deny, cillium: drop}"), "cillium"),
    ("unknown-external", PODS + cell("external:nett:443"), "nett"),
    ("unknown-family", PODS + GOOD + "families: IPv4\n", "IPv4"),
    ("unknown-key", PODS + GOOD + "tgas: x\n", "tgas"),
    ("unknown-label", PODS + step("label: {pod: a/cli, unset: ap}"), "ap"),
    ("unknown-namespace", PODS + cell(source="c/*"), "c/*"),
    ("unknown-namespace", "namespaces: {a: }\n" + PODS.replace("b/cli", "bb/cli") + GOOD, "bb"),
    ("unknown-namespace", PODS + GOOD + f"policies: {INLINE.replace('namespace: a', 'namespace: aa')}\n", "aa"),
    ("unknown-node", PODS + cell("node:c:80"), "c"),
    ("unknown-pod", PODS + cell("a/srvr:80"), "a/srvr"),
    ("unknown-pod", PODS + cell(source="nobody"), "nobody"),
    ("unknown-policy", PODS + step("delete: networkpolicy/a/p"), "networkpolicy/a/p"),
    ("unknown-port", PODS + cell("a/srv:http"), "http"),
    ("unknown-port", PODS + cell("service:a/svc:81"), "81"),
    ("unknown-port", PODS + cell("nodeport:a:30080"), "30080"),
    ("unknown-port", PODS + cell("node:a:http"), "http"),
    ("unknown-service", PODS + cell("service:a/scv:80"), "a/scv"),
    ("unknown-symbol", PODS + "expect:\n- port: 80\n  matrix: |\n    from\\to a/srv\n    b/cli x\n", "x"),
    ("unknown-symbol", PODS + "expect:\n- port: 80\n  matrix: |\n    from\\to a/srv\n    b/cli allow\n", "allow"),
    ("unknown-verdict", PODS + cell(verdict="denied"), "denied"),
    ("unknown-verdict", PODS + cell(verdict="oracle"), "oracle"),
    (
        "missing-default",
        PODS + step("transition: {cut: [{from: a/cli, to: 'a/srv:80'}], established: {cilium: cut}}"),
        "{cilium: cut}",
    ),
    ("unknown-word", PODS + step("transition: {cut: [{from: a/cli, to: 'a/srv:80'}], established: kept}"), "kept"),
    ("world-too-large", "scenario: s\npods:\n" + "".join(f"  a/p{n}: {{replicas: 100}}\n" for n in range(51)) + cell("a/p0-1:80", "a/p1-1"), "a/p50"),
    ("wrong-type", PODS + "expect: {from: a/cli}\n", "{from: a/cli}"),
    ("wrong-type", PODS + GOOD + "description: [a]\n", "[a]"),
    ("wrong-type", "scenario: s\npods: [a/b]\n" + GOOD, "[a/b]"),
    ("wrong-type", PODS.replace("b/cli: {}", "b/cli: x") + GOOD, "x"),
    ("wrong-type", PODS + GOOD + "policies: [[x]]\n", "[x]"),
    ("wrong-type", PODS + "expect:\n", "expect"),
    ("yaml-key", PODS + GOOD + "[a]: b\n", "["),
    ("yaml-merge", PODS + GOOD + "<<: 1\n", "<<"),
    ("yaml-recursive", PODS + GOOD + "tags: &x [*x]\n", "*x"),
    ("yaml-syntax", PODS + GOOD + "tags: [a\n", ""),
    ("yaml-tab", PODS + GOOD + "tags:\n\t- a\n", ""),
    ("yaml-tag", PODS + GOOD + "tags: !x a\n", "!x a"),
    ("yaml-too-deep", PODS + GOOD + "tags: " + "[" * 101 + "]" * 101 + "\n", "["),
]  # fmt: skip


def prepare(folder: Path) -> None:
    """Things that the mistakes name."""
    (folder / "pyproject.toml").touch()
    (folder / "empty.yaml").write_text("# nothing\n")
    (folder / "list.yaml").write_text("[a]\n")
    (folder / "binary.yaml").write_bytes(b"a: \0")
    (folder / "latin.yaml").write_bytes(b"a: \xe9\n")
    (folder / "folder").mkdir()
    (folder / "link.yaml").symlink_to("/etc/hostname")
    (folder / "linked").symlink_to("/etc")
    with (folder / "large.yaml").open("wb") as stream:
        stream.truncate(50_000_000)


def loaded(tmp_path: Path, text: str) -> Loaded:
    prepare(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return load([path])


def marked(found: Diagnostic, result: Loaded) -> str:
    """The text under the carets."""
    _, *lines = render([found], result.sources).splitlines()
    carets = next(
        number for number, line in enumerate(lines) if set(line.split("| ", 1)[-1].strip()) == {"^"}
    )
    excerpt, line = lines[carets - 1], lines[carets]
    return excerpt[line.index("^") : line.rindex("^") + 1]


@pytest.mark.parametrize(
    ("id", "text", "under"), MISTAKES, ids=[f"{item[0]}-{n}" for n, item in enumerate(MISTAKES)]
)
def test_a_mistake_is_named_at_its_place(tmp_path: Path, id: str, text: str, under: str):
    result = loaded(tmp_path, text)
    errors = [item for item in result.problems if item.severity is Severity.ERROR]
    assert [item.id for item in errors or result.problems] == [id]
    (found,) = errors or result.problems
    assert (found.severity is Severity.ERROR) == (result.scenarios == ())
    assert found.help
    if under:
        assert marked(found, result) == under


def emitted(*rooms: str) -> Iterator[str]:
    """Ids of diagnostics in the code of some rooms: the first argument of what reports or carries one."""
    carriers = {
        "error",
        "warning",
        "_info",
        "_warning",
        "Diagnostic",
        "BadValueError",
        "_refuse",
        "PydanticCustomError",
    }
    for room in rooms:
        for path in sorted((ROOT / "harness" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                first = node.args[0]
                if name in carriers and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_id_of_the_scenario_room_has_its_mistake():
    elsewhere = {"mixed-dialects", "unknown-tier", "too-many-cells", "too-many-files"}
    assert set(emitted("scenario")) - elsewhere <= {item[0] for item in MISTAKES}


def test_every_id_is_documented_and_every_documented_id_exists():
    text = (ROOT / "docs" / "diagnostics.md").read_text()
    documented = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)
    rooms = ("source", "scenario", "dialects", "clusters", "author")
    assert sorted(documented) == sorted(set(emitted(*rooms)))


def test_all_mistakes_of_a_file_are_told_at_once(
    tmp_path: Path, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").touch()
    Path("s.yaml").write_text(MANY)
    result = load([Path("s.yaml")])
    assert render(result.problems, result.sources).replace(str(tmp_path), "PROJECT") == snapshot
    assert result.scenarios == ()


MANY = """\
scenario: Checkout
discription: many mistakes in one file
settings: {connectTimeout: 5}
namespaces: {shop: {labels: {team: "spiffe://x"}}}
pods:
  shop/api: {labels: {app: api}, listn: [8080, 99999], hostNetwork: yes}
  shopp/web: {}
  shop/db: {listen: [5432], replica: 2}
services:
  shop/api: {selector: {app: api}, ports: [80:8081]}
policies: [../../secret.yaml, missing.yaml]
expect:
  - {from: shop/wep, to: "shop/api:8080", verdict: allow}
  - {from: shop/db, to: "shop/api:0", verdict: deny}
  - {from: shop/db, to: "shop/api:8080", verdict: denied}
  - {from: shop/db, to: "shop/api:8080", verdict: {default: deny, cillium: drop}}
  - port: 8080
    matrix: |
      from\\to    shop/api  shop/bd
      shop/db      .        x
      shop/api     -
"""


def test_one_broken_file_does_not_take_the_others_along(tmp_path: Path):
    for name, text in (
        ("a.yaml", PODS + GOOD),
        ("b.yaml", "scenario: [\n"),
        ("c.yaml", PODS.replace(": s", ": c") + GOOD),
    ):
        (tmp_path / name).write_text(text)
    result = load([tmp_path])
    assert [scenario.name for scenario in result.scenarios] == ["s", "c"]
    assert [item.id for item in result.problems] == ["yaml-syntax"]


def test_a_name_is_unique_over_all_files(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(PODS + GOOD)
    (tmp_path / "b.yaml").write_text(PODS + GOOD)
    result = load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    (found,) = result.problems
    assert (found.id, found.place.file) == ("duplicate-scenario", str(tmp_path / "b.yaml"))
    assert found.related[0].place.file == str(tmp_path / "a.yaml")
    assert len(result.scenarios) == 1


def test_files_are_found_by_their_content(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name, text in {
        "b.yaml": PODS,
        "a.yml": "# first\n---\nx: 1\n---\nscenario: a\n",
        "sub/broken.yaml": "scenario: [\n",
        "flow.yaml": "{scenario: x}",
        "policy.yaml": POLICY,
        "inner.yaml": "x: {scenario: y}\n",
        "text.yaml": "x: |\n  scenario: y\n",
        "readme.md": "scenario: x\n",
        ".hidden/s.yaml": "scenario: x\n",
    }.items():
        (tmp_path / name).write_text(text)
    with (tmp_path / "large.yaml").open("wb") as stream:
        stream.write(b"scenario: large\n")
        stream.truncate(50_000_000)
    found = find_files([tmp_path, tmp_path / "b.yaml", tmp_path / "policy.yaml", tmp_path / "missing.yaml"])
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["a.yml", "b.yaml", "flow.yaml", "large.yaml", "sub/broken.yaml"]


def test_a_file_named_outright_must_be_a_scenario(tmp_path: Path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    result = load([tmp_path / "policy.yaml", tmp_path / "missing.yaml"])
    assert sorted(item.id for item in result.problems) == ["file-not-found", "not-a-scenario"]
    assert load([tmp_path]).problems == []


def test_aliases_cannot_make_a_long_product(tmp_path: Path):
    import time

    sources = "&s [" + ", ".join(["a/cli"] * 20_000) + "]"
    targets = "[" + ", ".join(["'a/srv:80'"] * 20_000) + "]"
    begun = time.process_time()
    result = loaded(tmp_path, PODS + f"expect: [{{from: {sources}, to: {targets}, verdict: allow}}]\n")
    assert [cell.id for cell in result.scenarios[0].cells] == ["a/cli->a/srv:80/TCP"]
    assert time.process_time() - begun < 4


@pytest.mark.parametrize("text", ["scenario: s\npods: {a/b: }\n", PODS + GOOD])
def test_the_same_file_named_twice_is_read_once(tmp_path: Path, text: str):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    assert len(load([path, tmp_path]).files) == 1
    assert "duplicate-scenario" not in [item.id for item in load([path, tmp_path, path]).problems]


words = st.sampled_from(
    ["a/srv:80", "a/cli", "*", "a/*", "*:80", "service:a/svc:80", "node:a", "external:net:443", "host:x.y:1", "a/srv/ICMP", "80",
     "allow", "deny", "oracle", "yes", "", "~", "a", "x" * 300, "\x00", "é\u202e", "-1", "9" * 400, "[", "http://a/srv:80/x?y#z", "../..", "**/*", "kube-system/kube-dns"]
)  # fmt: skip
keys = st.sampled_from(
    ["scenario", "pods", "services", "externals", "namespaces", "expect", "steps", "policies", "world", "families", "settings", "defaults",
     "from", "to", "verdict", "known", "matrix", "port", "protocol", "all", "ports", "http", "dns", "url", "headers", "name", "apply", "delete", "label",
     "add", "remove", "restart", "keep", "transition", "steady", "cut", "a/srv", "a/cli", "listen", "labels", "selector", "address", "node", "replicas", "default"]
)  # fmt: skip
trees = st.recursive(
    words,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=25,
)


def plain(result: Loaded) -> str:
    return render(result.problems, result.sources)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(keys, trees, max_size=8))
def test_any_tree_gives_a_scenario_or_problems(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
):
    import json

    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").touch()
    (folder / "s.yaml").write_text(json.dumps({"scenario": "s"} | tree))
    result = load([folder / "s.yaml"])
    assert bool(result.scenarios) or any(item.severity is Severity.ERROR for item in result.problems)
    assert all(part.isprintable() for part in plain(result).split("\n"))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_change_of_a_good_file_gives_a_scenario_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    text = PODS + step("transition: {cut: [{from: a/cli, to: 'a/srv:80'}]}") + "# end"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    changed = text[:start] + data.draw(st.text(max_size=8)) + text[end:]
    folder = tmp_path_factory.getbasetemp() / "fuzz2"
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_bytes(changed.encode("utf-8", "surrogatepass"))
    result = load([folder / "s.yaml"])
    assert bool(result.scenarios) or any(item.severity is Severity.ERROR for item in result.problems)
    plain(result)


@given(st.text(max_size=120))
def test_any_matrix_gives_cells_or_problems(tmp_path_factory: pytest.TempPathFactory, text: str):
    import json

    folder = tmp_path_factory.getbasetemp() / "fuzz3"
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(PODS + f"expect: [{{port: 80, matrix: {json.dumps(text)}}}]\n")
    result = load([folder / "s.yaml"])
    assert bool(result.scenarios) or any(item.severity is Severity.ERROR for item in result.problems)
