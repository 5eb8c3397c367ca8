"""The mailbox machine, rule by rule. What holds for any order of events is in test_mailbox_machine.py."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth, OldPlace
from mailcore.sync.listing import Listing, Snapshot
from mailcore.sync.mailbox import BARREN, FULL_EVERY, GAP, PATIENCE, STALLED, Mailbox
from mailcore.sync.statuses import Octets, Status

SEEN = datetime(2026, 5, 1, tzinfo=UTC)
ONE, TWO = object(), object()


def opened(*stored: int) -> Mailbox:
    mailbox = Mailbox(MailboxKey("a", "INBOX"), Octets(), interval=60.0)
    mailbox.opened(7, Birth(SEEN, SEEN, 1), 0.0, stored=stored)
    return mailbox


def sweep(
    mailbox: Mailbox,
    uids: UidSet,
    now: float,
    *,
    exists: int | None = None,
    messages: int | None = None,
    by: object = ONE,
) -> UidSet:
    """One sweep that sees `uids`; returns what it took for gone."""
    exists = len(uids) if exists is None else exists
    begun = mailbox.begin_sweep(now, "run")
    found = Listing(7, uids, uids, exists, messages, by)
    gone = mailbox.compare(mailbox.known(), found, now)
    mailbox.expunged(7, gone)
    mailbox.swept(begun, Snapshot(7, 1000, exists), now)
    return gone


def fail_until_alone(mailbox: Mailbox, bad: set[int], now: float = 0.0) -> list[UidSet]:
    """Fetch all there is; whatever holds a bad one fails and gives nothing, all else is given."""
    asked = []
    while (wish := mailbox.claim(now, 500)) is not None:
        asked.append(wish.uids)
        if set(wish.uids) & bad:
            mailbox.failed(7, wish.uids, "hung up", now)
        else:
            for uid in wish.uids:
                mailbox.published(7, uid, "MAIL", 1, 10, now)
    return asked


def test_a_culprit_among_hundreds_stands_alone_after_a_few_fetches_and_all_others_are_given() -> None:
    mailbox = opened()
    sweep(mailbox, UidSet(range(1, 601)), 0.0)
    asked = fail_until_alone(mailbox, {590})
    assert set(mailbox.uids.refused) == {590}
    assert len(mailbox.uids.in_flight) == 599
    assert sum(590 in uids for uids in asked) <= 11
    assert mailbox.state() == ("incomplete", "1 message(s) refused, UID 590: hung up")


def test_a_refused_message_is_asked_for_after_1_2_4_minutes_up_to_a_day_and_always_alone() -> None:
    mailbox, now, waits = opened(), 0.0, []
    sweep(mailbox, UidSet([1, 2]), now)
    fail_until_alone(mailbox, {1})
    for _ in range(14):
        due = mailbox.fetch_at
        waits.append(due - now)
        assert mailbox.claim(due - 0.1, 10) is None
        now = due
        wish = mailbox.claim(now, 10)
        assert wish is not None
        assert (set(wish.uids), wish.apart) == ({1}, True)
        mailbox.failed(7, wish.uids, "hung up", now)
        mailbox._barren = 0
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == 86400


def test_a_server_that_refuses_everything_is_left_alone_after_a_few_attempts_longer_and_longer() -> None:
    mailbox, now = opened(), 0.0
    sweep(mailbox, UidSet(range(1, 101)), now)
    counts = []
    for _ in range(3):
        counts.append(0)
        while (wish := mailbox.claim(now, 50)) is not None:
            counts[-1] += 1
            mailbox.failed(7, wish.uids, "NO not now", now, final=True)
        assert mailbox.state() == ("incomplete", "NO not now") or mailbox.uids.refused
        now = mailbox.fetch_at
    assert counts == [BARREN, 1, 1]
    assert now >= 60 + 120 + 240


def test_what_was_held_is_fetched_when_the_pause_is_over_and_a_run_does_not_wait_for_it() -> None:
    mailbox = opened()
    run = mailbox.ask(0.0, "run", by=FoundBy.MANUAL)
    sweep(mailbox, UidSet([1]), 0.0)
    assert not run.ended
    mailbox.hold("try again in 5 minutes", 1.0, 300.0)
    assert run.result is not None
    assert (run.result.status, run.result.error) == ("failed", "try again in 5 minutes")
    assert mailbox.claim(300.9, 10) is None
    assert mailbox.claim(301.0, 10) is not None


def test_older_mail_that_is_put_off_waits_new_mail_does_not_and_a_run_ends_with_the_reason() -> None:
    mailbox = Mailbox(MailboxKey("a", "INBOX"), Octets(), interval=60.0)
    mailbox.opened(7, Birth(SEEN, SEEN, 11), 0.0)
    run = mailbox.ask(0.0, "run", by=FoundBy.MANUAL)
    sweep(mailbox, UidSet(range(1, 13)), 0.0)
    mailbox.put_off(3600.0, 1.0)
    wish = mailbox.claim(1.0, 500)
    assert wish is not None
    assert set(wish.uids) == {11, 12}
    assert not run.ended
    for uid in wish.uids:
        mailbox.published(7, uid, "MAIL", 1, 10, 2.0)
        mailbox.settled(7, uid, 2.0)
    assert run.result is not None
    assert run.result.error == "10 older message(s) wait, as the budget of the day is fetched"
    assert (mailbox.fetch_at, mailbox.put_off_until(2.0), mailbox.older) == (3600.0, 3600.0, 10)
    assert mailbox.state() == ("running", "")
    assert mailbox.claim(3600.0, 500) is not None
    assert mailbox.put_off_until(3600.0) is None


@pytest.mark.parametrize(
    ("uids", "exists", "messages"), [([], 30, 30), ([30], 30, 30), (range(1, 16), 30, 30), ([], 0, 30)]
)
def test_a_sweep_that_contradicts_itself_expunges_nothing_and_is_made_again_sooner(
    uids: range | list[int], exists: int, messages: int
) -> None:
    mailbox = opened(*range(1, 31))
    assert not sweep(mailbox, UidSet(uids), 100.0, exists=exists, messages=messages)
    assert len(mailbox.uids.stored) == 30
    assert mailbox.state()[0] == "incomplete"
    assert mailbox.sweep_at == 100.0 + GAP
    assert not sweep(mailbox, UidSet(uids), 101.0, exists=exists, messages=messages)
    assert mailbox.sweep_at == 101.0 + 2 * GAP


def test_a_run_over_sweeps_that_are_never_whole_ends_with_the_reason_after_the_third() -> None:
    mailbox = opened(1, 2)
    run = mailbox.ask(0.0, "run", by=FoundBy.MANUAL)
    for number in range(3):
        assert not run.ended
        sweep(mailbox, UidSet([1]), float(number), exists=2)
    assert run.result is not None
    assert run.result.status == "failed"
    assert "lists 1 messages and says that 2 exist" in run.result.error


def test_many_messages_that_are_gone_at_once_are_expunged_when_a_second_connection_agrees() -> None:
    mailbox = opened(*range(1, 31))
    assert not sweep(mailbox, UidSet([1, 2]), 0.0, by=ONE)
    assert not sweep(mailbox, UidSet([1, 2]), 1.0, by=ONE), "the same connection is no second witness"
    assert sweep(mailbox, UidSet([1, 2, 3]), 2.0, by=TWO) == UidSet(range(4, 31))
    assert mailbox.state() == ("ok", "")


def test_a_few_messages_that_are_gone_are_expunged_at_once() -> None:
    mailbox = opened(*range(1, 31))
    assert sweep(mailbox, UidSet(range(11, 31)), 0.0) == UidSet(range(1, 11))


def test_what_is_stored_while_the_server_answers_is_not_taken_for_gone() -> None:
    mailbox = opened(1)
    begun, known = mailbox.begin_sweep(0.0, "run"), mailbox.known()
    mailbox.settled(7, 2, 0.0)
    assert not mailbox.compare(known, Listing(7, UidSet([1]), UidSet([1]), 1, 1, ONE), 0.0)
    mailbox.swept(begun, Snapshot(7, 2, 1), 0.0)
    assert set(mailbox.uids.stored) == {1, 2}


def test_the_whole_list_is_compared_every_so_many_sweeps_though_the_counters_never_change() -> None:
    mailbox, full, now = opened(1), [], 0.0
    for number in range(3 * FULL_EVERY):
        begun = mailbox.begin_sweep(now, "run")
        if not mailbox.nothing_new(begun, Snapshot(7, 2, 1)):
            full.append(number)
            mailbox.compare(mailbox.known(), Listing(7, UidSet([1]), UidSet([1]), 1, 1, ONE), now)
        mailbox.swept(begun, Snapshot(7, 2, 1), now)
        now += 60.0
    assert full == [0, FULL_EVERY, 2 * FULL_EVERY]


def test_a_changed_uidvalidity_is_believed_when_a_second_connection_tells_it_too() -> None:
    mailbox = opened()
    assert mailbox.believes(None, 7, ONE), "the first one is all there is"
    assert mailbox.believes(7, 7, ONE)
    assert not mailbox.believes(7, 8, ONE)
    assert not mailbox.believes(7, 8, ONE), "the same connection is no second witness"
    assert mailbox.believes(7, 8, TWO)
    assert not mailbox.believes(7, 8, ONE)
    assert mailbox.believes(7, 7, TWO)
    assert not mailbox.believes(7, 8, ONE), "between them somebody denied it"


def test_mail_that_idle_should_have_announced_is_distrusted_after_a_moment_unless_it_came() -> None:
    mailbox = opened(1)
    mailbox.live_from = 2
    sweep(mailbox, UidSet([1, 2, 3]), 0.0)
    assert mailbox.distrusted(1.0) == 0, "it may be on its way"
    mailbox.live_from = 3
    assert mailbox.distrusted(2.5) == 1
    assert mailbox.distrusted(3.0) == 0, "told once"


def test_a_person_does_not_wait_for_the_pause_after_a_failure_but_our_own_tasks_do() -> None:
    mailbox = opened()
    begun = mailbox.begin_sweep(0.0, "run")
    mailbox.sweep_failed(begun, "no route", 0.0, 30.0)
    mailbox.ask(1.0, "run", full=True)
    assert mailbox.sweep_at == 30.0
    mailbox.ask(2.0, "run", by=FoundBy.MANUAL)
    assert mailbox.sweep_at == 2.0


def test_who_asks_during_a_sweep_gets_the_answer_of_the_next_one() -> None:
    mailbox = opened(1)
    begun, known = mailbox.begin_sweep(0.0, "run"), mailbox.known()
    run = mailbox.ask(0.1, "other", by=FoundBy.MANUAL)
    mailbox.compare(known, Listing(7, UidSet([1]), UidSet([1]), 1, 1, ONE), 0.2)
    mailbox.swept(begun, Snapshot(7, 2, 1), 0.2)
    assert not run.ended
    assert mailbox.sweep_at <= 0.2
    sweep(mailbox, UidSet([1, 2]), 0.3)
    mailbox.claim(0.3, 10)
    mailbox.published(7, 2, "MAIL", 1, 10, 0.4)
    mailbox.settled(7, 2, 0.5)
    assert run.result is not None
    assert (run.result.status, run.result.found, run.result.stored) == ("ok", 1, 1)


def test_a_run_that_nothing_happens_to_ends_in_words() -> None:
    mailbox = opened()
    run = mailbox.ask(0.0, "run", by=FoundBy.MANUAL)
    sweep(mailbox, UidSet([1]), 0.0)
    mailbox.tick(PATIENCE - 1)
    assert not run.ended
    mailbox.tick(PATIENCE + 1)
    assert run.result is not None
    assert "no progress" in run.result.error


def test_what_a_consumer_stored_while_the_rows_were_read_is_stored() -> None:
    mailbox = Mailbox(MailboxKey("a", "INBOX"), Octets(), interval=60.0)
    mailbox.settled(7, 3, 0.0, rebound=OldPlace(6, 1))
    mailbox.settled(6, 9, 0.0)
    mailbox.opened(7, Birth(SEEN, SEEN, 1), 0.0)
    assert set(mailbox.uids.stored) == {3}


def test_pubacks_that_come_after_their_generation_has_ended_count_for_nothing() -> None:
    octets = Octets()
    mailbox = Mailbox(MailboxKey("a", "INBOX"), octets, interval=60.0)
    mailbox.opened(7, Birth(SEEN, SEEN, 1), 0.0)
    sweep(mailbox, UidSet([1, 2]), 0.0)
    mailbox.claim(0.0, 10)
    mailbox.published(7, 1, "MAIL", 1, 1000, 0.0)
    assert octets.total == 1000
    mailbox.opened(8, Birth(SEEN, SEEN, 1), 0.0)
    mailbox.published(7, 2, "MAIL", 2, 1000, 0.0)
    assert octets.total == 0
    assert mailbox.uids.of(2) is None


def test_what_a_push_could_not_publish_is_fetched_without_another_sweep() -> None:
    mailbox = opened()
    assert mailbox.claim_pushed(7, 1)
    sweep(mailbox, UidSet([1]), 0.0)
    mailbox.give_back(7, [1], 1.0)
    assert mailbox.fetch_at == 0.0
    wish = mailbox.claim(1.0, 10)
    assert wish is not None
    assert set(wish.uids) == {1}


def test_a_refused_message_that_the_live_connection_gives_is_taken() -> None:
    mailbox = opened()
    sweep(mailbox, UidSet([1]), 0.0)
    wish = mailbox.claim(0.0, 10)
    assert wish is not None
    mailbox.not_given(7, {1: "not there"}, 0.0)
    assert mailbox.claim_pushed(7, 1)
    mailbox.published(7, 1, "MAIL", 1, 10, 1.0)
    assert mailbox.uids.of(1) is Status.IN_FLIGHT
    assert mailbox.state() == ("ok", "")


def test_old_rows_end_only_when_every_message_of_the_new_generation_is_settled() -> None:
    from mailcore.sync.generation import OldGenerations

    mailbox = Mailbox(MailboxKey("a", "INBOX"), Octets(), interval=60.0)
    mailbox.opened(8, Birth(SEEN, SEEN, 1), 0.0, old=OldGenerations([("h", 7, 1)]))
    begun = mailbox.begin_sweep(0.0, "run")
    mailbox.compare(mailbox.known(), Listing(8, UidSet([1]), UidSet([1]), 1, 1, ONE), 0.0)
    assert mailbox.unclaimed() == []
    mailbox.swept(begun, Snapshot(8, 2, 1), 0.0)
    mailbox.claim(0.0, 10)
    mailbox.published(8, 1, "MAIL", 1, 10, 0.0)
    assert mailbox.unclaimed() == []
    mailbox.settled(8, 1, 0.0)
    assert mailbox.unclaimed() == [OldPlace(7, 1)]


def test_a_run_whose_messages_nobody_stores_ends_though_sweeps_go_on() -> None:
    mailbox, now = opened(), 0.0
    run = mailbox.ask(now, "run", by=FoundBy.MANUAL)
    sweep(mailbox, UidSet([1]), now)
    mailbox.claim(now, 10)
    mailbox.published(7, 1, "MAIL", 1, 10, now)
    while now <= PATIENCE:
        now += 60.0
        sweep(mailbox, UidSet([1]), now)
        mailbox.tick(now)
    assert run.result is not None
    assert "no progress" in run.result.error


def test_what_is_in_flight_and_cannot_be_stored_is_told_and_ends_a_run_soon() -> None:
    mailbox = opened()
    run = mailbox.ask(0.0, "run", by=FoundBy.MANUAL)
    sweep(mailbox, UidSet([1, 2]), 0.0)
    assert mailbox.claim(0.0, 500) is not None
    for uid in (1, 2):
        mailbox.published(7, uid, "MAIL", uid, 10, 1.0)
    assert mailbox.state() == ("ok", "")
    mailbox.stall("consumer waits since 14:05 UTC: the disk is full")
    assert mailbox.state() == ("incomplete", "consumer waits since 14:05 UTC: the disk is full")

    mailbox.tick(STALLED)
    assert not run.ended
    assert mailbox.next_tick <= STALLED + 3
    mailbox.tick(STALLED + 2)
    assert run.result is not None
    assert (run.result.status, run.result.stored) == ("failed", 0)
    assert "the disk is full" in run.result.error

    mailbox.settled(7, 1, 50.0)
    mailbox.settled(7, 2, 50.0)
    assert mailbox.state() == ("ok", ""), "nothing waits for it any more"
