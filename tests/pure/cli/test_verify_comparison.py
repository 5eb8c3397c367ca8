"""`mozzart verify`: what differs between a mailbox and its rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.verify.comparison import Difference, compare, uids_text
from mailcore.imap.sequence import UidSet
from mailcore.store import StoredOrigin

uids = st.frozensets(st.integers(1, 30))


@given(uids, uids, uids)
def test_every_uid_is_missing_or_gone_or_in_both_or_on_its_way(
    server: frozenset[int], stored: frozenset[int], on_the_way: frozenset[int]
) -> None:
    here = UidSet(server)
    found = compare(7, server=here, wanted=here, stored=stored, on_the_way=on_the_way)

    assert {uid for _, uid in found.missing} == server - stored - on_the_way
    assert {uid for _, uid in found.gone} == stored - server
    assert {uidvalidity for uidvalidity, _ in found.missing | found.gone} <= {7}


@given(uids, uids)
def test_what_nobody_wants_is_not_missing_and_not_gone(server: frozenset[int], wanted: frozenset[int]) -> None:
    found = compare(7, server=UidSet(server), wanted=UidSet(server & wanted), stored=server & wanted)

    assert not found


def test_a_row_of_an_earlier_generation_is_doubled_if_its_bytes_are_stored_anew_and_gone_otherwise() -> None:
    found = compare(
        7,
        server=UidSet((1,)),
        wanted=UidSet((1,)),
        stored=(1,),
        older=(StoredOrigin("a", 6, 10), StoredOrigin("b", 6, 11)),
        hashes={"a"},
    )

    assert (found.doubled, found.gone, found.missing) == ({(6, 10)}, {(6, 11)}, frozenset())


def test_a_difference_that_a_second_look_does_not_find_again_is_none() -> None:
    first = Difference(missing=frozenset({(7, 1), (7, 2)}), gone=frozenset({(7, 3)}))
    later = Difference(missing=frozenset({(7, 2), (7, 9)}))

    assert first & later == Difference(missing=frozenset({(7, 2)}))
    assert not first & Difference()


def test_uids_are_told_as_sequence_sets_by_generation_and_cut_between_two() -> None:
    assert uids_text([(7, 3), (7, 1), (7, 2), (6, 9)]) == "UIDVALIDITY 6: UID 9; UIDVALIDITY 7: UID 1:3"
    assert uids_text(((7, uid) for uid in range(1, 100, 2)), limit=12) == "UIDVALIDITY 7: UID 1,3,5,7,9,…"
