"""What every command begins with: its settings, its log, its event loop. Imported when it begins, so that the list of
commands does without them."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mailcore.settings import Settings

T = TypeVar("T")


def settings(process: str, *, quiet: bool = False, nats: bool = False, accounts: bool = False) -> Settings:
    """`quiet` for commands whose output is an answer: what goes well stays out of it, and what
    is there already stays as it is. `nats`: with an address.
    `accounts`: also those of ACCOUNTS_FILE; whoever opens no mailbox needs no password and no file without faults."""
    from mailcore import log, modes
    from mailcore.settings import load_settings

    found = load_settings(accounts=accounts)
    if nats:
        found = found.with_nats_url()
    told = found.model_copy(update={"log_level": "ERROR"}) if quiet and found.log_level != "DEBUG" else found
    log.configure(told, process)
    if quiet:
        os.umask(modes.umask(found))
    else:
        modes.keep_private(found)
    return found


def run_asyncio(main: Coroutine[Any, Any, T]) -> T:
    """What it returns. A loop of our own choosing: no policy that some import may have set decides it."""
    import asyncio

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(main)
