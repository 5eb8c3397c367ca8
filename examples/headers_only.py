"""A consumer that wants no bodies: JetStream sends the headers alone, some hundred bytes for each message.

It also shows the replay window: it begins three days back, or wherever the stream begins.

    NATS_URL=$(cat data/nats.url) python examples/headers_only.py
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def main() -> None:
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    since = datetime.now(UTC) - timedelta(days=3)
    mail = await client.jetstream().pull_subscribe(
        "mail.*.*.new",
        durable="sizes-example",
        stream="MAIL",
        config=ConsumerConfig(
            headers_only=True,
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=since.isoformat(),  # type: ignore[arg-type]  # nats-py's annotation is older than the server's API
        ),
    )
    while True:
        try:
            events = await mail.fetch(100, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for event in events:
            facts = event.headers or {}
            print(f"{facts['ce-id']} {facts['ce-size']} bytes, received {facts['ce-receivedat']}", flush=True)
            await event.ack()


asyncio.run(main())
