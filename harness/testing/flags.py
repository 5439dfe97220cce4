"""`--netcheck-…`, for pytest to know before anything else is loaded."""

# Written by `python -m harness.testing.settings`; the definitions stand in `harness/cli`.
# ruff: noqa: E501

PREFIX = "netcheck-"

Flag = tuple[str, str, str, bool]
"""Name without the prefix; metavar, empty where it takes no value; text; whether repeatable."""

FLAGS: tuple[Flag, ...] = (
    (
        "cluster",
        "SPEC",
        "Where the packets flow: lab[?as=NAME], kind[:NAME], context:NAME or kubeconfig:PATH. NAME is generic, calico or cilium, with settings: calico&deny=reject, cilium&cidr=nodes,pods&dns=nxdomain&enforcement=always. Default: lab.",
        False,
    ),
    (
        "namespace-prefix",
        "PREFIX",
        "Put PREFIX before every namespace of the scenarios; auto: another one for each scenario.",
        False,
    ),
    (
        "cni",
        "NAME|FILE",
        "Network plugin of a kind cluster: cilium, calico, calico-manifest, kindnet, kube-router, antrea (each with @VERSION), none, preinstalled, or a manifest.",
        False,
    ),
    ("nodes", "N", "Number of nodes, the control plane included.", False),
    ("k8s-version", "V", "Version of Kubernetes, such as 1.35.8.", False),
    ("node-image", "IMAGE", "Image of the nodes.", False),
    ("image-archive", "FILE", "Archive of images (docker save) to put onto the nodes; repeatable.", True),
    ("ip-family", "ipv4|ipv6|dual", "Address families of pods and services.", False),
    ("kind-config", "FILE", "kind's own configuration file.", False),
    ("cni-chart", "PATH", "Bring the plugin by this chart.", False),
    ("cni-manifest", "FILE", "Bring the plugin by this manifest; repeatable.", True),
    (
        "cni-command",
        "COMMAND",
        "Bring the plugin by this command; {name} and {kubeconfig} in it are filled in.",
        False,
    ),
    ("cni-values", "FILE", "More values for the chart.", False),
    ("cni-sha256", "DIGEST", "Digest of what is downloaded; one for each file.", True),
    ("cni-trust-download", "", "Take downloads whose digest nobody knows.", False),
    (
        "adopt",
        "",
        "Let a kind cluster that netcheck did not make have externals: routes, names in its DNS.",
        False,
    ),
    (
        "external",
        "NAME=ADDRESS",
        "A real address of an external, for a cluster that gets none from netcheck. Repeatable.",
        True,
    ),
    ("assume", "FEATURE", "Take it that the cluster has FEATURE, whatever was found. Repeatable.", True),
    (
        "probe-image",
        "IMAGE",
        "Image of the pods on a cluster: any with python3 from 3.9 on, or netcheck's own. Default: python:3.13-alpine.",
        False,
    ),
    (
        "agent",
        "auto|inject|image",
        "Send the agent into the pods, or use the image's; auto: by the image's name. Default: auto.",
        False,
    ),
    (
        "image-pull-policy",
        "IfNotPresent|Always|Never",
        "When nodes pull the image. Default: IfNotPresent.",
        False,
    ),
    (
        "image-pull-secret",
        "NAMESPACE/NAME",
        "Image pull secret of the cluster, copied into the run's namespaces. Repeatable.",
        True,
    ),
    ("image-registry", "HOST[/PATH]", "Take the image from this registry.", False),
    (
        "pod-template",
        "FILE",
        "What the cluster asks of pods: tolerations, resources, annotations and the like.",
        False,
    ),
    (
        "pod-timeout",
        "DURATION",
        "How long pods may take to run, their image pulled included. Default: 120s.",
        False,
    ),
    (
        "tag",
        "TAG",
        "Only scenarios with TAG; `!TAG` leaves them out. Repeatable: any of the tags is enough.",
        True,
    ),
    ("jobs", "N|auto", "Scenarios at the same time. Default: auto.", False),
    (
        "report",
        "FORMAT:PATH[,...]",
        "Write junit:PATH, json:PATH, html:PATH, md:PATH or github:PATH; `-` is stdout; repeatable.",
        True,
    ),
    ("keep", "", "Leave the worlds standing; `netcheck cleanup` removes them.", False),
)
