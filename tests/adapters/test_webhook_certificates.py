"""Whom a webhook's receiver has to be vouched for by: the authorities of the system, as OpenSSL is told of them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.dovecot import Dovecot
from webhooks.disposition import Answer
from webhooks.notice import Notice
from webhooks.sending import Receiver

NOTICE = Notice("anna/INBOX/7/1/stored", "stored", b"{}")


@pytest_asyncio.fixture
async def url(dovecot: Dovecot) -> AsyncIterator[str]:
    """Of a receiver with Dovecot's certificate, which is its own authority."""
    application = web.Application()
    application.router.add_post("/", _take)
    runner = web.AppRunner(application)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(dovecot.ca_file, dovecot.home / "key.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def _take(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def sent(url: str) -> Answer:
    async with Receiver(url, (b"key",)) as receiver:
        return await receiver.send(NOTICE)


@pytest.mark.asyncio
async def test_a_receiver_is_believed_if_an_authority_of_the_system_vouches_for_it(
    url: str, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await sent(url)).status is None

    monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.ca_file))
    assert (await sent(url)).status == 204
