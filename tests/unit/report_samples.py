"""Results made by hand, for the tests of reports."""

from __future__ import annotations

from harness.model.outcome import Observation, Outcome, OutcomeKind
from harness.model.prediction import Answer, Finding, Predicted
from harness.model.probe import DnsQuery, HttpRequest, Probe, Request, Source, SourceKind, Target, TargetKind
from harness.model.result import Backend, CellResult, RunResult, ScenarioResult, StepResult
from harness.model.rules import Origin
from harness.model.scenario import Cell, Scenario, Step
from harness.model.topology import Family, Protocol, Topology
from harness.model.verdict import Expectation, Expected, Known, Status, Verdict
from harness.source import Place

LAB = Backend(
    "lab",
    ("lab", "generic"),
    {"kernel": "6.1.0", "nftables": "1.0.6"},
    frozenset({"external", "ipv6"}),
)
FILE = "scenarios/shop.yaml"


def cell(
    source: str,
    target: str,
    expected: Expected,
    line: int = 1,
    *,
    kind: TargetKind = TargetKind.POD,
    port: int = 8080,
    protocol: Protocol = Protocol.TCP,
    request: Request | None = None,
    family: Family = Family.IPV4,
    suffix: str = "",
    known: tuple[Known, ...] = (),
    file: str = FILE,
) -> Cell:
    """A cell from a pod."""
    probe = Probe(Source(SourceKind.POD, source), Target(kind, target, port, protocol), family, request)
    return Cell(probe.id + suffix, probe, Expectation(expected, known=known), Place(file, line, 5))


ALLOWED = Observation(
    Outcome(OutcomeKind.CONNECTED, token=True, served_by="production/api"), receipts=1, seconds=0.0021
)
TIMED_OUT = Observation(Outcome(OutcomeKind.TIMEOUT), listening=True, attempts=2, seconds=1.0)
REFUSED = Observation(
    Outcome(OutcomeKind.REFUSED, by="icmp 3/13 from 10.0.1.1"), listening=True, seconds=0.001
)


def judged(item: Cell, status: Status = Status.PASSED, **more: object) -> CellResult:
    """The cell, measured: a pass sees what was expected."""
    expected = item.expectation.default
    values: dict[str, object] = {}
    if status is not Status.ERROR:
        allowed = (expected is Expected.ALLOW) == (status is Status.PASSED)
        values = {
            "verdict": Verdict.ALLOW if allowed else Verdict.DROP,
            "observation": ALLOWED if allowed else TIMED_OUT,
        }
    return CellResult(item.id, item, status, expected, **{**values, **more})  # type: ignore[arg-type]


def scenario(name: str, steps: dict[str, list[Cell]], file: str = FILE, **more: object) -> Scenario:
    """A scenario of empty worlds."""
    made = tuple(Step(step, Topology(), (), tuple(cells)) for step, cells in steps.items())
    return Scenario(name, Place(file, 1, 1), Topology(), made, **more)  # type: ignore[arg-type]


def finished(
    name: str, steps: dict[str, list[CellResult]], file: str = FILE, **more: object
) -> ScenarioResult:
    """A scenario with its results."""
    plan = scenario(name, {step: [item.cell for item in cells] for step, cells in steps.items()}, file)
    results = tuple(
        StepResult(step, tuple(cells), in_force=0.012, in_force_by="nft commit", seconds=0.3)
        for step, cells in steps.items()
    )
    return ScenarioResult(plan, results, seconds=0.412, build_seconds=0.21, **more)  # type: ignore[arg-type]


def run(*scenarios: ScenarioResult, **more: object) -> RunResult:
    """A run of the scenarios."""
    values: dict[str, object] = {"seconds": 2.31, "revision": "c4e1246", "version": "0.1.0", **more}
    return RunResult("r1a2b3", "2026-03-01T12:00:00Z", LAB, scenarios, **values)  # type: ignore[arg-type]


RULE = Origin("NetworkPolicy production/api-policy", "ingress[0]", Place("policies/api.yaml", 14, 5))
A, X, D = Expected.ALLOW, Expected.DENY, Expected.DROP


def passing() -> ScenarioResult:
    """Two pods, all as expected."""
    return finished(
        "api-policy",
        {
            "expect": [
                judged(cell("production/gateway", "production/api", A, 11)),
                judged(cell("production/db", "production/api", X, 12)),
                judged(cell("production/db", "production/api", D, 13, port=8081)),
                judged(cell("production/gateway", "production/api", Expected.OBSERVE, 14, port=8081)),
            ]
        },
    )


def failing() -> ScenarioResult:
    """A failure each way, a reject where a drop was expected."""
    return finished(
        "shop",
        {
            "expect": [
                judged(cell("production/gateway", "production/api", A, 21)),
                judged(
                    cell("production/db", "production/api", X, 22),
                    Status.FAILED,
                    evidence=("nft counter of that rule: 1 packet",),
                    predicted=Predicted(Answer.ALLOW, "a rule allows it", (RULE,)),
                    finding=Finding.EXPECTATION,
                    finding_text=f"the expectation looks wrong: {RULE} decides",
                ),
                judged(
                    cell("production/gateway", "production/db", A, 23, port=5432),
                    Status.FAILED,
                    reason="no rule allows it",
                    notes=("undefined by the specification: an ipBlock that covers pod addresses",),
                ),
                judged(
                    cell("ingress-nginx/ctl", "production/db", D, 24, port=5432),
                    Status.FAILED,
                    verdict=Verdict.REJECT,
                    observation=REFUSED,
                ),
                judged(
                    cell(
                        "production/gateway",
                        "production/api",
                        A,
                        25,
                        kind=TargetKind.SERVICE,
                        port=80,
                        request=HttpRequest("POST", "/api/v1/orders?x='1'", (("X-API-Version", "2"),)),
                    ),
                    Status.FAILED,
                    verdict=Verdict.DENY_HTTP,
                    observation=Observation(Outcome(OutcomeKind.HTTP, "403"), seconds=0.01),
                ),
                judged(
                    cell(
                        "production/gateway",
                        "",
                        Expected.DNS_NXDOMAIN,
                        26,
                        kind=TargetKind.DNS,
                        port=53,
                        protocol=Protocol.UDP,
                        request=DnsQuery("nobody.example.com"),
                    ),
                    verdict=Verdict.DNS_NXDOMAIN,
                    observation=Observation(Outcome(OutcomeKind.DNS, "NXDOMAIN")),
                ),
            ]
        },
    )


def broken() -> ScenarioResult:
    """Errors with one reason, more than are listed, and one of its own; a known deviation."""
    same = [
        judged(
            cell(f"team-{number}/client", "shop/web", X, 30 + number),
            Status.ERROR,
            reason="control failed: without policies the probe did not connect",
            control="timeout",
        )
        for number in range(7)
    ]
    other = judged(
        cell("shop/web", "shop/gone", A, 40, port=9),
        Status.ERROR,
        reason="nobody listens on shop/gone:9/TCP",
        observation=Observation(Outcome(OutcomeKind.REFUSED, by="rst"), listening=False),
    )
    known = judged(
        cell("shop/web", "shop/db", D, 41, known=(Known("lab", A, "https://example.com/1"),)),
        Status.XFAILED,
        reason="known deviation: allow on lab, https://example.com/1",
    )
    return finished("broken-pod", {"expect": [*same, other, known]})


def steps() -> ScenarioResult:
    """Three steps, the second one wrong."""
    first = cell("n/cli", "n/srv", X, 50, port=80)
    second = cell("n/cli", "n/srv", A, 55, port=80)
    return finished(
        "relabel",
        {
            "closed": [judged(first)],
            "relabelled": [judged(second, Status.FAILED, reason="flapping: allow, drop, allow")],
            "closed-again": [judged(first)],
        },
    )


def wide() -> ScenarioResult:
    """Twelve pods with long names against each other."""
    pods = [f"team-{letter}/service-with-a-long-name-{letter}" for letter in "abcdefghijkl"]
    cells = [
        judged(cell(source, target, X if (number + other) % 3 else A, 100 + number))
        for number, source in enumerate(pods)
        for other, target in enumerate(pods)
        if source != target
    ]
    cells[7] = judged(cells[7].cell, Status.FAILED)
    return finished("wide-world", {"expect": cells})


def hostile() -> ScenarioResult:
    """Text that tries to colour, to clear the screen, to open markup, to turn writing around."""
    nasty = "\x1b[31mred\x1b[0m [bold]markup[/bold] [/] \u202egnirts\r\nFAIL"
    item = cell("n/a", "n/b", X, 60, request=HttpRequest("GET", f"/{nasty}"), file="we ird/[red]\x1b[2J.yaml")
    return finished(
        "hostile",
        {"expect": [judged(item, Status.FAILED, reason=nasty, evidence=(nasty,), notes=(nasty,))]},
        file="we ird/[red]\x1b[2J.yaml",
    )


def skipped() -> ScenarioResult:
    """Not for this cluster."""
    plan = scenario("sctp-only", {"expect": [cell("n/a", "n/b", A)]})
    return ScenarioResult(plan, skipped="needs sctp, which the lab on this machine does not have")


def unbuildable() -> ScenarioResult:
    """The world could not be built."""
    plan = scenario("no-world", {"expect": [cell("n/a", "n/b", A), cell("n/b", "n/a", A)]})
    return ScenarioResult(plan, error="nft: operation not permitted")
