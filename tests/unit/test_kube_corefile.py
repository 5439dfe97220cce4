"""Names in CoreDNS's configuration: what is put in, and that the original comes back byte for byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.kube import corefile
from harness.clusters.kube.corefile import CorefileError, names_in, runs, with_names, without

KUBEADM = """.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    reload
    loadbalance
}
"""
PAY = {"api.payment.com": ["203.0.113.10"]}


def test_names_stand_in_the_block_for_everything() -> None:
    changed = with_names(KUBEADM, "r1", PAY)
    head, _, tail = changed.partition("    # netcheck r1 end\n")
    assert head.startswith(".:53 {\n    # netcheck r1 begin\n")
    assert 'match "^api[.]payment[.]com[.]$"' in head
    assert 'answer "{{ .Name }} 1 IN A 203.0.113.10"' in head
    # Names below it, and everything else, fall through to what answered before.
    assert head.count("fallthrough") == head.count("template")
    assert tail.replace("reload 2s 1s # netcheck keeps:reload", "reload") == KUBEADM.partition("{\n")[2]


def test_each_family_has_its_records_and_other_types_no_data() -> None:
    changed = with_names(KUBEADM, "r1", {"Both.Example.": ["203.0.113.1", "2001:db8::1"]})
    assert re.findall(r"template IN (\w+) (\S+)", changed) == [
        ("A", "both.example"),
        ("AAAA", "both.example"),
        ("ANY", "both.example"),
    ]


def test_runs_come_and_go_in_any_order() -> None:
    one = with_names(KUBEADM, "r1", PAY)
    both = with_names(one, "r2", {"www.example": ["203.0.113.2"]})
    assert set(runs(both)) == {"r1", "r2"}
    assert names_in(both) == {"api.payment.com": "r1", "www.example": "r2"}
    assert without(both, "r2") == one
    assert without(without(both, "r1"), "r2") == KUBEADM
    assert without(both) == KUBEADM


def test_a_run_replaces_its_own_names() -> None:
    again = with_names(with_names(KUBEADM, "r1", PAY), "r1", {"www.example": ["203.0.113.2"]})
    assert names_in(again) == {"www.example": "r1"}
    assert without(again, "r1") == KUBEADM


def test_a_name_that_another_run_has_is_refused() -> None:
    with pytest.raises(CorefileError, match=r"api\.payment\.com is in use by run r1"):
        with_names(with_names(KUBEADM, "r1", PAY), "r2", {"API.payment.com.": ["203.0.113.9"]})


def test_a_configuration_without_a_place_for_names() -> None:
    with pytest.raises(CorefileError, match="no server block"):
        with_names("example.org:53 {\n    whoami\n}\n", "r1", PAY)


@pytest.mark.parametrize("name", ["", "a b", 'x" {', "a\n}", "é.example", "a..b", "-.", "{$HOME}"])
def test_what_is_no_name_does_not_get_into_the_configuration(name: str) -> None:
    with pytest.raises(CorefileError, match="no name that can be put"):
        with_names(KUBEADM, "r1", {name: ["203.0.113.1"]})


@pytest.mark.parametrize(
    "head", [".:53 {", ". {", "dns://.:53 {", "cluster.local . {", ".:53 example:53 { # all", "\t.:53  {"]
)
def test_blocks_for_everything_as_people_write_them(head: str) -> None:
    text = f"# ours\n{head}\n    whoami\n}}\n"
    changed = with_names(text, "r1", PAY)
    assert names_in(changed) == {"api.payment.com": "r1"}
    assert without(changed) == text


LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?", fullmatch=True)
NAMES = st.dictionaries(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.lists(st.sampled_from(["203.0.113.1", "2001:db8::1"]), min_size=1, max_size=2, unique=True),
    min_size=1,
    max_size=4,
)


@given(NAMES, st.sampled_from(["reload", "reload 10s", "reload 30s 15s # slow", "# none"]))
def test_the_original_comes_back(names: dict[str, list[str]], reload: str) -> None:
    text = KUBEADM.replace("    reload\n", f"    {reload}\n")
    changed = with_names(text, "r1", names)
    assert set(names_in(changed)) == set(names)
    assert without(changed, "r1") == text
    assert corefile.without(text, "r1") == text
