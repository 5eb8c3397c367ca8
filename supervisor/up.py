"""Everything on one machine, as children of one supervisor.

Start: the fork server, database upgrade beside nats-server (unless NATS_URL is set); when the tables are there, api,
consumer, webhook (if WEBHOOK_URL is set), syncer, verifier (if VERIFY_INTERVAL is). Stop, in the order of the mail's
way, so that nothing is cut off half done: syncer and verifier, consumer, api and webhook, nats-server, fork server.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import structlog
import trio

from mailcore.errors import MozzartError
from mailcore.hangup import Hangup, Wish, has_terminal
from mailcore.settings import Settings
from supervisor.children import Child, Supervisor
from supervisor.data_lock import DataLock
from supervisor.first_screen import first_screen
from supervisor.fork_server import Command, ForkServer
from supervisor.forked import Forked
from supervisor.nats_health import watch
from supervisor.nats_server import MEMORY_LIMIT, NAME, NatsServer, write_private
from supervisor.plan import API, CONSUMER, SYNCER, UPGRADE, VERIFIER, WEBHOOK, Plan

log = structlog.get_logger(__name__)

_FORK_SERVER: Final = "fork-server"
_TO_REFUSE: Final = 0.5  # seconds until a child that cannot start has said so
# Together they stay under 5 s, with time left for our own start of the end.
_GRACE: Final = (("syncer", "verifier"), 1.25), (("consumer", "api", "webhook"), 1.25), (("nats-server",), 0.75)


async def supervise(plan: Plan, lock: DataLock, forks: ForkServer | None, first: Forked | None) -> int:
    """Until SIGINT, SIGTERM, or a SIGHUP that asks for no reload; returns the exit code. Raises SettingsError. `first`
    is the fork server that `forks` has forked."""
    hangup = Hangup.at_start()
    reloadable = plan.settings.accounts_file is not None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, forks)
            if forks is not None and first is not None:
                supervisor.keep(Child(_FORK_SERVER, forks.command, inherit=(forks.descriptor,)), first)
            failure: MozzartError | None = None
            with trio.CancelScope() as life:
                nursery.start_soon(_stop_when_asked, _wishes(signals, hangup, reloadable, supervisor), life, supervisor)
                try:
                    await _start(plan, supervisor, lock, nursery)
                    if plan.finale is None:
                        with trio.move_on_after(_TO_REFUSE):
                            await supervisor.refused()
                        if plan.output is None and plan.settings.log_format == "console":
                            sys.stdout.write(first_screen(plan.settings))
                            sys.stdout.flush()
                        await supervisor.refused()
                except MozzartError as error:
                    failure = error
            with trio.CancelScope(shield=True):
                finale = (plan.finale.name,) if plan.finale else ()
                before = tuple(child.name for child in plan.before)
                for names, grace in ((finale, 0.5), *_GRACE, (before, 0.5), ((_FORK_SERVER,), 0.5)):
                    await supervisor.stop(*names, grace=grace)
            plan.settings.nats_url_path.unlink(missing_ok=True)
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    log.info("stopped")
    return os.EX_OK


async def _start(plan: Plan, supervisor: Supervisor, lock: DataLock, nursery: trio.Nursery) -> None:
    settings = plan.settings
    # glibc gives each thread an arena of its own and returns little of it: a third of the consumer's memory.
    environment = {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2")}

    def ours(name: str, command: Command, *, once: bool = False) -> Child:
        return Child(
            name=name,
            what=command,
            environment=dict(environment),
            directory=plan.directory,
            output=plan.output,
            once=once,
        )

    # Beside nats-server, and beside the imports for what needs the tables and comes after it.
    upgrade = ours("database upgrade", UPGRADE, once=True)
    supervisor.begin(upgrade)
    if settings.nats_url:
        # Somebody else's server; a file of an earlier run would lead other terminals to one that is gone.
        settings.nats_url_path.unlink(missing_ok=True)
    else:
        server = await _start_nats(settings, supervisor, lock)
        environment["NATS_URL"] = server.url
        nursery.start_soon(watch, server, supervisor)
    await supervisor.settled(upgrade)
    await supervisor.start(ours("api", API))
    await supervisor.start(ours("consumer", CONSUMER))
    for child in plan.before:
        await supervisor.start(child)
    if settings.webhook_url:
        await supervisor.start(ours("webhook", WEBHOOK))
    # Also without IMAP settings: it says so in the log, and to whoever asks for a sync.
    await supervisor.start(ours("syncer", SYNCER))
    if settings.verify_interval:
        await supervisor.start(ours("verifier", VERIFIER))
    if plan.finale is not None:
        await supervisor.start(plan.finale.with_environment(environment))


async def _start_nats(settings: Settings, supervisor: Supervisor, lock: DataLock) -> NatsServer:
    server = NatsServer(settings.data_dir / "nats")
    await supervisor.start(
        Child(
            name=NAME,
            what=server.command,
            environment={"GOMEMLIMIT": os.environ.get("GOMEMLIMIT", MEMORY_LIMIT)},
            ready=server.ready,
            # nats-server takes no lock on its store: ours lasts as long as it lives, even when we are gone.
            inherit=(lock.descriptor,),
        )
    )
    write_private(settings.nats_url_path, server.url + "\n")
    log.info("listening", child="nats-server", address=server.address, store=server.directory)
    return server


async def _wishes(
    signals: AsyncIterator[int], hangup: Hangup, reloadable: bool, supervisor: Supervisor
) -> AsyncIterator[int]:
    """The signals that ask for the end; a reload is passed on to the syncer."""
    async for number in signals:
        wish = Wish.STOP
        if number == signal.SIGHUP:
            wish = hangup.wish(terminal=has_terminal(), reloadable=reloadable)
        if wish is Wish.STOP:
            yield number
        elif wish is Wish.RELOAD and not supervisor.send("syncer", signal.SIGHUP):
            log.info("the syncer is not running; it reads the accounts when it starts")


async def _stop_when_asked(signals: AsyncIterator[int], life: trio.CancelScope, supervisor: Supervisor) -> None:
    asked = False
    async for number in signals:
        if asked:
            log.warning("stopping at once", signal=signal.Signals(number).name)
            supervisor.kill()
            continue
        log.info("stopping", signal=signal.Signals(number).name)
        asked = True
        life.cancel()
