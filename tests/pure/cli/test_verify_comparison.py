"""`mozzart verify`: what differs between a mailbox and its rows."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from cli import exit_code
from cli.verify.comparison import Differences, Place, Rows, compare, uids_text
from cli.verify.mailbox import Compared
from cli.verify.report import Report
from mailcore.difference import ADVICE, MEANING, WORDS, Category
from mailcore.events.identity import MailboxKey
from mailcore.imap.sequence import UidSet
from mailcore.store import StoredOrigin

UIDVALIDITY = 7
uids = st.frozensets(st.integers(1, 12))
hashes = st.sampled_from("abcd")
# What is stored: a hash for each place, under the present UIDVALIDITY and two earlier ones.
stored_rows = st.dictionaries(st.tuples(st.sampled_from((5, 6, UIDVALIDITY)), st.integers(1, 12)), hashes, max_size=16)


def rows_of(stored: dict[Place, str]) -> Rows:
    origins = [StoredOrigin(sha256, *place) for place, sha256 in sorted(stored.items())]
    counts = Counter(stored.values())
    return Rows(
        UidSet(one.uid for one in origins if one.uidvalidity == UIDVALIDITY),
        [one for one in origins if one.uidvalidity != UIDVALIDITY],
        [one for one in origins if counts[one.sha256] > 1],
    )


def code(differences: Differences, doubt: str = "") -> int:
    one = Compared(MailboxKey("default", "INBOX"), UIDVALIDITY, differences=differences, doubt=doubt)
    return Report(datetime(2026, 11, 28, tzinfo=UTC), mailboxes=[one]).code


@given(uids, uids, stored_rows, uids, uids, uids, uids)
def test_each_message_is_in_one_category_and_none_differs_exactly_when_both_sides_are_equal(
    server: frozenset[int],
    wished: frozenset[int],
    stored: dict[Place, str],
    in_flight: frozenset[int],
    dead: frozenset[int],
    refused: frozenset[int],
    changed: frozenset[int],
) -> None:
    wanted = server & wished
    present = {uid for uidvalidity, uid in stored if uidvalidity == UIDVALIDITY}
    unlike = changed & present & server
    found = compare(
        UIDVALIDITY,
        server=UidSet(server),
        wanted=UidSet(wanted),
        whole=True,
        rows=rows_of(stored),
        in_flight=in_flight,
        dead=dead,
        refused=refused,
        unlike=unlike,
    )

    places = [place for of_one in found.places.values() for place in of_one]
    assert len(places) == len(set(places)), "no message is in two categories"
    lacking = {(UIDVALIDITY, uid) for uid in wanted - present}
    spare = {place for place in stored if place[0] != UIDVALIDITY or place[1] not in server}
    assert found.all == lacking | spare | {(UIDVALIDITY, uid) for uid in unlike}
    assert found[Category.DEAD] == {place for place in lacking if place[1] in dead}
    assert found[Category.IN_FLIGHT] == {place for place in lacking if place[1] in in_flight - dead}
    assert found[Category.REFUSED] == {place for place in lacking if place[1] in refused - dead - in_flight}
    kept = {stored[place] for place in stored if place not in spare and place[1] not in unlike}
    assert found[Category.DOUBLED] == {
        place for place in stored if stored[place] in kept and (place in spare or place[1] in unlike)
    }
    assert (code(found) == exit_code.OK) == (not lacking and not spare and not unlike)
    assert code(found) in (exit_code.OK, exit_code.FAILED)


@given(uids, uids, stored_rows)
def test_a_list_that_is_not_whole_makes_nothing_gone_and_nothing_well(
    listed: frozenset[int], refused: frozenset[int], stored: dict[Place, str]
) -> None:
    found = compare(
        UIDVALIDITY,
        server=UidSet(listed),
        wanted=UidSet(listed),
        whole=False,
        rows=rows_of(stored),
        refused=refused,
    )

    assert not found[Category.GONE]
    assert not {uid for uidvalidity, uid in found[Category.DOUBLED] if uidvalidity == UIDVALIDITY}
    present = {uid for uidvalidity, uid in stored if uidvalidity == UIDVALIDITY}
    assert {uid for _, uid in found[Category.MISSING] | found[Category.REFUSED]} == listed - present
    assert code(found, doubt="the server lists 1 messages and says that 2 exist") != exit_code.OK


def test_two_messages_with_equal_bytes_that_the_server_has_twice_are_no_double() -> None:
    server = UidSet((1, 2))
    rows = rows_of({(UIDVALIDITY, 1): "a", (UIDVALIDITY, 2): "a"})

    assert not compare(UIDVALIDITY, server=server, wanted=server, whole=True, rows=rows)
    found = compare(UIDVALIDITY, server=server, wanted=server, whole=True, rows=rows, unlike={2})
    assert found.places == {Category.DOUBLED: {(UIDVALIDITY, 2)}}
    found = compare(UIDVALIDITY, server=server, wanted=server, whole=True, rows=rows, unlike={1, 2})
    assert found.places == {Category.ALTERED: {(UIDVALIDITY, 1), (UIDVALIDITY, 2)}}, "nobody has those bytes"


def test_a_row_of_an_earlier_generation_is_doubled_if_its_bytes_are_stored_anew_and_gone_otherwise() -> None:
    one = UidSet((1,))
    found = compare(
        UIDVALIDITY,
        server=one,
        wanted=one,
        whole=True,
        rows=rows_of({(UIDVALIDITY, 1): "a", (6, 10): "a", (6, 11): "b"}),
    )

    assert found.places == {Category.DOUBLED: {(6, 10)}, Category.GONE: {(6, 11)}}


def test_what_a_later_look_does_not_find_again_is_no_difference() -> None:
    missing, gone = frozenset({(7, 1), (7, 2)}), frozenset({(7, 3)})
    found = Differences({Category.MISSING: missing, Category.GONE: gone})

    assert found.all == missing | gone
    assert found.only(frozenset({(7, 2), (7, 9)})).places == {Category.MISSING: {(7, 2)}}
    assert not found.only(frozenset())


def test_uids_are_told_as_sequence_sets_by_generation_and_cut_between_two() -> None:
    assert uids_text([(7, 3), (7, 1), (7, 2), (6, 9)]) == "UIDVALIDITY 6: UID 9; UIDVALIDITY 7: UID 1:3"
    assert uids_text(((7, uid) for uid in range(1, 100, 2)), limit=12) == "UIDVALIDITY 7: UID 1,3,5,7,9,…"


def test_every_category_has_its_words_its_meaning_and_what_can_be_done() -> None:
    assert set(WORDS) == set(MEANING) == set(ADVICE) == set(Category)
