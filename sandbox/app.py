"""The sandbox: all stand-ins in the running loop, HTTP and SMTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from sandbox.activecampaign.vendor import ActiveCampaign
from sandbox.callexa.vendor import Callexa
from sandbox.calls import Calls
from sandbox.control import SYSTEMS, Control
from sandbox.effects import Effects
from sandbox.etermin.post import post_pushes
from sandbox.etermin.vendor import Etermin
from sandbox.faults import Faults
from sandbox.gate import Gate
from sandbox.insightly.vendor import Insightly
from sandbox.insightly.webhook import post_news
from sandbox.klicktipp.vendor import KlickTipp
from sandbox.mail import MailRules, MailServer
from sandbox.quentn.vendor import Quentn, QuentnLowerCase
from sandbox.scenario import Scenario, load_scenario
from sandbox.webinaris.vendor import Webinaris
from sandbox.world import World

HOST = "127.0.0.1"
LARGEST_BODY = 16 * 1024 * 1024
VENDORS = (Webinaris, KlickTipp, ActiveCampaign, Insightly, Callexa, Etermin, Quentn, QuentnLowerCase)


class Sandbox:
    """All stand-ins; ``async with`` starts and stops them.

    :param scenario: a scenario, the path of a scenario file, or ``None`` for the one that ships.
    :param http_port: 0 for any free port, as for ``smtp_port``.
    :param latency: seconds by which every answer is delayed.
    :param held: keep webinar dates, opportunities, projects and appointments out of sight until
        ``POST /_sandbox/start``.
    :raises ScenarioError: when the scenario file cannot be used.
    """

    def __init__(
        self,
        scenario: Scenario | Path | None = None,
        http_port: int = 0,
        smtp_port: int = 0,
        *,
        latency: float = 0.0,
        held: bool = False,
    ) -> None:
        world = scenario if isinstance(scenario, Scenario) else load_scenario(*([scenario] if scenario else []))
        self.effects, self.faults, self.calls = Effects(), Faults(), Calls()
        self.world = World(world, self.effects, held=held)
        self.gate = Gate(self.faults, self.calls)
        self.gate.set_limits(world)
        self.gate.latency.update(dict.fromkeys(SYSTEMS, latency))
        self._ports = http_port, smtp_port
        self._mail = MailServer(MailRules(self.world, self.gate, self.faults, self.calls))
        self._runner: web.AppRunner | None = None
        self._posts: list[asyncio.Task[None]] = []

    @property
    def http_port(self) -> int:
        """Return the port that HTTP listens on."""
        return self._runner.addresses[0][1] if self._runner else self._ports[0]

    @property
    def http_url(self) -> str:
        """Return e.g. ``http://127.0.0.1:8091``, without a slash at its end."""
        return f"http://{HOST}:{self.http_port}"

    @property
    def smtp_port(self) -> int:
        """Return the port that SMTP listens on."""
        return self._mail.port or self._ports[1]

    async def start(self) -> None:
        """Listen.

        :raises OSError: when a port is busy; nothing listens then.
        """
        http_port, smtp_port = self._ports
        self._runner = web.AppRunner(self._app(), access_log=None, handle_signals=False, shutdown_timeout=0.2)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, http_port).start()
            await self._mail.start(HOST, smtp_port)
        except OSError:
            await self.stop()
            raise
        self._posts = [asyncio.create_task(post(self.world)) for post in (post_news, post_pushes)]

    async def stop(self) -> None:
        """Stop listening and cut what is still open; safe to call twice."""
        self.world.imports.stop()
        for post in self._posts:
            post.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await post
        self._posts.clear()
        await self._mail.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        for vendor in (kind(self.world) for kind in VENDORS):
            self.gate.open(app.router, vendor)
        Control(self.world, self.effects, self.faults, self.calls, self.gate).open(app.router)
        return app
