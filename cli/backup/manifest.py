"""What a backup says of itself, and its list of checksums. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.backup.archive import DATABASE, MEDIA, BackupError

FORMAT: Final = 1


class Manifest(BaseModel):
    """`revision` is that of the tables; `lost` are files below MEDIA_ROOT that rows name and that were missing or
    changed when the backup was made; `sums` is the SHA-256 of SHA256SUMS."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    program: str
    made_at: datetime
    revision: str
    messages: int
    files: int
    bytes: int
    lost: tuple[str, ...] = ()
    sums: str


def read_manifest(text: bytes) -> Manifest:
    """Raises BackupError."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        places = {".".join(map(str, one["loc"])) or "JSON" for one in error.errors(include_input=False)}
        raise BackupError(
            f"manifest.json is not of this version's format {FORMAT} (wrong: {', '.join(sorted(places))}); "
            "restore with the version that made the backup."
        ) from None


def write_sums(sums: Mapping[str, str]) -> bytes:
    """Names → lines as sha256sum writes them (binary mode), also of names with line ends and backslashes."""
    lines = []
    for name, digest in sums.items():
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{'' if escaped == name else chr(92)}{digest} *{escaped}\n")
    return "".join(lines).encode()


def read_sums(text: bytes) -> dict[str, str]:
    """Raises BackupError, also for names that are none of a backup's: it may come from anywhere."""
    sums = {}
    for line in text.decode(errors="replace").split("\n")[:-1]:
        digest, _, name = line.removeprefix("\\").partition(" *")
        if line.startswith("\\"):
            name = _unescape(name)
        if len(digest) != 64 or not _is_ours(name):
            raise BackupError(f"SHA256SUMS has a line that is none of a backup's: {line[:200]!r}")
        sums[name] = digest
    if DATABASE not in sums:
        raise BackupError("SHA256SUMS does not name the database.")
    return sums


def _unescape(name: str) -> str:
    out, escaped = [], False
    for char in name:
        if escaped:
            out.append({"n": "\n", "r": "\r"}.get(char, char))
        elif char != "\\":
            out.append(char)
        escaped = char == "\\" and not escaped
    return "".join(out)


def _is_ours(name: str) -> bool:
    path = PurePosixPath(name)
    return name == DATABASE or (
        str(path) == name and len(path.parts) > 1 and path.parts[0] == MEDIA and ".." not in path.parts
    )
