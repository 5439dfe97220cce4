"""The DNS proxy without packets: what is refused and how, what is learned, and for how long."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clusters.lab.proxy.dns import Clerk
from harness.clusters.lab.proxy.dns_wire import question, rejection, told
from harness.clusters.lab.proxy.learned import Learned, NameSet
from harness.model.names import parse_pattern
from probes import dns

GOOD = dns.query(17, "good.example.com", 1)


def clerk(*patterns: str) -> tuple[Clerk, list[tuple[str, Mapping[str, float]]]]:
    taught: list[tuple[str, Mapping[str, float]]] = []
    names = [parse_pattern(item) for item in patterns]
    return Clerk(lambda: names, lambda *item: taught.append(item), lambda: "REFUSED"), taught


def answer(message: bytes, *records: tuple[str, int, str]) -> bytes:
    asked = dns.parse(message)
    made = tuple(dns.Record(asked.name, dns.TYPES[kind], ttl, data) for kind, ttl, data in records)
    return dns.response(asked, "NOERROR", made)


def test_a_question_that_passes_teaches_its_answer() -> None:
    made, taught = clerk("*.example.com")
    assert made.ask(GOOD) == (True, None)
    reply = answer(GOOD, ("A", 30, "203.0.113.7"), ("A", 10, "203.0.113.8"))
    assert made.answered(reply)
    assert taught == [("good.example.com", {"203.0.113.7": 10.0, "203.0.113.8": 10.0})]
    # Only once, and nothing that was not asked.
    assert not made.answered(reply)
    assert len(taught) == 1


def test_an_alias_counts_for_the_name_that_was_asked() -> None:
    made, taught = clerk("good.example.com")
    made.ask(GOOD)
    assert made.answered(answer(GOOD, ("CNAME", 5, "other.example.net"), ("A", 60, "203.0.113.7")))
    assert taught == [("good.example.com", {"203.0.113.7": 5.0})]


def test_an_answer_to_another_question_is_dropped() -> None:
    made, taught = clerk("*")
    made.ask(GOOD)
    assert not made.answered(answer(dns.query(17, "evil.example.com", 1), ("A", 9, "203.0.113.9")))
    assert not made.answered(answer(dns.query(18, "good.example.com", 1), ("A", 9, "203.0.113.9")))
    assert taught == []


def test_an_answer_without_addresses_passes() -> None:
    made, taught = clerk("*")
    made.ask(GOOD)
    assert made.answered(dns.response(dns.parse(GOOD), "NXDOMAIN"))
    assert taught == []


@pytest.mark.parametrize(("rcode", "number"), [("REFUSED", 5), ("NXDOMAIN", 3)])
def test_rejections(rcode: str, number: int) -> None:
    assert rejection(question(GOOD), rcode) == struct.pack(">6H", 17, 0x8100 | number, 1, 0, 0, 0) + GOOD[12:]


def test_flags_of_a_rejection() -> None:
    """Only what a question's own flags say comes back: RD and CD, and the opcode."""
    everything = GOOD[:2] + b"\x07\xf0" + GOOD[4:]
    assert rejection(question(everything), "REFUSED")[2:4] == b"\x81\x15"
    status = GOOD[:2] + b"\x11\x10" + GOOD[4:]
    assert rejection(question(status), "REFUSED")[2:4] == b"\x90\x05"


def test_the_case_of_a_question_is_kept() -> None:
    made, _ = clerk("example.com")
    passes, reply = made.ask(dns.query(1, "BaD.eXample.com", 28))
    assert not passes
    assert reply is not None
    assert b"\x03BaD\x07eXample" in reply


def test_rules_that_are_gone_let_everything_pass() -> None:
    made = Clerk(lambda: None, lambda *item: None, lambda: "REFUSED")
    assert made.ask(GOOD) == (True, None)


@given(st.binary(max_size=80))
def test_hostile_messages(data: bytes) -> None:
    made, _ = clerk("good.example.com")
    passes, reply = made.ask(data)
    assert not (passes and reply)
    assert not made.answered(data)
    try:
        told(data)
    except dns.DnsError:
        return


@given(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=3))
def test_damaged_questions(at: int, damage: bytes) -> None:
    made, _ = clerk("good.example.com")
    made.ask(GOOD[:at] + damage + GOOD[at:])


# -- what is learned -----------------------------------------------------------------------------------


class Kernel:
    """Sets and a clock, as the proxy sees them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sets: set[tuple[str, str, str, str]] = set()
        self._due: list[tuple[float, Callable[[], None]]] = []

    def change(self, place: str, name: str, elements: Sequence[Sequence[str]], there: bool) -> None:
        for own, other in elements:
            (self.sets.add if there else self.sets.discard)((place, name, own, other))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append((self.now + seconds, act))

    def advance(self, to: float) -> None:
        self.now = to
        for due, act in [item for item in self._due if item[0] <= to]:
            self._due.remove((due, act))
            act()

    @property
    def elements(self) -> set[tuple[str, str, str]]:
        return {item[1:] for item in self.sets}


PODS = [["10.0.0.1", "fd00::1"], ["10.0.0.2", "fd00::2"]]
SET = NameSet.from_wire(["four", "six", ["*.x.com"]])
OTHER = NameSet.from_wire(["four2", "six2", ["a.x.com", "b.y.com"]])


def learned(*sets: NameSet) -> tuple[Learned, Kernel]:
    kernel = Kernel()
    made = Learned(kernel.change, kernel.later, lambda: kernel.now, grace=60)
    made.describe(PODS, sets)
    return made, kernel


def test_an_address_lives_as_long_as_its_time_and_the_grace() -> None:
    made, kernel = learned(SET)
    made.tell("node:a", "10.0.0.1", "A.x.com", {"203.0.113.7": 30.0})
    assert kernel.sets == {("node:a", "four", "10.0.0.1", "203.0.113.7")}
    kernel.advance(89)
    assert kernel.elements
    kernel.advance(90)
    assert not kernel.elements
    assert not made.knows("10.0.0.1", "203.0.113.7", SET.patterns)


def test_a_later_answer_prolongs_it() -> None:
    made, kernel = learned(SET)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"203.0.113.7": 30.0})
    kernel.advance(50)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"203.0.113.7": 30.0})
    kernel.advance(139)
    assert kernel.elements
    kernel.advance(140)
    assert not kernel.elements


def test_another_name_keeps_the_address() -> None:
    made, kernel = learned(SET, OTHER)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"203.0.113.7": 0.0})
    made.tell("node:a", "10.0.0.1", "c.x.com", {"203.0.113.7": 30.0})
    assert {item[0] for item in kernel.elements} == {"four", "four2"}
    kernel.advance(60)
    assert {item[0] for item in kernel.elements} == {"four"}
    kernel.advance(90)
    assert not kernel.elements


def test_a_pod_asks_by_one_family_for_the_other() -> None:
    made, kernel = learned(SET)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"2001:db8::7": 30.0})
    assert kernel.elements == {("six", "fd00::1", "2001:db8::7")}
    assert made.knows("fd00::1", "2001:db8::7", SET.patterns)
    assert not made.knows("fd00::2", "2001:db8::7", SET.patterns)


def test_new_sets_get_what_is_known() -> None:
    made, kernel = learned(SET)
    made.tell("node:a", "10.0.0.1", "b.y.com", {"203.0.113.7": 30.0})
    assert not kernel.elements
    assert made.elements([OTHER]) == {"four2": [("10.0.0.1", "203.0.113.7")]}
    made.describe(PODS, [OTHER])
    assert kernel.elements == {("four2", "10.0.0.1", "203.0.113.7")}


def test_a_pod_that_is_gone_is_forgotten() -> None:
    made, kernel = learned(SET)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"203.0.113.7": 30.0})
    made.describe(PODS[1:], [SET])
    assert made.elements([SET]) == {}
    kernel.advance(100)
    made.tell("node:a", "10.0.0.1", "a.x.com", {"203.0.113.7": 30.0})
    assert made.elements([SET]) == {}
