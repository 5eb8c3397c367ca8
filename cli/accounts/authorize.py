"""`mozzart accounts authorize`: a person signs in at a provider; what that brings is kept, and tried."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import click
from aiohttp import web

from cli import exit_code
from cli.accounts.run import find
from cli.audited import note
from cli.imap_account import connected
from mailcore.account import Account
from mailcore.errors import ImapError, Retry, Scope, SettingsError
from mailcore.oauth.provider import endpoints
from mailcore.oauth.redirect import Back, read_back
from mailcore.oauth.tokens import Tokens
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.visible import one_line
from syncer.imap import trace

WITHIN: Final = 600.0  # seconds for a person and a browser
_SIGNED_IN: Final = "You are signed in. Go back to the terminal; this page may be closed."


async def run(settings: Settings, name: str, *, port: int = 0, browser: bool = True) -> int:
    """Raises MozzartError for an account that has no such sign-in, and ImapError when it fails."""
    trace.begin(settings.imap_trace)
    store = await Store.open(settings.database_url)
    try:
        await store.upgrade()  # a newcomer signs in before the first `mozzart up`
        await _sign_in(await find(settings, name), Tokens(store, settings), port, browser=browser)
    finally:
        await store.close()
    await note(settings, "account-authorized", name)
    return exit_code.OK


async def _sign_in(account: Account, tokens: Tokens, port: int, *, browser: bool) -> None:
    if account.oauth is None:
        key = account.setting("auth")
        raise SettingsError(
            f"Account {account.name!r} does not log in by OAuth ({key} is {account.auth}); docs/accounts.md."
        )
    if account.oauth.grant == "device_code":
        await tokens.by_device(account, _tell_code)
    elif account.oauth.signs_in:
        await _by_browser(tokens, account, port, browser=browser)
    async with connected(account, tokens):
        click.echo(f"✓ {account.name}: {account.user} logged in at {account.host}")


def _tell_code(address: str, code: str) -> None:
    click.echo(f"Open {one_line(address)} in any browser and type the code {one_line(code)}")


async def _by_browser(tokens: Tokens, account: Account, port: int, *, browser: bool) -> None:
    assert account.oauth is not None
    state = secrets.token_urlsafe(24)
    async with _listening(endpoints(account.oauth).loopback, port, state) as (redirect_uri, came):
        url, verifier = tokens.authorize_url(account, redirect_uri, state)
        click.echo(f"Open this address in a browser on this machine, and sign in as {account.user}:\n\n{url}\n")
        if browser and _has_browser():
            await asyncio.to_thread(webbrowser.open, url)
        try:
            async with asyncio.timeout(WITHIN):
                back = await came
        except TimeoutError:
            words = f"Nobody signed in within {WITHIN / 60:.0f} minutes; begin again"
            raise ImapError(words, scope=Scope.ACCOUNT, retry=Retry.NEVER) from None
        await tokens.redeem(account, back.code, verifier, redirect_uri)


@asynccontextmanager
async def _listening(host: str, port: int, state: str) -> AsyncIterator[tuple[str, asyncio.Future[Back]]]:
    """(where a browser is to come back to, what it brings). Nobody but this machine is listened to."""
    came: asyncio.Future[Back] = asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.Response:
        headers = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}  # the address holds the code
        try:
            back = read_back(request.query, state)
        except ImapError as error:
            if not came.done():
                came.set_exception(error)
            return web.Response(text=str(error), status=400, headers=headers)
        if back is None:
            return web.Response(text="Not found", status=404, headers=headers)
        if not came.done():
            came.set_result(back)
        return web.Response(text=_SIGNED_IN, headers=headers)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", port))
    try:
        await web.SockSite(runner, listener).start()
        yield f"http://{host}:{listener.getsockname()[1]}", came
    finally:
        await runner.cleanup()
        listener.close()
        came.cancel()


def _has_browser() -> bool:
    """Not one of those that take over the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
