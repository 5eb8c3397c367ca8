"""Answers to what others ask the syncer over NATS: start a sync run, tell its result, tell the live states, give a part
of a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import trio
from pydantic import BaseModel, ValidationError

from mailcore.aio import trio_side
from mailcore.bus import Bus
from mailcore.events import control
from mailcore.events.control import MailboxStates, PartRequest, Refusal, SyncResult, SyncStart
from mailcore.events.identity import MailboxKey
from mailcore.imap.name import canonical
from mailcore.settings import NOT_CONFIGURED
from syncer.account import AccountTasks
from syncer.accounts import Accounts
from syncer.mailbox import MailboxTasks
from syncer.original import part
from syncer.runs import ManualRuns

Request = TypeVar("Request", bound=BaseModel)
LIST_WAIT = 10.0  # seconds


class Control:
    """Runs on the asyncio side, in the same thread."""

    def __init__(self, bus: Bus, accounts: Accounts) -> None:
        self._bus = bus
        self._accounts = accounts
        self._runs = ManualRuns()

    async def listen(self) -> None:
        """Begin to answer."""
        await self._bus.respond(control.START, self._start)
        await self._bus.respond(control.RESULT, self._result)
        await self._bus.respond(control.STATES, self._states)
        await self._bus.respond(control.PART, self._part)

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
