"""The domain of handoffs. No Airflow, no HTTP.

Beside this file stand the nouns that all rooms share: occasion, registration, contact, audience, source, target.
What is made of them: ``rules`` (what a rule says), ``planning`` (from what a source tells to batches that wait),
``times`` (when), ``texts`` (what people read), ``delivery`` (the moment, the lanes, the sweep), ``ledger`` (all that is
kept in PostgreSQL), ``cli`` (the operator's commands).
"""
