"""Both readings of scalars."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.source.diagnostics import Problems
from harness.source.reader import read_text
from harness.source.values import BadValueError, boolean, duration, integer, manifest_value, port


def manifest(text: str) -> object:
    (document,) = read_text(f"v: {text}", "a.yaml", Problems())
    value = manifest_value(document.root)
    assert isinstance(value, dict)
    return value["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE")),
        *(
            (word, False)
            for word in ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE")
        ),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("yES", "yES"),
        ("'yes'", "yes"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("1_000", 1000),
        ("010", 8),
        ("0o17", 15),
        ("08", 8),
        ("0x1F", 31),
        ("-0x10", -16),
        ("0b101", 5),
        ("18446744073709551615", 2**64 - 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1:20", "1:20"),
        ("190:20:30", "190:20:30"),
        ("2001-12-14", "2001-12-14"),
        ("0x", "0x"),
        ("--", "--"),
        ("1.2.3.4", "1.2.3.4"),
        ("8080/UDP", "8080/UDP"),
        ("[a, 1, no]", ["a", 1, False]),
    ],
)
def test_manifests_are_read_as_kubernetes_reads_them(text: str, value: object):
    found = manifest(text)
    assert found == value
    assert type(found) is type(value)


def test_keys_of_manifests_become_texts():
    (document,) = read_text("{on: 1, 8: 2, '8a': 3, 010: 4}", "a.yaml", Problems())
    assert manifest_value(document.root) == {"true": 1, "8": 4, "8a": 3}


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (boolean, "true", True),
        (boolean, "false", False),
        (duration, "500ms", 0.5),
        (duration, "1s", 1.0),
        (duration, "1.5s", 1.5),
        (duration, "2m", 120.0),
        (port, "1", 1),
        (port, "65535", 65535),
    ],
)
def test_scalars_of_the_scenario_language(read: Callable[[str], object], text: str, value: object):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "help"),
    [
        (boolean, "yes", "write true"),
        (boolean, "OFF", "write false"),
        (boolean, "True", "write true"),
        (boolean, "1", "write true or false"),
        (duration, "5", "write 5ms or 5s"),
        (duration, "0s", "durations go from 1ms to 60m"),
        (duration, "99m", "durations go from 1ms to 60m"),
        (duration, "-1s", "write a number with its unit: 500ms, 1s, 2m"),
        (duration, "1 s", "write a number with its unit: 500ms, 1s, 2m"),
        (port, "0", "ports go from 1 to 65535"),
        (port, "65536", "ports go from 1 to 65535"),
        (port, "9" * 5000, "ports go from 1 to 65535"),
        (port, "08", "write 8"),
        (port, "1_000", "write 1000"),
        (port, "-80", "write a number from 1 to 65535"),
        (port, "٨٠", "write a number from 1 to 65535"),
    ],
)
def test_refused_scalars_say_what_to_write(read: Callable[[str], object], text: str, help: str):
    with pytest.raises(BadValueError) as caught:
        read(text)
    assert caught.value.help == help


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_refused(text: str):
    for read in (boolean, duration, port, lambda word: integer(word, 1, 9)):
        with contextlib.suppress(BadValueError):
            assert isinstance(read(text), bool | int | float)


@given(st.integers(1, 65535))
def test_ports_are_read_back(number: int):
    assert port(str(number)) == number
