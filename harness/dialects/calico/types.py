"""What the parser makes of Calico's objects; defaults are filled in, places are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.dialects.calico.selectors import Expression, Selector
from harness.model.policy import Policy
from harness.model.rules import Action, Direction, Network
from harness.model.topology import Family
from harness.source import Place

DEFAULT_TIER = "default"

TCP, UDP, SCTP, ICMP, ICMP_V6 = 6, 17, 132, 1, 58
"""Numbers of the IP protocols that probes speak."""


@dataclass(frozen=True, slots=True)
class Net:
    """A range of addresses."""

    network: Network
    place: Place


@dataclass(frozen=True, slots=True)
class Port:
    """Ports from `first` to `last`, or what pods call `name`."""

    first: int
    last: int
    name: str
    place: Place

    def __str__(self) -> str:
        return self.name or (str(self.first) if self.first == self.last else f"{self.first}:{self.last}")


@dataclass(frozen=True, slots=True)
class Accounts:
    """`serviceAccounts`: those of the names that the selector selects, too."""

    names: tuple[str, ...]
    selector: Selector | None
    place: Place


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """`services`: the pods behind one service."""

    namespace: str
    name: str
    place: Place

    @property
    def id(self) -> str:
        """As the topology names it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Entity:
    """`source` or `destination` of a rule: everything that it says holds at once.

    Attributes:
        members: What `selector`, `namespaceSelector` and `serviceAccounts` select together, in the policy's
            own namespace where they name none; None = they say nothing.
    """

    place: Place
    selector: Selector | None = None
    namespace_selector: Selector | None = None
    accounts: Accounts | None = None
    services: ServiceRef | None = None
    nets: tuple[Net, ...] = ()
    ports: tuple[Port, ...] = ()
    not_selector: Selector | None = None
    not_nets: tuple[Net, ...] = ()
    not_ports: tuple[Port, ...] = ()
    members: Expression | None = None

    @property
    def anybody(self) -> bool:
        """Whether it says nothing of who it is."""
        return not (self.members or self.services or self.nets or self.not_selector or self.not_nets)


@dataclass(frozen=True, slots=True)
class IpProtocol:
    """An IP protocol by its number; `text` is what stands in the file."""

    number: int
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Icmp:
    """Type and code of ICMP; None = any."""

    type: int | None
    code: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class HttpPath:
    """A path, or how paths begin."""

    exact: str
    prefix: str

    def matches(self, path: str) -> bool:
        """Whether a request's path, without its query, is meant."""
        return path == self.exact if self.exact else path.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """Any of the methods AND any of the paths; empty = whichever."""

    methods: tuple[str, ...]
    paths: tuple[HttpPath, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class CalicoRule:
    """One rule; everything that it says holds at once.

    Attributes:
        name: As in `ingress[0]`.
        version: 4 or 6; None = both.
    """

    name: str
    action: Action
    source: Entity
    destination: Entity
    place: Place
    version: int | None = None
    protocol: IpProtocol | None = None
    not_protocol: IpProtocol | None = None
    icmp: Icmp | None = None
    not_icmp: Icmp | None = None
    http: HttpMatch | None = None

    def peer(self, direction: Direction) -> Entity:
        """What it says of the other end."""
        return self.source if direction is Direction.INGRESS else self.destination

    def own(self, direction: Direction) -> Entity:
        """What it says of the pods that the policy selects."""
        return self.destination if direction is Direction.INGRESS else self.source

    @property
    def family(self) -> Family | None:
        """The family for which it is made: Felix leaves it out where all of its nets are of the other one."""
        version = self.version
        for entity in (self.source, self.destination):
            for net in (*entity.nets, *entity.not_nets):
                version = version or net.network.version
        return None if version is None else Family.IPV4 if version == 4 else Family.IPV6


@dataclass(frozen=True, slots=True)
class CalicoPolicy:
    """A NetworkPolicy or GlobalNetworkPolicy of Calico's, or a staged one of either.

    Attributes:
        namespace: Empty for those of the whole cluster.
        tier_place: Where its tier is named; the document where it is not.
        order: The lowest first; infinite where none is given.
        subject: Selects pods by all of their labels, namespace and account included.
        subject_place: Of the selector.
        staged: The staged action (`Set`, `Delete`, …); empty for what is enforced.
        hosts_only: `doNotTrack` or `preDNAT`: it concerns host endpoints and no pod.
        forwarded: `applyOnForward`.
    """

    namespace: str
    tier: str
    tier_place: Place
    order: float
    subject: Expression
    subject_place: Place
    directions: frozenset[Direction]
    ingress: tuple[CalicoRule, ...]
    egress: tuple[CalicoRule, ...]
    place: Place
    staged: str = ""
    hosts_only: bool = False
    forwarded: bool = False

    def rules(self, direction: Direction) -> tuple[CalicoRule, ...]:
        """The rules of one direction; nothing is enforced of them where `types` leaves it out."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    @property
    def entities(self) -> Iterator[tuple[Direction, CalicoRule, Entity]]:
        """Both ends of every rule that counts."""
        for direction in (Direction.INGRESS, Direction.EGRESS):
            for rule in self.rules(direction) if direction in self.directions else ():
                yield direction, rule, rule.source
                yield direction, rule, rule.destination


@dataclass(frozen=True, slots=True)
class CalicoTier:
    """A Tier.

    Attributes:
        passes: Whether what none of its rules decides goes on to the next tier.
    """

    name: str
    order: float
    passes: bool
    place: Place


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """A NetworkSet, or a GlobalNetworkSet, whose namespace is empty."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    nets: tuple[Network, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """An interface of a node; with it policies have a say about the node.

    Attributes:
        unread: Which node of a scenario it means is not known, so that paper cannot say anything beside it.
    """

    labels: tuple[tuple[str, str], ...]
    place: Place
    unread: bool = True


@dataclass(frozen=True, slots=True)
class StagedKubernetes:
    """A StagedKubernetesNetworkPolicy.

    Attributes:
        staged: Its staged action.
        policy: The NetworkPolicy that would be made; None where it would be deleted.
    """

    staged: str
    policy: Policy | None
    place: Place
