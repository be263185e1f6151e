"""``python -m sandbox``: run the stand-ins until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from sandbox.app import HOST, Sandbox
from sandbox.scenario import DEFAULT_SCENARIO, ScenarioError


def main() -> int:
    """Run until a signal comes; return 0, or 2 when the scenario or a port cannot be used."""
    options = _options()
    try:
        sandbox = Sandbox(options.scenario, options.port, options.smtp_port, latency=options.latency, held=options.hold)
        asyncio.run(_run(sandbox))
    except ScenarioError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot listen: {error.strerror or error}; choose other ports with --port and --smtp-port")
    return 0


async def _run(sandbox: Sandbox) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with sandbox:
        print(json.dumps({"http": sandbox.http_url, "smtp": f"{HOST}:{sandbox.smtp_port}"}), flush=True)
        await ended.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Stand-ins for the vendors, on loopback.")
    parser.add_argument("--port", type=int, default=8091, help="HTTP port, 0 for any free one (default: 8091)")
    parser.add_argument("--smtp-port", type=int, default=8025, help="SMTP port, 0 for any free one (default: 8025)")
    parser.add_argument(
        "--scenario", type=Path, default=DEFAULT_SCENARIO, help="YAML file with the world to begin with"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds by which every answer is delayed")
    parser.add_argument("--hold", action="store_true", help="list no webinar until POST /_sandbox/start")
    return parser.parse_args()


def _fail(words: str) -> int:
    print(words, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
