"""Reading a kubeconfig: what is wrong with it is one clear line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.clusters.kube.errors import ApiError, SpecError, first_line

if TYPE_CHECKING:
    from kubernetes.client import Configuration


def _contexts(kubeconfig: str | None) -> tuple[list[str], str]:
    """The names of all contexts, and the current one; empty when there is none.

    The client's own listing refuses a file without a current context, also when one is named.
    """
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

    whole = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config
    if whole is None:
        raise FileNotFoundError("there is no kubeconfig: name one with kubeconfig:PATH")
    names = [str(item["name"]) for item in whole.safe_get("contexts") or ()]
    return names, str(whole.safe_get("current-context") or "")


def load_configuration(kubeconfig: str | None, context: str | None) -> tuple[Configuration, str]:
    """Read a kubeconfig.

    Args:
        kubeconfig: Path; None = `KUBECONFIG` or `~/.kube/config`.
        context: Name of the context; None = the current one.

    Returns:
        The client's configuration and the name of the context.

    Raises:
        SpecError: The file or the context is not there, or cannot be read.
    """
    from kubernetes import config
    from kubernetes.client import Configuration
    from yaml import YAMLError

    # All that the client raises for files that are no kubeconfig.
    malformed = (config.ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError)
    if kubeconfig is not None and not Path(kubeconfig).is_file():
        raise SpecError(f"there is no kubeconfig {kubeconfig}", "name the file that kubectl uses")
    try:
        names, active = _contexts(kubeconfig)
    except malformed as trouble:
        raise SpecError(
            f"the kubeconfig cannot be read: {_malformed(trouble)}", "check it with: kubectl config view"
        ) from trouble
    name = context or active
    if not name:
        raise SpecError("the kubeconfig has no current context", f"name one of: {', '.join(names) or 'none'}")
    if name not in names:
        raise SpecError(f"the kubeconfig has no context {name!r}", f"it has: {', '.join(names) or 'none'}")
    configuration = Configuration()
    try:
        with _logged() as said:
            config.load_kube_config(config_file=kubeconfig, context=name, client_configuration=configuration)
    except malformed as trouble:
        raise SpecError(f"context {name!r} cannot be used: {_malformed(trouble)}") from trouble
    if said:
        # The client only logs that a credential plugin failed, and would go on as nobody.
        raise ApiError(
            f"context {name!r} has no credentials: its plugin (`exec:` in the kubeconfig) failed: {said[0]}",
            401,
            advice="install it, or log in with it; `kubectl version` must work with this context",
        )
    configuration.retries = False
    return configuration, name


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """What the client reports by logging alone."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(
                first_line(record.msg if isinstance(record.msg, BaseException) else record.getMessage())
            )

    handler, root = Keep(logging.ERROR), logging.getLogger()
    root.addHandler(handler)
    try:
        yield found
    finally:
        root.removeHandler(handler)


def _malformed(trouble: BaseException) -> str:
    mark = getattr(trouble, "problem_mark", None)
    if mark is not None:
        return (
            f"it is no YAML: line {mark.line + 1}: {getattr(trouble, 'problem', '') or first_line(trouble)}"
        )
    if isinstance(trouble, (TypeError, AttributeError, KeyError)):
        return "it is no kubeconfig"
    return first_line(trouble)
