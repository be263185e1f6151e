"""How late the first effect of an occasion is, in a real Airflow."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psycopg

from benchmarks.figure import Figure, percentile
from launch.laboratory import effects, rule_text, running_airflow, webinar

SINGLE, TEN, SUDDEN = 20, 2, 5
"""How many occasions each figure is taken from (ten rules are due at each of the second kind)."""
FIRST_SECONDS, APART_SECONDS = 25.0, 3.0
TEN_FROM = FIRST_SECONDS + SINGLE * APART_SECONDS + 25.0
SUDDEN_FROM = TEN_FROM + TEN * 30.0 + 10.0
TEN_RULES = [f"ten-{number}" for number in range(10)]
LAST = SUDDEN_FROM + SUDDEN * 8.0 + 15.0

HEARD = """
    SELECT occasion_key, extract(epoch FROM max(received_at)) FROM handoff.inbox
    WHERE occasion_key LIKE 'sudden%' GROUP BY occasion_key HAVING count(*) > 1
"""


def first_effect() -> list[Figure]:
    """Measure single occasions, ten rules due at once, and occasions whose moment has just passed when heard."""
    rules = {"single": rule_text("single", "S"), "sudden": rule_text("sudden", "E")}
    rules |= {name: rule_text(name, "T") for name in TEN_RULES}
    webinars = [webinar("S", _single()), webinar("T", _ten()), webinar("E", _sudden())]
    with running_airflow(rules, webinars) as (stack, began):
        time.sleep(max(0.0, began + LAST - time.time()))
        firsts = _firsts(effects(stack))
        with psycopg.connect(stack.ledger_url.replace("+psycopg", "")) as connection:
            # Every run gives its dates ids of their own: the scenario's id and a suffix.
            heard = {key.partition("-")[0]: float(at) for key, at in connection.execute(HEARD).fetchall()}
    single = [firsts["single", d["id"]] - began - d["end"] for d in _single() if ("single", d["id"]) in firsts]
    ten = [firsts[rule, d["id"]] - began - d["end"] for d in _ten() for rule in TEN_RULES if (rule, d["id"]) in firsts]
    sudden = [firsts["sudden", key] - at for key, at in heard.items() if ("sudden", key) in firsts]
    return [
        _late("first_effect_single", single, SINGLE, 0.25),
        _late("first_effect_ten_rules", ten, TEN * len(TEN_RULES), 0.25),
        _late("first_effect_sudden", sudden, SUDDEN, 3.0),
    ]


def _late(name: str, seconds: list[float], expected: int, bar: float) -> Figure:
    if len(seconds) < expected:
        return Figure(name, float("inf"), bar, "s (p95)", False, f"only {len(seconds)} of {expected} began")
    note = f"{expected} first effects; median {percentile(seconds, 0.5):.3f} s, most {max(seconds):.3f} s"
    early = min(seconds) < 0
    return Figure(name, float("inf") if early else percentile(seconds, 0.95), bar, "s (p95)", False, note)


def _firsts(found: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Return when the first contact of each (rule, date) was tagged."""
    firsts: dict[tuple[str, str], float] = {}
    for effect in found:
        if effect["action"] == "tag":
            date_id = effect["contact"].partition("@")[2].removesuffix(".example.org")
            firsts.setdefault((effect["detail"]["tag"], date_id), effect["at"])
    return firsts


def _single() -> list[dict[str, Any]]:
    return [
        {"id": f"single{number}", "start": -3600, "end": FIRST_SECONDS + number * APART_SECONDS}
        for number in range(SINGLE)
    ]


def _ten() -> list[dict[str, Any]]:
    return [{"id": f"ten{number}", "start": -3600, "end": TEN_FROM + number * 30.0} for number in range(TEN)]


def _sudden() -> list[dict[str, Any]]:
    """Return dates of next week that turn out to have just ended."""
    moments = [SUDDEN_FROM + number * 8.0 for number in range(SUDDEN)]
    return [
        {
            "id": f"sudden{number}", "start": "+7d", "end": "+8d",
            "moved": {"at": moment, "start": moment - 3600, "end": moment - 1},
        }
        for number, moment in enumerate(moments)
    ]  # fmt: skip
