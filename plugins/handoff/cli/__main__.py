"""``python -m handoff.cli``: the command where nothing was installed."""

from __future__ import annotations

from handoff.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
