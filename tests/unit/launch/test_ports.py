"""Ports: a busy one is named before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.ports import Port, PortBusy, free_ports, ports_of, refuse_busy, with_free_ports
from launch.settings import HOST, LaunchError, Settings


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_busy_port_is_named_with_its_purpose_and_the_variable_that_changes_it(busy: int) -> None:
    with pytest.raises(PortBusy) as caught:
        refuse_busy([Port(busy, "the Airflow UI", "PORT")])
    assert f"port {busy} for the Airflow UI is busy" in str(caught.value)
    assert "make run PORT=" in str(caught.value)


def test_every_busy_port_gets_its_own_line(busy: int) -> None:
    free = free_ports(1)[0]
    with pytest.raises(PortBusy) as caught:
        refuse_busy([Port(busy, "a", "A"), Port(free, "b", "B"), Port(busy, "c", "C")])
    lines = str(caught.value).splitlines()
    assert [line.split(";")[0] for line in lines] == [
        f"port {busy} for a is busy",
        f"port {busy} is given to a and to c",
    ]


def test_a_port_whose_server_has_just_ended_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)):
            server.accept()[0].close()
    refuse_busy([Port(port, "the sandbox", "SANDBOX_PORT")])


def test_zeros_become_different_free_ports_and_given_ports_stay(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(tmp_path, ui_port=18000))
    numbers = [port.number for port in ports_of(settings)]
    assert numbers[0] == 18000
    assert len(set(numbers)) == 3
    assert 0 not in numbers


@pytest.mark.parametrize("given", ["0", "65536", "http", "-1"])
def test_a_port_that_is_no_port_is_refused(given: str) -> None:
    with pytest.raises(LaunchError, match=f"SMTP_PORT={given}: a port is a number from 1 to 65535"):
        Settings.from_environment(environment={"SMTP_PORT": given})


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"PORT": "9000", "SANDBOX_PORT": "", "HANDOFFS_RUN": str(tmp_path)}
    settings = Settings.from_environment(environment=environment)
    assert (settings.ui_port, settings.sandbox_port, settings.smtp_port) == (9000, 8091, 8025)
    assert settings.run == tmp_path
