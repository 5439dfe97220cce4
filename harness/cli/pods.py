"""Options that say how pods are made on a cluster: image, agent, registry, secrets, template."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from harness.cli.app import State
from harness.clusters.kube.images import DEFAULT_IMAGE, START_SECONDS, from_registry, has_agent
from harness.source.values import BadValueError, duration

if TYPE_CHECKING:
    from harness.clusters.kube.manifests import PodOptions
    from harness.clusters.kube.template import PodTemplate

_Command = TypeVar("_Command", bound=Callable[..., Any])
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_SECRET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

AGENTS = ("auto", "inject", "image")
PULL_POLICIES = ("IfNotPresent", "Always", "Never")


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What the options say.

    Attributes:
        image: The pods' image.
        agent: `inject`, `image`, or `auto`: by the image's name.
        pull_policy: As Kubernetes calls it.
        pull_secrets: As `NAMESPACE/NAME`.
        registry: Where the image is instead; may be empty.
        template: What the file says; None without one.
        timeout: Seconds that pods may take to run.
    """

    image: str = DEFAULT_IMAGE
    agent: str = "auto"
    pull_policy: str = PULL_POLICIES[0]
    pull_secrets: tuple[str, ...] = ()
    registry: str = ""
    template: PodTemplate | None = None
    timeout: float = START_SECONDS

    def options(self) -> PodOptions:
        """The same for the cluster driver."""
        from harness.clusters.kube.manifests import PodOptions
        from harness.clusters.kube.template import PodTemplate

        return PodOptions(
            image=from_registry(self.image, self.registry),
            agent_inside=has_agent(self.image) if self.agent == "auto" else self.agent == "image",
            pull_policy=self.pull_policy,
            pull_secrets=self.pull_secrets,
            template=self.template or PodTemplate(),
            start_seconds=self.timeout,
        )


def pod_options(command: _Command) -> _Command:
    """The options; the command gets them as one argument, `pods`."""

    @functools.wraps(command)
    def collected(*args: Any, **kwargs: Any) -> Any:
        template = kwargs.pop("pod_template")
        pods = PodSettings(
            image=kwargs.pop("probe_image"),
            agent=kwargs.pop("agent"),
            pull_policy=kwargs.pop("image_pull_policy"),
            pull_secrets=tuple(dict.fromkeys(kwargs.pop("image_pull_secret"))),
            registry=kwargs.pop("image_registry"),
            template=_template(template, kwargs.get("color", "auto")) if template else None,
            timeout=duration(kwargs.pop("pod_timeout")),
        )
        return command(*args, pods=pods, **kwargs)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected  # type: ignore[return-value]


def _template(path: Path, color: str) -> PodTemplate:
    """The template, once nothing is wrong with it.

    Raises:
        InvalidFilesError: Something is; it has been printed.
    """
    from harness.cli.reading import InvalidFilesError, print_diagnostics, tally, wants_color
    from harness.clusters.kube.template import load

    found, problems, sources = load(path)
    if problems:
        print_diagnostics(problems, sources, sys.stderr, color=wants_color(color, sys.stderr))
        raise InvalidFilesError(tally(problems))
    return found


def image_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A name of an image, checked for what no registry takes."""
    if value and not _IMAGE.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no name of an image, such as {DEFAULT_IMAGE}", ctx, param)
    return value


def _registry(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if "://" in value:
        raise click.BadParameter("name the host alone, without https://", ctx, param)
    return image_name(ctx, param, value)


def _secrets(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _SECRET.fullmatch(value):
            raise click.BadParameter(
                f"{value!r} is no NAMESPACE/NAME: the namespace where the secret lies, and its name",
                ctx,
                param,
            )
    return values


def _template_path(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """A path in the configuration file is seen from there."""
    if value is None or not value:
        return None
    state = ctx.find_object(State)
    assert param.name is not None, "options have names"
    written = ctx.get_parameter_source(param.name) is ParameterSource.DEFAULT_MAP
    if written and state is not None and state.config.file is not None:
        return state.config.file.parent / value
    return Path(value)


def _timeout(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        duration(value)
    except BadValueError as trouble:
        raise click.BadParameter(f"{trouble}; {trouble.help}", ctx, param) from trouble
    return value


_OPTIONS = (
    click.option(
        "--probe-image",
        default=DEFAULT_IMAGE,
        show_default=True,
        metavar="IMAGE",
        callback=image_name,
        help="Image of the pods on a cluster: any with python3 from 3.9 on, or netcheck's own.",
    ),
    click.option(
        "--agent",
        type=click.Choice(AGENTS),
        default=AGENTS[0],
        show_default=True,
        help="Send the agent into the pods, or use the image's; auto: by the image's name.",
    ),
    click.option(
        "--image-pull-policy",
        type=click.Choice(PULL_POLICIES),
        default=PULL_POLICIES[0],
        show_default=True,
        help="When nodes pull the image.",
    ),
    click.option(
        "--image-pull-secret",
        multiple=True,
        metavar="NAMESPACE/NAME",
        callback=_secrets,
        help="Image pull secret of the cluster, copied into the run's namespaces. Repeatable.",
    ),
    click.option(
        "--image-registry",
        default="",
        metavar="HOST[/PATH]",
        callback=_registry,
        help="Take the image from this registry.",
    ),
    click.option(
        "--pod-template",
        default=None,
        metavar="FILE",
        callback=_template_path,
        help="What the cluster asks of pods: tolerations, resources, annotations and the like.",
    ),
    click.option(
        "--pod-timeout",
        default=f"{START_SECONDS:.0f}s",
        show_default=True,
        metavar="DURATION",
        callback=_timeout,
        help="How long pods may take to run, their image pulled included.",
    ),
)
