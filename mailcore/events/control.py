"""Requests to the syncer over NATS (request/reply, JSON): start a sync run, ask for its result, ask for live states,
ask for a part of a message, have an account tried, tell that the accounts of the database changed.

Subjects: `mozzart.sync.start` (SyncStart → SyncRun), `mozzart.sync.result` (SyncResult → SyncRun),
`mozzart.sync.states` (empty → MailboxStates), `mozzart.sync.part` (PartRequest → MessagePart),
`mozzart.sync.accounts` (empty → AccountStates), `mozzart.sync.reread` (empty → AccountStates, as they are once the
database was read), `mozzart.sync.trial` (TrialRequest → Trial). A refused request is answered by a Refusal.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mailcore.events.fields import Count, ErrorText, Number

START: Final = "mozzart.sync.start"
RESULT: Final = "mozzart.sync.result"
STATES: Final = "mozzart.sync.states"
PART: Final = "mozzart.sync.part"
ACCOUNTS: Final = "mozzart.sync.accounts"
REREAD: Final = "mozzart.sync.reread"
TRIAL: Final = "mozzart.sync.trial"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SyncStart(_Model):
    """Which mailboxes: all (both None), all of one account, or one."""

    account: str | None = None
    mailbox: str | None = None


class SyncResult(_Model):
    """Ask for a run; the answer comes when it has ended, or after `wait` seconds as it stands then."""

    run_id: str
    wait: Annotated[float, Field(ge=0, le=300)] = 0


class Refusal(_Model):
    """`code`: `unknown-mailbox`, `unknown-account`, `unknown-run`, `not-configured`, `bad-request`, `message-gone` (the
    server has it no more), `failed` (the server did not give it this time)."""

    code: Literal[
        "unknown-mailbox",
        "unknown-account",
        "unknown-run",
        "not-configured",
        "bad-request",
        "message-gone",
        "failed",
    ]
    message: ErrorText


class PartRequest(_Model):
    """`count` bytes of a message from `offset` on, as the server has them."""

    account: str
    mailbox: str
    uidvalidity: Number
    uid: Number
    offset: Count = 0
    count: Annotated[int, Field(ge=1, le=1 << 20)]


class MessagePart(_Model):
    """The bytes, in base64; fewer than were asked for at the message's end, none behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


class Totals(_Model):
    """`found`: messages on the server that were not stored; `published`: of those, put into JetStream; `stored`: of
    those, committed; `expunged`: stored ones no longer on the server."""

    found: int = 0
    published: int = 0
    stored: int = 0
    expunged: int = 0


class MailboxResult(Totals):
    account: str
    mailbox: str
    status: Literal["running", "ok", "failed"] = "running"
    error: ErrorText = ""
    duration_ms: int = 0


class SyncRun(Totals):
    """`status`: `ok` every mailbox, `partial` some, `failed` none."""

    run_id: str
    status: Literal["running", "ok", "partial", "failed"]
    started_at: AwareDatetime
    duration_ms: int = 0
    results: tuple[MailboxResult, ...] = ()


class RefusedMessage(_Model):
    """A message that the server lists and does not give, asked for `tries` times since `since`; not again before
    `next_try`."""

    uid: Number
    reason: ErrorText
    since: AwareDatetime
    tries: Count
    next_try: AwareDatetime


class MailboxLive(_Model):
    """What only the syncer knows of a mailbox at this moment. `connection` names the session state of the live
    connection ("idling", "connecting", "backing off", "notified", "polling", …).

    Nothing is asked of the server before `paused_until`; `error` has the reason. `refused` are the first 20 of
    `refused_count`; `dead_count` are dead letters.

    `older_left`: so many messages that were there before wait, as the account has fetched the budget of the day;
    they are fetched from `older_at` on, and those of the whole account have come at about `older_done_at`."""

    account: str
    mailbox: str
    connection: str
    since: AwareDatetime
    in_flight: int
    in_flight_bytes: int
    error: ErrorText = ""
    failing_since: AwareDatetime | None = None
    paused_until: AwareDatetime | None = None
    refused: tuple[RefusedMessage, ...] = ()
    refused_count: Count = 0
    dead_count: Count = 0
    older_left: Count = 0
    older_at: AwareDatetime | None = None
    older_done_at: AwareDatetime | None = None


class MailboxStates(_Model):
    mailboxes: tuple[MailboxLive, ...] = ()


class AccountLive(_Model):
    """What the syncer knows of an account. `state`: `ok` it logs in; `failing` it does not, or its server refuses it;
    `paused` by a person; `starting` nobody knows yet. `reason` is in words, `since` when the state began."""

    account: str
    source: Literal["environment", "file", "database"]
    state: Literal["ok", "failing", "paused", "starting"]
    reason: ErrorText = ""
    since: AwareDatetime


class AccountStates(_Model):
    accounts: tuple[AccountLive, ...] = ()


class TrialRequest(_Model):
    """Log in to this account once more, beside what is open, and look around."""

    account: str


class TrialStep(_Model):
    """One step of a trial, in words, with what it took. `note`: it works, and something is not as good as it could
    be."""

    name: Literal["token", "name", "address", "tcp", "tls", "greeting", "login", "mailboxes", "idle", "capabilities"]
    status: Literal["ok", "note", "failed"]
    words: ErrorText
    ms: Annotated[float, Field(ge=0)]


class Trial(_Model):
    """The steps in the order in which they were taken; the last one failed unless `ok`."""

    account: str
    ok: bool
    steps: tuple[TrialStep, ...]
