"""The domain of handoffs: rules, timing, audience, ledger, delivery, messages. No Airflow, no HTTP."""
