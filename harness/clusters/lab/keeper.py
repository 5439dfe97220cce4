"""The process that holds a lab: it makes namespaces, wires them, runs nft, and starts the others.

It does what it is told, one list of operations after another; what a world looks like its master decides.
When the master goes away, so do all its processes, and with them every namespace, interface and rule.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.clusters.lab import kernel
from harness.clusters.lab.netlink import Netlink
from harness.clusters.lab.places import Places
from probes.wire import Channel

_FDS_PER_MESSAGE = 200
_LINK_SECONDS = 30.0
"""How long new interfaces may take; a kernel without anything else to do needs less than a millisecond."""


class Keeper:
    """Holds the namespaces of one lab."""

    def __init__(self, children: list[socket.socket]) -> None:
        self._places = Places()
        self._children = children
        self._netlinks: dict[str, Netlink] = {}
        self._fresh: list[str] = []
        self._links: list[tuple[str, int]] = []

    # -- operations ------------------------------------------------------------------------------------

    def namespace(self, name: str) -> None:
        """Make a namespace with its loopback up."""
        self._places.add(name, kernel.new_namespace())
        self._fresh.append(name)
        self._netlink(name).up(1)

    def alias(self, name: str, of: str) -> None:
        """Let a pod live in its node's namespace."""
        self._places.alias(name, of)
        self._tell({"aliases": [[name, of]]})

    def gone(self, *names: str) -> None:
        """Let go of namespaces."""
        for name in names:
            netlink = self._netlinks.pop(name, None)
            if netlink is not None:
                netlink.close()
            self._places.remove(name)
        self._tell({"gone": list(names)})

    def veth(
        self,
        place: str,
        name: str,
        index: int,
        mac: str,
        peer_place: str,
        peer: str,
        peer_index: int,
        peer_mac: str,
    ) -> None:
        """Join two namespaces by a pair of interfaces."""
        self._netlink(place).veth(name, index, mac, peer, peer_index, peer_mac, self._places.fd(peer_place))
        self._netlink(place).up(index)
        self._netlink(peer_place).up(peer_index)
        self._links += [(place, index), (peer_place, peer_index)]

    def address(self, place: str, index: int, address: str) -> None:
        """Add a host address."""
        self._netlink(place).address(index, address)

    def route(self, place: str, network: str, index: int, gateway: str) -> None:
        """Add a route."""
        self._netlink(place).route(network, index, gateway)

    def neighbour(self, place: str, index: int, address: str, mac: str) -> None:
        """Add a permanent neighbour."""
        self._netlink(place).neighbour(index, address, mac)

    def divert(self, place: str, mark: int, table: int) -> None:
        """Hand packets with a mark to the place's own sockets."""
        self._netlink(place).divert(mark, table)

    def sysctl(self, place: str, values: dict[str, str]) -> None:
        """Set kernel parameters; a key that begins with `?` may be missing on this kernel."""
        self._places.enter(place)
        for key, value in values.items():
            try:
                Path("/proc/sys", key.lstrip("?")).write_text(value)
            except OSError:
                if not key.startswith("?"):
                    raise

    def numbers(self) -> dict[str, int]:
        """Descriptor of every namespace in this process, for `nsenter`."""
        return self._places.numbers()

    def _netlink(self, place: str) -> Netlink:
        if place not in self._netlinks:
            self._places.enter(place)
            self._netlinks[place] = Netlink()
        return self._netlinks[place]

    # -- the other processes ---------------------------------------------------------------------------

    def publish(self) -> None:
        """Hand new namespaces to the probers and the listener."""
        while self._fresh:
            names, self._fresh = self._fresh[:_FDS_PER_MESSAGE], self._fresh[_FDS_PER_MESSAGE:]
            self._tell({"namespaces": names}, [self._places.fd(name) for name in names])

    def _tell(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        line = json.dumps(message).encode() + b"\n"
        for child in self._children:
            # The first byte carries the descriptors; the rest may need several writes.
            sent = socket.send_fds(child, [line], fds or [])
            child.sendall(line[sent:])

    # -- requests --------------------------------------------------------------------------------------

    def _wait_for_links(self) -> None:
        """Wait until every new interface sends: what is lost before would look like a denial.

        Raises:
            OSError: One did not come up.
        """
        deadline = time.monotonic() + _LINK_SECONDS
        while self._links:
            place, index = self._links[-1]
            if place not in self._netlinks or self._netlinks[place].running(index):
                self._links.pop()
            elif time.monotonic() > deadline:
                raise OSError(errno.ETIMEDOUT, f"interface {index} of {place} did not come up")
            else:
                select.select([], [], [], 0.001)

    def build(self, operations: list[list[Any]]) -> dict[str, Any]:
        """Carry out operations in order; the first that fails ends it, with its words."""
        known: dict[str, Callable[..., None]] = {
            item.__name__: item
            for item in (
                self.namespace,
                self.alias,
                self.gone,
                self.veth,
                self.address,
                self.route,
                self.neighbour,
                self.divert,
                self.sysctl,
            )
        }
        for name, *arguments in operations:
            operation = known[name]
            try:
                operation(*arguments)
            except (OSError, KeyError) as trouble:
                return {
                    "op": "failed",
                    "why": f"{name} {' '.join(str(item) for item in arguments[:3])}: {trouble}",
                }
        try:
            self._wait_for_links()
        except OSError as trouble:
            return {"op": "failed", "why": str(trouble)}
        self.publish()
        return {"op": "built"}

    def nft(self, scripts: list[list[str]]) -> dict[str, Any]:
        """Load rules in several namespaces side by side; each load is one transaction."""
        running = []
        for place, script in scripts:
            self._places.enter(place)
            # A pipe holds little: whoever is fed last would only begin when the others have ended.
            with open(os.memfd_create("nft"), "w+") as file:
                file.write(script)
                file.seek(0)
                process = subprocess.Popen(
                    ["nft", "-f", "-"],
                    stdin=file,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            running.append((place, process))
        failures = []
        for place, process in running:
            _, errors = process.communicate()
            if process.returncode != 0:
                failures.append(f"{place}: {errors.strip().partition(chr(10))[0][:500]}")
        if failures:
            return {"op": "failed", "why": "nft refused the rules: " + "; ".join(failures)}
        return {"op": "loaded"}

    def list_rules(self, places: list[str], what: list[str]) -> dict[str, Any]:
        """`nft -j list …` in several namespaces; what does not exist there is left out."""
        texts = {}
        for place in places:
            self._places.enter(place)
            done = subprocess.run(["nft", "-j", "list", *what], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                texts[place] = done.stdout
        return {"op": "rules", "rules": texts}


def _serve(control: Channel, keeper: Keeper) -> None:
    """Answer requests until the master goes away; after `detach` until SIGTERM."""
    control.sock.setblocking(True)
    detached = False
    while True:
        messages = _next(control)
        if not messages and control.closed:
            if not detached:
                return
            signal.pause()
        for message in messages:
            match message["op"]:
                case "build":
                    answer = keeper.build(message["operations"])
                case "nft":
                    answer = keeper.nft(message["scripts"])
                case "list":
                    answer = keeper.list_rules(message["places"], message["what"])
                case "detach":
                    detached = True
                    answer = {"op": "detached", "places": keeper.numbers()}
                case other:
                    answer = {"op": "failed", "why": f"unknown request {other!r}"}
            control.send(answer)
            control.sock.setblocking(True)
            control.flush()


def _next(control: Channel) -> list[dict[str, Any]]:
    select.select([control.sock], [], [])
    control.sock.setblocking(False)
    messages = control.receive()
    control.sock.setblocking(True)
    return messages


def _child(number: int, of: int, master: socket.socket, keeper: socket.socket) -> None:
    kernel.die_with_parent(signal.SIGKILL)
    # Nothing here makes reference cycles, and looking for some among thousands of probes takes time.
    gc.disable()
    if number == of:
        from harness.clusters.lab.listener_process import ListenerProcess

        ListenerProcess(Channel(master), Channel(keeper)).run()
    elif number == of - 1:
        from harness.clusters.lab.proxy.process import ProxyProcess

        ProxyProcess(Channel(master), Channel(keeper)).run()
    else:
        from harness.clusters.lab.prober_process import ProberProcess

        ProberProcess(Channel(master), Channel(keeper), number, of - 1).run()


def main(arguments: list[str]) -> int:
    """Run as `python -m harness.clusters.lab.keeper CONTROL PROBER… PROXY LISTENER`: inherited sockets."""
    control_socket, *masters = (socket.socket(fileno=int(item)) for item in arguments)
    control = Channel(control_socket)
    try:
        mode = kernel.leave_host()
    except OSError as trouble:
        control.send({"op": "failed", "why": str(trouble), "errno": trouble.errno})
        return 1
    pairs: list[socket.socket] = []
    for number, master in enumerate(masters):
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            for inherited in (
                ours,
                control_socket,
                *pairs,
                *(item for item in masters if item is not master),
            ):
                inherited.close()
            code = 1
            with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
                _child(number, len(masters) - 1, master, theirs)
                code = 0
            os._exit(code)
        theirs.close()
        pairs.append(ours)
    for master in masters:
        master.close()
    control.send({"op": "ready", "mode": mode})
    keeper = Keeper(pairs)
    _serve(control, keeper)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
