"""The words for what a cluster can do, as `needs:` and `--assume` take them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "admin": "ClusterNetworkPolicy or AdminNetworkPolicy are served and enforced",
        "calico-policies": "projectcalico.org/v3 is served",
        "cilium-policies": "cilium.io/v2 is served by Cilium",
        "dns": "the cluster's DNS answers",
        "envoy-listeners": "listeners of Envoy's to which rules refer (CiliumEnvoyConfig)",
        "external": "addresses outside the cluster that netcheck can make",
        "external-names": "names of externals in the cluster's DNS",
        "fqdn": "rules by DNS name (toFQDNs)",
        "headless": "headless services",
        "host-endpoints": "HostEndpoints of Calico's for the nodes of the cluster; never detected",
        "host-network": "pods in the network of their node",
        "icmp": "echo requests",
        "ipv6": "IPv6 between pods",
        "l7-dns": "rules on DNS questions",
        "l7-http": "rules on HTTP requests and on TLS server names, with the proxy that enforces them",
        "l7-secrets": "secrets and TLS contexts to which rules refer, which its agents read",
        "mutual-auth": "rules that demand mutual authentication, with what proves identities",
        "node-probes": "probes from and to nodes",
        "node-selectors": "rules about nodes by their labels",
        "nodeport": "services of type NodePort",
        "sctp": "SCTP between pods",
        "staged": "staged policies, which are told of and not enforced",
        "svid-files": "files of a certificate that others keep fresh, in a pod's volume",
        "tiers": "policy tiers that users may make",
        "workload-api": "SPIFFE's Workload API, from which pods get their certificates (CSI driver of SPIRE)",
    }
)
"""Every feature, with what it means."""
