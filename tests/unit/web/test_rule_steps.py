"""The tab with a rule's steps, asked through Airflow's own login, as its API server mounts it."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from airflow import settings
from airflow.api_fastapi.app import init_auth_manager, purge_cached_app
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse
from airflow.api_fastapi.core_api.security import get_user
from airflow.models import import_all_models
from airflow.models.base import Base
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from handoff_plugin import HandoffPlugin
from web.app import create_app
from web.mounted import app
from web.public import PUBLIC

READER = SimpleAuthManagerUser(username="eva", role="VIEWER")
NOBODY = SimpleAuthManagerUser(username="nobody", role=None)
HOSTILE = "</title><script>alert(1)</script> & Grüße 🎉"


@pytest.fixture(scope="module")
def login() -> Iterator[Any]:
    """Airflow's own auth manager, and the tables that its permissions are looked up in."""
    import_all_models()
    Base.metadata.create_all(settings.engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
        purge_cached_app()
        yield init_auth_manager()
        purge_cached_app()


@pytest.fixture
def home(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the rule files, which a test may change."""
    shutil.copytree(project / "include" / "handoffs", tmp_path / "include" / "handoffs")
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return tmp_path / "include" / "handoffs"


@pytest.fixture
async def browser(login: Any, home: Path) -> AsyncIterator[AsyncClient]:
    """A browser in front of what the plugin gives Airflow to mount; it does not show server errors as exceptions."""
    mounts = [Mount(given["url_prefix"], app=given["app"]) for given in HandoffPlugin.fastapi_apps]
    server = Starlette(routes=mounts, middleware=[Middleware(JWTRefreshMiddleware)])
    transport = ASGITransport(server, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client


def path(dag_id: str) -> str:
    """Return the address that Airflow's UI makes of the tab's."""
    [view] = HandoffPlugin.external_views
    return "/" + str(view["href"]).replace("{DAG_ID}", dag_id)


def logged_in(login: Any, user: SimpleAuthManagerUser = READER) -> dict[str, str]:
    return {"Cookie": f"_token={login.generate_jwt(user)}"}


def picture(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + len("</svg>")])


async def test_a_reader_sees_the_steps_in_order(browser: AsyncClient, login: Any) -> None:
    answer = await browser.get(path("handoff_webinar_attended"), headers=logged_in(login))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    steps = [text.text for text in picture(answer.text).iter() if text.get("class") == "name"][2:]
    assert steps == ["klicktipp.contact", "klicktipp.tag", "activecampaign.tag", "email"]
    assert "webinar_attended.yaml" in answer.text


async def test_a_bearer_token_does_too(browser: AsyncClient, login: Any) -> None:
    headers = {"Authorization": f"Bearer {login.generate_jwt(READER)}"}
    assert (await browser.get(path("handoff_pitch_seen"), headers=headers)).status_code == 200


async def test_without_a_login_nothing_is_shown(browser: AsyncClient) -> None:
    for dag_id in ("handoff_webinar_attended", "handoff_no_such_rule"):
        answer = await browser.get(path(dag_id))
        assert answer.status_code == 401
        assert "bitte anmelden" in answer.text
        assert "klicktipp" not in answer.text
        assert "<svg" not in answer.text


@pytest.mark.parametrize("token", ["", "nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmEifQ."])
async def test_a_forged_login_does_not_help(browser: AsyncClient, token: str) -> None:
    answer = await browser.get(path("handoff_webinar_attended"), headers={"Cookie": f"_token={token}"})
    assert answer.status_code in {401, 403}
    assert "<svg" not in answer.text


async def test_who_may_not_read_the_dag_does_not_see_its_steps(browser: AsyncClient, login: Any) -> None:
    answer = await browser.get(path("handoff_webinar_attended"), headers=logged_in(login, NOBODY))
    assert answer.status_code == 403
    assert "nicht erlaubt" in answer.text
    assert "<svg" not in answer.text


async def test_a_dag_that_is_no_rule_gets_a_friendly_page(browser: AsyncClient, login: Any) -> None:
    answer = await browser.get(path("watch_%3Cb%3Ewebinaris"), headers=logged_in(login))
    assert answer.status_code == 404
    assert "keine Handoff-Regel" in answer.text
    assert "watch_&lt;b&gt;webinaris" in answer.text


async def test_a_rule_file_that_became_wrong_is_no_server_error(browser: AsyncClient, login: Any, home: Path) -> None:
    (home / "webinar_missed.yaml").write_text("id: [")
    assert (await browser.get(path("handoff_webinar_missed"), headers=logged_in(login))).status_code == 404
    assert (await browser.get(path("handoff_webinar_attended"), headers=logged_in(login))).status_code == 200


async def test_a_changed_rule_shows_at_once_and_its_texts_stay_texts(
    browser: AsyncClient, login: Any, home: Path
) -> None:
    rule = {
        "id": "thanks", "title": HOSTILE, "when": {"minutes": 1, "after": "end"}, "who": "online",
        "steps": [{"step": "klicktipp.tag", "tag": HOSTILE}],
    }  # fmt: skip
    (home / "a<b>.yaml").write_text(json.dumps(rule, ensure_ascii=False), encoding="utf-8")
    answer = await browser.get(path("handoff_thanks"), headers=logged_in(login))
    assert answer.status_code == 200
    assert answer.text.count("<script") == 1
    assert "<b>" not in answer.text
    assert f"tag: {HOSTILE}" in [text.text for text in picture(answer.text).iter()]


async def test_the_page_allows_only_its_own_script_and_no_foreign_frame(browser: AsyncClient, login: Any) -> None:
    answer = await browser.get(path("handoff_pitch_missed"), headers=logged_in(login))
    [script] = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    fingerprint = b64encode(sha256(script.encode()).digest()).decode()
    policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
    assert policy >= {"default-src 'none'", "frame-ancestors 'self'", f"script-src 'sha256-{fingerprint}'"}


async def test_another_address_is_not_found(browser: AsyncClient) -> None:
    for address in ("/handoffs/", "/handoffs/rules", "/handoffs/openapi.json", "/handoffs/docs"):
        answer = await browser.get(address)
        assert (answer.status_code, "No such page" in answer.text) == (404, True)


def test_every_route_asks_for_airflow_s_login_or_is_named_as_public() -> None:
    def asks(dependant: Dependant) -> bool:
        return dependant.call is get_user or any(map(asks, dependant.dependencies))

    assert [given["app"] for given in HandoffPlugin.fastapi_apps] == [app], "whose routes are looked at here"
    routes = create_app().routes
    public = {route.path for route in routes if isinstance(route, APIRoute) and not asks(route.dependant)}
    assert [route for route in routes if not isinstance(route, APIRoute)] == []
    assert public == PUBLIC
    assert len(public) < len(routes)


def test_airflow_s_ui_accepts_the_tab() -> None:
    lists = {
        "macros", "flask_blueprints", "fastapi_root_middlewares", "react_apps", "appbuilder_views",
        "appbuilder_menu_items", "global_operator_extra_links", "operator_extra_links", "listeners", "timetables",
    }  # fmt: skip
    apps = [given | {"app": "app"} for given in HandoffPlugin.fastapi_apps]
    told = PluginResponse.model_validate(
        dict.fromkeys(lists, []) | {
            "name": HandoffPlugin.name, "fastapi_apps": apps, "external_views": HandoffPlugin.external_views,
            "source": "plugin",
        }
    )  # fmt: skip
    [view] = told.external_views
    assert (view.destination, view.url_route) == ("dag", "handoff")
    # Relative, so that it holds too where Airflow lives below a path of its server.
    assert view.href == "handoffs/rules/{DAG_ID}/steps"
