"""An account is tried step by step, from its host's name to IDLE, each with its time and words. Plain asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Literal

from mailcore.errors import ImapError
from mailcore.events.control import Trial, TrialStep
from mailcore.imap.name import canonical
from mailcore.sync.mailbox_list import is_pattern
from syncer.imap.connection import IdleRefused, ImapConnection
from syncer.imap.link import Stage
from syncer.imap.model import Endpoint

_WITHIN: Final = 45.0
_IDLE: Final = 0.05  # seconds that it idles
_LISTED: Final = 5
_NAMED: Final = ("IDLE", "NOTIFY", "CONDSTORE", "QRESYNC", "ESEARCH", "LIST-STATUS", "OBJECTID", "COMPRESS=DEFLATE")
Step = Literal[Stage, "mailboxes", "idle", "capabilities"]


async def trial(account: str, endpoint: Endpoint, mailboxes: Sequence[str]) -> Trial:
    """One login, ended again. Never raises ImapError: a step that fails is the last one."""
    steps = _Steps(endpoint)
    connection: ImapConnection | None = None
    try:
        async with asyncio.timeout(_WITHIN):
            connection = await ImapConnection.open(endpoint, steps.reached)
            if connection.tls_version:
                steps.explain("tls", f"{connection.tls_version}; the certificate is trusted and fits the host name")
            await _look_around(connection, mailboxes, steps)
    except TimeoutError:
        steps.fail(f"{endpoint}: not done within {_WITHIN:g} s")
    except ImapError as error:
        steps.fail(str(error))
    finally:
        if connection is not None:
            await connection.logout()
    return Trial(account=account, ok=not steps.failed, steps=tuple(steps.taken))


class _Steps:
    """What was come to, and when."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.taken: list[TrialStep] = []
        self.failed = False
        tls: tuple[Stage, ...] = ("tls", "greeting") if endpoint.use_ssl else ("greeting",)
        tls += ("tls",) if endpoint.starttls and not endpoint.use_ssl else ()
        token: tuple[Stage, ...] = ("token",) if endpoint.tokens is not None else ()
        self._order: list[Step] = [*token, "name", "address", "tcp", *tls, "login", "mailboxes", "idle", "capabilities"]
        self._began = time.monotonic()
        self._words: dict[Step, str] = {
            "token": "there is an access token",
            "name": f"{endpoint.host} was found",
            "address": "accounts may be connected to its address",
            "tcp": f"port {endpoint.port} answers",
            "tls": "encrypted",
            "greeting": "an IMAP server",
            "login": f"logged in as {endpoint.user}",
        }

    def reached(self, step: Step, words: str = "", status: Literal["ok", "note"] = "ok") -> None:
        if step not in self._order:  # with another token
            return
        self._add(step, status, words or self._words.get(step, ""))
        self._order.remove(step)

    def fail(self, words: str) -> None:
        """What would have come next did not."""
        self.failed = True
        self._add(self._order[0], "failed", words)

    def explain(self, step: Step, words: str) -> None:
        """Say more of a step that was taken."""
        self.taken = [one.model_copy(update={"words": words}) if one.name == step else one for one in self.taken]

    def _add(self, step: Step, status: Literal["ok", "note", "failed"], words: str) -> None:
        now = time.monotonic()
        self.taken.append(TrialStep(name=step, status=status, words=words, ms=round((now - self._began) * 1000, 1)))
        self._began = now


async def _look_around(connection: ImapConnection, wanted: Sequence[str], steps: _Steps) -> None:
    listed = await connection.list_mailboxes("*")
    names = [one.name for one in listed.mailboxes if one.selectable]
    found = [one.name for one in (await connection.list_mailboxes(*wanted)).mailboxes if one.selectable]
    absent = [name for name in wanted if not is_pattern(name) and canonical(name) not in found]
    if absent or not found:
        asked = ", ".join(repr(name) for name in absent or wanted)
        shown = ", ".join(names[:_LISTED])
        raise ImapError(
            f"{connection.endpoint}: there is no mailbox {asked} among the {len(names)} of this account ({shown}, …); "
            "names are as the server has them, with its hierarchy"
        )
    messages = (await connection.status(found[0])).messages
    count = "" if messages is None else f"; {found[0]} has {messages:,} messages"
    steps.reached("mailboxes", f"{len(found)} of {len(names)} are synced{count}")
    await _idle(connection, found[0], steps)
    offered = [name for name in _NAMED if name in connection.capabilities]
    steps.reached("capabilities", ", ".join(offered) or "plain IMAP")


async def _idle(connection: ImapConnection, mailbox: str, steps: _Steps) -> None:
    await connection.select(mailbox)
    if not connection.supports_idle:
        steps.reached("idle", "the server has no IDLE: mail is found by the sweep alone", "note")
        return
    try:
        await connection.idle(refresh=_IDLE)
    except IdleRefused as error:
        steps.reached("idle", f"refused, so mail is found by the sweep alone: {error}", "note")
    else:
        steps.reached("idle", "the server pushes")
