"""What arrived, held against what is owed: lost, doubled and foreign effects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hooks.protocols.quentn_assumed import PREFIX
from launch.expectation import Wanted
from launch.traces import Trace, trace_of

SYSTEMS = frozenset({"klicktipp", "activecampaign", "email", "insightly", "callexa", "etermin", "quentn"})
NOBODYS = frozenset({"create_tag", "bulk_import"})
"""What concerns no contact: tags made because a step says so, and how ActiveCampaign's imports begin."""
THEIR_OWN = frozenset({"webhook", "push"})
"""What a vendor does by itself."""

Key = tuple[str, Trace]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One effect of the sandbox's journal. :param at: aware, UTC."""

    seq: int
    at: datetime
    contact: str
    trace: Trace
    created: bool

    @classmethod
    def read(cls, entry: dict[str, Any]) -> Arrived:
        """Read an entry of ``GET /_sandbox/effects``."""
        at = datetime.fromtimestamp(entry["at"], UTC)
        return cls(entry["seq"], at, entry["contact"], trace_of(entry), bool(entry["detail"].get("created")))


@dataclass(slots=True)
class Comparison:
    """What became of everything.

    :param rows: each owed effect with when it arrived, ``None`` while it has not.
    :param twice: arrived once more than owed. :param unexpected: owed to nobody.
    """

    rows: list[tuple[Wanted, datetime | None]] = field(default_factory=list)
    twice: list[Arrived] = field(default_factory=list)
    unexpected: list[Arrived] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """How many effects were owed; what nobody needed after all, because it was so already, is none."""
        return sum(at is not None or wanted.sure for wanted, at in self.rows)

    @property
    def missing(self) -> list[Wanted]:
        """What has not arrived although it must."""
        return [wanted for wanted, at in self.rows if at is None and wanted.sure]

    @property
    def delivered(self) -> int:
        """How many owed effects have arrived."""
        return sum(at is not None for _, at in self.rows)

    @property
    def exact(self) -> bool:
        """Whether everything arrived exactly once and nothing else did."""
        return not (self.missing or self.twice or self.unexpected)


def compare(wanted: Iterable[Wanted], entries: Sequence[dict[str, Any]]) -> Comparison:
    """Match owed effects with the sandbox's journal, in order of time."""
    ours = [entry for entry in entries if entry["system"] in SYSTEMS and entry["action"] not in THEIR_OWN]
    arrived = [Arrived.read(entry) for entry in ours]
    names = dict(_names(entries))
    owed: defaultdict[Key, list[Wanted]] = defaultdict(list)
    for one in wanted:
        owed[one.contact, names.get(one.trace, one.trace)].append(one)
    came: defaultdict[Key, list[Arrived]] = defaultdict(list)
    for effect in arrived:
        if effect.contact or effect.trace[1] not in NOBODYS:
            came[effect.contact, effect.trace].append(effect)
    result = Comparison()
    for key in {**owed, **came}:
        _match(result, owed.get(key, []), came.get(key, []), _preparations(key, came.get(key, []), owed, arrived))
    result.rows.sort(key=lambda row: (row[0].due_at, row[0].rule.id, row[0].contact))
    return result


def _names(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[Trace, Trace]]:
    """Yield how a step may name what the journal names otherwise: a list by its id, a field by its name in the API."""
    for entry in entries:
        system, action, detail = entry["system"], entry["action"], entry["detail"]
        if action == "list":
            yield (system, action, str(detail["list_id"])), trace_of(entry)
        if (system, action) == ("quentn", "field"):
            for name in (detail["field"], detail["field"].removeprefix(PREFIX)):
                yield (system, action, name), trace_of(entry)


def _match(result: Comparison, owed: list[Wanted], came: list[Arrived], prepared: set[int]) -> None:
    """Give each owed effect the first that came after its moment, rather none that only prepared another one.

    What is left was not owed, unless it prepared another one.
    """
    left = sorted(came, key=lambda effect: (effect.seq in prepared, effect.seq))
    for one in owed:
        index = next((index for index, effect in enumerate(left) if effect.at >= one.due_at), None)
        result.rows.append((one, None if index is None else left.pop(index).at))
    (result.twice if owed else result.unexpected).extend(effect for effect in left if effect.seq not in prepared)


def _preparations(key: Key, came: list[Arrived], owed: dict[Key, list[Wanted]], arrived: list[Arrived]) -> set[int]:
    """Return the numbers of contacts that may only have been made so that a step could tag or subscribe them."""
    contact, (system, action, _) = key
    others = [one for (whom, trace), some in owed.items() if whom == contact and trace[0] == system for one in some]
    if action != "contact" or all(_makes_contacts(one, system) for one in others):
        return set()
    if system == "klicktipp":
        # One call creates and tags, so the next effect is the tag.
        tags = (effect for effect in arrived if effect.contact == contact and effect.trace[:2] == (system, "tag"))
        tagged = {effect.seq - 1 for effect in tags}
        return {effect.seq for effect in came if effect.created and effect.seq in tagged}
    # Made before each tag or list, and again when that is tried again.
    return {effect.seq for effect in came}


def _makes_contacts(wanted: Wanted, system: str) -> bool:
    return any(step.step == f"{system}.contact" for step in wanted.rule.steps)
