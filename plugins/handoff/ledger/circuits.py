"""Circuits: target accounts that failed repeatedly or asked to be left alone, as all workers know them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import lanes, notices
from handoff.ledger.bells import ring

FAILURES_IN_A_ROW = 10
"""With three answers in ten lost by chance, ten in a row come once in 170,000 calls; an outage reaches
them at once, because many lanes are in flight."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 300.0
CREDENTIALS_SECONDS = 60.0
"""Nobody corrects a connection sooner, and vendors lock accounts that log in wrongly too often."""
PROBE_SECONDS = 60.0
"""A probe of which nothing was heard for so long, longer than any call takes, was lost with its worker."""
CREDENTIALS, FAILING = "credentials", "failing"


@dataclass(frozen=True, slots=True)
class CircuitNow:
    """A circuit as it stands in the ledger.

    :param failures: how many calls failed in a row. :param cause: ``credentials`` or ``failing`` while it is open.
    :param probe_in: seconds until a probe may go out, ``None`` when the circuit is closed.
    :param rest: seconds for which the target asked to be left alone.
    """

    account: str
    failures: int
    cause: str
    probe_in: float | None
    rest: float


REPORT = text("""
    INSERT INTO handoff.circuits AS circuit (account, failures) VALUES (:account, :failures)
    ON CONFLICT (account) DO UPDATE
        SET failures = CASE WHEN :answered THEN 0 ELSE circuit.failures END + EXCLUDED.failures
    RETURNING failures
""")
OPEN = text("""
    INSERT INTO handoff.circuits AS circuit (account, cause, opened_at, probe_at, pause_seconds)
    VALUES (:account, :cause, clock_timestamp(), clock_timestamp() + make_interval(secs => :pause), :pause)
    ON CONFLICT (account) DO UPDATE SET cause = EXCLUDED.cause, opened_at = EXCLUDED.opened_at,
        probe_at = EXCLUDED.probe_at, pause_seconds = EXCLUDED.pause_seconds
        WHERE circuit.opened_at IS NULL OR (circuit.cause <> EXCLUDED.cause AND EXCLUDED.cause = 'credentials')
    RETURNING failures
""")
PROBE = text("""
    UPDATE handoff.circuits
    SET probe_at = clock_timestamp() + make_interval(secs => GREATEST(pause_seconds, :probing))
    WHERE account = :account AND opened_at IS NOT NULL AND probe_at <= clock_timestamp()
    RETURNING account
""")
FAILED = text("""
    UPDATE handoff.circuits SET failures = failures + 1,
        pause_seconds = CASE WHEN :longer THEN LEAST(pause_seconds * 2, :longest) ELSE pause_seconds END,
        probe_at = clock_timestamp() + make_interval(
            secs => CASE WHEN :longer THEN LEAST(pause_seconds * 2, :longest) ELSE pause_seconds END)
    WHERE account = :account AND opened_at IS NOT NULL
""")
UNUSED = text("""
    UPDATE handoff.circuits SET probe_at = clock_timestamp() WHERE account = :account AND opened_at IS NOT NULL
""")
CLOSE = text("""
    UPDATE handoff.circuits
    SET failures = 0, cause = '', opened_at = NULL, probe_at = NULL, pause_seconds = 0
    WHERE account = :account AND opened_at IS NOT NULL RETURNING account
""")
REST = text("""
    INSERT INTO handoff.circuits AS circuit (account, rests_until)
    VALUES (:account, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (account) DO UPDATE SET rests_until = GREATEST(circuit.rests_until, EXCLUDED.rests_until)
""")


async def report(connection: AsyncConnection, account: str, failures: int, *, answered: bool) -> int:
    """Add calls that failed in a row, after an earlier one was ``answered`` or not; return how many there are now."""
    parameters = {"account": account, "failures": failures, "answered": answered}
    return int((await connection.execute(REPORT, parameters)).scalar_one())


async def open_(connection: AsyncConnection, account: str, cause: str, words: str) -> None:
    """Open a circuit unless it is open, and tell the team once.

    :param cause: ``credentials``, which also takes over from ``failing``, or ``failing``.
    :param words: the last failure in words, free of contact data.
    """
    pause = CREDENTIALS_SECONDS if cause == CREDENTIALS else FIRST_PAUSE_SECONDS
    opened = await connection.execute(OPEN, {"account": account, "cause": cause, "pause": pause})
    if opened.first() is None:
        return
    if cause == CREDENTIALS:
        what = f"Nothing is sent there until they work; they are tried every {CREDENTIALS_SECONDS:.0f} s."
        await notices.notice(connection, f"credentials/{account}", "credentials", f"{words}. {what}")
    else:
        what = "Calls failed again and again, the last one with"
        then = "Its handoffs wait and lose nothing; one call at a time tries whether it works again"
        await notices.notice(connection, f"circuit/{account}", "circuit", f"{account}: {what}: {words}. {then}.")


async def probe(connection: AsyncConnection, account: str) -> bool:
    """Tell whether the caller may send the one probe of an open circuit."""
    won = await connection.execute(PROBE, {"account": account, "probing": PROBE_SECONDS})
    return won.first() is not None


async def probe_failed(connection: AsyncConnection, account: str, *, longer: bool) -> None:
    """Pause again before the next probe; ``longer``: twice as long as before."""
    await connection.execute(FAILED, {"account": account, "longer": longer, "longest": LONGEST_PAUSE_SECONDS})


async def probe_unused(connection: AsyncConnection, account: str) -> None:
    """Give back a probe that was not needed, for another lane to use."""
    await connection.execute(UNUSED, {"account": account})


async def close(connection: AsyncConnection, account: str) -> None:
    """Close a circuit: end its notices, wake its lanes, ring the bell."""
    if (await connection.execute(CLOSE, {"account": account})).first() is None:
        return
    for kind in ("circuit", "credentials"):
        await notices.close(connection, f"{kind}/{account}")
    await lanes.wake(connection, f"account:{account}")
    await ring(connection)


async def rest(connection: AsyncConnection, account: str, seconds: float) -> None:
    """Leave an account alone for so long, as its target asks."""
    await connection.execute(REST, {"account": account, "seconds": seconds})
