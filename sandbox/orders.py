"""Reading the bodies of the sandbox's own calls."""

from __future__ import annotations

import json
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sandbox.scenario import problems

Order = TypeVar("Order", bound=BaseModel)


async def read_order(request: web.Request, form: type[Order]) -> Order:
    """Return the body as an order.

    :raises HTTPBadRequest: with one line for each wrong field.
    """
    try:
        return form.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise bad_request(problems(error)) from error


def bad_request(lines: list[str]) -> web.HTTPBadRequest:
    """Return the error whose body is ``{"errors": [...]}``."""
    text = json.dumps({"errors": lines}, ensure_ascii=False)
    return web.HTTPBadRequest(text=text, content_type="application/json")
