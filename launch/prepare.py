"""``python -m launch.prepare``: make Airflow's tables and the ledger's, and write the connections.

One process for all of it, because importing Airflow is what takes the time. It reads the connections
as JSON from its standard input.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from airflow.models.connection import Connection
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils import db
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from handoff.ledger.connect import open_ledger
from handoff.ledger.migrating import migrate
from hooks.ledger import url_of
from launch import leftovers


def main() -> None:
    """Prepare both databases."""
    described: list[dict[str, Any]] = json.load(sys.stdin)
    db.upgradedb()
    connections = [Connection(**values) for values in described]
    ledger = next(one for one in connections if one.conn_type == "handoff_ledger")
    url = url_of(ledger)
    migrate(url)
    engine = open_ledger(url)
    with engine.begin() as connection:
        leftovers.close(connection)
    engine.dispose()
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id.in_([one.conn_id for one in connections])))
        session.add_all(connections)
        end_interrupted(session)


def end_interrupted(session: Session) -> None:
    """Close what an earlier run left unfinished, lest the watch waits for it; what is due is in the ledger."""
    now = datetime.now(UTC)
    unfinished = [state for state in State.unfinished if state is not None]
    session.execute(
        update(TaskInstance)
        .where(TaskInstance.state.in_(unfinished))
        .values(state=TaskInstanceState.FAILED, end_date=now, trigger_id=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(DagRun)
        .where(DagRun.state.in_(State.unfinished_dr_states))
        .values(state=DagRunState.FAILED, end_date=now)
        .execution_options(synchronize_session=False)
    )


if __name__ == "__main__":
    main()
