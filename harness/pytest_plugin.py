"""The pytest plugin: scenario files are tests.

Every pytest of an environment that netcheck is installed in loads this module, so it imports the standard
library and pytest; all else comes with the first scenario file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.testing.flags import FLAGS, PREFIX

if TYPE_CHECKING:
    from harness.model.result import RunResult
    from harness.testing.api import Netcheck
    from harness.testing.session import Scenarios

_SESSION: pytest.StashKey[Scenarios] = pytest.StashKey()
_RESULT: pytest.StashKey[RunResult] = pytest.StashKey()
_PROBLEM: pytest.StashKey[str] = pytest.StashKey()
_TOLD: pytest.StashKey[bool] = pytest.StashKey()
NOT_MEASURED = "not measured"
_LOOKED_AT = 64
"""Files of a folder that are looked at before collection; the header says less when there are more."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """`--netcheck-…`."""
    _leave_alone(pluginmanager)
    group = parser.getgroup("netcheck", "network policy scenarios (netcheck)")
    for name, metavar, text, repeatable in FLAGS:
        more: dict[str, Any] = {"metavar": metavar} if metavar else {}
        more["action"] = "append" if repeatable else "store" if metavar else "store_true"
        group.addoption(f"--{PREFIX}{name}", default=None, help=text.replace("%", "%%"), **more)


def _leave_alone(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take netcheck's own modules from those whose assertions pytest rewrites.

    It means to rewrite whatever is installed along with a plugin; here that would be three hundred modules,
    each compiled anew where their folder cannot be written to.
    """
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked -= {"harness", "probes"}


def _scenarios(config: pytest.Config) -> Scenarios:
    """The scenarios of the session; from here on everything is loaded."""
    if _SESSION not in config.stash:
        from harness.testing.session import Scenarios

        config.stash[_SESSION] = Scenarios(config)
    return config.stash[_SESSION]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that cannot be understood."""
    config.pluginmanager.register(_Reports(config), "netcheck-reports")
    if any(config.getoption(f"{PREFIX}{name}".replace("-", "_")) for name, *_ in FLAGS):
        from harness.testing.settings import SettingsError

        try:
            found = _scenarios(config)
            if not found.worker and not config.option.collectonly:
                found.settings.files()
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A YAML file with a document that has a top-level `scenario:`."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from harness.scenario.sniff import declares, mentioning

    data = mentioning(file_path)
    if data is None:
        return None
    if not declares(data):
        from harness.scenario.loader import is_scenario_file

        if not is_scenario_file(file_path):
            return None
    from harness.testing.nodes import ScenarioFile
    from harness.testing.settings import SettingsError

    node: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    try:
        node.scenarios = _scenarios(parent.config)
    except SettingsError as error:
        node.problem = None if _TOLD in parent.config.stash else str(error)
        parent.config.stash[_TOLD] = True
    return node


def pytest_collection_finish(session: pytest.Session) -> None:
    """All selections are made: what is left is what will be measured."""
    scenarios = session.config.stash.get(_SESSION, None)
    if scenarios is None or session.config.option.collectonly:
        return
    from harness.testing.settings import SettingsError

    try:
        scenarios.plan(session.items)
    except SettingsError as error:
        if not scenarios.worker:
            raise pytest.UsageError(str(error)) from error
        scenarios.problem = error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What is to be shown of a cell."""
    report = yield
    if _SESSION in item.config.stash:
        from harness.testing.reports import complete

        complete(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Trouble of a whole scenario is one error; its other cells are counted apart, and no less failed."""
    if getattr(report, "netcheck", {}).get("echo"):
        return NOT_MEASURED, "n", NOT_MEASURED.upper()
    return None


class _Reports:
    """Hears of reports; a plugin of its own since that hook does not say whose session it is."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Give back to a report what its way from a worker took, and to JUnit netcheck's words."""
        if not hasattr(report, "netcheck"):
            return (yield)
        from harness.testing import reports

        data = reports.received(report)
        assert data is not None
        reports.name_case(self._config, report, data)
        try:
            return (yield)
        finally:
            reports.word_case(self._config, report, data)


def pytest_report_header(config: pytest.Config) -> str | None:
    """The cluster, the backend, versions; nothing where there will be no scenario."""
    if hasattr(config, "workerinput") or not (_SESSION in config.stash or _likely(config)):
        return None
    return _about(config)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """What the header did not say since nobody saw scenarios coming, and what linting would say."""
    if _SESSION not in config.stash or hasattr(config, "workerinput"):
        return []
    from harness.testing.header import warned
    from harness.testing.nodes import CellItem

    if not any(isinstance(item, CellItem) for item in items):
        return []
    told = config.stash.get(_TOLD, False)
    return [line for line in ("" if told else _about(config) or "", warned(config.stash[_SESSION])) if line]


def _about(config: pytest.Config) -> str | None:
    from harness.testing.header import about
    from harness.testing.settings import SettingsError

    config.stash[_TOLD] = True
    try:
        return about(_scenarios(config), offline=config.option.collectonly)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from error


def _likely(config: pytest.Config) -> bool:
    """Whether there will be scenarios, as far as a look at the paths of the command line can tell."""
    for arg in config.args:
        path = config.invocation_params.dir / arg.partition("::")[0]
        near = [path] if path.suffix in (".yaml", ".yml") else []
        near += [*islice(path.glob("*.y*ml"), _LOOKED_AT), *islice(path.glob("*/*.y*ml"), _LOOKED_AT)]
        if near and _mentioned(near):
            return True
    return False


def _mentioned(paths: Sequence[Path]) -> bool:
    from harness.scenario.sniff import mentioning

    return any(mentioning(path) is not None for path in paths)


@pytest.fixture
def netcheck(request: pytest.FixtureRequest) -> Iterator[Netcheck]:
    """Worlds, policies and probes for tests written in Python; see `harness.testing.api`."""
    from harness.testing.fixture import fixture

    found = fixture(_scenarios(request.config), request.path.parent)
    yield found
    found.close()


@pytest.fixture(scope="module")
def netcheck_module(request: pytest.FixtureRequest) -> Iterator[Netcheck]:
    """The same for a module: its worlds stand until the module's last test is over."""
    from harness.testing.fixture import fixture

    found = fixture(_scenarios(request.config), request.path.parent)
    yield found
    found.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist how tests are shared."""
    from harness.testing.workers import DIST

    node.workerinput[DIST] = node.config.option.dist


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scenario is what stays together with `--dist loadscope` or `loadgroup`."""
    if config.option.dist not in ("loadscope", "loadgroup"):
        return None
    from harness.testing.workers import scheduler

    return scheduler(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker measured."""
    from harness.testing.workers import OUTPUT, collected

    if OUTPUT in getattr(node, "workeroutput", {}):
        collected(node, _scenarios(node.config).documents)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take everything down, and write the reports."""
    scenarios = session.config.stash.get(_SESSION, None)
    if scenarios is None:
        return
    result = scenarios.finish(session)
    if result is None:
        return
    session.config.stash[_RESULT] = result
    from harness.testing.summary import write_reports

    problem = write_reports(scenarios, result)
    if problem:
        session.config.stash[_PROBLEM] = problem
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The matrix of each scenario that is not as expected."""
    result = config.stash.get(_RESULT, None)
    if result is not None:
        from harness.testing.summary import summarize

        summarize(terminalreporter, config.stash[_SESSION], result)
    if _PROBLEM in config.stash:
        terminalreporter.write_line(f"netcheck: {config.stash[_PROBLEM]}", red=True)
