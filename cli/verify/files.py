"""The files below MEDIA_ROOT against the rows that name them, as `mozzart verify` compares them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from mailcore.descent import open_file
from mailcore.media import INCOMING
from mailcore.store import Store
from mailcore.store.audit import StoredFile

_PAGE: Final = 500


@dataclass
class Files:
    """`missing`, `changed` (another size or SHA-256) and `unreadable` are the rows' files, with what is wrong;
    `unnamed` are files that no row names."""

    count: int = 0
    size: int = 0
    missing: list[StoredFile] = field(default_factory=list)
    changed: list[StoredFile] = field(default_factory=list)
    unreadable: list[StoredFile] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether something is wrong. An unnamed file is not: its message may be on its way."""
        return bool(self.missing or self.changed or self.unreadable)


async def compare_files(store: Store, root: Path, told: Callable[[int], None] = lambda count: None) -> Files:
    """Reads every file; `told(count)` after each page. Raises StoreError."""
    found = Files()
    after = 0
    named: set[str] = set()
    # Before the rows: a file that is renamed into its place while we read has its row later, or is none of ours.
    present = await asyncio.to_thread(_below, root)
    while page := await store.files(after, _PAGE):
        after = page[-1].id
        named.update(str(PurePosixPath(each.file)) for each in page)
        await asyncio.to_thread(_judge, root, page, found)
        told(found.count)
    found.unnamed = sorted(present - named)
    return found


def _below(root: Path) -> Set[str]:
    if not root.is_dir():
        return set()
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.as_posix() for path in paths if path.parts[0] != INCOMING and not path.name.startswith(".")}


def _judge(root: Path, page: Iterable[StoredFile], found: Files) -> None:
    for each in page:
        found.count += 1
        found.size += each.size
        try:
            with open_file(root, each.file) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except FileNotFoundError:
            found.missing.append(each)
        except (OSError, ValueError):
            found.unreadable.append(each)
        else:
            if (size, digest) != (each.size, each.sha256):
                found.changed.append(each)
