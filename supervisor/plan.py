"""`mozzart up`, as far as it goes before there is an event loop: what to start, a fork server, the lock on DATA_DIR."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailcore.descriptors import raise_limit
from mailcore.settings import Settings
from supervisor.data_lock import DataLock
from supervisor.fork_server import AVAILABLE, Command, ForkServer, adopt_orphans
from supervisor.forked import Forked
from webhooks.signature import keys

if TYPE_CHECKING:
    from supervisor.children import Child

CONSUMER: Final = Command(("consumer",), "consumers.main")
UPGRADE: Final = Command(("db", "upgrade"), "cli.database")
API: Final = Command(("api",), "api.main")
WEBHOOK: Final = Command(("webhook",), "webhooks.main")
VERIFIER: Final = Command(("verifier",), "cli.verify.verifier")
SYNCER: Final = Command(("syncer",), "syncer.main")


@dataclass(frozen=True)
class Plan:
    """What `run` starts. `before` are children that the syncer needs. When `finale` has ended well, so has everything;
    it stops first. `directory` is where our children run, `output` takes what they write."""

    settings: Settings
    before: Sequence[Child] = ()
    finale: Child | None = None
    directory: Path | None = None
    output: Path | None = None

    @property
    def modules(self) -> list[str]:
        """What its commands import, in the order in which they start."""
        around = [child.what for child in (*self.before, *filter(None, (self.finale,)))]
        webhook = (WEBHOOK,) if self.settings.webhook_url else ()
        verifier = (VERIFIER,) if self.settings.verify_interval else ()
        commands = (UPGRADE, API, CONSUMER, *webhook, SYNCER, *around, *verifier)
        return [command.module for command in commands if isinstance(command, Command)]


def run(plan: Plan) -> int:
    """Until SIGINT, SIGTERM, or a SIGHUP that asks for no reload; returns the exit code. Raises SettingsError or
    AlreadyRunning."""
    if plan.settings.webhook_url:
        keys(plan.settings.webhook_secret.get_secret_value())  # a child that refuses it again and again helps nobody
    raise_limit()
    with ExitStack() as stack:
        forks, first = None, None
        if AVAILABLE:
            adopt_orphans()
            forks = stack.enter_context(ForkServer(plan.modules))
            # As early as can be: it imports while we go on. Before the lock: that is not to live as long as it does.
            first = forks.fork()
            stack.callback(_end, first)
        lock = stack.enter_context(DataLock(plan.settings.data_dir))
        # After the fork: our imports beside those of the fork server.
        import trio

        from supervisor.up import supervise

        return trio.run(supervise, plan, lock, forks, first, restrict_keyboard_interrupt_to_checkpoints=True)


def _end(fork_server: Forked) -> None:
    fork_server.kill()
    fork_server.wait()
