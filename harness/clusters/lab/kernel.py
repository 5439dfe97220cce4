"""Namespaces, by the system calls that Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones.

    Raises:
        OSError: The kernel refused.
    """
    if _libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"unshare: {os.strerror(code)}")


def setns(fd: int) -> None:
    """Enter the network namespace behind `fd`, for this thread.

    Raises:
        OSError: The kernel refused.
    """
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` to this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def current_namespace() -> int:
    """A descriptor of the network namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def new_namespace() -> int:
    """Make a network namespace and enter it; returns its descriptor."""
    unshare(CLONE_NEWNET)
    return current_namespace()


def leave_host() -> str:
    """Move this process to a network namespace of its own that has no way out.

    Root does so directly; anybody else through a user namespace in which they are root. The process must have
    one thread.

    Returns:
        `made by root` or `made in a user namespace`.

    Raises:
        OSError: Neither is allowed here.
    """
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        pass
    else:
        return "made by root"
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    return "made in a user namespace"
