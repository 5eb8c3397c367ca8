"""Answers to what others ask the syncer over NATS: start a sync run, tell its result, tell the live states, give a part
of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import trio
from pydantic import BaseModel, ValidationError

from mailcore.aio import trio_side
from mailcore.bus import Bus
from mailcore.errors import SettingsError
from mailcore.events import control
from mailcore.events.control import MailboxStates, PartRequest, Refusal, SyncResult, SyncStart, TrialRequest
from mailcore.events.identity import MailboxKey
from mailcore.imap.name import canonical
from mailcore.oauth.tokens import Tokens
from mailcore.settings import NOT_CONFIGURED
from syncer.account import AccountTasks
from syncer.imap.connection import Endpoint
from syncer.imap.trial import trial
from syncer.mailbox import MailboxTasks
from syncer.original import part
from syncer.runs import ManualRuns
from syncer.sources import Sources

Request = TypeVar("Request", bound=BaseModel)
LIST_WAIT = 10.0  # seconds
TRIALS = 5  # at once


class Control:
    """Runs on the asyncio side, in the same thread."""

    def __init__(self, bus: Bus, sources: Sources, tokens: Tokens) -> None:
        self._bus = bus
        self._sources = sources
        self._accounts = sources.accounts
        self._tokens = tokens
        self._trials = asyncio.Semaphore(TRIALS)
        self._runs = ManualRuns()

    async def listen(self) -> None:
        """Begin to answer."""
        await self._bus.respond(control.START, self._start)
        await self._bus.respond(control.RESULT, self._result)
        await self._bus.respond(control.STATES, self._states)
        await self._bus.respond(control.PART, self._part)
        await self._bus.respond(control.ACCOUNTS, self._account_states)
        await self._bus.respond(control.REREAD, self._reread)
        await self._bus.respond(control.TRIAL, self._trial)

    async def _start(self, payload: bytes) -> bytes:
        request = _parse(SyncStart, payload)
        if isinstance(request, Refusal):
            return _bytes(request)
        if not self._accounts:
            return _bytes(Refusal(code="not-configured", message=NOT_CONFIGURED))
        accounts = [tasks for tasks in self._accounts if request.account in (None, tasks.account.name)]
        if request.mailbox is not None:
            mailboxes = _named(accounts, request.mailbox)
            if not mailboxes:  # it may be so young that no LIST has told of it
                await trio_side(_list, accounts)
                mailboxes = _named(accounts, request.mailbox)
            return _bytes(self._runs.start(mailboxes).result() if mailboxes else _unknown(request))
        if not accounts:
            return _bytes(_unknown(request))
        return _bytes(self._runs.start({}, accounts).result())

    async def _result(self, payload: bytes) -> bytes:
        request = _parse(SyncResult, payload)
        if isinstance(request, Refusal):
            return _bytes(request)
        run = self._runs.get(request.run_id)
        if run is None:
            return _bytes(Refusal(code="unknown-run", message=f"This syncer knows no run {request.run_id[:80]!r}."))
        await trio_side(run.wait, request.wait)
        return _bytes(run.result())

    async def _states(self, payload: bytes) -> bytes:
        return _bytes(MailboxStates(mailboxes=tuple(state for tasks in self._accounts for state in tasks.states())))

    async def _part(self, payload: bytes) -> bytes:
        request = _parse(PartRequest, payload)
        return _bytes(request if isinstance(request, Refusal) else await trio_side(part, self._accounts, request))

    async def _account_states(self, payload: bytes) -> bytes:
        return _bytes(self._sources.states())

    async def _reread(self, payload: bytes) -> bytes:
        await trio_side(self._sources.look)
        return _bytes(self._sources.states())

    async def _trial(self, payload: bytes) -> bytes:
        request = _parse(TrialRequest, payload)
        if isinstance(request, Refusal):
            return _bytes(request)
        await trio_side(self._sources.look)
        try:
            account = self._sources.account(request.account)
        except SettingsError as error:
            return _bytes(Refusal(code="failed", message=f"The account {request.account!r}: {error}"))
        if account is None:
            return _bytes(Refusal(code="unknown-account", message=f"There is no account {request.account[:80]!r}."))
        async with self._trials:
            return _bytes(await trial(account.name, Endpoint.of(account, self._tokens.of(account)), account.mailboxes))


def _parse(model: type[Request], payload: bytes) -> Request | Refusal:
    try:
        return model.model_validate_json(payload or b"{}")
    except ValidationError as error:
        return Refusal(code="bad-request", message=str(error.errors(include_input=False, include_url=False)))


def _named(accounts: Sequence[AccountTasks], mailbox: str) -> dict[MailboxKey, MailboxTasks]:
    name = canonical(mailbox)
    return {key: box for tasks in accounts for key, box in tasks.mailboxes.items() if key.mailbox == name}


async def _list(accounts: Sequence[AccountTasks]) -> None:
    """Look which mailboxes the accounts have; one that does not answer is not waited for long."""
    with trio.move_on_after(LIST_WAIT):
        async with trio.open_nursery() as nursery:
            for tasks in accounts:
                nursery.start_soon(tasks.list_now)


def _unknown(request: SyncStart) -> Refusal:
    what = " ".join(
        f"{name} {value[:80]!r}"
        for name, value in (("account", request.account), ("mailbox", request.mailbox))
        if value
    )
    return Refusal(code="unknown-mailbox", message=f"This syncer holds no {what}.")


def _bytes(model: BaseModel) -> bytes:
    return model.model_dump_json().encode()
