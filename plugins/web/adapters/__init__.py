"""Which systems may push here: an adapter by connection type. A new one also says so in its rules (``pushes``)."""

from __future__ import annotations

from web.adapters.adapter import Adapter, Arrival
from web.adapters.etermin import ETerminAdapter
from web.adapters.insightly import InsightlyAdapter

__all__ = ["ADAPTERS", "Adapter", "Arrival"]

ADAPTERS: dict[str, Adapter] = {"insightly": InsightlyAdapter(), "etermin": ETerminAdapter()}
