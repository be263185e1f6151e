"""An operator's commands in the middle of a story, carried out as they are typed."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handoff.cli import command_of, main

COULD_NOT_BE_DONE = 2
IN_STORIES = ("freeze", "thaw", "erase", "rejudge")
PATIENCE_SECONDS, REST_SECONDS = 30.0, 0.2


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed after ``handoff``.

    :param said: file to which a JSON line is added when it is done: ``{"command": [...], "began": ..., "ended": ...}``
        with the moments (unix seconds) between which it was, or ``crashed`` when it could not be done.
    """

    ledger_url: str
    words: list[str]
    said: str

    def carry_out(self) -> None:
        """Carry it out, again as long as the ledger cannot be reached, and say so."""
        os.environ["HANDOFF_LEDGER_URL"] = self.ledger_url
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            began, complaint = time.time(), io.StringIO()
            with redirect_stderr(complaint):
                status = main(self.words)
            # Its answer may have been lost with the database, what it did not.
            if status != COULD_NOT_BE_DONE or "is not frozen" in complaint.getvalue():
                return self._say({"command": self.words, "began": began, "ended": time.time()})
            print(complaint.getvalue(), file=sys.stderr, flush=True)
            if time.monotonic() > deadline:
                return self._say({"crashed": f"handoff {' '.join(self.words)}: {complaint.getvalue()}"})
            time.sleep(REST_SECONDS)

    @staticmethod
    def import_all() -> None:
        """Import once what every command would import for itself."""
        for name in IN_STORIES:
            command_of(name)

    def _say(self, what: dict[str, Any]) -> None:
        with Path(self.said).open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")
