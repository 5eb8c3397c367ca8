"""A caller that is cancelled in the middle of a write leaves nothing locked behind."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from mailcore import aio as bridge
from mailcore.aio import aio
from mailcore.events.identity import MailboxKey
from mailcore.store import Store

KEY = MailboxKey("default", "INBOX")


@pytest.mark.trio
async def test_a_write_cancelled_at_any_moment_does_not_keep_the_write_lock(tmp_path: Path) -> None:
    dice = random.Random(1)
    async with bridge.open_loop():
        store = await aio(Store.open, f"sqlite+aiosqlite:///{tmp_path / 'mozzart.db'}")
        await aio(store.upgrade)

        async def save() -> None:
            await store.save_mailbox(KEY, last_uid=dice.randrange(1, 100))

        for _ in range(100):
            with trio.move_on_after(dice.random() * 0.01):
                await aio(save)
            with trio.fail_after(5):
                await aio(save)
        await aio(store.close)
