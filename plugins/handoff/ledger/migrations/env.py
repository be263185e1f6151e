"""Alembic's entry: runs on the connection that ``handoff.ledger.migrating.migrate`` opened."""

from __future__ import annotations

from alembic import context

from handoff.ledger.schema import SCHEMA, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
