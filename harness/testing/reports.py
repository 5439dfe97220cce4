"""pytest's reports of cells: what they show, and what JUnit says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from _pytest.junitxml import bin_xml_escape, xml_key  # pytest has no public way to a JUnit case

from harness.report.junit import classname
from harness.source.render import printable
from harness.testing.measurement import FaultError
from harness.testing.nodes import CellItem
from harness.testing.settings import SettingsError
from harness.testing.shown import Shown, broken

ATTRIBUTE = "netcheck"


def complete(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put into the report of a cell what netcheck knows of it."""
    if not isinstance(item, CellItem):
        return
    error = call.excinfo.value if call.excinfo is not None else None
    place, node = item.cell.place, item.scenario_node
    shown = None
    message = ""
    if node.cases:
        shown = item.told(error) if error is not None else None
        message = printable(item.case.message)
        if shown is None and report.skipped and not hasattr(report, "wasxfail"):
            line = node.scenario.place.line if item.case.result is None else place.line
            report.longrepr = (str(item.path), line, f"Skipped: {message}")
        if report.when == "call" or report.outcome != "passed":
            report.sections += item.sections()
    elif isinstance(error, (FaultError, SettingsError)):
        shown = broken(item.full_id, place, str(error))
        message = shown.reprcrash.message
    if shown is not None:
        report.longrepr = shown  # type: ignore[assignment]
    data: dict[str, Any] = {
        "classname": classname(node.scenario),
        "name": printable(f"{item.step.name}::{item.cell_id}"),
        "file": printable(place.file),
        "line": str(place.line),
        "message": message,
        "shown": shown.out() if shown is not None else None,
        "echo": report.failed and item.echo,
    }
    setattr(report, ATTRIBUTE, data)


def received(report: pytest.TestReport) -> dict[str, Any] | None:
    """What netcheck knows of the cell of a report; one that came from a worker gets back what it lost."""
    data: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
    if data and data["shown"] and not isinstance(report.longrepr, Shown):
        report.longrepr = Shown.back(data["shown"])  # type: ignore[assignment]
    return data


def name_case(config: pytest.Config, report: pytest.TestReport, data: Mapping[str, Any]) -> None:
    """Call the JUnit case of a cell what netcheck's own JUnit report calls it; before pytest writes it."""
    reporter = _reporter(config, report)
    if reporter is None:
        return
    prefix = config.option.junitprefix
    classname = f"{prefix}.{data['classname']}" if prefix else data["classname"]
    for name, value in (("classname", classname), ("name", data["name"])):
        reporter.add_attribute(name, value)
    for name in ("file", "line"):
        reporter.add_attribute(name, data[name])


def word_case(config: pytest.Config, report: pytest.TestReport, data: Mapping[str, Any]) -> None:
    """Leave in the JUnit case of a cell netcheck's message alone; after pytest has written it.

    pytest leads the message of an error by words about its phase, and shortens long ones.
    """
    reporter = _reporter(config, report)
    if reporter is None or report.passed:
        return
    for node in getattr(reporter, "nodes", ()):
        if node.tag in ("failure", "error", "skipped") and data["message"]:
            node.set("message", bin_xml_escape(data["message"]))


def _reporter(config: pytest.Config, report: pytest.TestReport) -> Any:
    xml = config.stash.get(xml_key, None)
    return None if xml is None or report.when == "teardown" else xml.node_reporter(report)
