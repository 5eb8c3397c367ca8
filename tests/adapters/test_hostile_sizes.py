"""Mailboxes that are large: a change costs little, and much that is gone at once delays nobody else."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.support.hostile_imap import CAPABILITIES, HostileImap, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio
MANY: Final = 50_000
WITHOUT_ESEARCH: Final = CAPABILITIES.replace(" ESEARCH", "")
NUMBERS: Final = 5 * 3000  # octets of 3,000 UIDs


def large(capabilities: str) -> HostileImap:
    server = HostileImap()
    server.capabilities = capabilities
    server.uidnext = 1_000
    server.add(*[mail(1)] * 3_000)
    return server


async def cost(pipeline: Pipeline, server: HostileImap) -> int:
    """Octets that the server says from one change until a second later."""
    before = server.octets
    (uid,) = server.deliver(mail(server.uidnext))
    await pipeline.until(lambda: uid in pipeline.uids(), "stored")
    await pipeline.stays(lambda: True, "time passes", 2.5)
    return server.octets - before


@pytest.mark.parametrize("capabilities", [CAPABILITIES, WITHOUT_ESEARCH], ids=["ESEARCH", "SEARCH"])
async def test_a_change_costs_few_octets_in_a_large_mailbox(mirror: Mirror, capabilities: str) -> None:
    server = large(capabilities)
    async with mirror(server, backfill="none") as pipeline:
        await pipeline.idling()
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        costs = [await cost(pipeline, server) for _ in range(3)]
        assert max(costs) < NUMBERS / 3, "not all UIDs again for one mail"


async def test_one_expunge_costs_few_octets_in_a_large_mailbox(mirror: Mirror) -> None:
    """Where the server tells which one it was; the rows follow."""
    server = large(WITHOUT_ESEARCH)
    async with mirror(server, backfill="none", sync_interval=60) as pipeline:
        await pipeline.idling()
        uids = server.deliver(mail(1), mail(2))
        await pipeline.stored(*uids)
        server.expunge(uids[0])
        await pipeline.stored(uids[1])


async def test_a_mailbox_at_rest_costs_next_to_nothing(mirror: Mirror) -> None:
    server = large(WITHOUT_ESEARCH)
    async with mirror(server, backfill="none", sync_interval=0.5) as pipeline:
        await pipeline.idling()
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")
        await pipeline.stays(lambda: True, "time passes", 1)
        before = server.octets
        await pipeline.stays(lambda: True, "time passes", 2)
        assert server.octets - before < 2_000


def fill(data_dir: Path, account: str, count: int) -> None:
    """Rows as if that account had stored UIDs 2 to `count`."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    text = {"message_id": "", "subject": "old", "from_name": "", "from_email": "", "in_reply_to": "", "body_text": ""}
    lists = dict.fromkeys(("to_emails", "cc_emails", "reply_to", "references_ids", "flags", "defects", "headers"), "[]")
    columns = {
        "size": 10,
        "sha256": "0" * 64,
        "has_attachments": 0,
        "received_at": now,
        "stored_at": now,
        "body_html": "",
    }
    columns |= text | lists
    with closing(sqlite3.connect(data_dir / "mozzart.db", timeout=30)) as connection, connection:
        (mailbox_id, uidvalidity), = connection.execute(
            "SELECT id, uidvalidity FROM mailbox_app_mailboxstate WHERE account = ?", (account,)
        )  # fmt: skip
        connection.executemany(
            f"INSERT INTO mailbox_app_mailmessage (mailbox_id, uidvalidity, uid, {', '.join(columns)})"
            f" VALUES (?, ?, ?, {', '.join('?' * len(columns))})",
            ((mailbox_id, uidvalidity, uid, *columns.values()) for uid in range(2, count + 1)),
        )


async def test_much_that_is_gone_at_once_delays_no_other_account(mirror: Mirror) -> None:
    emptied, healthy = HostileImap(count=1, host="127.0.0.2"), HostileImap(count=1, host="127.0.0.3")
    emptied.uidnext = MANY + 1
    servers = {"emptied": emptied, "healthy": healthy}
    async with mirror(servers) as pipeline:
        await pipeline.stored(1, account="emptied")
        await pipeline.stored(1, account="healthy")
        emptied.expunge(1)
        await pipeline.stored(account="emptied")
        data_dir = pipeline.settings.data_dir
    fill(data_dir, "emptied", MANY)
    async with mirror(servers) as pipeline:
        await pipeline.idling("healthy")
        waits = []
        for number in range(2, 12):
            began = time.monotonic()
            (uid,) = healthy.deliver(mail(number))
            await pipeline.until(lambda uid=uid: len(pipeline.announced) and uid in pipeline.uids("healthy"), "pushed")
            waits.append(time.monotonic() - began)
            await pipeline.stays(lambda: True, "time passes", 0.3)
        assert max(waits) < 1.5, waits
        gone = "SELECT count(*) AS gone FROM mailbox_app_mailmessage WHERE expunged_at IS NOT NULL"
        await pipeline.until(lambda: pipeline.rows(gone)[0]["gone"] == MANY, "all are marked", within=90)
