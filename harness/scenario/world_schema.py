"""The shape of worlds: which keys stand where in namespaces, pods, services and externals."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core.core_schema import ValidationInfo

from harness.scenario.fields import AnyText, Count, Flag, Name, PodName, Port, Present, Several, Words
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


class MutualPortSpec(Part):
    """A port that speaks nothing but mutual TLS."""

    allow: Texts = Field(description="SPIFFE IDs whose certificates the port takes.")


class IdentitySpec(Part):
    """An identity whose certificate netcheck does not issue."""

    id: AnyText | None = Field(
        None, description="SPIFFE ID; that of the namespace and service account when absent."
    )
    source: AnyText | None = Field(
        None, alias="from", description="Who issues the certificate: `workload-api`, or `netcheck`."
    )
    files: AnyText | None = Field(
        None,
        description="Absolute path of the directory with svid.pem, svid_key.pem and svid_bundle.pem, as "
        "spiffe-helper writes them, or tls.crt, tls.key and ca.crt.",
    )


Identity = Annotated[
    Annotated[AnyText, Tag("text")] | Annotated[IdentitySpec, Tag("mapping")],
    Discriminator(_text_or_table),
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
    identity: Identity | None = Field(
        None,
        description="SPIFFE ID of the pod's certificate; `true` = that of its namespace and service account: "
        "spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT; `workload-api` = that, with the certificate that "
        "SPIFFE's Workload API gives the pod.",
    )
    mtls: Annotated[dict[AnyText, MutualPortSpec], Present()] = Field(
        {}, description="Ports of `listen` that take only some identities, with mutual TLS."
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

    labels: Labels = Field({}, description="The service's own labels, which few policies look at.")
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
