"""Neutral rules as lines for nft: what a pod's chain says, in which order."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.addressing import Addressing
from harness.clusters.lab.clauses import merge_ranges
from harness.clusters.lab.enforce import TABLE, Compiled, compile_node
from harness.model.builtin import DNS_POD
from harness.model.personality import CALICO, CILIUM, GENERIC, Personality
from harness.model.rules import (
    OPEN_POINTS,
    Action,
    Block,
    Direction,
    Match,
    Origin,
    PolicyBlock,
    Ports,
    Reach,
    Rule,
    Stage,
    Tier,
    merged,
)
from harness.model.topology import Protocol
from harness.scenario.cells import MAX_CELLS
from tests.unit.kubernetes_worlds import pod, world

TCP, UDP, ICMP = Protocol.TCP, Protocol.UDP, Protocol.ICMP
IN, OUT = Direction.INGRESS, Direction.EGRESS
WORLD = world(pod("n/a", node="a"), pod("n/b", node="a"), pod("n/c", node="b"))
ADDRESSING = Addressing()
ADDRESSING.learn(WORLD, DNS_POD)
LINKS = {"n/a": "p1", "n/b": "p2"}
"""Interfaces of node a."""

A, B, C = (ADDRESSING.pod(name) for name in ("n/a", "n/b", "n/c"))
V4, V6 = "meta nfproto ipv4 ", "meta nfproto ipv6 "


def rule(
    *matches: Match, action: Action = Action.ALLOW, name: str = "r", open_point: str | None = None
) -> Rule:
    return Rule(action, matches, Origin("P n/p", name), open_point)


def stage(
    *blocks: tuple[Sequence[str], Sequence[Rule]],
    direction: Direction = IN,
    default: Action = Action.DENY,
    name: str = "s",
) -> Stage:
    made = tuple(
        PolicyBlock(frozenset(subjects), tuple(rules), Origin("P n/p", "spec")) for subjects, rules in blocks
    )
    return Stage(Tier(name, 0), direction, made, default)


def compiled(*stages: Stage, personality: Personality = GENERIC) -> Compiled:
    return compile_node(stages, ADDRESSING, "a", LINKS, personality)


def plain(found: Compiled, line: str) -> str:
    """A line with its set written out and its comment replaced by what that stands for."""
    sets = dict(re.findall(r"set (a\d+) \{[^{]*elements = \{ ([^}]*) \} \}", found.script))
    line = re.sub(r"@(a\d+)", lambda match: "{" + sets[match[1]] + "}", line)
    line = re.sub(r' comment "(r\d+)"', lambda match: f" # {found.comments[match[1]]}", line)
    return line.replace("counter ", "")


def chain(found: Compiled, name: str) -> list[str]:
    match = re.search(rf"^chain {name} \{{\n(.*?)\n?^\}}", found.script, re.MULTILINE | re.DOTALL)
    assert match, f"no chain {name} in\n{found.script}"
    return [plain(found, line) for line in match[1].splitlines()]


def lines(found: Compiled, name: str) -> list[str]:
    """A chain's lines without those of the default, with the ports that stand in sets."""
    ports = dict(
        re.findall(r"^set (p\d+) \{ type inet_service;.* elements = (\{ .* \}) \}$", found.script, re.M)
    )
    plain = [line.rpartition(" # ")[0] for line in chain(found, name) if "default deny" not in line]
    return [re.sub(r"@(p\d+)", lambda part: ports[part[1]], line) for line in plain]


def jumps(found: Compiled) -> dict[str, str]:
    """`iifname p1` and the like → chain."""
    out = {}
    for side, body in re.findall(r"^(iifname|oifname) vmap \{ (.*) \}$", found.script, re.MULTILINE):
        out.update({f"{side} {link}": name for link, name in re.findall(r'"(\w+)" : jump (\w+)', body)})
    return out


# -- chains and who gets into them ---------------------------------------------------------------------


def test_nothing_stands_in_the_way_without_policies() -> None:
    found = compiled()
    assert jumps(found) == {}
    assert "drop" not in found.script
    assert f"table inet {TABLE} {{" in found.script
    assert chain(found, "forward")[1] == "ct state established,related accept"
    assert (found.comments, found.open_sets) == ({}, {})


def test_only_selected_pods_of_this_node_are_policed() -> None:
    found = compiled(stage((["n/a", "n/c"], [])), stage((["n/b"], []), direction=OUT))
    assert jumps(found) == {"oifname p1": "ingress0_0", "iifname p2": "egress0_0"}


def test_pods_with_the_same_policies_share_a_chain() -> None:
    found = compiled(stage((["n/a", "n/b"], [])))
    assert set(jumps(found).values()) == {"ingress0_0"}


def test_pods_with_different_policies_have_chains_of_their_own() -> None:
    found = compiled(stage((["n/a"], []), (["n/b"], [])))
    assert jumps(found) == {"oifname p1": "ingress0_0", "oifname p2": "ingress1_0"}


def test_a_rule_for_some_subjects_splits_the_group() -> None:
    first = rule(Match(subjects=frozenset({"n/a"}), ports=(Ports(TCP, 80, 80),)), name="web")
    both = rule(Match(ports=(Ports(TCP, 443, 443),)), name="tls")
    found = compiled(stage((["n/a", "n/b"], [first, both])))
    assert jumps(found) == {"oifname p1": "ingress0_0", "oifname p2": "ingress0_1"}
    web = [f"{family}meta l4proto tcp th dport {{ 80 }} return" for family in (V4, V6)]
    tls = [f"{family}meta l4proto tcp th dport {{ 443 }} return" for family in (V4, V6)]
    assert lines(found, "ingress0_0") == web + tls
    assert lines(found, "ingress0_1") == tls


def test_the_default_denies_and_says_whose_it_is() -> None:
    found = compiled(stage((["n/a"], [])))
    text = "# default deny ingress: isolated by P n/p spec"
    assert [line.partition("#")[2] for line in chain(found, "ingress0_0")] == [text[1:]] * 5
    assert chain(found, "ingress0_0")[-1] == f"drop {text}"
    assert set(found.open_sets.values()) == {"icmp", "nodeport-source", "own-service"}


# -- matches -------------------------------------------------------------------------------------------


def block(text: str, *excepts: str, reach: Reach = Reach.ANY) -> Block:
    return Block(ipaddress.ip_network(text), tuple(map(ipaddress.ip_network, excepts)), reach)


NODES4, NODES6 = "{172.18.0.2, 172.18.0.3}", "{fc00:f853::2, fc00:f853::3}"
PODS4, PODS6 = "10.244.0.0/16", "fd00:10:244::/56"

MATCHES = [
    (Match(), [f"{V4}return", f"{V6}return"]),
    (Match(pods=frozenset()), []),
    (Match(blocks=()), []),
    (Match(ports=()), []),
    (
        Match(pods=frozenset({"n/c", "n/b"})),
        [
            f"{ip} saddr {{{', '.join(sorted(both))}}} return"
            for ip, *both in zip(("ip", "ip6"), B, C, strict=True)
        ],
    ),
    (
        Match(pods=frozenset({"n/b"}), blocks=(block("203.0.113.0/24"),)),
        [
            f"ip saddr {{{B[0]}}} return",
            "ip saddr 203.0.113.0/24 return",
            f"ip6 saddr {{{B[1]}}} return",
        ],
    ),
    (Match(blocks=(block("0.0.0.0/0"),)), ["ip saddr 0.0.0.0/0 return"]),
    (Match(blocks=(block("::/0"),)), ["ip6 saddr ::/0 return"]),
    (
        Match(blocks=(block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"),)),
        ["ip saddr 10.0.0.0/8 ip saddr != {10.1.0.0/16, 10.2.0.0/16} return"],
    ),
    (
        Match(blocks=(block("0.0.0.0/0", "10.0.0.0/8", reach=Reach.OUTSIDE),)),
        [f"ip saddr != {{10.0.0.0/8}} ip saddr != {PODS4} ip saddr != {NODES4} return"],
    ),
    (
        Match(blocks=(block("::/0", reach=Reach.OUTSIDE),)),
        [f"ip6 saddr != {PODS6} ip6 saddr != {NODES6} return"],
    ),
    (
        Match(blocks=(block("10.0.0.0/8", reach=Reach.PODS),)),
        [f"ip saddr 10.0.0.0/8 ip saddr {PODS4} return"],
    ),
    (
        Match(blocks=(block("172.16.0.0/12", reach=Reach.NODES),)),
        [f"ip saddr 172.16.0.0/12 ip saddr {NODES4} return"],
    ),
    (
        Match(ports=(Ports(TCP), Ports(UDP, 53, 53))),
        [
            f"{V4}meta l4proto tcp return",
            f"{V4}meta l4proto udp th dport {{ 53 }} return",
            f"{V6}meta l4proto tcp return",
            f"{V6}meta l4proto udp th dport {{ 53 }} return",
        ],
    ),
    (
        Match(ports=(Ports(TCP, 80, 90), Ports(TCP, 85, 95), Ports(TCP, 96), Ports(TCP, 443, 443))),
        [f"{family}meta l4proto tcp th dport {{ 80-96, 443 }} return" for family in (V4, V6)],
    ),
    # All ports of a protocol swallow single ones.
    (
        Match(ports=(Ports(TCP, 80, 80), Ports(TCP))),
        [f"{family}meta l4proto tcp return" for family in (V4, V6)],
    ),
    (Match(ports=(Ports(ICMP),)), [f"{V4}meta l4proto icmp return", f"{V6}meta l4proto ipv6-icmp return"]),
    (
        Match(pods=frozenset({"n/b"}), ports=(Ports(TCP, 80, 80),)),
        [
            f"ip saddr {{{B[0]}}} meta l4proto tcp th dport {{ 80 }} return",
            f"ip6 saddr {{{B[1]}}} meta l4proto tcp th dport {{ 80 }} return",
        ],
    ),
]


@pytest.mark.parametrize(("match", "expected"), MATCHES)
def test_match(match: Match, expected: list[str]) -> None:
    assert lines(compiled(stage((["n/a"], [rule(match)]))), "ingress0_0") == expected


@pytest.mark.parametrize(("match", "expected"), MATCHES)
def test_egress_looks_at_the_destination(match: Match, expected: list[str]) -> None:
    found = compiled(stage((["n/a"], [rule(match)]), direction=OUT))
    assert lines(found, "egress0_0") == [line.replace("saddr", "daddr") for line in expected]


def test_equal_sets_are_one() -> None:
    same = Match(pods=frozenset({"n/b", "n/c"}))
    found = compiled(
        stage((["n/a"], [rule(same), rule(same)])), stage((["n/a"], [rule(same)]), direction=OUT)
    )
    assert len(re.findall(r"^set a\d+ ", found.script, re.MULTILINE)) == 2


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 9)).map(lambda x: (x[0], x[0] + x[1]))))
def test_merged_ranges_hold_the_same_ports_without_overlap(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    assert {port for low, high in merged for port in range(low, high + 1)} == {
        port for low, high in ranges for port in range(low, high + 1)
    }
    for (_, high), (low, _) in itertools.pairwise(merged):
        assert high + 1 < low


# -- actions, order, stages ----------------------------------------------------------------------------

WEB = Match(ports=(Ports(TCP, 80, 80),))


@pytest.mark.parametrize(
    ("action", "end"),
    [
        (Action.ALLOW, "return"),
        (Action.DENY, "drop"),
        (Action.PASS, "return"),
        (Action.LOG, "continue"),
        (Action.REDIRECT, "continue"),
    ],
)
def test_action(action: Action, end: str) -> None:
    found = compiled(stage((["n/a"], [rule(WEB, action=action)])))
    assert lines(found, "ingress0_0")[0] == f"{V4}meta l4proto tcp th dport {{ 80 }} {end}"


def origins(found: Compiled, name: str) -> list[str]:
    return [
        line.rpartition(" ")[2]
        for line in chain(found, name)
        if line.startswith(V4) and "default" not in line
    ]


def test_rules_keep_the_order_of_blocks_and_rules() -> None:
    found = compiled(
        stage(
            (["n/a"], [rule(WEB, name="one"), rule(WEB, name="two", action=Action.DENY)]),
            (["n/b"], [rule(WEB, name="other")]),
            (["n/a"], [rule(WEB, name="three")]),
        )
    )
    assert origins(found, "ingress0_0") == ["one", "two", "three"]


def test_what_rests_on_an_open_point_comes_last() -> None:
    found = compiled(
        stage(
            (["n/a"], [rule(WEB, name="open", open_point="ipblock-pod"), rule(WEB, name="one")]),
            (["n/a"], [rule(WEB, name="two")]),
        )
    )
    assert origins(found, "ingress0_0") == ["one", "two", "open"]
    first = next(line for line in chain(found, "ingress0_0") if line.endswith("open"))
    assert "update @open4_ipblock_pod { ip saddr . th sport . ip daddr } return" in first
    assert found.open_sets["open4_ipblock_pod"] == "ipblock-pod"
    assert found.open_sets["open6_ipblock_pod"] == "ipblock-pod"
    assert set(found.open_sets.values()) <= set(OPEN_POINTS)


def test_an_open_point_without_ports_is_noted_by_addresses() -> None:
    found = compiled(stage((["n/a"], [rule(Match(), open_point="ipblock-node")])))
    assert "update @open4_plain_ipblock_node { ip saddr . ip daddr } return" in chain(found, "ingress0_0")[0]


def test_stages_are_met_in_order_and_pass_goes_to_the_next() -> None:
    found = compiled(
        stage((["n/a"], [rule(WEB, name="one", action=Action.PASS)]), default=Action.PASS, name="admin"),
        stage((["n/b"], [rule(WEB, name="other")]), name="elsewhere"),
        stage((["n/a"], [rule(WEB, name="two", action=Action.PASS)]), name="policies"),
        stage((["n/a"], [rule(WEB, name="three", action=Action.PASS)]), default=Action.PASS, name="baseline"),
    )
    first, second, third = (chain(found, name) for name in ("ingress0_0", "ingress0_0_1", "ingress0_0_2"))
    assert jumps(found)["oifname p1"] == "ingress0_0"
    assert first[0].partition(" # ")[0].endswith("goto ingress0_0_1")
    assert first[-1] == "goto ingress0_0_1"
    assert second[0].partition(" # ")[0].endswith("goto ingress0_0_2")
    assert second[-1].startswith("drop # default deny")
    # After the last stage: allow.
    assert third[0].partition(" # ")[0].endswith("return")
    assert not any("goto" in line or "drop" in line for line in third)
    # The other pod meets its own stage only.
    assert jumps(found)["oifname p2"] == "ingress1_0"
    assert "chain ingress1_0_1" not in found.script


def test_a_stage_that_allows_by_default_ends_the_direction() -> None:
    found = compiled(
        stage((["n/a"], [rule(WEB, name="one", action=Action.DENY)]), default=Action.ALLOW),
        stage((["n/a"], [])),
    )
    assert not any("goto" in line for line in chain(found, "ingress0_0"))


def test_in_an_ordered_stage_rules_on_open_points_keep_their_place() -> None:
    rules = [rule(WEB, name="open", open_point="domain-name"), rule(WEB, name="deny", action=Action.DENY)]
    unordered = stage((["n/a"], rules), default=Action.PASS)
    texts = [line.rpartition(" # ")[2] for line in chain(compiled(unordered), "ingress0_0")]
    assert list(dict.fromkeys(texts)) == ["P n/p deny", "P n/p open"]
    found = compiled(replace(unordered, ordered=True))
    texts = [line.rpartition(" # ")[2] for line in chain(found, "ingress0_0")]
    assert list(dict.fromkeys(texts)) == ["P n/p open", "P n/p deny"]


def test_what_no_block_isolates_is_passed_on() -> None:
    first = stage((["n/a"], [rule(WEB, name="one")]), name="first")
    open_ended = replace(first, blocks=tuple(replace(block, isolates=False) for block in first.blocks))
    found = compiled(open_ended, stage((["n/a"], []), name="second"))
    assert chain(found, "ingress0_0")[-1] == "goto ingress0_0_1"
    assert chain(found, "ingress0_0_1")[-1].startswith("drop")


def test_peers_that_are_nodes() -> None:
    found = compiled(stage((["n/a"], [rule(Match(nodes=frozenset({"a", "b"})))]), direction=OUT))
    v4 = ", ".join(sorted(ADDRESSING.node(node)[0] for node in "ab"))
    assert lines(found, "egress0_0")[0] == f"ip daddr {{{v4}}} return"


def test_stages_of_one_tier_are_one_whichever_dialect_they_come_from() -> None:
    tier, later = Tier("default", 10), Tier("baseline", 20)
    late = PolicyBlock(frozenset({"n/a"}), (rule(WEB, name="late"),), Origin("P n/late", ""), order=9)
    early = PolicyBlock(frozenset({"n/a"}), (rule(WEB, name="early"),), Origin("P n/early", ""), order=1)
    stages = merged(
        [
            Stage(later, IN, (early,), Action.PASS, ordered=True),
            Stage(tier, IN, (late,), Action.DENY),
            Stage(tier, IN, (early,), Action.PASS, ordered=True),
            Stage(tier, OUT, (early,), Action.PASS),
        ]
    )
    assert [(item.name, item.direction, item.default, item.ordered) for item in stages] == [
        ("default", OUT, Action.PASS, False),
        ("default", IN, Action.DENY, True),
        ("baseline", IN, Action.PASS, True),
    ]
    assert stages[1].blocks == (early, late)


def test_every_counter_has_a_meaning() -> None:
    found = compiled(stage((["n/a"], [rule(WEB, name="one")])), stage((["n/b"], []), direction=OUT))
    used = re.findall(r'comment "(r\d+)"', found.script)
    assert sorted(used) == sorted(found.comments)
    assert len(set(used)) == len(used)
    assert found.script.count("counter ") == len(used)


def test_a_pod_that_reaches_itself_through_its_service_passes_and_is_noted() -> None:
    found = compiled(stage((["n/a"], [])))
    own = [line for line in chain(found, "forward") if line.endswith("# own-service")]
    assert len(own) == 2
    assert 'iifname . oifname { "p1" . "p1" }' in own[0]
    assert "update @open4_own_service" in own[0]
    # It stands before the chains of the pods.
    assert chain(found, "forward").index(own[0]) < next(
        number for number, line in enumerate(chain(found, "forward")) if "vmap" in line
    )


def test_a_personality_that_frees_own_services_notes_only_what_goes_through_a_node() -> None:
    found = compiled(stage((["n/a"], [])), personality=CILIUM)
    own = [line for line in chain(found, "forward") if line.endswith("# own-service")]
    assert len(own) == 4
    assert ["meta mark & 0x4000 != 0x4000 accept" in line for line in own] == [True, False] * 2
    assert ["update @open" in line for line in own] == [False, True] * 2


@pytest.mark.parametrize(("personality", "noted"), [(GENERIC, True), (CILIUM, False), (CALICO, False)])
def test_icmp_that_falls_is_noted_where_that_is_open(personality: Personality, noted: bool) -> None:
    found = compiled(stage((["n/a"], [])), personality=personality)
    assert any("open4_plain_icmp" in name for name in found.open_sets) is noted


def test_where_each_packet_is_judged_only_answers_pass_beforehand() -> None:
    found = chain(compiled(stage((["n/a"], [])), personality=CILIUM), "forward")
    assert found[1:3] == ["ct state related accept", "ct state established ct direction reply accept"]
    for personality in (GENERIC, CALICO):
        kept = chain(compiled(stage((["n/a"], [])), personality=personality), "forward")
        assert kept[1] == "ct state established,related accept"


def test_what_pods_send_to_their_node_meets_their_egress_rules_alone() -> None:
    stages = stage((["n/a"], [])), stage((["n/b"], []), direction=OUT)
    for personality in (CILIUM, CALICO):
        found = compiled(*stages, personality=personality)
        lines = chain(found, "input")
        assert lines[0] == "type filter hook input priority filter; policy accept;"
        assert lines[-1] == 'iifname vmap { "p2" : jump egress0_0 }'
        assert any("nd-neighbor-solicit" in line for line in lines)
        assert not any("oifname" in line for line in lines)
        assert "chain input" not in compiled(stages[0], personality=personality).script
    assert "chain input" not in compiled(*stages).script


def test_braces_are_balanced() -> None:
    found = compiled(*(stage((["n/a"], [rule(match)])) for match, _ in MATCHES))
    depth = 0
    for character in found.script:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_no_sweep_fills_the_notes_of_an_open_point() -> None:
    """In a full set the rule would not match: the packet would be dropped, and that would be our doing."""
    found = compiled(stage((["n/a"], [rule(Match(), open_point="ipblock-pod")])))
    sizes = {int(size) for size in re.findall(r"flags dynamic; size ([0-9]+)", found.script)}
    assert min(sizes) >= 2 * 2 * MAX_CELLS  # two attempts, two families


def test_rules_share_the_sets_of_their_ports() -> None:
    """The kernel names a rule's own set by a walk over all others: thousands would take minutes."""
    ports = (Ports(Protocol.TCP, 80), Ports(Protocol.TCP, 90, 99))
    turned = tuple(reversed(ports))
    other = (Ports(Protocol.UDP, 80), Ports(Protocol.UDP, 53))
    rules = [rule(Match(ports=item)) for item in (ports, turned, other, ports[:1])]
    found = compiled(stage((["n/a", "n/b"], rules)))
    sets = re.findall(r"^set p\d+ \{.*$", found.script, re.MULTILINE)
    assert [text.partition("{ ")[2] for text in sets] == [
        "type inet_service; flags interval; elements = { 80, 90-99 } }",
        "type inet_service; elements = { 53, 80 } }",
    ]
    assert found.script.count("dport @") == 2 * 3
    assert found.script.count("dport { 80 }") == 2
