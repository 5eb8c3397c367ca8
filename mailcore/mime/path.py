"""Where an attachment lies under MEDIA_ROOT."""

from __future__ import annotations

from base64 import b32encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from mailcore.events.identity import Identity
from mailcore.mime.safename import safe_filename

ROOT: Final = "mail_attachments"
_KEY_BYTES: Final = 16  # 26 characters of base32: lower case only, so that it holds on file systems that fold case


def attachment_path(identity: Identity, received_at: datetime, part_id: str, filename: str) -> PurePosixPath:
    """`mail_attachments/YYYY/MM/DD/<key>-<safe name>`, relative to MEDIA_ROOT; the date is `received_at` in UTC.

    The key is a hash of (identity, part), so a redelivery finds its own file and no two parts share one (I1). Raises
    ValueError when `received_at` has no zone: the path would depend on the machine.
    """
    if received_at.tzinfo is None:
        raise ValueError(f"received_at has no time zone: {received_at!r}")
    try:
        day = received_at.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar there is no such UTC day: take the day as written
        day = received_at
    # str(identity) never holds a space, so (identity, part) stays apart.
    key = sha256(f"{identity} {part_id}".encode(errors="surrogatepass")).digest()[:_KEY_BYTES]
    name = safe_filename(filename, "attachment")
    return PurePosixPath(
        ROOT,
        f"{day.year:04d}",
        f"{day.month:02d}",
        f"{day.day:02d}",
        f"{b32encode(key).decode().rstrip('=').lower()}-{name}",
    )
