"""What a run of `mozzart verify` found, and how it is told to programs: docs/verify.v1.json. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cli import exit_code
from cli.verify.comparison import Place
from cli.verify.files import Files
from cli.verify.mailbox import Compared
from cli.verify.position import Position
from mailcore.difference import OF_FILES, OF_MESSAGES, Category
from mailcore.events.control import RefusedMessage

Status = Literal["equal", "differs", "incomplete", "failed"]

NOT_FOUND_YET: Final = "no syncer has found this mailbox yet"


@dataclass
class Report:
    """`failed` is what could not be compared, by `account` or `account/mailbox`, with the reason. `files` is None when
    they were not asked for. `account` and `mailbox` say what alone was looked at."""

    started_at: datetime
    account: str | None = None
    mailbox: str | None = None
    deep: bool = False
    mailboxes: list[Compared] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    files: Files | None = None
    notes: list[str] = field(default_factory=list)
    position: Position | None = None  # where a deep run is that did not come to its end

    @property
    def not_compared(self) -> dict[str, str]:
        """What failed, and what cannot be believed."""
        doubtful = {f"{one.key.account}/{one.key.mailbox}": one.doubt for one in self.mailboxes if one.doubt}
        return doubtful | self.failed

    @property
    def status(self) -> Status:
        """`failed`: no mailbox could be compared; `incomplete`: some could not."""
        if self.files or any(one.differences for one in self.mailboxes):
            return "differs"
        if not self.not_compared:
            return "equal"
        return "incomplete" if any(one.equal for one in self.mailboxes) else "failed"

    @property
    def code(self) -> int:
        return {"equal": exit_code.OK, "differs": exit_code.FAILED}.get(self.status, exit_code.UNAVAILABLE)

    def totals(self) -> dict[Category, int]:
        """How many of each category that was looked for."""
        of_files = {} if self.files is None else dict.fromkeys(OF_FILES, 0) | dict(self.files.totals())
        return {
            category: sum(len(one.differences[category]) for one in self.mailboxes) for category in OF_MESSAGES
        } | of_files

    def findings(self) -> Iterator[Finding]:
        for one in self.mailboxes:
            yield from _of_mailbox(one)
        if self.files is not None:
            for category, rows in self.files.rows.items():
                for row in rows:
                    yield Finding(category=category, file=row.file, message_id=row.message_id)
            for file in self.files.orphans:
                yield Finding(category=Category.FILE_ORPHAN, file=file)

    def first(self, count: int) -> list[Finding]:
        return list(islice(self.findings(), count))


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Model):
    """One message or file that differs. `message_id` is the row's, of whose file is spoken; `reason` is empty where the
    category says all."""

    category: Category
    account: str | None = None
    mailbox: str | None = None
    uidvalidity: int | None = None
    uid: int | None = None
    file: str | None = None
    message_id: int | None = None
    reason: str = ""


class MailboxFound(_Model):
    """Places are `[UIDVALIDITY, UID]`. `absent` says why there is no such mailbox to compare with; `doubt` why what the
    server did not list may be there all the same."""

    account: str
    mailbox: str
    uidvalidity: int | None
    on_server: int
    wanted: int
    stored: int
    missing: list[Place]
    in_flight: list[Place]
    dead: list[Place]
    refused: list[RefusedMessage]
    gone: list[Place]
    doubled: list[Place]
    no_mailbox: list[Place]
    altered: list[Place]
    absent: str
    doubt: str


class FilesFound(_Model):
    """Paths below MEDIA_ROOT; `count` and `bytes` are of what the rows name."""

    count: int
    bytes: int
    missing: list[str]
    altered: list[str]
    unreadable: list[str]
    symlink: list[str]
    orphan: list[str]


class Told(_Model):
    """`mozzart verify --json`. `totals` are by category, of all that was looked for; `failed` is what could not be
    compared, with the reason; `ok` is `status` equal."""

    ok: bool
    status: Status
    deep: bool
    account: str | None
    mailbox: str | None
    started_at: AwareDatetime
    ended_at: AwareDatetime
    totals: dict[Category, int]
    mailboxes: list[MailboxFound]
    failed: dict[str, str]
    files: FilesFound | None
    notes: list[str] = Field(description="What a reader of the totals should know.")


def told(report: Report, ended_at: datetime) -> Told:
    return Told(
        ok=report.status == "equal",
        status=report.status,
        deep=report.deep,
        account=report.account,
        mailbox=report.mailbox,
        started_at=report.started_at,
        ended_at=ended_at,
        totals=report.totals(),
        mailboxes=[_mailbox(one) for one in report.mailboxes],
        failed=report.not_compared,
        files=None if report.files is None else _files(report.files),
        notes=report.notes,
    )


def _of_mailbox(one: Compared) -> Iterator[Finding]:
    reasons: Mapping[int, str] = {message.uid: message.reason for message in one.refused}
    for category, places in one.differences.places.items():
        for uidvalidity, uid in sorted(places):
            reason = one.absent
            if category is Category.REFUSED:
                reason = reasons.get(uid, "")
            elif category is Category.MISSING and not one.known:
                reason = NOT_FOUND_YET
            yield Finding(
                category=category,
                account=one.key.account,
                mailbox=one.key.mailbox,
                uidvalidity=uidvalidity,
                uid=uid,
                reason=reason,
            )


def _mailbox(one: Compared) -> MailboxFound:
    def places(category: Category) -> list[Place]:
        return sorted(one.differences[category])

    return MailboxFound(
        account=one.key.account,
        mailbox=one.key.mailbox,
        uidvalidity=one.uidvalidity,
        on_server=one.on_server,
        wanted=one.wanted,
        stored=one.stored,
        missing=places(Category.MISSING),
        in_flight=places(Category.IN_FLIGHT),
        dead=places(Category.DEAD),
        refused=list(one.refused),
        gone=places(Category.GONE),
        doubled=places(Category.DOUBLED),
        no_mailbox=places(Category.NO_MAILBOX),
        altered=places(Category.ALTERED),
        absent=one.absent,
        doubt=one.doubt,
    )


def _files(files: Files) -> FilesFound:
    def paths(category: Category) -> list[str]:
        return [row.file for row in files.rows.get(category, ())]

    return FilesFound(
        count=files.count,
        bytes=files.size,
        missing=paths(Category.FILE_MISSING),
        altered=paths(Category.FILE_ALTERED),
        unreadable=paths(Category.FILE_UNREADABLE),
        symlink=paths(Category.FILE_SYMLINK),
        orphan=files.orphans,
    )


def schema() -> str:
    """docs/verify.v1.json."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:mozzart:schema:verify:v1"}
    return json.dumps(made | Told.model_json_schema(mode="serialization"), indent=2) + "\n"


if __name__ == "__main__":
    Path("docs/verify.v1.json").write_text(schema())
