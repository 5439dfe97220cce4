"""Antrea by its manifest; it needs Open vSwitch's module in the kernel of the machine."""

from __future__ import annotations

from harness.cni.installing import Installing


class AntreaInstaller(Installing):
    """The released manifest as it is: it names its images' versions and finds the pods' subnets itself."""
