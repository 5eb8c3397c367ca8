"""The session's state machine (RFC 9051 §3; IDLE: RFC 2177). Pure: the table is all there is.

What the client sends and what the server answers are both events; a pair that is not in the table may not happen. Every
state in which somebody waits for the server has a name of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from mailcore.errors import ImapError


class State(Enum):
    CONNECTING = "connecting"
    GREETING_AWAITED = "greeting awaited"
    NOT_AUTHENTICATED = "not authenticated"
    STARTTLS_REQUESTED = "STARTTLS requested"
    TLS_HANDSHAKE = "TLS handshake"
    LOGIN_REQUESTED = "login requested"
    AUTHENTICATED = "authenticated"
    SELECT_REQUESTED = "SELECT requested"
    SELECTED = "selected"
    UNSELECT_REQUESTED = "UNSELECT requested"
    IDLE_REQUESTED = "IDLE requested"
    IDLING = "idling"
    DONE_REQUESTED = "DONE requested"
    LOGOUT_REQUESTED = "logout requested"
    CLOSED = "closed"


class Event(Enum):
    """`…_SENT` is ours; the others are the server's or the network's."""

    CONNECTED = "connected"
    GREETED = "greeting OK"
    GREETED_PREAUTH = "greeting PREAUTH"
    STARTTLS_SENT = "STARTTLS sent"
    STARTTLS_OK = "STARTTLS OK"
    STARTTLS_REFUSED = "STARTTLS refused"
    TLS_ESTABLISHED = "TLS established"
    LOGIN_SENT = "login sent"
    LOGIN_OK = "login OK"
    LOGIN_REFUSED = "login refused"
    SELECT_SENT = "SELECT sent"
    SELECT_OK = "SELECT OK"
    SELECT_REFUSED = "SELECT refused"
    UNSELECT_SENT = "UNSELECT sent"
    UNSELECT_OK = "UNSELECT OK"
    UNSELECT_REFUSED = "UNSELECT refused"
    IDLE_SENT = "IDLE sent"
    IDLE_CONTINUED = "IDLE +"
    DONE_SENT = "DONE sent"
    IDLE_ENDED = "IDLE ended"
    LOGOUT_SENT = "LOGOUT sent"
    GONE = "connection gone"


_LOGOUT_FROM: Final = (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED)

TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.CONNECTING, Event.CONNECTED): State.GREETING_AWAITED,
    (State.GREETING_AWAITED, Event.GREETED): State.NOT_AUTHENTICATED,
    (State.GREETING_AWAITED, Event.GREETED_PREAUTH): State.AUTHENTICATED,
    (State.NOT_AUTHENTICATED, Event.STARTTLS_SENT): State.STARTTLS_REQUESTED,
    (State.STARTTLS_REQUESTED, Event.STARTTLS_OK): State.TLS_HANDSHAKE,
    (State.STARTTLS_REQUESTED, Event.STARTTLS_REFUSED): State.NOT_AUTHENTICATED,
    (State.TLS_HANDSHAKE, Event.TLS_ESTABLISHED): State.NOT_AUTHENTICATED,
    (State.NOT_AUTHENTICATED, Event.LOGIN_SENT): State.LOGIN_REQUESTED,
    (State.LOGIN_REQUESTED, Event.LOGIN_OK): State.AUTHENTICATED,
    (State.LOGIN_REQUESTED, Event.LOGIN_REFUSED): State.NOT_AUTHENTICATED,
    (State.AUTHENTICATED, Event.SELECT_SENT): State.SELECT_REQUESTED,
    (State.SELECTED, Event.SELECT_SENT): State.SELECT_REQUESTED,
    (State.SELECT_REQUESTED, Event.SELECT_OK): State.SELECTED,
    # A failed SELECT deselects what was selected (RFC 9051 §6.3.2).
    (State.SELECT_REQUESTED, Event.SELECT_REFUSED): State.AUTHENTICATED,
    (State.SELECTED, Event.UNSELECT_SENT): State.UNSELECT_REQUESTED,
    (State.UNSELECT_REQUESTED, Event.UNSELECT_OK): State.AUTHENTICATED,
    (State.UNSELECT_REQUESTED, Event.UNSELECT_REFUSED): State.SELECTED,
    (State.SELECTED, Event.IDLE_SENT): State.IDLE_REQUESTED,
    (State.IDLE_REQUESTED, Event.IDLE_CONTINUED): State.IDLING,
    (State.IDLE_REQUESTED, Event.IDLE_ENDED): State.SELECTED,
    (State.IDLING, Event.DONE_SENT): State.DONE_REQUESTED,
    (State.IDLING, Event.IDLE_ENDED): State.SELECTED,  # the server ended it before we did
    (State.DONE_REQUESTED, Event.IDLE_ENDED): State.SELECTED,
    **{(state, Event.LOGOUT_SENT): State.LOGOUT_REQUESTED for state in _LOGOUT_FROM},
    **{(state, Event.GONE): State.CLOSED for state in State},
}


def transition(state: State, event: Event) -> State:
    """The next state; raises ImapError for what may not happen."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImapError(f"IMAP session: {event.value} may not happen while it is {state.value}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs (without the edges to CLOSED, which all states have)."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.CONNECTING.name}"]
    lines += [
        f"    {state.name} --> {following.name}: {event.value}"
        for (state, event), following in TRANSITIONS.items()
        if event is not Event.GONE
    ]
    return "\n".join(lines) + "\n"
