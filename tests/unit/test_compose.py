"""The production-like set-up: everything it names exists, every image is pinned, and no secret stands in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from airflow.configuration import conf
from airflow.sdk import Connection

from handoff.cli import COMMANDS
from handoff.ledger.retention import Periods
from hooks.ledger import url_of

VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>[^}]*)\}")
SECRET = re.compile(r"PASSWORD|SECRET|FERNET|CONN|TOKEN|AUTH$|URL$")
NO_SECRET = {
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__CORE__TEST_CONNECTION",
}
AIRFLOW_PARTS = {"airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}


@pytest.fixture(scope="module")
def compose(project) -> dict[str, Any]:
    return yaml.safe_load((project / "docker-compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose) -> dict[str, Any]:
    return compose["services"]


@pytest.fixture(scope="module")
def example(project) -> dict[str, str]:
    lines = (project / ".env.example").read_text("utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    assert len(dict(pairs)) == len(pairs)
    return {name: value.strip("'") for name, value in pairs}


def variables(thing: object) -> Iterator[re.Match[str]]:
    if isinstance(thing, str):
        yield from VARIABLE.finditer(thing)
    elif isinstance(thing, dict | list):
        for part in thing.values() if isinstance(thing, dict) else thing:
            yield from variables(part)


def environment(services: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for service in services.values():
        yield from service.get("environment", {}).items()


def test_it_has_every_part_of_a_distributed_airflow(services):
    assert set(services) == AIRFLOW_PARTS | {"postgres", "redis"}
    assert services["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert {name: services[name]["deploy"]["replicas"] for name in ("triggerer", "worker")} == {
        "triggerer": 2,
        "worker": 2,
    }
    commands = {name: service["command"] for name, service in services.items() if name in AIRFLOW_PARTS}
    assert commands == {name: [name] for name in AIRFLOW_PARTS} | {
        "worker": ["celery", "worker"],
        "airflow-init": ["bash", "-c", "handoff migrate"],
    }
    assert "migrate" in COMMANDS


def test_what_a_service_waits_for_can_come_true(services):
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in services, f"{name} waits for {other}"
            if wait["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for {other}'s health"
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert services[other]["restart"] == "no", f"{other} never completes"
    needed = {name: set(services[name]["depends_on"]) for name in AIRFLOW_PARTS}
    assert all(others >= {"postgres", "redis"} for others in needed.values())
    assert all("airflow-init" in others for name, others in needed.items() if name != "airflow-init")


def test_every_lasting_service_tells_its_health_and_comes_back(services):
    for name in services.keys() - {"airflow-init"}:
        assert services[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert services[name]["restart"] == "unless-stopped", name


def test_images_are_pinned_to_one_version(project, services):
    dockerfile = (project / "docker" / "Dockerfile").read_text("utf-8")
    (base,) = re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)
    for image in [base, *(service["image"] for service in services.values())]:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$", image), image
    lowest = re.search(r'"apache-airflow>=([\d.]+),', (project / "pyproject.toml").read_text("utf-8"))
    assert base.startswith(f"apache/airflow:{lowest[1]}-")
    version = re.search(r'^version = "([^"]+)"', (project / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert {services[name]["image"] for name in AIRFLOW_PARTS} == {f"airflow-handoffs:{version[1]}"}


def test_the_image_can_be_built_from_what_the_builder_gets(project, services):
    build = services["worker"]["build"]
    dockerfile = project / build["context"] / build["dockerfile"]
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", dockerfile.read_text("utf-8"), re.MULTILINE)
        for source in line.split()[:-1]
        if not source.startswith("--")
    ]
    ignore = (project / ".dockerignore").read_text("utf-8").splitlines()
    assert {"pyproject.toml", "README.md", "LICENSE", "plugins"} == set(copied)
    assert ignore.index("*") < min(ignore.index(f"!{source}") for source in copied)
    assert {line for line in ignore if line.startswith("!")} == {f"!{source}" for source in copied}
    assert all((project / source).exists() for source in copied)


def test_mounts_exist_and_the_checkout_is_read_only(project, compose, services):
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (project / source).exists(), f"{name}: {source}"
                assert mode == ["ro"], f"{name}: {mount}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"
        assert {one["source"] for one in service.get("configs", [])} <= compose.get("configs", {}).keys()
    mounted = {mount.split(":")[1] for mount in services["worker"]["volumes"]}
    values = services["worker"]["environment"]
    # Of the plugins only what Airflow discovers: an edit of the rest would look as if it counted.
    plugin = f"{values['AIRFLOW__CORE__PLUGINS_FOLDER']}/handoff_plugin.py"
    assert {values["AIRFLOW__CORE__DAGS_FOLDER"], plugin, f"{values['HANDOFFS_HOME']}/include"} <= mounted


def test_only_the_ui_is_published_and_only_on_loopback(services):
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(ports) == ["api-server"]
    assert all(port.startswith("127.0.0.1:") for port in ports["api-server"])
    assert all(service.get("network_mode") != "host" for service in services.values())


def test_every_variable_is_in_the_example_and_every_example_is_used(compose, example):
    assert {match["name"] for match in variables(compose)} == example.keys()


def test_no_secret_stands_in_the_file(services, example):
    secrets = {(name, value) for name, value in environment(services) if SECRET.search(name) and name not in NO_SECRET}
    assert secrets
    for name, value in secrets:
        used = list(VARIABLE.finditer(value))
        assert used, f"{name} holds its value itself"
        defaults = [match["rest"] for match in used if not match["rest"].startswith(":?")]
        assert set(defaults) <= {":-"}, f"{name} has a default"
        given = VARIABLE.sub("", value)
        assert not re.search(r"://\w*:[^@/$]+@", given), f"{name} holds a password"
        assert '"password": ""' in given or '"password"' not in given, f"{name} holds a password"
    for name, value in example.items():
        if value.startswith("{"):
            assert json.loads(value)["password"] == "", name
        elif SECRET.search(name) or name.endswith("KEY"):
            assert value == "", name


def test_a_missing_secret_is_an_error_before_anything_starts(compose):
    optional = {match["name"] for match in variables(compose) if not match["rest"].startswith(":?")}
    assert not {name for name in optional if re.search(r"PASSWORD|SECRET|KEY", name)}


def test_airflow_knows_every_setting(services):
    known = conf.configuration_description
    settings = {name for name, _ in environment(services) if name.startswith("AIRFLOW__")}
    assert len(settings) > 15
    for name in settings:
        _, section, option = name.lower().split("__")
        assert option in known[section]["options"], name


def test_every_retention_period_can_be_set_and_has_its_default_in_one_place(services, example):
    names = {f"HANDOFF_KEEP_{kind.name.upper()}_DAYS" for kind in fields(Periods)}
    common = services["scheduler"]["environment"]
    assert {name for name in common if name.startswith("HANDOFF_KEEP_")} == names
    assert {common[name] for name in names} == {f"${{{name}:-}}" for name in names}
    assert {example[name] for name in names} == {""}
    assert Periods.from_environment({name: VARIABLE.sub("", common[name]) for name in names}) == Periods()


def test_all_parts_have_the_same_settings(services):
    common = services["scheduler"]["environment"]
    for name in AIRFLOW_PARTS:
        assert services[name]["environment"].items() >= common.items(), name


def test_the_ledgers_connection_leads_to_the_database_that_is_made(compose, services):
    filled = VARIABLE.sub("geheim", services["worker"]["environment"]["AIRFLOW_CONN_HANDOFF_LEDGER"])
    url = urlsplit(url_of(Connection.from_json(filled, conn_id="handoff_ledger")))
    migrated = urlsplit(VARIABLE.sub("geheim", services["airflow-init"]["environment"]["HANDOFF_LEDGER_URL"]))
    assert url[1:3] == migrated[1:3] == ("handoffs:geheim@postgres:5432", "/handoffs")
    made = compose["configs"]["ledger-database"]["content"]
    assert f"CREATE ROLE {url.username} LOGIN" in made
    assert f"CREATE DATABASE {url.path[1:]} OWNER {url.username};" in made
    assert r"\getenv ledger_password LEDGER_DB_PASSWORD" in made
    assert "LEDGER_DB_PASSWORD" in services["postgres"]["environment"]


def test_the_examples_connections_are_of_the_types_that_rules_need(example):
    found = {
        name.removeprefix("AIRFLOW_CONN_").lower(): Connection.from_json(value, conn_id="example")
        for name, value in example.items()
        if name.startswith("AIRFLOW_CONN_")
    }
    assert {conn_id: connection.conn_type for conn_id, connection in found.items()} == {
        "webinaris_default": "webinaris",
        "klicktipp_default": "klicktipp",
        "activecampaign_default": "activecampaign",
        "insightly_default": "insightly",
        "callexa_default": "callexa",
        "etermin_default": "etermin",
        "quentn_default": "quentn",
        "smtp_default": "smtp",
    }
    assert found["smtp_default"].extra_dejson["from_email"]
