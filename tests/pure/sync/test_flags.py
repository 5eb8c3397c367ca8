"""Flags, compared; and how far the rows of a mailbox follow, whatever happens in whatever order."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailcore.imap.flag import named
from mailcore.imap.response import Exists, Expunge, Fetch, Vanished
from mailcore.imap.sequence import UidSet
from mailcore.sync import flags as module
from mailcore.sync.flags import GAP, SLICE, WHOLE_EVERY, Following, Told, difference, hinted

FLAGS = st.lists(
    st.sampled_from(
        ["\\Seen", "\\SEEN", "\\seen", "\\Flagged", "\\Recent", "\\recent", "$Forwarded", "$forwarded", "x"]
    ),
    max_size=6,
)


def folded(flags: list[str] | tuple[str, ...]) -> set[str]:
    return {flag.lower() for flag in flags} - {"\\recent"}


@given(FLAGS, FLAGS, st.randoms())
def test_order_case_and_recent_make_no_difference_and_anything_else_does(
    row: list[str], told: list[str], random: object
) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = difference(row, shuffled)
    assert found == difference(row, told)
    assert (found is None) == (folded(row) == folded(told))
    if found is not None:
        assert folded(found.flags) == folded(told)
        assert folded(found.added) == folded(told) - folded(row)
        assert folded(found.removed) == folded(row) - folded(told)
        assert difference(found.flags, told) is None, "a row that follows is not told of again"


@given(
    st.lists(st.tuples(st.integers(1, 1 << 32 - 1), FLAGS.map(tuple), st.none() | st.integers(1, (1 << 63) - 1))),
    st.integers(1, 7),
)
def test_what_is_told_comes_back_in_chunks(told: list[tuple[int, tuple[str, ...], int | None]], count: int) -> None:
    found = Told()
    for one in told:
        found.add(*one)
    chunks = list(found.chunks(count))
    assert all(len(chunk) <= count for chunk in chunks)
    last = {uid: (named(flags), modseq) for uid, flags, modseq in told}
    merged: dict[int, object] = {}
    for chunk in chunks:
        merged |= chunk
    assert merged == last
    assert found.highest == max((modseq or 0 for _, _, modseq in told), default=0)
    assert len(found) == len(told)


def test_sequence_numbers_move_down_as_messages_are_expunged() -> None:
    seen = ("\\Seen",)
    hints = [Fetch(5, flags=seen), Expunge(3), Fetch(9, flags=seen), Expunge(4), Fetch(2, uid=77, flags=seen)]
    assert hinted([*hints, Exists(9)]) == (UidSet((77,)), UidSet((8,))), "number 5 became 4 and was expunged"
    assert hinted([*hints, Vanished(UidSet((3,)))]) == (UidSet((77,)), UidSet())


NONE = UidSet()
ALL = UidSet(range(1, 11))


def opened(kept: int | None = 10) -> Following:
    following = Following()
    following.opened(kept, 0.0)
    return following


def test_nothing_is_asked_while_nothing_is_told() -> None:
    following = opened()
    assert following.due(ALL) == inf
    following.swept(10, ALL)
    assert following.due(ALL) == inf


def test_a_higher_modseq_is_asked_for_from_where_the_rows_follow() -> None:
    following = opened()
    following.swept(12, ALL)
    assert following.due(ALL) == 0.0
    look = following.begin(12, ALL, NONE, 1.0)
    assert (look.since, look.uids) == (10, NONE)
    following.compared(look, Told(), NONE, 1.0)
    assert (following.reached, following.kept) == (12, 12)
    assert following.due(ALL) == inf


def test_a_hint_during_a_look_leads_to_another_one_a_moment_later() -> None:
    following = opened()
    following.hint()
    look = following.begin(12, ALL, NONE, 1.0)
    following.hint()
    following.compared(look, Told(), NONE, 1.0)
    assert following.due(ALL) == 1.0 + GAP
    again = following.begin(12, ALL, NONE, 2.0)
    assert (again.since, again.uids) == (None, NONE), "nothing new: nothing is fetched"
    following.compared(again, Told(), NONE, 2.0)
    assert following.due(ALL) == inf


def test_a_change_of_a_message_without_a_row_is_looked_at_when_it_is_stored_and_not_before() -> None:
    following = opened()
    following.hint()
    look = following.begin(12, ALL, UidSet((11,)), 1.0)
    following.compared(look, Told(), UidSet((11,)), 1.0)
    assert (following.reached, following.kept) == (12, 10), "a new start asks again from 10"
    assert following.due(ALL) == inf, "no hot loop"
    stored = ALL | UidSet((11,))
    assert following.due(stored) == 1.0 + GAP
    again = following.begin(12, stored, NONE, 2.0)
    assert (again.since, again.uids) == (None, UidSet((11,)))
    following.compared(again, Told(), NONE, 2.0)
    assert following.kept == 12


def test_who_is_doubted_during_a_look_is_looked_at_again() -> None:
    following = opened(None)
    look = following.begin(None, ALL, NONE, 0.0)
    assert look.uids == ALL
    following.doubt(UidSet((3,)))
    following.compared(look, Told(), NONE, 0.0)
    assert following.begin(None, ALL, NONE, 1.0).uids == UidSet((3,))
    following.failed(1.0, 1.0)
    assert following.begin(None, ALL, NONE, 2.0).uids == UidSet((3,)), "what failed is still to be done"


def test_what_is_expunged_before_it_is_stored_holds_nothing_up() -> None:
    following = opened()
    following.hint()
    following.compared(following.begin(12, ALL, NONE, 1.0), Told(), UidSet((11, 13)), 1.0)
    following.swept(12, ALL | UidSet((12,)))
    assert following.todo == UidSet((13,)), "13 came after the list was made"
    following.swept(12, ALL | UidSet((12, 14)))
    assert (following.todo, following.kept) == (NONE, 12)


def test_an_answer_that_is_not_whole_moves_nothing() -> None:
    following = opened()
    following.hint()
    told = Told()
    told.whole = False
    following.compared(following.begin(12, ALL, NONE, 1.0), told, NONE, 1.0)
    assert (following.reached, following.kept) == (10, 10)
    assert following.due(ALL) == inf, "the next sweep asks again"
    following.swept(12, ALL)
    assert following.due(ALL) < inf


def test_rows_of_nobody_knows_when_are_all_compared_once_in_slices() -> None:
    stored = UidSet(range(1, 2 * SLICE + 10))
    following = opened(None)
    now, seen = 0.0, NONE
    while (due := following.due(stored)) < inf:
        now = max(now, due)
        look = following.begin(40, stored, UidSet((90_000,)), now)
        assert len(look.uids) <= SLICE
        seen |= look.uids
        assert following.kept is None
        following.compared(look, Told(), NONE, now)
    assert seen == stored
    assert (following.reached, following.todo) == (40, UidSet((90_000,)))
    following.swept(40, stored | UidSet((90_001,)))
    assert following.kept == 40


@pytest.mark.parametrize("count", [10, 200_000])
def test_without_modseqs_all_are_compared_now_and_then(count: int) -> None:
    stored = UidSet.from_ranges([(1, count)])
    following = opened(None)
    for _ in range(-(-count // SLICE)):
        assert following.due(stored) == 0.0
        following.compared(following.begin(None, stored, NONE, 0.0), Told(), NONE, 0.0)
    assert following.due(stored) == max(WHOLE_EVERY, count / module.WHOLE_PACE)
    following.swept(None, stored)
    assert following.due(stored) == max(WHOLE_EVERY, count / module.WHOLE_PACE)
    following.doubt(UidSet((7,)))
    assert following.begin(None, stored, NONE, 1.0).uids == UidSet((7,)), "a push names it"
    following.hurry(5.0)
    assert following.due(stored) <= 5.0, "a person asks"


def test_modseqs_that_went_back_prove_nothing_and_all_are_compared() -> None:
    following = opened(50)
    following.swept(20, ALL)
    look = following.begin(20, ALL, NONE, 1.0)
    assert (look.since, look.uids) == (None, ALL)
    following.compared(look, Told(), NONE, 1.0)
    assert following.kept == 20


def test_a_modseq_that_is_far_too_high_is_noticed() -> None:
    following = opened()
    following.hint()
    told = Told()
    told.add(1, (), (1 << 63) - 1)
    following.compared(following.begin(12, ALL, NONE, 1.0), told, NONE, 1.0)
    following.swept(13, ALL)
    assert following.begin(13, ALL, NONE, 2.0).uids == ALL


def test_a_server_that_refuses_changedsince_is_asked_for_all_now_and_then() -> None:
    following = opened()
    following.hint()
    following.begin(12, ALL, NONE, 1.0)
    following.without_modseqs()
    look = following.begin(12, ALL, NONE, 1.0)
    assert (look.since, look.uids) == (None, ALL)
    following.compared(look, Told(), NONE, 1.0)
    assert (following.reached, following.kept) == (None, None)


def test_a_failed_look_is_made_again_later() -> None:
    following = opened()
    following.hint()
    following.begin(12, ALL, NONE, 1.0)
    following.failed(1.0, 30.0)
    assert following.due(ALL) == 31.0
    assert following.begin(12, ALL, NONE, 31.0).since == 10


class World(RuleBasedStateMachine):
    """A server whose flags change, messages that come and are stored late, looks that fail, crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.modseq, self.uidnext = 1, 1
        self.flags: dict[int, tuple[int, tuple[str, ...]]] = {}  # on the server: MODSEQ and flags
        self.fetched: dict[int, tuple[str, ...]] = {}  # on their way, with the flags of when they were fetched
        self.rows: dict[int, tuple[str, ...]] = {}
        self.condstore = True
        self.following = Following()
        self.deliver(3)
        self.row_modseq: int | None = self.modseq  # as the opening saves it
        self.crash()

    def deliver(self, count: int) -> None:
        for _ in range(count):
            self.modseq += 1
            self.flags[self.uidnext] = self.modseq, ()
            self.uidnext += 1

    @rule(count=st.integers(1, 3))
    def mail(self, count: int) -> None:
        self.deliver(count)

    @rule(pick=st.integers(0, 50), flags=st.lists(st.sampled_from(["\\Seen", "\\Flagged", "x"]), unique=True))
    def change(self, pick: int, flags: list[str]) -> None:
        if self.flags:
            self.modseq += 1
            self.flags[sorted(self.flags)[pick % len(self.flags)]] = self.modseq, named(flags)
            if pick % 2:
                self.following.hint()

    @rule(pick=st.integers(0, 50))
    def expunge(self, pick: int) -> None:
        if self.flags:
            uid = sorted(self.flags)[pick % len(self.flags)]
            self.modseq += 1
            del self.flags[uid]
            self.rows.pop(uid, None)
            self.fetched.pop(uid, None)

    @rule()
    def fetch(self) -> None:
        for uid, (_, flags) in self.flags.items():
            if uid not in self.rows:
                self.fetched.setdefault(uid, flags)

    @rule()
    def store(self) -> None:
        self.rows |= self.fetched
        self.fetched.clear()

    @rule(works=st.booleans(), stored_meanwhile=st.booleans(), changed_meanwhile=st.integers(-1, 50))
    def look(self, works: bool, stored_meanwhile: bool, changed_meanwhile: int) -> None:
        following = self.following
        self.now = max(self.now, min(following.due(UidSet(self.rows)), self.now + 1))
        if following.due(UidSet(self.rows)) > self.now:
            return
        stored = UidSet(self.rows)
        look = following.begin(self.modseq if self.condstore else None, stored, UidSet(self.fetched), self.now)
        if not works:
            following.failed(self.now, 1.0)
            return
        told = Told()
        for uid, (modseq, flags) in self.flags.items():
            if uid in look.uids or (look.since is not None and modseq > look.since):
                told.add(uid, flags, modseq)
        without_row = set()
        if changed_meanwhile >= 0:
            self.change(changed_meanwhile, ["x"])
            self.following.hint()
        if stored_meanwhile:
            self.store()
        for chunk in told.chunks(2):
            for uid, (flags, _) in chunk.items():
                if uid in self.rows:
                    self.rows[uid] = flags
                elif uid not in look.stored:
                    without_row.add(uid)
        following.compared(look, told, UidSet(without_row), self.now)
        self.row_modseq = following.kept

    @rule()
    def sweep(self) -> None:
        self.following.swept(self.modseq if self.condstore else None, UidSet(self.flags))

    @rule()
    def crash(self) -> None:
        self.fetched.clear()
        self.following = Following()
        self.following.opened(self.row_modseq, self.now)

    @rule()
    def modseqs_go_or_come(self) -> None:
        self.condstore = not self.condstore

    @rule()
    def time_passes(self) -> None:
        self.now += WHOLE_EVERY

    @invariant()
    def what_is_kept_is_true(self) -> None:
        kept = self.following.kept
        if kept is not None and self.condstore:
            for uid, flags in self.rows.items():
                modseq, now = self.flags[uid]
                assert modseq > kept or flags == now, "a row that does not follow is behind what is kept"

    def teardown(self) -> None:
        for _ in range(30):
            self.now += WHOLE_EVERY
            self.sweep()
            self.fetch()
            self.store()
            self.look(works=True, stored_meanwhile=False, changed_meanwhile=-1)
        assert self.rows == {uid: flags for uid, (_, flags) in self.flags.items()}
        self.sweep()
        if self.condstore:
            assert self.following.due(UidSet(self.rows)) == inf, "it never comes to rest"


def test_whatever_happens_in_whatever_order_the_rows_follow_in_the_end() -> None:
    run_state_machine_as_test(World, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))
