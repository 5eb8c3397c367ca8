"""Plain nats-py: what happens from now on, for a dashboard or a lamp. Nothing is kept for who is not listening.

NATS_URL=$(cat data/nats.url) python examples/live.py
"""

from __future__ import annotations

import asyncio
import json
import os

import nats


async def main() -> None:
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    # Account and mailbox are the tokens in the middle: mail.default.INBOX.stored is one mailbox.
    stored = await client.subscribe("mail.*.*.stored")
    await client.flush()
    print("listening", flush=True)
    async for event in stored.messages:
        fact = json.loads(event.data)
        sender = fact["from_name"] or fact["from_email"]
        print(f"{fact['account']}/{fact['mailbox']}: {sender}: {fact['subject']} (row {fact['row_id']})", flush=True)


asyncio.run(main())
