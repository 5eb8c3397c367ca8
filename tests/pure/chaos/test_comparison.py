"""The judge of `make chaos` sees what it is there for: each kind of harm, planted into a world in which all is well."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.comparison import Attachment, Identity, Message, Row, World, compare
from tests.chaos.faults import Faults
from tests.support.dovecot import Dovecot
from tests.support.mail import SentFile
from tests.support.processes import Mozzart
from tests.support.proxy import Proxy

SEEN = frozenset({r"\Seen"})


def identity(uid: int, mailbox: str = "INBOX") -> Identity:
    return Identity(mailbox, 7, uid)


def row(number: int, *attachments: Attachment) -> Row:
    return Row(number, identity(number), f"sha-{number}", SEEN, attachments=attachments)


PDF = Attachment("a.pdf", 9, "sha-of-pdf", "mail_attachments/2026/01/01/1/a.pdf")
WELL = World(
    server={identity(number): Message(f"sha-{number}", SEEN) for number in (1, 2, 3)},
    rows=[row(1, PDF), row(2), row(3), Row(4, identity(4), "sha-4", SEEN, expunged=True)],
    files={PDF.file: "sha-of-pdf"},
    sent={"sha-1": [SentFile("a.pdf", 9, "sha-of-pdf")], "sha-2": [], "sha-3": [], "sha-4": []},
    announced={f"sha-{number}": {"new": {f"default/INBOX/7/{number}"}} for number in (1, 2, 3, 4)},
    told={1, 2, 3, 4},
)
EXPUNGED = [replace(one, expunged=True) if one.id == 2 else one for one in WELL.rows]
WITHOUT = [one for one in WELL.rows if one.id != 2]

HARM: dict[str, tuple[str, World]] = {
    "a message without a row": ("lost", replace(WELL, rows=WITHOUT)),
    "a dead letter of another message": ("lost", replace(WELL, rows=WITHOUT, dead={(7, 3): "sha-2"})),
    "a dead letter of the message with other bytes": ("lost", replace(WELL, rows=WITHOUT, dead={(7, 2): "sha-3"})),
    "a refusal of another message": ("lost", replace(WELL, rows=WITHOUT, refused={identity(3)})),
    "a row that says expunged": ("false expunge", replace(WELL, rows=EXPUNGED)),
    "the same bytes under a second identity": (
        "doubled",
        replace(WELL, rows=[*WELL.rows, replace(row(2), id=9, identity=identity(2, "Renamed"))], told={1, 2, 3, 4, 9}),
    ),
    "two rows of one identity": ("doubled", replace(WELL, rows=[*WELL.rows, replace(row(4), id=9), row(4)])),
    "a row of what is not there": (
        "present and not on the server",
        replace(WELL, server={place: one for place, one in WELL.server.items() if place.uid != 2}),
    ),
    "bytes that differ": ("other bytes", replace(WELL, server=WELL.server | {identity(2): Message("sha-3", SEEN)})),
    "flags that differ": (
        "other flags",
        replace(WELL, server=WELL.server | {identity(2): Message("sha-2", frozenset())}),
    ),
    "bytes that nobody sent": ("bytes nobody sent", replace(WELL, sent={"sha-1": WELL.sent["sha-1"], "sha-2": []})),
    "a file of no row": ("orphan file", replace(WELL, files=WELL.files | {"mail_attachments/x": "sha"})),
    "a temporary file": ("orphan file", replace(WELL, files=WELL.files | {".incoming/12-ab/1.part": "sha"})),
    "a spooled body": ("orphan file", replace(WELL, left={"data/spool/ab.eml"})),
    "a row without its file": ("file missing", replace(WELL, files={})),
    "a file with other bytes": ("file changed", replace(WELL, files={PDF.file: "other"})),
    "a row without its attachment": ("other attachments", replace(WELL, rows=[row(1), *WELL.rows[1:]])),
    "a mail announced twice": (
        "announced as new more than once",
        replace(WELL, announced=WELL.announced | {"sha-2": {"new": {"a"}, "backfill": {"b"}}}),
    ),
    "a mail announced as a copy alone": (
        "never announced as new",
        replace(WELL, announced=WELL.announced | {"sha-2": {"copy": {"a"}}}),
    ),
    "a row nobody was told of": ("`stored` never heard", replace(WELL, told={1, 2, 4})),
    "a mailbox without a syncer": ("nobody follows", replace(WELL, unfollowed={"Work"})),
    "a message on its way": ("in flight", replace(WELL, in_flight=1)),
}


def test_a_world_in_which_all_is_well_has_no_fault() -> None:
    found = compare(WELL)
    assert found.faults == []
    assert found.counts == {"stored": 3, "on the server": 3, "rows": 4}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_noticed(harm: str) -> None:
    kind, world = HARM[harm]
    found = compare(world)
    assert found.counts[kind] >= 1
    assert any(fault.startswith(f"{kind}: ") for fault in found.faults)


@pytest.mark.parametrize(
    ("kind", "world"),
    [
        ("dead", replace(WELL, rows=WITHOUT, dead={(7, 2): "sha-2"})),
        ("refused", replace(WELL, rows=WITHOUT, refused={identity(2)})),
    ],
)
def test_a_message_that_is_told_to_be_dead_or_refused_is_not_lost(kind: str, world: World) -> None:
    found = compare(world)
    assert found.faults == []
    assert (found.counts[kind], found.counts["stored"]) == (1, 2)


@given(gone=st.sets(st.integers(1, 40), min_size=1))
def test_every_message_of_the_server_is_counted_once(gone: set[int]) -> None:
    rows = [row(number) for number in range(1, 41)]
    world = World(
        server={one.identity: Message(one.sha256, one.flags) for one in rows},
        rows=[one for one in rows if one.id not in gone],
        files={},
        sent={one.sha256: () for one in rows},
        announced={one.sha256: {"new": {str(one.id)}} for one in rows},
        told=set(range(1, 41)),
    )
    counts = compare(world).counts
    assert counts["lost"] == len(gone)
    assert counts["stored"] + counts["lost"] == counts["on the server"] == 40
    assert len(compare(world).faults) == min(len(gone), 10), "each kind is named ten times at most"


def test_a_seed_draws_the_same_faults_again() -> None:
    faults = Faults(create_autospec(Mozzart), create_autospec(Dovecot), create_autospec(Proxy), {})

    def drawn(seed: int) -> list[tuple[str, float]]:
        names = list(faults.kinds)
        return [
            ((fault := faults.draw(random.Random(f"{seed}/{step}"), names)).words, fault.seconds) for step in range(60)
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len({words for words, _ in drawn(1)}) > 15
