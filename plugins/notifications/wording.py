"""What a notice says to people: its subject and its text, German or English."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from handoff.ledger.notices import NoticeToTell
from handoff.times.timing import Language


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: also what templates of other notifiers see as ``notice``.

    :param kind: the notice's kind, or ``airflow`` for a callback of a DAG or task.
    """

    kind: str
    subject: str
    text: str


KINDS: dict[Language, dict[str, tuple[str, str]]] = {
    "de": {
        "held": ("zurückgehalten", "Ansehen mit „handoff held“, entscheiden mit „handoff resolve“."),
        "refused": ("abgelehnt", "Ansehen und nach Beheben der Ursache wiederholen mit „handoff replay“."),
        "circuit": ("Zielkonto gestört", "Das Zielsystem prüfen. Es geht von selbst weiter, sobald es antwortet."),
        "credentials": ("Zugangsdaten abgelehnt", "Die Verbindung in Airflow berichtigen (Admin > Connections)."),
        "certificate": ("Nachweis geht nicht auf", "Ansehen mit „handoff certificate“."),
        "comparison": ("Quelle nicht abgeglichen", "Verbindung und Quelle prüfen; mehr steht im Protokoll von sweep."),
        "late": ("verspätet", "Laufen Scheduler, Triggerer und Worker? Ansehen mit „handoff pending“."),
        "missed": ("zu spät gehört", "Lief watch_...? Wer noch fehlt: „handoff add-recipient“."),
        "history": ("Statusverlauf nicht lesbar", "Darf der Benutzer des Schlüssels ihn sehen? Siehe den Text oben."),
        "webhook": ("Meldung nicht verarbeitet", "Ansehen mit „handoff webhooks“ und im Protokoll von sweep."),
        "calendar": ("Kalender gibt es nicht", "In der Regel „calendars“ berichtigen, oder den Kalender in eTermin."),
        "quota": ("Tageskontingent verbraucht", "Es geht am nächsten Tag von selbst weiter; siehe „handoff forecast“."),
    },
    "en": {
        "held": ("held", "Look with `handoff held`, decide with `handoff resolve`."),
        "refused": ("refused", "Look with `handoff replay`, mend the cause, then put back with it what was refused."),
        "circuit": ("target account fails", "Check the target system. It goes on by itself once it answers."),
        "credentials": ("credentials not accepted", "Correct the connection in Airflow (Admin > Connections)."),
        "certificate": ("certificate is red", "Look with `handoff certificate`."),
        "comparison": ("source not compared", "Check the connection and the source; the log of sweep has more."),
        "late": ("late", "Do scheduler, triggerer and workers run? Look with `handoff pending`."),
        "missed": ("heard of too late", "Did watch_... run? Who is missing: `handoff add-recipient`."),
        "history": ("history not read", "May the key's user see it? What to do about it stands above."),
        "webhook": ("push not recorded", "Look with `handoff webhooks`, and at the log of sweep."),
        "calendar": ("no such calendar", "Correct `calendars` in the rule, or the calendar in eTermin."),
        "quota": ("daily quota used up", "It goes on by itself on the next day; see `handoff forecast`."),
    },
}
UNKNOWN: dict[Language, tuple[str, str]] = {
    "de": ("Hinweis", "Ansehen mit „handoff held“ und „handoff pending“."),
    "en": ("notice", "Look with `handoff held` and `handoff pending`."),
}
SUBJECT: dict[Language, str] = {"de": "[Übergaben] {what}: {whom}", "en": "[Handoffs] {what}: {whom}"}
TEXT: dict[Language, str] = {
    "de": "{words}\n\nAnzahl: {count}\nSeit: {since}\nWas zu tun ist: {to_do}\n\n"
    "Zu dieser Ursache kommt keine weitere Nachricht, bis sie behoben ist und wiederkehrt.\n",
    "en": "{words}\n\nCount: {count}\nSince: {since}\nWhat to do: {to_do}\n\n"
    "No further message comes for this cause until it has ended and comes back.\n",
}
CALLBACK: dict[Language, tuple[str, str]] = {
    "de": ("[Übergaben] {what}", "{what}\n\nAnsehen: Lauf und Protokoll in Airflow; was offen ist, steht im Ledger.\n"),
    "en": ("[Handoffs] {what}", "{what}\n\nSee run and log in Airflow; what is left open stands in the ledger.\n"),
}


def worded(notice: NoticeToTell, language: Language) -> Message:
    """Return a notice as a message: kind, words, count, since when, and what to do."""
    what, to_do = KINDS[language].get(notice.kind, UNKNOWN[language])
    subject = SUBJECT[language].format(what=what, whom=notice.cause.partition("/")[2] or notice.cause)
    text = TEXT[language].format(words=notice.words, count=notice.count, since=_moment(notice.first_at), to_do=to_do)
    return Message(notice.kind, subject, text)


def of_callback(dag_id: str, run_id: str, task_id: str, language: Language) -> Message:
    """Return the message for a callback of a DAG or task; what Airflow does not say is left out."""
    what = " / ".join(filter(None, [dag_id, task_id, run_id])) or "Airflow"
    subject, text = CALLBACK[language]
    return Message("airflow", subject.format(what=what), text.format(what=what))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
