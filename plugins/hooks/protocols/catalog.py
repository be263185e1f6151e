"""Names and ids of one kind of thing in an account: tags, fields, lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from handoff.errors import Refused
from hooks.protocols.shared import Conversation, Shared


class Catalog:
    """Finds ids by name, or takes the id itself; read on first use, and again once for each name that is missing.

    What is somebody's name and somebody else's id is the name.

    :param account: Airflow connection id, for errors.
    :param kind: what is listed, in the vendor's words, e.g. ``"tag"``.
    :param advice: what a user can do about an unknown name.
    :param load: reads ``(id, name)`` pairs; an id may have several names, or an empty one.
    """

    def __init__(
        self, account: str, kind: str, advice: str, load: Callable[[], Conversation[Iterable[tuple[str, str]]]]
    ) -> None:
        self.account, self.kind, self.advice = account, kind, advice
        self._load = load
        self._ids: dict[str, set[str]] | None = None
        self._names: dict[str, str] = {}
        self._missing: set[str] = set()

    def find(self, name: str, *, again: bool = False, by_name: bool = False) -> Conversation[str | None]:
        """Return the id of a name, or ``None`` when the account does not have it.

        :param again: read the account's names again, whatever is known of them.
        :param by_name: only a name is meant, not an id.
        :raises Refused: several things of this kind have the name.
        """
        if again or self._ids is None or not (self._called(name, by_name) or name in self._missing):
            yield from self.reread()
        ids = self._called(name, by_name)
        if not ids:
            self._missing.add(name)
            return None
        if len(ids) > 1:
            raise self.refusal(f"{len(ids)} {self.kind}s of this account are called {name!r}; give each its own name")
        return next(iter(ids))

    def resolve(self, name: str) -> Conversation[str]:
        """Return the id of a name. :raises Refused: the account does not have it, or has it twice."""
        found = yield from self.find(name)
        if found is None:
            raise self.unknown(name)
        return found

    def name_of(self, known_id: str) -> str:
        """Return the name of an id, empty when it has none or was not listed."""
        return self._names.get(known_id, "")

    def add(self, name: str, new_id: str) -> None:
        """Remember what was just created."""
        self._ids = {**(self._ids or {}), name: {new_id}}
        self._names[new_id] = name
        self._missing.discard(name)

    def reread(self) -> Conversation[None]:
        """Read the account's names again."""
        yield Shared(f"read {self.kind}s", self._read)

    def unknown(self, name: str) -> Refused:
        """Return the error for a name that the account does not have."""
        close = get_close_matches(name, self._ids or {}, n=2, cutoff=0.6)
        hint = f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ";"
        return self.refusal(f"this account has no {self.kind} called {name!r}{hint} {self.advice}")

    def refusal(self, words: str) -> Refused:
        """Return a refusal about this kind of thing."""
        return Refused(self.account, f"find {self.kind}", words)

    def _called(self, name: str, by_name: bool) -> set[str]:
        ids = (self._ids or {}).get(name)
        return ids or ({name} if name in self._names and not by_name else set())

    def _read(self) -> Conversation[None]:
        ids: dict[str, set[str]] = {}
        names: dict[str, str] = {}
        for item, name in (yield from self._load()):
            names.setdefault(item, name)
            if name:
                ids.setdefault(name, set()).add(item)
        self._ids, self._names, self._missing = ids, names, set()
