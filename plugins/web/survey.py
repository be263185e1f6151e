"""The page behind a survey's mail: shows the choice, takes a comment, and records the answer when it is sent.

Nothing is recorded by a GET: mail scanners follow every link.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.answer import LONGEST_COMMENT, OWN, UnusableAnswer, rating_of
from handoff.ledger import answers, askings
from handoff.ledger.askings import Asked
from handoff.ledger.keys import signing_key
from handoff.planning.answering import record_own
from handoff.rules.file import project_rules
from handoff.texts.links import survey_effect
from web.ledger import Ledger
from web.receiver.body import read_into
from web.survey_page import Form, survey_page
from web.survey_words import Words, words_in

router = APIRouter()
LARGEST_FORM = 1024 * 1024
"""Bytes: a comment much longer than what is taken comes back in the form all the same. Only who has a link may send so
much."""


@router.api_route("/survey/{token}", methods=["GET", "HEAD"])
async def show(token: str, ledger: Ledger, score: str = "") -> HTMLResponse:
    """Show the scale with the choice marked; record nothing.

    :param score: the choice of the link that was followed, 0 to 10.
    """
    async with ledger.begin() as connection:
        asked = await _asked(connection, token)
        known = await answers.find(connection, via=OWN, survey=asked.survey, ref=asked.effect_key)
    words = words_in(asked.language)
    form = Form(known.rating, known.comment) if known else Form()
    if not score:
        return survey_page(words, form)
    try:
        return survey_page(words, replace(form, rating=rating_of(score)))
    except UnusableAnswer:
        return survey_page(words, replace(form, problem=words.wrong_rating), 400)


@router.post("/survey/{token}")
async def answer(token: str, request: Request, ledger: Ledger) -> HTMLResponse:
    """Record the answer, or say what is wrong with it; sent again it is the next version of the same answer."""
    async with ledger.begin() as connection:
        asked = await _asked(connection, token)
    words, body = words_in(asked.language), bytearray()
    ending = await read_into(body, request, LARGEST_FORM)
    if ending == "too_large":
        return survey_page(words, Form(problem=words.too_large.format(most=LONGEST_COMMENT)), 413)
    if ending != "whole":
        return survey_page(words, Form(problem=words.incomplete), 408)
    form = _read(words, body)
    if form.problem or form.rating is None:
        return survey_page(words, form, 400)
    rules = await asyncio.to_thread(project_rules)
    async with ledger.begin() as connection:
        stored = await record_own(connection, asked, form.rating, form.comment, rules)
    if stored is None:
        raise HTTPException(404)
    return survey_page(words, replace(form, stored=True))


async def _asked(connection: AsyncConnection, token: str) -> Asked:
    """Return who was asked; forged, unknown or erased: the answer is the same page."""
    effect_key = survey_effect(await signing_key(connection), token)
    asked = await askings.by_effect_key(connection, effect_key) if effect_key else None
    if asked is None:
        raise HTTPException(404)
    return asked


def _read(words: Words, body: bytes | bytearray) -> Form:
    """Read the form that was sent; what is wrong with it is its problem, and the comment stays in it."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        fields = {}
    written = fields.get("rating", [""])[-1]
    comment = fields.get("comment", [""])[-1].replace("\r\n", "\n").replace("\r", "\n").strip()
    form = Form(comment=comment)
    try:
        form = replace(form, rating=rating_of(written))
    except UnusableAnswer:
        return replace(form, problem=words.wrong_rating if written.strip() else words.no_rating)
    if len(comment) > LONGEST_COMMENT:
        return replace(form, problem=words.long_comment.format(count=len(comment), most=LONGEST_COMMENT))
    return form
