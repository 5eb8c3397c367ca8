"""A seed of `make chaos` replays what people do."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.chaos.people import People
from tests.support.dovecot import Dovecot
from tests.support.mailboxes import Mailboxes


def day(dovecot: Dovecot, seed: int) -> tuple[list[str], dict[str, list[int]], set[str]]:
    """What was done, which UIDs are in which mailbox afterwards, and the SHA-256 of what was sent."""
    people = People(Mailboxes(dovecot)).move_in()
    said = [people.act(random.Random(f"{seed}/{step}"), [*people.kinds]) for step in range(40)]
    people.mailboxes.leave()
    for mailbox, uids in people.mailboxes.uids.items():
        assert dovecot.uids(mailbox) == uids, "people know what is there"
    return said, people.mailboxes.uids, {*people.mailboxes.sent}


def test_the_same_seed_is_the_same_day_of_the_same_mail(make_dovecot: Callable[..., Dovecot]) -> None:
    dovecot = make_dovecot()
    first, again, other = (day(dovecot.of(user), seed) for user, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again
    assert first != other
    assert len({said.split()[0] for said in first[0]}) > 5, "they do all sorts of things"
