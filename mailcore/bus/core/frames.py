"""Message frames of the NATS client protocol (MSG, HMSG), cut out of what the socket gives; nats-py's parser reads the
other lines.

nats-py's own moves every payload through one growing buffer, which was a tenth of what it costs to store a mail; here
it is copied once when it came in one chunk, else twice.
"""

from __future__ import annotations

from typing import Final

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

_MESSAGES: Final = (b"MSG ", b"HMSG ")
_LONGEST_LINE: Final = 1 << 20  # INFO names every server of a cluster


class Frames(Parser):
    """Feed it chunks by `parse`; each whole message goes to `nc._process_msg(sid, subject, reply, data, headers)`."""

    def reset(self) -> None:
        """Forget what has begun: a new connection."""
        super().reset()
        self._line = b""  # a line without its end
        self._head: tuple[int, bytes, bytes, int] | None = None  # sid, subject, reply, length of the header block
        self._pieces: list[memoryview] = []  # of the payload that is still to come
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Raises nats.errors.ProtocolError."""
        if self._line:
            data, self._line = self._line + data, b""
        position, end = 0, len(data)
        while position < end:
            if self._head is not None:
                position = await self._take_payload(data, position)
                continue
            eol = data.find(b"\r\n", position)
            if eol < 0:
                self._line = data[position:]
                if len(self._line) > _LONGEST_LINE:
                    raise ProtocolError("nats: a line without an end")
                return
            if data.startswith(_MESSAGES, position):
                self._begin(data[position:eol])
            else:
                await super().parse(data[position : eol + 2])
            position = eol + 2

    def _begin(self, line: bytes) -> None:
        """`MSG subject sid [reply] size`, `HMSG subject sid [reply] header-size size`."""
        try:
            operation, subject, sid, *reply, size = line.split()
            header_size = int(reply.pop()) if operation == b"HMSG" else 0
            if not 0 <= header_size <= int(size):
                raise ValueError("a size that is none")
            self._head = int(sid), subject, b"".join(reply), header_size
        except (ValueError, IndexError):
            raise ProtocolError("nats: malformed message line") from None
        self._missing = int(size) + 2  # with its CRLF

    async def _take_payload(self, data: bytes, position: int) -> int:
        taken = min(self._missing, len(data) - position)
        self._missing -= taken
        if self._missing or self._pieces:
            self._pieces.append(memoryview(data)[position : position + taken])
            if self._missing:
                return position + taken
            whole, start = b"".join(self._pieces), 0
            self._pieces = []
        else:
            whole, start = data, position
        assert self._head is not None
        sid, subject, reply, header_size = self._head
        self._head = None
        end = position + taken - 2 if whole is data else len(whole) - 2
        split = start + header_size
        await self.nc._process_msg(sid, subject, reply, whole[split:end], whole[start:split] if header_size else None)
        return position + taken
