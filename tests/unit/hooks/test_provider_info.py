from __future__ import annotations

import json
from importlib import resources
from importlib.metadata import entry_points

import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from hooks.provider_info import CONNECTION_TYPES, get_provider_info

NAMES = {form["connection-type"]: form for form in CONNECTION_TYPES}


def schema(name: str) -> dict[str, object]:
    return json.loads(resources.files("airflow").joinpath(name).read_text())


def test_the_entry_point_leads_here():
    (point,) = [
        point for point in entry_points(group="apache_airflow_provider") if point.dist.name == "airflow-handoffs"
    ]
    assert point.load()() == get_provider_info()


def test_airflows_own_schemas_accept_it():
    info = get_provider_info()
    jsonschema.validate(info, schema("provider_info.schema.json"))
    # the full schema of provider.yaml is the one that knows form fields
    forms = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(info["connection-types"], forms)


@pytest.mark.parametrize("conn_type", NAMES)
def test_airflow_loads_the_hook_and_its_form(conn_type):
    form, manager = NAMES[conn_type], ProvidersManager()
    hook = ProvidersManagerTaskRuntime().hooks[conn_type]
    assert hook is not None
    assert (hook.hook_class_name, hook.hook_name) == (form["hook-class-name"], form["hook-name"])
    assert hook.connection_testable
    assert hook.connection_id_attribute_name.endswith("_conn_id")
    shown = {
        widget.field_name
        for key, widget in manager.connection_form_widgets.items()
        if key.startswith(f"extra__{conn_type}__")
    }
    assert shown == set(form["conn-fields"])
    behaviour = manager.field_behaviours[conn_type]
    assert set(behaviour["hidden_fields"]) == set(form["ui-field-behaviour"]["hidden-fields"])


@pytest.mark.parametrize("field", ["developer_key", "customer_key"])
def test_keys_are_shown_as_passwords(field):
    assert ProvidersManager().connection_form_widgets[f"extra__klicktipp__{field}"].is_sensitive


@pytest.mark.parametrize(("conn_type", "words"), [("klicktipp", "Passwort"), ("activecampaign", "Api-Token")])
def test_labels_show_the_german_product_terms(conn_type, words):
    assert words in NAMES[conn_type]["ui-field-behaviour"]["relabeling"]["password"]


@pytest.mark.parametrize(
    ("conn_type", "menu"), [("etermin", "API > API & Web Push (API Schnittstellen > API Web Push)"), ("insightly", "")]
)
def test_where_a_push_goes_is_said_where_its_secret_is_entered(conn_type, menu):
    said = NAMES[conn_type]["conn-fields"]["webhook_secrets"]["description"]
    assert "https://YOUR-AIRFLOW/handoffs/webhooks/ID-OF-THIS-CONNECTION" in said
    assert menu in said
