"""Shapes of kind clusters, kind's configuration, and when a cluster is ready."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.clusters.kind import store
from harness.clusters.kind.cni import Workload
from harness.clusters.kind.config import MARK, SUBNETS, cluster_config
from harness.clusters.kind.ready import _nodes_ready, _rolled_out
from harness.clusters.kind.shape import IpFamily, Shape, Wanted, cluster_name
from harness.clusters.kind.standing import Standing
from harness.clusters.kube.api import SpecError

SHAPE = Shape("cilium", "1.19.8", "table", 3, "1.35.8", "", "ipv4", "")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(), []),
        (Wanted(cni="cilium", nodes=3, ip_family=IpFamily.IPV4), []),
        (Wanted(kubernetes="v1.35.8"), []),
        (Wanted(cni="calico"), ["the network plugin is cilium, not calico"]),
        (Wanted(cni="cilium", cni_version="1.20.3"), ["its version is 1.19.8, not 1.20.3"]),
        (Wanted(cni_source="chart:12"), ["its source is table, not chart:12"]),
        (
            Wanted(nodes=1, ip_family=IpFamily.DUAL),
            ["the number of nodes is 3, not 1", "the address family is ipv4, not dual"],
        ),
        (Wanted(kubernetes="1.34.1"), ["Kubernetes is 1.35.8, not 1.34.1"]),
        (Wanted(node_image="node:1"), ["the node image is none, not node:1"]),
    ],
)
def test_only_what_was_asked_for_is_compared(wanted: Wanted, said: list[str]) -> None:
    assert list(SHAPE.differences(wanted)) == said


def test_another_configuration_is_another_shape(tmp_path: Path) -> None:
    (tmp_path / "kind.yaml").write_text("kind: Cluster\n")
    wanted = Wanted(config=tmp_path / "kind.yaml")
    assert list(SHAPE.differences(wanted)) == [f"kind's configuration is none, not {wanted.config_digest()}"]
    assert not list(replace(SHAPE, config=wanted.config_digest()).differences(wanted))


def test_a_shape_survives_its_config_map() -> None:
    data = SHAPE.data()
    assert all(isinstance(value, str) for value in data.values())
    assert Shape.read({**data, "made-by": "netcheck"}) == SHAPE


@pytest.mark.parametrize("damage", [{"nodes": "three"}, {"nodes": "-1"}, {"nodes": "٣"}, {"cni": 3}])
def test_a_damaged_config_map_is_no_shape(damage: dict[str, Any]) -> None:
    assert Shape.read({**SHAPE.data(), **damage}) is None
    assert Shape.read({}) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kubernetes": "1.35", "node_image": ""}, "no version of Kubernetes"),
        ({"kubernetes": "latest"}, "no version of Kubernetes"),
        ({"kubernetes": "1.35.8", "node_image": "x"}, "both given"),
        ({"nodes": 0}, "0 nodes"),
        ({"config": Path("/nowhere/kind.yaml")}, "no such file"),
    ],
)
def test_shapes_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Wanted(**values)


def test_a_version_is_a_node_image() -> None:
    assert Wanted(kubernetes="v1.35.8").image == "kindest/node:v1.35.8"
    assert Wanted(node_image="mine:1").image == "mine:1"
    assert Wanted().image == ""


@pytest.mark.parametrize("name", ["-a", "A", "a b", "a/b", "a" * 51, "a\n", "../x", "a;b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(SpecError, match="cannot be the name"):
        cluster_name(name)


def test_names_that_can_be() -> None:
    assert [cluster_name(name) for name in ("", "a", "ci-1.x")] == ["netcheck", "a", "ci-1.x"]


# -- configuration -------------------------------------------------------------------------------------


def test_the_usual_configuration() -> None:
    config = cluster_config(Wanted(cni="cilium"), own_network=False, owner="me")
    assert config["networking"] == {
        "disableDefaultCNI": True,
        "ipFamily": "ipv4",
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/16",
    }
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    mark = {"hostPath": "/dev/null", "containerPath": f"{MARK}/me", "readOnly": True}
    assert all(node["extraMounts"] == [mark] for node in config["nodes"])


@pytest.mark.parametrize("family", list(IpFamily))
def test_families_have_their_subnets(family: IpFamily) -> None:
    networking = cluster_config(Wanted(ip_family=family, nodes=1), own_network=True, owner="me")["networking"]
    assert (networking["podSubnet"], networking["serviceSubnet"]) == SUBNETS[family]
    assert networking["disableDefaultCNI"] is False
    assert ("," in networking["podSubnet"]) is (family is IpFamily.DUAL)


def config_file(folder: Path, **more: Any) -> Path:
    path = folder / "kind.yaml"
    path.write_text(yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", **more}))
    return path


def test_what_the_users_file_says_stays(tmp_path: Path) -> None:
    mounts = [{"hostPath": "/a", "containerPath": "/b"}]
    path = config_file(
        tmp_path,
        name="other",
        featureGates={"X": True},
        networking={"podSubnet": "10.1.0.0/16", "kubeProxyMode": "ipvs"},
        nodes=[{"role": "control-plane", "extraMounts": mounts}],
    )
    config = cluster_config(Wanted(cni="calico", config=path), own_network=False, owner="me")
    assert "name" not in config
    assert config["featureGates"] == {"X": True}
    assert config["networking"]["podSubnet"] == "10.1.0.0/16"
    assert config["networking"]["kubeProxyMode"] == "ipvs"
    assert config["networking"]["disableDefaultCNI"] is True
    assert [mount["containerPath"] for mount in config["nodes"][0]["extraMounts"]] == ["/b", f"{MARK}/me"]


@pytest.mark.parametrize(
    ("more", "wanted", "own_network", "message"),
    [
        (
            {"networking": {"disableDefaultCNI": True}},
            {},
            True,
            "disableDefaultCNI is True, and --cni kindnet",
        ),
        ({"networking": {"ipFamily": "ipv6"}}, {"ip_family": IpFamily.DUAL}, False, "--ip-family asks"),
        ({"networking": {"ipFamily": "ipx"}}, {}, False, "ipFamily is 'ipx'"),
        ({"nodes": [{"role": "control-plane"}]}, {"nodes": 2}, False, "1 nodes, and --nodes says 2"),
        ({"nodes": "two"}, {}, False, "no list of nodes"),
        ({"nodes": [{"extraMounts": 1}]}, {}, False, "extraMounts is no list"),
        ({"networking": 3}, {}, False, "networking is no mapping"),
        ({"kind": "Pod"}, {}, False, "no `kind: Cluster`"),
        ({"apiVersion": "v1"}, {}, False, "apiVersion is 'v1'"),
    ],
)
def test_files_that_contradict(
    tmp_path: Path, more: dict[str, Any], wanted: dict[str, Any], own_network: bool, message: str
) -> None:
    asked = Wanted(config=config_file(tmp_path, **more), **wanted)
    with pytest.raises(SpecError, match=message):
        cluster_config(asked, own_network=own_network, owner="me")


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "kind.yaml").write_text("a: [")
    with pytest.raises(SpecError, match="cannot be read"):
        cluster_config(Wanted(config=tmp_path / "kind.yaml"), own_network=True, owner="me")


# -- standing clusters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "half_made"),
    [
        ({}, True),
        ({"answers": True}, True),
        ({"finished": True, "answers": True}, True),
        ({"finished": True}, False),
        ({"running": False}, False),
        ({"ours": False}, False),
        ({"shape": SHAPE, "answers": True}, False),
    ],
)
def test_half_made_is_only_what_is_ours_and_of_no_use(more: dict[str, Any], half_made: bool) -> None:
    assert Standing("x", ("x-control-plane",), **{"ours": True, **more}).half_made is half_made


def test_a_cluster_in_use_is_not_taken_down_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, two = store.Use("x"), store.Use("x")
    assert one.shared()
    assert two.shared()
    with store.alone("x") as alone:
        assert not alone
    assert not one.alone()
    two.release()
    assert one.alone()
    one.release()
    one.release()
    with store.alone("x") as alone:
        assert alone


def test_kubeconfigs_are_for_their_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = store.write_kubeconfig("x", "secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["x.kubeconfig"]
    store.forget("x")
    store.forget("x")
    assert not path.exists()


# -- ready ---------------------------------------------------------------------------------------------


def daemons(**status: int) -> dict[tuple[str, str], Any]:
    return {
        ("kube-system", "cilium"): {
            "metadata": {"name": "cilium", "namespace": "kube-system", "generation": 2},
            "spec": {"template": {"spec": {}}},
            "status": status,
        }
    }


ROLLED = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({}, ""),
        ({"numberAvailable": 1}, "kube-system/cilium has 1 of 2 pods available"),
        ({"updatedNumberScheduled": 0}, "kube-system/cilium has 2 of 2 pods available"),
        ({"observedGeneration": 1}, "kube-system/cilium has 2 of 2 pods available"),
        ({"desiredNumberScheduled": 0, "updatedNumberScheduled": 0, "numberAvailable": 0}, "0 of 1 pods"),
    ],
)
def test_a_daemon_set_is_rolled_out_on_every_node(change: dict[str, int], missing: str) -> None:
    said = _rolled_out((), daemons(**{**ROLLED, **change}))
    assert missing in said
    assert bool(missing) == bool(said)


def test_a_daemon_set_for_nodes_that_there_are_none_of_is_nothing_to_wait_for() -> None:
    found = daemons(observedGeneration=2, desiredNumberScheduled=0)
    found["kube-system", "cilium"]["spec"]["template"]["spec"]["nodeSelector"] = {
        "kubernetes.io/os": "windows"
    }
    assert _rolled_out((), found) == ""


def test_what_is_expected_must_be_there() -> None:
    wanted = [Workload("daemonsets", "calico-system", "calico-node")]
    assert _rolled_out(wanted, daemons(**ROLLED)) == "daemonset calico-system/calico-node does not exist"


@pytest.mark.parametrize(("available", "missing"), [(2, ""), (1, "x/dns has 1 of 2 pods available")])
def test_a_deployment_has_all_its_pods(available: int, missing: str) -> None:
    item = {
        "metadata": {"name": "dns", "namespace": "x", "generation": 1},
        "spec": {"replicas": 2, "template": {}},
        "status": {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": available},
    }
    assert _rolled_out((), {("x", "dns"): item}) == missing


def test_nodes_say_why_they_are_not_ready() -> None:
    def node(**condition: str) -> dict[str, Any]:
        return {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", **condition}]}}

    assert _nodes_ready({("", "n"): node(status="True")}) == ""
    said = _nodes_ready({("", "n"): node(status="False", message="cni plugin not initialized")})
    assert said == "node n is not ready: cni plugin not initialized"
    assert _nodes_ready({}) == "there is no node"
