"""The table of network plugins, where plugins come from, downloads, and the order of applying."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.clusters.kind.cni import Site, Workload
from harness.clusters.kind.process import CommandError
from harness.clusters.kind.shape import IpFamily
from harness.clusters.kube.api import SpecError
from harness.cni import download, manifests
from harness.cni.calico.install import installation
from harness.cni.cilium.install import CiliumInstaller
from harness.cni.installers import INSTALLERS, installer, split
from harness.cni.installing import Inputs, run_command
from harness.cni.kube_router.install import KubeRouterInstaller
from harness.cni.table import How, TableError, merged, read, table
from harness.engine.cluster import ClusterError

DIGEST = "a" * 64


def silent(line: str) -> None:
    pass


def site(folder: Path, **more: Any) -> Site:
    values: dict[str, Any] = {
        "cluster": "shop",
        "kubeconfig": folder / "kubeconfig",
        "api": None,
        "ip_family": IpFamily.IPV4,
        "pod_subnets": ("10.244.0.0/16",),
        "service_subnets": ("10.96.0.0/16",),
        "load": lambda images: (),
    }
    return Site(**{**values, **more})


# -- the table -----------------------------------------------------------------------------------------


def test_the_table_and_the_installers_know_the_same_plugins() -> None:
    assert set(table()) == set(INSTALLERS)


def test_every_entry_is_whole() -> None:
    for name, entry in table().items():
        assert entry.workloads, name
        for url in entry.addresses(entry.default):
            assert url.startswith("https://"), name
            assert entry.default in url, name
        assert all(entry.default in image for image in entry.images_of(entry.default)), name


def test_what_netcheck_needs_of_cilium() -> None:
    values = table()["cilium"].values
    assert values["ipam"] == {"mode": "kubernetes"}
    assert values["extraConfig"] == {"identity-max-jitter": "2s"}
    assert values["bpf"] == {"monitorAggregation": "none"}


GOOD = """
[x]
default = "1.2.3"
how = "manifest"
files = ["https://example.com/{version}/x.yaml"]
"""


def test_a_small_table() -> None:
    entry = read(GOOD + f'workloads = ["daemonsets/a/b"]\nsha256 = {{"1.2.3" = ["{DIGEST}"]}}')["x"]
    assert entry.how is How.MANIFEST
    assert entry.workloads == (Workload("daemonsets", "a", "b"),)
    assert entry.sha256 == {"1.2.3": (DIGEST,)}
    assert entry.addresses("2.0.0") == ("https://example.com/2.0.0/x.yaml",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "no valid TOML"),
        ("x = 1", "x: no table"),
        ('["X y"]\nhow = "kind"', "no name"),
        (GOOD + "colour = 1", "unknown key colour"),
        (GOOD.replace("manifest", "magic"), "how is 'magic'"),
        (GOOD.replace("1.2.3", "newest"), "no version"),
        (GOOD.replace("https:", "http:"), "come by https"),
        (GOOD.replace("{version}", "main"), "version is in their address"),
        (GOOD.replace('"manifest"', '"chart"'), "a chart has a release"),
        (GOOD + 'release = "x"', "nothing else has"),
        (GOOD + 'sha256 = {"1.2.3" = ["abc"]}', "64 digits"),
        (GOOD + 'sha256 = {"1.2.3" = []}', "one digest"),
        (GOOD + 'sha256 = {"new" = []}', "no version"),
        (GOOD + 'workloads = ["pods/a/b"]', "daemonsets/NAMESPACE/NAME"),
        (GOOD + "images = [1]", "images is no list of strings"),
        (GOOD.replace("manifest", "kind"), "neither files nor a version"),
    ],
)
def test_mistakes_in_the_table(text: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read(text)


def test_values_lie_over_one_another() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"c": 4}}, {"d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


# -- from the options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cni", "name", "version", "source", "own_network", "brings_network"),
    [
        ("", "kindnet", "", "node image", True, True),
        ("kindnet", "kindnet", "", "node image", True, True),
        ("cilium", "cilium", table()["cilium"].default, "table", False, True),
        ("cilium@1.20.3", "cilium", "1.20.3", "table", False, True),
        ("calico-manifest@3.31.7", "calico-manifest", "3.31.7", "table", False, True),
        ("none", "none", "", "nothing", False, False),
        ("preinstalled", "preinstalled", "", "node image", True, True),
    ],
)
def test_what_cni_means(
    cni: str, name: str, version: str, source: str, own_network: bool, brings_network: bool
) -> None:
    found = installer(cni, Inputs())
    assert (found.name, found.version, found.source) == (name, version, source)
    assert (found.own_network, found.brings_network) == (own_network, brings_network)


@pytest.mark.parametrize(
    ("cni", "message"),
    [
        ("cillium", "knows no such network plugin"),
        ("cilium@", "no version behind the @"),
        ("cilium@latest", "no version of a network plugin"),
        ("cilium@1.19.8/../../evil", "no version of a network plugin"),
        ("kindnet@1.0.0", "comes with the node image"),
        ("none@1.0.0", "takes no version"),
        ("./nowhere.yaml", "no such manifest"),
    ],
)
def test_what_cni_cannot_mean(cni: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        installer(cni, Inputs())


def test_a_misspelt_plugin_gets_a_hint() -> None:
    with pytest.raises(SpecError) as found:
        split("cillium")
    assert "cilium" in found.value.advice


def test_a_manifest_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "plugin.yaml"
    file.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: plugin}\n")
    found = installer(str(file), Inputs())
    assert found.name == "file"
    assert found.source.startswith("manifest:")
    assert found.brings_network
    found.prepare(IpFamily.IPV4, silent)
    with pytest.raises(SpecError, match="is a manifest already"):
        installer(str(file), Inputs(command="true"))
    before = found.source
    file.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n")
    assert installer(str(file), Inputs()).source != before


@pytest.mark.parametrize(
    ("cni", "inputs", "message"),
    [
        ("cilium", {"command": "a 'b"}, "cannot be understood"),
        ("cilium", {"command": " "}, "is empty"),
        ("cilium", {"sha256": ("xyz",)}, "no sha256"),
        ("cilium", {"sha256": (DIGEST, DIGEST)}, "given 2 times"),
        ("calico", {"sha256": (DIGEST,)}, "given 1 times"),
        ("cilium", {"command": "true", "sha256": (DIGEST,)}, "given 1 times"),
        ("cilium", {"chart": Path("/nowhere/chart.tgz")}, "no such file"),
        ("kindnet", {"command": "true"}, "comes with the node image"),
        ("preinstalled", {"command": "true"}, "brings its own plugin"),
        ("none", {"trust": True}, "takes no version"),
    ],
)
def test_sources_that_cannot_be(cni: str, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        installer(cni, Inputs(**inputs))


def test_one_source_is_enough(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="more than one way"):
        Inputs(chart=tmp_path, command="true")
    with pytest.raises(SpecError, match="does not come as a chart here"):
        installer("antrea", Inputs(chart=tmp_path))
    (tmp_path / "v.yaml").touch()
    with pytest.raises(SpecError, match="--cni-values are for charts"):
        installer("antrea", Inputs(values=tmp_path / "v.yaml"))


# -- commands ------------------------------------------------------------------------------------------


def test_a_command_has_the_cluster_in_its_arguments_and_its_environment(tmp_path: Path) -> None:
    script = tmp_path / "install it"
    script.write_text('#!/bin/sh\nprintf "%s|" "$@" "$NETCHECK_CLUSTER" "$KUBECONFIG"\n')
    script.chmod(0o755)
    lines: list[str] = []
    inputs = Inputs(command=f"'{script}' {{name}} 'a b' '$HOME;x' --kubeconfig={{kubeconfig}}")
    run_command(inputs, site(tmp_path, say=lines.append))
    where = tmp_path / "kubeconfig"
    assert lines[-1] == f"shop|a b|$HOME;x|--kubeconfig={where}|shop|{where}|"


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="error: no such image"):
        run_command(Inputs(command="sh -c 'echo error: no such image >&2; exit 3'"), site(tmp_path))


# -- what plugins change -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "v4", "v6"), [("ipv4", True, False), ("ipv6", False, True), ("dual", True, True)]
)
def test_cilium_carries_the_families_of_the_cluster(tmp_path: Path, family: str, v4: bool, v6: bool) -> None:
    found = CiliumInstaller(table()["cilium"], Inputs()).own_values(
        site(tmp_path, ip_family=IpFamily(family))
    )
    assert found == {"ipv4": {"enabled": v4}, "ipv6": {"enabled": v6}}


def test_loaded_images_of_cilium_go_without_digests() -> None:
    values = CiliumInstaller(table()["cilium"], Inputs()).without_digests()
    assert values["image"] == {"useDigest": False}
    assert values["hubble"]["relay"]["image"] == {"useDigest": False}


def test_calico_has_a_pool_for_every_subnet_of_the_pods(tmp_path: Path) -> None:
    pools = installation(site(tmp_path, pod_subnets=("10.244.0.0/16", "fd00::/56")))["spec"]["calicoNetwork"]
    assert [(pool["cidr"], pool["encapsulation"]) for pool in pools["ipPools"]] == [
        ("10.244.0.0/16", "VXLANCrossSubnet"),
        ("fd00::/56", "None"),
    ]


def test_kube_router_has_the_version_that_was_asked_for() -> None:
    pod = {
        "containers": [{"image": "docker.io/cloudnativelabs/kube-router", "imagePullPolicy": "Always"}],
        "initContainers": [{"image": "busybox", "imagePullPolicy": "IfNotPresent"}],
    }
    objects = [{"kind": "DaemonSet", "metadata": {"name": "x"}, "spec": {"template": {"spec": pod}}}]
    KubeRouterInstaller(table()["kube-router"], Inputs(version="2.11.1")).adjust(objects)
    assert manifests.images(objects) == ("busybox", "docker.io/cloudnativelabs/kube-router:v2.11.1")
    assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"


# -- manifests -----------------------------------------------------------------------------------------


def test_lists_are_taken_apart_and_empty_documents_left_out() -> None:
    text = b"""
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
---
{apiVersion: v1, kind: Pod, metadata: {name: c}, spec: {containers: [{image: i}]}}
"""
    objects = manifests.read(text, "x.yaml")
    assert [item["metadata"]["name"] for item in objects] == ["a", "b", "c"]
    assert manifests.images(objects) == ("i",)


@pytest.mark.parametrize(
    "text",
    [
        b"a: [",
        b"",
        b"- 1",
        b"kind: Pod",
        b"apiVersion: v1\nkind: Pod\nmetadata: 1",
        b"\xff\xfe\x00",
        b"a: !!python/object/apply:os.system [x]",
    ],
)
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(ClusterError, match=r"x\.yaml"):
        manifests.read(text, "x.yaml")


# -- downloads -----------------------------------------------------------------------------------------


class _Publisher(BaseHTTPRequestHandler):
    body = b"chart"
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/gone":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    _Publisher.body, _Publisher.asked = b"chart", 0
    server = HTTPServer(("127.0.0.1", 0), _Publisher)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_nothing_is_downloaded_that_nobody_vouches_for(url: str) -> None:
    with pytest.raises(ClusterError, match="nothing vouches for") as found:
        download.fetch(f"{url}/x", "", trust=False, say=silent)
    assert "--cni-sha256" in found.value.advice
    assert "--cni-trust-download" in found.value.advice
    assert _Publisher.asked == 0


def test_a_trusted_download_tells_its_digest(url: str) -> None:
    lines: list[str] = []
    assert download.fetch(f"{url}/x", "", trust=True, say=lines.append) == b"chart"
    assert lines[0] == f"downloading {url}/x"
    assert hashlib.sha256(b"chart").hexdigest() in lines[1]


def test_a_download_is_checked_and_kept(url: str) -> None:
    known = hashlib.sha256(b"chart").hexdigest()
    assert download.fetch(f"{url}/x", known, trust=False, say=silent) == b"chart"
    assert download.fetch(f"{url}/x", known, trust=False, say=silent) == b"chart"
    assert _Publisher.asked == 1


def test_another_file_than_the_right_one_is_refused(url: str) -> None:
    with pytest.raises(ClusterError, match="is not what it should be"):
        download.fetch(f"{url}/x", DIGEST, trust=True, say=silent)


def test_a_spoilt_cache_is_not_believed(url: str, tmp_path: Path) -> None:
    known = hashlib.sha256(b"chart").hexdigest()
    download.fetch(f"{url}/x", known, trust=False, say=silent)
    (tmp_path / "netcheck" / "cni" / known).write_bytes(b"evil")
    assert download.fetch(f"{url}/x", known, trust=False, say=silent) == b"chart"


def test_a_publisher_that_has_it_not(url: str) -> None:
    with pytest.raises(ClusterError, match=r"cannot be downloaded: .*Not Found"):
        download.fetch(f"{url}/gone", "", trust=True, say=silent)


def test_a_flood_is_no_chart(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LIMIT", 3)
    with pytest.raises(ClusterError, match="more than"):
        download.fetch(f"{url}/x", "", trust=True, say=silent)
