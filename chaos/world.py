"""A story as the sandbox and the engine need it: a scenario, rules, connections, reports."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chaos.story import Date, Entry, Plan, RuleLine, Story, Target
from sandbox import credentials

BERLIN = ZoneInfo("Europe/Berlin")
TEMPLATES = ("webinar_attended", "webinar_missed", "pitch_seen", "pitch_missed")
BLOCKED = "blocked.example"
ANEW = "changed in the middle"
"""The title of a rule that was changed."""
ACCOUNTS: dict[Target, str] = {
    "kt": "klicktipp_default", "kt_tag": "klicktipp_default", "ac": "activecampaign_default", "mail": "smtp_default",
}  # fmt: skip
"""The connection of each kind of step."""


class World:
    """Turns one story into files; ``zero`` is when the sandbox's world began (unix seconds), once it has."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.zero = 0.0
        self._days, self._shift = across_dst(time.time())

    def scenario(self) -> dict[str, Any]:
        """Return the sandbox's scenario."""
        story = self.story
        webinars: dict[str, list[dict[str, Any]]] = {}
        for date in story.dates:
            webinars.setdefault(date.webinar, []).append(self._date(date))
        return {
            "klicktipp": {"tags": [tag for rule in story.rules for no in range(len(rule.steps))
                                   for tag in (tag_of(rule, no), tag_of(rule, no, anew=True))],
                          "blocked_domains": [BLOCKED]},
            "activecampaign": {"per_second": story.limit, "bulk_import_seconds": 0.2, "tags": []},
            "webinars": [
                {"id": name, "title": name, "presence_lag": story.presence_lag, "dates": dates}
                for name, dates in webinars.items()
            ],
        }  # fmt: skip

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as their files would say."""
        return [self._rule(number, rule) for number, rule in enumerate(self.story.rules)]

    def rule_anew(self, rule_id: str) -> dict[str, Any]:
        """Return a rule as its file says once it was changed: its tags are others."""
        return next(self._rule(n, rule, anew=True) for n, rule in enumerate(self.story.rules) if rule.id == rule_id)

    def connections(self, sandbox: str, smtp_port: int) -> dict[str, str]:
        """Return the Airflow connections of the accounts as JSON, by id."""
        story = self.story
        calm: dict[str, Any] = {"timeout": 2, "settling_seconds": story.settling, "requests_per_second": 10000}
        limited = calm | {"requests_per_second": story.limit or 10000, "bulk_threshold": story.bulk}
        limited |= {"requests_per_day": story.quota} if story.quota else {}
        made = {
            "webinaris_default": _connection(
                "webinaris", f"{sandbox}/webinaris", {"timeout": 2}, password=credentials.WEBINARIS_APIKEY
            ),
            "klicktipp_default": _connection(
                "klicktipp", f"{sandbox}/klicktipp", calm,
                login=credentials.KLICKTIPP_USERNAME, password=credentials.KLICKTIPP_PASSWORD,
            ),
            "activecampaign_default": _connection(
                "activecampaign", f"{sandbox}/activecampaign", limited, password=credentials.ACTIVECAMPAIGN_TOKEN
            ),
            "smtp_default": _connection(
                "smtp", "127.0.0.1",
                {"from_email": "Team <team@example.org>", "disable_tls": True, "disable_ssl": True, "timeout": 20},
                port=smtp_port, login=credentials.SMTP_USER, password=credentials.SMTP_PASSWORD,
            ),
        }  # fmt: skip
        return {name: json.dumps(connection) for name, connection in made.items()}

    def reports(self, zero: float) -> list[dict[str, Any]]:
        """Return the story's webhooks, in order of their moments (unix seconds)."""
        dates = {date.id: date for date in self.story.dates}
        made = [
            {
                "at": zero + report.at,
                "occasion": self._said(dates[report.date], dates[report.date].plans[report.plan], zero),
            }
            for report in self.story.reports
        ]
        return sorted(made, key=lambda report: float(report["at"]))

    def _said(self, date: Date, plan: Plan, zero: float) -> dict[str, Any]:
        return {
            "key": date.id, "title": date.webinar, "series": date.webinar,
            "start": zero + plan.start, "end": zero + plan.end, "cancelled": plan.cancelled,
            "changed": zero + plan.since,
        }  # fmt: skip

    def _date(self, date: Date) -> dict[str, Any]:
        first, last = date.plans[0], date.last
        shift = self._shift if date.across_dst else 0.0
        made: dict[str, Any] = {
            "id": date.id, "start": first.start - shift, "end": first.end - shift,
            "registrants": [_registrant(entry) for entry in date.entries],
        }  # fmt: skip
        moved = next((plan for plan in date.plans[1:] if not plan.cancelled), None)
        if moved:
            made["moved"] = {"at": moved.since, "start": moved.start, "end": moved.end}
        if last.cancelled:
            made["cancelled_at"] = last.since
        return made

    def _rule(self, number: int, rule: RuleLine, *, anew: bool = False) -> dict[str, Any]:
        dates = [date for date in self.story.dates if rule.waits_for(date)]
        across = bool(dates) and dates[0].across_dst
        when: dict[str, Any] = {"minutes": abs(rule.minutes), "before" if rule.minutes < 0 else "after": rule.anchor}
        return {
            "id": rule.id, "title": ANEW if anew else rule.id, "who": rule.who, "attended_from_percent": rule.percent,
            "order": rule.order, "webinars": [rule.webinar],
            "when": when | ({"days": self._days} if across else {}),
            "late_after": {"minutes": rule.late_minutes, "then": rule.then},
            "steps": [_step(rule, no, step, number, anew) for no, step in enumerate(rule.steps)],
            **({"order_group": rule.group} if rule.group else {}), **_again(rule), **_bar(rule),
        }  # fmt: skip


def tag_of(rule: RuleLine, step_no: int, *, anew: bool = False) -> str:
    """Return the tag by which a step's effects are known at the targets; another one when the rule was changed."""
    return f"{rule.id}.{step_no}{'.anew' * anew}"


def across_dst(now: float) -> tuple[int, float]:
    """Return so many days before now that the clocks were changed between, and the same in seconds."""
    today = datetime.fromtimestamp(now, BERLIN)
    for days in range(150, 215):
        then = today - timedelta(days=days)
        if then.utcoffset() != today.utcoffset():
            return days, round(now - then.timestamp())
    raise ValueError("Germany does not change its clocks any more")


def _again(rule: RuleLine) -> dict[str, Any]:
    return {"again": {"days": 30} if rule.again == "in 30 days" else rule.again} if rule.again else {}


def _bar(rule: RuleLine) -> dict[str, Any]:
    """Return what of the rule's file keeps everything from going out."""
    if rule.barred == "no consent":
        return {"purpose": "marketing", "legal_basis": "consent"}
    if rule.barred == "closed":
        # Neither today nor tomorrow, wherever the recipient lives and however late the story is played.
        return {"window": {"weekdays": [f"{datetime.now(BERLIN) + timedelta(days=3):%a}".lower()]}}
    return {}


def _step(rule: RuleLine, number: int, step: Target, rule_number: int, anew: bool) -> dict[str, Any]:
    tag = tag_of(rule, number, anew=anew)
    match step:
        case "kt":
            return {"step": "klicktipp.contact", "tag": tag}
        case "kt_tag":
            return {"step": "klicktipp.tag", "tag": tag, "create": True}
        case "ac":
            return {"step": "activecampaign.tag", "tag": tag, "create": True}
    return {"step": "email", "template": TEMPLATES[rule_number % len(TEMPLATES)]}


def _registrant(entry: Entry) -> dict[str, Any]:
    return {
        "email": entry.email, "firstname": "Kim", "lastname": "Beispiel", "registered": entry.registered,
        "presence": [list(stay) for stay in entry.stays], "language": entry.language,
    }  # fmt: skip


def _connection(kind: str, host: str, extra: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"conn_type": kind, "host": host, "extra": extra, **values}
