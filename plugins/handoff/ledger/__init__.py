"""The ledger: everything that was heard, decided and done, in PostgreSQL."""
