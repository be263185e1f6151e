"""Makes many registrants from a seed: the same seed, the same people."""

from __future__ import annotations

import random
from collections.abc import Iterator

from sandbox.scenario_webinars import GenerateModel, RegistrantModel

FIRST_NAMES = (
    "Anna", "Björn", "Claudia", "Dörte", "Emil", "Frauke", "Götz", "Hannah", "Ilse", "Jürgen", "Käthe", "Lukas",
    "Mareike", "Nils", "Özlem", "Paula", "Quirin", "Rüdiger", "Sören", "Tanja", "Ulf", "Verena", "Walter", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Albrecht", "Böhm", "Claußen", "Dürr", "Ebert", "Förster", "Großmann", "Hübner", "Ihde", "Jäger", "Köhler",
    "Lehmann", "Müller", "Neumann", "Öztürk", "Pfeiffer", "Richter", "Schäfer", "Thalheim", "Uhlig", "Voß", "Weiß",
)  # fmt: skip
_ASCII = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ë": "e"})


def make_registrants(order: GenerateModel, length: float) -> Iterator[RegistrantModel]:
    """Yield ``order.count`` registrants with different addresses.

    Exactly the ordered shares attended (at least 70 % of the webinar) and were there at its end; of the
    others, a third looked in for less than a tenth of it.

    :param length: the webinar's length in seconds.
    """
    chance = random.Random(order.seed)
    at_end = round(order.count * order.online_at_end)
    attended = round(order.count * order.attended)
    kinds = ["end"] * at_end + ["attended"] * (attended - at_end) + ["missed"] * (order.count - attended)
    chance.shuffle(kinds)
    for index, kind in enumerate(kinds, start=1):
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        yield RegistrantModel(
            email=ascii_text(f"{first}.{last}.{index}@{order.domain}"),
            firstname=first,
            lastname=last,
            registered=order.registered + index * 0.001,
            presence=_stays(kind, length, chance),
        )


def ascii_text(text: str) -> str:
    """Return a German name as it stands in an address: lower case, without umlauts."""
    return text.lower().translate(_ASCII)


def _stays(kind: str, length: float, chance: random.Random) -> tuple[tuple[float, float], ...]:
    if kind == "end":
        return ((chance.uniform(0, 0.2) * length, length + chance.uniform(5, 60)),)
    if kind == "attended":
        join = chance.uniform(0, 0.1) * length
        return ((join, join + chance.uniform(0.7, 0.85) * length),)
    if chance.random() < 1 / 3:
        join = chance.uniform(0, 0.8) * length
        return ((join, join + chance.uniform(0.01, 0.09) * length),)
    return ()
