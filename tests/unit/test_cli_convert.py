"""`netcheck convert` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.cli import cli
from tests.unit.converting import API, WEB, Json, cilium, kubernetes


def invoke(*args: str, text: str = "") -> Result:
    return CliRunner().invoke(cli, ["convert", *args], input=text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def write(name: str, *manifests: Json) -> str:
    Path(name).write_text(yaml.safe_dump_all(manifests, sort_keys=False))
    return name


def test_policies_go_to_stdout_and_the_proof_to_stderr(folder: Path) -> None:
    write("in.yaml", kubernetes({"ingress": [{"from": [{"podSelector": WEB}]}]}), kubernetes({}, "q"))
    found = invoke("in.yaml", "--to", "cilium")
    assert found.exit_code == 0
    assert found.stdout.startswith("# from NetworkPolicy shop/p, in.yaml:1\napiVersion: cilium.io/v2\n")
    documents = list(yaml.safe_load_all(found.stdout))
    assert [item["metadata"]["name"] for item in documents] == ["p", "q"]
    assert "flows compared, all agree (read as cilium does)" in found.stderr


def test_the_way_back_is_proved_again(folder: Path) -> None:
    rule = {"from": [{"podSelector": WEB, "namespaceSelector": {}}], "ports": [{"port": "http"}]}
    write("in.yaml", kubernetes({"ingress": [rule]}))
    assert invoke("in.yaml", "--to", "cilium", "-o", "there.yaml").exit_code == 0
    found = invoke("there.yaml", "--to", "kubernetes")
    assert found.exit_code == 0
    (spec,) = (item["spec"] for item in yaml.safe_load_all(found.stdout))
    assert spec["ingress"] == [
        {
            "from": [{"namespaceSelector": {}, "podSelector": WEB}],
            "ports": [{"protocol": "TCP", "port": "http"}],
        }
    ]
    assert "kept as cilium and calico read it, open as generic reads it" in found.stderr
    assert "undefined by the specification: ICMP" in found.stderr


def test_what_cannot_be_converted_is_shown_with_its_place_and_nothing_is_written(folder: Path) -> None:
    write("in.yaml", cilium({"ingressDeny": [{"fromEndpoints": [WEB]}]}), cilium({"ingress": [{}]}, "q"))
    found = invoke("in.yaml", "--to", "kubernetes", "-o", "out.yaml")
    assert found.exit_code == 1
    assert found.stdout == ""
    assert "in.yaml:11:5: error[cannot-convert]: ingressDeny[0] says deny" in found.stderr
    assert "help: " in found.stderr
    assert not Path("out.yaml").exists()


def test_what_is_of_the_wanted_dialect_stays_and_json_says_so(folder: Path) -> None:
    write("in.yaml", kubernetes({"ingress": [{}]}), cilium({"ingress": [{"fromEndpoints": [WEB]}]}, "c"))
    found = invoke("in.yaml", "--to", "kubernetes", "--json")
    assert found.exit_code == 0
    document = json.loads(found.stdout)
    assert document["schema"] == "netcheck.dev/conversion/v1"
    assert document["differing"] == []
    assert [item["from"][0]["policy"] for item in document["policies"]] == [
        "NetworkPolicy shop/p",
        "CiliumNetworkPolicy shop/c",
    ]
    assert document["policies"][0]["notes"] == ["it is unchanged"]


def test_into_a_folder_each_policy_has_a_file(folder: Path) -> None:
    write("in.yaml", kubernetes({}), kubernetes({}, namespace="other"))
    (folder / "out").mkdir()
    assert invoke("in.yaml", "--to", "cilium", "-o", "out").exit_code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "ciliumnetworkpolicy-other-p.yaml",
        "ciliumnetworkpolicy-shop-p.yaml",
    ]


def test_a_folder_is_made_and_never_one_of_the_files_that_were_read_is_written(folder: Path) -> None:
    assert invoke(write("in.yaml", kubernetes({})), "--to", "cilium", "-o", "new/folder/").exit_code == 0
    (file,) = Path("new/folder").iterdir()
    before = file.read_text()
    found = invoke("in.yaml", "new/folder", "--to", "cilium", "-o", "new/folder")
    assert found.exit_code == 4
    assert "the policies are read from there" in found.stderr
    assert file.read_text() == before


def test_a_file_that_was_read_is_never_written(folder: Path) -> None:
    write("in.yaml", kubernetes({}))
    before = Path("in.yaml").read_text()
    found = invoke("in.yaml", "--to", "cilium", "-o", "./in.yaml")
    assert found.exit_code == 4
    assert "the policies are read from there" in found.stderr
    assert Path("in.yaml").read_text() == before


def test_a_file_that_cannot_be_written(folder: Path) -> None:
    write("in.yaml", kubernetes({}))
    found = invoke("in.yaml", "--to", "cilium", "-o", "missing/out.yaml")
    assert found.exit_code == 4
    assert "missing/out.yaml" in found.stderr


def test_standard_input(folder: Path) -> None:
    found = invoke("-", "--to", "cilium", text=yaml.safe_dump(kubernetes({})))
    assert found.exit_code == 0
    assert "# from NetworkPolicy shop/p, <stdin>:1" in found.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("gone.yaml", "--to", "cilium"), "gone.yaml: there is no such file or folder"),
        (("empty", "--to", "cilium"), "there is no policy in what was named"),
        (("in.yaml", "in.yaml", "--to", "cilium"), "a policy stands twice"),
        (("in.yaml", "--to", "cilium", "--scenario", "gone.yaml"), "gone.yaml: there is no such"),
        (("in.yaml", "--to", "cilium", "--scenario", "empty"), "empty has no scenario"),
        (("bad.yaml", "--to", "cilium"), "1 error in 1 file"),
    ],
)
def test_usage(folder: Path, args: tuple[str, ...], message: str) -> None:
    write("in.yaml", kubernetes({}))
    write("bad.yaml", kubernetes({"ingress": [{"from": [{}]}]}))
    (folder / "empty").mkdir()
    found = invoke(*args)
    assert found.exit_code == 4
    assert message in found.stderr
    assert found.stdout == ""


def test_the_world_of_a_scenario(folder: Path) -> None:
    write("in.yaml", kubernetes({"ingress": [{"from": [{"podSelector": WEB}]}]}))
    Path("s.yaml").write_text(
        yaml.safe_dump(
            {
                "scenario": "s",
                "pods": {"shop/api": {"labels": API["matchLabels"], "listen": [80]}, "shop/x": {}},
                "expect": [{"from": "shop/x", "to": "shop/api:80", "verdict": "observe"}],
            }
        )
    )
    alone = json.loads(invoke("in.yaml", "--to", "cilium", "--json").stdout)
    found = json.loads(invoke("in.yaml", "--to", "cilium", "--scenario", "s.yaml", "--json").stdout)
    assert 0 < found["compared"] < alone["compared"]
    assert found["differing"] == found["depending"] == found["notCompared"] == []
