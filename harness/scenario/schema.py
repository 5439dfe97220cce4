"""The shape of scenario files: which keys stand where. What the values mean is checked afterwards."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from harness.scenario.fields import (
    AnyText,
    Duration,
    Established,
    FamilyName,
    Flag,
    Manifest,
    Name,
    PodName,
    Port,
    Present,
    Several,
    Verdict,
    VerdictOrOracle,
    Words,
)
from harness.scenario.located import Items, Table, Text
from harness.scenario.world_schema import (
    Externals,
    Labels,
    Namespaces,
    Part,
    Pods,
    Services,
    Texts,
)


class KnownSpec(Part):
    """A known deviation of one backend: a strict expected failure."""

    backend: Words = Field(description="CNI name, with a version range if needed: `calico<3.33`.")
    verdict: Verdict = Field(description="What that backend does.")
    why: Words = Field(description="Where it is tracked.")


def _flag_or_table(value: Any) -> str:
    return "mapping" if isinstance(value, Table) else "flag"


def _verdict_form(value: Any) -> str:
    return "mapping" if isinstance(value, Table) else "text"


Verdicts = Annotated[
    Annotated[Verdict, Tag("text")] | Annotated[dict[Name, Verdict], Tag("mapping")],
    Discriminator(_verdict_form),
]


class Judged(Part):
    """What every form of expectation has in common."""

    known: Annotated[list[KnownSpec], Several()] = Field([], description="Known deviations of backends.")


class TlsSpec(Part):
    """A TLS handshake in which the client shows no certificate and takes any."""

    sni: AnyText | None = Field(None, description="Server name to send; the name of a `host:` when absent.")


class MutualSpec(Part):
    """A TLS handshake in which both sides show certificates."""

    shows: AnyText | None = Field(
        None,
        alias="as",
        description="What the client shows: `own` (when absent), `expired`, `other-trust-domain`, `none`, or "
        "the SPIFFE ID of another workload.",
    )
    server: AnyText | None = Field(
        None, description="SPIFFE ID that the client wants of the server; that of the target when absent."
    )
    sni: AnyText | None = Field(None, description="Server name to send.")


Tls = Annotated[
    Annotated[Flag, Tag("flag")] | Annotated[TlsSpec, Tag("mapping")], Discriminator(_flag_or_table)
]
Mutual = Annotated[
    Annotated[Flag, Tag("flag")] | Annotated[MutualSpec, Tag("mapping")], Discriminator(_flag_or_table)
]


class CellSpec(Judged):
    """Connections from each source to each target."""

    source: Texts = Field(
        alias="from", description="`namespace/pod`, `node:a`, `external:name`, or the patterns `*`, `ns/*`."
    )
    to: Annotated[list[Port], Several()] = Field(
        description="`ns/pod:port[/PROTOCOL]`, `service:ns/name:port`, `nodeport:a:30080`, `node:a:port`, "
        "`external:name:port`, `host:dns.name:port`, `ns/pod/ICMP`."
    )
    tls: Tls = Field(False, description="Shake hands, and send the token inside of TLS.")
    mtls: Mutual = Field(False, description="The same with certificates on both sides.")
    verdict: Verdicts = Field(description="The verdict, or verdicts per backend with `default`.")


class RequestSpec(Part):
    """An HTTP/1.1 request."""

    url: Words = Field(description="`http://` + a target without protocol + the path.")
    method: Words | None = Field(None, description="GET when absent.")
    headers: Annotated[dict[AnyText, AnyText], Present()] = Field({}, description="Headers by name.")
    host: Words | None = Field(None, description="The Host header; address and port when absent.")
    body: AnyText | None = Field(None, description="The body.")


class HttpSpec(Judged):
    """An HTTP request from each source."""

    source: Texts = Field(alias="from", description="As for connections.")
    http: RequestSpec = Field(description="The request.")
    verdict: Verdicts = Field(description="The verdict, or verdicts per backend with `default`.")


class NextRequestSpec(RequestSpec):
    """A request that follows others; its URL may be the path alone."""

    url: Words = Field(description="As for the first request, or the path alone.")


class SequenceSpec(Part):
    """HTTP requests one after another on one connection, a cell each."""

    source: Texts = Field(alias="from", description="As for connections.")
    http: list[NextRequestSpec] = Field(description="The requests, in order, all to one target.")
    verdict: Annotated[list[Verdicts], Several()] = Field(
        description="A verdict for each request, or one for all of them."
    )


class DnsSpec(Judged):
    """DNS questions from each source to the cluster's resolver."""

    source: Texts = Field(alias="from", description="As for connections.")
    dns: Texts = Field(description="Names to ask for, absolute unless `search`.")
    type: AnyText | None = Field(None, description="Record type; A when absent.")
    tcp: Flag = Field(False, description="Ask over TCP.")
    search: Flag = Field(False, description="Try the pod's search list, as applications do.")
    rcode: AnyText | None = Field(
        None,
        description="What the resolver itself answers: NOERROR (default), or NXDOMAIN for a name that there "
        "is not, with the SOA record by which it is told from a policy's.",
    )
    verdict: Verdicts = Field(description="The verdict, or verdicts per backend with `default`.")


class MatrixSpec(Judged):
    """A table of verdicts: a row per source, a column per destination."""

    matrix: AnyText = Field(
        description="`.` allow, `X` deny, `D` drop, `R` reject, `?` observe, `-` not probed."
    )
    port: Port | None = Field(None, description="Port of the columns that name none.")
    protocol: AnyText | None = Field(None, description="TCP (default), UDP, SCTP or ICMP.")


class AllSpec(Judged):
    """Every pair of pods that no other entry names, towards pods that listen."""

    all: VerdictOrOracle = Field(description="The verdict for all of them, or `oracle`.")
    ports: Annotated[list[Port], Several()] = Field(
        [], description="Only these ports; every listener when absent."
    )
    source: Texts = Field([], alias="from", description="Only from these.")
    to: Texts = Field([], description="Only to these pods.")


class PlainCellSpec(Part):
    """A flow of a transition."""

    source: Texts = Field(alias="from", description="As for connections.")
    to: Annotated[list[Port], Several()] = Field(description="As for connections.")


class PlainHttpSpec(Part):
    """An HTTP flow of a transition."""

    source: Texts = Field(alias="from", description="As for connections.")
    http: RequestSpec = Field(description="The request.")


def _form(value: Any) -> str:
    if isinstance(value, Table):
        if isinstance(value.get(Text("http")), Items):
            return "sequence"
        for key in ("matrix", "all", "http", "dns"):
            if key in value:
                return key
    return "cell"


def _flow_form(value: Any) -> str:
    return "http" if isinstance(value, Table) and "http" in value else "cell"


Expect = Annotated[
    Annotated[CellSpec, Tag("cell")]
    | Annotated[HttpSpec, Tag("http")]
    | Annotated[SequenceSpec, Tag("sequence")]
    | Annotated[DnsSpec, Tag("dns")]
    | Annotated[MatrixSpec, Tag("matrix")]
    | Annotated[AllSpec, Tag("all")],
    Discriminator(_form),
]
Flow = Annotated[
    Annotated[PlainCellSpec, Tag("cell")] | Annotated[PlainHttpSpec, Tag("http")],
    Discriminator(_flow_form),
]


class LabelSpec(Part):
    """Labels to set and remove."""

    pod: PodName | None = Field(None, description="The pod; or `namespace`.")
    namespace: Name | None = Field(None, description="The namespace; or `pod`.")
    set: Labels = Field({}, description="Labels to set.")
    unset: Texts = Field([], description="Labels to remove.")


class AddSpec(Part):
    """Things that come into being."""

    namespaces: Namespaces = Field({}, description="Namespaces by name.")
    pods: Pods = Field({}, description="Pods by `namespace/name`.")
    services: Services = Field({}, description="Services by `namespace/name`.")


EstablishedForms = Annotated[
    Annotated[Established, Tag("text")] | Annotated[dict[Name, Established], Tag("mapping")],
    Discriminator(_verdict_form),
]


class TransitionSpec(Part):
    """What must hold while the step's changes are made."""

    steady: list[Flow] = Field([], description="Flows that must never break.")
    cut: list[Flow] = Field([], description="Flows that, once dropped, must never pass again.")
    established: EstablishedForms | None = Field(
        None,
        description="What becomes of open connections of the `cut` flows; per backend where they differ.",
    )


class StepSpec(Part):
    """A state of the world: changes, carried out in the order of this list, then expectations."""

    name: Name = Field(description="Unique within the scenario.")
    apply: Annotated[list[Manifest], Several()] = Field([], description="Policies to create or update.")
    delete: Texts = Field([], description="Policies to delete: `kind/namespace/name` or `kind/name`.")
    label: Annotated[list[LabelSpec], Several()] = Field([], description="Labels to change.")
    add: Annotated[AddSpec, Present()] | None = Field(None, description="Namespaces, pods, services to add.")
    remove: Texts = Field([], description="Pods to remove.")
    restart: Texts = Field([], description="Pods to restart.")
    keep: Flag = Field(False, description="Cells not named here keep their last expectation.")
    expect: list[Expect] = Field([], description="What must hold after the changes.")
    transition: TransitionSpec | None = Field(None, description="What must hold during the changes.")


class DefaultsSpec(Part):
    """Defaults."""

    namespace: Name | None = Field(None, description="Namespace of bare names and of policies without one.")


class SettingsSpec(Part):
    """Times."""

    connect_timeout: Duration | None = Field(
        None, alias="connectTimeout", description="How long a probe may take, all attempts together."
    )
    settle: Duration | None = Field(
        None, description="How long a verdict must stay the same on clusters that converge."
    )
    deadline: Duration | None = Field(None, description="How long convergence may take.")


class ScenarioSpec(Part):
    """A scenario: a world, policies, and the matrix of verdicts that is expected."""

    scenario: Name = Field(description="Unique name, DNS-1123.")
    description: Words | None = Field(None, description="What it shows, for people.")
    tags: Texts = Field([], description="Words to select it by.")
    needs: Texts = Field([], description="Features; a cluster without one skips the scenario.")
    families: Annotated[list[FamilyName], Several()] = Field(
        [], description="IP families to probe; the cluster's primary family when absent."
    )
    world: Words | None = Field(None, description="File with a shared world.")
    defaults: Annotated[DefaultsSpec, Present()] | None = Field(None, description="Defaults.")
    settings: Annotated[SettingsSpec, Present()] | None = Field(None, description="Times.")
    namespaces: Namespaces | None = Field(
        None, description="Namespaces by name; when absent they follow from the pods."
    )
    pods: Pods = Field({}, description="Pods by `namespace/name`.")
    services: Services = Field({}, description="Services by `namespace/name`.")
    externals: Externals = Field({}, description="Addresses outside the cluster by name.")
    policies: Annotated[list[Manifest], Several()] = Field(
        [], description="Policies: files, directories, globs, or manifests inline."
    )
    expect: list[Expect] = Field([], description="What must hold.")
    steps: list[StepSpec] = Field([], description="Steps, instead of `policies` and `expect`.")
