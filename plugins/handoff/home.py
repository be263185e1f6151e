"""Where a project's own files are: rules and templates."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the folder that holds ``include/``: ``HANDOFFS_HOME``, or the one that holds ``plugins/``."""
    return Path(os.environ.get("HANDOFFS_HOME") or Path(__file__).resolve().parents[2])


def rules_folder() -> Path:
    """Return the folder of the rule files."""
    return home() / "include" / "handoffs"


def templates_folder() -> Path:
    """Return the folder of the message templates."""
    return home() / "include" / "templates"
