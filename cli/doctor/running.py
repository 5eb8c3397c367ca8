"""The checks of `mozzart doctor` of what runs: NATS, the processes on it, the api."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from pydantic import ValidationError

from api.guard.proof import CHALLENGE, PROOF, proof
from cli.doctor.finding import Finding, Verdict
from cli.quantity import counted
from cli.status.run import count_processes
from cli.troubles import said
from mailcore import metrics, undelivered
from mailcore.bus import MAIL_DEAD, MESSAGE_STREAMS, Bus
from mailcore.errors import BusError, MozzartError, SettingsError
from mailcore.events import control
from mailcore.events.control import MailboxLive, MailboxStates
from mailcore.settings import Settings
from mailcore.trouble import CALM, Kind, troubles
from supervisor.nats_server import program

_NO_KEY: Final = "Where it runs DATA_DIR has a session.key; if it runs here, another program has its port."
_MAILBOXES: Final = 5  # are named
_REMEDIES: Final = {
    Kind.PAUSED: "The server asked for it; it is asked again by itself.",
    Kind.REFUSED: "`mozzart verify` names them; docs/operations.md#when-messages-are-refused has what can be done.",
}


async def nats(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.nats_url and not settings.nats_url_path.exists():
        try:
            yield Finding("note", "NATS", f"not running; `mozzart up` starts its own ({program()})")
        except SettingsError as error:
            yield Finding("failed", "NATS", "no server", str(error))
        return
    try:
        bus = await Bus.connect(settings.with_nats_url().nats_url, name="doctor", connect_timeout=5)
    except MozzartError as error:
        remedy = "Check NATS_URL." if settings.nats_url else "Start `mozzart up`."
        yield Finding("failed", "NATS", str(error), remedy)
        return
    try:
        try:
            held = sum([(await bus.position(stream)).messages for stream in MESSAGE_STREAMS])
            named = " and ".join(MESSAGE_STREAMS)
            yield Finding("ok", "NATS", f"{bus.server}: the streams {named} hold {counted(held, 'message')}")
        except BusError as error:
            yield Finding(
                "note",
                "NATS",
                f"{bus.server}: {error}",
                "The first syncer makes the streams; JetStream must be enabled.",
            )
        async for finding in _processes(bus):
            yield finding
    finally:
        await bus.close()


async def _processes(bus: Bus) -> AsyncIterator[Finding]:
    try:
        states = MailboxStates.model_validate_json(await bus.request(control.STATES, b"", 3))
        yield Finding("ok", "syncer", "answers")
        for finding in _troubles(states.mailboxes, datetime.now(UTC)):
            yield finding
    except ValidationError:
        yield Finding("note", "syncer", "answers as another version does", "Restart what runs of the older version.")
    except BusError as error:
        # Where others of ours run, new mail goes unnoticed; where none does, nothing was started yet.
        lacking: Verdict = "failed" if await _others_run(bus) else "note"
        yield Finding(lacking, "syncer", str(error), "Start `mozzart up`, or `mozzart syncer`.")
    try:
        consumers = count_processes(await metrics.collect(bus)).get("consumer", 0)
        waiting = await metrics.waiting(bus)
        if consumers and "consumer" not in waiting.faults:
            yield Finding("ok", "consumer", "answers" if consumers == 1 else f"{consumers} answer")
        for process, words in waiting.faults.items():
            if words.startswith("waits"):
                yield Finding("failed", process, words, "It goes on by itself once that has ended.")
            elif process == "consumer":
                unstored = await _unstored(bus)
                verdict: Verdict = "failed" if unstored else "note"
                yield Finding(verdict, process, f"{words}{unstored}", "`mozzart status` tells who runs.")
        for words in waiting.asks:
            yield Finding("note", "pruning", words, "docs/operations.md#retention says when.")
        dead = (await bus.position(MAIL_DEAD)).messages
        if dead:
            yield Finding(
                "note",
                "dead",
                f"{counted(dead, 'message')} could not be stored",
                "`mozzart dead-letters list` has the reasons.",
            )
        if left := await undelivered.count(bus):
            yield Finding(
                "note",
                "webhook",
                f"its receiver did not take {counted(left, 'event')}",
                "`mozzart dead-letters list --webhook` has the reasons.",
            )
    except BusError as error:
        yield Finding("note", "consumer", str(error))


async def _others_run(bus: Bus) -> bool:
    try:
        running = count_processes(await metrics.collect(bus))
    except BusError:
        return False
    return bool(running.keys() & {"consumer", "api"})


async def _unstored(bus: Bus) -> str:
    """What waits for a consumer, in words; "" when nothing does, or nobody knows."""
    try:
        waiting = await bus.waiting()
    except BusError:
        return ""  # there are no streams yet
    count = waiting["store"] + waiting["backfill"]
    return f"; {counted(count, 'message')} not stored" if count else ""


def _troubles(mailboxes: Iterable[MailboxLive], now: datetime) -> Iterator[Finding]:
    """Of the first mailboxes that have any. Pure."""
    wrong = ((one, trouble) for one in mailboxes for trouble in troubles(None, one, now))
    found = [(one, trouble) for one, trouble in wrong if trouble.kind not in CALM]
    for one, trouble in found[:_MAILBOXES]:
        words = f"{one.account}/{one.mailbox}: {said(trouble, now)}"
        if trouble.messages:
            first = trouble.messages[0]
            words += f" (UID {first.uid}: {first.reason})"
        yield Finding("note", "mailbox", words, _REMEDIES.get(trouble.kind, "`mozzart status` shows all of it."))
    if len(found) > _MAILBOXES:
        yield Finding("note", "mailbox", f"and {len(found) - _MAILBOXES:,} more", "`mozzart status` shows them.")


async def api(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.api_port:
        return  # the system chose one, and nobody knows which
    # An address to listen on is not always one to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(  # noqa: S104 - nothing is bound here
        settings.api_host, settings.api_host
    )
    where = f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"
    try:
        found = await asyncio.to_thread(_ask_api, settings, host)
    except (ConnectionError, TimeoutError):
        yield Finding("note", "api", f"{where}: does not answer", "Start `mozzart up`, or `mozzart api`.")
        return
    except (OSError, HTTPException) as error:
        found = f"another program answers there ({type(error).__name__})"
    if isinstance(found, str):
        yield Finding("failed", "api", f"{where}: {found}", "Stop what listens there, or set another API_PORT.")
    elif not settings.session_key_path.exists():
        yield Finding(
            "note", "api", f"{where}: answers; nobody can tell whether it is the one of {settings.data_dir}", _NO_KEY
        )
    elif found == HTTPStatus.SERVICE_UNAVAILABLE:
        yield Finding("note", "api", f"{where}: answers, but is not ready", "/readyz says what it waits for.")
    else:
        yield Finding("ok", "api", f"{where}: answers")


def _ask_api(settings: Settings, host: str) -> int | str:
    """The status of /readyz; or in words what answers there and is not the api of these settings. Raises OSError,
    HTTPException."""
    challenge = secrets.token_hex(16)
    alive, body, proved = _get(settings, host, "/healthz", {CHALLENGE: challenge})
    if alive != HTTPStatus.OK or b'"alive"' not in body:
        return f"another program answers there (/healthz: {alive})"
    try:
        key = settings.session_key_path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""  # the DATA_DIR of another machine or user: then nobody can tell
    if proved is not None and key and not hmac.compare_digest(proved, proof(key, challenge)):
        return f"the api of another DATA_DIR than {settings.data_dir} answers there"
    return _get(settings, host, "/readyz", {})[0]


def _get(settings: Settings, host: str, path: str, headers: dict[str, str]) -> tuple[int, bytes, str | None]:
    connection = HTTPConnection(host, settings.api_port, timeout=3)
    named = settings.allowed_hosts[0].lstrip(".") if settings.allowed_hosts else "localhost"
    try:
        connection.request("GET", path, headers={"Host": "localhost" if named == "*" else named, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 16), answer.headers.get(PROOF)
    finally:
        connection.close()
