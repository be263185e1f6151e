"""Callexa's assumed calls: what is asked, and what is made of the answers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from handoff.errors import RateLimited, Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.callexa_assumed import CallexaProtocol, Queued, Surface
from tests.support.conversation import Script, answer

EVA, NAME, KEY = "eva@example.org", "Eva Öztürk", "0a1b2c3d"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SURVEYS = answer({"surveys": [{"id": "s1", "name": "Projekt"}, {"id": 2, "name": "Chance"}, {"name": "x"}, None]})
OWN = Surface(
    path_surveys="/v3/polls",
    path_recipients="/v3/polls/{survey}/people",
    path_answers="/v3/answers-of/{survey}",
    field_email="mail",
    field_name="full_name",
    field_external_id="ref",
    field_delay="wait",
    field_delay_most="wait_no_longer_than",
    field_rating="score",
    field_comment="words",
    field_date="at",
)


def protocol(surface: Surface | None = None, zone: str = "Europe/Berlin") -> CallexaProtocol:
    return CallexaProtocol("cx", "owner@example.com", KEY, surface, zone, now=lambda: NOW)


def an_answer(**values):
    return {
        "id": "a1", "email": EVA, "NPS_rating": 9, "NPS_comment": "", "NPS_date": "2026-11-19T10:00:00Z",
        "external_id": "k1", **values,
    }  # fmt: skip


def read(*entries, zone="Europe/Berlin", surface=None, since=None):
    return Script(answer({"answers": list(entries), "next_page": None})).run(
        protocol(surface, zone).answers("s1", since)
    )


def test_every_request_is_signed_with_login_and_key():
    script = Script(SURVEYS)
    assert script.run(protocol().read_surveys()) == {"s1": "Projekt", "2": "Chance"}
    (request,) = script.requests
    assert (request.method, request.path, request.changes) == ("GET", "/api/v2/surveys", False)
    token = base64.b64encode(f"owner@example.com:{KEY}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {token}"


def test_a_survey_is_found_by_name_and_by_id_with_one_reading():
    callexa = protocol()
    script = Script(SURVEYS)
    found = [script.run(callexa.surveys.resolve(name)) if name == "Chance" else None for name in ("Chance",)]
    again = Script()
    found += [again.run(callexa.surveys.resolve(name)) for name in ("2", "Projekt", "s1")]
    assert found == ["2", "2", "s1", "s1"]


def test_an_unknown_survey_is_refused_with_the_nearest_name():
    with pytest.raises(Refused, match="no survey called 'Projekte'; did you mean 'Projekt'"):
        Script(SURVEYS).run(protocol().surveys.resolve("Projekte"))


def test_two_surveys_of_one_name_are_refused():
    twice = answer({"surveys": [{"id": "1", "name": "Projekt"}, {"id": "2", "name": "Projekt"}]})
    with pytest.raises(Refused, match="2 surveys of this account"):
        Script(twice).run(protocol().surveys.resolve("Projekt"))


def test_a_recipient_is_queued_with_our_id_and_a_delay_only_when_there_is_one():
    created = answer({"id": 7, "state": "queued", "send_at": "2026-11-23T09:00:00Z"}, 201)
    script = Script(created, created)
    callexa = protocol()
    queued = script.run(
        callexa.add_recipient("s/1", EVA, NAME, external_id="k1", delay_days=3),
        callexa.add_recipient("s1", EVA, ""),
    )
    assert queued == Queued("7", "queued", "", "2026-11-23T09:00:00Z")
    assert script.asked == [("POST", "/api/v2/surveys/s%2F1/recipients"), ("POST", "/api/v2/surveys/s1/recipients")]
    assert script.requests[0].json == {"email": EVA, "name": NAME, "external_id": "k1", "delay_days": 3}
    assert script.requests[1].json == {"email": EVA, "name": ""}
    assert all(request.changes for request in script.requests)


def test_a_recipient_left_out_by_callexa_is_no_error():
    skipped = answer({"id": "7", "state": "skipped", "reason": "asked_recently"}, 200)
    assert Script(skipped).run(protocol().add_recipient("s1", EVA)) == Queued("7", "skipped", "asked_recently")


@pytest.mark.parametrize("document", [{}, {"id": "7"}, {"id": "7", "state": 1}, {"state": "queued"}, [], "ok", None])
def test_an_answer_that_is_no_recipient_leaves_the_outcome_unknown(document):
    with pytest.raises(UnknownOutcome):
        Script(answer(document, 201)).run(protocol().add_recipient("s1", EVA))


def test_recipients_are_read_by_address_as_far_as_they_can_be():
    listed = [
        {"id": 1, "email": "EVA@example.org", "external_id": "k1", "state": "Queued", "queued_at": "2026-11-01"},
        {"id": 2, "email": EVA, "external_id": None, "state": "sent", "queued_at": "gestern"},
        {"id": 3, "state": "sent", "queued_at": "2026-11-01T10:00:00+01:00"},
    ]
    script = Script(answer({"recipients": listed}))
    first, second, third = script.run(protocol().recipients("s1", EVA))
    assert script.requests[0].query == {"email": EVA}
    assert (first.id, first.email, first.external_id, first.state) == ("1", EVA, "k1", "queued")
    assert first.queued_at == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert (second.external_id, second.queued_at) == ("", None)
    assert (third.email, third.external_id, third.queued_at) == ("", None, datetime(2026, 11, 1, 9, tzinfo=UTC))
    assert EVA not in repr(first)


@pytest.mark.parametrize("document", [{}, {"recipients": None}, {"recipients": ["x"]}, []])
def test_a_queue_that_cannot_be_read_is_transient(document):
    with pytest.raises(Transient):
        Script(answer(document)).run(protocol().recipients("s1", EVA))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-11-19T10:00:00Z", (2026, 11, 19, 10)),
        ("2026-11-19T10:00:00.250+01:00", (2026, 11, 19, 9, 0, 0, 250_000)),
        ("2026-11-19T10:00:00", (2026, 11, 19, 9)),
        (" 2026-07-19 10:00 ", (2026, 7, 19, 8)),
        ("2026-11-19", (2026, 11, 18, 23)),
        ("2026-10-25T02:30:00", (2026, 10, 25, 1, 30)),
        ("2027-03-28T02:30:00", (2027, 3, 28, 1, 30)),
    ],
)
def test_dates_with_and_without_a_zone(given, expected):
    (found,) = read(an_answer(NPS_date=given)).answers
    assert found.answered_at == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize(("minute", "expected"), [(9, (0, 10)), (10, (1, 10)), (50, (1, 10))])
def test_in_the_doubled_hour_a_change_is_not_older_than_what_was_said_before(minute, expected):
    callexa = CallexaProtocol("cx", "owner@example.com", KEY, now=lambda: datetime(2026, 10, 25, 1, minute, tzinfo=UTC))
    told = Script(answer({"answers": [an_answer(NPS_date="2026-10-25T02:10:00")]}))
    (found,) = told.run(callexa.answers("s1")).answers
    assert found.answered_at == datetime(2026, 10, 25, *expected, tzinfo=UTC)


def test_dates_without_a_zone_are_in_the_connections():
    (found,) = read(an_answer(NPS_date="2026-11-19T10:00:00"), zone="America/New_York").answers
    assert found.answered_at == datetime(2026, 11, 19, 15, tzinfo=UTC)


@pytest.mark.parametrize("rating", [11, -1, "sieben", "7", None, 7.5, True, float("nan"), [7], 10**400])
def test_a_rating_that_is_none_is_a_problem_and_the_others_are_kept(rating):
    words = {"NPS_comment": "geheimes Lob", "NPS_rating": rating}
    found = read(an_answer(id="good"), an_answer(id="bad-1", **words), an_answer(id="also good", NPS_rating=0))
    assert [one.id for one in found.answers] == ["good", "also good"]
    assert found.problems == ("cx: answer bad-1: field 'NPS_rating' is no whole number from 0 to 10",)


@pytest.mark.parametrize("rating", [0, 10, 7.0])
def test_whole_numbers_are_ratings(rating):
    (found,) = read(an_answer(NPS_rating=rating)).answers
    assert (found.rating, type(found.rating)) == (int(rating), int)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"NPS_date": "gestern"}, "'NPS_date' is no date or time"),
        ({"NPS_date": None}, "'NPS_date' is no date or time"),
        ({"NPS_date": 1763546400}, "'NPS_date' is no date or time"),
        ({"NPS_date": "0001-01-01"}, "'NPS_date' is no date or time"),
        ({"NPS_comment": ["x"]}, "'NPS_comment' is no text"),
        ({"email": "", "external_id": None}, "'email' and 'external_id' are both missing"),
    ],
)
def test_what_else_makes_an_answer_unusable(changes, words):
    found = read(an_answer(**changes))
    assert found.answers == ()
    assert len(found.problems) == 1
    assert "answer a1: " in found.problems[0]
    assert words in found.problems[0]


def test_entries_without_an_id_are_told_by_their_place_and_hide_nobody():
    found = read(an_answer(id=None), None, "text", an_answer(), an_answer(id="a2"))
    assert [one.id for one in found.answers] == ["a1", "a2"]
    assert [problem.partition(": field")[0] for problem in found.problems] == [
        f"cx: answer number {number} of the list" for number in (1, 2, 3)
    ]


def test_problems_name_neither_comment_nor_address():
    found = read(an_answer(id=EVA, NPS_comment="geheimes Lob", NPS_rating="zehn"), an_answer(NPS_date=EVA))
    assert len(found.problems) == 2
    assert not any(secret in problem for problem in found.problems for secret in (EVA, "geheimes", "zehn"))
    assert "geheimes" not in repr(read(an_answer(NPS_comment="geheimes Lob")))
    assert EVA not in repr(read(an_answer()))


@pytest.mark.parametrize("comment", ["<b onclick='x()'>Toll</b> & mehr", "🎉 súper\nzwei Zeilen ", "ä" * 10_000])
def test_comments_are_kept_as_they_are(comment):
    (found,) = read(an_answer(NPS_comment=comment)).answers
    assert found.comment == comment


def test_a_missing_comment_is_empty_and_a_person_may_be_known_by_our_id_alone():
    entry = an_answer(id=5, email=None)
    del entry["NPS_comment"]
    (found,) = read(entry).answers
    assert (found.id, found.comment, found.email, found.external_id) == ("5", "", "", "k1")


def test_answers_are_read_page_by_page_and_the_later_of_two_counts():
    script = Script(
        answer({"answers": [an_answer(), an_answer(id="a2")], "next_page": 2}),
        answer({"answers": [], "next_page": 5}),
        answer({"answers": [an_answer(NPS_rating=3)], "next_page": None}),
    )
    found = script.run(protocol().answers("s1", NOW))
    assert [(one.id, one.rating) for one in found.answers] == [("a1", 3), ("a2", 9)]
    assert [request.query["page"] for request in script.requests] == ["1", "2", "5"]
    assert {request.query["updated_after"] for request in script.requests} == {"2026-11-20T11:00:00Z"}
    assert script.asked == [("GET", "/api/v2/surveys/s1/answers")] * 3


def test_without_a_cursor_everything_is_asked_for():
    script = Script(answer({"answers": []}))
    assert script.run(protocol().answers("s1")).cursor is None
    assert script.requests[0].query == {"page": "1"}


def test_the_cursor_is_the_newest_answer_and_never_goes_back_or_into_the_future():
    older = NOW - timedelta(days=9)
    assert read(an_answer(), an_answer(id="a2", NPS_date="2026-11-01")).cursor == datetime(2026, 11, 19, 10, tzinfo=UTC)
    assert read(an_answer(), since=NOW).cursor == NOW
    assert read(since=older).cursor == older
    assert read(an_answer(NPS_date="2031-01-01"), since=older).cursor == NOW
    assert read(an_answer(NPS_rating=11), since=older).cursor == older


@pytest.mark.parametrize("following", [1, 0, "2", True, 2.0, [2]])
def test_pages_that_do_not_lead_on_are_an_error_and_not_an_endless_reading(following):
    with pytest.raises(Transient, match="pages do not lead on"):
        Script(answer({"answers": [an_answer()], "next_page": following})).run(protocol().answers("s1"))


def test_an_account_that_ignores_the_page_is_noticed():
    pages = [answer({"answers": [an_answer()], "next_page": page}) for page in (2, 3)]
    with pytest.raises(Transient, match="pages do not lead on"):
        Script(*pages).run(protocol().answers("s1"))


def test_paths_and_names_of_the_connection_are_used():
    callexa = protocol(OWN)
    entry = {"id": "a", "mail": EVA, "ref": "k", "score": 4, "words": "so", "at": "2026-11-19T10:00Z"}
    surveys, created = Script(SURVEYS), Script(answer({"id": "7", "state": "queued"}, 201))
    queue = Script(answer({"recipients": [{"id": 1, "mail": EVA, "ref": "k1", "state": "queued"}]}))
    answers = Script(answer({"answers": [entry]}))
    surveys.run(callexa.read_surveys())
    created.run(callexa.add_recipient("s1", EVA, NAME, external_id="k1", delay_days=1, at_most_days=9))
    (recipient,) = queue.run(callexa.recipients("s1", EVA))
    (one,) = answers.run(callexa.answers("s1")).answers
    assert [script.asked for script in (surveys, created, queue, answers)] == [
        [("GET", "/v3/polls")], [("POST", "/v3/polls/s1/people")], [("GET", "/v3/polls/s1/people")],
        [("GET", "/v3/answers-of/s1")],
    ]  # fmt: skip
    assert created.requests[0].json == {
        "mail": EVA, "full_name": NAME, "ref": "k1", "wait": 1, "wait_no_longer_than": 9,
    }  # fmt: skip
    assert queue.requests[0].query == {"mail": EVA}
    assert (recipient.email, recipient.external_id) == (EVA, "k1")
    assert (one.email, one.rating, one.comment, one.external_id) == (EVA, 4, "so", "k")


@pytest.mark.parametrize(
    "wrong",
    [
        {"path_surveys": "surveys"},
        {"path_answers": "/answers"},
        {"path_recipients": "x/{survey}"},
        {"field_name": "email"},
    ],
)
def test_paths_and_names_that_cannot_be_used(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) if "field_name" not in wrong else "the same"):
        Surface(**wrong)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (answer({"error": {"message": "no"}}, 401), WrongCredentials, "HTTP 401"),
        (answer(body=b"<html>", status=403), WrongCredentials, "HTTP 403"),
        (answer({"error": {"message": "Adresse ungültig"}}, 400), Refused, "HTTP 400: Adresse ungültig"),
        (answer({"error": {"message": "unknown survey"}}, 404), Refused, "HTTP 404: unknown survey"),
        (answer({"error": "einfach so"}, 422), Refused, "einfach so"),
        (answer({"odd": 1}, 400), Refused, "an error in an unknown form"),
        (
            answer(body=b"<html>", status=404),
            Refused,
            "nothing at /api/v2/surveys/s1/recipients; the calls are assumed",
        ),
        (answer(body=b"<html>", status=200), UnknownOutcome, "without JSON"),
        (answer({}, 500), UnknownOutcome, "HTTP 500"),
        (answer(status=302), UnknownOutcome, "redirected"),
        (UnknownOutcome("cx", "queue recipient", "lost"), UnknownOutcome, "lost"),
    ],
)
def test_errors_say_what_is_known_of_the_effect(reply, kind, words):
    with pytest.raises(TargetError, match=words) as caught:
        Script(reply).run(protocol().add_recipient("s1", EVA, NAME))
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize(("header", "seconds"), [({"retry_after": "17"}, 17.0), ({}, None)])
def test_a_rate_limit_says_how_long_to_wait(header, seconds):
    with pytest.raises(RateLimited) as caught:
        Script(answer({"error": {"message": "slow down"}}, 429, **header)).run(protocol().read_surveys())
    assert caught.value.retry_after == seconds


def test_a_read_that_fails_changed_nothing():
    with pytest.raises(Transient):
        Script(answer({}, 503)).run(protocol().answers("s1"))


def test_the_vendors_words_are_passed_on_without_person_and_secrets():
    token = base64.b64encode(f"owner@example.com:{KEY}".encode()).decode()
    said = f"Recipient {NAME} <{EVA}> of owner@example.com with {KEY} ({token}) is blocked"
    with pytest.raises(Refused, match="is blocked") as caught:
        Script(answer({"error": {"message": said}}, 400)).run(protocol().add_recipient("s1", EVA, NAME))
    assert not any(secret in str(caught.value) for secret in (NAME, "Öztürk", EVA, "owner@example.com", KEY, token))
