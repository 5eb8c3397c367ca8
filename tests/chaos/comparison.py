"""What must hold at the end: server = stored + in flight + dead + refused, by identity and by bytes, and nothing else.

Pure: `tests/chaos/observation.py` looks, this judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.support.mail import SentFile

_SHOWN: Final = 10  # of each kind


class Identity(NamedTuple):
    mailbox: str
    uidvalidity: int
    uid: int


class Message(NamedTuple):
    """On the server; `flags` without \\Recent."""

    sha256: str
    flags: frozenset[str]


class Attachment(NamedTuple):
    """`file` is relative to MEDIA_ROOT."""

    filename: str
    size: int
    sha256: str
    file: str


@dataclass(frozen=True)
class Row:
    id: int
    identity: Identity
    sha256: str
    flags: frozenset[str]
    expunged: bool = False
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True)
class World:
    """All of one moment, as it is found from outside; `dead`, `refused` and `in_flight` are what mozzart says itself,
    and excuse nobody but the messages that they name."""

    server: Mapping[Identity, Message]
    rows: Sequence[Row]
    files: Mapping[str, str]
    """SHA-256 of each file below MEDIA_ROOT, by its path there."""
    sent: Mapping[str, Sequence[SentFile]]
    """The attachments of every mail that was ever delivered, by the SHA-256 of its bytes."""
    announced: Mapping[str, Mapping[str, Set[str]]]
    """SHA-256 → kind (`new`, `backfill`, `copy`) → ids of events."""
    told: Set[int]
    """Rows of which `stored` was heard."""
    dead: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """UIDVALIDITY and UID (a dead letter keeps the name that its mailbox had) → SHA-256."""
    refused: Set[Identity] = frozenset()
    in_flight: int = 0
    unfollowed: Set[str] = frozenset()
    """Mailboxes of which no syncer tells."""
    left: Set[str] = frozenset()
    """Files in our directories for temporary ones."""


@dataclass
class Comparison:
    """Everything that differs, in words; `counts` for the summary."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, found: object, count: int = 1) -> None:
        before = self.counts[kind]
        self.counts[kind] += count
        if before < _SHOWN:
            self.faults.append(f"{kind}: {found}")


def compare(world: World) -> Comparison:
    """The truth when nobody acts and nothing is under way."""
    out = Comparison()
    _messages(world, out)
    _bytes(world, out)
    _attachments(world, out)
    _events(world, out)
    for mailbox in sorted(world.unfollowed):
        out.note("nobody follows", mailbox)
    if world.in_flight:
        out.note("in flight", f"{world.in_flight} messages", world.in_flight)
    out.counts["on the server"], out.counts["rows"] = len(world.server), len(world.rows)
    return out


def _messages(world: World, out: Comparison) -> None:
    """By identity."""
    present = {row.identity: row for row in world.rows if not row.expunged}
    expunged = {row.identity for row in world.rows if row.expunged}
    for identity, message in world.server.items():
        row = present.get(identity)
        if row is None:
            if world.dead.get((identity.uidvalidity, identity.uid)) == message.sha256:
                out.counts["dead"] += 1
            elif identity in world.refused:
                out.counts["refused"] += 1
            else:
                out.note("false expunge" if identity in expunged else "lost", identity)
            continue
        out.counts["stored"] += 1
        if row.sha256 != message.sha256:
            out.note("other bytes", identity)
        if row.flags != message.flags:
            out.note("other flags", (identity, sorted(message.flags), sorted(row.flags)))
    for identity in present.keys() - world.server.keys():
        out.note("present and not on the server", identity)
    for row in world.rows:
        if row.sha256 not in world.sent:
            out.note("bytes nobody sent", row.identity)


def _bytes(world: World, out: Comparison) -> None:
    """More rows of the same bytes than the server has messages: somebody sees it twice, whatever identity they have."""
    there = Counter(message.sha256 for message in world.server.values())
    rows = Counter(row.sha256 for row in world.rows if not row.expunged)
    for sha256, count in (rows - there).items():
        if there[sha256]:
            places = sorted(row.identity for row in world.rows if row.sha256 == sha256 and not row.expunged)
            out.note("doubled", f"{there[sha256]} on the server, {rows[sha256]} rows: {places}", count)
    identities = Counter(row.identity for row in world.rows)
    for identity, count in identities.items():
        if count > 1:
            out.note("doubled", f"{count} rows of {identity}", count - 1)


def _attachments(world: World, out: Comparison) -> None:
    named = set()
    for row in world.rows:
        sent = [(file.filename, file.size, file.sha256) for file in world.sent.get(row.sha256, ())]
        if [attachment[:3] for attachment in row.attachments] != sent:
            out.note("other attachments", f"row {row.id}, {row.identity}")
        for attachment in row.attachments:
            if attachment.file in named:
                out.note("file of two", attachment.file)
            named.add(attachment.file)
            found = world.files.get(attachment.file)
            if found is None:
                out.note("file missing", attachment.file)
            elif found != attachment.sha256:
                out.note("file changed", attachment.file)
    for file in sorted((world.files.keys() - named) | world.left):
        out.note("orphan file", file)


def _events(world: World, out: Comparison) -> None:
    """Bytes are announced for the first time once, however often they came, went and came again."""
    for sha256 in {row.sha256 for row in world.rows}:
        kinds = world.announced.get(sha256, {})
        first = set(kinds.get("new", ())) | set(kinds.get("backfill", ()))
        if len(first) > 1:
            out.note("announced as new more than once", sorted(first))
        elif not first:
            out.note("never announced as new", sha256)
    for row in world.rows:
        if row.id not in world.told:
            out.note("`stored` never heard", f"row {row.id}, {row.identity}")
