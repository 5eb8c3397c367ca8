"""The session's table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import ImapError
from mailcore.imap.session import TRANSITIONS, Event, State, mermaid, transition


@given(st.sampled_from(State), st.sampled_from(Event))
def test_a_pair_outside_the_table_is_refused_in_words(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert transition(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(ImapError, match=state.value):
            transition(state, event)


def test_every_state_can_be_reached_and_any_may_end_in_closed() -> None:
    reached = {State.CONNECTING}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more
    assert reached == set(State)
    assert all(transition(state, Event.GONE) is State.CLOSED for state in State)


def test_nothing_leaves_closed() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is State.CLOSED} == {State.CLOSED}


def test_done_is_never_sent_before_the_server_agreed_to_idle() -> None:
    assert [before for (before, event), _ in TRANSITIONS.items() if event is Event.DONE_SENT] == [State.IDLING]


def test_credentials_are_never_sent_before_the_greeting_or_during_the_tls_handshake() -> None:
    before = [before for (before, event), _ in TRANSITIONS.items() if event is Event.LOGIN_SENT]
    assert before == [State.NOT_AUTHENTICATED]


def test_each_state_has_a_name_of_its_own() -> None:
    assert len({state.value for state in State}) == len(State)


def test_the_diagram_has_every_edge_but_those_to_closed() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 2 + sum(event is not Event.GONE for _, event in TRANSITIONS)
    assert "    IDLING --> DONE_REQUESTED: DONE sent" in lines
