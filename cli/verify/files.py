"""The files below MEDIA_ROOT against the rows that name them, as `mozzart verify` compares them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from cli.verify.position import OfFiles
from mailcore.descent import InTheWay, open_file
from mailcore.difference import Category
from mailcore.mime.path import ROOT
from mailcore.store import Store
from mailcore.store.attachments import StoredFile

_PAGE: Final = 500


@dataclass
class Files:
    """`count` and `size` are of what the rows name; `rows` are those whose file is not as it should be, by what is
    wrong; `orphans` are files that no row names."""

    count: int = 0
    size: int = 0
    rows: dict[Category, list[StoredFile]] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether something is wrong."""
        return bool(self.rows or self.orphans)

    def totals(self) -> Mapping[Category, int]:
        found = {category: len(rows) for category, rows in self.rows.items()}
        return found | ({Category.FILE_ORPHAN: len(self.orphans)} if self.orphans else {})


async def _no_step(files: int) -> None: ...


async def compare_files(
    store: Store,
    root: Path,
    *,
    wait: float,
    place: OfFiles | None = None,
    step: Callable[[int], Awaitable[None]] = _no_step,
) -> Files:
    """Reads every file behind `place`, and those that were wrong before it; `step(files)` after each page, which may
    keep the place. Files come before their rows: one is an orphan only if no row names it `wait` seconds later. Raises
    StoreError."""
    place = place if place is not None else OfFiles()
    found = Files()
    after = 0
    named: set[str] = set()
    present = await asyncio.to_thread(_below, root)
    while page := await store.files(after, _PAGE):
        after = page[-1].id
        named.update(str(PurePosixPath(each.file)) for each in page)
        await asyncio.to_thread(_judge, root, page, found, place)
        await step(found.count)
    orphans = present - named
    clock = asyncio.get_running_loop().time
    end = clock() + wait
    while orphans and clock() < end:
        await asyncio.sleep(min(0.5, max(end - clock(), 0)))
        while page := await store.files(after, _PAGE):
            after = page[-1].id
            orphans.difference_update(str(PurePosixPath(each.file)) for each in page)
    found.orphans = await asyncio.to_thread(_still_there, root, orphans)
    return found


def _below(root: Path) -> set[str]:
    """What is no directory below the attachments' one; symbolic links are not followed."""

    def walk(directory: str) -> Iterator[str]:
        with os.scandir(root / directory) as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(path)
                else:
                    yield path

    top = root / ROOT
    if not top.is_symlink() and top.is_dir():
        return set(walk(ROOT))
    return {ROOT} if os.path.lexists(top) else set()


def _still_there(root: Path, files: Iterable[str]) -> list[str]:
    return sorted(file for file in files if os.path.lexists(root / file))


def _judge(root: Path, page: Iterable[StoredFile], found: Files, place: OfFiles) -> None:
    again = set(place.wrong)
    for each in page:
        found.count += 1
        found.size += each.size
        if each.id <= place.id and each.id not in again:
            continue
        if (category := what_is_wrong(root, each)) is not None:
            found.rows.setdefault(category, []).append(each)
            again.add(each.id)
        else:
            again.discard(each.id)
        place.id = max(place.id, each.id)
    place.wrong = sorted(again)


def what_is_wrong(root: Path, row: StoredFile) -> Category | None:
    """None when the file is as its row says. MEDIA_ROOT itself may be a symbolic link, nothing below it."""
    try:
        with open_file(root, row.file) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except FileNotFoundError:
        return Category.FILE_MISSING
    except InTheWay as error:
        found = error.filename is not None and Path(error.filename).is_symlink()
        return Category.FILE_SYMLINK if found else Category.FILE_UNREADABLE
    except (OSError, ValueError):
        return Category.FILE_UNREADABLE
    return None if (size, digest) == (row.size, row.sha256) else Category.FILE_ALTERED
