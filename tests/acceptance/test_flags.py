"""Another client marks mail: each change is one event, and the rows, the api and the terminal show it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

from mailcore.bus import Bus
from mailcore.events.thin import Flags, decode_thin
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

COUNT = 30
CHANGES = {  # of each message in turn: what it had, what it gets, what becomes of it
    0: ("", "\\Seen", ["\\Seen"], []),
    1: ("\\Seen", "", [], ["\\Seen"]),
    2: ("\\Seen", "\\Answered \\Seen $Forwarded", ["$Forwarded", "\\Answered"], []),
    3: ("\\Flagged", "\\Seen", ["\\Seen"], ["\\Flagged"]),
}


def flags_of(mozzart: Mozzart) -> dict[int, list[str]]:
    return {
        row["uid"]: json.loads(row["flags"]) for row in mozzart.rows("SELECT uid, flags FROM mailbox_app_mailmessage")
    }


async def told(url: str, wanted: int) -> list[Flags]:
    """All that were published, once there are so many."""
    bus = await Bus.connect(url, name="test")
    try:
        last = (await bus.position("MAIL_EVENTS")).last_seq
        events: list[Flags] = []
        async with asyncio.timeout(30), aclosing(bus.tail("mail.*.*.*", since="all")) as deliveries:
            async for delivery in deliveries:
                if delivery.subject.endswith(".flags"):
                    event = decode_thin("flags", delivery.data)
                    assert isinstance(event, Flags)
                    assert delivery.headers["ce-id"] == event.id
                    events.append(event)
                if delivery.stream == "MAIL_EVENTS" and delivery.seq >= last and len(events) >= wanted:
                    return events
        raise AssertionError("the tail ended")
    finally:
        await bus.close()


def test_thirty_changes_while_it_runs_and_while_it_does_not_are_thirty_events_and_right_rows(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    with dovecot.connect() as connection:
        from tests.support.dovecot import append

        uids = [append(connection, make_mail(n).raw, flags=CHANGES[n % 4][0]) for n in range(COUNT)]
    wanted = {uid: CHANGES[number % 4] for number, uid in enumerate(uids)}
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready().wait_live("idling")
    mozzart.wait_stored(COUNT)

    def follows(some: list[int]) -> bool:
        rows = flags_of(mozzart)
        return all({*rows[uid]} == {*wanted[uid][1].split()} for uid in some)

    for uid in uids[:15]:
        dovecot.set_flags(uid, wanted[uid][1])
    wait_until(lambda: follows(uids[:15]), "the rows follow", within=20)
    mozzart.stop()
    for uid in uids[15:]:
        dovecot.set_flags(uid, wanted[uid][1])
    mozzart.start().wait_ready()
    wait_until(lambda: follows(uids), "the rows follow after a new start", within=20)

    events = asyncio.run(told((mozzart.home / "data" / "nats.url").read_text().strip(), COUNT))
    assert Counter(event.uid for event in events) == Counter(uids), "one event a change"
    for event in events:
        _, now, added, removed = wanted[event.uid]
        assert ({*event.flags}, [*event.added], [*event.removed]) == ({*now.split()}, added, removed)
        assert event.modseq
