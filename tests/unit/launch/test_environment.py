"""The environment of a run: nothing of the user's own Airflow, and only loopback."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from hooks.account import Account
from hooks.etermin import ETerminAccount
from hooks.insightly import InsightlyAccount, account_of
from hooks.ledger import url_of
from hooks.mail import Mailbox
from hooks.quentn import account_of as quentn_account_of
from hooks.quentn import statuses_of
from hooks.webhook_account import WebhookAccount
from launch import postgres
from launch.airflow_environment import airflow_environment, base_environment
from launch.connections import connections, etermin_push, insightly_webhook, push_url
from launch.settings import INSIGHTLY_WEBHOOK, SECRETS, Settings, kept_secrets
from sandbox.basic import basic_header
from sandbox.quentn.mail_status import STATUSES
from web.receiver.keyring import Keyring
from web.receiver.proof import proof_of


def settings_in(folder: Path) -> Settings:
    settings = Settings(folder / "run", ui_port=18080, sandbox_port=18091, smtp_port=18025)
    settings.make_folders()
    return settings


def test_the_users_own_airflow_and_postgres_settings_stay_outside(tmp_path: Path) -> None:
    inherited = {
        "PATH": "/usr/bin", "LANG": "C.UTF-8", "AIRFLOW_HOME": "/mine", "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "PGHOST": "elsewhere", "PYTHONPATH": "/mine", "HANDOFFS_HOME": "/mine",
    }  # fmt: skip
    made = base_environment(settings_in(tmp_path), inherited)
    assert made["LANG"] == "C.UTF-8"
    assert made["PATH"].endswith(":/usr/bin")
    assert not {"AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "PGHOST", "PYTHONPATH"} & made.keys()
    assert made["HANDOFFS_HOME"] != "/mine"


def test_airflow_parts_write_their_process_id_and_serve_no_logs(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    environment = base_environment(settings, {"PATH": os.defpath}) | {"HANDOFFS_AIRFLOW": "/bin/echo"}
    said = {
        part: subprocess.run(
            ["airflow", part], env=environment, executable=settings.run / "bin" / "airflow",
            capture_output=True, text=True, timeout=10, check=True,
        ).stdout.split()
        for part in ("scheduler", "triggerer", "api-server")
    }  # fmt: skip
    assert said == {
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "triggerer": ["triggerer", "--skip-serve-logs"],
        "api-server": ["api-server"],
    }
    assert {path.name for path in settings.pids.iterdir()} == said.keys()


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    first = airflow_environment(settings, "/socket")
    kept = kept_secrets(settings.run)
    assert {name: kept[name] for name in SECRETS}.items() <= first.items()
    assert kept[INSIGHTLY_WEBHOOK] not in first.values()
    assert airflow_environment(settings, "/socket") == first
    assert stat.S_IMODE((settings.run / "secrets.json").stat().st_mode) == 0o600


def test_a_secret_that_an_older_run_did_not_have_is_added_and_the_others_stay(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    kept = kept_secrets(settings.run)
    older = {name: kept[name] for name in SECRETS}
    (settings.run / "secrets.json").write_text(json.dumps(older))
    again = kept_secrets(settings.run)
    assert older.items() < again.items()
    assert again.keys() == kept.keys()


def test_every_connection_leads_to_loopback_and_is_readable_by_its_hook(tmp_path: Path) -> None:
    made = {one["conn_id"]: one for one in connections(settings_in(tmp_path), "/a folder/socket")}
    for conn_id in ("webinaris_default", "klicktipp_default", "activecampaign_default", "callexa_default"):
        account = Account.from_connection(conn_id, _values(made[conn_id]))
        assert urlsplit(account.base_url).netloc == "127.0.0.1:18091"
        assert account.number("timeout", 60) == 5
    mailbox = Mailbox("smtp_default", _values(made["smtp_default"]))
    assert "@" in mailbox.from_email
    assert (made["smtp_default"]["host"], made["smtp_default"]["port"]) == ("127.0.0.1", 18025)


def test_the_crm_can_be_read_and_proves_itself_with_the_secret_of_its_connection(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    values = _values(next(one for one in connections(settings, "/s") if one["conn_id"] == "insightly_default"))
    account = account_of("insightly_default", values)
    assert InsightlyAccount(account).base_url == "http://127.0.0.1:18091/insightly/v3.1"
    assert account.number("poll_minutes", 60, 1) == 1
    webhook = insightly_webhook(settings)
    assert webhook["webhook_url"] == "http://127.0.0.1:18080/handoffs/webhooks/insightly_default"
    known = WebhookAccount.from_values("insightly_default", "insightly", str(values.extra))
    header = basic_header(webhook["webhook_user"], webhook["webhook_password"])
    request = Request({"type": "http", "query_string": b"", "headers": [(b"authorization", header.encode())]})
    assert Keyring(known.secrets).proven(proof_of(request), b"")


def test_appointments_can_be_read_and_pushed_and_their_customers_handed_over(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    made = {one["conn_id"]: _values(one) for one in connections(settings, "/s")}
    etermin = ETerminAccount.from_connection("etermin_default", made["etermin_default"])
    assert (etermin.base_url, etermin.zone) == ("http://127.0.0.1:18091/etermin/api", "Europe/Berlin")
    known = WebhookAccount.from_values("etermin_default", "etermin", str(made["etermin_default"].extra))
    push = etermin_push(settings)
    assert push["url"] == "http://127.0.0.1:18080/handoffs/webhooks/etermin_default"
    header = (push["header"].lower().encode(), push["header_value"].encode())
    request = Request({"type": "http", "query_string": b"", "headers": [header]})
    assert Keyring(known.secrets).proven(proof_of(request), b"")
    address, _, secret = push_url(settings).rpartition("/")
    assert address == push["url"]
    bare = Request({"type": "http", "query_string": b"", "headers": []})
    assert Keyring(known.secrets).proven(proof_of(bare, secret), b"")
    quentn = quentn_account_of("quentn_default", made["quentn_default"])
    assert quentn.base_url == "http://127.0.0.1:18091/quentn/public/api/V1"
    numbers = asdict(statuses_of(quentn))
    named = {"unknown": "unknown", "single": "single_opt_in", "double": "double_opt_in", "temporary": "soft_blocked"}
    assert numbers == {ours: STATUSES[theirs] for ours, theirs in named.items()}


def test_the_ledgers_connection_names_the_same_database_as_its_url(tmp_path: Path) -> None:
    described = next(
        one for one in connections(settings_in(tmp_path), "/some/socket") if one["conn_id"] == "handoff_ledger"
    )
    assert url_of(_values(described)) == postgres.url("/some/socket", "handoffs")


def test_a_long_path_gets_a_short_folder_for_the_socket(tmp_path: Path) -> None:
    short, long = Path("/x/.run"), tmp_path / ("x" * 120)
    assert postgres.runtime_folder(short) == short / "runtime"
    assert len(os.fsencode(postgres.runtime_folder(long))) < 70
    assert postgres.runtime_folder(long) != postgres.runtime_folder(tmp_path / ("y" * 120))


def test_a_stale_pid_file_is_nobodys_server(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    assert postgres.postmaster(tmp_path) is None
    postgres.stop(tmp_path)


class _Connection:
    def __init__(self, values: dict[str, object]) -> None:
        for name in ("conn_id", "conn_type", "host", "schema", "port", "login", "password", "extra"):
            setattr(self, name, values.get(name))
        self.extra_dejson = json.loads(str(values["extra"]))


def _values(described: dict[str, object]) -> _Connection:
    return _Connection(described)
