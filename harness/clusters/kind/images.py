"""Images of this machine's container engine on the nodes of a kind cluster."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.clusters.kind.commands import Docker, Kind
from harness.clusters.kind.process import CommandError

_LOST_CONTENT = re.compile(
    r"content digest .*not found|ctr: .*not found|mismatched image rootfs", re.IGNORECASE
)
"""What kind says when Docker's image store (containerd's, the default from Docker 29 on) saves an image of
many platforms of which it has one only (kind#3795)."""


def load_present(
    kind: Kind, docker: Docker, cluster: str, images: Sequence[str], say: Callable[[str], None]
) -> tuple[str, ...]:
    """Put those of some images onto the nodes that the container engine has; kind skips what is there.

    Returns:
        The images that the engine has.

    Raises:
        CommandError: An image that it has cannot be loaded.
    """
    present = tuple(image for image in images if docker.image_id(image))
    for image in present:
        say(f"loading image {image}")
        load_image(kind, docker, cluster, image)
    return present


def load_image(kind: Kind, docker: Docker, cluster: str, image: str) -> None:
    """Put one image of the container engine onto the nodes.

    Raises:
        CommandError: It cannot be loaded.
    """
    try:
        kind.load_images(cluster, [image])
    except CommandError as trouble:
        platform = docker.platform(image) if _LOST_CONTENT.search(trouble.stderr) else ""
        if not platform:
            raise
        # One platform alone makes an archive that is whole.
        with tempfile.TemporaryDirectory(prefix="netcheck-") as folder:
            archive = Path(folder) / "image.tar"
            docker.save([image], archive, platform=platform)
            kind.load_archive(cluster, archive)
