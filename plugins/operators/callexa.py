"""Callexa's answers into the ledger: one poll of an account's surveys, recorded, and the cursor moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import ACCOUNT
from handoff.answer import SOURCE as ANSWERS
from handoff.errors import RateLimited, SourceError, TargetError, WrongCredentials
from handoff.ledger import cursors
from handoff.rules.rule import Rule
from hooks.accounts import connection_of
from hooks.callexa import CallexaClient, CallexaHook
from hooks.callexa_answers import CallexaSurvey, take
from hooks.callexa_cursor import AnswersCursor
from hooks.ledger import LedgerHook
from hooks.protocols.callexa_assumed import Answers
from hooks.source_rules import callexa_surveys, rules_of
from operators.polling import poll_once

OF_THE_ACCOUNT = WrongCredentials, RateLimited
"""Errors after which no other survey of the account can be read either."""


class RecordAnswersOperator(BaseAsyncOperator):
    """Polls the surveys of an account that rules name, and records what was answered.

    A survey that cannot be read stops no other; the task fails when all have been tried, so that it is tried again.

    :param callexa_conn_id: the account.
    :returns: counts only: surveys read, answers by what became of them (see :func:`hooks.callexa_answers.take`), and
        those that cannot be read; of a day that is used up what :func:`operators.polling.poll_once` says.
    """

    template_fields: Sequence[str] = ("callexa_conn_id", "ledger_conn_id")

    def __init__(
        self,
        *,
        callexa_conn_id: str = CallexaHook.default_conn_name,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.callexa_conn_id, self.ledger_conn_id = callexa_conn_id, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read and record survey by survey, and move the cursor of each.

        :raises SourceError: some surveys cannot be read now. :raises TargetError: the account cannot.
        """
        return await poll_once(self.ledger_conn_id, CallexaHook.conn_type, self.callexa_conn_id, self._poll)

    async def _poll(self, engine: AsyncEngine) -> dict[str, Any]:
        conn_id = self.callexa_conn_id
        async with CallexaClient.from_connection(conn_id, await connection_of(conn_id)) as client:
            began = datetime.now(UTC)
            async with engine.connect() as ledger:
                heeded = await cursors.poked(ledger, CallexaHook.conn_type, conn_id)
                cursor = AnswersCursor.parse(await cursors.read(ledger, CallexaHook.conn_type, conn_id))
            try:
                counts = await self._read(engine, client, cursor)
                cursor.heeded = heeded
            finally:
                # Whatever it brought: an account that does not answer is not asked without a pause.
                cursor.polled_at = began
                await self._keep(engine, cursor)
            return counts

    async def _read(self, engine: AsyncEngine, client: CallexaClient, cursor: AnswersCursor) -> dict[str, Any]:
        names = sorted(callexa_surveys().get(self.callexa_conn_id, ()))
        rules = rules_of(ANSWERS, ACCOUNT)
        surveys, unread = await self._surveys(client, names)
        counts = Counter(surveys=0, new=0, changed=0, unchanged=0, strangers=0, left_out=0, unreadable=0)
        for survey in surveys:
            try:
                read = await client.answers(survey.id, cursor.since.get(survey.id))
            except TargetError as error:
                unread += self._trouble(error)
                continue
            counts.update(await self._record(engine, survey, read, rules))
            cursor.move(survey.id, read)
            await self._keep(engine, cursor)
        self.log.info("recorded %s", dict(counts))
        if unread:
            words = "surveys cannot be read; the log says why, the others are recorded"
            raise SourceError(f"{self.callexa_conn_id}: {unread} {words}")
        return dict(counts)

    async def _surveys(self, client: CallexaClient, names: Sequence[str]) -> tuple[list[CallexaSurvey], int]:
        """Return the surveys that are called so, each once, and how many names lead to none."""
        found: dict[str, list[str]] = {}
        unread = 0
        for name in names:
            try:
                found.setdefault(await client.survey_id(name), []).append(name)
            except TargetError as error:
                unread += self._trouble(error)
        return [CallexaSurvey(self.callexa_conn_id, number, tuple(called)) for number, called in found.items()], unread

    def _trouble(self, error: TargetError) -> int:
        """Log that a survey cannot be read. :raises TargetError: no other one can be read either."""
        if isinstance(error, OF_THE_ACCOUNT):
            raise error
        self.log.error("a survey cannot be read: %s", error)
        return 1

    async def _record(
        self, engine: AsyncEngine, survey: CallexaSurvey, read: Answers, rules: Sequence[Rule]
    ) -> Counter[str]:
        counts = Counter[str](surveys=1, unreadable=len(read.problems))
        for problem in read.problems:
            self.log.error("an answer cannot be read and is read again with the next poll: %s", problem)
        for answer in read.answers:
            async with engine.begin() as connection:
                counts[await take(connection, survey, answer, rules)] += 1
        return counts

    async def _keep(self, engine: AsyncEngine, cursor: AnswersCursor) -> None:
        async with engine.begin() as connection:
            await cursors.write(connection, CallexaHook.conn_type, self.callexa_conn_id, cursor.text())
