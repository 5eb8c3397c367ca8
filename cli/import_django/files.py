"""The attachments' files of the old application: read for their SHA-256, and copied when they lie elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path, PurePosixPath
from typing import Final

from mailcore.errors import Scope
from mailcore.media import Media, MediaError

_CHUNK: Final = 1 << 20


class Files:
    """`old` is the MEDIA_ROOT of the old application; None when it is ours. `missing` lists what was not there."""

    def __init__(self, media: Media, old: Path | None) -> None:
        self._media = media
        self._old = old if old is not None and old.resolve() != media.root.resolve() else None
        self.missing: list[str] = []

    async def take(self, file: str) -> tuple[int, str] | None:
        """Size and SHA-256 of `file` (a path below MEDIA_ROOT), which is in our MEDIA_ROOT afterwards; None if there
        is no such file. Raises MediaError when ours cannot be written."""
        try:
            ours = self._media.path(file)
            source = ours if self._old is None else self._old.joinpath(*PurePosixPath(file).parts)
            # A symbolic link may lead anywhere: what is taken must lie where it says.
            if not source.resolve().is_relative_to((self._old or self._media.root).resolve()):
                raise FileNotFoundError(source)
            if self._old is None:
                return await asyncio.to_thread(_measure, source)
            content = await asyncio.to_thread(source.read_bytes)
        except (OSError, MediaError) as error:
            if isinstance(error, MediaError) and error.scope is not Scope.MESSAGE:
                raise
            self.missing.append(file)
            return None
        await self._media.write([(PurePosixPath(file), content)])
        return len(content), hashlib.sha256(content).hexdigest()


def _measure(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
