"""The api process."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from api import admin
from api.admin import docs, letters, login
from api.admin.templates import error_pages
from api.dependencies import DEPENDENCIES, Dependencies
from api.guard import credentials
from api.guard.access import ACCESS, Access
from api.guard.allowed_hosts import only_allowed_hosts
from api.guard.auth import only_known
from api.guard.authorization import AUTHORIZATIONS, Authorizations
from api.guard.forwarded import behind
from api.guard.malformed import Runner
from api.guard.security_headers import protect
from api.guard.session import SESSIONS
from api.guard.tokens import TOKENS, Tokens
from api.http import assets
from api.http.connections import CONNECTIONS, Connections, Limits, most
from api.http.listening import listen
from api.http.patience import patient
from api.http.problem import problems
from api.http.slash import right_path
from api.routes import (
    accounts,
    attachments,
    audit,
    dead_letters,
    events,
    health,
    mailboxes,
    messages,
    openapi,
    originals,
    runs,
    states,
    sync,
    undelivered,
    verify,
)
from mailcore import descriptors
from mailcore import log as log_setup
from mailcore.errors import SettingsError
from mailcore.lifecycle import run_until_stopped
from mailcore.settings import Settings

log = structlog.get_logger(__name__)

_LARGEST_BODY: Final = 64 * 1024
# A request that waits for a sync run is cut off when we stop; the run itself goes on in the syncer.
_LAST_WORDS: Final = 0.3


def run(settings: Settings) -> None:
    """Until SIGINT or SIGTERM. Raises SettingsError when it cannot listen."""
    run_until_stopped(partial(serve, settings))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    token, access = credentials.token(settings), Access.open(settings)
    for secret in (token.secret, *access.secrets):
        log_setup.hide(secret)
    # Once, on standard output and not in the log: this is how their owner learns them.
    if token.made:
        sys.stdout.write(f"API token, made now and kept in {settings.api_token_path}: {token.secret}\n")
    sys.stdout.writelines(f"{line}\n" for line in access.news)
    sys.stdout.flush()
    dependencies = await Dependencies.open(settings)
    app = application(dependencies, token.secret, access)
    runner = Runner(app, shutdown_timeout=_LAST_WORDS)
    try:
        await runner.setup()
        async with app[CONNECTIONS].watching(runner):
            await _listen(runner, settings)
            await stop.wait()
            log.info("stopping")
    finally:
        await runner.cleanup()
        await dependencies.close()


def application(dependencies: Dependencies, token: str, access: Access | None = None) -> web.Application:
    """The routes behind their middlewares, the outermost first; `access` is that of the settings unless given."""
    settings = dependencies.settings
    access = access or Access.open(settings)
    tokens = Tokens(dependencies.store)
    connections = Connections(Limits(most=most(descriptors.limit())))
    app = web.Application(
        middlewares=[
            connections.middleware,
            patient(dependencies.store),
            behind(settings.trusted_proxies),
            problems,
            error_pages,
            only_allowed_hosts(settings.allowed_hosts),
            only_known(token, access, tokens),
            right_path,
        ],
        client_max_size=_LARGEST_BODY,
    )
    app[DEPENDENCIES], app[ACCESS], app[SESSIONS] = dependencies, access, access.sessions
    app[TOKENS] = tokens
    app[events.READERS], app[CONNECTIONS] = set(), connections
    app[letters.CONTENTS] = letters.Contents()
    app[AUTHORIZATIONS] = Authorizations()
    app[originals.READING] = asyncio.Semaphore(originals.AT_ONCE)
    for module in (
        sync,
        states,
        accounts,
        mailboxes,
        messages,
        originals,
        attachments,
        runs,
        dead_letters,
        undelivered,
        verify,
        audit,
        health,
        events,
        login,
        assets,
        docs,
        openapi,
        admin,
    ):
        app.add_routes(module.routes)
    app.on_response_prepare.append(protect)
    app.on_cleanup.extend((_last_line, tokens.close))
    return app


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    host, port = settings.api_host, settings.api_port
    try:
        await listen(runner, host, port)
    except OSError as error:
        raise SettingsError(
            f"The api cannot listen on {host} port {port} ({error.strerror}): stop what listens there, "
            "or set another API_HOST or API_PORT."
        ) from None
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1])


async def _last_line(app: web.Application) -> None:
    app[ACCESS].refusals.close()
