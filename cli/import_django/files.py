"""The attachments' files of the old application: read for their SHA-256, and copied when they lie elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path, PurePosixPath

from mailcore.descent import open_file
from mailcore.media import Media


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
            if self._old is None:
                return await asyncio.to_thread(_measure, self._media.root, file)
            content = await asyncio.to_thread(_read, self._old, file)
        except (OSError, ValueError) as error:
            why = "" if isinstance(error, FileNotFoundError) else f" ({error})"
            self.missing.append(f"{file}{why}")
            return None
        await self._media.write([(PurePosixPath(file), content)])
        return len(content), hashlib.sha256(content).hexdigest()


def _read(root: Path, file: str) -> bytes:
    with open_file(root, file) as opened:
        return opened.read()


def _measure(root: Path, file: str) -> tuple[int, str]:
    with open_file(root, file) as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return opened.tell(), digest
