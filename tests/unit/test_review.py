"""Advice of `netcheck lint`: what is said of valid policies, corrections, SARIF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.author.fix import fixed, fixes
from harness.cli import cli
from harness.report.documented import documented
from harness.source import Place
from harness.source.diagnostics import Diagnostic, Fix, Severity

HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n"
WORLD = """\
namespaces:
  shop: {}
  ops: {labels: {team: ops}}
pods:
  shop/api: {labels: {app: api}, listen: [http=8080, 9000/UDP]}
  shop/web: {labels: {app: web}}
  ops/bot: {labels: {app: bot}}
expect:
  - {from: shop/web, to: "shop/api:8080", verdict: observe}
"""


def invoke(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(args), input=stdin, env={"COLUMNS": "120"})


def ids(result: Result) -> list[str]:
    return [item["id"] for item in json.loads(result.stdout)["diagnostics"]]


def lint_world(tmp_path: Path, spec: str) -> list[str]:
    """Ids of what is said of a policy with this spec in `WORLD`."""
    (tmp_path / "policy.yaml").write_text(HEAD + spec, encoding="utf-8")
    text = f"scenario: s\npolicies: [policy.yaml]\n{WORLD}"
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    return ids(invoke("lint", "--format", "json", str(tmp_path)))


ADVICE = {
    "as it should be": (
        "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: http}]}]\n",
        [],
    ),
    "nobody selected": ("  podSelector: {matchLabels: {app: apl}}\n", ["selects-no-pod"]),
    "no such namespace": (
        "  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {team: dev}}}]}]\n",
        ["peer-matches-nothing"],
    ),
    "no such pod in the namespace": (
        "  podSelector: {}\n"
        "  ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}},"
        " podSelector: {matchLabels: {app: api}}}]}]\n",
        ["peer-matches-nothing"],
    ),
    "alternatives": (
        "  podSelector: {}\n"
        "  ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}},"
        " {podSelector: {matchLabels: {app: web}}}]}]\n",
        ["peers-are-alternatives"],
    ),
    "nobody listens": (
        "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: 8081}]}]\n",
        ["port-without-listener"],
    ),
    "the wrong protocol": (
        "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: 9000}]}]\n",
        ["port-without-listener"],
    ),
    "a range that is listened in": (
        "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: 8000, endPort: 8100}]}]\n",
        [],
    ),
    "a name that nobody has": (
        "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: web}]}]\n",
        ["port-without-listener"],
    ),
    "a port of the destination": (
        "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n"
        "  egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 1}]},"
        " {ports: [{port: 53, protocol: UDP}, {port: 53}]}]\n",
        ["port-without-listener"],
    ),
    "egress without names": (
        "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n"
        "  egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]\n",
        ["egress-without-dns"],
    ),
    "nothing may leave, so nobody misses names": (
        "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n",
        [],
    ),
    "egress with names": (
        "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n"
        "  egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}],"
        " ports: [{port: 53, protocol: UDP}, {port: 53}]}, {to: [{podSelector: {}}]}]\n",
        [],
    ),
    "egress with names over UDP only": (
        "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Egress]\n"
        "  egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}],"
        " ports: [{port: 53, protocol: UDP}]}, {to: [{podSelector: {}}]}]\n",
        ["dns-without-tcp"],
    ),
    "a block over private ranges": (
        "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]\n",
        ["ipblock-may-cover-pods"],
    ),
    "a block without them": (
        "  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0,"
        " except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}]}]\n",
        [],
    ),
    "one machine": ("  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.7/32}}]}]\n", []),
}


@pytest.mark.parametrize("name", ADVICE)
def test_advice(name: str, tmp_path: Path) -> None:
    spec, expected = ADVICE[name]
    assert lint_world(tmp_path, spec) == expected


TO_API = "to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}]"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("egress: [{action: Accept, %s, protocols: [{tcp: {destinationPort: {number: 8080}}}]}]", 0),
        ("egress: [{action: Accept, %s, protocols: [{tcp: {destinationPort: {number: 8081}}}]}]", 1),
        ("egress: [{action: Accept, %s, protocols: [{udp: {destinationPort: {number: 8080}}}]}]", 1),
        ("egress: [{action: Accept, %s, protocols: [{destinationNamedPort: http}]}]", 0),
        ("egress: [{action: Accept, %s, protocols: [{destinationNamedPort: web}]}]", 1),
        ("egress: [{action: Deny, %s, protocols: [{tcp: {destinationPort: {number: 8081}}}]}]", 0),
        (
            "egress: [{action: Accept, to: [{networks: [192.0.2.0/24]}],"
            " protocols: [{tcp: {destinationPort: {number: 1}}}]}]",
            0,
        ),
        (
            "ingress: [{action: Accept, from: [{namespaces: {}}],"
            " protocols: [{tcp: {destinationPort: {range: {start: 8000, end: 8079}}}}]}]",
            1,
        ),
        (
            "ingress: [{action: Accept, from: [{namespaces: {}}],"
            " protocols: [{tcp: {destinationPort: {range: {start: 8000, end: 8080}}}}]}]",
            0,
        ),
    ],
)
def test_open_ports_of_admin_policies_on_which_nobody_listens(
    tmp_path: Path, rules: str, expected: int
) -> None:
    (tmp_path / "policy.yaml").write_text(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
        "metadata: {name: p}\nspec:\n  tier: Admin\n  priority: 1\n"
        "  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}\n"
        f"  {rules.replace('%s', TO_API)}\n",
        encoding="utf-8",
    )
    text = f"scenario: s\npolicies: [policy.yaml]\n{WORLD}"
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    found = ids(invoke("lint", "--format", "json", str(tmp_path)))
    assert found.count("port-without-listener") == expected, found


def test_what_one_step_needs_is_no_mistake_of_another(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "scenario: s\nnamespaces: {shop: {}}\n"
        "pods: {shop/api: {labels: {app: api}, listen: [80]}, shop/cli: {}}\n"
        "steps:\n"
        "  - name: before\n"
        "    apply: [{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"
        " metadata: {name: p, namespace: shop}, spec: {podSelector: {matchLabels: {app: new}}}}]\n"
        "    expect: [{from: shop/cli, to: 'shop/api:80', verdict: allow}]\n"
        "  - name: after\n"
        "    label: [{pod: shop/api, set: {app: new}}]\n"
        "    expect: [{from: shop/cli, to: 'shop/api:80', verdict: deny}]\n",
        encoding="utf-8",
    )
    assert ids(invoke("lint", "--format", "json", str(tmp_path))) == []


RENDERED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {template: {metadata: {labels: {app: api}}, spec: {containers: [{ports: [{containerPort: 8080}]}]}}}
---
"""


def test_rendered_charts_come_from_standard_input() -> None:
    good = HEAD + "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: 8080}]}]\n"
    assert ids(invoke("lint", "--format", "json", "-", stdin=RENDERED + good)) == []
    wrong = good.replace("app: api", "app: apl").replace("port: 8080", "port: 80")
    assert ids(invoke("lint", "--format", "json", "-", stdin=RENDERED + wrong)) == ["selects-no-pod"]
    listed = "kind: List\napiVersion: v1\nitems:\n" + "".join(
        f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(wrong.splitlines())
    )
    assert ids(invoke("lint", "--format", "json", "-", stdin=RENDERED + listed)) == ["selects-no-pod"]


BESIDE = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: api, namespace: shop}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
---
"""
GOOD = HEAD + "  podSelector: {matchLabels: {app: api}}\n  ingress: [{ports: [{port: 8080}]}]\n"


@pytest.mark.parametrize("how", ["file", "folder", "stdin"])
def test_what_else_a_chart_renders_is_no_mistake(tmp_path: Path, how: str) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(BESIDE + RENDERED + GOOD, encoding="utf-8")
    stdin = file.read_text(encoding="utf-8") if how == "stdin" else None
    named = {"file": str(file), "folder": str(tmp_path), "stdin": "-"}[how]
    assert ids(invoke("lint", "--format", "json", named, stdin=stdin)) == []


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("apiVersion: spiffe.io/v1beta1\nkind: SPIREIdentity\n", "unknown-kind"),
        ("apiVersion: extensions/v1beta1\nkind: NetworkPolicy\n", "unknown-api-version"),
        ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicies\n", "unknown-kind"),
        ("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicySet\n", "unknown-kind"),
        ("apiVersion: networking.k8s.io/v1\nmetadata: {name: x}\n", "manifest-type"),
    ],
)
@pytest.mark.parametrize("how", ["file", "folder", "stdin"])
def test_what_was_meant_to_be_a_policy_is_one(tmp_path: Path, how: str, manifest: str, expected: str) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(RENDERED + GOOD + "---\n" + manifest, encoding="utf-8")
    stdin = file.read_text(encoding="utf-8") if how == "stdin" else None
    named = {"file": str(file), "folder": str(tmp_path), "stdin": "-"}[how]
    assert ids(invoke("lint", "--format", "json", named, stdin=stdin)) == [expected]


def test_a_file_without_anything_of_use_was_named_by_mistake(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", encoding="utf-8")
    assert ids(invoke("lint", "--format", "json", str(file))) == ["unknown-kind"]
    assert ids(invoke("lint", "--format", "json", str(tmp_path))) == []


FIXABLE = """\
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: p, namespace: shop, labels: {old: yes, version: 2}}
spec:
  podSelector: {}
  policyTypes: [ingress]
  ingress:
    - from: [{ipBlock: {cidr: 192.0.2.7/24}}]
      ports: [{protocol: tcp, port: "80", endPort: "90"}]   # quoted
"""


def test_fix_writes_what_is_certain_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(FIXABLE, encoding="utf-8")
    for _ in range(3):
        result = invoke("lint", "--fix", str(file))
    assert result.exit_code == 0, result.output
    assert file.read_text(encoding="utf-8") == (
        FIXABLE.replace("extensions/v1beta1", "networking.k8s.io/v1")
        .replace("old: yes", 'old: "yes"')
        .replace("version: 2", 'version: "2"')
        .replace("[ingress]", "[Ingress]")
        .replace("192.0.2.7/24", "192.0.2.0/24")
        .replace("tcp", "TCP")
        .replace('"80"', "80")
        .replace('"90"', "90")
    )


def test_the_ends_of_lines_stay_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(FIXABLE.replace("\n", "\r\n").encode())
    for _ in range(3):
        result = invoke("lint", "--fix", str(file))
    assert result.exit_code == 0, result.output
    data = file.read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == FIXABLE.count("\n")
    assert b"networking.k8s.io/v1\r\n" in data


def test_standard_input_is_not_corrected() -> None:
    result = invoke("lint", "--fix", "-", stdin=FIXABLE)
    assert result.exit_code == 4
    assert "standard input cannot be corrected" in result.output


def test_corrections_that_overlap_are_not_both_made() -> None:
    def at(column: int, end: int, text: str) -> Diagnostic:
        place = Place("f", 1, column, 1, end)
        return Diagnostic("x", Severity.ERROR, "m", place, fix=Fix(place, text))

    found = fixes([at(5, 8, "B"), at(1, 6, "A"), at(9, 10, "C")])
    assert fixed("0123456789\n", found["f"]) == "A567C9\n"


def test_sarif_names_rule_place_and_correction(tmp_path: Path) -> None:
    file = tmp_path / "p q.yaml"
    file.write_text(FIXABLE.replace("name: p", 'name: "p\\e[31m"'), encoding="utf-8")
    result = invoke("lint", "--format", "sarif", str(file))
    assert result.exit_code == 4
    assert "\x1b" not in result.stdout
    (run,) = json.loads(result.stdout)["runs"]
    described = {item["id"]: item for item in run["tool"]["driver"]["rules"]}
    rules = list(described)
    assert described["unknown-api-version"]["defaultConfiguration"] == {"level": "error"}
    for item in described.values():
        assert item["shortDescription"]["text"]
        assert item["help"]["text"]
    for item in run["results"]:
        assert rules[item["ruleIndex"]] == item["ruleId"]
        location = item["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"].endswith("p%20q.yaml")
    version = next(item for item in run["results"] if item["ruleId"] == "unknown-api-version")
    (change,) = version["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"]["text"] == "networking.k8s.io/v1"


def test_replaced_kinds_are_named(tmp_path: Path) -> None:
    file = tmp_path / "anp.yaml"
    file.write_text(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: x}\n"
        "spec: {priority: 1, subject: {namespaces: {}},"
        " ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n",
        encoding="utf-8",
    )
    assert ids(invoke("lint", "--format", "json", str(file))) == ["deprecated-api-version"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("priority: 1, tier: Admin, subject: {namespaces: {}}", ["same-priority"] * 2),
        ("priority: 2, tier: Admin, subject: {namespaces: {}}", []),
        ("priority: 1, tier: Baseline, subject: {namespaces: {}}", []),
        ("priority: 1, tier: Admin, subject: {namespaces: {matchLabels: {team: ops}}}", []),
    ],
)
def test_admin_policies_without_an_order(tmp_path: Path, second: str, expected: list[str]) -> None:
    shop = "{matchExpressions: [{key: team, operator: DoesNotExist}]}"
    first = f"priority: 1, tier: Admin, subject: {{namespaces: {shop}}}"
    rules = {"one": "Deny", "two": "Accept"}
    documents = [
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n"
        f"metadata: {{name: {name}}}\nspec: {{{spec}, ingress: [{{action: {rules[name]},"
        " from: [{namespaces: {}}]}]}\n"
        for name, spec in (("one", first), ("two", second))
    ]
    (tmp_path / "policy.yaml").write_text("---\n".join(documents), encoding="utf-8")
    (tmp_path / "s.yaml").write_text(
        f"scenario: s\npolicies: [policy.yaml]\n{WORLD}",
        encoding="utf-8",
    )
    found = invoke("lint", "--format", "json", str(tmp_path / "s.yaml"))
    assert [item for item in ids(found) if item == "same-priority"] == expected


def test_guides_are_corrected_in_words(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    text = "apiVersion: spiffe.io/v1beta1\nkind: SPIREIdentity\nmetadata: {name: x}\n---\n" + HEAD.replace(
        "namespace: shop", 'namespace: shop, annotations: {projectcalico.org/policy-audit-mode: "true"}'
    )
    file.write_text(text + "  podSelector: {}\n", encoding="utf-8")
    result = invoke("lint", str(file))
    assert "ClusterSPIFFEID" in result.output
    assert "annotation-without-effect" in result.output


def test_the_documentation_says_of_each_id_how_severe_it_is(tmp_path: Path) -> None:
    """Of ids that advice and validation give; each severity here is what the tables say."""
    known = documented()
    file = tmp_path / "p.yaml"
    file.write_text(FIXABLE.replace("extensions/v1beta1", "networking.k8s.io/v1"), encoding="utf-8")
    paths = [file]
    for number, (spec, _) in enumerate(ADVICE.values()):
        paths.append(tmp_path / str(number))
        paths[-1].mkdir()
        lint_world(paths[-1], spec)
    results = [invoke("lint", "--format", "json", str(path)) for path in paths]
    found = [item for result in results for item in json.loads(result.stdout)["diagnostics"]]
    assert {item["id"] for item in found} >= {"invalid-port", "selects-no-pod", "ipblock-may-cover-pods"}
    for item in found:
        assert item["severity"] == known[item["id"]].severity, item
