"""What the survey's page says, in German and English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """The page's texts in one language; all are plain text.

    :param language: for the page's ``lang``.
    :param long_comment: with ``{count}`` and ``{most}``. :param too_large: with ``{most}``.
    """

    language: str
    title: str
    question: str
    lowest: str
    highest: str
    comment: str
    hint: str
    send: str
    thanks: str
    stored: str
    change: str
    send_again: str
    no_rating: str
    wrong_rating: str
    long_comment: str
    too_large: str
    incomplete: str


GERMAN = Words(
    language="de",
    title="Ihre Bewertung",
    question="Wie wahrscheinlich ist es, dass Sie uns weiterempfehlen?",
    lowest="0: unwahrscheinlich",
    highest="10: sehr wahrscheinlich",
    comment="Möchten Sie uns dazu etwas sagen? (freiwillig)",
    hint="Erst mit der Schaltfläche wird Ihre Antwort gespeichert.",
    send="Antwort senden",
    thanks="Vielen Dank für Ihre Antwort!",
    stored="Sie ist gespeichert. Sie können dieses Fenster schließen.",
    change="Möchten Sie etwas ändern? Es zählt, was Sie zuletzt senden.",
    send_again="Geänderte Antwort senden",
    no_rating="Bitte wählen Sie eine Zahl von 0 bis 10.",
    wrong_rating="Das ist keine ganze Zahl von 0 bis 10. Bitte wählen Sie eine davon.",
    long_comment="Ihr Kommentar ist zu lang: {count} Zeichen, {most} sind möglich. Bitte kürzen Sie ihn; "
    "gespeichert ist noch nichts.",
    too_large="Ihr Kommentar ist viel zu lang: {most} Zeichen sind möglich. Gespeichert ist noch nichts.",
    incomplete="Ihre Antwort ist nicht vollständig angekommen. Bitte senden Sie sie noch einmal; gespeichert ist noch "
    "nichts.",
)
ENGLISH = Words(
    language="en",
    title="Your rating",
    question="How likely are you to recommend us?",
    lowest="0: not likely",
    highest="10: very likely",
    comment="Is there anything you would like to tell us? (optional)",
    hint="Your answer is stored only when you press the button.",
    send="Send the answer",
    thanks="Thank you for your answer!",
    stored="It is stored. You can close this window.",
    change="Would you like to change it? What you send last counts.",
    send_again="Send the changed answer",
    no_rating="Please choose a number from 0 to 10.",
    wrong_rating="This is no whole number from 0 to 10. Please choose one of them.",
    long_comment="Your comment is too long: {count} characters, {most} are possible. Please shorten it; "
    "nothing is stored yet.",
    too_large="Your comment is much too long: {most} characters are possible. Nothing is stored yet.",
    incomplete="Your answer did not arrive completely. Please send it again; nothing is stored yet.",
)


def words_in(language: str) -> Words:
    """Return the texts in a language, German when there are none in it."""
    return ENGLISH if language == "en" else GERMAN
