"""Quentn's calls: what goes over the wire, and what each answer means."""

from __future__ import annotations

import time
from typing import Any

import pytest

from handoff.errors import RateLimited, Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.answers import Denied
from hooks.protocols.quentn import QuentnProtocol, spelling
from hooks.protocols.quentn_assumed import Dates, reset_seconds
from tests.support.conversation import Script, answer

EMAIL, KEY = "eva+a@example.org", "secret-key"
SIGNED = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}
SHOWN = ("id", "mail")
NOT_FOUND = answer({"error": True, "message": "Contact not found"}, 404)
FIELDS = answer([
    {"field_name": "field_start", "label": "Terminbeginn", "field_type": "date"},
    {"field_name": "kurs", "label": "Kurs", "field_type": "text"},
])  # fmt: skip


@pytest.fixture
def quentn() -> QuentnProtocol:
    return QuentnProtocol("quentn_default", KEY)


def terms(*names: str, start: int = 1):
    return answer([{"id": number, "name": name} for number, name in enumerate(names, start)])


def test_every_request_is_signed_and_the_key_is_checked(quentn: QuentnProtocol) -> None:
    script = Script(answer({"success": True}))
    script.run(quentn.verify())
    assert script.asked == [("GET", "/check-credentials")]
    assert script.requests[0].headers == SIGNED
    for reply in (answer({"success": False}), answer({"error": True, "message": "no"}, 403), answer({}, 401)):
        with pytest.raises(WrongCredentials):
            Script(reply).run(quentn.verify())


def test_a_look_up_by_address_answers_an_array_also_of_several(quentn: QuentnProtocol) -> None:
    script = Script(
        answer([{"id": 9, "mail": EMAIL.upper()}, {"id": "7", "mail": EMAIL}, {"id": 3, "mail": "other@x"}])
    )
    assert [row["id"] for row in script.run(quentn.contacts(EMAIL, SHOWN))] == ["7", 9]
    assert script.asked == [("GET", "/contact/eva%2Ba%40example.org")]
    assert script.requests[0].query == {"fields": "id,mail"}


@pytest.mark.parametrize("nobody", [NOT_FOUND, answer([]), answer({"error": True, "message": "not found"})])
def test_nobody_has_the_address(quentn: QuentnProtocol, nobody: Any) -> None:
    assert Script(nobody).run(quentn.contacts(EMAIL, SHOWN)) == []


def test_fields_that_the_array_does_not_show_are_read_by_id(quentn: QuentnProtocol) -> None:
    script = Script(
        answer([{"id": 7, "mail": EMAIL}, {"id": 8, "mail": EMAIL}]), answer({"id": 7, "terms": [1]}), NOT_FOUND
    )
    found = script.run(quentn.contacts(EMAIL, ("id", "terms")))
    assert found == [{"id": 7, "terms": [1]}]
    assert script.asked[1:] == [("GET", "/contact/7"), ("GET", "/contact/8")]
    assert script.requests[1].query == {"fields": "id,terms"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer({"id": 7}), Transient),
        (answer([{"mail": EMAIL}]), Transient),
        (answer([7]), Transient),
        (answer(body=b"<html>"), Transient),
        (answer({"error": True, "message": "kaputt"}, 500), Transient),
        (answer({"error": True, "message": "no route"}, 404), Refused),
        (answer(status=404, body=b"nginx"), Transient),
        (answer(status=302, body=b""), Transient),
    ],
)
def test_bad_answers_to_a_look_up_are_never_an_absent_contact(quentn: QuentnProtocol, reply: Any, kind: type) -> None:
    with pytest.raises(kind):
        Script(reply).run(quentn.contacts(EMAIL, SHOWN))


def test_an_upsert_finds_duplicates_by_address_and_turns_the_flood_limit_off(quentn: QuentnProtocol) -> None:
    script = Script(answer({"id": 7, "mail": EMAIL}))
    assert script.run(quentn.put_contact(EMAIL, {"first_name": "Eva"}, "add", ("terms",)))["id"] == 7
    assert script.asked == [("POST", "/contact")]
    assert script.requests[0].json == {
        "contact": {"mail": EMAIL, "first_name": "Eva"},
        "duplicate_check_method": "email",
        "duplicate_merge_method": "add",
        "return_fields": ["mail", "terms"],
        "flood_limit": 0,
    }


@pytest.mark.parametrize("reply", [answer({"mail": EMAIL}), answer([]), answer(body=b""), answer({}, 502), answer("7")])
def test_bad_answers_to_a_change_are_doubts(quentn: QuentnProtocol, reply: Any) -> None:
    with pytest.raises(UnknownOutcome):
        Script(reply).run(quentn.put_contact(EMAIL, {}, "add"))


@pytest.mark.parametrize("reply", [answer({"success": True}), answer(status=204, body=b""), answer([12])])
def test_terms_are_added_and_removed_one_by_one(quentn: QuentnProtocol, reply: Any) -> None:
    script = Script(reply, reply)
    script.run(quentn.add_term(7, 12), quentn.remove_term(7, 12))
    assert script.asked == [("PUT", "/contact/7/terms"), ("DELETE", "/contact/7/terms")]
    assert [request.json for request in script.requests] == [[12], [12]]
    with pytest.raises(UnknownOutcome):
        Script(answer({"success": False})).run(quentn.add_term(7, 12))


def test_a_campaign_is_started_by_its_number(quentn: QuentnProtocol) -> None:
    script = Script(answer({"success": True}))
    script.run(quentn.start_campaign(42, EMAIL, "Eva", ""))
    assert script.asked == [("POST", "/cb/42")]
    assert script.requests[0].json == {"mail": EMAIL, "first_name": "Eva"}


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"x_rate_limit_reset": "30"}, 30, 30),
        ({"retry_after": "5", "x_rate_limit_reset": "30"}, 5, 5),
    ],
)
def test_the_rate_limit_is_understood(quentn: QuentnProtocol, headers: dict[str, str], low: float, high: float) -> None:
    reply = answer({"error": True}, 429, x_rate_limit_limit="100", x_rate_limit_remaining="0", **headers)
    with pytest.raises(RateLimited, match="of 100 left") as caught:
        Script(reply).run(quentn.put_contact(EMAIL, {}, "add"))
    assert low <= caught.value.retry_after <= high


@pytest.mark.parametrize(("ahead", "low", "high"), [(600, 540, 601), (-600, 0, 0)])
def test_the_rate_limit_may_name_a_moment(ahead: int, low: float, high: float) -> None:
    found = reset_seconds({"x-rate-limit-reset": str(int(time.time()) + ahead)})
    assert found is not None
    assert low <= found <= high


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf"])
def test_a_reset_that_says_nothing(text: str) -> None:
    assert reset_seconds({"x-rate-limit-reset": text}) is None
    assert reset_seconds({}) is None


def test_a_flood_is_waited_for_and_no_refusal(quentn: QuentnProtocol) -> None:
    for status in (200, 400, 403):
        reply = answer({"error": True, "message": "Flood limit reached"}, status)
        with pytest.raises(WrongCredentials if status == 403 else RateLimited) as caught:
            Script(reply).run(quentn.put_contact(EMAIL, {}, "add"))
        assert status == 403 or caught.value.retry_after == 3600


def test_errors_repeat_neither_contact_nor_key_nor_notes(quentn: QuentnProtocol) -> None:
    said = f"bad request of {EMAIL} eva%2Ba%40example.org Öztürk with {KEY} at the address"
    for status in (200, 400):
        reply = answer({"error": True, "message": said}, status)
        with pytest.raises(Denied, match="at the address") as caught:
            Script(reply).run(quentn.put_contact(EMAIL, {"family_name": "Öztürk"}, "add"))
        assert not any(word in str(caught.value) for word in (EMAIL, "Öztürk", KEY))
    with pytest.raises(Denied) as caught:
        Script(answer({"error": True, "message": said}, 400)).run(quentn.contacts(EMAIL, SHOWN))
    assert "eva%2Ba" not in str(caught.value)
    with pytest.raises(Denied) as caught:
        Script(answer({"error": True, "message": "mein Rücken ..."}, 400)).run(
            quentn.change_contact(7, {"comment": "mein Rücken tut weh"})
        )
    assert "Rücken" not in str(caught.value)


@pytest.mark.parametrize("name", ["Grün & Süß", "GRÜN & SÜSS".replace("SS", "ß"), "  gru\u0308n & su\u0308ß "])
def test_terms_are_found_whatever_their_case_and_however_umlauts_are_composed(
    quentn: QuentnProtocol, name: str
) -> None:
    assert Script(terms("Webinar", "Grün & Süß"), answer([])).run(quentn.term_id(name)) == 2
    assert Script().run(quentn.term_id("WEBINAR")) == 1


def test_terms_are_read_page_by_page_also_when_pages_are_shorter(quentn: QuentnProtocol) -> None:
    script = Script(terms("a", "b"), terms("c", start=3), answer([]))
    assert script.run(quentn.read_terms()) == {1: "a", 2: "b", 3: "c"}
    assert [request.query for request in script.requests] == [
        {"offset": offset, "limit": "500"} for offset in ("0", "2", "3")
    ]
    assert Script(terms("a"), terms("a")).run(quentn.read_terms()) == {1: "a"}


def test_a_term_is_created_once_and_only_if_asked(quentn: QuentnProtocol) -> None:
    with pytest.raises(Refused, match="no term called 'Webinaar'; did you mean 'webinar'"):
        Script(terms("Webinar"), answer([])).run(quentn.term_id("Webinaar"))
    script = Script(answer([]), answer({"id": 12}))
    assert script.run(quentn.term_id("Gru\u0308n", create=True), quentn.term_id("GRÜN", create=True)) == 12
    assert script.asked == [("GET", "/terms"), ("POST", "/terms")]
    assert script.requests[-1].json == {"name": "Grün", "description": ""}


def test_two_workers_that_create_the_same_term_get_the_same_one() -> None:
    created: dict[str, int] = {}

    def create(request: Any) -> Any:
        if request.method == "GET":
            return answer([])
        return answer({"id": created.setdefault(request.json["name"].lower(), 12 + len(created))})

    def drive(operation: Any, reply: Any = None) -> Any:
        wanted = operation.send(reply)
        return wanted.start() if hasattr(wanted, "start") else wanted

    # Both have read that there is no such term before either creates it.
    workers = [QuentnProtocol("quentn_default", KEY) for _ in range(2)]
    creating = []
    for worker, name in zip(workers, ("Neu", "NEU"), strict=True):
        assert Script(answer([])).run(worker.find_term(name)) is None
        operation = worker.term_id(name, create=True)
        inner = drive(operation)
        creating.append((operation, inner, inner.send(None)))
    numbers = set()
    for operation, inner, request in creating:
        assert request.path == "/terms"
        with pytest.raises(StopIteration) as done:
            inner.send(create(request))
        with pytest.raises(StopIteration) as end:
            operation.send(done.value.value)
        numbers.add(end.value.value)
    assert numbers == {12}


def test_a_lost_creation_of_a_term_touches_no_contact_and_may_be_repeated(quentn: QuentnProtocol) -> None:
    with pytest.raises(Transient):
        Script(answer([]), UnknownOutcome("q", "create term")).run(quentn.term_id("Neu", create=True))
    assert Script(answer({"id": 12})).run(quentn.term_id("Neu", create=True)) == 12


def test_fields_are_named_by_label_or_name_and_moments_written_as_the_account_does(quentn: QuentnProtocol) -> None:
    script = Script(FIELDS)
    values = {
        "Terminbeginn": "2026-03-24T18:00:00+00:00", "Kurs": "2026-03-24T18:00:00+00:00", "company": "Örtel",
        "field_kurs": "B",
    }  # fmt: skip
    assert script.run(quentn.field_values(values)) == {
        "field_start": "2026-03-24 19:00:00", "field_kurs": "B", "company": "Örtel",
    }  # fmt: skip
    assert script.asked == [("GET", "/custom-fields")]
    assert Script().run(quentn.field_values({"Terminbeginn": "24.3."})) == {"field_start": "24.3."}


@pytest.mark.parametrize("name", ["mail", "mail_status", "terms", "comment"])
def test_what_has_its_own_way_is_no_field(quentn: QuentnProtocol, name: str) -> None:
    with pytest.raises(Refused, match=f"'{name}' is not set by fields"):
        Script().run(quentn.field_values({name: "4"}))


def test_unknown_fields_and_unreadable_lists(quentn: QuentnProtocol) -> None:
    with pytest.raises(Refused, match="no field called 'Beginn'"):
        Script(FIELDS).run(quentn.field_values({"Beginn": ""}))
    for reply in (answer({}), answer([{"label": "Kurs"}]), answer([3])):
        with pytest.raises(Transient):
            Script(reply).run(QuentnProtocol("q", KEY).field_values({"Kurs": "A"}))


@pytest.mark.parametrize(
    ("kept", "same"),
    [
        ("2026-03-24 19:00:00", True),
        ("2026-03-24T18:00:00+00:00", True),
        ("2026-03-24T19:00:00", True),
        ("1774375200", True),
        (1774375200, True),
        ("24.03.2026 19:00", True),
        ("24.03.2026", True),
        ("2026-03-24 18:00:00", False),
        ("25.03.2026", False),
        ("", False),
        (None, False),
        ("0001-01-01 00:00:00", False),
    ],
)
def test_a_date_is_the_same_however_it_is_shown(kept: object, same: bool) -> None:
    dates = Dates()
    assert dates.same(dates.text("2026-03-24T19:00:00+01:00"), kept) is same


def test_the_hour_that_comes_twice_reads_back_as_what_was_sent() -> None:
    for utc in ("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"):
        assert Dates().text(utc) == "2026-10-25 02:30:00"
        assert Dates().same(Dates().text(utc), utc)


def test_the_spelling_of_a_term() -> None:
    assert spelling(" Stra\u00dfe ") == "straße"
    assert spelling("Ärzte") == spelling("A\u0308RZTE")


def test_every_error_is_of_the_family(quentn: QuentnProtocol) -> None:
    for status in range(400, 600):
        for reply in (answer({"error": True, "message": "x"}, status), answer(status=status, body=b"x")):
            with pytest.raises(TargetError):
                Script(reply).run(quentn.start_campaign(1, EMAIL))
