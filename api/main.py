"""The api process."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import structlog
from aiohttp import web

from api import events, health, states, sync
from api.auth import only_with_token, token
from api.dependencies import DEPENDENCIES, Dependencies
from api.host import only_allowed_hosts
from api.problem import problems
from mailcore import log as log_setup
from mailcore.errors import SettingsError
from mailcore.settings import Settings

log = structlog.get_logger(__name__)

_LARGEST_BODY: Final = 64 * 1024
# A request that waits for a sync run is cut off when we stop; the run itself goes on in the syncer.
_LAST_WORDS: Final = 0.3


def run(settings: Settings) -> None:
    """Until SIGINT or SIGTERM. Raises SettingsError when it cannot listen."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(serve(settings))


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    secret, made = token(settings)
    log_setup.hide(secret)
    if made:
        # Once, on standard output and not in the log: this is how its owner learns it.
        sys.stdout.write(f"API token, made now and kept in {settings.api_token_path}: {secret}\n")
        sys.stdout.flush()
    dependencies = await Dependencies.open(settings)
    runner = web.AppRunner(application(dependencies, secret), access_log=None, shutdown_timeout=_LAST_WORDS)
    try:
        await runner.setup()
        await _listen(runner, settings)
        await stop.wait()
        log.info("stopping")
    finally:
        await runner.cleanup()
        await dependencies.close()


def application(dependencies: Dependencies, secret: str) -> web.Application:
    """The routes behind their middlewares, the outermost first."""
    app = web.Application(
        middlewares=[problems, only_allowed_hosts(dependencies.settings.allowed_hosts), only_with_token(secret)],
        client_max_size=_LARGEST_BODY,
    )
    app[DEPENDENCIES] = dependencies
    app[events.READERS] = set()
    for module in (sync, states, health, events):
        app.add_routes(module.routes)
    app.on_response_prepare.append(_headers)
    return app


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    host, port = settings.api_host, settings.api_port
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise SettingsError(
            f"The api cannot listen on {host} port {port} ({error.strerror}): stop what listens there, "
            "or set another API_HOST or API_PORT."
        ) from None
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1])


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    response.headers["Server"] = "mozzart"
