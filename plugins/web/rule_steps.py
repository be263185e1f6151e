"""The tab *Handoff* on a DAG's page: the steps of its rule as a picture."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from handoff.home import rules_folder
from handoff.rules.file import RuleFile, load_folder
from handoff.rules.page import dag_id as dag_id_of
from handoff.rules.picture import svg
from web.login import MAY_READ_DAG
from web.page import message, page

router = APIRouter()


@router.get("/rules/{dag_id}/steps", dependencies=[MAY_READ_DAG])
def steps(dag_id: str) -> HTMLResponse:
    """Show the steps of the rule that this DAG is; 404 with a friendly page when it is none."""
    file = _rule_of(dag_id)
    if file is None:
        return message(
            "No handoff rule (keine Handoff-Regel)",
            f"The DAG {dag_id} is not made from a valid rule file, so there are no steps to show.",
            f"Der DAG {dag_id} geh\u00f6rt zu keiner g\u00fcltigen Regeldatei; es gibt keine Schritte zu zeigen.",
            status=404,
        )
    return page(file.rule.title, f"{svg(file.rule)}\n<p>Rule file (Regeldatei): {escape(file.path.name)}</p>")


def _rule_of(dag_id: str) -> RuleFile | None:
    # Read anew each time: a hundred files take 40 ms, and a changed file shows at once.
    return next((file for file in load_folder(rules_folder())[0] if dag_id_of(file.rule) == dag_id), None)
