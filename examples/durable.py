"""A durable JetStream consumer: every new message, each one done once, over restarts of anybody.

JetStream delivers at least once. The work and the event's id go into one transaction of our own database, so a second
delivery finds the id and does nothing.

    NATS_URL=$(cat data/nats.url) DONE=done.db python examples/durable.py
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from email import message_from_bytes, policy
from urllib.parse import unquote

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext

DURABLE = "subjects-example"  # the name under which JetStream remembers how far we got: one for each program


async def whole(jetstream: JetStreamContext, event: Msg) -> bytes:
    """The message's bytes; those of a large one lie in the object store that the event names."""
    reference = (event.headers or {}).get("ce-dataref")
    if not reference:
        return event.data
    bucket, _, name = reference.removeprefix("nats-object://").partition("/")
    found = await (await jetstream.object_store(bucket)).get(unquote(name))
    return found.data or b""


def work(database: sqlite3.Connection, identity: str, raw: bytes) -> None:
    """What this program is for; here: remember the subject."""
    subject = message_from_bytes(raw, policy=policy.compat32)["Subject"]
    with database:  # one transaction
        done = database.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?)", (identity, str(subject)))
    print(f"{'done' if done.rowcount else 'known'} {identity}: {subject}", flush=True)


async def main() -> None:
    database = sqlite3.connect(os.environ.get("DONE", "done.db"))
    database.execute("CREATE TABLE IF NOT EXISTS subjects (identity TEXT PRIMARY KEY, subject TEXT)")
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    jetstream = client.jetstream()
    # `new` alone: what was in the mailbox before the first start is `backfill`, and no reason to act.
    mail = await jetstream.pull_subscribe("mail.*.*.new", durable=DURABLE, stream="MAIL")
    while True:
        try:
            events = await mail.fetch(10, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for event in events:
            identity = (event.headers or {})["ce-id"]
            work(database, identity, await whole(jetstream, event))
            await event.ack()  # after the work: whoever dies in between gets the event again


asyncio.run(main())
