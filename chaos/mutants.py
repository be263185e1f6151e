"""Mistakes that somebody could make in the engine: each must break a promise in some story."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a file below ``plugins/``; ``original`` occurs there exactly once."""

    file: str
    original: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. :param stories: the directed stories that are played first, by name."""

    name: str
    edits: tuple[Edit, ...]
    stories: tuple[str, ...]


def _one(name: str, file: str, original: str, replacement: str, *stories: str) -> Mutant:
    return Mutant(name, (Edit(f"handoff/{file}", original, replacement),), stories)


LANE_RUN, JOURNAL, LANES = "delivery/lane_run.py", "ledger/journal.py", "ledger/lanes.py"
REJUDGING = "handoff/planning/rejudging.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "no dedupe key: every report plans the batch again",
        (
            Edit(
                "handoff/ledger/migrations/versions/0009_rounds.py",
                'op.create_unique_constraint(AFTER, "batches", ["rule_id", "occasion_id", "round"], schema="handoff")',
                "",
            ),
            Edit(
                "handoff/ledger/batches.py", ":reason)\n    ON CONFLICT (rule_id, occasion_id, round) DO NOTHING",
                ":reason)",
            ),
            Edit(
                "handoff/ledger/batches.py",
                "ORDER BY occasion_id ON CONFLICT (rule_id, occasion_id, round) DO NOTHING", "ORDER BY occasion_id",
            ),
        ),
        ("moved",),
    ),
    _one(
        "outcome committed before the call", LANE_RUN, "return await target.send(call)",
        'self._journal.note(Outcome(effect.id, "confirmed")); return await target.send(call)', "killed while calling",
    ),
    Mutant(
        "intent committed after the call",
        (
            Edit(
                f"handoff/{LANE_RUN}", "if not await self._journal.intend(effect.id, use) or not self._fresh():",
                "if not self._fresh():",
            ),
            Edit(
                f"handoff/{LANE_RUN}", "return await target.send(call)",
                "proof = await target.send(call); await self._journal.intend(effect.id); return proof",
            ),
        ),
        ("killed while mailing",),
    ),
    _one(
        "intents may be lost by a crash of the database", JOURNAL,
        "if group.intents:\n",
        "if group.intents:\n            await connection.exec_driver_sql('SET synchronous_commit = off')\n",
        "database killed in full flow", "database killed",
    ),
    Mutant(
        "a connection is waited for after the announcement",
        (
            Edit(f"handoff/{LANE_RUN}", "async with target.slot():", "if True:"),
            Edit(
                f"handoff/{LANE_RUN}", "return await target.send(call)",
                "async with target.slot(): return await target.send(call)",
            ),
        ),
        ("killed while many mails wait",),
    ),
    _one(
        "lease of a lane ignored", LANES,
        "AND (leased_until IS NULL OR leased_until < clock_timestamp())\n        ORDER BY ready_at",
        "ORDER BY ready_at", "slow mails",
    ),
    _one(
        "a dead worker's lanes are never taken up", LANES,
        "AND (leased_until IS NULL OR leased_until < clock_timestamp())\n        ORDER BY ready_at",
        "AND leased_until IS NULL\n        ORDER BY ready_at", "killed while calling",
    ),
    _one(
        "a dead run's batches are never taken up", "ledger/batches.py",
        "AND (leased_until IS NULL OR leased_until < clock_timestamp())))", "AND leased_until IS NULL))",
        "killed before its moment",
    ),
    _one(
        "fence ignored: who lost the lane writes what became of its calls", JOURNAL,
        "AND lane.lease_owner = :owner\n      -- What was ended meanwhile, erased for instance, stays ended.\n"
        "      AND effect.state IN ('planned', 'sending', 'unknown')", "AND :owner <> ''",
        "asleep while its calls fail", "asleep",
    ),
    _one(
        "an effect of several calls goes on after its lane was lost", "delivery/standing.py",
        "if not _fresh.get()():", "if False:", "asleep between two calls",
    ),
    _one(
        "who lost a lane is told that it is still theirs", "delivery/worker.py",
        "self._forget(leased[lost])", "pass", "asleep and in a hurry",
    ),
    _one(
        "not judged again after a long wait for the turn", LANE_RUN,
        "planned = await self._desk.batch(effect, _lately())\n                _judge_again(effect, planned)\n",
        "pass\n", "late on the way",
    ),
    _one(
        "a cancellation during a long wait for the turn is not read", "delivery/desk.py",
        "effect.cancelled, effect.occasion_version = news.cancelled, news.version", "_ = news",
        "cancelled while others have their turn",
    ),
    _one(
        "what is known of an occasion gets as old as its lane takes", LANE_RUN,
        "planned = await self._desk.batch(effect, _lately())\n            _compare(",
        "effect.known_at = time.monotonic()\n            planned = await self._desk.batch(effect, 0.0)\n"
        "            _compare(", "cancelled while its strict lane is worked in",
    ),
    _one(
        "of two reports of one moment the last look's is not followed", "ledger/occasions.py",
        "other is not None\n        and", "other is None\n        and", "told twice of one moment",
    ),
    _one(
        "zone ignored", "times/timing.py", "moment = add_days(anchor, zone,", 'moment = add_days(anchor, "UTC",',
        "zone",
    ),
    _one(
        "tombstone dropped", "planning/planner.py", "known = await occasions.take_over(connection, occasion)",
        "known = None if occasion.cancelled and await occasions.latest(connection, occasion) is None "
        "else await occasions.take_over(connection, occasion)", "tombstone",
    ),
    _one(
        "settle skipped: doubtful effects are sent again", LANE_RUN, "proof = await target.seen(call)", "proof = None",
        "lost answers",
    ),
    _one(
        "settled without reading: doubtful effects count as done", LANE_RUN, "proof = await target.seen(call)",
        "proof = {}", "lost calls",
    ),
    Mutant(
        "settling time ignored",
        (
            Edit(
                f"handoff/{LANE_RUN}", "too_early = target.settling_seconds - (effect.seconds_since_intent or 0.0)",
                "too_early = 0.0",
            ),
            Edit("handoff/delivery/policy.py", "return max(settling_seconds, backoff", "return max(0.0, backoff"),
        ),
        ("late import",),
    ),
    _one(
        "an unknown outcome counts as none", "delivery/policy.py", "UnknownOutcome: Treatment(Then.SETTLE",
        "UnknownOutcome: Treatment(Then.AGAIN", "lost answers", "doubtful mails",
    ),
    Mutant(
        "a doubtful mail is sent again",
        (
            Edit("hooks/mail_target.py", "promise = Promise.AT_MOST_ONCE", "promise = Promise.SETTLED_BY_READING"),
            Edit(
                "hooks/mail_target.py", 'raise UnknownOutcome(self._mailbox.account, "look for a sent e-mail", words)',
                "return None",
            ),
        ),
        ("doubtful mails",),
    ),
    _one(
        "last look skipped", "delivery/moment.py", "return now, roster", "return known, roster", "cancelled unheard",
    ),
    _one(
        "written ahead and let go unseen", "delivery/moment.py",
        "if judging.begun and not frozen() and await _no_news(batch, rule, source, since):", "if judging.begun:",
        "cancelled in the last instant",
    ),  # fmt: skip
    _one(
        "cancel ignored by the planner", "planning/planner.py", "if known.occasion.cancelled:", "if False:",
        "cancelled",
    ),
    _one(
        "cancel ignored by effects on their way", LANE_RUN, "if effect.cancelled:", "if False:", "cancelled on the way"
    ),
    _one(
        "moved occasion not moved", "planning/planner.py", 'await batches.move(connection, row["id"], due_at)', "pass",
        "moved", "moved far",
    ),
    _one(
        "moved with those who were judged already", "planning/planner.py",
        'return row["state"] == "judged" or await batches.begun(connection, row["id"])',
        'return row["state"] == "judged"', "moved while it is judged",
    ),
    _one(
        "older report overwrites newer", "ledger/occasions.py", "or_(OccasionRow.changed <= occasion.changed,",
        "or_(literal(True),", "moved backwards",
    ),
    _one(
        "late_after ignored", "times/late.py", 'self.then != "send" and moment > meant_for + self.elapsed', "False",
        "too late", "late on the way",
    ),
    _one(
        "duplicate registration counted twice", "planning/judging.py", "elif entry.contact_id in seen:", "elif False:",
        "edges",
    ),
    _one(
        "presence intervals closed on both ends", "audience.py", "any(joined <= moment < left",
        "any(joined <= moment <= left", "edges",
    ),
    _one(
        "presence intervals open on both ends", "audience.py", "any(joined <= moment < left",
        "any(joined < moment < left", "edges",
    ),
    _one(
        "exactly the share does not count as attended", "audience.py",
        "watched * 100 >= length * attended_from_percent", "watched * 100 > length * attended_from_percent", "share",
    ),
    _one("who registers later belongs to it", "audience.py", "if registered_at > moment:", "if False:", "lag"),
    _one(
        "presence that has not arrived counts as absence", "delivery/moment.py",
        "return not rule.needs_presence or roster.presence_until >= batch.moment", "return True", "lag",
    ),
    _one(
        "order of steps ignored", LANES, "ORDER BY effect.lane_id, effect.handoff_id, effect.step_no",
        "ORDER BY effect.lane_id, effect.handoff_id, effect.step_no DESC", "steps",
    ),
    _one(
        "strict order ignored", "planning/judging.py", 'if rule.order == "strict" else entry.contact_key',
        "if False else entry.contact_key", "strict",
    ),
    _one(
        "one doubt stops everybody in a strict lane", LANE_RUN, 'if ended.state == "held" and not self._lane.strict:',
        'if ended.state == "held":', "doubt in a strict lane",
    ),
    _one(
        "consent not asked", "delivery/consents.py", "return Ground(_refusal(rule, standing), use)",
        "return Ground(None, use)", "never agreed",
    ),
    _one(
        "sending window ignored", "times/permission.py", "return Go() if opens <= now else Wait(opens)", "return Go()",
        "closed",
    ),
    _one("freeze ignored", "delivery/gate.py", "if self._frozen:\n", "if False:\n", "frozen"),
    _one(
        "freeze looked at only at the claim", LANE_RUN,
        "hold = self._gate.frozen(effect.rule_id, effect.account)\n",
        "hold = self._gate.frozen(effect.rule_id, effect.account) if effect is self._lane.effects[0] "
        "and not getattr(self, '_looked', False) else None\n        self._looked = True\n",
        "frozen in flight", "an account frozen in flight",
    ),
    _one(
        "freeze not looked at while the turn is waited for", LANE_RUN,
        "# The slot and the turn may have been long in coming.\n        await self._ask_gate(effect)", "pass",
        "frozen in flight", "an account frozen in flight",
    ),
    _one(
        "a thaw wakes nobody", "ledger/freezes.py", "await lanes.wake(connection, scope)\n", "pass\n",
        "an account frozen in flight",
    ),
    Mutant(
        "erased person still handed over",
        (
            Edit(
                "handoff/ledger/erasure.py", "state = CASE WHEN open THEN 'skipped' ELSE state END,", "state = state,"
            ),
            Edit("handoff/ledger/erasure.py", "held = NULL, rests = NULL, ready_at = NULL, lease_owner", "lease_owner"),
        ),
        ("erased in flight",),
    ),
    _one(
        "who was erased comes back with the next list", "ledger/registrations.py",
        "WHERE NOT contacts.erased\n", "WHERE true\n", "erased before the moment",
    ),
    _one(
        "re-judged although judged", "planning/rejudging.py",
        "if batch.state == \"waiting\" and batch.in_hand:", "if False:", "rejudged while it is judged",
    ),
    Mutant(
        "what is handed over already follows the changed rule",
        (
            Edit(
                "handoff/ledger/batches.py", "AND (batch.state IN ('waiting', 'missed')", "AND (batch.state <> 'none'"
            ),
            Edit(REJUDGING, "if not waits and (", "if False and ("),
            Edit(REJUDGING, "if not waits or due_at != batch.due_at:", "if due_at != batch.due_at:"),
        ),
        ("rejudged in flight",),
    ),
    _one(
        "a changed rule is not followed", "ledger/batches.py", "AND rule_version <> :version", "AND false",
        "rejudged in flight",
    ),
    _one(
        "re-entry ignored", "ledger/verdicts.py", 'if rule.again != "per_occasion":', "if False:", "only once",
    ),
    _one(
        "re-entry looked up beside another batch of the rule", "ledger/reentry.py",
        "pg_advisory_xact_lock(hashtext('handoff-again/' || batch.rule_id))", "1",
        "only once, judged by two workers",
    ),
    _one(
        "late ones are held although they are to be left out", "times/permission.py",
        'return End("skipped", LATE) if rule.late_after.then == "skip" else End("held", HELD)',
        'return End("held", HELD)',
        "too late to be sent",
    ),
    _one(
        "day quota not asked", "delivery/limiter.py",
        "if self._quota and not counted:\n                await self._count",
        "if False:\n                await self._count", "quota",
    ),
    _one("rate limit ignored", "delivery/limiter.py", "while self._interval:", "while False:", "rate"),
    _one(
        "a circuit never closes", "delivery/circuit.py", "await circuits.close(connection, self.account)", "pass",
        "outage",
    ),
    _one(
        "who is left out gets no verdict", "ledger/verdicts.py", "ON CONFLICT (batch_id, ref) DO NOTHING RETURNING ref",
        "WHERE included ON CONFLICT (batch_id, ref) DO NOTHING RETURNING ref", "edges",
    ),
    _one(
        "outcomes forgotten", JOURNAL, "if group.outcomes:", "if group.outcomes and False:", "steps",
    ),
)  # fmt: skip
