"""One rule, one DAG: gather -> deliver -> settle -> certify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, Param, TriggerRule, literal

from handoff.rule import Rule
from handoff.rule_file import RuleFile
from handoff.rule_page import dag_id, doc_md
from hooks.ledger import LedgerHook
from operators.assets import rule_asset
from operators.certify import CertifyOperator
from operators.deliver import DeliverOperator
from operators.gather import GatherOperator
from operators.settle import SettleOperator
from triggers.doorbell import DoorbellTrigger

START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = {
    "start": "Start (Beginn)",
    "end": "End (Ende)",
    "closed": "Closed (Abschluss)",
    "answered": "Answered (beantwortet)",
    "booked": "Booked (gebucht)",
    "modified": "Changed (geändert)",
    "deleted": "Deleted (gelöscht)",
    "confirmed": "Confirmed (bestätigt)",
}
RUNS_AT_ONCE = 16
"""Runs may overlap: what each does is claimed in the ledger, so none waits for another."""


def build_dag(file: RuleFile, ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the rule's DAG. It is started by its doorbell, or by hand with a form."""
    rule = file.rule
    # Literal: the templates in a rule's steps are rendered for each contact, not by Airflow.
    shared: dict[str, Any] = {"rule": literal(rule.model_dump(mode="json")), "ledger_conn_id": ledger_conn_id}
    with DAG(
        dag_id=dag_id(rule),
        dag_display_name=rule.title,
        description=rule.description or f"{rule.audience()}, {rule.when.describe('en')}",
        doc_md=f"{doc_md(rule)}\nRule file: `{file.path.name}`",
        tags={"handoff", rule.source, *rule.tags},
        schedule=[_doorbell(rule, ledger_conn_id)],
        start_date=START,
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
        params=_form(rule),
        default_args={
            "owner": rule.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=5),
        },
    ) as dag:
        gather = GatherOperator(task_id="gather", doc_md="Claims what is due soon and reads its lists.", **shared)
        deliver = DeliverOperator.partial(
            task_id="deliver",
            doc_md="Waits for the exact moment, judges the audience for it, and sends in order.",
            **shared,
        ).expand(shard=gather.output)
        settle = SettleOperator(
            task_id="settle",
            doc_md="Reads what became of doubtful effects; nothing is repeated blindly.",
            trigger_rule=TriggerRule.ALL_DONE,
            **shared,
        )
        certify = CertifyOperator(
            task_id="certify",
            doc_md="Counts everybody: listed = handled + excluded + pending.",
            trigger_rule=TriggerRule.ALL_DONE,
            **shared,
        )
        deliver >> settle >> certify
    return dag


def _doorbell(rule: Rule, ledger_conn_id: str) -> Asset:
    trigger = DoorbellTrigger(rule_id=rule.id, order_group=rule.order_group, ledger_conn_id=ledger_conn_id)
    watcher = AssetWatcher(name=f"doorbell_{rule.id}", trigger=trigger)
    return rule_asset(rule.id, [watcher])


def _form(rule: Rule) -> dict[str, Param]:
    """Return the form that is shown when the DAG is triggered by hand."""
    one = "By hand (von Hand)"
    moments = {
        f"occasion_{name}": Param(
            None, type=["null", "string"], format="date-time", title=f"{MOMENTS[name]}; empty: now", section=one
        )
        for name in rule.anchors
    }
    return {
        "mode": Param(
            "due_now",
            type="string",
            enum=["due_now", "one_contact"],
            title="What to do (Was soll geschehen?)",
            values_display={
                "due_now": "Hand over what is due now (Fälliges jetzt übergeben)",
                "one_contact": "The contacts and occasion given below (Test mit eigener Adresse)",
            },
            description_md="**Test it with your own address first:** choose *the contacts* and fill in the form. "
            "Audience and moment are then not looked at; the steps go out at once.",
        ),
        "email": Param(None, type=["null", "string"], title="E-mail (E-Mail-Adresse)", section=one),
        "first_name": Param(None, type=["null", "string"], title="First name (Vorname)", section=one),
        "last_name": Param(None, type=["null", "string"], title="Last name (Nachname)", section=one),
        "language": Param(rule.language, type="string", enum=["de", "en"], title="Language (Sprache)", section=one),
        "recipients": Param(
            None,
            type=["null", "string"],
            format="multiline",
            title="More recipients (weitere Empfänger)",
            description_md="One on each line: `Eva Muster <eva@example.org>`, with or without the name.",
            section=one,
        ),
        "reset": Param(
            False,
            type="boolean",
            title="Reset (zurücksetzen)",
            description_md="What the rule handed over to these contacts before does not count any more: at the next "
            "occasion they pass through it again, also where it says `again: never` or so many days.",
            section=one,
        ),
        "occasion_title": Param("Test", type="string", title="Occasion (Anlass, z. B. Webinar)", section=one),
        **moments,
    }
