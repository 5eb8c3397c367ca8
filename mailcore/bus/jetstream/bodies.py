"""Bodies too large for an event: a JetStream object store (NATS ADR-20), streamed from and to files.

nats-py's own object store is not used: its `get` can buffer a whole object in memory and waits for ever when the server
dies, and its `put` is not repeatable.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Final

from mailcore.bus.core.connection import Connection
from mailcore.bus.jetstream.api import NO_MESSAGE, ApiError, JetStream
from mailcore.bus.jetstream.publish import HEADER_ROOM, Publisher
from mailcore.bus.jetstream.reader import Reader
from mailcore.bus.layout.streams import bucket_stream
from mailcore.errors import BusError, Retry, Scope

_CHUNK: Final = 512 << 10
_OVERHEAD: Final = 256  # bytes of a chunk's subject, headers and frame, at most
_META: Final = 8 << 10  # of the object's description, whose subject has its name
_FRESH: Final = timedelta(hours=12)  # an older copy may expire before the event that names it


class BodyMissing(BusError):
    """The object is not in the bucket, or not whole: expired or deleted. The sweep publishes the message again."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER


class Bodies:
    """One bucket."""

    def __init__(
        self, bucket: str, connection: Connection, jetstream: JetStream, publisher: Publisher, reader: Reader
    ) -> None:
        self._bucket = bucket
        self._stream = bucket_stream(bucket)
        self._connection = connection
        self._jetstream = jetstream
        self._publisher = publisher
        self._reader = reader

    async def put(self, name: str, path: Path) -> None:
        """Store the bytes of `path` under `name`; nothing to do when they are there. Raises BusError, OSError."""
        with await asyncio.to_thread(path.open, "rb") as file:
            digest, size = await asyncio.to_thread(_digest, file)
            old = await self._info(name)
            if old is not None and old["digest"] == digest and await self._is_whole(old):
                return
            await asyncio.to_thread(file.seek, 0)
            nuid = self._connection.wire.new_inbox().rpartition(".")[2]
            chunks = await self._put_chunks(nuid, file)
        info = {
            "name": name,
            "bucket": self._bucket,
            "nuid": nuid,
            "size": size,
            "chunks": chunks,
            "digest": digest,
            "mtime": datetime.now(UTC).isoformat(),
            "options": {"max_chunk_size": self._chunk},
        }
        await self._publisher.publish(
            self._meta(name), {"Nats-Msg-Id": f"{nuid}/meta", "Nats-Rollup": "sub"}, json.dumps(info).encode()
        )
        if old is not None:
            await self._jetstream.call(f"STREAM.PURGE.{self._stream}", {"filter": self._chunks(old["nuid"])})

    async def largest(self) -> int:
        """Bytes of the largest body that is whole when its last chunk is there: the bucket discards the oldest without
        a word. Its limit is the server's, which may be lower than what was asked for (Limits.halved)."""
        limit = int((await self._jetstream.call(f"STREAM.INFO.{self._stream}"))["config"]["max_bytes"])
        if limit < 0:
            return 1 << 62
        return max(limit - _META, 0) * self._chunk // (self._chunk + _OVERHEAD)

    async def get(self, name: str, path: Path) -> None:
        """Write the object into the file `path`. Raises BodyMissing, BusError, OSError."""
        info = await self._info(name)
        if info is None:
            raise BodyMissing(f"the bucket {self._bucket} has no object {name[:200]!r}")
        digest = hashlib.sha256()
        left = info["chunks"]
        with await asyncio.to_thread(path.open, "wb") as file:

            def take(data: bytes) -> None:
                digest.update(data)
                file.write(data)

            if left:
                chunks = self._reader.read(self._stream, [self._chunks(info["nuid"])])
                async with aclosing(chunks):
                    async for chunk in chunks:
                        await asyncio.to_thread(take, chunk.data)
                        left -= 1
        if left or _name_of(digest.digest()) != info["digest"]:
            raise BodyMissing(f"the object {name[:200]!r} in the bucket {self._bucket} is not whole")

    async def beginning(self, name: str) -> bytes:
        """The first bytes of the object, half a MiB at most; none where it is not there. Raises BusError."""
        info = await self._info(name)
        if info is None or not info["chunks"]:
            return b""
        wanted = {"seq": 1, "next_by_subj": self._chunks(info["nuid"])}
        try:
            found = await self._jetstream.call(f"STREAM.MSG.GET.{self._stream}", wanted)
        except ApiError as error:
            if error.err_code == NO_MESSAGE:
                return b""
            raise
        return base64.b64decode(found["message"].get("data", ""))

    @property
    def _chunk(self) -> int:
        return max(min(_CHUNK, self._connection.wire.max_payload - HEADER_ROOM), 1)

    async def _put_chunks(self, nuid: str, file: BinaryIO) -> int:
        # One after another: their order in the stream is the object's, also when one had to be repeated.
        number = 0
        subject = self._chunks(nuid)
        while data := await asyncio.to_thread(file.read, self._chunk):
            await self._publisher.publish(subject, {"Nats-Msg-Id": f"{nuid}/{number}"}, data)
            number += 1
        return number

    async def _info(self, name: str) -> dict[str, Any] | None:
        try:
            found = await self._jetstream.call(f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": self._meta(name)})
            info: dict[str, Any] = json.loads(base64.b64decode(found["message"]["data"]))
        except ApiError as error:
            if error.err_code == NO_MESSAGE:
                return None
            raise
        return None if info.get("deleted") else info

    async def _is_whole(self, info: dict[str, Any]) -> bool:
        if datetime.now(UTC) - datetime.fromisoformat(info["mtime"]) > _FRESH:
            return False
        subject = self._chunks(info["nuid"])
        state = (await self._jetstream.call(f"STREAM.INFO.{self._stream}", {"subjects_filter": subject}))["state"]
        return bool((state.get("subjects") or {}).get(subject, 0) == info["chunks"])

    def _chunks(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"

    def _meta(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _digest(file: BufferedReader) -> tuple[str, int]:
    digest = hashlib.file_digest(file, "sha256")
    return _name_of(digest.digest()), file.tell()


def _name_of(digest: bytes) -> str:
    return "SHA-256=" + base64.urlsafe_b64encode(digest).decode()
