"""The desk: calls with stable names and rendered fields, and every account opened once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.desk import Desk, LimiterOf, rendered
from handoff.errors import TemplateError, WrongCredentials
from handoff.rules.steps import KlickTippContact, KlickTippTag
from handoff.target import Target, effect_key
from handoff.texts.templates import RuleFacts, variables_of
from tests.support.domain import an_occasion
from tests.support.targets import MemoryTarget

NO_LEDGER = cast(AsyncEngine, None)
EVA = Contact("eva@example.org", first_name="Eva 🎉", last_name="Öztürk")
VARIABLES = variables_of(EVA, an_occasion(), RuleFacts("r", "Rule"))


def contact_step(**fields: str) -> KlickTippContact:
    return KlickTippContact(step="klicktipp.contact", fields=fields)


def test_fields_are_rendered_and_the_rule_s_step_is_not_touched() -> None:
    step = contact_step(fieldFirstName="{{ contact.first_name }}", fieldCity="Köln")
    found = rendered(step, VARIABLES)
    assert found.model_dump()["fields"] == {"fieldFirstName": "Eva 🎉", "fieldCity": "Köln"}
    assert step.fields["fieldFirstName"] == "{{ contact.first_name }}"


def test_a_step_without_templates_is_itself() -> None:
    step = KlickTippTag(step="klicktipp.tag", tag="{{ not a template }}")
    assert rendered(step, VARIABLES) is step


def test_an_unknown_name_is_an_error_without_the_contact() -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(contact_step(fieldFirstName="{{ contact.first_nam }}"), VARIABLES)
    assert "Eva" not in str(caught.value)


def test_a_key_is_the_same_for_ever() -> None:
    """Markers and Message-IDs that went out are found again by it: it must never change."""
    assert effect_key("rule", an_occasion(), EVA.key, 0) == "652a7970ef913931fc56a234ae878df5"


parts = st.tuples(
    st.text("ab_", min_size=1), st.text("ab\n", min_size=1), st.text("ab", min_size=1), st.integers(0, 20)
)


@given(parts, parts)
def test_keys_differ_whenever_an_effect_does(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    def key(rule: str, occasion: str, contact: str, step: int) -> str:
        return effect_key(rule, an_occasion(key=occasion), contact, step)

    assert (key(*one) == key(*other)) == (one == other)


async def test_an_account_is_opened_once_however_many_ask() -> None:
    opened: list[str] = []

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        opened.append(account)
        await asyncio.sleep(0.01)
        limiter_of(5.0)
        return MemoryTarget()

    desk = Desk(NO_LEDGER, opener)
    targets = await asyncio.gather(*(desk.target(account, "klicktipp.tag") for account in ("a", "b") * 50))
    assert sorted(opened) == ["a", "b"]
    assert len({id(target) for target in targets}) == 2
    assert desk.limiter("a") is not desk.limiter("b")
    await desk.close()


async def test_closing_closes_what_was_opened_and_nothing_else() -> None:
    closed: list[str] = []

    class Closing(MemoryTarget):
        async def close(self) -> None:
            closed.append("closed")

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        if account == "wrong":
            raise WrongCredentials(account, "read the connection")
        return Closing()

    desk = Desk(NO_LEDGER, opener)
    await desk.target("right", "klicktipp.tag")
    for _ in range(2):
        with pytest.raises(WrongCredentials):
            await desk.target("wrong", "klicktipp.tag")
    await desk.close()
    assert closed == ["closed"]
