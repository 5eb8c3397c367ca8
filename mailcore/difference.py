"""What may differ between a server and what is stored of it, as `mozzart verify` names it: what each means, and what
can be done about it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Category(StrEnum):
    """Each message, and each file, is in one at most."""

    MISSING = "missing"
    IN_FLIGHT = "in_flight"
    DEAD = "dead"
    REFUSED = "refused"
    GONE = "gone"
    DOUBLED = "doubled"
    NO_MAILBOX = "no_mailbox"
    ALTERED = "altered"
    FILE_MISSING = "file_missing"
    FILE_ALTERED = "file_altered"
    FILE_UNREADABLE = "file_unreadable"
    FILE_SYMLINK = "file_symlink"
    FILE_ORPHAN = "file_orphan"


OF_FILES: Final = tuple(one for one in Category if one.startswith("file_"))
OF_MESSAGES: Final = tuple(one for one in Category if one not in OF_FILES)

# In a line of their own behind a number: "3 missing".
WORDS: Final = {
    Category.MISSING: "missing",
    Category.IN_FLIGHT: "in flight",
    Category.DEAD: "dead letters",
    Category.REFUSED: "refused",
    Category.GONE: "gone",
    Category.DOUBLED: "doubled",
    Category.NO_MAILBOX: "in a mailbox that is not there",
    Category.ALTERED: "with other bytes on the server",
    Category.FILE_MISSING: "missing",
    Category.FILE_ALTERED: "with another content",
    Category.FILE_UNREADABLE: "not readable",
    Category.FILE_SYMLINK: "behind a symbolic link",
    Category.FILE_ORPHAN: "that no row names",
}

MEANING: Final = {
    Category.MISSING: "The server has them; they are neither stored nor on their way.",
    Category.IN_FLIGHT: "Published to NATS and not stored yet.",
    Category.DEAD: "They could not be stored and wait as dead letters.",
    Category.REFUSED: "The server lists them and does not give them, or they are larger than NATS has room for.",
    Category.GONE: "Stored; the server lists them no more.",
    Category.DOUBLED: "Stored once more than the server has them.",
    Category.NO_MAILBOX: "Stored in a mailbox that the server has no more, or that is configured no more.",
    Category.ALTERED: "Stored with other bytes than the server gives for the same UID.",
    Category.FILE_MISSING: "A row names them and they are not on disk.",
    Category.FILE_ALTERED: "Their size or SHA-256 is not that of their row.",
    Category.FILE_UNREADABLE: "They cannot be read.",
    Category.FILE_SYMLINK: "A symbolic link below MEDIA_ROOT leads to them; none of ours does.",
    Category.FILE_ORPHAN: "They lie below mail_attachments and no row names them.",
}

ADVICE: Final = {
    Category.MISSING: "`mozzart sync` fetches them; `mozzart up` does so by itself. If it finds nothing missing, their "
    "rows were removed while the syncer ran: restart it, as it reads the rows when it starts.",
    Category.IN_FLIGHT: "A consumer stores them; `mozzart status` shows whether one runs, its log what it waits for. "
    "`mozzart sync` fetches nothing that is on its way.",
    Category.DEAD: "`mozzart dead-letters list` has the reasons; `mozzart dead-letters redrive` tries again. "
    "`mozzart sync` does nothing about them.",
    Category.REFUSED: "They are asked for again by themselves, and at once by `mozzart sync`. "
    "docs/operations.md#when-messages-are-refused says what can be done at the server.",
    Category.GONE: "`mozzart sync` marks them as expunged; `mozzart up` does so by itself.",
    Category.DOUBLED: "`mozzart sync` marks as expunged what is stored under a UID that the server has not. A row that "
    "holds the bytes of another message it does not mend: remove it by hand, then restart the syncer.",
    Category.NO_MAILBOX: "What the server has no more, `mozzart up` marks as expunged after a second look. What is "
    "configured no more stays stored as it was: name the mailbox in the settings again to go on with it.",
    Category.ALTERED: "A message never changes under its UID (RFC 9051 §2.3.1.1), but servers that make mail from "
    "another format (Exchange) may give other bytes each time. `mozzart sync` does nothing about it.",
    Category.FILE_MISSING: "Restore them from a backup of MEDIA_ROOT, or remove the message's row and restart the "
    "syncer, which fetches it anew. `mozzart sync` does nothing about files.",
    Category.FILE_ALTERED: "Restore them from a backup of MEDIA_ROOT. `mozzart sync` does nothing about files.",
    Category.FILE_UNREADABLE: "Mend the permissions or the disk. `mozzart sync` does nothing about files.",
    Category.FILE_SYMLINK: "Put the real directory or file in its place; only MEDIA_ROOT itself may be a link.",
    Category.FILE_ORPHAN: "One may be that of a message in flight or of a dead letter; else it may be removed.",
}
