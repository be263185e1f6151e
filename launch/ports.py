"""TCP ports on loopback: free ones, and a clear word about busy ones before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace

from launch.settings import HOST, LaunchError, Settings


@dataclass(frozen=True, slots=True)
class Port:
    """One port, what it is for, and the variable that sets it."""

    number: int
    purpose: str
    variable: str


class PortBusy(LaunchError):
    """At least one port is taken, or two purposes were given the same one."""


def ports_of(settings: Settings) -> list[Port]:
    """Return what the run listens on."""
    return [
        Port(settings.ui_port, "the Airflow UI", "PORT"),
        Port(settings.sandbox_port, "the sandbox", "SANDBOX_PORT"),
        Port(settings.smtp_port, "the sandbox's mail server", "SMTP_PORT"),
    ]


def refuse_busy(ports: Iterable[Port]) -> None:
    """Check that every port can be used.

    :raises PortBusy: with one line for each that cannot.
    """
    problems, taken = [], dict[int, Port]()
    for port in ports:
        if other := taken.get(port.number):
            problems.append(f"port {port.number} is given to {other.purpose} and to {port.purpose}")
        elif not _free(port.number):
            problems.append(
                f"port {port.number} for {port.purpose} is busy; end what listens there, "
                f"or choose another: make run {port.variable}={_suggestion(port.number)}"
            )
        taken[port.number] = port
    if problems:
        raise PortBusy("\n".join(problems))


def with_free_ports(settings: Settings) -> Settings:
    """Return the settings with free ports in place of zeros."""
    ports = [settings.ui_port, settings.sandbox_port, settings.smtp_port]
    free = iter(free_ports(ports.count(0)))
    ui, sandbox, smtp = (port or next(free) for port in ports)
    return replace(settings, ui_port=ui, sandbox_port=sandbox, smtp_port=smtp)


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _free(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # What ended a moment ago may leave connections behind that do not keep a server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
    # Elsewhere than on Linux, somebody may listen on all interfaces and leave loopback bindable.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.settimeout(0.5)
        return caller.connect_ex((HOST, number)) != 0


def _suggestion(number: int) -> int:
    candidates = range(number + 1, min(number + 100, 65536))
    return next((other for other in candidates if _free(other)), free_ports(1)[0])
