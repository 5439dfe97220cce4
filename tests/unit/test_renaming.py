"""Other names for namespaces: what a scenario proves is the same under them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.clusters.renamed import RenamedCluster, auto_prefix
from harness.dialects.renaming import RenameError, rename_policy
from harness.engine.cluster import Claims, ClusterError, Waits
from harness.engine.run import run
from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.policy import Policy, PolicyRef
from harness.model.probe import DnsQuery, HttpRequest, Probe, Source, SourceKind, Target, TargetKind
from harness.model.renaming import Renaming
from harness.model.result import RunResult
from harness.model.scenario import Relabel, Scenario, Transition
from harness.model.topology import METADATA_NAME, Protocol, Service, ServicePort, Topology
from harness.model.verdict import Status
from harness.oracle import predict
from harness.scenario import load
from harness.scenario.renaming import rename, renaming_of
from tests.unit.kubernetes_worlds import pod, policy, probe, read, world
from tests.unit.worlds import (
    ALLOWED,
    DROPPED,
    LOST,
    PASSED,
    ScriptedCluster,
    cell,
    dns_probe,
    flow,
    http_probe,
    scenario,
    step,
)

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CI = Renaming("ci-", {"shop": "ci-shop", "db": "ci-db"}, frozenset({"mail.db.svc.cluster.local"}))


# What is renamed


def test_predictions_for_every_shipped_scenario_stay_the_same() -> None:
    cells = denied = 0
    for item in load([SCENARIOS]).scenarios:
        renamed = rename(item, renaming_of(item, "ci-"))
        namespaces = {name for step in renamed.steps for name in step.topology.namespaces}
        assert {name for name in namespaces if not name.startswith("ci-")} <= {"default", "kube-system"}
        for one, other in zip(item.steps, renamed.steps, strict=True):
            pairs = zip(
                (*one.cells, *one.transition_cells()), (*other.cells, *other.transition_cells()), strict=True
            )
            for before, after in pairs:
                assert before.id == after.id
                found = predict(one.topology, one.policies, before.probe)
                again = predict(other.topology, other.policies, after.probe)
                assert (again.verdict, again.open_point) == (found.verdict, found.open_point), before.id
                assert [o.place for o in again.deciding] == [o.place for o in found.deciding], before.id
                cells += 1
                denied += found.verdict == "deny"
    assert cells > 500
    assert denied > 200


NAMES = st.sampled_from(["m", "n", "ci-n", "elsewhere"])
LABELS = st.sampled_from([METADATA_NAME, "name", "team"])
SELECTOR = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(LABELS, NAMES, max_size=1),
        "matchExpressions": st.lists(
            st.fixed_dictionaries(
                {
                    "key": LABELS,
                    "operator": st.sampled_from(["In", "NotIn"]),
                    "values": st.lists(NAMES, min_size=1, max_size=3, unique=True),
                }
            )
            | st.fixed_dictionaries({"key": LABELS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
            max_size=2,
        ),
    },
)
PEER = st.fixed_dictionaries({"namespaceSelector": SELECTOR}, optional={"podSelector": SELECTOR})
SPEC = st.fixed_dictionaries(
    {
        "podSelector": SELECTOR,
        "ingress": st.lists(
            st.fixed_dictionaries({"from": st.lists(PEER, min_size=1, max_size=2)}), max_size=2
        ),
        "egress": st.lists(st.fixed_dictionaries({"to": st.lists(PEER, min_size=1, max_size=2)}), max_size=2),
    }
)


@given(st.lists(st.tuples(st.sampled_from(["m", "n"]), SPEC), min_size=1, max_size=3))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_predictions_for_any_namespace_selector_stay_the_same(specs: list[tuple[str, Any]]) -> None:
    # Labels of the author's own carry names of namespaces too, on namespaces and on pods.
    topology = world(
        pod("m/a", name="m"),
        pod("n/a", **{METADATA_NAME: "n"}),
        namespaces={"m": {"name": "m", "team": "n"}, "n": {"name": "n"}},
    )
    policies = [_manifest(namespace, spec, f"p{number}") for number, (namespace, spec) in enumerate(specs)]
    probes = [probe("m/a -> n/a:80"), probe("n/a -> m/a:80")]
    wanted = scenario(step(*map(cell, probes), topology=topology, policies=policies), topology=topology)
    (renamed,) = rename(wanted, renaming_of(wanted, "ci-")).steps
    for number, asked in enumerate(probes):
        before = predict(topology, policies, asked)
        after = predict(renamed.topology, renamed.policies, renamed.cells[number].probe)
        assert after.verdict is before.verdict


def _manifest(namespace: str, spec: dict[str, Any], name: str) -> Policy:
    text = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    (found,), problems = read(json.dumps(text))
    assert found is not None, [str(item) for item in problems.found]
    return found


def test_a_policy_under_its_new_names() -> None:
    before = policy(
        f"""
        podSelector: {{matchLabels: {{{METADATA_NAME}: shop, app: shop}}}}
        ingress:
          - from:
              - namespaceSelector:
                  matchLabels: {{{METADATA_NAME}: shop, name: shop}}
                  matchExpressions:
                    - {{key: {METADATA_NAME}, operator: NotIn, values: [db, kube-system]}}
                    - {{key: name, operator: In, values: [db]}}
                podSelector: {{matchLabels: {{app: shop}}}}
              - ipBlock: {{cidr: 10.0.0.0/8}}
            ports: [{{port: 80}}]
        egress: [{{}}]
        """,
        namespace="shop",
    )
    after = rename_policy(before, CI)
    assert str(after) == "NetworkPolicy ci-shop/p"
    assert after.manifest["metadata"] == {"name": "p", "namespace": "ci-shop"}
    spec = after.manifest["spec"]
    # Pods get no label from their namespace: what stands there is the author's.
    assert spec["podSelector"]["matchLabels"] == {METADATA_NAME: "shop", "app": "shop"}
    assert spec["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {
                        "matchLabels": {METADATA_NAME: "ci-shop", "name": "shop"},
                        "matchExpressions": [
                            {"key": METADATA_NAME, "operator": "NotIn", "values": ["ci-db", "kube-system"]},
                            {"key": "name", "operator": "In", "values": ["db"]},
                        ],
                    },
                    "podSelector": {"matchLabels": {"app": "shop"}},
                },
                {"ipBlock": {"cidr": "10.0.0.0/8"}},
            ],
            "ports": [{"port": 80}],
        }
    ]
    assert before.manifest["metadata"]["namespace"] == "shop"
    assert after.parsed.namespace == "ci-shop"
    assert after.place == before.place
    assert after.parsed.ingress[0].place == before.parsed.ingress[0].place
    assert after.parsed.ingress[0].peers[0].place == before.parsed.ingress[0].peers[0].place


def test_a_policy_without_namespace_and_odd_scalars_survive() -> None:
    (before,), problems = read(
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p, annotations: {note: "yes"}, labels: {a: ~, "b": "1"}}
        spec: {podSelector: {}, egress: [{ports: [{port: 1, endPort: 0x10}]}]}
        """,
        namespace="shop",
    )
    assert before is not None, [str(item) for item in problems.found]
    after = rename_policy(before, CI)
    assert after.namespace == "ci-shop"
    assert after.manifest == before.manifest
    # Policies that no file holds, such as a cluster's own, are renamed all the same.
    bare = replace(before, document=None)
    assert rename_policy(bare, CI).manifest == before.manifest


def test_a_name_that_the_dialect_refuses_is_an_error() -> None:
    long = Renaming("x", {"n": "x" * 64})
    with pytest.raises(
        RenameError, match=r"NetworkPolicy n/p cannot be renamed: .* is not a valid namespace"
    ):
        rename_policy(policy("podSelector: {}"), long)


ADMIN = """
    apiVersion: policy.networking.k8s.io/v1alpha2
    kind: ClusterNetworkPolicy
    metadata: {name: isolate}
    spec:
      tier: Admin
      priority: 5
      subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop, name: shop}}}
      ingress:
        - action: Deny
          from:
            - pods:
                namespaceSelector:
                  matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [shop, ops]}]
                podSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
      egress:
        - action: Accept
          to:
            - networks: [10.0.0.0/8]
            - nodes: {matchLabels: {kubernetes.io/metadata.name: shop}}
            - domainNames: [web.shop.svc.cluster.local, "*.example.com"]
            - namespaces: {matchLabels: {kubernetes.io/metadata.name: db}}
"""


def test_an_admin_policy_under_its_new_names() -> None:
    (before,), problems = read(ADMIN)
    assert before is not None, [str(item) for item in problems.found]
    after = rename_policy(before, CI)
    assert str(after) == "ClusterNetworkPolicy ci-isolate"
    spec = after.manifest["spec"]
    assert spec["subject"]["namespaces"]["matchLabels"] == {METADATA_NAME: "ci-shop", "name": "shop"}
    (peer,) = spec["ingress"][0]["from"]
    assert peer["pods"]["namespaceSelector"]["matchExpressions"][0]["values"] == ["ci-shop", "ops"]
    assert peer["pods"]["podSelector"] == {"matchLabels": {METADATA_NAME: "shop"}}
    networks, nodes, names, namespaces = spec["egress"][0]["to"]
    assert networks == {"networks": ["10.0.0.0/8"]}
    assert nodes == {"nodes": {"matchLabels": {METADATA_NAME: "shop"}}}
    assert names == {"domainNames": ["web.ci-shop.svc.cluster.local", "*.example.com"]}
    assert namespaces == {"namespaces": {"matchLabels": {METADATA_NAME: "ci-db"}}}
    assert after.parsed.ingress[0].place == before.parsed.ingress[0].place


def test_the_one_baseline_policy_keeps_its_name() -> None:
    (before,), problems = read(
        """
        apiVersion: policy.networking.k8s.io/v1alpha1
        kind: BaselineAdminNetworkPolicy
        metadata: {name: default}
        spec:
          subject:
            pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: db}}, podSelector: {}}
          ingress: [{action: Deny, from: [{namespaces: {}}]}]
        """
    )
    assert before is not None, [str(item) for item in problems.found]
    after = rename_policy(before, CI)
    assert after.name == "default"
    subject = after.manifest["spec"]["subject"]["pods"]
    assert subject["namespaceSelector"] == {"matchLabels": {METADATA_NAME: "ci-db"}}
    assert after.manifest["spec"]["ingress"] == before.manifest["spec"]["ingress"]


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("web.shop.svc.cluster.local", "web.ci-shop.svc.cluster.local"),
        ("web.shop.svc.cluster.local.", "web.ci-shop.svc.cluster.local."),
        ("web-0.web.db.svc.cluster.local", "web-0.web.ci-db.svc.cluster.local"),
        ("_http._tcp.web.shop.svc.cluster.local", "_http._tcp.web.ci-shop.svc.cluster.local"),
        ("10-0-0-1.shop.pod.cluster.local", "10-0-0-1.ci-shop.pod.cluster.local"),
        ("shop.svc.cluster.local", "ci-shop.svc.cluster.local"),
        ("*.shop.svc.cluster.local", "*.ci-shop.svc.cluster.local"),
        ("nosuch.elsewhere.svc.cluster.local", "nosuch.elsewhere.svc.cluster.local"),
        ("kubernetes.default.svc.cluster.local", "kubernetes.default.svc.cluster.local"),
        ("kube-dns.kube-system.svc.cluster.local", "kube-dns.kube-system.svc.cluster.local"),
        ("mail.db.svc.cluster.local", "mail.db.svc.cluster.local"),  # an external has this name
        ("web.shop.example.com", "web.shop.example.com"),
        ("web.shop", "web.shop"),
        ("svc.cluster.local", "svc.cluster.local"),
        ("cluster.local", "cluster.local"),
        ("shop", "shop"),
        ("", ""),
    ],
)
def test_names_of_the_cluster(name: str, renamed: str) -> None:
    assert CI.host(name) == renamed


def test_the_api_server_keeps_its_name_when_default_has_another() -> None:
    renaming = Renaming("ci-", {"default": "ci-default"})
    assert renaming.host("web.default.svc.cluster.local") == "web.ci-default.svc.cluster.local"
    for name in ("kubernetes.default.svc.cluster.local", "_https._tcp.kubernetes.default.svc.cluster.local"):
        assert renaming.host(name) == name


HEADLESS = world(
    pod("shop/cli"),
    pod("db/cli"),
    services=(Service("shop", "db", {"app": "db"}, (ServicePort(80, 80),)),),
)


@pytest.mark.parametrize(
    ("source", "name", "renamed"),
    [
        ("shop/cli", "web", "web"),
        ("db/cli", "web.shop", "web.ci-shop"),
        ("db/cli", "web.shop.svc", "web.ci-shop.svc"),
        ("db/cli", "_http._tcp.web.shop", "_http._tcp.web.ci-shop"),
        ("db/cli", "web-0.web.shop.svc", "web-0.web.ci-shop.svc"),
        ("db/cli", "web.db", "web.ci-db"),
        ("shop/cli", "web.db", "web.db"),  # pod web of the headless service db comes first in the search list
        ("shop/cli", "web.elsewhere", "web.elsewhere"),
        ("shop/cli", "kubernetes.default", "kubernetes.default"),
        ("shop/cli", "web.shop.svc.cluster.local", "web.ci-shop.svc.cluster.local"),
        ("shop/cli", "mail.db.svc.cluster.local", "mail.db.svc.cluster.local"),
        ("shop/cli", "api.example.com", "api.example.com"),
        ("shop/cli", "svc", "svc"),
    ],
)
def test_names_that_the_search_list_completes(source: str, name: str, renamed: str) -> None:
    asked = replace(dns_probe(source, name), request=DnsQuery(name, search=True))
    found = CI.probe(asked, HEADLESS)
    assert found.request == DnsQuery(renamed, search=True)
    assert found.source.name == CI.identity(source)


def test_the_api_server_is_found_from_a_renamed_default() -> None:
    asked = replace(dns_probe("default/cli", "kubernetes"), request=DnsQuery("kubernetes", search=True))
    found = Renaming("ci-", {"default": "ci-default"}).probe(asked, Topology())
    assert found.request == DnsQuery("kubernetes.default", search=True)


def test_an_absolute_question_is_not_completed() -> None:
    assert CI.probe(dns_probe("shop/cli", "web.shop"), HEADLESS).request == DnsQuery("web.shop")


def test_host_headers_stay_as_they_are_written() -> None:
    """A rule on the Host header compares texts; both sides keep theirs."""
    target = Target(TargetKind.HOST, "web.shop.svc.cluster.local", 80, Protocol.TCP)
    asked = replace(http_probe("shop/cli -> db/cli:80"), target=target)
    found = CI.probe(asked, HEADLESS)
    assert found.target.name == "web.ci-shop.svc.cluster.local"
    assert found.request == HttpRequest(host="web.shop.svc.cluster.local:80")
    named = replace(asked, request=HttpRequest(host="web.shop"))
    assert CI.probe(named, HEADLESS).request == HttpRequest(host="web.shop")


def test_other_ends_keep_their_names() -> None:
    for text in ("node:a -> external:shop:443", "external:db -> node:a:80", "node:a -> nodeport:a:30080"):
        assert CI.probe(probe(text), HEADLESS) == probe(text)


def test_default_is_renamed_only_where_the_scenario_has_something_in_it() -> None:
    topology = world(pod("shop/a"), namespaces={"default": {}, "kube-system": {}})
    plain = scenario(step(topology=topology), topology=topology)
    assert renaming_of(plain, "ci-").namespaces == {"shop": "ci-shop"}
    by_policy = scenario(
        step(topology=topology, policies=[policy("podSelector: {}", namespace="default")]), topology=topology
    )
    assert renaming_of(by_policy, "ci-").namespaces["default"] == "ci-default"
    label = Relabel("namespace", "default", {"team": "x"})
    relabelled = scenario(replace(step(topology=topology), label=(label,)), topology=topology)
    assert renaming_of(relabelled, "ci-").namespaces["default"] == "ci-default"
    inside = world(pod("default/a"))
    assert renaming_of(scenario(topology=inside), "ci-").namespaces == {"default": "ci-default"}


def test_steps_are_renamed_whole() -> None:
    topology = world(pod("shop/a"), pod("shop/b"), pod("db/c"))
    first, second = policy("podSelector: {}", "one", "shop"), policy("podSelector: {}", "two", "db")
    flow_cell = cell("shop/a -> shop/b:80")
    one = step(flow_cell, name="one", topology=topology, policies=[first, second], apply=[first, second])
    two = replace(
        step(
            name="two",
            topology=topology,
            policies=[second],
            delete=[first.ref],
            restart=["shop/a"],
            transition=Transition((flow_cell,), (cell("db/c -> shop/b:80"),), "cut"),
        ),
        label=(Relabel("pod", "shop/a", {"x": "y"}), Relabel("namespace", "db", {"x": "shop"})),
        add=("db", "db/c"),
        remove=("shop/gone",),
    )
    wanted = scenario(one, two, topology=topology)
    renamed = rename(wanted, renaming_of(wanted, "ci-"))
    after = renamed.steps[1]
    assert [str(item) for item in renamed.steps[0].apply] == [
        "NetworkPolicy ci-shop/one",
        "NetworkPolicy ci-db/two",
    ]
    assert [str(item) for item in after.policies] == ["NetworkPolicy ci-db/two"]
    assert after.delete == (PolicyRef("networkpolicy", "ci-shop", "one"),)
    assert after.restart == ("ci-shop/a",)
    assert after.add == ("ci-db", "ci-db/c")
    assert after.remove == ("ci-shop/gone",)
    assert [item.target for item in after.label] == ["ci-shop/a", "ci-db"]
    assert after.label[1].set == {"x": "shop"}
    assert after.transition is not None
    assert [item.probe.id for item in (*after.transition.steady, *after.transition.cut)] == [
        "ci-shop/a->ci-shop/b:80/TCP",
        "ci-db/c->ci-shop/b:80/TCP",
    ]
    assert [item.id for item in after.transition.steady] == ["shop/a->shop/b:80/TCP"]
    assert list(renamed.topology.pods) == ["ci-shop/a", "ci-shop/b", "ci-db/c"]
    assert renamed.topology.namespaces["ci-shop"].labels == {METADATA_NAME: "ci-shop"}


# A cluster under other names


def _measured(wanted: Scenario, cluster: ScriptedCluster) -> RunResult:
    return run([wanted], RenamedCluster(cluster, "ci-"), lambda event: None)


def test_the_world_has_the_new_names_and_the_results_the_authors() -> None:
    probes: list[Probe] = []

    def answers(asked: Probe, sweep: int) -> Observation:
        probes.append(asked)
        if sweep and asked.source.name == "ci-n/c":
            return DROPPED
        outcome = Outcome(OutcomeKind.CONNECTED, token=True, served_by="ci-n/b")
        return Observation(outcome, receipts=1, expected_servers=("ci-n/b", "external:e"))

    found = policy("podSelector: {}", namespace="n")
    wanted = scenario(
        step(cell("n/a -> n/b:80"), cell("n/c -> n/b:80"), policies=[found], apply=[found]),
        step(name="again", delete=[found.ref], restart=["n/a"]),
    )
    cluster = ScriptedCluster(answers)
    result = _measured(wanted, cluster)
    (measured,) = result.scenarios
    passed, failed = measured.steps[0].cells
    assert (passed.id, passed.status) == ("n/a->n/b:80/TCP", Status.PASSED)
    assert passed.observation is not None
    assert passed.observation.outcome.served_by == "n/b"
    assert passed.observation.expected_servers == ("n/b", "external:e")
    assert failed.status is Status.FAILED
    assert "on the cluster n is ci-n" in failed.evidence
    assert {asked.source.name for asked in probes} == {"ci-n/a", "ci-n/c"}
    assert measured.scenario is wanted
    assert ("apply", "p") in cluster.log
    assert ("restart", "ci-n/a") in cluster.log
    assert result.backend.versions["namespace-prefix"] == "ci-"
    assert ("cluster.close",) not in cluster.log


def test_a_split_answer_names_the_authors_pods() -> None:
    seen = replace(ALLOWED, split="ci-n/b connected, ci-n/c timeout")
    wanted = scenario(step(cell("n/a -> n/b:80")))
    result = _measured(wanted, ScriptedCluster(lambda asked, sweep: seen if sweep else ALLOWED))
    (found,) = result.scenarios[0].cells
    assert found.reason == "the pods behind the service answer differently: n/b connected, n/c timeout"


def test_flows_are_renamed_too() -> None:
    answered = replace(PASSED, served_by="ci-n/b")
    wanted = scenario(
        step(transition=Transition((cell("n/a -> n/b:80"),), (cell("n/c -> n/b:80"),))),
    )
    records = (flow((0.5, answered), (3.5, answered)), flow((0.5, answered), (3.5, LOST)))
    cluster = ScriptedCluster(
        lambda asked, sweep: DROPPED if sweep and asked.source.name == "ci-n/c" else ALLOWED, records=records
    )
    result = _measured(wanted, cluster)
    assert {item.status for item in result.scenarios[0].cells} == {Status.PASSED}


def test_auto_gives_each_scenario_a_prefix_of_its_own() -> None:
    opened: list[str] = []

    class Watched(ScriptedCluster):
        def open(self, scenario: Scenario, run: str, waits: Waits) -> Any:
            opened.extend(scenario.topology.namespaces)
            return super().open(scenario, run, waits)

    wanted = [scenario(step(cell("n/a -> n/b:80")), name=name) for name in ("one", "two")]
    result = run(wanted, RenamedCluster(Watched(), "auto"), lambda event: None)
    assert opened == [auto_prefix(result.run, 1) + "n", auto_prefix(result.run, 2) + "n"]


def test_auto_lets_scenarios_run_side_by_side_that_name_the_same_namespaces() -> None:
    class Shared(ScriptedCluster):
        def claims(self, scenario: Scenario) -> Claims:
            return Claims(frozenset(scenario.topology.namespaces))

    one, two = (scenario(step(cell("n/a -> n/b:80")), name=name) for name in ("one", "two"))
    fixed, free = RenamedCluster(Shared(), "ci-"), RenamedCluster(Shared(), "auto")
    assert fixed.claims(one).names == {"ci-n"}
    assert not fixed.claims(one).beside(fixed.claims(two))
    assert free.claims(one).beside(free.claims(two))
    assert not free.claims(one).beside(free.claims(one))


def test_a_policy_without_valid_names_is_reported_when_its_world_opens() -> None:
    wrong = policy("podSelector: {}", namespace="n" * 60)
    topology = world(pod("n/a"), pod("n/b"))
    bad = scenario(step(cell("n/a -> n/b:80"), topology=topology, policies=[wrong]), topology=topology)
    cluster = RenamedCluster(ScriptedCluster(), "x")
    assert cluster.claims(bad) == Claims()
    lost = replace(wrong, manifest={}, document=None)
    bad = scenario(step(cell("n/a -> n/b:80"), topology=topology, policies=[lost]), topology=topology)
    assert cluster.claims(bad) == Claims()
    with pytest.raises(ClusterError, match="cannot be renamed"):
        cluster.open(bad, "0" * 8, print)


def test_a_name_without_room_is_an_error_of_its_scenario() -> None:
    cluster = RenamedCluster(ScriptedCluster(), "x" * 63)
    with pytest.raises(ClusterError, match="a name has at most 63 characters"):
        cluster.open(scenario(step(cell("n/a -> n/b:80"))), "0" * 8, print)


def test_sources_that_are_no_pods_have_nothing_to_say_about_names() -> None:
    source = Source(SourceKind.NODE, "a")
    asked = Probe(source, Target(TargetKind.NODEPORT, "a", 30080, Protocol.TCP))
    wanted = scenario(step(cell(asked)))
    result = _measured(
        wanted, ScriptedCluster(lambda a, s: DROPPED if s else ALLOWED, features=frozenset({"node-probes"}))
    )
    (found,) = result.scenarios[0].cells
    assert not any("on the cluster" in text for text in found.evidence)
