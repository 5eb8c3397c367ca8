"""Where a stream begins and ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailcore.bus.jetstream.api import JetStream


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """`first_seq` and `last_seq` of what the stream holds (an empty one: `first_seq` is `last_seq` + 1). `created` is
    another one when somebody deleted the stream and it was made anew, with sequences from 1. `max_size` is the most
    that it may hold."""

    first_seq: int
    last_seq: int
    messages: int
    size: int
    created: str
    max_size: int = field(compare=False)  # a limit, no part of the position


async def stream_position(jetstream: JetStream, stream: str) -> StreamPosition:
    """Asks the server. Raises BusError."""
    info = await jetstream.call(f"STREAM.INFO.{stream}")
    state = info["state"]
    first, last, messages, size = (state[name] for name in ("first_seq", "last_seq", "messages", "bytes"))
    return StreamPosition(first, last, messages, size, str(info["created"]), info["config"]["max_bytes"])
