"""Message frames: any split of the bytes gives the same messages, and the same as nats-py's own parser gives."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from mailcore.bus.core.frames import Frames


class Taken(NamedTuple):
    sid: int
    subject: bytes
    reply: bytes
    data: bytes
    headers: bytes | None


class Listener:
    """What a parser tells its client, in order."""

    def __init__(self) -> None:
        self.heard: list[Taken | str] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.heard.append(Taken(sid, subject, reply, data, headers))

    async def _process_ping(self) -> None:
        self.heard.append("ping")

    async def _process_pong(self) -> None:
        self.heard.append("pong")

    async def _process_err(self, text: str) -> None:
        self.heard.append(text)

    async def _process_info(self, info: dict[str, object]) -> None:
        self.heard.append(str(info))


def parsed(kind: type[Parser], chunks: list[bytes]) -> list[Taken | str]:
    listener = Listener()
    parser = kind(listener)

    async def feed() -> None:
        for chunk in chunks:
            await parser.parse(chunk)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(feed())
    return listener.heard


tokens = st.text("abcXYZ019.$_-", min_size=1, max_size=12).map(str.encode)
bodies = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"", b"\r\n", b"MSG a 1 2\r\n", b"PING\r\n" * 3, b"x" * 300])
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    subject, sid, reply, body = draw(tokens), draw(st.integers(0, 99)), draw(st.none() | tokens), draw(bodies)
    words = [subject, b"%d" % sid, *([reply] if reply else [])]
    if draw(st.booleans()):
        block = b"NATS/1.0\r\n" + draw(st.sampled_from([b"", b"a: b\r\n"])) + b"\r\n"
        return (
            b" ".join([b"HMSG", *words, b"%d %d" % (len(block), len(block) + len(body))])
            + b"\r\n"
            + block
            + body
            + b"\r\n"
        )
    return b" ".join([b"MSG", *words, b"%d" % len(body)]) + b"\r\n" + body + b"\r\n"


others = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Slow Consumer'\r\n", b'INFO {"a": 1}\r\n'])


@given(st.lists(frames() | others, max_size=8), st.data())
def test_any_split_gives_what_the_parser_of_nats_gives_of_the_whole(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert parsed(Frames, chunks) == parsed(Parser, [stream])


@pytest.mark.parametrize(
    "line",
    [b"MSG a\r\n", b"MSG a 1 -5\r\n", b"MSG a x 5\r\n", b"HMSG a 1 5\r\n", b"HMSG a 1 r 9 5\r\n", b"HMSG a 1 -1 5\r\n"],
)
def test_a_malformed_message_line_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parsed(Frames, [line + b"x" * 20])


def test_a_line_without_an_end_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        parsed(Frames, [b"x" * 70_000] * 20)


def test_a_new_connection_begins_anew() -> None:
    listener = Listener()
    parser = Frames(listener)

    async def feed() -> None:
        for rest in (b"MSG a 1 10\r\nhalf", b"MSG a 1"):
            await parser.parse(rest)
            parser.reset()
        await parser.parse(b"MSG b 2 1\r\nx\r\n")

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(feed())
    assert listener.heard == [Taken(2, b"b", b"", b"x", None)]
