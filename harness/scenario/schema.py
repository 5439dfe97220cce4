"""The shape of scenario files: which keys stand where. What the values mean is checked afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core.core_schema import ValidationInfo

from harness.scenario.fields import (
    AnyText,
    Count,
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
from harness.scenario.located import Table
from harness.source.place import Place


class Part(BaseModel):
    """A mapping of the scenario language: no unknown keys, and it remembers where it stands."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)

    _table: Table | None = PrivateAttr(default=None)

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, Table) and info.context is not None:
            # For suggestions about unknown keys; by identity, as equal mappings may stand in two places.
            info.context[id(data)] = [field.alias or name for name, field in cls.model_fields.items()]
        part = handler(data)
        if isinstance(data, Table):
            part._table = data
        return part

    def place(self, fallback: Place) -> Place:
        """Where the mapping stands; `fallback` when it was left empty."""
        return fallback if self._table is None else self._table.node.place

    def place_of(self, key: str, fallback: Place) -> Place:
        """Where the value of `key` stands."""
        if self._table is None:
            return fallback
        node = self._table.node.get(key)
        return self._table.node.place if node is None else node.place


Labels = Annotated[dict[AnyText, AnyText], Present()]
Texts = Annotated[list[Words], Several()]


class NamespaceSpec(Part):
    """A namespace."""

    labels: Labels = Field({}, description="Labels; `kubernetes.io/metadata.name` is always set.")


class ListenSpec(Part):
    """A port that is listened on, written out."""

    port: AnyText = Field(description="Port number.")
    name: AnyText | None = Field(None, description="Name of the port, as in `containerPort.name`.")
    protocol: AnyText | None = Field(None, description="TCP (default), UDP or SCTP.")


def _text_or_table(value: Any) -> str:
    return "mapping" if isinstance(value, Table) else "text"


Listen = Annotated[
    list[
        Annotated[
            Annotated[Port, Tag("text")] | Annotated[ListenSpec, Tag("mapping")],
            Discriminator(_text_or_table),
        ]
    ],
    Several(),
]


class PodSpec(Part):
    """A pod."""

    labels: Labels = Field({}, description="The pod's labels.")
    annotations: Labels = Field({}, description="The pod's annotations.")
    listen: Listen = Field([], description="Ports: `8080`, `8080/UDP`, `https=8443`, `dns=53/UDP`.")
    service_account: Name | None = Field(
        None, alias="serviceAccount", description="Service account; `default` when absent."
    )
    node: AnyText | None = Field(
        None, description="Letter of a node; pods with the same letter share a node, others are spread."
    )
    host_network: Flag = Field(
        False, alias="hostNetwork", description="The pod shares its node's network and address."
    )
    replicas: Count | None = Field(None, description="Makes pods `name-0`, `name-1`, …")


class ServicePortSpec(Part):
    """A port of a service, written out."""

    port: AnyText = Field(description="The service's own port.")
    target_port: AnyText | None = Field(
        None, alias="targetPort", description="Port number or port name of the pods; `port` when absent."
    )
    name: AnyText | None = Field(None, description="Name of the service's port.")
    protocol: AnyText | None = Field(None, description="TCP (default), UDP or SCTP.")
    node_port: AnyText | None = Field(None, alias="nodePort", description="Port on every node.")


ServicePorts = Annotated[
    list[
        Annotated[
            Annotated[Port, Tag("text")] | Annotated[ServicePortSpec, Tag("mapping")],
            Discriminator(_text_or_table),
        ]
    ],
    Several(),
]


class ServiceSpec(Part):
    """A service."""

    selector: dict[AnyText, AnyText] = Field(description="Labels of the pods behind it; not empty.")
    ports: ServicePorts = Field(
        description="`80:8080` (with target), `80`, `80:http`, `name=53/UDP`, `80:8080:30080` (NodePort)"
    )
    type: AnyText | None = Field(None, description="ClusterIP (default), NodePort or Headless.")


class ExternalSpec(Part):
    """An address outside the cluster."""

    address: Texts = Field(description="One IP address, or a list of one per family.")
    listen: Listen = Field([], description="Ports, as for pods.")
    names: Texts = Field([], description="DNS names that the cluster's DNS resolves to the address.")


Namespaces = Annotated[dict[Name, Annotated[NamespaceSpec, Present()]], Present()]
Pods = Annotated[dict[PodName, Annotated[PodSpec, Present()]], Present()]
Services = Annotated[dict[PodName, ServiceSpec], Present()]
Externals = Annotated[dict[Name, ExternalSpec], Present()]


class WorldSpec(Part):
    """Namespaces, pods, services and externals that several scenarios share."""

    description: Words | None = Field(None, description="What this world is.")
    namespaces: Namespaces | None = Field(None, description="Namespaces by name.")
    pods: Pods = Field({}, description="Pods by `namespace/name`.")
    services: Services = Field({}, description="Services by `namespace/name`.")
    externals: Externals = Field({}, description="Addresses outside the cluster by name.")


class KnownSpec(Part):
    """A known deviation of one backend: a strict expected failure."""

    backend: Words = Field(description="CNI name, with a version range if needed: `calico<3.33`.")
    verdict: Verdict = Field(description="What that backend does.")
    why: Words = Field(description="Where it is tracked.")


def _verdict_form(value: Any) -> str:
    return "mapping" if isinstance(value, Table) else "text"


Verdicts = Annotated[
    Annotated[Verdict, Tag("text")] | Annotated[dict[Name, Verdict], Tag("mapping")],
    Discriminator(_verdict_form),
]


class Judged(Part):
    """What every form of expectation has in common."""

    known: Annotated[list[KnownSpec], Several()] = Field([], description="Known deviations of backends.")


class CellSpec(Judged):
    """Connections from each source to each target."""

    source: Texts = Field(
        alias="from", description="`namespace/pod`, `node:a`, `external:name`, or the patterns `*`, `ns/*`."
    )
    to: Annotated[list[Port], Several()] = Field(
        description="`ns/pod:port[/PROTOCOL]`, `service:ns/name:port`, `nodeport:a:30080`, `node:a:port`, "
        "`external:name:port`, `host:dns.name:port`, `ns/pod/ICMP`."
    )
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


class DnsSpec(Judged):
    """DNS questions from each source to the cluster's resolver."""

    source: Texts = Field(alias="from", description="As for connections.")
    dns: Texts = Field(description="Names to ask for, absolute unless `search`.")
    type: AnyText | None = Field(None, description="Record type; A when absent.")
    tcp: Flag = Field(False, description="Ask over TCP.")
    search: Flag = Field(False, description="Try the pod's search list, as applications do.")
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
        for key in ("matrix", "all", "http", "dns"):
            if key in value:
                return key
    return "cell"


def _flow_form(value: Any) -> str:
    return "http" if isinstance(value, Table) and "http" in value else "cell"


Expect = Annotated[
    Annotated[CellSpec, Tag("cell")]
    | Annotated[HttpSpec, Tag("http")]
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
