"""`--netcheck-…`, for pytest to know before anything else is loaded."""

# Written by `python -m harness.testing.settings`; the definitions stand in `harness/cli`.
# ruff: noqa: E501

from typing import NamedTuple

PREFIX = "netcheck-"


class Flag(NamedTuple):
    """One option: its name without the prefix; without a metavar it takes no value."""

    name: str
    metavar: str
    help: str
    repeatable: bool


FLAGS = (
    Flag(
        "cluster",
        "SPEC",
        "Where the packets flow: lab, kind[:NAME], context:NAME or kubeconfig:PATH. Default: lab.",
        False,
    ),
    Flag(
        "namespace-prefix",
        "PREFIX",
        "Put PREFIX before every namespace of the scenarios; auto: another one for each scenario.",
        False,
    ),
    Flag(
        "cni",
        "NAME|FILE",
        "Network plugin of a kind cluster: cilium, calico, calico-manifest, kindnet, kube-router, antrea (each with @VERSION), none, preinstalled, or a manifest.",
        False,
    ),
    Flag("nodes", "N", "Number of nodes, the control plane included.", False),
    Flag("k8s-version", "V", "Version of Kubernetes, such as 1.35.8.", False),
    Flag("node-image", "IMAGE", "Image of the nodes.", False),
    Flag("image-archive", "FILE", "Archive of images (docker save) to put onto the nodes; repeatable.", True),
    Flag("ip-family", "ipv4|ipv6|dual", "Address families of pods and services.", False),
    Flag("kind-config", "FILE", "kind's own configuration file.", False),
    Flag("cni-chart", "PATH", "Bring the plugin by this chart.", False),
    Flag("cni-manifest", "FILE", "Bring the plugin by this manifest; repeatable.", True),
    Flag(
        "cni-command",
        "COMMAND",
        "Bring the plugin by this command; {name} and {kubeconfig} in it are filled in.",
        False,
    ),
    Flag("cni-values", "FILE", "More values for the chart.", False),
    Flag("cni-sha256", "DIGEST", "Digest of what is downloaded; one for each file.", True),
    Flag("cni-trust-download", "", "Take downloads whose digest nobody knows.", False),
    Flag(
        "adopt",
        "",
        "Let a kind cluster that netcheck did not make have externals: routes, names in its DNS.",
        False,
    ),
    Flag(
        "external",
        "NAME=ADDRESS",
        "A real address of an external, for a cluster that gets none from netcheck. Repeatable.",
        True,
    ),
    Flag("assume", "FEATURE", "Take it that the cluster has FEATURE, whatever was found. Repeatable.", True),
    Flag(
        "probe-image",
        "IMAGE",
        "Image of the pods on a cluster: any with python3 from 3.9 on, or netcheck's own. Default: python:3.13-alpine.",
        False,
    ),
    Flag(
        "agent",
        "auto|inject|image",
        "Send the agent into the pods, or use the image's; auto: by the image's name. Default: auto.",
        False,
    ),
    Flag(
        "image-pull-policy",
        "IfNotPresent|Always|Never",
        "When nodes pull the image. Default: IfNotPresent.",
        False,
    ),
    Flag(
        "image-pull-secret",
        "NAMESPACE/NAME",
        "Image pull secret of the cluster, copied into the run's namespaces. Repeatable.",
        True,
    ),
    Flag("image-registry", "HOST[/PATH]", "Take the image from this registry.", False),
    Flag(
        "pod-template",
        "FILE",
        "What the cluster asks of pods: tolerations, resources, annotations and the like.",
        False,
    ),
    Flag(
        "pod-timeout",
        "DURATION",
        "How long pods may take to run, their image pulled included. Default: 120s.",
        False,
    ),
    Flag(
        "tag",
        "TAG",
        "Only scenarios with TAG; `!TAG` leaves them out. Repeatable: any of the tags is enough.",
        True,
    ),
    Flag("jobs", "N|auto", "Scenarios at the same time. Default: auto.", False),
    Flag(
        "report",
        "FORMAT:PATH[,...]",
        "Write junit:PATH, json:PATH, html:PATH, md:PATH or github:PATH; `-` is stdout; repeatable.",
        True,
    ),
    Flag("keep", "", "Leave the worlds standing; `netcheck cleanup` removes them.", False),
)
