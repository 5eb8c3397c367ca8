"""The same with FastStream (`pip install "faststream[nats]"`): a typed payload, a durable, an ack when we return.

NATS_URL=$(cat data/nats.url) python examples/faststream_app.py
"""

from __future__ import annotations

import asyncio
import os

from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from pydantic import AwareDatetime, BaseModel

broker = NatsBroker(os.environ["NATS_URL"])
app = FastStream(broker)


class Stored(BaseModel):
    """The fields we need of docs/schemas/stored.v1.json; readers ignore what they do not know."""

    account: str
    mailbox: str
    uid: int
    row_id: int
    size: int
    subject: str = ""
    from_name: str = ""
    from_email: str = ""
    at: AwareDatetime


# `declare=False`: the stream is there already, and it is not ours to change.
@broker.subscriber(
    "mail.*.*.stored",
    stream=JStream("MAIL_EVENTS", declare=False),
    durable="faststream-example",
    pull_sub=PullSub(batch_size=10),
)
async def on_stored(event: Stored) -> None:
    sender = event.from_name or event.from_email
    print(f"{event.mailbox} UID {event.uid}: {sender}: {event.subject}, row {event.row_id}", flush=True)


if __name__ == "__main__":
    asyncio.run(app.run())
