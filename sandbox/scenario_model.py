"""What all parts of a scenario file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sandbox.clock import parse_offset

Offset = Annotated[float, BeforeValidator(parse_offset)]
"""Seconds, or a text such as ``-10m``."""
Share = Annotated[float, Field(ge=0, le=1)]


class Model(BaseModel):
    """Refuses unknown fields, so that a typo is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)
