"""The demo's IMAP server: pymap (PyPI), in memory, on 127.0.0.1.

It announces new mail to IDLE about a millisecond after APPEND. It has no CONDSTORE, ESEARCH or UNSELECT, so the demo
walks the plain IMAP4rev1 paths.
"""

from __future__ import annotations

import asyncio
import signal
from argparse import Namespace
from contextlib import AsyncExitStack

from pymap.backend.dict import DictBackend
from pymap.imap import IMAPService
from pysasl.hashing import Cleartext

from cli import exit_code
from mailcore.settings import Settings


async def serve(settings: Settings, port: int) -> int:
    """One account, IMAP_USER and IMAP_PASSWORD, with an empty INBOX; until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    arguments = Namespace(
        host="127.0.0.1",
        port=str(port),
        debug=False,
        cert=None,
        key=None,
        tls=False,
        passlib_cfg=None,
        proxy_protocol=None,
        inherited_sockets=None,
        demo_data=False,
        demo_user=settings.imap_user,
        demo_password=settings.imap_password.get_secret_value(),
    )
    # The password lives as long as this process: hashing it would only make each LOGIN 150 ms slower.
    backend, config = await DictBackend.init(arguments, hash_context=Cleartext())
    config.apply_context()
    async with AsyncExitStack() as stack:
        await backend.start(stack)
        await IMAPService(backend, config).start(stack)
        await stop.wait()
    return exit_code.OK
