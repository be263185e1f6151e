"""Short stories, each written so that one kind of mistake cannot stay hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chaos.story import FAR, Blow, Date, Entry, Fault, Plan, Report, RuleLine, Story, Target

END, LENGTH = 2.0, 120.0
AT_END = Plan(0.0, END - LENGTH, END)
AT_START = Plan(0.0, END, END + LENGTH)


def _people(count: int, **more: object) -> tuple[Entry, ...]:
    return tuple(Entry(f"p{n}", f"p{n}@example.org", -600.0 + n, **more) for n in range(count))  # type: ignore[arg-type]


def _rule(steps: Sequence[Target], **more: object) -> RuleLine:
    values: dict[str, object] = {"id": "r0", "webinar": "A", "who": "registered", "anchor": "end", "minutes": 0}
    return RuleLine(**(values | {"steps": tuple(steps)} | more))  # type: ignore[arg-type]


def _story(date: Sequence[Plan], people: Sequence[Entry], *rules: RuleLine, **more: object) -> Story:
    values: dict[str, object] = {"workers": 2, "sweep": False}
    return Story(seed=0, dates=(Date("d0", "A", tuple(date), tuple(people)),), rules=rules, **(values | more))  # type: ignore[arg-type]


def _two_dates(people: Sequence[Entry], rule: RuleLine, apart: float = 6.0, **more: object) -> Story:
    """Return a story of the same people at two dates of one webinar."""
    later = Plan(0.0, AT_END.start + apart, AT_END.end + apart)
    story = _story([AT_END], people, rule, **more)
    return replace(story, dates=(*story.dates, Date("d1", "A", (later,), tuple(people))))


def _edges() -> tuple[Entry, ...]:
    """People who come and go on, just before and just after the moment, and who reach just half of the webinar."""
    stays: list[tuple[tuple[float, float | None], ...]] = [
        ((0.0, LENGTH),), ((0.0, LENGTH - 0.125),), ((0.0, LENGTH + 0.125),), ((LENGTH, None),), (), ((0.0, None),),
        ((0.0, LENGTH / 2),), ((0.0, LENGTH / 2 - 0.125),), ((30.0, LENGTH / 2 + 30.0),),
        ((50.0, LENGTH), (LENGTH, None)),
    ]  # fmt: skip
    people = [Entry(f"e{n}", f"e{n}@example.org", -600.0 + n, stay) for n, stay in enumerate(stays)]
    twice = Entry("e0", "  E0@EXAMPLE.org", -300.0)
    late = [Entry(f"late{n}", f"late{n}@example.org", at) for n, at in enumerate((END - 0.125, END, END + 0.125))]
    return (*people, twice, *late, Entry("", "keine@", -200.0), Entry("", "", -100.0))


ONLINE = _rule(["kt"], who="online")
NOT_ONLINE = _rule(["ac"], id="r1", who="not_online")
HALF_A_YEAR = Story(
    seed=0, dates=(Date("d0", "Z0", (Plan(0.0, END, END + LENGTH),), _people(2), across_dst=True),),
    rules=(_rule(["kt"], webinar="Z0", anchor="start"),), workers=1, sweep=False,
)  # fmt: skip
CANCELLED_FAR = (Plan(0.0, 2 * FAR, 2 * FAR + LENGTH), Plan(0.5, 2 * FAR, 2 * FAR + LENGTH, cancelled=True))
MOVED_FAR = (Plan(0.0, 2 * FAR, 2 * FAR + LENGTH), Plan(0.5, 3 * FAR, 3 * FAR + LENGTH))
LATER = Plan(0.0, END + 4 - LENGTH, END + 4)
"""Late enough that a run is ready some seconds before the moment."""

STORIES: dict[str, Story] = {
    "edges": _story([AT_END], _edges(), ONLINE, NOT_ONLINE),
    "share": _story([AT_END], _edges(), _rule(["kt"], who="attended"), _rule(["kt"], id="r1", who="not_attended")),
    "lag": _story([AT_END], _edges(), ONLINE, NOT_ONLINE, presence_lag=0.75),
    "zone": HALF_A_YEAR,
    "steps": _story([AT_END], _people(6), _rule(["kt", "kt_tag", "ac", "mail"]), latency=0.05),
    "strict": _story([AT_END], _people(8), _rule(["kt", "ac"], order="strict"), latency=0.05),
    "doubt in a strict lane": _story(
        [AT_END], _people(6), _rule(["mail", "kt"], order="strict"),
        faults=(Fault(0.0, "email", "commit_then_drop", 1),),
    ),  # fmt: skip
    "lost answers": _story(
        [AT_END], _people(6), _rule(["kt", "kt_tag", "ac"]),
        faults=(Fault(0.0, "klicktipp", "commit_then_drop", 4), Fault(0.0, "activecampaign", "commit_then_drop", 4)),
    ),  # fmt: skip
    "lost calls": _story(
        [AT_END], _people(6), _rule(["kt", "kt_tag", "ac"]),
        faults=tuple(Fault(0.0, system, "drop_before_commit", 4) for system in ("klicktipp", "activecampaign")),
    ),  # fmt: skip
    "doubtful mails": _story(
        [AT_END], _people(6), _rule(["mail", "kt"]), faults=(Fault(0.0, "email", "commit_then_drop", 3),)
    ),
    "late import": _story(
        [AT_END], _people(12), _rule(["ac"]), bulk=2, settling=0.75,
        faults=(Fault(0.0, "activecampaign", "commit_then_drop", 1, path="/import"),),
    ),  # fmt: skip
    "killed while calling": _story(
        [AT_END], _people(6), _rule(["kt", "kt_tag"]), workers=1,
        faults=(Fault(0.0, "klicktipp", "hang", 6, seconds=10.0),), blows=(Blow(END + 1.0, "kill", 0, 0.25),),
    ),  # fmt: skip
    "killed while mailing": _story(
        [AT_END], _people(6), _rule(["mail"]), workers=1, faults=(Fault(0.0, "email", "slow", 6, seconds=1.75),),
        blows=(Blow(END + 0.75, "kill", 0, 0.25),),
    ),  # fmt: skip
    "killed while many mails wait": _story(
        [AT_END], _people(20), _rule(["mail"]), workers=1, faults=(Fault(0.0, "email", "slow", 20, seconds=1.0),),
        blows=(Blow(END + 0.75, "kill", 0, 0.25),),
    ),  # fmt: skip
    "killed before its moment": _story(
        [AT_END], _people(4), _rule(["kt"]), workers=1, blows=(Blow(END - 0.5, "kill", 0, 0.25),)
    ),
    "slow mails": _story(
        [AT_END], _people(6), _rule(["mail", "kt"]), workers=3, faults=(Fault(0.0, "email", "slow", 6, seconds=1.0),)
    ),
    "asleep": _story(
        [AT_END], _people(8), _rule(["kt", "kt_tag", "mail", "ac"]), workers=2, latency=0.25,
        blows=(Blow(END + 0.375, "suspend", 0, 3.25), Blow(END + 4.25, "suspend", 1, 3.25)),
    ),  # fmt: skip
    # It finds the bad answers when it wakes, before it gives up waiting; the other one is done by then.
    "asleep while its calls fail": _story(
        [AT_END], _people(4), _rule(["kt"]), latency=0.375, faults=(Fault(0.0, "klicktipp", "500", 4),),
        blows=(Blow(0.25, "kill", 1, END), Blow(END + 0.25, "suspend", 0, 5.75)),
    ),  # fmt: skip
    "asleep between two calls": _story(
        [AT_END], _people(8), _rule(["ac"]), latency=1.0,
        blows=(Blow(0.25, "kill", 1, END), Blow(END + 2.5, "suspend", 0, 4.5)), reports=(Report(END + 8.0, "d0", 0),),
    ),  # fmt: skip
    "asleep and in a hurry": _story(
        [AT_END], _people(20), _rule(["ac"]), limit=4,
        blows=(Blow(0.25, "kill", 1, END), Blow(END + 0.75, "suspend", 0, 4.5)), reports=(Report(END + 8.0, "d0", 0),),
    ),  # fmt: skip
    "cancelled unheard": _story(
        [AT_END, Plan(1.0, AT_END.start, AT_END.end, cancelled=True)], _people(4), _rule(["kt", "mail"]),
        dropped=((0.75, 6.0),),
    ),  # fmt: skip
    "cancelled in the last instant": _story(
        [LATER, Plan(LATER.end - 0.25, LATER.start, LATER.end, cancelled=True)], _people(4), _rule(["kt"]),
        dropped=((0.75, LATER.end + 4),),
    ),  # fmt: skip
    "cancelled on the way": _story(
        [AT_END, Plan(END + 0.5, AT_END.start, AT_END.end, cancelled=True)], _people(6), _rule(["kt"]),
        faults=(Fault(0.0, "klicktipp", "429", 6, retry_after=15.0),),
    ),  # fmt: skip
    "cancelled while others have their turn": _story(
        [AT_END, Plan(END + 0.5, AT_END.start, AT_END.end, cancelled=True)], _people(24), _rule(["ac"]), limit=3,
    ),  # fmt: skip
    "cancelled while its strict lane is worked in": _story(
        [AT_END, Plan(END + 1.0, AT_END.start, AT_END.end, cancelled=True)], _people(40),
        _rule(["kt"], order="strict"), latency=0.5,
    ),  # fmt: skip
    "told twice of one moment": _story(
        [AT_END, Plan(0.5, AT_END.start, AT_END.end + 1), Plan(0.5, AT_END.start, AT_END.end + 1, cancelled=True)],
        _people(4), _rule(["kt"]), reports=(Report(0.75, "d0", 2), Report(1.0, "d0", 1)), dropped=((0.5, 1.5),),
    ),  # fmt: skip
    "cancelled": _story(
        [AT_END, Plan(0.75, AT_END.start, AT_END.end, cancelled=True)], _people(4), _rule(["kt", "mail"])
    ),
    "cancelled while it is judged": _story(
        [AT_END, Plan(END + 0.5, AT_END.start, AT_END.end, cancelled=True)], _people(300), _rule(["kt"]),
        workers=1, sweep=True, blows=(Blow(END + 0.375, "kill", 0, 0.625),),
    ),  # fmt: skip
    "moved while it is judged": _story(
        [AT_START, Plan(END + 0.5, AT_START.start + 5, AT_START.end + 5)], _people(300), _rule(["kt"], anchor="start"),
        workers=1, sweep=True, blows=(Blow(END + 0.375, "kill", 0, 0.625),),
    ),  # fmt: skip
    "moved": _story([AT_END, Plan(1.0, AT_END.start + 2, AT_END.end + 2)], _people(4), _rule(["kt"]), reports=(
        Report(1.25, "d0", 0), Report(1.5, "d0", 1), Report(3.0, "d0", 0))),
    "moved far": _story(
        MOVED_FAR, _people(2), _rule(["kt"]), polls=False,
        reports=(Report(0.5, "d0", 0), Report(1.0, "d0", 1), Report(1.5, "d0", 1)),
    ),  # fmt: skip
    "moved backwards": _story(
        MOVED_FAR, _people(2), _rule(["kt"]), polls=False, reports=(Report(0.5, "d0", 1), Report(1.0, "d0", 0))
    ),
    "tombstone": _story(
        CANCELLED_FAR, _people(2), _rule(["kt"]), polls=False, reports=(Report(0.5, "d0", 1), Report(1.0, "d0", 0))
    ),
    "told twice": _story([AT_END], _people(4), _rule(["kt", "mail"]), reports=tuple(
        Report(at / 8, "d0", 0) for at in range(1, 32, 4))),
    "too late": _story(
        [Plan(0.0, -LENGTH - 90.0, -90.0)], _people(4), _rule(["kt", "mail"], late_minutes=1)
    ),
    "too late to be sent": _story(
        [Plan(0.0, -LENGTH - 90.0, -90.0)], _people(4), _rule(["kt"], late_minutes=1, then="skip"),
        _rule(["ac"], id="r1", late_minutes=1, then="send"),
    ),  # fmt: skip
    "late on the way": _story(
        [Plan(0.0, -LENGTH - 57.0, -57.0)], _people(40), _rule(["ac"], late_minutes=1), limit=3
    ),
    "never agreed": _story([AT_END], _people(4), _rule(["mail"], barred="no consent")),
    "closed": _story([AT_END], _people(4), _rule(["mail"], barred="closed")),
    "frozen in flight": _story(
        [AT_END], _people(40), _rule(["kt", "ac", "mail"]), latency=0.25, limit=8,
        blows=(Blow(END + 0.5, "freeze", seconds=6.0, about="all"),),
    ),  # fmt: skip
    "an account frozen in flight": _story(
        [AT_END], _people(40), _rule(["kt", "ac"]), _rule(["kt"], id="r1"), limit=8,
        blows=(Blow(END + 0.5, "freeze", seconds=6.0, about="account:activecampaign_default"),),
    ),  # fmt: skip
    "a rule frozen over its moment": _story(
        [AT_END], _people(6), _rule(["kt", "mail"]), _rule(["ac"], id="r1"),
        blows=(Blow(END - 1.0, "freeze", seconds=5.0, about="rule:r0"),),
    ),  # fmt: skip
    "erased in flight": _story(
        [AT_END], _people(40), _rule(["ac", "mail"]), _rule(["kt"], id="r1"), limit=4, settling=0.125,
        blows=(Blow(END + 1.0, "erase", about="p37@example.org"),),
    ),  # fmt: skip
    "erased before the moment": _story(
        [LATER], _people(6), _rule(["kt", "mail"]), _rule(["ac"], id="r1", order="strict"),
        blows=(Blow(2.0, "erase", about="p2@example.org"),), reports=(Report(3.0, "d0", 0),),
    ),  # fmt: skip
    "rejudged in flight": _two_dates(
        _people(30), _rule(["ac"]), limit=8, blows=(Blow(END + 1.0, "rejudge", about="r0"),)
    ),
    "rejudged while it is judged": _story(
        [AT_END], _people(300), _rule(["kt"]), workers=1,
        blows=(Blow(END + 0.25, "kill", 0, 0.75), Blow(END + 0.375, "rejudge", about="r0")),
    ),  # fmt: skip
    "only once": _two_dates(_people(6), _rule(["kt", "mail"], again="never")),
    "only once in 30 days": _two_dates(_people(6), _rule(["kt"], again="in 30 days"), apart=0.0),
    "only once, judged by two workers": Story(
        seed=0, rules=(_rule(["kt"], again="never"),), sweep=False, dates=(
            Date("d0", "A", (LATER,), _people(6)),
            # Heard of when one worker has the other date in hand already, so that the other one takes it.
            Date("d1", "A", (CANCELLED_FAR[0], Plan(LATER.end - 1.375, LATER.start, LATER.end)), _people(6)),
        ),
    ),  # fmt: skip
    "quota": _story([LATER], _people(20), _rule(["ac"]), quota=30, workers=1),
    "frozen": _story(
        [AT_END], _people(4), _rule(["kt", "mail"], barred="frozen"), _rule(["ac"], id="r1"),
    ),  # fmt: skip
    "rate": _story([AT_END], _people(30), _rule(["ac"]), limit=8),
    "outage": _story(
        [AT_END], _people(120), _rule(["kt", "kt_tag"]), latency=0.02,
        faults=(Fault(0.0, "klicktipp", "503", 1000, changing_only=False),), blows=(Blow(END + 3.0, "repair"),),
    ),  # fmt: skip
    "poison": _story(
        [AT_END], (*_people(4), Entry("x", "x@blocked.example", -500.5, poison=True)),
        _rule(["kt", "mail"], order="strict"),
    ),  # fmt: skip
    "database killed": _story(
        [AT_END], _people(6), _rule(["mail", "kt", "kt_tag"]), latency=0.1,
        blows=(Blow(END + 0.25, "postgres"),), reports=(Report(1.0, "d0", 0),),
    ),  # fmt: skip
    # Many announcements in the last tenth of a second, and nobody beside them who makes the server write to disk.
    "database killed in full flow": _story(
        [AT_END], _people(99), _rule(["kt", "kt_tag", "ac", "kt_tag"]), workers=1, polls=False,
        reports=(Report(0.125, "d0", 0),), blows=(Blow(END + 0.25, "postgres"),),
    ),  # fmt: skip
}  # fmt: skip
