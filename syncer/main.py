"""The syncer process."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping

import structlog
import trio

from mailcore import aio as bridge
from mailcore import collector, descriptors, metrics
from mailcore.aio import aio, aio_bounded
from mailcore.bus import Bus
from mailcore.errors import EventError, MozzartError
from mailcore.events.message import origin_of, sha256_of
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Dead, Stored, decode_thin
from mailcore.hangup import Hangup, Wish, has_terminal
from mailcore.oauth.tokens import Tokens
from mailcore.settings import NOT_CONFIGURED, Settings
from mailcore.store import Store
from mailcore.sync.retry import verdict
from syncer import metrics as own_metrics
from syncer import streams
from syncer.accounts import Accounts
from syncer.attempt import keep_trying
from syncer.control import Control
from syncer.credit import Credit
from syncer.imap import trace
from syncer.in_flight import watch
from syncer.mailbox import Shared
from syncer.progress import Progress, tell
from syncer.server import Servers
from syncer.sources import Sources, warn
from syncer.standing import announce

log = structlog.get_logger(__name__)
TOKENS_WITHIN = 5.0  # seconds for an answer of a provider that may hold the only good token
CREDIT = 64 << 20  # bytes published and not yet stored, before bulk work waits


def run(settings: Settings) -> None:
    """Until SIGINT or SIGTERM. `settings.nats_url` must be set. SIGHUP reads the accounts again if there is an
    ACCOUNTS_FILE, and ends us otherwise."""
    trace.begin(settings.imap_trace)
    descriptors.raise_limit()
    trio.run(_main, settings, restrict_keyboard_interrupt_to_checkpoints=True)


async def _main(settings: Settings) -> None:
    stopping = False
    sources = Sources(settings, Accounts(settings.accounts))
    hangup = Hangup.at_start()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, settings, sources)
                async for received in _that_stop(signals, hangup, settings, sources):
                    log.info("stopping", signal=signal.Signals(received).name)
                    stopping = True
                    nursery.cancel_scope.cancel()
                    break
        except* MozzartError as errors:
            if not stopping:
                raise
            log.warning("error while stopping", error=verdict(errors).text)


async def _that_stop(
    signals: AsyncIterator[int], hangup: Hangup, settings: Settings, sources: Sources
) -> AsyncIterator[int]:
    async for received in signals:
        wish = Wish.STOP
        if received == signal.SIGHUP:
            wish = hangup.wish(terminal=has_terminal(), reloadable=settings.accounts_file is not None)
        if wish is Wish.STOP:
            yield received
        elif wish is Wish.RELOAD:
            await sources.reload()


async def _serve(settings: Settings, sources: Sources | None = None) -> None:
    sources = Sources(settings, Accounts(settings.accounts)) if sources is None else sources
    async with bridge.open_loop():
        bus = await _connect(settings)
        store = await aio(Store.open, settings.database_url)
        try:
            await _sync(settings, sources, bus, store)
        finally:
            await aio_bounded(2.0, bus.close)
            await aio_bounded(2.0, store.close)


async def _connect(settings: Settings) -> Bus:
    found: list[Bus] = []

    async def connect() -> Bus:
        return await Bus.connect(settings.nats_url, name="syncer")

    async def ensure(bus: Bus) -> None:
        await bus.ensure(**settings.retention)

    async def once() -> None:
        bus = await aio(connect)
        try:
            await aio(ensure, bus)
        except BaseException:  # cancelled, too: the connection is not handed over
            await aio_bounded(2.0, bus.close)
            raise
        found.append(bus)

    await keep_trying("nats", once, _waiting_for("NATS"))
    return found[0]


def _waiting_for(what: str) -> Callable[[str, float], None]:
    def failed(text: str, seconds: float) -> None:
        log.warning(f"waiting for {what}", error=text, next_try_s=round(seconds, 1))

    return failed


async def _sync(settings: Settings, sources: Sources, bus: Bus, store: Store) -> None:
    accounts = sources.accounts
    spool = settings.data_dir / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    for left_over in spool.glob("*.eml"):
        left_over.unlink(missing_ok=True)
    servers = Servers(settings.host_connections, settings.host_logins)
    tokens = Tokens(store, settings)
    shared = Shared(bus, store, Credit(CREDIT), spool, settings.sync_interval, servers, tokens)
    await sources.open(store)
    accounts.open(shared)
    progress = Progress()

    def heard(subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        try:
            key, kind = parse_subject(subject)
            event = decode_thin(kind, data)
        except EventError as error:
            log.warning("event not understood", subject=subject[:200], error=str(error)[:500])
            return
        if isinstance(event, Stored | Dead) and (mailbox := accounts.mailbox(key, event.mailbox_id)) is not None:
            mailbox.heard(event)
            progress.stored += isinstance(event, Stored)

    async def listen() -> None:
        await metrics.answer(bus, "syncer")
        await bus.listen(["mail.*.*.stored", "mail.*.*.dead"], heard)
        await Control(bus, sources, shared.tokens).listen()

    async def recall() -> None:
        async for letter in bus.dead_letters():
            shared.transit.died(letter.identity, letter.mailbox_id)
            if sha256 := sha256_of(letter.headers):
                shared.origins.add(sha256, origin_of(letter.headers) or letter.identity)
        async for one in bus.unsettled():
            shared.transit.published(one.identity, one.mailbox_id, one.stream, one.seq, one.size)
            if one.sha256:
                shared.origins.add(one.sha256, one.origin or one.identity)

    async def begin() -> None:
        await aio(recall)

    # In this order: what is stored after we listen is heard, what was stored before is in the database when a mailbox
    # reads it.
    await aio(listen)
    await keep_trying("recall what is in flight", begin, _waiting_for("JetStream"))
    if not accounts:
        log.warning(NOT_CONFIGURED)
    collector.freeze()
    warn(settings)
    log.info("syncing", accounts=len(accounts), in_flight=len(shared.transit), interval_s=settings.sync_interval)
    unwatch = own_metrics.watch(accounts.mailboxes, lambda: sources.states().accounts)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accounts.run)
            nursery.start_soon(sources.run)
            nursery.start_soon(announce, sources, bus)
            nursery.start_soon(tell, progress, accounts.mailboxes)
            nursery.start_soon(watch, accounts.mailboxes, shared)
            nursery.start_soon(streams.watch, bus)
    finally:
        unwatch()
        await aio_bounded(TOKENS_WITHIN, tokens.ended)
