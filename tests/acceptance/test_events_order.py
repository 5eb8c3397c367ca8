"""What docs/events.md promises of the order of events, seen by a subscriber of a running installation."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime

from mailcore.bus import Bus
from mailcore.events.identity import Identity
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart

COUNT = 40


async def streams(url: str) -> tuple[list[tuple[str, int, datetime]], dict[int, datetime]]:
    """Of MAIL in its order: (moment of the push, UID, when the stream took it); of `stored`: UID → when."""
    bus = await Bus.connect(url, name="test")
    try:
        async with asyncio.timeout(30), aclosing(bus.tail("mail.*.*.new", since="all")) as events:
            mail = []
            for _ in range(COUNT):
                event = await anext(events)
                assert event.headers["ce-foundby"] == "push"
                mail.append(
                    (event.headers["ce-pushedat"], Identity.parse(event.headers["ce-id"]).uid, event.published_at)
                )
        async with asyncio.timeout(30), aclosing(bus.tail("mail.*.*.stored", since="all")) as events:
            stored = {}
            while len(stored) < COUNT:
                event = await anext(events)
                stored.setdefault(int(event.headers["ce-id"].split("/")[3]), event.published_at)
        return mail, stored
    finally:
        await bus.close()


def test_what_a_push_announced_comes_in_the_order_of_the_uids_and_each_is_stored_after_it_was_published(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready().wait_live("idling")
    uids = dovecot.append_many([make_mail(number, files=(3_000,)).raw for number in range(COUNT)])
    mozzart.wait_stored(COUNT)

    mail, stored = asyncio.run(streams((mozzart.home / "data" / "nats.url").read_text().strip()))

    assert sorted(uid for _, uid, _ in mail) == uids
    pushes: defaultdict[str, list[int]] = defaultdict(list)
    for pushed_at, uid, _ in mail:
        pushes[pushed_at].append(uid)
    assert max(len(told) for told in pushes.values()) > 1
    for told in pushes.values():
        assert told == sorted(told)
    assert all(stored[uid] >= published_at for _, uid, published_at in mail)
