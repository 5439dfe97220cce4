"""Whose a kind cluster is, and what is done with it: with programs that remember clusters in a folder.

Real clusters are in tests/cluster; here are the moments that one cannot be brought to show when asked.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.clusters.kind import store
from harness.clusters.kind.cni import Installer
from harness.clusters.kind.config import MARK
from harness.clusters.kind.maker import Maker
from harness.clusters.kind.shape import Wanted
from harness.clusters.kube.api import SpecError
from harness.cni.installers import installer
from harness.cni.installing import Inputs
from harness.engine.cluster import ClusterError

KIND = """
name() { while [ "$1" != --name ]; do shift; done; echo "$2"; }
case "$1 $2" in
"version "*) echo kind v0.33.0 ;;
"get clusters") ls "$CLUSTERS" ;;
"get nodes") test ! -e "$CLUSTERS/$(name "$@")" || sed "s/:.*//" "$CLUSTERS/$(name "$@")" ;;
"get kubeconfig") echo "ERROR: failed to get cluster internal kubeconfig" >&2; exit 1 ;;
"create cluster") . "$CREATE" ;;
"delete cluster")
  if [ -e "$CLUSTERS-busy" ]; then rm "$CLUSTERS-busy"; echo "ERROR: no exit event" >&2; exit 1; fi
  rm -f "$CLUSTERS/$(name "$@")"; echo "$(name "$@")" >>"$DELETED" ;;
*) exit 64 ;;
esac
"""

DOCKER = """
case "$1 $2" in
"version "*) echo '{"Server": {"Version": "28.0.0"}}' ;;
"container inspect") sed -n "s/^$3://p" "$CLUSTERS"/* ;;
*) exit 64 ;;
esac
"""


def container(*, marked: bool, role: str = "control-plane", running: bool = True, owner: str = "") -> str:
    mark = [{"Destination": f"{MARK}/{owner or store.owner()}"}]
    return json.dumps(
        {
            "Config": {"Labels": {"io.x-k8s.kind.role": role}},
            "State": {"Running": running},
            "Mounts": [{"Destination": "/lib/modules"}, *(mark if marked else [])],
        }
    )


class Machine:
    """Programs in a folder that is all of PATH, and the clusters that they know."""

    def __init__(self, folder: Path) -> None:
        self.clusters = folder / "clusters"
        self.create = folder / "create"
        self.deleted = folder / "deleted"
        self.said: list[str] = []
        self.clusters.mkdir()
        self.create.write_text("echo ERROR: no space left on device >&2; exit 1")

    def put(self, name: str, **containers: str) -> None:
        """Let there be a cluster; containers by role of its nodes."""
        lines = [f"{name}-{node.replace('_', '-')}:{text}" for node, text in containers.items()]
        (self.clusters / name).write_text("\n".join(lines) + "\n")

    def fail_after(self, text: str, why: str) -> None:
        """Let the making of `shop` fail when its container is there."""
        line = f"shop-control-plane:{text}"
        self.create.write_text(f"echo '{line}' >\"$CLUSTERS/shop\"; echo ERROR: {why} >&2; exit 1")

    def maker(self) -> Maker:
        return Maker(say=self.said.append)

    def names(self) -> list[str]:
        return sorted(item.name for item in self.clusters.iterdir())

    def deletions(self) -> list[str]:
        return self.deleted.read_text().split() if self.deleted.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("kind", KIND), ("docker", DOCKER)):
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("CLUSTERS", str(found.clusters))
    monkeypatch.setenv("CREATE", str(found.create))
    monkeypatch.setenv("DELETED", str(found.deleted))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    return found


def nothing() -> Installer:
    return installer("none", Inputs())


def obtain(machine: Machine, name: str = "shop") -> None:
    use, _ = machine.maker().obtain(name, Wanted(nodes=1), nothing, for_run=True)
    use.release()


def test_a_cluster_of_somebody_else_is_neither_used_nor_removed(machine: Machine) -> None:
    machine.put("shop", control_plane=container(marked=False))
    with pytest.raises(SpecError, match="netcheck did not make it"):
        obtain(machine)
    with pytest.raises(SpecError, match="leaves it alone"):
        machine.maker().remove("shop")
    assert machine.maker().remove_leftovers() == []
    assert machine.deletions() == []


def test_one_node_without_the_mark_makes_it_somebody_elses(machine: Machine) -> None:
    machine.put("shop", control_plane=container(marked=True), worker=container(marked=False))
    with pytest.raises(SpecError, match="leaves it alone"):
        machine.maker().remove("shop")
    assert machine.deletions() == []


def test_the_balancer_of_several_control_planes_needs_no_mark(machine: Machine) -> None:
    machine.put(
        "shop",
        control_plane=container(marked=True),
        external_load_balancer=container(marked=False, role="external-load-balancer"),
    )
    found = machine.maker().find("shop")
    assert found is not None
    assert found.ours


def test_what_a_killed_netcheck_left_is_removed_and_nothing_else(machine: Machine) -> None:
    machine.put("half", control_plane=container(marked=True))
    machine.put("other", control_plane=container(marked=True))
    machine.put("foreign", control_plane=container(marked=False))
    assert machine.maker().remove_leftovers("half") == ["kind cluster half"]
    assert machine.maker().remove_leftovers() == ["kind cluster other"]
    assert machine.names() == ["foreign"]


def test_a_cluster_that_somebody_makes_right_now_is_no_leftover(machine: Machine) -> None:
    machine.put("half", control_plane=container(marked=True))
    busy = store.Use("half")
    assert busy.alone()
    assert machine.maker().remove_leftovers() == []
    with pytest.raises(ClusterError, match="a run uses kind cluster half"):
        machine.maker().remove("half")
    busy.release()
    assert machine.maker().remove("half")
    assert machine.names() == []


def test_a_stopped_cluster_is_no_leftover(machine: Machine) -> None:
    machine.put("shop", control_plane=container(marked=True, running=False))
    assert machine.maker().remove_leftovers() == []
    with pytest.raises(ClusterError, match="does not answer") as found:
        obtain(machine)
    assert "netcheck cluster down shop" in found.value.advice
    assert machine.deletions() == []


def test_a_half_made_cluster_makes_room_for_a_new_one(machine: Machine) -> None:
    machine.put("shop", control_plane=container(marked=True))
    with pytest.raises(ClusterError, match="no space left on device"):
        obtain(machine)
    assert machine.deletions() == ["shop"]
    assert any("never finished" in line for line in machine.said)


def test_what_could_not_be_made_is_removed(machine: Machine) -> None:
    machine.fail_after(container(marked=True), "kubeadm failed")
    with pytest.raises(ClusterError, match="kubeadm failed") as found:
        obtain(machine)
    assert "netcheck doctor" in found.value.advice
    assert machine.names() == []


def test_a_cluster_that_somebody_else_made_meanwhile_stays(machine: Machine) -> None:
    machine.fail_after(container(marked=False), "node exists")
    with pytest.raises(ClusterError, match="node exists"):
        obtain(machine)
    assert machine.names() == ["shop"]
    assert machine.deletions() == []


def test_inputs_are_checked_before_a_cluster_is_made(machine: Machine, tmp_path: Path) -> None:
    machine.create.write_text('touch "$CLUSTERS/made"; exit 1')
    with pytest.raises(SpecError, match="no such image archive"):
        machine.maker().obtain("shop", Wanted(nodes=1), nothing, [tmp_path / "images.tar"], for_run=True)
    with pytest.raises(ClusterError, match="nothing vouches for"):
        machine.maker().obtain("shop", Wanted(nodes=1), lambda: installer("antrea", Inputs()), for_run=True)
    assert machine.names() == []


def test_what_another_netcheck_makes_on_the_same_engine_is_no_leftover(machine: Machine) -> None:
    machine.put("shop", control_plane=container(marked=True, owner="another"))
    assert machine.maker().remove_leftovers() == []
    with pytest.raises(ClusterError, match="of another user, container or machine"):
        obtain(machine)
    assert machine.deletions() == []
    # Whoever names it knows that nobody makes it any more.
    assert machine.maker().remove("shop")


def test_a_busy_engine_is_asked_again(machine: Machine, tmp_path: Path) -> None:
    machine.put("shop", control_plane=container(marked=True))
    (tmp_path / "clusters-busy").touch()
    assert machine.maker().remove("shop")
    assert machine.names() == []


def test_a_cluster_that_is_gone_is_gone(machine: Machine) -> None:
    assert machine.maker().remove("shop") is False
    assert machine.maker().find("shop") is None
