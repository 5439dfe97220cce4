"""All pairs at once against one probe after another."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.model.policy import Policy
from harness.model.prediction import Answer
from harness.model.probe import Probe, Source, SourceKind, Target, TargetKind
from harness.model.topology import Family, Topology
from harness.oracle import predict
from harness.oracle.matrix import Matrix, Port, classes
from tests.unit.admin_worlds import admin_policies
from tests.unit.kubernetes_worlds import ASKED, pod, policies, policy, read, world, worlds

# A busy machine is slow, not wrong.
laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one_by_one(
    topology: Topology, found: list[Policy], ports: tuple[Port, ...], family: Family
) -> dict[tuple[str, str, Port], Answer]:
    return {
        (source, destination, port): predict(
            topology,
            found,
            Probe(
                Source(SourceKind.POD, source),
                Target(TargetKind.POD, destination, port[1], port[0]),
                family,
            ),
        ).verdict
        for source in topology.pods
        for destination in topology.pods
        for port in ports
    }


@given(worlds(), policies(), admin_policies(), st.sampled_from(Family))
@laws
def test_every_cell_is_what_predict_says(
    topology: Topology, found: list[Policy], admin: list[Policy], family: Family
) -> None:
    everything = [*found, *admin]
    expected = one_by_one(topology, everything, ASKED, family)
    matrix = Matrix(topology, everything, ASKED, family)
    assert {key: matrix.answer(*key) for key in expected} == expected
    assert matrix.count() == Counter(expected.values())


def test_classes_are_pods_that_no_policy_tells_apart() -> None:
    topology = world(
        pod("n/a", app="web", build="1"),
        pod("n/b", app="web", build="2"),
        pod("n/c", app="db", build="1"),
        pod("n/d", app="web", listen="http=80"),
        pod("m/a", app="web", build="1"),
    )
    found = [policy("podSelector: {matchLabels: {app: web}}")]
    assert classes(topology.pods.values(), topology, found) == (("n/a", "n/b"), ("n/c",), ("n/d",), ("m/a",))
    (admin,), _ = read(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n"
        "spec:\n  tier: Admin\n  priority: 1\n"
        "  subject: {pods: {podSelector: {matchExpressions: [{key: build, operator: Exists}]}}}\n"
        "  ingress: [{action: Deny, from: [{namespaces: {}}]}]\n"
    )
    assert admin is not None
    assert len(classes(topology.pods.values(), topology, [*found, admin])) == 5


def test_policies_that_nobody_reads_leave_everything_open() -> None:
    topology = world(pod("n/a"), pod("n/b"))
    (unread,), problems = read(
        "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: p}\n"
        'spec: {node: a, interfaceName: "*"}\n'
    )
    assert unread is not None, problems.found
    port = ASKED[1]
    matrix = Matrix(topology, [unread], [port])
    assert matrix.count() == Counter({Answer.UNDEFINED: 4})
    assert one_by_one(topology, [unread], (port,), Family.IPV4)["n/a", "n/b", port] is Answer.UNDEFINED


def test_a_port_that_was_not_asked_is_an_error() -> None:
    matrix = Matrix(world(pod("n/a"), pod("n/b")), [], [ASKED[0]])
    with pytest.raises(ValueError, match="not in tuple"):
        matrix.answer("n/a", "n/b", ASKED[1])
